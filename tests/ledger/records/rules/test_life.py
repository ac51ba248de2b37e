"""Who may suspend, restore, revoke, correct and end; what a list and a range do; tracks that split and merge."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as renewed

from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.life import Range
from ledger.records.refusals import Refusal
from ledger.records.state import Highest, TrackSummary
from ledger.records.statements import Statement
from ledger.records.track import MAX_TRACK
from tests.support.builders import (
    DAY,
    NUMBER,
    SECOND,
    TIME,
    TRADE,
    Certificate,
    correct,
    end,
    filing_standing,
    key_standing,
    make_authority,
    make_body,
    octets,
    ruling,
    two_keys,
)
from tests.support.memory_log import MemoryLog, begin, refusal

AUTHORITY = make_authority()
BODY = make_body(grants=(7, 8))
OTHER = make_body("other", number="S000151000999")
TRACK_Q = octets("track q", 16)


def with_certificates(*labels: str) -> tuple[MemoryLog, list[Certificate]]:
    """Certificates of different people, all of BODY; OTHER is filed too."""
    log, made = begin(BODY, OTHER), [BODY.certificate(label) for label in labels]
    for one in made:
        log.add(one.statement)
    return log, made


def by(who: str, kind: Kind, *whom: Certificate | Range) -> Statement:
    return (BODY.sign if who == "issuer" else AUTHORITY.sign)(ruling(kind, *whom))


class TestRulings:
    @pytest.mark.parametrize("who", ["issuer", "authority"])
    def test_suspend_restore_and_revoke_mark_the_certificate(self, who: str) -> None:
        log, (made,) = with_certificates("a")
        suspended = by(who, Kind.SUSPEND, made)
        log.add(suspended)
        state = log.state(made)
        assert (state.status, state.event_index, state.event_count) == (CertificateStatus.SUSPENDED, 4, 2)
        assert (state.event_leaf, state.effective_day) == (suspended.leaf_hash, DAY)
        assert state.commitment_leaf == state.issue_leaf == made.statement.leaf_hash
        assert state.summary == TrackSummary() and state.previous != b""
        log.add(by(who, Kind.RESTORE, made))
        assert log.state(made).summary == TrackSummary(Highest(4, "", made.issue.cert_key, 5))
        log.add(by(who, Kind.REVOKE, made))
        assert log.statuses(made) == ["revoked"] and log.state(made).event_count == 4
        assert log.filings[NUMBER].record_keys[0].used == 1, "only certificates and corrections are counted"

    def test_revoking_the_higher_grade_brings_the_lower_back(self) -> None:
        log = begin(BODY)
        lower, higher = BODY.certificate("l", grade=4, person="p"), BODY.certificate("h", grade=5, person="p")
        log.add(lower.statement)
        log.add(higher.statement)
        assert log.state(lower).summary == TrackSummary(Highest(5, "", higher.issue.cert_key, 3))
        value = log.state(lower).value()
        change = log.add(BODY.sign(ruling(Kind.REVOKE, higher)))
        assert set(change.certificates) == {lower.issue.cert_key, higher.issue.cert_key}
        assert log.state(lower).summary == TrackSummary(Highest(4, "", lower.issue.cert_key, 2))
        assert log.state(lower).summary == log.state(higher).summary
        assert log.state(lower).previous == value and log.state(lower).event_count == 1
        log.add(AUTHORITY.sign(ruling(Kind.RESTORE, higher)))
        assert log.state(lower).summary == TrackSummary(Highest(5, "", higher.issue.cert_key, 5))

    def test_a_revoked_one_is_back_only_where_nothing_took_its_place(self) -> None:
        log = begin(BODY)
        first, second = BODY.certificate("a", person="p"), BODY.certificate("b", person="p")
        log.add(first.statement)
        log.add(BODY.sign(ruling(Kind.REVOKE, first)))
        log.add(second.statement)
        assert refusal(log, AUTHORITY.sign(ruling(Kind.RESTORE, first))) is Refusal.DUPLICATE_GRADE
        log.add(BODY.sign(ruling(Kind.REVOKE, second)))
        both = ruling(Kind.RESTORE, first, second)
        assert refusal(log, AUTHORITY.sign(both)) is Refusal.DUPLICATE_GRADE, "nor beside one of the same list"
        swept = AUTHORITY.sign(ruling(Kind.RESTORE, Range(NUMBER, 0, 99)))
        log.add(swept)
        assert log.statuses(first, second) == ["in_force", "revoked"], "a range passes by what cannot stand"

    @pytest.mark.parametrize("kind", [Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE])
    def test_what_is_named_is_there_and_of_the_body_that_rules(self, kind: Kind) -> None:
        log, (made,) = with_certificates("a")
        assert refusal(log, BODY.sign(ruling(kind, BODY.certificate("none")))) is Refusal.CERT_UNKNOWN
        assert refusal(log, OTHER.sign(ruling(kind, made))) is Refusal.NOT_ISSUER
        later = ruling(kind, made, day=DAY + 1)
        assert refusal(log, BODY.sign(later)) is Refusal.EFFECTIVE_IN_FUTURE

    @pytest.mark.parametrize(
        ("decides", "kind", "restores", "code"),
        [
            ("issuer", Kind.SUSPEND, "issuer", None),
            ("issuer", Kind.SUSPEND, "authority", None),
            ("authority", Kind.SUSPEND, "issuer", Refusal.AUTHORITY_NEEDED),
            ("authority", Kind.SUSPEND, "authority", None),
            ("issuer", Kind.REVOKE, "issuer", Refusal.AUTHORITY_NEEDED),
            ("issuer", Kind.REVOKE, "authority", None),
            ("authority", Kind.REVOKE, "issuer", Refusal.AUTHORITY_NEEDED),
            ("authority", Kind.REVOKE, "authority", None),
        ],
    )
    @pytest.mark.parametrize("corrected", [False, True])
    def test_who_may_restore_what(
        self, decides: str, kind: Kind, restores: str, code: Refusal | None, *, corrected: bool
    ) -> None:
        """A correction in between, by whomever, changes nothing about it."""
        log, (made,) = with_certificates("a")
        log.add(by(decides, kind, made))
        if corrected and kind is Kind.SUSPEND:
            log.add(BODY.sign(correct(made)))
            log.add(AUTHORITY.sign(correct(made, "again")))
        restored = by(restores, Kind.RESTORE, made)
        if code is None:
            log.add(restored)
            assert log.statuses(made) == ["in_force"]
        else:
            assert refusal(log, restored) is code

    def test_what_a_filings_suspension_suspended_its_body_does_not_restore(self) -> None:
        log, (made,) = with_certificates("a")
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED)))
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.ACTIVE, day=DAY)))
        log.add(AUTHORITY.sign(ruling(Kind.SUSPEND, made)))
        assert refusal(log, BODY.sign(ruling(Kind.RESTORE, made))) is Refusal.AUTHORITY_NEEDED

    def test_a_suspended_body_takes_away_and_gives_nothing(self) -> None:
        log, (first, second, third) = with_certificates("a", "b", "c")
        base = BODY.certificate("base", grade=6)
        post = BODY.post("t", on=base)
        for statement in (base.statement, post.statement, BODY.sign(ruling(Kind.SUSPEND, first))):
            log.add(statement)
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, day=DAY - 300)))
        log.add(AUTHORITY.sign(ruling(Kind.RESTORE, second)))
        for refused in (BODY.sign(ruling(Kind.RESTORE, first)), BODY.sign(correct(third))):
            assert refusal(log, refused) is Refusal.FILING_NOT_ACTIVE
        for admitted in (ruling(Kind.SUSPEND, second), ruling(Kind.REVOKE, third)):
            log.add(BODY.sign(admitted))
        log.add(BODY.sign(end(post)))
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.CANCELLED)))
        for nothing in (ruling(Kind.REVOKE, second), correct(first)):
            assert refusal(log, BODY.sign(nothing)) is Refusal.FILING_NOT_ACTIVE
        assert refusal(log, BODY.sign(end(post))) is Refusal.FILING_NOT_ACTIVE


class TestLists:
    def test_a_list_changes_all_or_nothing(self) -> None:
        log, (first, second, third) = with_certificates("a", "b", "c")
        log.add(BODY.sign(ruling(Kind.SUSPEND, first, second)))
        assert log.statuses(first, second, third) == ["suspended", "suspended", "in_force"]
        assert log.state(first).event_leaf == log.state(second).event_leaf
        assert refusal(log, BODY.sign(ruling(Kind.SUSPEND, second, third))) is Refusal.ALREADY_SUSPENDED
        none = BODY.certificate("none")
        assert refusal(log, BODY.sign(ruling(Kind.REVOKE, third, none))) is Refusal.CERT_UNKNOWN
        log.add(BODY.sign(ruling(Kind.RESTORE, first, second)))
        log.add(BODY.sign(ruling(Kind.REVOKE, first, second, third)))
        assert log.statuses(first, second, third) == ["revoked"] * 3

    def test_an_issuer_lists_its_own_and_the_authority_any(self) -> None:
        log, (first,) = with_certificates("a")
        other = OTHER.certificate("o")
        log.add(other.statement)
        assert refusal(log, BODY.sign(ruling(Kind.SUSPEND, first, other))) is Refusal.NOT_ISSUER
        log.add(AUTHORITY.sign(ruling(Kind.SUSPEND, first, other)))
        assert log.statuses(first, other) == ["suspended", "suspended"]

    def test_of_one_track_all_members_get_one_summary(self) -> None:
        log = begin(BODY)
        made = [BODY.certificate(str(grade), grade=grade, person="p") for grade in (3, 4, 5)]
        for one in made:
            log.add(one.statement)
        log.add(BODY.sign(ruling(Kind.REVOKE, made[1], made[2])))
        best = TrackSummary(Highest(3, "", made[0].issue.cert_key, 2))
        assert [log.state(one).summary for one in made] == [best] * 3


class TestRanges:
    def test_a_range_concerns_what_a_filing_issued_between_two_places(self) -> None:
        log, made = with_certificates("a", "b", "c", "d")  # at 3, 4, 5, 6
        other = OTHER.certificate("o")
        log.add(other.statement)
        log.add(BODY.sign(ruling(Kind.REVOKE, Range(NUMBER, 4, 5))))
        assert log.statuses(*made, other) == ["in_force", "revoked", "revoked", "in_force", "in_force"]
        log.add(AUTHORITY.sign(ruling(Kind.SUSPEND, Range(NUMBER, 0, 99))))
        assert log.statuses(*made, other) == ["suspended", "revoked", "revoked", "suspended", "in_force"]
        assert log.state(made[1]).event_count == 2, "it passes by what does not allow it"

    def test_corrections_in_the_range_are_no_certificates(self) -> None:
        log, (first, second) = with_certificates("a", "b")
        log.add(BODY.sign(correct(first)))  # at 5
        only = ruling(Kind.REVOKE, Range(NUMBER, 5, 9))
        assert refusal(log, BODY.sign(only)) is Refusal.NOTHING_CHANGES
        log.add(BODY.sign(ruling(Kind.REVOKE, Range(NUMBER, 4, 9))))
        assert log.statuses(first, second) == ["in_force", "revoked"]

    def test_one_that_changes_nothing_is_refused(self) -> None:
        log, (made,) = with_certificates("a")
        nothing = ruling(Kind.SUSPEND, Range(NUMBER, 0, 2))
        assert refusal(log, BODY.sign(nothing)) is Refusal.NOTHING_CHANGES
        unknown = ruling(Kind.SUSPEND, Range("S000151000998", 0, 99))
        assert refusal(log, AUTHORITY.sign(unknown)) is Refusal.NOTHING_CHANGES
        log.add(BODY.sign(ruling(Kind.SUSPEND, made)))
        again = ruling(Kind.SUSPEND, Range(NUMBER, 0, 99))
        assert refusal(log, BODY.sign(again)) is Refusal.NOTHING_CHANGES

    def test_an_issuer_restores_by_range_what_it_suspended_itself(self) -> None:
        log, made = with_certificates("a", "b", "c")
        log.add(BODY.sign(ruling(Kind.SUSPEND, made[0])))
        log.add(AUTHORITY.sign(ruling(Kind.SUSPEND, made[1])))
        log.add(BODY.sign(ruling(Kind.REVOKE, made[2])))
        log.add(BODY.sign(ruling(Kind.RESTORE, Range(NUMBER, 0, 99))))
        assert log.statuses(*made) == ["in_force", "suspended", "revoked"]
        log.add(AUTHORITY.sign(ruling(Kind.RESTORE, Range(NUMBER, 0, 99))))
        assert log.statuses(*made) == ["in_force"] * 3

    def test_reissues_and_posts_are_in_it(self) -> None:
        log = begin(BODY)
        base = BODY.certificate("base", grade=6)
        post, new = BODY.post("t", on=base), BODY.reissue("n", base)
        for one in (base, post, new):
            log.add(one.statement)
        log.add(BODY.sign(ruling(Kind.REVOKE, Range(NUMBER, 0, 99))))
        assert log.statuses(base, post, new) == ["replaced", "revoked", "revoked"]


class TestCorrect:
    def test_it_changes_the_commitments_and_nothing_else(self) -> None:
        log, (made,) = with_certificates("a")
        before = log.state(made)
        signed = BODY.sign(correct(made))
        log.add(signed)
        state = log.state(made)
        assert state.commitment_leaf == state.event_leaf == signed.leaf_hash and state.event_count == 2
        expected = renewed(
            before,
            commitment_leaf=signed.leaf_hash,
            event_leaf=signed.leaf_hash,
            event_index=4,
            event_count=2,
            previous=before.value(),
            summary=TrackSummary(Highest(4, "", made.issue.cert_key, 4)),
        )
        assert state == expected
        assert log.filings[NUMBER].record_keys[0].used == 2
        assert list(log.view.corrections(made.issue.cert_key)) == [(4, signed)]

    def test_a_suspended_one_keeps_the_event_that_suspended_it(self) -> None:
        log, (made,) = with_certificates("a")
        suspended = AUTHORITY.sign(ruling(Kind.SUSPEND, made))
        log.add(suspended)
        signed = BODY.sign(correct(made))
        log.add(signed)
        state = log.state(made)
        assert (state.event_leaf, state.event_index, state.event_count) == (suspended.leaf_hash, 4, 3)
        assert state.commitment_leaf == signed.leaf_hash and state.status is CertificateStatus.SUSPENDED

    def test_who_corrects_what_and_when(self) -> None:
        log, (made,) = with_certificates("a")
        assert refusal(log, OTHER.sign(correct(made))) is Refusal.NOT_ISSUER
        assert refusal(log, BODY.sign(correct(BODY.certificate("none")))) is Refusal.CERT_UNKNOWN
        assert refusal(log, BODY.sign(correct(made, day=DAY + 1))) is Refusal.EFFECTIVE_IN_FUTURE
        log.add(AUTHORITY.sign(correct(made)))
        assert log.filings[NUMBER].record_keys[0].used == 1, "the authority's uses nobody's key"
        capped = make_body(cap=1)
        log, made = begin(capped), capped.certificate("a")
        log.add(made.statement)
        assert refusal(log, capped.sign(correct(made))) is Refusal.CAP_REACHED

    def test_tracks_merge(self) -> None:
        log = begin(BODY)
        first, second = BODY.certificate("a", grade=4, person="p"), BODY.certificate("b", grade=5, person="q")
        third = BODY.certificate("c", grade=2, person="q")
        for one in (first, second, third):
            log.add(one.statement)
        change = log.add(BODY.sign(correct(first, track=TRACK_Q)))
        best = TrackSummary(Highest(5, "", second.issue.cert_key, 3))
        assert [log.state(one).summary for one in (first, second, third)] == [best] * 3
        assert log.state(first).track_id == TRACK_Q and log.track(octets("track p", 16)) == {}
        assert set(change.certificates) == {first.issue.cert_key}, "the others have that summary already"
        back = log.add(BODY.sign(correct(second, track=octets("track new", 16))))
        assert len(back.certificates) == 3
        assert log.state(third).summary == TrackSummary(Highest(4, "", first.issue.cert_key, 5))

    def test_tracks_split(self) -> None:
        log = begin(BODY)
        first, second = BODY.certificate("a", grade=4, person="p"), BODY.certificate("b", grade=5, person="p")
        for one in (first, second):
            log.add(one.statement)
        log.add(BODY.sign(correct(second, track=TRACK_Q)))
        assert log.state(first).summary == TrackSummary(Highest(4, "", first.issue.cert_key, 2))
        assert log.state(second).summary == TrackSummary(Highest(5, "", second.issue.cert_key, 4))
        assert log.state(first).event_count == 1 and log.state(first).previous != b""

    def test_the_track_it_moves_to_takes_it(self) -> None:
        log = begin(BODY)
        made = BODY.certificate("a", grade=4, person="p")
        same = BODY.certificate("b", grade=4, person="q")
        unlinked = BODY.certificate("u", grade=3, person="u", person_unlinked=True)
        for one in (made, same, unlinked):
            log.add(one.statement)
        assert refusal(log, BODY.sign(correct(made, track=TRACK_Q))) is Refusal.DUPLICATE_GRADE
        to_unlinked = correct(made, track=unlinked.issue.track_id)
        assert refusal(log, BODY.sign(to_unlinked)) is Refusal.TRACK_UNKNOWN
        log.add(BODY.sign(correct(made, track=made.issue.track_id)))  # where it is
        for at in range(MAX_TRACK - 1):
            log.add(BODY.certificate(str(at), grade=2, person="q", trade=f"工种{at}").statement)
        log.add(BODY.sign(ruling(Kind.REVOKE, same)))
        assert refusal(log, BODY.sign(correct(made, track=TRACK_Q))) is Refusal.TRACK_FULL


class TestEnd:
    def test_an_ended_post_is_final(self) -> None:
        log, base = begin(BODY, OTHER), BODY.certificate("base", grade=6)
        post = BODY.post("t", on=base)
        for one in (base, post):
            log.add(one.statement)
        signed = BODY.sign(end(post, day=DAY - 1))
        log.add(signed)
        state = log.state(post)
        assert (state.status, state.event_leaf, state.effective_day) == (
            CertificateStatus.ENDED,
            signed.leaf_hash,
            DAY - 1,
        )
        assert log.state(base).summary == TrackSummary(Highest(6, "", base.issue.cert_key, 3))
        for again in (end(post), ruling(Kind.RESTORE, post), correct(post)):
            assert refusal(log, BODY.sign(again)) is Refusal.FINAL
        log.add(BODY.sign(ruling(Kind.REVOKE, post)))
        assert refusal(log, BODY.sign(end(post))) is Refusal.ALREADY_REVOKED

    def test_only_its_employer_ends_a_post_and_not_tomorrow(self) -> None:
        log, base = begin(BODY, OTHER), BODY.certificate("base", grade=6)
        post = BODY.post("t", on=base)
        for one in (base, post):
            log.add(one.statement)
        assert refusal(log, BODY.sign(end(base))) is Refusal.NO_APPOINTMENT
        assert refusal(log, BODY.sign(end(octets("none")))) is Refusal.CERT_UNKNOWN
        assert refusal(log, OTHER.sign(end(post))) is Refusal.NOT_ISSUER
        assert refusal(log, BODY.sign(end(post, day=DAY + 1))) is Refusal.EFFECTIVE_IN_FUTURE


def test_a_key_that_is_retired_rules_no_more_but_what_it_ruled_stands() -> None:
    body = two_keys()
    log, made = begin(body), body.certificate("a", trade=TRADE)
    log.add(made.statement)
    log.add(body.sign(ruling(Kind.SUSPEND, made)))
    log.add(body.sign(key_standing(body.record.public, KeyStatus.RETIRED)))
    assert refusal(log, body.sign(ruling(Kind.RESTORE, made))) is Refusal.KEY_NOT_LIVE
    assert log.statuses(made) == ["suspended"]
    log.add(body.sign(ruling(Kind.RESTORE, made), signer=SECOND), TIME + 1)

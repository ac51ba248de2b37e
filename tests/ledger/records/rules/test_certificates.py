"""Reissues, posts and late permits; a plain issue is in test_status.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.records.authority import FilingRow
from ledger.records.kinds import Audience, CertificateStatus, FilingStatus, Kind, Reason, Route
from ledger.records.permit import LatePermit, PermitProof, permit_root, permitted_hash, prove_permitted
from ledger.records.refusals import Refusal
from ledger.records.state import Appointment, Highest, TrackSummary
from ledger.records.track import MAX_TRACK
from tests.support.builders import (
    DAY,
    NUMBER,
    OCCUPATION,
    SECOND,
    TIME,
    TRADE,
    WINDOW,
    Certificate,
    correct,
    end,
    filing_standing,
    late,
    make_authority,
    make_body,
    octets,
    ruling,
    two_keys,
)
from tests.support.memory_log import MemoryLog, begin, refusal

AUTHORITY = make_authority()
BODY = make_body(grants=(7, 8))
DAY_MS = 86_400_000
OLD_DAY = DAY - 200


def with_certificate(*, grade: int = 6, **changes: Any) -> tuple[MemoryLog, Certificate]:
    log, made = begin(BODY), BODY.certificate("a", grade=grade, person="p", **changes)
    log.add(made.statement)
    return log, made


class TestReissue:
    def test_it_takes_the_place_of_the_old_one(self) -> None:
        log, old = with_certificate(grade=4)
        new = BODY.reissue("b", old)
        change = log.add(new.statement, TIME + 3 * DAY_MS)
        before, now = log.state(old), log.state(new)
        assert (before.status, before.successor) == (CertificateStatus.REPLACED, new.issue.cert_key)
        assert (before.event_index, before.event_leaf, before.event_count) == (3, new.statement.leaf_hash, 2)
        assert before.effective_day == DAY + 3
        assert (now.status, now.kind, now.grade) == (CertificateStatus.IN_FORCE, Kind.REISSUE, 4)
        assert (now.issue_index, now.effective_day, now.event_count, now.previous) == (3, DAY, 1, b"")
        best = TrackSummary(Highest(4, "", new.issue.cert_key, 3))
        assert before.summary == now.summary == best
        assert log.filings[NUMBER].record_keys[0].used == 2
        assert set(change.certificates) == {old.issue.cert_key, new.issue.cert_key}

    def test_a_chain_of_reissues(self) -> None:
        log, first = with_certificate(grade=4)
        second = BODY.reissue("b", first)
        third = BODY.reissue("c", second)
        assert refusal(log, third.statement) is Refusal.CERT_UNKNOWN
        log.add(second.statement)
        assert refusal(log, BODY.reissue("d", first).statement) is Refusal.FINAL
        log.add(third.statement)
        assert log.statuses(first, second, third) == ["replaced", "replaced", "in_force"]
        assert [log.state(one).successor for one in (first, second)] == [second.issue.cert_key, third.issue.cert_key]
        log.add(BODY.sign(ruling(Kind.REVOKE, third)))
        assert log.statuses(first, second, third) == ["replaced", "replaced", "revoked"]
        assert log.state(first).summary == TrackSummary()
        assert refusal(log, AUTHORITY.sign(ruling(Kind.RESTORE, first))) is Refusal.FINAL
        assert refusal(log, BODY.reissue("d", third).statement) is Refusal.ALREADY_REVOKED

    @pytest.mark.parametrize(
        "changes",
        [
            {"occupation": "6-18-01-02"},
            {"trade": TRADE},
            {"grade": 5, "level": 2},
            {"issue_day": DAY - 1},
            {"assessment_day": DAY - 8},
            {"route": Route.DIRECT},
            {"standard": "other"},
            {"audience": Audience.PUBLIC},
            {"track_id": octets("elsewhere", 16)},
            {"person_unlinked": True},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_it_says_the_same_as_the_old_one(self, changes: dict[str, Any]) -> None:
        log, old = with_certificate(grade=4)
        assert refusal(log, BODY.reissue("b", old, **changes).statement) is Refusal.REISSUE_DIFFERS

    def test_it_is_by_the_body_that_issued(self) -> None:
        other = make_body("other", number="S000151000999")
        log, made = begin(BODY, other), BODY.certificate("a")
        log.add(made.statement)
        taken = other.reissue("b", made, filing_number=other.filing.number)
        assert refusal(log, taken.statement) is Refusal.REISSUE_DIFFERS

    def test_the_old_one_is_there_and_in_force_and_the_new_key_is_new(self) -> None:
        log, old = with_certificate(grade=4)
        lower = BODY.certificate("l", grade=3, person="p")
        log.add(lower.statement)
        assert refusal(log, BODY.reissue("b", BODY.certificate("none")).statement) is Refusal.CERT_UNKNOWN
        taken = BODY.reissue("b", old, cert_key=lower.issue.cert_key)
        assert refusal(log, taken.statement) is Refusal.CERT_KEY_TAKEN
        log.add(BODY.sign(ruling(Kind.SUSPEND, old)))
        assert refusal(log, BODY.reissue("b", old).statement) is Refusal.NOT_IN_FORCE

    def test_it_goes_where_the_old_one_was_moved(self) -> None:
        log, old = with_certificate(grade=4)
        moved = octets("elsewhere", 16)
        log.add(BODY.sign(correct(old, track=moved)))
        assert refusal(log, BODY.reissue("b", old).statement) is Refusal.REISSUE_DIFFERS
        new = BODY.reissue("b", old, track_id=moved)
        log.add(new.statement)
        assert log.state(new).track_id == log.state(old).track_id == moved

    def test_filing_row_and_dates_were_judged_when_the_old_one_was_issued(self) -> None:
        log, old = with_certificate(grade=4)
        row = FilingRow("1-01-01-01", "", (2,), Audience.PUBLIC, DAY)
        log.add(AUTHORITY.sign(replace(BODY.filing, rows=(row,), first_day=DAY + 1, change=True)))
        log.add(BODY.reissue("b", old).statement, TIME + 500 * DAY_MS)

    def test_a_suspended_body_cannot_reissue(self) -> None:
        log, old = with_certificate(grade=4)
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, day=DAY)))
        assert refusal(log, BODY.reissue("b", old).statement) is Refusal.FILING_NOT_ACTIVE

    def test_a_full_track_takes_no_reissue(self) -> None:
        log, old = with_certificate(grade=4)
        for at in range(MAX_TRACK - 2):
            log.add(BODY.certificate(str(at), grade=2, person="p", trade=f"工种{at}").statement)
        log.add(BODY.reissue("b", old).statement)
        assert len(log.track(old.issue.track_id)) == MAX_TRACK
        again = BODY.reissue("c", BODY.reissue("b", old))
        assert refusal(log, again.statement) is Refusal.TRACK_FULL

    def test_it_counts_against_the_cap(self) -> None:
        capped = make_body(cap=1)
        log, old = begin(capped), capped.certificate("a")
        log.add(old.statement)
        assert refusal(log, capped.reissue("b", old).statement) is Refusal.CAP_REACHED


class TestAppoint:
    def test_a_post_stands_beside_the_certificate_and_is_no_grade(self) -> None:
        log, base = with_certificate()
        post = BODY.post("t", on=base, last_day=DAY + 365)
        change = log.add(post.statement)
        state = log.state(post)
        assert (state.status, state.kind, state.grade) == (CertificateStatus.IN_FORCE, Kind.APPOINT, 7)
        assert (state.issue_index, state.effective_day, state.event_count) == (3, DAY, 1)
        held = (Appointment(7, post.appoint.cert_key, 3, DAY, DAY + 365),)
        summary = TrackSummary(Highest(6, "", base.issue.cert_key, 2), held)
        assert state.summary == log.state(base).summary == summary
        assert log.filings[NUMBER].record_keys[0].used == 2
        assert change.issued == (post.appoint.cert_key, post.appoint)
        assert refusal(log, post.statement) is Refusal.CERT_KEY_TAKEN

    def test_the_higher_post_speaks_for_the_track_while_it_runs(self) -> None:
        log, base = with_certificate()
        lower = BODY.post("t", on=base)
        higher = BODY.post("c", grade=8, on=base, first_day=DAY + 5, last_day=DAY + 9)
        log.add(lower.statement)
        log.add(higher.statement)
        for day, speaks in ((DAY, lower), (DAY + 4, lower), (DAY + 5, higher), (DAY + 9, higher), (DAY + 10, lower)):
            for member in (base, lower, higher):
                held = log.state(member).summary.post_on(day)
                assert held is not None and held.cert_key == speaks.appoint.cert_key, day
        log.add(BODY.sign(end(higher)))
        assert [one.cert_key for one in log.state(base).summary.posts] == [lower.appoint.cert_key]
        log.add(BODY.sign(end(lower)))
        assert log.state(base).summary == TrackSummary(Highest(6, "", base.issue.cert_key, 2))

    def test_the_filing_grants_the_grade(self) -> None:
        for grants, codes in (((7,), {8: Refusal.GRANT}), ((8,), {7: Refusal.GRANT}), ((), {7: Refusal.GRANT})):
            body = make_body(grants=grants)
            log, base = begin(body), body.certificate("a", grade=6)
            log.add(base.statement)
            for grade, code in codes.items():
                assert refusal(log, body.post("t", grade=grade, on=base).statement) is code

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"occupation": "6-18-01-02"}, Refusal.SCOPE_ROW),
            ({"trade": "其他工种"}, Refusal.SCOPE_ROW),
            ({"trade": TRADE}, None),
            ({"day": WINDOW[0] - 1}, Refusal.SCOPE_WINDOW),
            ({"day": DAY + 1}, Refusal.ISSUED_IN_FUTURE),
            ({"day": DAY - 60}, None),
            ({"day": DAY - 61}, Refusal.ISSUED_TOO_LATE),
            ({"prerequisite": octets("none")}, Refusal.PREREQUISITE),
            ({"track_id": octets("elsewhere", 16)}, Refusal.PREREQUISITE),
        ],
    )
    def test_window_row_dates_and_prerequisite(self, changes: dict[str, Any], code: Refusal | None) -> None:
        body = make_body(grants=(7, 8), rows=(FilingRow(OCCUPATION, TRADE, (6,), Audience.OWN_STAFF, WINDOW[0]),))
        log, base = begin(body), body.certificate("a", grade=6, trade=TRADE)
        log.add(base.statement)
        post = body.post("t", on=base, **{"trade": TRADE, **changes})
        if code is None:
            log.add(post.statement)
        else:
            assert refusal(log, post.statement) is code

    def test_it_builds_on_the_top_certificate_in_force(self) -> None:
        log, lower = with_certificate(grade=5)
        assert refusal(log, BODY.post("t", on=lower).statement) is Refusal.PREREQUISITE
        base = BODY.certificate("b", grade=6, person="p")
        log.add(base.statement)
        post = BODY.post("t", on=base)
        log.add(BODY.sign(ruling(Kind.SUSPEND, base)))
        assert refusal(log, post.statement) is Refusal.PREREQUISITE
        log.add(BODY.sign(ruling(Kind.RESTORE, base)))
        log.add(post.statement)

    def test_a_chief_post_builds_on_a_post_that_is_held(self) -> None:
        log, base = with_certificate()
        post = BODY.post("t", on=base, last_day=DAY + 10)
        log.add(post.statement)
        assert refusal(log, BODY.post("x", grade=7, on=post, trade=TRADE).statement) is Refusal.PREREQUISITE
        chief = BODY.post("c", grade=8, on=post)
        assert refusal(log, chief.statement, TIME + 11 * DAY_MS) is Refusal.PREREQUISITE
        log.add(chief.statement, TIME + 10 * DAY_MS)

    def test_one_post_of_a_grade_is_held_at_a_time(self) -> None:
        log, base = with_certificate()
        log.add(BODY.post("t", on=base, last_day=DAY + 10).statement)
        again = BODY.post("u", on=base)
        assert refusal(log, again.statement, TIME + 10 * DAY_MS) is Refusal.DUPLICATE_GRADE
        log.add(again.statement, TIME + 11 * DAY_MS)
        assert [one.cert_key for one in log.state(base).summary.posts] == [again.appoint.cert_key]

    def test_a_post_that_is_over_is_not_held_whoever_ends_it(self) -> None:
        log, base = with_certificate()
        log.add(BODY.post("t", on=base, last_day=DAY + 10).statement)
        assert log.state(base).summary.posts
        lower = BODY.certificate("l", grade=3, person="p", day=DAY + 11)
        log.add(lower.statement, TIME + 11 * DAY_MS)
        assert not log.state(base).summary.posts

    def test_a_post_is_not_reissued_and_never_in_an_unlinked_track(self) -> None:
        log, base = with_certificate()
        post = BODY.post("t", on=base)
        log.add(post.statement)
        copied = BODY.reissue("b", base, replaces=post.appoint.cert_key)
        assert refusal(log, copied.statement) is Refusal.REISSUE_DIFFERS
        unlinked = BODY.certificate("u", grade=6, person="u", person_unlinked=True)
        log.add(unlinked.statement)
        assert refusal(log, BODY.post("v", on=unlinked).statement) is Refusal.TRACK_UNKNOWN

    def test_a_suspended_body_and_a_spent_key_cannot_appoint(self) -> None:
        body = two_keys(grants=(7,), cap=1)
        log, base = begin(body), body.certificate("a", grade=6)
        log.add(base.statement)
        assert refusal(log, body.post("t", on=base).statement) is Refusal.CAP_REACHED
        post = body.post("t", on=base, signer=SECOND)
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, day=DAY)))
        assert refusal(log, post.statement) is Refusal.FILING_NOT_ACTIVE

    def test_a_full_track_takes_no_post(self) -> None:
        log, base = with_certificate()
        for at in range(MAX_TRACK - 1):
            log.add(BODY.certificate(str(at), grade=2, person="p", trade=f"工种{at}").statement)
        assert refusal(log, BODY.post("t", on=base).statement) is Refusal.TRACK_FULL


class TestLatePermits:
    def test_it_lets_in_exactly_the_statements_it_was_made_for(self) -> None:
        log = begin(BODY)
        permit, made = late(AUTHORITY, BODY, "a", "b", "c", day=OLD_DAY)
        plain = BODY.certificate("a", day=OLD_DAY)
        assert refusal(log, plain.statement) is Refusal.ISSUED_TOO_LATE
        assert refusal(log, made[0].statement) is Refusal.PERMIT_UNKNOWN
        log.add(permit)
        for one in made:
            log.add(one.statement)
        assert log.statuses(*made) == ["in_force"] * 3
        assert log.state(made[0]).issue_time == TIME and log.state(made[0]).effective_day == OLD_DAY

    @pytest.mark.parametrize(
        "changes",
        [
            {"grade": 5},
            {"face": octets("x")},
            {"assessment_day": OLD_DAY - 1},
            {"track_id": octets("x", 16)},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_another_statement_is_not_in_it(self, changes: dict[str, Any]) -> None:
        log = begin(BODY)
        permit, (made, _) = late(AUTHORITY, BODY, "a", "b", day=OLD_DAY)
        log.add(permit)
        other = BODY.certificate("a", day=OLD_DAY, permit=made.issue.permit, **changes)
        assert refusal(log, other.statement) is Refusal.PERMIT_OTHER

    def test_another_place_in_it_proves_nothing(self) -> None:
        log = begin(BODY)
        permit, made = late(AUTHORITY, BODY, "a", "b", "c", day=OLD_DAY)
        log.add(permit)
        proof = made[0].issue.permit
        assert proof is not None
        for wrong in (
            made[1].issue.permit,
            replace(proof, position=1),
            replace(proof, position=3),  # beyond its count
            replace(proof, path=proof.path[:-1]),
            replace(proof, path=(*proof.path, bytes(32))),
            replace(proof, path=(bytes(32), *proof.path[1:])),
        ):
            posing = BODY.certificate("a", day=OLD_DAY, permit=wrong)
            assert refusal(log, posing.statement) is Refusal.PERMIT_OTHER

    def test_the_window_of_issue_dates_counts(self) -> None:
        for window, code in (
            ((OLD_DAY, OLD_DAY), None),
            ((OLD_DAY - 9, OLD_DAY - 1), Refusal.PERMIT_OTHER),
            ((OLD_DAY + 1, OLD_DAY + 9), Refusal.PERMIT_OTHER),
        ):
            log = begin(BODY)
            permit, (made,) = late(AUTHORITY, BODY, "a", day=OLD_DAY, window=window)
            log.add(permit)
            if code is None:
                log.add(made.statement)
            else:
                assert refusal(log, made.statement) is code

    def test_the_permit_of_another_filing_is_another_permit(self) -> None:
        other = make_body("other", number="S000151000999")
        log = begin(BODY, other)
        permit, (made,) = late(AUTHORITY, other, "a", day=OLD_DAY)
        log.add(permit)
        posing = BODY.certificate("a", day=OLD_DAY, permit=made.issue.permit)
        assert refusal(log, posing.statement) is Refusal.PERMIT_OTHER

    def test_every_other_rule_still_holds(self) -> None:
        log = begin(BODY)
        permit, (made,) = late(AUTHORITY, BODY, "a", day=WINDOW[0] - 1)
        log.add(permit)
        assert refusal(log, made.statement) is Refusal.SCOPE_WINDOW
        permit, (made,) = late(AUTHORITY, BODY, "b", day=DAY + 1)
        log.add(permit)
        assert refusal(log, made.statement) is Refusal.ISSUED_IN_FUTURE

    def test_a_permit_that_is_named_has_to_hold_even_in_time(self) -> None:
        log = begin(BODY)
        made = BODY.certificate("a", permit=PermitProof(octets("none"), 0, ()))
        assert refusal(log, made.statement) is Refusal.PERMIT_UNKNOWN

    def test_a_post_without_a_certificate_of_ours_builds_on_a_permit(self) -> None:
        log = begin(BODY)
        blank = PermitProof(bytes(32), 0, ())
        draft = BODY.post("t", person="p", day=OLD_DAY, prerequisite=b"", permit=blank).appoint
        hashes = [permitted_hash(NUMBER, draft.cert_key, draft.as_map())]
        permit = AUTHORITY.sign(LatePermit(NUMBER, Reason.OTHER, OLD_DAY, OLD_DAY, permit_root(hashes), 1))
        proof = prove_permitted(hashes, 0, permit.leaf_hash)
        post = BODY.post("t", person="p", day=OLD_DAY, prerequisite=b"", permit=proof)
        assert refusal(log, post.statement) is Refusal.PERMIT_UNKNOWN
        log.add(permit)
        log.add(post.statement)
        assert log.state(post).summary.highest is None and log.state(post).summary.posts

"""What a filing's status and a key's compromise do to every certificate concerned."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.refusals import Refusal
from ledger.records.rules.sweeps import concerned_by_filing, concerned_by_key
from ledger.records.state import CertificateState, Highest, TrackSummary
from ledger.records.status import Moment, apply
from ledger.records.view import Change, Signed
from ledger.tlog.keys import kid
from tests.support.builders import (
    DAY,
    NUMBER,
    SECOND,
    TIME,
    Certificate,
    correct,
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
BODY = two_keys(grants=(7, 8))
FIRST = BODY.record
OTHER = make_body("other", number="S000151000999")
SUSPENDED, ACTIVE, CANCELLED = FilingStatus.SUSPENDED, FilingStatus.ACTIVE, FilingStatus.CANCELLED
DAY_MS = 86_400_000


def by_day(*days: int) -> tuple[MemoryLog, list[Certificate]]:
    """A certificate of each issue date, and one of another filing."""
    log = begin(BODY, OTHER)
    made = [BODY.certificate(f"d{day}", day=day) for day in days] + [OTHER.certificate("other")]
    for one in made:
        log.add(one.statement)
    return log, made


class TestFilingStatus:
    def test_a_suspension_concerns_issue_dates_of_its_effective_day_and_later(self) -> None:
        log, made = by_day(DAY - 20, DAY - 11, DAY - 10, DAY - 9)
        signed = AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 10))
        log.add(signed)
        assert log.statuses(*made) == ["in_force", "in_force", "suspended", "suspended", "in_force"]
        filing = log.filings[NUMBER]
        assert (filing.status, filing.status_day, filing.status_leaf) == (SUSPENDED, DAY - 10, signed.leaf_hash)
        assert (filing.event_leaf, filing.event_index, filing.event_count) == (signed.leaf_hash, 8, 2)
        assert log.filings[OTHER.filing.number].status is ACTIVE
        state = log.state(made[2])
        assert (state.event_leaf, state.effective_day, state.event_count) == (signed.leaf_hash, DAY - 10, 2)
        assert refusal(log, BODY.certificate("x").statement) is Refusal.FILING_NOT_ACTIVE

    def test_resuming_brings_back_what_the_suspension_suspended_and_only_that(self) -> None:
        log, made = by_day(DAY - 5, DAY - 4, DAY - 3, DAY - 2)
        own, later, kept = made[0], made[1], made[2]
        log.add(BODY.sign(ruling(Kind.SUSPEND, own)))
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 10)))
        log.add(BODY.sign(ruling(Kind.REVOKE, later)))
        log.add(AUTHORITY.sign(correct(kept)))
        log.add(AUTHORITY.sign(filing_standing(ACTIVE, day=DAY)))
        assert log.statuses(*made) == ["suspended", "revoked", "in_force", "in_force", "in_force"]
        assert log.filings[NUMBER].status is ACTIVE
        log.add(BODY.certificate("x").statement)

    def test_one_that_was_restored_and_suspended_anew_stays_suspended(self) -> None:
        log, made = by_day(DAY - 5)
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 10)))
        log.add(AUTHORITY.sign(ruling(Kind.RESTORE, made[0])))
        log.add(BODY.sign(ruling(Kind.SUSPEND, made[0])))
        log.add(AUTHORITY.sign(filing_standing(ACTIVE, day=DAY)))
        assert log.statuses(made[0]) == ["suspended"]

    def test_an_earlier_suspension_is_not_what_a_later_resumption_ends(self) -> None:
        log, made = by_day(DAY - 20, DAY - 5)
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 30)))
        log.add(AUTHORITY.sign(filing_standing(ACTIVE, day=DAY)))
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 10)))
        assert log.statuses(*made[:2]) == ["in_force", "suspended"]
        log.add(AUTHORITY.sign(filing_standing(ACTIVE, day=DAY)))
        assert log.statuses(*made[:2]) == ["in_force", "in_force"]

    def test_a_cancellation_is_for_good(self) -> None:
        log, made = by_day(DAY - 20, DAY - 5, DAY - 4, DAY - 3)
        log.add(BODY.sign(ruling(Kind.SUSPEND, made[1])))
        log.add(BODY.sign(ruling(Kind.REVOKE, made[2])))
        log.add(AUTHORITY.sign(filing_standing(CANCELLED, day=DAY - 10)))
        assert log.statuses(*made) == ["in_force", "void", "revoked", "void", "in_force"]
        for status in (ACTIVE, SUSPENDED, CANCELLED):
            assert refusal(log, AUTHORITY.sign(filing_standing(status, day=DAY))) is Refusal.NOTHING_CHANGES
        log.add(AUTHORITY.sign(ruling(Kind.REVOKE, made[0])))

    def test_a_suspended_filing_can_be_cancelled(self) -> None:
        log, made = by_day(DAY - 20, DAY - 5)
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 10)))
        log.add(AUTHORITY.sign(filing_standing(CANCELLED, day=DAY - 30)))
        assert log.statuses(*made[:2]) == ["void", "void"]

    def test_posts_reissues_and_corrected_ones_are_concerned_by_their_issue_date(self) -> None:
        log = begin(BODY)
        base = BODY.certificate("base", grade=6, day=DAY - 20)
        post, old = BODY.post("t", on=base, day=DAY), BODY.certificate("old", day=DAY - 1)
        new = BODY.reissue("new", old)
        for one in (base, post, old, new):
            log.add(one.statement)
        log.add(BODY.sign(correct(base)))  # its effective day is later; the certificate's issue date counts
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 1)))
        assert log.statuses(base, post, old, new) == ["in_force", "suspended", "replaced", "suspended"]
        assert log.state(base).summary == TrackSummary(Highest(6, "", base.issue.cert_key, 6))

    def test_what_is_refused(self) -> None:
        log, _ = by_day(DAY)
        assert refusal(log, AUTHORITY.sign(filing_standing(ACTIVE))) is Refusal.NOTHING_CHANGES
        assert refusal(log, AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY + 1))) is Refusal.EFFECTIVE_IN_FUTURE
        stranger = filing_standing(SUSPENDED, number="S000151000998")
        assert refusal(log, AUTHORITY.sign(stranger)) is Refusal.FILING_UNKNOWN
        log.add(AUTHORITY.sign(filing_standing(SUSPENDED)))
        assert refusal(log, AUTHORITY.sign(filing_standing(SUSPENDED, day=DAY - 5))) is Refusal.NOTHING_CHANGES

    def test_which_rows_are_concerned(self) -> None:
        filing = begin(BODY).filings[NUMBER]
        rows = [
            Signed(3, Kind.ISSUE, b"a", b"k", DAY - 1),
            Signed(4, Kind.APPOINT, b"b", b"k", DAY),
            Signed(5, Kind.CORRECT, b"c", b"k", DAY),
            Signed(6, Kind.REISSUE, b"d", b"k", DAY + 1),
        ]
        assert concerned_by_filing(filing, filing_standing(SUSPENDED), rows) == [b"b", b"d"]
        assert concerned_by_filing(filing, filing_standing(ACTIVE), rows) == [b"a", b"b", b"d"]


class TestKeyStatus:
    def test_a_retired_key_signs_no_more_and_what_it_signed_stands(self) -> None:
        log, made = begin(BODY), BODY.certificate("a")
        log.add(made.statement)
        signed = BODY.sign(key_standing(FIRST.public, KeyStatus.RETIRED), signer=SECOND)
        change = log.add(signed)
        use = log.filings[NUMBER].record_keys[0]
        assert (use.status, use.used, use.void_from) == (KeyStatus.RETIRED, 1, -1) and change.certificates == {}
        assert (log.filings[NUMBER].event_leaf, log.filings[NUMBER].event_count) == (signed.leaf_hash, 2)
        assert refusal(log, BODY.certificate("b").statement) is Refusal.KEY_NOT_LIVE
        again = key_standing(FIRST.public, KeyStatus.RETIRED)
        assert refusal(log, BODY.sign(again, signer=SECOND)) is Refusal.NOTHING_CHANGES
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=0)))
        assert log.statuses(made) == ["void"], "a retired key may still turn out to be compromised"
        assert refusal(log, AUTHORITY.sign(again)) is Refusal.NOTHING_CHANGES

    def test_an_issuer_says_compromised_from_this_very_statement(self) -> None:
        log, made = begin(BODY), BODY.certificate("a")
        log.add(made.statement)
        log.add(BODY.sign(key_standing(FIRST.public)))  # at 3, signed by that key itself
        use = log.filings[NUMBER].record_keys[0]
        assert (use.status, use.void_from) == (KeyStatus.COMPROMISED, 3) and log.statuses(made) == ["in_force"]
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=2)))
        assert log.statuses(made) == ["void"] and log.filings[NUMBER].record_keys[0].void_from == 2

    def test_a_compromise_only_widens(self) -> None:
        log = begin(BODY)
        log.add(BODY.certificate("a").statement)
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=2)))
        for later in (2, 3):
            again = key_standing(FIRST.public, void_from=later)
            assert refusal(log, AUTHORITY.sign(again)) is Refusal.NOTHING_CHANGES
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=1)))

    def test_what_is_refused(self) -> None:
        log = begin(BODY)
        ahead = key_standing(FIRST.public, void_from=3)
        assert refusal(log, AUTHORITY.sign(ahead)) is Refusal.EFFECTIVE_IN_FUTURE
        log.add(AUTHORITY.sign(key_standing(BODY.request.public, void_from=2)))  # from itself on
        stranger = key_standing(octets("stranger"))
        assert refusal(log, AUTHORITY.sign(stranger)) is Refusal.KEY_UNKNOWN
        assert refusal(log, BODY.sign(stranger)) is Refusal.KEY_UNKNOWN
        unfiled = key_standing(FIRST.public, number="S000151000998")
        assert refusal(log, AUTHORITY.sign(unfiled)) is Refusal.FILING_UNKNOWN
        log.add(AUTHORITY.sign(filing_standing(CANCELLED)))
        retired = key_standing(FIRST.public, KeyStatus.RETIRED)
        assert refusal(log, BODY.sign(retired)) is Refusal.FILING_NOT_ACTIVE
        log.add(AUTHORITY.sign(retired))

    def test_a_request_key_voids_nothing(self) -> None:
        log, made = begin(BODY), BODY.certificate("a")
        log.add(made.statement)
        log.add(AUTHORITY.sign(key_standing(BODY.request.public, void_from=2)))
        use = log.filings[NUMBER].request_keys[0]
        assert (use.status, use.void_from) == (KeyStatus.COMPROMISED, -1), "its state has no place for an index"
        assert log.statuses(made) == ["in_force"]
        earlier = key_standing(BODY.request.public, void_from=0)
        assert refusal(log, AUTHORITY.sign(earlier)) is Refusal.NOTHING_CHANGES

    def test_corrections_are_undone_and_the_certificate_goes_back_to_its_track(self) -> None:
        log = begin(BODY)
        made = BODY.certificate("a", grade=5, person="p", signer=SECOND)
        lower = BODY.certificate("l", grade=3, person="p", signer=SECOND)
        for one in (made, lower):
            log.add(one.statement)
        good = BODY.sign(correct(made, "good"), signer=SECOND)
        log.add(good)  # 4
        log.add(BODY.sign(correct(made, "bad", track=octets("elsewhere", 16))))  # 5
        log.add(AUTHORITY.sign(correct(lower, "ruled")))  # 6
        assert log.state(lower).summary == TrackSummary(Highest(3, "", lower.issue.cert_key, 6))
        signed = AUTHORITY.sign(key_standing(FIRST.public, void_from=5))
        log.add(signed)
        state = log.state(made)
        assert (state.commitment_leaf, state.track_id) == (good.leaf_hash, made.issue.track_id)
        assert (state.event_leaf, state.status) == (signed.leaf_hash, CertificateStatus.IN_FORCE)
        best = TrackSummary(Highest(5, "", made.issue.cert_key, 7))
        assert state.summary == log.state(lower).summary == best
        log.add(AUTHORITY.sign(key_standing(SECOND.public, void_from=4)))
        assert log.state(made).commitment_leaf == made.statement.leaf_hash
        assert log.statuses(made, lower) == ["in_force", "in_force"]

    def test_a_suspension_stays_what_it_was_when_a_correction_is_undone(self) -> None:
        log, made = begin(BODY), BODY.certificate("a", signer=SECOND)
        log.add(made.statement)
        log.add(BODY.sign(correct(made)))
        suspended = BODY.sign(ruling(Kind.SUSPEND, made), signer=SECOND)
        log.add(suspended)
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=0)))
        state = log.state(made)
        assert (state.status, state.event_leaf) == (CertificateStatus.SUSPENDED, suspended.leaf_hash)
        assert (state.commitment_leaf, state.event_count) == (made.statement.leaf_hash, 4)
        log.add(BODY.sign(ruling(Kind.RESTORE, made), signer=SECOND))

    def test_what_it_suspended_and_revoked_stands_until_restored(self) -> None:
        log = begin(BODY)
        made = [BODY.certificate(label, signer=SECOND) for label in "ab"]
        for one in made:
            log.add(one.statement)
        log.add(BODY.sign(ruling(Kind.SUSPEND, made[0])))
        log.add(BODY.sign(ruling(Kind.REVOKE, made[1])))
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=2)))
        assert log.statuses(*made) == ["suspended", "revoked"]
        log.add(BODY.sign(ruling(Kind.RESTORE, made[0]), signer=SECOND))
        log.add(AUTHORITY.sign(ruling(Kind.RESTORE, made[1])))
        assert log.statuses(*made) == ["in_force", "in_force"]


class TestReissuesByACompromisedKey:
    def chain(self, *signers: object) -> tuple[MemoryLog, list[Certificate]]:
        """A certificate of SECOND at 2, and a chain of reissues by these keys from 3 on."""
        log = begin(BODY)
        made = [BODY.certificate("0", signer=SECOND)]
        log.add(made[0].statement)
        for at, signer in enumerate(signers, 1):
            made.append(BODY.reissue(str(at), made[-1], signer=signer))  # type: ignore[arg-type]
            log.add(made[-1].statement)
        return log, made

    def test_the_certificate_that_it_replaced_is_back(self) -> None:
        log, made = self.chain(FIRST)
        signed = AUTHORITY.sign(key_standing(FIRST.public, void_from=3))
        log.add(signed)
        assert log.statuses(*made) == ["in_force", "void"]
        state = log.state(made[0])
        assert (state.successor, state.event_leaf, state.event_count) == (b"", signed.leaf_hash, 3)
        assert state.summary.highest == Highest(4, "", made[0].issue.cert_key, 4)
        log.add(BODY.reissue("again", made[0], signer=SECOND).statement)

    def test_one_statement_that_undoes_a_correction_and_brings_back_is_one_event(self) -> None:
        log = begin(BODY)
        old = BODY.certificate("0", signer=SECOND)
        log.add(old.statement)
        log.add(BODY.sign(correct(old)))  # 3, by FIRST
        log.add(BODY.reissue("1", old).statement)  # 4, by FIRST
        signed = AUTHORITY.sign(key_standing(FIRST.public, void_from=3))
        log.add(signed)
        state = log.state(old)
        assert (state.status, state.commitment_leaf) == (CertificateStatus.IN_FORCE, old.statement.leaf_hash)
        assert (state.event_leaf, state.event_count) == (signed.leaf_hash, 4)

    def test_of_a_chain_the_last_that_holds_is_back(self) -> None:
        log, made = self.chain(SECOND, FIRST, FIRST)
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=0)))
        assert log.statuses(*made) == ["replaced", "in_force", "void", "void"]

    def test_nothing_is_back_while_the_chain_goes_on(self) -> None:
        log, made = self.chain(FIRST, SECOND)
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=0)))
        assert log.statuses(*made) == ["replaced", "void", "in_force"]
        log.add(AUTHORITY.sign(key_standing(SECOND.public, void_from=4)))
        assert log.statuses(*made) == ["in_force", "void", "void"], "now all of its reissues are void"

    @pytest.mark.parametrize("kind", [Kind.SUSPEND, Kind.REVOKE])
    @pytest.mark.parametrize("who", ["issuer", "authority"])
    def test_what_was_decided_about_the_reissue_counts_for_what_comes_back(self, kind: Kind, who: str) -> None:
        log, made = self.chain(FIRST)
        decided = ruling(kind, made[1])
        log.add(BODY.sign(decided, signer=SECOND) if who == "issuer" else AUTHORITY.sign(decided))
        signed = AUTHORITY.sign(key_standing(FIRST.public, void_from=3))
        log.add(signed)
        assert log.statuses(*made) == ["suspended" if kind is Kind.SUSPEND else "revoked", "void"]
        assert log.state(made[0]).summary == TrackSummary()
        restored = ruling(Kind.RESTORE, made[0])
        assert refusal(log, BODY.sign(restored, signer=SECOND)) is Refusal.AUTHORITY_NEEDED
        log.add(AUTHORITY.sign(restored))

    def test_one_that_is_void_itself_does_not_come_back(self) -> None:
        log = begin(BODY)
        old = BODY.certificate("0")
        new = BODY.reissue("1", old)
        for one in (old, new):
            log.add(one.statement)
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=3)))
        assert log.statuses(old, new) == ["in_force", "void"]
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=2)))
        assert log.statuses(old, new) == ["void", "void"]

    def test_both_keys_compromised_void_the_whole_chain(self) -> None:
        log, made = self.chain(FIRST, SECOND)
        log.add(AUTHORITY.sign(key_standing(SECOND.public, void_from=2)))
        assert log.statuses(*made) == ["void", "in_force", "void"]
        log.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=2)))
        assert log.statuses(*made) == ["void", "void", "void"]


def test_which_rows_are_concerned() -> None:
    rows = [
        Signed(3, Kind.ISSUE, b"a", kid(FIRST.public), DAY),
        Signed(4, Kind.ISSUE, b"b", kid(SECOND.public), DAY),
        Signed(5, Kind.CORRECT, b"a", kid(FIRST.public), DAY),
        Signed(6, Kind.CORRECT, b"b", kid(FIRST.public), DAY),
    ]
    assert concerned_by_key(key_standing(FIRST.public, void_from=3), rows) == [b"a", b"b"]
    assert concerned_by_key(key_standing(FIRST.public, KeyStatus.RETIRED), rows) == []


@dataclass
class Known:
    """What a plain model knows of one certificate."""

    made: Certificate
    index: int
    compromised: bool  # issued by the key that turns out to be
    replaces: Known | None = None
    successor: Known | None = None
    corrections: list[tuple[int, bool, bytes]] = field(default_factory=list)  # index, by that key, leaf

    def void(self, first: int) -> bool:
        return self.compromised and self.index >= first

    def commitments(self, first: int) -> bytes:
        leaf = self.made.statement.leaf_hash
        for index, bad, other in self.corrections:
            leaf = leaf if bad and index >= first else other
        return leaf

    def status(self, first: int, now: dict[bytes, CertificateState]) -> str:
        """By the words of docs/states.md, from the certificate's own story."""
        if self.void(first):
            return "void"
        chain, last = [], self.successor
        while last is not None:
            chain.append(last)
            last = last.successor
        newest = chain[-1] if chain else self
        if chain and not all(one.void(first) for one in chain):
            return "replaced"
        return now[newest.made.issue.cert_key].status.name.lower()


def history() -> tuple[MemoryLog, list[Known]]:
    """300 statements by two keys: issues, reissues, corrections, rulings."""
    log, known = begin(BODY), []
    while log.size < 300:
        step, bad = log.size, log.size % 3 != 0
        signer = FIRST if bad else SECOND
        standing = [one for one in known if log.statuses(one.made) == ["in_force"]]
        old = standing[step * 7 % len(standing)] if standing else None
        if old is not None and step % 5 == 1:
            made = Known(BODY.reissue(f"r{step}", old.made, signer=signer), step, bad, replaces=old)
            old.successor = made
            known.append(made)
            log.add(made.made.statement)
        elif old is not None and step % 5 == 2:
            signed = BODY.sign(correct(old.made, f"c{step}"), signer=signer)
            old.corrections.append((step, bad, signed.leaf_hash))
            log.add(signed)
        elif old is not None and step % 25 in (3, 8):
            kind = Kind.SUSPEND if step % 25 == 3 else Kind.REVOKE
            by_thief = [one for one in standing if one.compromised and one.replaces and not one.replaces.compromised]
            log.add(BODY.sign(ruling(kind, (by_thief or [old])[0].made), signer=signer))
        else:
            made = Known(BODY.certificate(f"i{step}", signer=signer), step, bad)
            known.append(made)
            log.add(made.made.statement)
    return log, known


def test_a_compromise_from_every_index_flips_every_verdict_exactly_there() -> None:
    log, known = history()
    before = dict(log.certificates)
    assert {log.state(one.made).status.name for one in known} == {"IN_FORCE", "REPLACED", "SUSPENDED", "REVOKED"}
    flips: dict[bytes, set[str]] = {}
    for first in range(log.size + 1):
        signed = AUTHORITY.sign(key_standing(FIRST.public, void_from=first))
        change: Change = apply(log.view, log.authenticate(signed), Moment(log.size, TIME + DAY_MS))
        after = before | change.certificates
        for one in known:
            cert_key = one.made.issue.cert_key
            now = after[cert_key]
            assert now.status.name.lower() == one.status(first, before), (first, one.index)
            if not one.void(first):
                assert now.commitment_leaf == one.commitments(first), (first, one.index)
            concerned = now.status is not before[cert_key].status
            concerned |= now.commitment_leaf != before[cert_key].commitment_leaf
            assert concerned == (now.event_count > before[cert_key].event_count)
            flips.setdefault(cert_key, set()).add(now.status.name)
        assert change.filings[NUMBER].record_keys[0].void_from == first
    assert any({"VOID", "IN_FORCE"} == seen for seen in flips.values())
    assert any({"REPLACED", "IN_FORCE"} == seen for seen in flips.values())
    assert any({"REPLACED", "REVOKED"} == seen for seen in flips.values())
    assert before == log.certificates

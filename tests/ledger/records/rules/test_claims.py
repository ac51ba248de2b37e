"""Packs and claims in the fold: what everybody replays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.records.authority import FiledKey
from ledger.records.claim_state import ClaimState, claim_map_key, nullifier_map_key
from ledger.records.dates import MS_PER_DAY, date_of
from ledger.records.kinds import ClaimStatus, FilingStatus, IssuerKind, KeyStatus, Kind, Reason
from ledger.records.life import Range
from ledger.records.refusals import Refusal
from ledger.records.rules.claims import MAX_DECIDING_DAYS, MAX_RESERVED_DAYS
from ledger.records.statements import Statement
from tests.support.builders import (
    DAY,
    TIME,
    WINDOW,
    filing_standing,
    key,
    key_standing,
    make_authority,
    make_body,
    octets,
    ruling,
)
from tests.support.claims import PAYER_NUMBER, TERMS, MadeClaim, act, claim, make_pack, make_payer
from tests.support.memory_log import MemoryLog, begin, refusal

AUTHORITY, BODY, PAYER = make_authority(), make_body(), make_payer()
OTHER = make_payer("other", number="Z000051000002")
PACK = make_pack()


def nullifiers(label: str, count: int = TERMS.width) -> tuple[bytes, ...]:
    return tuple(sorted(octets(f"nullifier {label} {at}") for at in range(count)))


def started() -> MemoryLog:
    log = begin(BODY, PAYER, OTHER)
    log.add(AUTHORITY.sign(PACK))
    return log


def made(label: str = "a", payer: Any = PAYER, **changes: Any) -> MadeClaim:
    of = changes.pop("of", nullifiers(label))
    return claim(payer, octets("cert " + label), of, label=label, **changes)


def at(day: int) -> int:
    """Noon of a day that lies so many after DAY."""
    return TIME + day * MS_PER_DAY


def state(log: MemoryLog, one: MadeClaim) -> ClaimState:
    found = log.view.claim(one.leaf)
    assert found is not None
    return found


class TestPack:
    def test_the_authority_publishes_a_version_once(self) -> None:
        log = started()
        assert log.view.pack(PACK.digest) == PACK
        assert refusal(log, AUTHORITY.sign(replace(PACK, first_day=DAY))) is Refusal.VERSION_EXISTS
        assert refusal(log, AUTHORITY.sign(make_pack(b"other bytes"))) is Refusal.VERSION_EXISTS
        log.add(AUTHORITY.sign(make_pack(b"other bytes", version="2")))

    @pytest.mark.parametrize("by_trade", [False, True])
    def test_a_scheme_counts_grades_in_one_way_for_ever(self, by_trade: bool) -> None:
        """Else one grade of one certificate is paid under both: its nullifiers have nothing in common."""
        log = begin(BODY, PAYER)
        for version, terms, code in (
            ("1", replace(TERMS, groups=(), by_trade=by_trade), None),
            ("2", replace(TERMS, groups=(), by_trade=not by_trade), Refusal.SCHEME_COUNTS),
            ("3", replace(TERMS, groups=("A",), by_trade=by_trade, slots=0), None),
            ("4", replace(TERMS, scheme="SC-NEW", by_trade=not by_trade), None),
        ):
            pack = AUTHORITY.sign(make_pack(version.encode(), version=version, terms=terms))
            if code is None:
                log.add(pack)
            else:
                assert refusal(log, pack) is code

    def test_an_employer_publishes_its_own_and_blocks_nobody(self) -> None:
        log = begin(BODY, PAYER)
        own = make_pack(terms=None)
        change = log.add(BODY.sign(own))
        assert change.published == ((Kind.PACK, f"{own.digest.hex()} {BODY.filing.number}"),
                                    (Kind.PACK, f"{BODY.filing.number}/sc-skill/1"))  # fmt: skip
        assert refusal(log, BODY.sign(replace(own, first_day=DAY))) is Refusal.VERSION_EXISTS
        assert log.view.pack(own.digest) is None, "it is not the authority's"
        log.add(AUTHORITY.sign(PACK))

    def test_only_an_active_employer(self) -> None:
        school = make_body("school", number="S000051000001", kind=IssuerKind.SCHOOL)
        log = begin(BODY, PAYER, school)
        for body in (PAYER, school):
            assert refusal(log, body.sign(make_pack(terms=None))) is Refusal.NOT_EMPLOYER
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, day=DAY + 1)), at(1))
        assert refusal(log, BODY.sign(make_pack(terms=None)), at(1)) is Refusal.FILING_NOT_ACTIVE


class TestClaim:
    def test_it_is_reserved_and_its_nullifiers_name_it(self) -> None:
        log, one = started(), made()
        change = log.add(one.statement)
        leaf = one.leaf
        index = log.size - 1
        assert change.claims == {
            leaf: ClaimState(
                ClaimStatus.RESERVED,
                PAYER_NUMBER,
                PACK.digest,
                one.holder.digest(),
                DAY + 30,
                index,
                leaf,
                index,
                leaf,
                DAY,
            )
        }
        assert change.nullifiers == dict.fromkeys(nullifiers("a"), leaf)
        assert not change.certificates and not change.filings
        assert {claim_map_key(leaf), *map(nullifier_map_key, nullifiers("a"))} <= log.leaves().keys()

    def test_one_common_nullifier_is_enough_to_be_refused_and_another_payers_too(self) -> None:
        log = started()
        log.add(made().statement)
        for payer in (PAYER, OTHER):
            for shared in nullifiers("a"):
                of = tuple(sorted((*nullifiers("b")[1:], shared)))
                assert refusal(log, made("b", payer, of=of).statement) is Refusal.ALREADY_CLAIMED
        log.add(made("b", OTHER).statement)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"pack": octets("unknown")}, Refusal.PACK_UNKNOWN),
            ({"of": nullifiers("w", TERMS.width - 1)}, Refusal.CLAIM_WIDTH),
            ({"of": nullifiers("w", TERMS.width + 1)}, Refusal.CLAIM_WIDTH),
            ({"year": date_of(DAY).year + 1}, Refusal.CLAIM_YEAR),
            ({"year": date_of(DAY).year - 2}, Refusal.CLAIM_YEAR),
            ({"last_day": DAY - 1}, Refusal.CLAIM_DAY),
            ({"last_day": DAY + MAX_RESERVED_DAYS + 1}, Refusal.CLAIM_DAY),
        ],
    )
    def test_terms(self, changes: dict[str, Any], code: Refusal) -> None:
        assert refusal(started(), made(**changes).statement) is code

    @pytest.mark.parametrize(
        "changes",
        [{"year": date_of(DAY).year - 1}, {"last_day": DAY}, {"last_day": DAY + MAX_RESERVED_DAYS}],
    )
    def test_terms_at_their_ends(self, changes: dict[str, Any]) -> None:
        started().add(made(**changes).statement)

    def test_a_pack_without_terms_and_one_of_an_employer_are_none(self) -> None:
        log = begin(BODY, PAYER)
        log.add(BODY.sign(make_pack(terms=None)))
        assert refusal(log, made().statement) is Refusal.PACK_UNKNOWN
        log.add(AUTHORITY.sign(make_pack(terms=None)))
        assert refusal(log, made().statement) is Refusal.PACK_UNKNOWN

    def test_a_packs_window(self) -> None:
        log = begin(BODY, PAYER)
        log.add(AUTHORITY.sign(make_pack(first_day=DAY + 1, last_day=DAY + 2)))
        assert refusal(log, made().statement) is Refusal.PACK_WINDOW
        last = 2 + MAX_DECIDING_DAYS
        late = made("late", day=DAY + last + 1)
        assert refusal(log, late.statement, at(last + 1)) is Refusal.PACK_WINDOW
        log.add(made("late", day=DAY + last).statement, at(last))

    def test_who_may(self) -> None:
        log = started()
        assert refusal(log, made(payer=BODY).statement) is Refusal.NOT_PAYER
        stranger = make_payer("stranger", schemes=("OTHER",), number="Z000051000009")
        log.add(AUTHORITY.sign(stranger.filing))
        assert refusal(log, made(payer=stranger).statement) is Refusal.PAYER_SCHEME
        ended = make_payer("ended", number="Z000051000008", last_day=DAY - 1)
        log.add(AUTHORITY.sign(ended.filing))
        assert refusal(log, made(payer=ended).statement) is Refusal.PAYER_WINDOW
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, number=PAYER_NUMBER)))
        assert refusal(log, made().statement) is Refusal.FILING_NOT_ACTIVE

    def test_a_payer_certifies_nothing(self) -> None:
        log = started()
        made_ = BODY.certificate("x")
        log.add(made_.statement)
        own = replace(BODY, filing=replace(PAYER.filing), record=PAYER.record)
        assert refusal(log, own.certificate("y", filing_number=PAYER_NUMBER).statement) is Refusal.SCOPE_ROW
        assert refusal(log, own.post("p", on=made_, filing_number=PAYER_NUMBER, grade=7).statement) is Refusal.GRANT
        assert refusal(log, own.sign(ruling(Kind.REVOKE, made_))) is Refusal.NOT_ISSUER


SETTLED = {
    (ClaimStatus.RESERVED, Kind.PAY): ClaimStatus.PAID,
    (ClaimStatus.RESERVED, Kind.RELEASE): ClaimStatus.RELEASED,
    (ClaimStatus.RESERVED, Kind.CLAW_BACK): Refusal.CLAIM_NOT_PAID,
    (ClaimStatus.PAID, Kind.PAY): Refusal.CLAIM_NOT_RESERVED,
    (ClaimStatus.PAID, Kind.RELEASE): Refusal.CLAIM_NOT_RESERVED,
    (ClaimStatus.PAID, Kind.CLAW_BACK): ClaimStatus.CLAWED_BACK,
    **{
        (over, kind): Refusal.CLAIM_NOT_PAID if kind is Kind.CLAW_BACK else Refusal.CLAIM_NOT_RESERVED
        for over in (ClaimStatus.RELEASED, ClaimStatus.CLAWED_BACK, ClaimStatus.FORFEITED)
        for kind in (Kind.PAY, Kind.RELEASE, Kind.CLAW_BACK)
    },
}
WAYS: dict[ClaimStatus, list[tuple[Kind, Reason]]] = {
    ClaimStatus.RESERVED: [],
    ClaimStatus.PAID: [(Kind.PAY, Reason.OTHER)],
    ClaimStatus.RELEASED: [(Kind.RELEASE, Reason.HOLDER_REQUEST)],
    ClaimStatus.CLAWED_BACK: [(Kind.PAY, Reason.OTHER), (Kind.CLAW_BACK, Reason.DECIDED_IN_ERROR)],
    ClaimStatus.FORFEITED: [(Kind.PAY, Reason.OTHER), (Kind.CLAW_BACK, Reason.FRAUD)],
}


def in_status(status: ClaimStatus) -> tuple[MemoryLog, MadeClaim]:
    log, one = started(), made()
    log.add(one.statement)
    for kind, reason in WAYS[status]:
        log.add(act(kind, PAYER, one, reason=reason))
    assert state(log, one).status is status
    return log, one


class TestActs:
    @pytest.mark.parametrize("status", ClaimStatus)
    @pytest.mark.parametrize("kind", [Kind.PAY, Kind.RELEASE, Kind.CLAW_BACK])
    def test_every_act_in_every_status(self, status: ClaimStatus, kind: Kind) -> None:
        log, one = in_status(status)
        statement = act(kind, PAYER, one, day=DAY - 1, reason=Reason.OTHER)
        expected = SETTLED[status, kind]
        if isinstance(expected, Refusal):
            assert refusal(log, statement) is expected
            return
        before = state(log, one)
        change = log.add(statement)
        assert change.claims == {
            one.leaf: replace(
                before,
                status=expected,
                event_index=log.size - 1,
                event_leaf=statement.leaf_hash,
                event_day=DAY - 1,
            )
        }
        assert not change.nullifiers

    @pytest.mark.parametrize("status", ClaimStatus)
    def test_which_nullifiers_are_free_again(self, status: ClaimStatus) -> None:
        log, _ = in_status(status)
        again = made("again", OTHER, of=nullifiers("a"))
        if status in (ClaimStatus.RELEASED, ClaimStatus.CLAWED_BACK):
            log.add(again.statement)
            assert all(log.view.nullifier(one) == again.leaf for one in nullifiers("a"))
        else:
            assert refusal(log, again.statement) is Refusal.ALREADY_CLAIMED

    def test_a_reservation_ends_by_itself(self) -> None:
        log, one = in_status(ClaimStatus.RESERVED)
        for kind in (Kind.PAY, Kind.RELEASE):
            assert refusal(log, act(kind, PAYER, one), at(31)) is Refusal.CLAIM_EXPIRED
        again = made("again", OTHER, of=nullifiers("a"), day=DAY + 31)
        assert refusal(log, again.statement, at(30)) is Refusal.ALREADY_CLAIMED
        log.add(again.statement, at(31))
        assert refusal(log, act(Kind.PAY, PAYER, one), at(31)) is Refusal.CLAIM_EXPIRED
        log.add(act(Kind.PAY, OTHER, again, day=DAY + 31), at(31))

    def test_paid_on_its_last_day(self) -> None:
        log, one = in_status(ClaimStatus.RESERVED)
        log.add(act(Kind.PAY, PAYER, one), at(30))

    def test_who_may_and_when(self) -> None:
        log, one = in_status(ClaimStatus.RESERVED)
        assert refusal(log, act(Kind.PAY, OTHER, one)) is Refusal.CLAIM_UNKNOWN
        assert refusal(log, act(Kind.PAY, PAYER, octets("none"))) is Refusal.CLAIM_UNKNOWN
        assert refusal(log, act(Kind.PAY, BODY, one)) is Refusal.NOT_PAYER
        assert refusal(log, act(Kind.PAY, PAYER, one, day=DAY + 1)) is Refusal.EFFECTIVE_IN_FUTURE
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, number=PAYER_NUMBER)))
        assert refusal(log, act(Kind.PAY, PAYER, one)) is Refusal.FILING_NOT_ACTIVE
        log.add(act(Kind.RELEASE, PAYER, one))
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.CANCELLED, number=PAYER_NUMBER)))
        assert refusal(log, act(Kind.CLAW_BACK, PAYER, one)) is Refusal.FILING_NOT_ACTIVE


class TestSweeps:
    """Claims stand among what a filing signed, and no sweep takes them for certificates."""

    def test_a_payers_filing_and_key(self) -> None:
        second = key("payer second")
        keys = (*PAYER.filing.record_keys, FiledKey(second.public, WINDOW[0]))
        payer = replace(PAYER, filing=replace(PAYER.filing, record_keys=keys))
        log, one = begin(BODY, payer), made()
        log.add(AUTHORITY.sign(PACK))
        log.add(one.statement)
        standing: list[Statement] = [
            AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED, number=PAYER_NUMBER)),
            AUTHORITY.sign(filing_standing(FilingStatus.ACTIVE, number=PAYER_NUMBER)),
            AUTHORITY.sign(key_standing(PAYER.record.public, KeyStatus.COMPROMISED, void_from=0, number=PAYER_NUMBER)),
        ]
        for statement in standing:
            assert not log.add(statement).certificates
        assert refusal(log, AUTHORITY.sign(ruling(Kind.REVOKE, Range(PAYER_NUMBER, 0, 99)))) is Refusal.NOTHING_CHANGES
        assert refusal(log, act(Kind.PAY, PAYER, one)) is Refusal.KEY_NOT_LIVE
        assert state(log, one).status is ClaimStatus.RESERVED
        log.add(act(Kind.RELEASE, replace(payer, record=second), one))

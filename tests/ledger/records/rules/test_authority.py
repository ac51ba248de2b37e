"""Rotations, filing-change and late permits; genesis, filing and published digests are in test_status.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Unverified
from ledger.records.authority import FiledKey, Published
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason
from ledger.records.permit import LatePermit
from ledger.records.refusals import Refusal
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.state import authority_map_key
from ledger.records.statements import Statement
from ledger.records.status import authenticate_authority
from tests.support.builders import (
    DAY,
    NUMBER,
    ORIGIN,
    SECOND,
    WINDOW,
    filing_standing,
    key,
    key_standing,
    make_authority,
    make_body,
    octets,
    ruling,
    sign_together,
    two_keys,
)
from tests.support.memory_log import MemoryLog, begin, refusal

AUTHORITY = make_authority()
OLD = AUTHORITY.people
BODY = make_body()
JOINS = key("joins")
PUBLISHED = Published(Kind.CATALOGUE, "2022", octets("catalogue"), DAY)
LOG_KEY = LogKey(DAY, octets("ed25519"), octets("ml-dsa", 64) * 20 + bytes(32))


def change(*people: object, threshold: int = 2) -> AuthorityChange:
    return AuthorityChange(tuple(sorted(person.public for person in people)), threshold, DAY)  # type: ignore[attr-defined]


class TestAuthorityChange:
    def test_the_old_threshold_and_everybody_who_joins_sign(self) -> None:
        log = begin()
        body = change(OLD[0], OLD[1], JOINS)
        signed = sign_together(body, [OLD[1], OLD[2], JOINS])
        authority = log.add(signed).authority
        assert authority is not None and authority.in_map
        assert (authority.keys, authority.threshold, authority.origin) == (body.keys, 2, ORIGIN)
        assert (authority.event_index, authority.event_leaf, authority.event_count) == (2, signed.leaf_hash, 2)
        assert log.leaves()[authority_map_key(ORIGIN)] == authority.value()

    @pytest.mark.parametrize(
        "signers",
        [
            [OLD[0], OLD[1]],  # nobody who joins
            [OLD[0], JOINS],  # one of the old ones, and who joins does not count
            [OLD[0], OLD[1], JOINS, key("stranger")],
        ],
    )
    def test_otherwise_it_does_not_hold(self, signers: list[object]) -> None:
        log = begin()
        signed = sign_together(change(OLD[0], OLD[1], JOINS), signers)  # type: ignore[arg-type]
        with pytest.raises(Unverified):
            log.authenticate(signed)

    def test_each_of_several_who_join_signs(self) -> None:
        log, other = begin(), key("other")
        body = change(OLD[0], JOINS, other)
        with pytest.raises(Unverified):
            log.authenticate(sign_together(body, [*OLD, JOINS]))
        log.add(sign_together(body, [OLD[0], OLD[1], JOINS, other]))

    def test_the_old_keys_are_not_enough_any_more(self) -> None:
        log = begin()
        log.add(sign_together(change(OLD[0], JOINS), [OLD[0], OLD[1], JOINS]))
        with pytest.raises(Unverified):
            log.authenticate(AUTHORITY.sign(PUBLISHED))
        stale = authenticate_authority(AUTHORITY.sign(PUBLISHED), AUTHORITY.genesis)
        assert refusal(log, stale) is Refusal.KEY_UNKNOWN
        log.add(sign_together(PUBLISHED, [OLD[0], JOINS]))

    def test_a_higher_threshold_holds_at_once(self) -> None:
        log = begin()
        log.add(sign_together(change(*OLD, threshold=3), [OLD[0], OLD[1]]))
        with pytest.raises(Unverified):
            log.authenticate(AUTHORITY.sign(PUBLISHED))
        log.add(AUTHORITY.sign(PUBLISHED, by=(0, 1, 2)))

    def test_the_same_people_and_threshold_change_nothing(self) -> None:
        log = begin()
        assert refusal(log, AUTHORITY.sign(change(*OLD))) is Refusal.NOTHING_CHANGES
        log.add(AUTHORITY.sign(change(*OLD, threshold=1)))
        assert refusal(log, AUTHORITY.sign(change(*OLD, threshold=1))) is Refusal.NOTHING_CHANGES


class TestLogKey:
    def test_new_keys_of_the_log_are_in_the_authoritys_state(self) -> None:
        log = begin()
        authority = log.add(AUTHORITY.sign(LOG_KEY)).authority
        assert authority is not None
        assert authority.log_keys == (LOG_KEY.ed25519, LOG_KEY.ml_dsa_44) and authority.event_count == 2
        assert (authority.keys, authority.threshold) == (AUTHORITY.genesis.keys, 2)
        assert refusal(log, AUTHORITY.sign(LOG_KEY)) is Refusal.NOTHING_CHANGES
        log.add(AUTHORITY.sign(replace(LOG_KEY, ed25519=octets("next"))))

    def test_a_log_that_is_closed_names_its_successor_and_takes_nothing_in(self) -> None:
        log, made = begin(), BODY.certificate("a")
        log.add(made.statement)
        assert refusal(log, AUTHORITY.sign(LogKey(DAY, successor=ORIGIN))) is Refusal.NOTHING_CHANGES
        authority = log.add(AUTHORITY.sign(LogKey(DAY, successor="log.test.example/2027"))).authority
        assert authority is not None and authority.successor == "log.test.example/2027"
        for statement in (
            BODY.certificate("b").statement,
            BODY.sign(ruling(Kind.REVOKE, made)),
            AUTHORITY.sign(PUBLISHED),
            AUTHORITY.sign(LogKey(DAY, successor="log.test.example/2028")),
        ):
            assert refusal(log, statement) is Refusal.LOG_CLOSED


class TestFilingChange:
    def test_it_carries_the_full_new_terms(self) -> None:
        log = begin()
        made = BODY.certificate("a")
        log.add(made.statement)
        terms = replace(two_keys().filing, name="新名称", cap=5, change=True)
        signed = AUTHORITY.sign(terms)
        log.add(signed)
        state = log.filings[NUMBER]
        assert state.terms == terms and (state.terms_index, state.event_index, state.event_count) == (3, 3, 2)
        assert state.terms_leaf == state.event_leaf == signed.leaf_hash
        assert (state.status, state.status_day) == (FilingStatus.ACTIVE, WINDOW[0])
        assert state.status_leaf == AUTHORITY.sign(BODY.filing).leaf_hash
        assert [(use.public, use.used) for use in state.record_keys] == [(BODY.record.public, 1), (SECOND.public, 0)]

    def test_earlier_certificates_keep_their_filing(self) -> None:
        log = begin()
        made, later = BODY.certificate("a"), BODY.certificate("b")
        log.add(made.statement)
        before = log.state(made)
        signed = AUTHORITY.sign(replace(BODY.filing, cap=5, change=True))
        log.add(signed)
        log.add(later.statement)
        assert log.state(made) == before and before.filing_leaf == AUTHORITY.sign(BODY.filing).leaf_hash
        assert log.state(later).filing_leaf == signed.leaf_hash
        reissued = BODY.reissue("again", made)
        log.add(reissued.statement)
        assert log.state(reissued).filing_leaf == before.filing_leaf

    def test_keys_keep_their_status_and_their_first_void_index(self) -> None:
        log = begin(two_keys())
        log.add(AUTHORITY.sign(key_standing(BODY.record.public, void_from=1)))
        third = key("third")
        keys = (FiledKey(third.public, WINDOW[0]), *two_keys().filing.record_keys)
        log.add(AUTHORITY.sign(replace(two_keys().filing, record_keys=keys, change=True)))
        uses = log.filings[NUMBER].record_keys
        assert [use.public for use in uses] == [third.public, BODY.record.public, SECOND.public]
        assert [(use.status, use.void_from) for use in uses] == [
            (KeyStatus.LIVE, -1),
            (KeyStatus.COMPROMISED, 1),
            (KeyStatus.LIVE, -1),
        ]
        assert refusal(log, BODY.certificate("a").statement) is Refusal.KEY_NOT_LIVE
        log.add(BODY.certificate("a", signer=third).statement)

    def test_no_key_that_was_filed_is_dropped(self) -> None:
        log = begin(two_keys())
        fresh = FiledKey(key("fresh").public, WINDOW[0])
        for dropped in (
            replace(BODY.filing, change=True),
            replace(two_keys().filing, request_keys=(fresh,), change=True),
        ):
            assert refusal(log, AUTHORITY.sign(dropped)) is Refusal.KEYS_DROPPED

    def test_a_change_is_of_a_filing_that_is_not_cancelled(self) -> None:
        log, terms = begin(), replace(BODY.filing, change=True)
        stranger = replace(terms, number="S000151000999")
        assert refusal(log, AUTHORITY.sign(stranger)) is Refusal.FILING_UNKNOWN
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED)))
        log.add(AUTHORITY.sign(terms))
        assert log.filings[NUMBER].status is FilingStatus.SUSPENDED
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.CANCELLED)))
        assert refusal(log, AUTHORITY.sign(replace(terms, cap=9))) is Refusal.FILING_NOT_ACTIVE


class TestLatePermit:
    def test_it_is_found_by_its_leaf_hash(self) -> None:
        log = begin()
        permit = LatePermit(NUMBER, Reason.OTHER, DAY - 300, DAY - 200, octets("root"), 3)
        signed = AUTHORITY.sign(permit)
        change_ = log.add(signed)
        assert change_.published == ((Kind.LATE_PERMIT, signed.leaf_hash.hex()),) and change_.filings == {}
        assert log.view.permit(signed.leaf_hash) == permit
        stranger = replace(permit, number="S000151000999")
        assert refusal(log, AUTHORITY.sign(stranger)) is Refusal.FILING_UNKNOWN


def statements() -> list[Statement]:
    return [
        AUTHORITY.sign(what)
        for what in (
            change(*OLD, threshold=1),
            LOG_KEY,
            replace(BODY.filing, change=True),
            filing_standing(FilingStatus.SUSPENDED),
            LatePermit(NUMBER, Reason.OTHER, DAY, DAY, octets("root"), 3),
            key_standing(BODY.record.public, void_from=1),
            ruling(Kind.REVOKE, octets("certificate")),
        )
    ]


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.kind.name)
def test_all_of_it_is_of_this_log_after_its_genesis_and_by_its_authority(statement: Statement) -> None:
    authentic = authenticate_authority(statement, AUTHORITY.genesis)
    assert refusal(MemoryLog(), authentic) is Refusal.GENESIS_PLACE
    assert refusal(begin(), AUTHORITY.sign(statement.body, origin="other/2026")) is Refusal.ORIGIN  # type: ignore[arg-type]
    strangers = make_authority("strangers")
    joining = OLD if statement.kind is Kind.AUTHORITY_CHANGE else ()  # to them, everybody in it joins
    joined = sign_together(statement.body, [*strangers.people[:2], *joining])  # type: ignore[arg-type]
    with pytest.raises(Unverified):
        begin().authenticate(joined)
    assert refusal(begin(), authenticate_authority(joined, strangers.genesis)) is Refusal.KEY_UNKNOWN

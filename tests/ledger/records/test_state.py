from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as renewed

from ledger.errors import Damaged, Malformed
from ledger.records import canonical
from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.state import (
    Appointment,
    AuthorityState,
    CertificateState,
    FilingState,
    Highest,
    KeyUse,
    TrackSummary,
    authority_map_key,
    bound_certificate_state,
    certificate_map_key,
    certificate_value,
    filing_map_key,
    parse_authority_state,
    parse_certificate_state,
    parse_filing_state,
)
from tests.support.builders import NUMBER, make_body, octets

BYTES32 = st.binary(min_size=32, max_size=32)
EDGES = [edge + by for edge in (0, 24, 256, 65_536, 2**32) for by in (-1, 0, 1) if edge + by >= 0]
INDEX = st.integers(0, 2**40) | st.sampled_from(EDGES)
DAY = st.integers(0, 376_199)
SUMMARIES = st.builds(
    TrackSummary,
    st.none()
    | st.builds(Highest, st.integers(2, 6), st.text("数控车工", max_size=8), BYTES32 | st.binary(max_size=40), INDEX),
    st.lists(st.builds(Appointment, st.sampled_from([7, 8]), BYTES32, INDEX, DAY, DAY), max_size=3).map(tuple),
)
STATES = st.builds(
    lambda issue_index, later, **values: CertificateState(
        issue_index=issue_index, event_index=issue_index + later, **values
    ),
    issue_index=INDEX,
    later=INDEX,
    status=st.sampled_from(CertificateStatus),
    kind=st.sampled_from([Kind.ISSUE, Kind.APPOINT]),
    grade=st.integers(2, 8) | st.integers(-(2**64), 2**64 - 1),  # those a stored row may hold, too
    filing_number=st.just(NUMBER) | st.text(max_size=30).filter(str.isascii),
    record_key=BYTES32,
    filing_leaf=BYTES32,
    issue_leaf=BYTES32,
    issue_time=st.integers(0, 2**50),
    commitment_leaf=BYTES32,
    event_leaf=BYTES32,
    effective_day=DAY | st.integers(-25_567, 0),
    event_count=INDEX,
    previous=BYTES32 | st.just(b""),
    successor=BYTES32 | st.just(b""),
    track_id=st.binary(min_size=16, max_size=16),
    summary=SUMMARIES,
)
STATE = CertificateState(
    status=CertificateStatus.IN_FORCE,
    kind=Kind.ISSUE,
    grade=4,
    filing_number=NUMBER,
    record_key=octets("record key"),
    filing_leaf=octets("filing"),
    issue_index=5,
    issue_leaf=octets("issue"),
    issue_time=1_779_854_400_000,
    commitment_leaf=octets("issue"),
    event_index=5,
    event_leaf=octets("issue"),
    effective_day=20_600,
    event_count=1,
    previous=b"",
    successor=b"",
    track_id=octets("track", 16),
    summary=TrackSummary(Highest(4, "", octets("cert key"), 5)),
)
TERMS = make_body().filing
FILING = FilingState(
    status=FilingStatus.ACTIVE,
    terms=TERMS,
    terms_index=1,
    terms_leaf=octets("filing"),
    event_index=1,
    event_leaf=octets("filing"),
    event_count=1,
    status_day=TERMS.first_day,
    status_leaf=octets("filing"),
    record_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 3) for key in TERMS.record_keys),
    request_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 0) for key in TERMS.request_keys),
)


@settings(max_examples=150)
@given(STATES)
def test_certificate_states_round_trip(state: CertificateState) -> None:
    raw = state.encode()
    assert raw == canonical.encode(state.as_value()) and state.summary.encode() == canonical.encode(
        state.summary.as_value()
    )
    assert parse_certificate_state(raw) == state
    assert parse_certificate_state(raw).encode() == raw
    assert bound_certificate_state(raw, state.value()) == state
    assert state.value() == certificate_value(raw) == sha256(b"certledger/cert-state/v1\n" + raw).digest()


@given(st.sampled_from(FilingStatus), INDEX, INDEX, st.sampled_from(KeyStatus), st.integers(0, 100_000))
def test_filing_states_round_trip(
    status: FilingStatus, terms_index: int, count: int, key_status: KeyStatus, used: int
) -> None:
    state = renewed(
        FILING,
        status=status,
        terms_index=terms_index,
        event_count=count,
        record_keys=tuple(KeyUse(key.public, key_status, used) for key in TERMS.record_keys),
    )
    assert parse_filing_state(state.encode(), TERMS) == state
    assert state.value() == sha256(b"certledger/filing-state/v1\n" + state.encode()).digest()


def test_map_keys_are_hashed_again_so_that_nobody_chooses_neighbours() -> None:
    cert_key = octets("cert key")
    assert certificate_map_key(cert_key) == sha256(b"certledger/map/cert/v1\n" + cert_key).digest()
    assert filing_map_key(NUMBER) == sha256(b"certledger/map/filing/v1\n" + NUMBER.encode()).digest()
    assert certificate_map_key(NUMBER.encode()) != filing_map_key(NUMBER)


def test_the_certificate_array_is_the_one_of_the_design() -> None:
    assert cbor2.loads(STATE.encode()) == [
        1, 1, 12, 4, NUMBER, STATE.record_key, STATE.filing_leaf, 5, STATE.issue_leaf, STATE.issue_time,
        STATE.commitment_leaf, 5, STATE.event_leaf, 20_600, 1, b"", b"", STATE.track_id,
        [[4, "", octets("cert key"), 5], []],
    ]  # fmt: skip


def test_the_filing_array_is_the_one_of_the_design() -> None:
    record, request = TERMS.record_keys[0], TERMS.request_keys[0]
    assert cbor2.loads(FILING.encode()) == [
        1, 1, NUMBER, 1, FILING.terms_leaf, 1, FILING.event_leaf, 1, TERMS.first_day, FILING.status_leaf,
        [TERMS.first_day, TERMS.last_day],
        [[-8, record.public, record.first_day, 0, 1, 3, TERMS.cap, -1]],
        [[-8, request.public, request.first_day, 0, 1]],
    ]  # fmt: skip


def test_pinned_values() -> None:
    """These bytes are on a log somewhere: a change here is a new format."""
    assert STATE.value().hex() == "b7a49b045cf3e0fcf4e7f74ea28f18c48279970d8e36547b0c06930b776303a6"
    assert FILING.value().hex() == "2e3726c08c2a835e47119757e77ae18877b8de278e3701022078269425f80009"


def test_every_field_changes_the_value() -> None:
    other: dict[str, Any] = {
        "status": CertificateStatus.REVOKED,
        "kind": Kind.APPOINT,
        "grade": 5,
        "filing_number": "Y000051000002",
        "record_key": octets("x"),
        "filing_leaf": octets("x"),
        "issue_index": 4,
        "issue_leaf": octets("x"),
        "issue_time": 1,
        "commitment_leaf": octets("x"),
        "event_index": 6,
        "event_leaf": octets("x"),
        "effective_day": 20_601,
        "event_count": 2,
        "previous": octets("x"),
        "successor": octets("x"),
        "track_id": octets("x", 16),
        "summary": TrackSummary(),
    }
    values = {renewed(STATE, **{name: value}).value() for name, value in other.items()}
    assert set(other) == set(CertificateState.__slots__)
    assert len(values | {STATE.value()}) == len(other) + 1


def test_a_new_summary_keeps_the_old_value_reachable() -> None:
    summary = TrackSummary(Highest(5, "", octets("better"), 9))
    changed = STATE.with_summary(summary)
    assert changed.previous == STATE.value() and changed.summary == summary
    assert renewed(changed, summary=STATE.summary, previous=b"") == STATE


def test_every_prefix_is_malformed_and_every_flip_is_another_state_or_malformed() -> None:
    for raw, parse, value in (
        (STATE.encode(), parse_certificate_state, STATE),
        (FILING.encode(), lambda raw: parse_filing_state(raw, TERMS), FILING),
    ):
        for at in range(len(raw)):
            with pytest.raises(Malformed):
                parse(raw[:at])  # type: ignore[operator]
            for bit in (1, 32, 128):
                changed = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
                try:
                    assert parse(changed) != value  # type: ignore[operator]
                except Malformed:
                    continue


PARTS: list[Any] = cbor2.loads(STATE.encode())


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, 0),
        (1, 7),
        (2, 4),
        (2, 0),
        (3, "4"),
        (5, bytes(31)),
        (6, bytes(33)),
        (7, -1),
        (7, 6),  # issued after its last event
        (8, b""),
        (10, b""),
        (12, b""),
        (15, bytes(31)),
        (16, bytes(33)),
        (17, bytes(15)),
        (18, []),
        (18, [[]]),
        (18, [[], [], []]),
        (18, [[4, "", octets("k")], []]),
        (18, [[4, "", "k", 5], []]),
        (18, [[], [7, octets("k"), 5, 1]]),
        (18, [[], [8, octets("k"), 5, 1, 0, 7]]),
        (18, [[], [[8, octets("k"), 5, 1, 0]]]),
        (18, [0, []]),
    ],
)
def test_a_certificate_state_of_another_form_is_malformed(at: int, value: Any) -> None:
    with pytest.raises(Malformed):
        parse_certificate_state(canonical.encode([*PARTS[:at], value, *PARTS[at + 1 :]]))


def test_a_state_of_our_own_is_the_one_of_its_value() -> None:
    raw, value = STATE.encode(), STATE.value()
    for at in range(len(raw)):
        with pytest.raises(Damaged, match="run fsck"):
            bound_certificate_state(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], value)
    with pytest.raises(Damaged, match="run fsck"):
        bound_certificate_state(raw, bytes(32))
    for other in (canonical.encode(PARTS[:18]), b"\xff"):  # nobody wrote these: no crash, should somebody bind them
        with pytest.raises(Malformed):
            bound_certificate_state(other, certificate_value(other))


def test_other_lengths_are_malformed() -> None:
    for other in (PARTS[:18], [*PARTS, 0], {1: 1}, 0):
        with pytest.raises(Malformed):
            parse_certificate_state(canonical.encode(other))


FILING_PARTS: list[Any] = cbor2.loads(FILING.encode())
(ROW,) = FILING_PARTS[11]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, 0),
        (1, 4),
        (2, "Y000051000002"),
        (10, [0, 1]),
        (10, [0]),
        (11, []),
        (11, [ROW, ROW]),
        (11, [[]]),
        (11, [ROW[:5]]),
        (11, [0]),
        (11, [[*ROW[:4], 9, *ROW[5:]]]),
        (11, [[*ROW[:4], [], *ROW[5:]]]),
        (11, [[*ROW[:5], 3, 99, -1]]),
        (11, [[ROW[0], bytes(32), *ROW[2:]]]),
        (12, []),
        (12, [[-8, bytes(32), 0, 0, 1]]),
    ],
)
def test_a_filing_state_of_other_terms_or_form_is_malformed(at: int, value: Any) -> None:
    with pytest.raises(Malformed):
        parse_filing_state(canonical.encode([*FILING_PARTS[:at], value, *FILING_PARTS[at + 1 :]]), TERMS)


def test_a_filing_state_belongs_to_its_terms() -> None:
    for other in (replace(TERMS, cap=5), replace(TERMS, last_day=TERMS.last_day + 1), make_body("other").filing):
        with pytest.raises(Malformed):
            parse_filing_state(FILING.encode(), other)


AUTHORITY = AuthorityState(
    origin="log.test.example/2026",
    keys=tuple(sorted((octets("a"), octets("b")))),
    threshold=2,
    event_index=7,
    event_leaf=octets("change"),
    event_count=3,
    log_keys=(octets("log key"), bytes(1312)),
)
AUTHORITIES = st.builds(
    lambda keys, of, **values: AuthorityState(keys=tuple(sorted(keys)), threshold=1 + of % len(keys), **values),
    keys=st.sets(BYTES32, min_size=1, max_size=16),
    of=st.integers(0, 15),
    origin=st.just("log.test.example/2026"),
    event_index=INDEX,
    event_leaf=BYTES32,
    event_count=st.integers(1, 2**40),
    log_keys=st.just(()) | BYTES32.map(lambda key: (key, key * 41)),
    successor=st.sampled_from(["", "log.test.example/2027"]),
)


@given(AUTHORITIES)
def test_authority_states_round_trip(state: AuthorityState) -> None:
    raw = state.encode()
    assert parse_authority_state(raw) == state
    assert state.value() == sha256(b"certledger/authority-state/v1\n" + raw).digest()
    assert state.in_map == (state.event_count > 1)


def test_the_authority_array_and_its_place_in_the_map() -> None:
    assert cbor2.loads(AUTHORITY.encode()) == [
        1, AUTHORITY.origin, list(AUTHORITY.keys), 2, 7, AUTHORITY.event_leaf, 3, list(AUTHORITY.log_keys), "",
    ]  # fmt: skip
    assert AUTHORITY.value().hex() == "318a7be2258de13a085fc0965a2943941191a14381185b3349581c2300f5473c"
    key = sha256(b"certledger/map/authority/v1\n" + AUTHORITY.origin.encode()).digest()
    assert authority_map_key(AUTHORITY.origin) == key


def test_every_prefix_of_an_authority_state_is_malformed() -> None:
    raw = AUTHORITY.encode()
    for at in range(len(raw)):
        with pytest.raises(Malformed):
            parse_authority_state(raw[:at])


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, ""),
        (1, "a b"),
        (2, []),
        (2, [7, 8]),
        (2, list(AUTHORITY.keys)[::-1]),
        (2, [bytes(31), bytes(32)]),
        (3, 0),
        (3, 3),
        (4, -1),
        (5, bytes(31)),
        (6, 0),
        (7, [octets("log key")]),
        (7, [octets("log key"), bytes(1311)]),
        (7, [bytes(31), bytes(1312)]),
        (7, [1, 2]),
        (8, "a b"),
        (8, 0),
    ],
)
def test_an_authority_state_of_another_form_is_malformed(at: int, value: Any) -> None:
    parts = cbor2.loads(AUTHORITY.encode())
    with pytest.raises(Malformed):
        parse_authority_state(canonical.encode([*parts[:at], value, *parts[at + 1 :]]))
    for other in (parts[:8], [*parts, 0], {1: 1}):
        with pytest.raises(Malformed):
            parse_authority_state(canonical.encode(other))


def test_a_compromised_key_voids_from_its_index() -> None:
    use = KeyUse(octets("key"), KeyStatus.COMPROMISED, 3, 5)
    assert [use.voids(index) for index in (4, 5, 6)] == [False, True, True]
    assert not renewed(use, void_from=-1).voids(0)
    state = renewed(FILING, record_keys=(renewed(FILING.record_keys[0], status=KeyStatus.COMPROMISED, void_from=5),))
    assert parse_filing_state(state.encode(), TERMS) == state
    assert cbor2.loads(state.encode())[11][0][7] == 5

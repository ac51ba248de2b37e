from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.dates import LAST_DAY
from ledger.records.issue import Issue, parse_issue, read_issue
from ledger.records.kinds import Audience, Kind, Route
from ledger.records.permit import PermitProof
from ledger.records.secret import parse_subject
from ledger.records.statements import issue_entry
from tests.support.builders import NUMBER, make_body, octets
from tests.support.parsing import check_prefixes, check_strict

ISSUE = make_body().certificate("a").issue
BYTES32 = st.binary(min_size=32, max_size=32)
ISSUES = st.builds(
    lambda grade, **values: Issue(grade=grade, level=7 - grade, filing_number=NUMBER, **values),
    grade=st.integers(2, 6),
    cert_key=BYTES32,
    occupation=st.from_regex(r"[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    trade=st.text("数控车工", max_size=64),
    issue_day=st.integers(0, LAST_DAY),
    assessment_day=st.integers(0, LAST_DAY),
    route=st.sampled_from(Route),
    standard=st.text("6-()018年", min_size=1, max_size=64),
    audience=st.sampled_from(Audience),
    track_id=st.binary(min_size=16, max_size=16),
    face=BYTES32,
    rest=BYTES32,
    person_unlinked=st.booleans(),
)


@settings(max_examples=200)
@given(ISSUES)
def test_payload_and_parse_are_inverses(issue: Issue) -> None:
    payload = issue.payload()
    decoded = canonical.decode(payload)
    assert parse_issue(NUMBER, issue.cert_key, decoded) == issue
    assert decoded == issue.as_map() and decoded[1] == Kind.ISSUE
    assert (3 in decoded) == bool(issue.trade) and (14 in decoded) == issue.person_unlinked


def test_every_public_field_is_in_the_payload() -> None:
    """Two issues that differ in one field never have the same payload (cert key and filing are in the header)."""
    others: dict[str, Any] = {
        "occupation": "6-18-01-02",
        "trade": "数控车工",
        "issue_day": ISSUE.issue_day + 1,
        "assessment_day": ISSUE.assessment_day + 1,
        "route": Route.DIRECT,
        "standard": "other",
        "audience": Audience.PUBLIC,
        "track_id": octets("x", 16),
        "face": octets("x"),
        "rest": octets("x"),
        "person_unlinked": True,
        "replaces": octets("x"),
        "permit": PermitProof(octets("permit"), 0, ()),
    }
    payloads = {replace(ISSUE, **{name: value}).payload() for name, value in others.items()}
    payloads |= {ISSUE.payload(), replace(ISSUE, grade=5, level=2).payload()}
    assert len(payloads) == len(others) + 2
    assert {field.name for field in fields(Issue)} == {*others, "grade", "level", "cert_key", "filing_number"}


def _slowly(subject: str, payload: bytes) -> Issue | None:
    """As it is read without remembering anything; None when it is malformed."""
    try:
        return parse_issue(NUMBER, parse_subject(subject), canonical.decode(payload))
    except Malformed:
        return None


@settings(max_examples=100)
@given(ISSUES, ISSUES)
def test_a_remembered_beginning_reads_as_the_whole(one: Issue, other: Issue) -> None:
    """Also with the end of another certificate, which was not there when the beginning was read."""
    mixed = replace(one, track_id=other.track_id, face=other.face, rest=other.rest, cert_key=other.cert_key)
    for issue in (one, other, mixed):
        read = read_issue(NUMBER, issue.subject, issue.payload())
        assert (read is None) == issue.person_unlinked, "what stands behind the three strings is read whole"
        assert read in (None, issue) and _slowly(issue.subject, issue.payload()) == issue
        assert read is None or [type(getattr(read, f.name)) for f in fields(Issue)] == [
            type(getattr(issue, f.name)) for f in fields(Issue)
        ]


def test_no_changed_byte_is_read_otherwise_than_whole() -> None:
    payload = ISSUE.payload()
    assert read_issue(NUMBER, ISSUE.subject, payload) == ISSUE
    for at in range(len(payload)):
        for changed in (
            payload[:at] + bytes([payload[at] ^ 1 << at % 8]) + payload[at + 1 :],
            payload[:at],
            payload[at:],
        ):
            read = read_issue(NUMBER, ISSUE.subject, changed)
            assert read is None or read == _slowly(ISSUE.subject, changed)
    with pytest.raises(Malformed):
        read_issue(NUMBER, ISSUE.subject[:-1] + "=", payload)


@pytest.mark.parametrize(
    "swallow", [b"\x58\x58", b"\x78\x58", b"\x50", b"\x42", b"\x19", b"\x82", b"\xa1", b"\x0d\x58\x20"]
)
def test_a_beginning_that_takes_in_part_of_the_end_is_none(swallow: bytes) -> None:
    payload = ISSUE.payload()
    head, tail = payload[:-88], payload[-88:]
    for at in range(len(head)):
        changed = head[:at] + swallow + tail
        read = read_issue(NUMBER, ISSUE.subject, changed)
        assert read is None or read == _slowly(ISSUE.subject, changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"grade": 1, "level": 6},
        {"grade": 7, "level": 0},
        {"grade": 8, "level": -1},
        {"grade": 4, "level": 4},
        {"level": 2},
        {"occupation": ""},
        {"occupation": "6-18-01"},
        {"occupation": "9-18-01-01"},
        {"occupation": "0-18-01-01"},
        {"occupation": "6-18-01-01\n"},
        {"occupation": "6-18-01-0１"},
        {"occupation": "6-18-01-011"},
        {"trade": "x" * 65},
        {"standard": ""},
        {"standard": "x" * 65},
        {"issue_day": -1},
        {"issue_day": LAST_DAY + 1},
        {"assessment_day": -1},
        {"assessment_day": LAST_DAY + 1},
        {"cert_key": bytes(31)},
        {"face": bytes(33)},
        {"rest": b""},
        {"track_id": bytes(15)},
    ],
)
def test_a_half_valid_issue_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(ISSUE, **changes)


@pytest.mark.parametrize("key", range(1, 14))
def test_a_missing_field_is_malformed(key: int) -> None:
    fields_ = {**ISSUE.as_map(), 3: "工种"}
    del fields_[key]
    if key == 3:
        assert parse_issue(NUMBER, ISSUE.cert_key, fields_) == ISSUE
    else:
        with pytest.raises(Malformed):
            parse_issue(NUMBER, ISSUE.cert_key, fields_)


@pytest.mark.parametrize("key", range(1, 15))
@pytest.mark.parametrize("value", [0, -1, "", "text", b"", b"bytes", [], [1], {}, {1: 1}, 2**63])
def test_a_field_of_another_type_is_malformed(key: int, value: Any) -> None:
    changed = {**ISSUE.as_map(), 3: "工种", 14: 1, key: value}
    if (key, value) in ((3, "text"), (9, "text"), (6, 0), (7, 0)):
        assert parse_issue(NUMBER, ISSUE.cert_key, changed).as_map() == changed
    else:
        with pytest.raises(Malformed):
            parse_issue(NUMBER, ISSUE.cert_key, changed)


@pytest.mark.parametrize("extra", [{0: 0}, {15: 0}, {16: "x"}, {65535: []}, {14: 2}, {14: 0}, {3: ""}])
def test_unknown_keys_and_spelled_out_defaults_are_malformed(extra: dict[int, Any]) -> None:
    with pytest.raises(Malformed):
        parse_issue(NUMBER, ISSUE.cert_key, {**ISSUE.as_map(), **extra})


@pytest.mark.parametrize(("key", "known"), [(8, len(Route)), (10, len(Audience))])
def test_coded_lists_end_where_they_end(key: int, known: int) -> None:
    for value in range(-1, known + 3):
        changed = {**ISSUE.as_map(), key: value}
        if 1 <= value <= known:
            parse_issue(NUMBER, ISSUE.cert_key, changed)
        else:
            with pytest.raises(Malformed):
                parse_issue(NUMBER, ISSUE.cert_key, changed)


REISSUE = replace(ISSUE, replaces=octets("old"))
PERMITTED = replace(ISSUE, permit=PermitProof(octets("permit"), 5, (octets("a"), octets("b"))))


@given(ISSUES, BYTES32, st.integers(0, 2**20 - 1), st.lists(BYTES32, max_size=20))
def test_reissues_and_permitted_issues_round_trip(issue: Issue, key: bytes, position: int, path: list[bytes]) -> None:
    assume(key != issue.cert_key)
    for changed, at in (
        (replace(issue, replaces=key), 15),
        (replace(issue, permit=PermitProof(key, position, tuple(path))), 16),
    ):
        decoded = canonical.decode(changed.payload())
        assert parse_issue(NUMBER, changed.cert_key, decoded) == changed
        assert at in decoded and decoded[1] == changed.kind
        assert changed.kind == (Kind.REISSUE if at == 15 else Kind.ISSUE)


@pytest.mark.parametrize("issue", [ISSUE, REISSUE, PERMITTED], ids=["issue", "reissue", "permitted"])
def test_it_is_read_strictly(issue: Issue) -> None:
    fields_ = replace(issue, trade="工种", person_unlinked=True).as_map()
    check_strict(lambda read: parse_issue(NUMBER, issue.cert_key, read), fields_, {3, 14, 16})
    check_prefixes(issue_entry(issue, make_body().record))


@pytest.mark.parametrize("named", [b"", bytes(31), bytes(33)])
def test_an_issue_names_nothing_not_even_in_part(named: bytes) -> None:
    """Key 15 is a cert key or absent (docs/formats.cddl): a second spelling of the same certificate is none."""
    for issue in (ISSUE, REISSUE):
        with pytest.raises(Malformed):
            parse_issue(NUMBER, issue.cert_key, {**issue.as_map(), 15: named})


def test_a_reissue_and_nothing_else_names_what_it_replaces() -> None:
    for fields_ in (
        {**ISSUE.as_map(), 1: int(Kind.REISSUE)},
        {**ISSUE.as_map(), 15: octets("old")},
        {**REISSUE.as_map(), 1: int(Kind.ISSUE)},
        {**REISSUE.as_map(), 15: bytes(31)},
        {**REISSUE.as_map(), 15: b""},
        {**REISSUE.as_map(), 15: ISSUE.cert_key},  # itself
        {**REISSUE.as_map(), 16: [bytes(32), 0, []]},  # judged when the first was issued
    ):
        with pytest.raises(Malformed):
            parse_issue(NUMBER, ISSUE.cert_key, fields_)

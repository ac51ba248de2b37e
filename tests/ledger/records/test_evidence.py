from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.evidence import LABEL, MAX_EVIDENCE, Evidence, Indexed, Placed, format_evidence, parse_evidence
from tests.support.builders import octets
from tests.support.make_vectors import VECTORS

VECTOR = json.loads((VECTORS / "evidence.json").read_text(encoding="utf-8"))
RAWS = [bytes.fromhex(case["evidence"]) for case in (*VECTOR["holds"], *VECTOR["fails"])]
FULL = parse_evidence(RAWS[0])

ENTRY = st.binary(min_size=1, max_size=300)
PATH = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)
PLACED = st.builds(Placed, st.binary(min_size=1, max_size=250), PATH)
OPTIONAL = st.binary(max_size=300)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    parts: list[Any] = [octets("k"), draw(ENTRY), draw(PLACED), draw(st.none() | PLACED), draw(OPTIONAL)]
    if draw(st.booleans()):
        return Evidence(*parts, b"")
    highest = st.none() | st.builds(Indexed, ENTRY, st.integers(0, 2**63 - 1), PATH)
    rest = [draw(ENTRY), draw(PLACED), draw(OPTIONAL), draw(OPTIONAL), draw(OPTIONAL), draw(highest)]
    return Evidence(*parts, *rest)


@settings(max_examples=100)
@given(evidences())
def test_format_and_parse_are_inverses(evidence: Evidence) -> None:
    raw = format_evidence(evidence)
    assert parse_evidence(raw) == evidence
    assert format_evidence(parse_evidence(raw)) == raw


@pytest.mark.parametrize("raw", RAWS)
def test_the_vectors_are_in_the_one_spelling(raw: bytes) -> None:
    assert format_evidence(parse_evidence(raw)) == raw


def test_the_array_is_the_documented_one() -> None:
    parts = cbor2.loads(RAWS[0])
    assert len(parts) == 13 and parts[0] == LABEL == "certledger/evidence/v1"
    assert parts[1:5] == [FULL.cert_key, FULL.checkpoint, FULL.seal.entry, list(FULL.seal.inclusion)]
    assert parts[5:8] == [[], FULL.map_proof, FULL.state]
    assert FULL.issued is not None and FULL.highest is not None
    assert parts[8:12] == [[FULL.issued.entry, list(FULL.issued.inclusion)], [], [], FULL.terms]
    assert parts[12] == [FULL.highest.entry, FULL.highest.index, list(FULL.highest.inclusion)]


def test_every_prefix_and_a_byte_behind_is_malformed() -> None:
    for raw in (RAWS[0], RAWS[2]):
        for end in range(len(raw)):
            with pytest.raises(Malformed):
                parse_evidence(raw[:end])
        with pytest.raises(Malformed):
            parse_evidence(raw + b"\0")


def test_a_part_of_another_type_is_malformed() -> None:
    parts = cbor2.loads(RAWS[0])
    for at in range(len(parts)):
        for other in (1, "x", [1], [b"x", [b"short"]], [b"x", 1, [b"short"]], {}):
            with pytest.raises(Malformed):
                parse_evidence(cbor2.dumps([*parts[:at], other, *parts[at + 1 :]]))


@pytest.mark.parametrize(
    "change",
    [
        {"cert_key": bytes(31)},
        {"checkpoint": b""},
        {"checkpoint": bytes(64 * 1024 + 1)},
        {"map_proof": bytes(64 + 33 * 256 + 1)},
        {"state": b""},
        {"state": bytes(2049)},
        {"issued": None},
        {"commitments": bytes(8193)},
        {"event": bytes(8193)},
        {"terms": bytes(8193)},
        {"seal": Placed(bytes(257), ())},
        {"next": Placed(bytes(257), ())},
    ],
)
def test_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(FULL, **change)


def test_bounds_of_entries_and_proofs() -> None:
    for entry, path in ((b"", ()), (bytes(8193), ()), (b"x", (bytes(32),) * 64), (b"x", (bytes(31),))):
        with pytest.raises(Malformed):
            Placed(entry, path)
    for index in (-1, 2**63):
        with pytest.raises(Malformed):
            Indexed(b"x", index, ())


def test_an_absent_certificate_has_nothing_to_show() -> None:
    absent = parse_evidence(RAWS[2])
    for change in ("commitments", "event", "terms"):
        with pytest.raises(Malformed):
            replace(absent, **{change: b"x"})
    with pytest.raises(Malformed):
        replace(absent, highest=FULL.highest)
    with pytest.raises(Malformed):
        replace(absent, issued=FULL.issued)


def test_the_largest_parts_fit_below_the_ceiling() -> None:
    """Every part at its own limit is still an answer: nothing that the log can hold is too large to prove."""
    path = (bytes(32),) * 63
    largest = Evidence(
        bytes(32), bytes(64 * 1024), Placed(bytes(256), path), Placed(bytes(256), path), bytes(64 + 33 * 256),
        bytes(2048), Placed(bytes(8192), path), bytes(8192), bytes(8192), bytes(8192),
        Indexed(bytes(8192), 2**63 - 1, path),
    )  # fmt: skip
    assert len(format_evidence(largest)) <= MAX_EVIDENCE
    assert len(fields(Evidence)) == 11
    with pytest.raises(Malformed):
        parse_evidence(bytes(MAX_EVIDENCE + 1))

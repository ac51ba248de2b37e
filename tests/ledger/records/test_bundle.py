from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.bundle import LABEL, MAX_BUNDLE, Bundle, format_bundle, parse_bundle
from ledger.records.commitments import Field, FieldOpening
from ledger.records.envelope import holder_tag
from ledger.records.log_proof import LogProof
from ledger.records.seal import Seal
from ledger.records.statements import parse_statement
from tests.support.builders import TIME, make_body, octets

SEAL = Seal(6, TIME, octets("root"), 2, octets("chain"), -1).encode()
PROOF = LogProof(3, (octets("i0"), octets("i1")), b"checkpoint\n", SEAL, (octets("s0"),))
CERTIFICATE = make_body().certificate("a")
BUNDLE = CERTIFICATE.bundle(PROOF)
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)


@settings(max_examples=60)
@given(st.integers(0, 2**40), HASHES, HASHES, st.binary(max_size=2000))
def test_format_and_parse_are_inverses(index: int, inclusion: Any, seal_inclusion: Any, checkpoint: bytes) -> None:
    bundle = replace(BUNDLE, proof=LogProof(index, inclusion, checkpoint, SEAL, seal_inclusion))
    raw = format_bundle(bundle)
    assert parse_bundle(raw) == bundle
    assert format_bundle(parse_bundle(raw)) == raw


def test_the_array_is_the_documented_one() -> None:
    parts = cbor2.loads(format_bundle(BUNDLE))
    assert len(parts) == 13 and parts[0] == LABEL == "certledger/bundle/v1"
    assert parts[1:5] == [BUNDLE.secret, BUNDLE.holder_code, BUNDLE.holder_tag, BUNDLE.entry]
    assert parts[5] == [BUNDLE.face.salt, BUNDLE.face.number, BUNDLE.face.name]
    assert parts[8:] == [3, list(PROOF.inclusion), PROOF.checkpoint, SEAL, list(PROOF.seal_inclusion)]


def test_a_bundle_holds_every_opening_the_id_document_too() -> None:
    bundle = parse_bundle(format_bundle(BUNDLE))
    assert [opening.field for opening in bundle.openings] == [Field.ID_DOCUMENT, Field.EMPLOYER]
    assert parse_statement(bundle.entry) == CERTIFICATE.statement
    assert bundle.holder_tag == holder_tag(bundle.holder_code, CERTIFICATE.statement.leaf_hash)


def test_every_prefix_is_malformed() -> None:
    raw = format_bundle(BUNDLE)
    for end in range(len(raw)):
        with pytest.raises(Malformed):
            parse_bundle(raw[:end])
    with pytest.raises(Malformed):
        parse_bundle(raw + b"\0")


def test_every_byte_flipped_is_malformed_or_another_bundle() -> None:
    raw = format_bundle(BUNDLE)
    for at in range(len(raw)):
        for bit in (1, 32, 128):
            changed = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
            try:
                assert parse_bundle(changed) != BUNDLE
            except Malformed:
                continue


PARTS = cbor2.loads(format_bundle(BUNDLE))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "certledger/bundle/v2"),
        (1, bytes(15)),
        (1, "secret"),
        (2, bytes(17)),
        (3, bytes(31)),
        (4, "statement"),
        (5, [bytes(16), "n"]),
        (5, []),
        (6, [bytes(32)] * 7),
        (6, [bytes(32)] * 9),
        (6, [bytes(31)] * 8),
        (6, ["d"] * 8),
        (7, [[4, bytes(16), "x"], [1, bytes(16), "x"]]),
        (7, [[4, bytes(16), "x"], [4, bytes(16), "x"]]),
        (7, [[0, bytes(16), "x"]]),
        (7, {}),
        (8, -1),
        (8, "3"),
        (9, [bytes(32)] * 64),
        (9, [bytes(31)]),
        (10, bytes(16 * 1024 + 1)),
        (10, "checkpoint"),
        (11, bytes(257)),
        (12, [bytes(32)] * 64),
        (12, 0),
    ],
)
def test_parts_out_of_range_are_malformed(at: int, value: Any) -> None:
    with pytest.raises(Malformed):
        parse_bundle(canonical.encode([*PARTS[:at], value, *PARTS[at + 1 :]]))


def test_other_lengths_and_types_are_malformed() -> None:
    for other in (PARTS[:12], [*PARTS, 0], {1: 1}, [], 0, PARTS[1:]):
        with pytest.raises(Malformed):
            parse_bundle(canonical.encode(other))


def test_the_size_is_bounded_both_ways() -> None:
    huge = FieldOpening(Field.RESERVED_8, bytes(16), bytes(MAX_BUNDLE))
    with pytest.raises(Malformed):
        format_bundle(replace(BUNDLE, openings=(*BUNDLE.openings, huge)))
    for raw in (bytes(MAX_BUNDLE + 1), b"\x8d" * 10**7):
        with pytest.raises(Malformed):
            parse_bundle(raw)


@pytest.mark.parametrize(
    "changes",
    [{"secret": b""}, {"holder_code": b""}, {"holder_tag": b""}, {"digests": ()}, {"openings": BUNDLE.openings * 2}],
)
def test_a_half_valid_bundle_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(BUNDLE, **changes)


def test_parsing_verifies_nothing() -> None:
    """A bundle of swapped parts is still well-formed: `verifier` decides, never the parser."""
    other = make_body().certificate("b")
    mixed: Bundle = replace(BUNDLE, entry=other.statement.entry)
    assert parse_bundle(format_bundle(mixed)) == mixed

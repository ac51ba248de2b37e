from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest

from ledger.errors import Malformed
from ledger.records.bundle import FIRST_BYTE, LABEL, MAX_BUNDLE, Bundle, check_of, format_bundle, parse_bundle
from ledger.records.commitments import Field, FieldOpening
from ledger.records.envelope import holder_tag
from ledger.records.evidence import format_evidence
from ledger.records.statements import parse_statement
from tests.support.builders import octets
from tests.support.make_vectors import body, evidence_log

LOG = evidence_log()
CERTIFICATE = body().certificate("p3", grade=3, person="p")
EVIDENCE = LOG.evidence(CERTIFICATE.issue.cert_key)
BUNDLE = CERTIFICATE.bundle(EVIDENCE)
RAW = format_bundle(BUNDLE)


def test_format_and_parse_are_inverses() -> None:
    for covered in LOG.seals:
        bundle = replace(BUNDLE, evidence=LOG.evidence(CERTIFICATE.issue.cert_key, covered=covered))
        raw = format_bundle(bundle)
        assert parse_bundle(raw) == bundle and format_bundle(parse_bundle(raw)) == raw


def test_the_array_is_the_documented_one() -> None:
    parts = cbor2.loads(RAW)
    assert RAW[:1] == FIRST_BYTE and len(parts) == 9 and parts[0] == LABEL == "certledger/bundle/v2"
    assert parts[1:4] == [BUNDLE.secret, BUNDLE.holder_code, BUNDLE.holder_tag]
    assert parts[4] == [BUNDLE.face.salt, BUNDLE.face.number, BUNDLE.face.name]
    assert parts[7:] == [format_evidence(EVIDENCE), check_of(LABEL, parts[:8])]


def test_a_bundle_holds_every_opening_the_id_document_too() -> None:
    bundle = parse_bundle(RAW)
    assert [opening.field for opening in bundle.openings] == [Field.ID_DOCUMENT, Field.EMPLOYER]
    assert parse_statement(bundle.entry) == CERTIFICATE.statement
    assert bundle.holder_tag == holder_tag(bundle.holder_code, CERTIFICATE.statement.leaf_hash)


def test_every_bit_flipped_is_malformed() -> None:
    """Also in a signature line that nobody knows: the check covers everything."""
    for at in range(len(RAW)):
        for bit in (0, 7):
            with pytest.raises(Malformed):
                parse_bundle(RAW[:at] + bytes([RAW[at] ^ 1 << bit]) + RAW[at + 1 :])


def test_every_prefix_is_malformed() -> None:
    for end in range(len(RAW)):
        with pytest.raises(Malformed):
            parse_bundle(RAW[:end])
    for raw in (RAW + b"\0", bytes(MAX_BUNDLE + 1)):
        with pytest.raises(Malformed):
            parse_bundle(raw)


def test_the_earlier_version_is_not_read() -> None:
    parts = cbor2.loads(RAW)
    parts[0] = "certledger/bundle/v1"
    with pytest.raises(Malformed):
        parse_bundle(cbor2.dumps([*parts[:8], check_of(parts[0], parts[:8])]))


@pytest.mark.parametrize(
    "change",
    [
        {"secret": bytes(15)},
        {"holder_code": bytes(17)},
        {"holder_tag": bytes(31)},
        {"digests": BUNDLE.digests[:7]},
        {"openings": BUNDLE.openings[::-1]},
        {"openings": BUNDLE.openings[:1] * 2},
        {"evidence": LOG.evidence(octets("nobody"))},
    ],
)
def test_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(BUNDLE, **change)


def test_too_large_a_bundle_is_not_written() -> None:
    opening = FieldOpening(Field.SCORES, bytes(16), "x" * MAX_BUNDLE)
    with pytest.raises(Malformed):
        format_bundle(replace(BUNDLE, openings=(opening,)))
    assert isinstance(BUNDLE, Bundle)

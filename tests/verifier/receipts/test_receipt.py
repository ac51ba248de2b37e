"""The form of a receipt: one spelling of what is signed, any printing of the JSON around it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.commitments import FaceOpening
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, octets
from verifier.receipts.receipt import (
    MAX_RECEIPT,
    Receipt,
    format_receipt,
    is_receipt,
    parse_receipt,
    sign_receipt,
    without_photo,
)

SIGNER = Ed25519Signer(octets("receipts"))


def receipt(**changes: Any) -> Receipt:
    face = FaceOpening(octets("salt", 16), "Y000051000001263000001", "例小明")
    verdict = {"code": "valid", "certificate": {"photo": None, "name": "例小明"}, "detail": {}}
    plain = Receipt(BASE, f"{BASE}/c/X", b"", 1_780_000_000_000, verdict, face, b"evidence", SIGNER.public)
    return sign_receipt(replace(plain, **changes), SIGNER)


@pytest.mark.parametrize(
    "changes", [{}, {"face": None}, {"file_digest": bytes(32), "asked": ""}, {"evidence": b""}, {"asked": "é e\u0301"}]
)
def test_round_trip_and_printed_anew(changes: dict[str, Any]) -> None:
    made = receipt(**changes)
    raw = format_receipt(made)
    assert is_receipt(raw)
    for again in (raw, json.dumps(json.loads(raw)).encode(), json.dumps(json.loads(raw), sort_keys=True).encode()):
        read = parse_receipt(again)
        assert read == made
        read.verify_signature()


def test_every_readable_value_counts() -> None:
    body = json.loads(format_receipt(receipt()))
    for path, value in (
        (("verifier",), "https://other.example"),
        (("asked", "text"), "other"),
        (("asked", "file_sha256"), "00" * 32),
        (("verdict", "code"), "revoked"),
        (("verdict", "certificate", "name"), "例小红"),
        (("verdict", "more"), 1),
        (("format",), "certledger/verification-receipt/v1 "),
    ):
        changed = json.loads(json.dumps(body))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        if path == ("format",):
            continue  # the signed label decides
        with pytest.raises(Malformed):
            parse_receipt(json.dumps(changed).encode())


def test_a_member_that_is_there_twice_is_refused() -> None:
    """Whoever reads the file would see the first one, and `check` count the last."""
    raw = format_receipt(receipt()).decode()
    assert parse_receipt(raw.encode()).code == "valid"
    for member, lie in (('"verdict": {', '"verdict": {"code": "valid"}, '), ('"name":', '"name": "例小红", ')):
        assert raw.count(member) == 1
        with pytest.raises(Malformed, match="twice"):
            parse_receipt(raw.replace(member, lie + member).encode())


def test_every_flipped_bit_of_statement_and_signature_is_found() -> None:
    body = json.loads(format_receipt(receipt()))
    for name in ("statement", "signature"):
        raw = base64.b64decode(body[name])
        for at in range(len(raw)):
            flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
            changed = body | {name: base64.b64encode(flipped).decode()}
            with pytest.raises((Malformed, Unverified)):
                parse_receipt(json.dumps(changed).encode()).verify_signature()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"null",
        b"{" * 50_000,
        b'{"a":' * 50_000,
        b"1" * (MAX_RECEIPT + 1),
        b'{"format":"certledger/verification-receipt/v1"}',
    ],
)
def test_rubbish(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_receipt(raw)


@pytest.mark.parametrize("value", [None, 1, [], "", "***", "AA==", "\ud800"])
@pytest.mark.parametrize("name", ["verdict", "statement", "signature", "asked", "verifier"])
def test_fields_of_another_form(name: str, value: Any) -> None:
    body = json.loads(format_receipt(receipt())) | {name: value}
    with pytest.raises(Malformed):
        parse_receipt(json.dumps(body).encode())
    body = json.loads(format_receipt(receipt()))
    body["verdict"]["code"] = value
    with pytest.raises(Malformed):
        parse_receipt(json.dumps(body).encode())


def test_the_photo_stays_out() -> None:
    assert without_photo({"certificate": {"photo": "x", "name": "y"}}) == {"certificate": {"photo": None, "name": "y"}}
    assert without_photo({"certificate": None}) == {"certificate": None}

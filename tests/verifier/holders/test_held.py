"""A held certificate: one form, and openings that lead to what was signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.commitments import Field
from tests.support.builders import make_body, octets
from verifier.holders.held import Held, format_held, parse_held

CERTIFICATE = make_body().certificate("held")
HELD = Held(
    CERTIFICATE.secret,
    CERTIFICATE.holder_code,
    CERTIFICATE.face,
    CERTIFICATE.digests,
    CERTIFICATE.openings,
    CERTIFICATE.statement.leaf_hash,
)


def test_it_comes_back_as_it_went_in() -> None:
    raw = format_held(HELD)
    assert parse_held(raw) == HELD and HELD.cert_key == CERTIFICATE.issue.cert_key
    for at in range(0, len(raw), 7):
        try:
            assert parse_held(raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]) != HELD
        except Malformed:
            continue
    with pytest.raises(Malformed):
        parse_held(raw + b"\0")


def test_openings_are_found_by_field_and_lead_to_what_was_signed() -> None:
    issue = CERTIFICATE.issue
    HELD.check(issue.face, issue.rest)
    opening = HELD.opening(Field.EMPLOYER)
    assert opening is not None and opening.value == "示例机械有限公司" and HELD.opening(Field.SCORES) is None
    for changed in (
        replace(HELD, face=replace(HELD.face, name="别人")),
        replace(HELD, digests=(*HELD.digests[1:], HELD.digests[0])),
        replace(HELD, openings=(replace(opening, value="别的厂"),)),
    ):
        with pytest.raises(Unverified):
            changed.check(issue.face, issue.rest)


def test_what_cannot_be_held() -> None:
    for wrong in ({"secret": octets("s", 15)}, {"leaf": b""}, {"digests": ()}, {"openings": HELD.openings[::-1]}):
        with pytest.raises(Malformed):
            replace(HELD, **wrong)

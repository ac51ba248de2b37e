"""Periods, purposes, and what a holder can choose from."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.errors import Malformed, Refused
from ledger.records.commitments import Field, FieldOpening
from ledger.records.dates import MS_PER_DAY, batch_day, format_day, last_ms
from tests.support.builders import octets
from tests.verifier.holders.test_held import HELD
from verifier.holders.shares import (
    FIELDS,
    NAME,
    PURPOSES,
    Note,
    expiry_of,
    format_note,
    openings_of,
    parse_note,
)

NOW = 1_795_349_403_000
TODAY = batch_day(NOW)


def test_a_share_lasts_some_days_or_to_the_end_of_a_day() -> None:
    for days in (7, 30, 90):
        assert expiry_of(str(days), NOW) == NOW + days * MS_PER_DAY
    assert expiry_of(format_day(TODAY), NOW) == last_ms(TODAY) > NOW
    assert expiry_of(format_day(TODAY + 366), NOW) == last_ms(TODAY + 366)


@pytest.mark.parametrize(
    "period",
    [
        "",
        "0",
        "8",
        "-7",
        "7.0",
        "٧",
        "2026-13-01",
        "x",
        format_day(TODAY - 1),
        format_day(TODAY + 367),
        "9" * 50,
        "007",
        "0007999999",
        "00300",
        "0090" + "9" * 60,
        "9" * 5000,
        "0007" + "1" * 5000,
    ],
)
def test_other_periods_are_refused(period: str) -> None:
    with pytest.raises(Refused) as caught:
        expiry_of(period, NOW)
    assert caught.value.code == "SHARE_PERIOD"


def test_a_note_comes_back_and_knows_its_words() -> None:
    note = Note(octets("token", 16), "job", (NAME, "employer"), "某公司")
    assert parse_note(format_note(note)) == note
    for wrong in (
        {"purpose": "other"},
        {"fields": ("picture",)},
        {"fields": (NAME, NAME)},
        {"recipient": "某" * 101},
        {"token": b""},
    ):
        with pytest.raises(Malformed):
            Note(**{"token": note.token, "purpose": "job", "fields": (), "recipient": ""} | wrong)  # type: ignore[arg-type]


def test_purposes_name_fields_that_there_are() -> None:
    assert all(set(fields) <= {NAME, *FIELDS} for fields in PURPOSES.values())


def test_what_can_be_chosen_is_what_is_there() -> None:
    found = json.loads(json.dumps(openings_of(HELD)))
    assert set(found) == {NAME, "document", "employer", "digests", "cert_key"}
    assert found["employer"] == [4, {"hex": HELD.openings[1].salt.hex()}, "示例机械有限公司"]
    assert found[NAME] == [{"hex": HELD.face.salt.hex()}, HELD.face.number, HELD.face.name]


def test_a_photo_can_be_chosen_where_it_is_the_one_that_was_signed() -> None:
    picture = b"\xff\xd8\xff picture"
    for signed, shown, there in (
        (sha256(picture).digest(), picture, True),
        (sha256(b"the file it was made from").digest(), picture, False),
        (sha256(b"").digest(), b"", False),
        (sha256(picture).digest(), None, False),
        ("words", picture, False),
        (None, picture, False),
    ):
        opening = FieldOpening(Field.PHOTO, octets("salt", 16), signed) if signed is not None else None
        first, *others = HELD.openings
        held = replace(HELD, openings=(first, *([opening] if opening else []), *others))
        found = json.loads(json.dumps(openings_of(held, shown)))
        assert ("photo" in found, "picture" in found) == (there, there), signed
        if there:
            assert found["photo"] == [2, {"hex": octets("salt", 16).hex()}, {"hex": sha256(picture).hexdigest()}]
            assert base64.b64decode(found["picture"]) == picture

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.records.commitments import (
    FaceOpening,
    Field,
    FieldOpening,
    parse_face_opening,
    parse_field_opening,
    parse_hashes,
    rest_digest,
    rest_digests,
    verify_opening,
)
from tests.support.builders import make_body, octets

SALT = octets("salt", 16)
FACE = FaceOpening(SALT, "Y000051000001263000017", "例小明")
FIELDS = st.builds(
    FieldOpening,
    st.sampled_from(Field),
    st.binary(min_size=16, max_size=16),
    st.text("例中abc", max_size=9) | st.integers(0, 2**64 - 1) | st.binary(max_size=32),
)


def test_the_eight_places_are_fixed() -> None:
    assert [(field.value, field.name) for field in Field] == [
        (1, "ID_DOCUMENT"),
        (2, "PHOTO"),
        (3, "SCORES"),
        (4, "EMPLOYER"),
        (5, "BIRTH_YEAR"),
        (6, "TRAINING"),
        (7, "RESERVED_7"),
        (8, "RESERVED_8"),
    ]


def test_digests_are_sha256_of_the_cbor_arrays() -> None:
    assert FACE.digest() == sha256(cbor2.dumps([SALT, FACE.number, FACE.name])).digest()
    opening = FieldOpening(Field.BIRTH_YEAR, SALT, 1990)
    assert opening.digest() == sha256(cbor2.dumps([5, SALT, 1990])).digest()
    eight = [octets(str(at)) for at in range(8)]
    assert rest_digest(eight) == sha256(cbor2.dumps(eight)).digest()


def test_salt_number_and_name_all_count() -> None:
    others = [
        replace(FACE, salt=octets("other", 16)),
        replace(FACE, number="Y000051000001263000018"),
        replace(FACE, name="例小朋"),
        replace(FACE, number=FACE.number + FACE.name, name="x"),
    ]
    assert len({opening.digest() for opening in [FACE, *others]}) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": b""},
        {"salt": bytes(15)},
        {"salt": bytes(17)},
        {"number": ""},
        {"number": "1" * 65},
        {"name": ""},
        {"name": "例" * 51},
    ],
)
def test_a_face_opening_is_bounded(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(FACE, **changes)


def test_names_of_fifty_characters_fit() -> None:
    assert replace(FACE, name="例" * 50, number="1" * 64).digest()


def test_a_name_that_nfc_changes_has_no_digest() -> None:
    with pytest.raises(Malformed):
        replace(FACE, name="\uf9fd").digest()


@given(FIELDS)
def test_a_field_opening_round_trips_and_opens_its_own_place_only(opening: FieldOpening) -> None:
    assert parse_field_opening(opening.as_value()) == opening
    absent = {field: octets(field.name) for field in Field if field is not opening.field}
    digests = rest_digests({opening.field: opening}, absent)
    verify_opening(opening, digests)
    for other in Field:
        if other is not opening.field:
            with pytest.raises(Unverified):
                verify_opening(replace(opening, field=other), digests)


@settings(max_examples=50)
@given(FIELDS, st.integers(0, 127))
def test_another_salt_or_value_does_not_open(opening: FieldOpening, bit: int) -> None:
    digests = rest_digests({opening.field: opening}, {field: octets(field.name) for field in Field})
    salt = bytearray(opening.salt)
    salt[bit // 8] ^= 1 << bit % 8
    for other in (replace(opening, salt=bytes(salt)), replace(opening, value=[opening.value])):
        with pytest.raises(Unverified):
            verify_opening(other, digests)


def test_every_opening_of_a_certificate_opens_alone() -> None:
    certificate = make_body().certificate("a")
    assert rest_digest(certificate.digests) == certificate.issue.rest
    assert certificate.face.digest() == certificate.issue.face
    for opening in certificate.openings:
        verify_opening(opening, certificate.digests)
    stranger = make_body().certificate("b")
    for opening in stranger.openings:
        with pytest.raises(Unverified):
            verify_opening(opening, certificate.digests)


@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_rest_has_exactly_eight_digests(count: int) -> None:
    with pytest.raises(Malformed):
        rest_digest([bytes(32)] * count)
    with pytest.raises(Unverified):
        verify_opening(FieldOpening(Field.RESERVED_8, SALT, 1), [bytes(32)] * count)


def test_digests_have_32_bytes() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(Malformed):
            rest_digest([bytes(32)] * 7 + [wrong])
        with pytest.raises(Malformed):
            parse_hashes([bytes(32), wrong])
    with pytest.raises(Malformed):
        parse_hashes(["x" * 32])
    assert parse_hashes([bytes(32)]) == (bytes(32),)


@pytest.mark.parametrize(
    "value",
    [None, [], [1, SALT], [1, SALT, 1, 1], [0, SALT, 1], [9, SALT, 1], ["1", SALT, 1], [1, "s", 1], [1, bytes(15), 1]],
)
def test_a_field_opening_of_another_shape_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        parse_field_opening(value)


@pytest.mark.parametrize("value", [None, [], [SALT, "n"], [SALT, "n", "m", "o"], ["s", "n", "m"], [SALT, 1, "m"]])
def test_a_face_opening_of_another_shape_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        parse_face_opening(value)
    assert parse_face_opening([SALT, FACE.number, FACE.name]) == FACE

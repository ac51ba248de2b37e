from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unavailable
from ledger.records import canonical
from ledger.records.commitments import FaceOpening, Field, FieldOpening
from ledger.records.envelope import (
    MAX_ENVELOPE,
    MAX_THUMBNAIL,
    FaceContent,
    RestContent,
    holder_tag,
    open_face,
    open_rest,
    seal_face,
    seal_rest,
)
from tests.support.builders import make_body, octets

SECRET, LEAF, NONCE = octets("secret", 16), octets("leaf"), octets("nonce", 12)
FACE = FaceContent(FaceOpening(octets("salt", 16), "Y000051000001263000017", "例小明"), b"thumbnail")
DIGESTS = tuple(octets(f"digest {at}") for at in range(8))
REST = RestContent(DIGESTS, (FieldOpening(Field.PHOTO, octets("p", 16), octets("photo")),))


def sealed(value: canonical.Value, info: bytes) -> bytes:
    """An envelope with any content, made without the product: HKDF-SHA-256 and AES-256-GCM by hand."""
    key = HKDF(SHA256(), 32, salt=None, info=info).derive(SECRET)
    return NONCE + AESGCM(key).encrypt(NONCE, canonical.encode(value), LEAF)


FACE_INFO, REST_INFO = b"certledger/face-envelope/v1\n", b"certledger/rest-envelope/v1\n"


@settings(max_examples=40)
@given(st.binary(max_size=300), st.text("例小明abc·", min_size=1, max_size=50))
def test_the_face_envelope_round_trips(thumbnail: bytes, name: str) -> None:
    content = FaceContent(FaceOpening(octets("salt", 16), "1", name), thumbnail)
    assert open_face(SECRET, LEAF, seal_face(SECRET, LEAF, NONCE, content)) == content


def test_the_rest_envelope_round_trips() -> None:
    assert open_rest(SECRET, LEAF, seal_rest(SECRET, LEAF, NONCE, REST)) == REST
    certificate = make_body().certificate("a")
    content = open_rest(certificate.holder_code, certificate.statement.leaf_hash, certificate.rest_envelope())
    assert content.digests == certificate.digests
    assert content.openings == certificate.openings[1:]


def test_the_bytes_are_nonce_then_aes_256_gcm_under_hkdf() -> None:
    opening = FACE.opening
    value: list[canonical.Value] = [opening.salt, opening.number, opening.name, FACE.thumbnail]
    assert seal_face(SECRET, LEAF, NONCE, FACE) == sealed(value, FACE_INFO)
    value = [list(DIGESTS), [[2, octets("p", 16), octets("photo")]]]
    assert seal_rest(SECRET, LEAF, NONCE, REST) == sealed(value, REST_INFO)


def test_the_two_envelopes_do_not_open_as_each_other() -> None:
    with pytest.raises(Unavailable):
        open_rest(SECRET, LEAF, seal_face(SECRET, LEAF, NONCE, FACE))
    with pytest.raises(Unavailable):
        open_face(SECRET, LEAF, seal_rest(SECRET, LEAF, NONCE, REST))


@pytest.mark.parametrize("bit", range(0, 128, 7))
def test_another_secret_or_leaf_is_unavailable(bit: int) -> None:
    face, rest = seal_face(SECRET, LEAF, NONCE, FACE), seal_rest(SECRET, LEAF, NONCE, REST)
    other = bytearray(SECRET)
    other[bit // 8] ^= 1 << bit % 8
    leaf = bytearray(LEAF)
    leaf[bit // 4] ^= 1
    for secret, at in ((bytes(other), LEAF), (SECRET, bytes(leaf))):
        with pytest.raises(Unavailable):
            open_face(secret, at, face)
        with pytest.raises(Unavailable):
            open_rest(secret, at, rest)


def test_every_bit_flipped_is_unavailable() -> None:
    raw = seal_face(SECRET, LEAF, NONCE, FACE)
    for at in range(len(raw)):
        for bit in (1, 128):
            changed = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
            with pytest.raises(Unavailable):
                open_face(SECRET, LEAF, changed)


def test_every_prefix_and_other_sizes_are_unavailable() -> None:
    raw = seal_rest(SECRET, LEAF, NONCE, REST)
    for other in [*(raw[:end] for end in range(len(raw))), raw + b"\0", bytes(MAX_ENVELOPE + 1), bytes(10**6)]:
        with pytest.raises(Unavailable):
            open_rest(SECRET, LEAF, other)
        with pytest.raises(Unavailable):
            open_face(SECRET, LEAF, other)


SALT = octets("salt", 16)


@pytest.mark.parametrize(
    "value",
    [
        0,
        [],
        {1: 1},
        [SALT, "n", "m"],
        [SALT, "n", "m", b"", b""],
        [SALT[:15], "n", "m", b""],
        [SALT, "", "m", b""],
        [SALT, "n", "例" * 51, b""],
        [SALT, "n", "m", "text"],
        [SALT, "n", "m", bytes(MAX_THUMBNAIL + 1)],
    ],
)
def test_a_face_envelope_with_other_content_is_unavailable_not_malformed(value: Any) -> None:
    with pytest.raises(Unavailable):
        open_face(SECRET, LEAF, sealed(value, FACE_INFO))


@settings(max_examples=300)
@given(st.data())
def test_a_face_is_read_as_the_profile_of_cbor_reads_it(data: st.DataObject) -> None:
    """Whatever an envelope holds: what opens is what the general reader makes of it, and nothing else opens."""
    texts = st.text("1例é́\0a", max_size=60) | st.text(max_size=300)
    value = [data.draw(st.binary(min_size=16, max_size=16)), data.draw(texts), data.draw(texts), data.draw(st.binary())]
    raw = bytearray(cbor2.dumps(value))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    sealed_face = NONCE + AESGCM(HKDF(SHA256(), 32, salt=None, info=FACE_INFO).derive(SECRET)).encrypt(
        NONCE, bytes(raw), LEAF
    )
    try:
        salt, number, name, thumbnail = canonical.decode(bytes(raw), limit=MAX_ENVELOPE)
        wanted = FaceContent(FaceOpening(salt, number, name), thumbnail)
        known = [type(item) for item in (salt, number, name, thumbnail)] == [bytes, str, str, bytes]
    except (Malformed, TypeError, ValueError):
        known = False
    if known:
        assert open_face(SECRET, LEAF, sealed_face) == wanted
    else:
        with pytest.raises(Unavailable):
            open_face(SECRET, LEAF, sealed_face)


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, MAX_THUMBNAIL])
def test_lengths_have_one_spelling(length: int) -> None:
    heads = [bytes([0x40 + length % 24]), bytes([0x58, length % 256])]
    heads += [b"\x59" + length.to_bytes(2), b"\x5a" + length.to_bytes(4), b"\x5f"]
    shortest = canonical.encode(bytes(length)).removesuffix(bytes(length))
    for head in heads:
        raw = b"\x84\x50" + SALT + b"\x611\x612" + head + bytes(length)
        key = HKDF(SHA256(), 32, salt=None, info=FACE_INFO).derive(SECRET)
        envelope = NONCE + AESGCM(key).encrypt(NONCE, raw, LEAF)
        if head == shortest:
            assert open_face(SECRET, LEAF, envelope).thumbnail == bytes(length)
        else:
            with pytest.raises(Unavailable):
                open_face(SECRET, LEAF, envelope)


EIGHT = list(DIGESTS)


@pytest.mark.parametrize(
    "value",
    [
        0,
        [],
        [EIGHT],
        [EIGHT[:7], []],
        [[*EIGHT, bytes(32)], []],
        [[*EIGHT[:7], bytes(31)], []],
        [EIGHT, [[1, SALT, ["111", "CHN", "1"]]]],
        [EIGHT, [[9, SALT, 1]]],
        [EIGHT, [[2, SALT]]],
        [EIGHT, [[3, SALT, 1], [2, SALT, 1]]],
        [EIGHT, [[2, SALT, 1], [2, SALT, 1]]],
    ],
)
def test_a_rest_envelope_with_other_content_is_unavailable_not_malformed(value: Any) -> None:
    with pytest.raises(Unavailable):
        open_rest(SECRET, LEAF, sealed(value, REST_INFO))


def test_the_id_document_never_goes_into_the_rest_envelope() -> None:
    certificate = make_body().certificate("a")
    assert certificate.openings[0].field is Field.ID_DOCUMENT
    with pytest.raises(Malformed):
        RestContent(certificate.digests, certificate.openings)


def test_sizes_are_bounded_when_sealing() -> None:
    largest = FaceContent(FACE.opening, bytes(MAX_THUMBNAIL))
    assert open_face(SECRET, LEAF, seal_face(SECRET, LEAF, NONCE, largest)) == largest
    with pytest.raises(Malformed):
        FaceContent(FACE.opening, bytes(MAX_THUMBNAIL + 1))
    with pytest.raises(Malformed):
        seal_rest(SECRET, LEAF, NONCE, RestContent(DIGESTS, (FieldOpening(Field.SCORES, SALT, bytes(MAX_ENVELOPE)),)))


def test_an_envelope_says_nothing_without_its_secret() -> None:
    raw = seal_face(SECRET, LEAF, NONCE, FACE)
    assert "例小明".encode() not in raw and b"Y0000510" not in raw and b"thumbnail" not in raw


def test_the_holder_tag_ties_code_and_certificate() -> None:
    tags = {holder_tag(code, leaf) for code in (SECRET, octets("x", 16)) for leaf in (LEAF, octets("other leaf"))}
    assert len(tags) == 4 and all(len(tag) == 32 for tag in tags)

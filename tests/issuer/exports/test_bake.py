from __future__ import annotations

import io
import zlib

import pytest
from openbadgeslib.baking import extract_png
from PIL import Image

from issuer.exports.bake import bake, unbake
from ledger.errors import Malformed

CREDENTIAL = '{"name":"职业技能等级证书"}'.encode()


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def test_others_find_what_was_baked() -> None:
    baked = bake(picture(), CREDENTIAL)
    assert unbake(baked) == CREDENTIAL
    assert extract_png(baked, keyword=b"openbadgecredential") == CREDENTIAL.decode()
    with Image.open(io.BytesIO(baked)) as shown:
        shown.load()
        assert shown.size == (30, 20) and shown.getpixel((5, 5)) == (200, 30, 30)
    assert baked.index(b"openbadgecredential") < baked.index(b"IDAT")


def test_every_flipped_bit_is_noticed() -> None:
    baked = bake(picture(), CREDENTIAL)
    for at in range(len(baked)):
        flipped = baked[:at] + bytes([baked[at] ^ 1]) + baked[at + 1 :]
        with pytest.raises(Malformed):
            unbake(flipped)
    for cut in (0, 7, 8, 20, 60, len(baked) - 1):
        with pytest.raises(Malformed):
            unbake(baked[:cut])


def test_once_and_only_into_a_png() -> None:
    baked = bake(picture(), CREDENTIAL)
    for wrong in (baked, b"", b"\xff\xd8JPEG", picture() + b"more"):
        with pytest.raises(Malformed):
            bake(wrong, CREDENTIAL)
    with pytest.raises(Malformed):
        unbake(picture())
    start = baked.index(b"iTXt") - 4
    chunk = baked[start : start + 12 + int.from_bytes(baked[start : start + 4], "big")]
    with pytest.raises(Malformed):  # two credentials: nobody knows which
        unbake(baked[:start] + chunk + baked[start:])


def test_a_compressed_chunk_is_not_ours() -> None:
    packed = b"openbadgecredential\0\1\0\0\0" + zlib.compress(CREDENTIAL)
    chunk = len(packed).to_bytes(4, "big") + b"iTXt" + packed + zlib.crc32(b"iTXt" + packed).to_bytes(4, "big")
    plain = picture()
    with pytest.raises(Malformed):
        unbake(plain[:33] + chunk + plain[33:])

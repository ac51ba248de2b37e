"""Baked pictures: a PNG with a credential inside (Open Badges 3.0, 5.3.1).

One iTXt chunk (PNG 3rd edition, 11.3.3.4) straight after IHDR, keyword `openbadgecredential`, not compressed, no
language, once. `unbake` reads what `bake` writes and refuses anything else; it checks every chunk's CRC.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from ledger.errors import Malformed

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEYWORD: Final = b"openbadgecredential"
_HEAD: Final = _KEYWORD + b"\0\0\0\0\0"  # end of keyword, not compressed, method 0, no language, no translation
_MAX_PNG: Final = 4_000_000  # bytes


def bake(png: bytes, credential: bytes) -> bytes:
    """The picture with the credential (UTF-8 JSON) inside. Raises Malformed when it is no PNG or is baked already."""
    out = [_SIGNATURE]
    for kind, content in _chunks(png):
        if kind == b"iTXt" and content.startswith(_KEYWORD + b"\0"):
            raise Malformed("PNG: baked already")
        out.append(_chunk(kind, content))
        if kind == b"IHDR":
            out.append(_chunk(b"iTXt", _HEAD + credential))
    return b"".join(out)


def unbake(png: bytes) -> bytes:
    """The credential inside. Raises Malformed unless there is exactly one."""
    found = [c for kind, c in _chunks(png) if kind == b"iTXt" and c.startswith(_KEYWORD + b"\0")]
    if len(found) != 1 or not found[0].startswith(_HEAD):
        raise Malformed("PNG: not one credential in a plain iTXt chunk")
    return found[0][len(_HEAD) :]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(png) > _MAX_PNG or not png.startswith(_SIGNATURE + b"\0\0\0\rIHDR"):
        raise Malformed("not a PNG of at most 4 MB")
    at, kind = len(_SIGNATURE), b""
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        end = at + 12 + length
        if end > len(png) or png[end - 4 : end] != struct.pack(">I", zlib.crc32(kind + content)):
            raise Malformed("PNG: a chunk is cut or damaged")
        yield kind, content
        at = end
        if kind == b"IEND":
            break
    if at != len(png) or kind != b"IEND":
        raise Malformed("PNG: does not end with IEND")

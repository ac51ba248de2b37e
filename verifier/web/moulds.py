"""Pages that are rendered once and then filled: what a template says around a few words is made and packed before.

    mould = Mould(rendered)             `rendered` has `mark_of(n)` wherever word n belongs
    mould.fill(words).body              the page with the words in it, escaped as the template would have done
    mould.fill(words).packed()          the same, gzip

A gzip stream may be put together from pieces (RFC 1951 3.2.3: each ends at a byte, in an empty block). Long stretches
without words are packed once. What lies between them is packed for each page, by a compressor that has just read the
stretch before it and may refer back to it. Pure.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from struct import pack
from typing import TYPE_CHECKING, Final

from markupsafe import escape

if TYPE_CHECKING:
    from zlib import _Compress

_MARK: Final = re.compile("\ue000([0-9]+)\ue001")
_BETWEEN: Final = "\0"  # words, while all of them are escaped at once
_LONG: Final = 256  # bytes from which on a stretch without words is packed beforehand
_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952: deflate, no name, no time, unknown system
_LEVEL: Final = 3
_WINDOW: Final = -11  # raw deflate that looks back 2 KiB: a small state, which is copied for each page
_MEMORY: Final = 4
_GZIP_4K: Final = 16 + 12  # zlib: gzip wrapper, window of 4 KiB


def mark_of(place: int) -> str:
    """What stands for word `place`: characters that no template has and that escaping leaves alone."""
    return f"\ue000{place}\ue001"


def packed(body: bytes) -> bytes:
    """`body` as gzip, in one piece."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP_4K, 6)
    return packer.compress(body) + packer.flush()


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is ready, in UTF-8."""

    body: bytes
    mould: Mould | None = None
    pieces: Sequence[bytes] = ()  # of `mould`, which together are the body

    @property
    def text(self) -> str:
        return self.body.decode()

    def packed(self) -> bytes:
        return packed(self.body) if self.mould is None else self.mould.packed(self.pieces, self.body)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Pieces `first` to `end` of a page, either packed already or to be packed by a copy of `packer`."""

    first: int
    end: int
    ready: bytes = b""
    packer: _Compress | None = None


class Mould:
    """A page of which everything but some words is known. The words of a place are the same wherever it is marked."""

    def __init__(self, rendered: str) -> None:
        found = _MARK.split(rendered)  # text, place, text, place … text
        places = [int(place) for place in found[1::2]]
        assert len(places) > 1, "a page with two words at least"
        self._words = itemgetter(*places)
        self._count = len(places)
        self._pieces = [text.encode() for text in found]
        self._stretches = _stretches(self._pieces)

    def fill(self, words: Sequence[str]) -> Page:
        """The page with these words, one for each place."""
        chosen = self._words(words)
        escaped = str(escape(_BETWEEN.join(chosen))).encode().split(b"\0")
        if len(escaped) != self._count:  # somebody has signed a word with a zero in it
            escaped = [str(escape(word)).encode() for word in chosen]
        pieces = self._pieces.copy()
        pieces[1::2] = escaped
        return Page(b"".join(pieces), self, pieces)

    def packed(self, pieces: Sequence[bytes], body: bytes) -> bytes:
        """A page of this mould as gzip."""
        out = [_HEAD]
        for stretch in self._stretches:
            if stretch.packer is None:
                out.append(stretch.ready)
            else:
                packer = stretch.packer.copy()
                out.append(packer.compress(b"".join(pieces[stretch.first : stretch.end])))
                out.append(packer.flush(zlib.Z_SYNC_FLUSH))
        out.append(pack("<II", zlib.crc32(body), len(body)))
        return b"".join(out)


def _stretches(pieces: Sequence[bytes]) -> list[_Stretch]:
    """Cut at the long texts. The last one ends the stream: a page ends with a long text, or with none at all."""
    last = len(pieces) - 1
    long = [at for at in range(0, last, 2) if len(pieces[at]) >= _LONG]
    cuts = sorted({-1, *long, last})
    stretches = []
    for before, at in pairwise(cuts):
        text = pieces[before] if before >= 0 else b""
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
        packer.compress(text)
        packer.flush(zlib.Z_SYNC_FLUSH)
        if at - before > 1:
            stretches.append(_Stretch(before + 1, at, packer=packer))
        whole = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
        ready = whole.compress(pieces[at]) + whole.flush(zlib.Z_FINISH if at == last else zlib.Z_SYNC_FLUSH)
        stretches.append(_Stretch(at, at + 1, ready))
    return stretches

"""Pages that are rendered once and then filled: what a template says around a few words is made and packed before.

    mould = Mould(rendered)             `rendered` has `mark_of(n)` wherever word n belongs
    mould.fill(words).body              the page with the words in it, escaped as the template would have done
    mould.fill(words).packed()          the same, gzip
    cast = Cast(mould, words)           most words are in it for good, all but those of `Mould(rendered, momentary)`
    cast.fill(some).body                the page with these few in it

A gzip stream may be put together from pieces (RFC 1951 3.2.3: each ends at a byte, in an empty block). Long stretches
without words are packed once. What lies between them is packed for each page, by a compressor that has just read the
stretch before it and may refer back to it. In a cast only what is momentary is packed for each page; it is little, and
goes in as it is (3.2.4) unless it is long. Pure.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from struct import pack
from typing import TYPE_CHECKING, Final

from markupsafe import escape

if TYPE_CHECKING:
    from zlib import _Compress

_MARK: Final = re.compile("\ue000([0-9]+)\ue001")
_BETWEEN: Final = "\0"  # words, while all of them are escaped at once
_LONG: Final = 256  # bytes from which on a stretch without words is packed beforehand
_APART: Final = (
    128  # bytes without momentary words from which on they are a stretch of their own beside those with some
)
_STORED: Final = 1024  # momentary bytes up to which packing them is not worth its while
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
    mould: Mould | Cast | None = None
    pieces: Sequence[bytes] = ()  # of `mould`, which together are the body

    @property
    def text(self) -> str:
        return self.body.decode()

    def packed(self) -> bytes:
        return packed(self.body) if self.mould is None else self.mould.packed(self.pieces, self.body)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Pieces `first` to `end` of a page: packed already, momentary, or to be packed by a copy of `packer`."""

    first: int
    end: int
    packer: _Compress
    ready: bytes = b""
    momentary: bool = False

    def packed(self, pieces: Sequence[bytes]) -> bytes:
        if self.ready:
            return self.ready
        content = b"".join(pieces[self.first : self.end])
        if self.momentary and (length := len(content)) <= _STORED:
            return pack("<BHH", 0, length, length ^ 0xFFFF) + content
        packer = self.packer.copy()
        return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)


class Mould:
    """A page of which everything but some words is known. The words of a place are the same wherever it is marked.
    `momentary`: the places whose words a cast leaves open."""

    def __init__(self, rendered: str, momentary: Sequence[int] = ()) -> None:
        found = _MARK.split(rendered)  # text, place, text, place … text
        self.places = tuple(int(place) for place in found[1::2])
        assert len(self.places) > 1, "a page with two words at least"
        self.momentary = momentary
        self._words = itemgetter(*self.places)
        self._pieces = [text.encode() for text in found]
        self._stretches = _stretches(self._pieces, self.places, ())
        self.cast_stretches = _stretches(self._pieces, self.places, momentary) if momentary else self._stretches

    def filled(self, words: Sequence[str]) -> list[bytes]:
        """The pieces of the page with these words, one for each place."""
        pieces = self._pieces.copy()
        pieces[1::2] = _escaped(self._words(words))
        return pieces

    def fill(self, words: Sequence[str]) -> Page:
        pieces = self.filled(words)
        return Page(b"".join(pieces), self, pieces)

    def packed(self, pieces: Sequence[bytes], body: bytes) -> bytes:
        """A page of this mould as gzip."""
        return _gzip([stretch.packed(pieces) for stretch in self._stretches], body)


class Cast:
    """A mould with all words of one page in it but the momentary ones, which are not kept."""

    def __init__(self, mould: Mould, words: Sequence[str]) -> None:
        self._pieces = mould.filled(words)
        self._open = []  # where a piece is open, and for which of the momentary words
        for at, place in enumerate(mould.places):
            if place in mould.momentary:
                self._open.append((2 * at + 1, mould.momentary.index(place)))
                self._pieces[2 * at + 1] = b""
        self._packed = [b"" if one.momentary else one.packed(self._pieces) for one in mould.cast_stretches]
        self._momentary = [(at, one) for at, one in enumerate(mould.cast_stretches) if one.momentary]

    def fill(self, momentary: Sequence[str]) -> Page:
        """The page with these words, one for each place of the mould's `momentary`."""
        escaped, pieces = _escaped(momentary), self._pieces.copy()
        for at, word in self._open:
            pieces[at] = escaped[word]
        return Page(b"".join(pieces), self, pieces)

    def packed(self, pieces: Sequence[bytes], body: bytes) -> bytes:
        """A page of this cast as gzip."""
        out = self._packed.copy()
        for at, stretch in self._momentary:
            out[at] = stretch.packed(pieces)
        return _gzip(out, body)


def _escaped(words: Sequence[str]) -> list[bytes]:
    escaped = str(escape(_BETWEEN.join(words))).encode().split(b"\0")
    if len(escaped) != len(words):  # somebody has signed a word with a zero in it
        escaped = [str(escape(word)).encode() for word in words]
    return escaped


def _gzip(stretches: Sequence[bytes], body: bytes) -> bytes:
    return b"".join((_HEAD, *stretches, pack("<II", zlib.crc32(body), len(body))))


def _stretches(pieces: Sequence[bytes], places: Sequence[int], momentary: Collection[int]) -> list[_Stretch]:
    """Cut at the long texts, and between what is momentary and what is not. The last text ends the stream: a page ends
    with a long one, or with none at all."""
    last, kinds = len(pieces) - 1, []
    for at, piece in enumerate(pieces):
        if at % 2:
            kinds.append("momentary" if places[at // 2] in momentary else "lasting")
        else:
            kinds.append("text" if len(piece) >= _LONG or at == last else "lasting")
    for _, first, end in _runs(kinds):
        beside = {kinds[at] for at in (first - 1, end) if 0 <= at <= last}
        if kinds[first] == "lasting" and "momentary" in beside and sum(map(len, pieces[first:end])) < _APART:
            kinds[first:end] = ["momentary"] * (end - first)
    stretches, before = list[_Stretch](), b""
    for kind, first, end in _runs(kinds):
        if kind == "text":
            whole, before = zlib.compressobj(9, zlib.DEFLATED, -15, 9), pieces[first]
            ready = whole.compress(before) + whole.flush(zlib.Z_FINISH if first == last else zlib.Z_SYNC_FLUSH)
            stretches.append(_Stretch(first, end, whole, ready))
        else:
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
            packer.compress(before)
            packer.flush(zlib.Z_SYNC_FLUSH)
            stretches.append(_Stretch(first, end, packer, momentary=kind == "momentary"))
            before = b""
    return stretches


def _runs(kinds: Sequence[str]) -> list[tuple[str, int, int]]:
    """The stretches of equal kinds: kind, first, end."""
    found, first = [], 0
    for kind, of in groupby(kinds):
        end = first + len(list(of))
        found.append((kind, first, end))
        first = end
    return found

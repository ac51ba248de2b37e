"""Strict readers for what browsers post: `multipart/form-data` (RFC 7578) and URL-encoded forms.

Pure: they get the whole body, already capped, so nothing here waits or writes files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ledger.errors import Malformed

MAX_PARTS = 8
MAX_PART_HEADER = 2048  # bytes

# RFC 2046 5.1.1: boundary characters; quotes only when it has some that need them.
_BOUNDARY = re.compile(r'multipart/form-data;\s*boundary=("?)([0-9A-Za-z\'()+_,./:=? -]{1,70})\1\s*', re.I)
_DISPOSITION = re.compile(
    rb'content-disposition:[ \t]*form-data;[ \t]*name="([^"\r\n]{1,64})"(?:;[ \t]*filename="([^"\r\n]{0,1024})")?',
    re.I,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form. `filename` is None for a plain field and "" where no file was chosen."""

    name: str
    filename: str | None
    content: bytes

    def text(self) -> str:
        """The value of a plain field. Raises Malformed when it is not UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise Malformed("form text is not UTF-8") from None


def parse_multipart(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts of a form by name. Raises Malformed for anything a browser would not send."""
    match = _BOUNDARY.fullmatch(content_type.strip())
    if match is None:
        raise Malformed("form boundary")
    delimiter = b"\r\n--" + match[2].encode()
    # A browser sends nothing before the first delimiter, whose CRLF is the end of the header.
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 1)
    if pieces[0] != b"" or len(pieces) < 2 or pieces[-1] not in (b"--", b"--\r\n"):
        raise Malformed("form delimiters")
    parts: dict[str, Part] = {}
    for piece in pieces[1:-1]:
        part = _parse_part(piece)
        if part.name in parts:
            raise Malformed("form with the same field twice")
        parts[part.name] = part
    return parts


def parse_urlencoded(body: bytes, most: int = MAX_PARTS) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body, at most `most`. Raises Malformed."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=most,
        )
    except ValueError:
        raise Malformed("form encoding") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("form with the same field twice")
    return fields


def _parse_part(piece: bytes) -> Part:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank or len(head) > MAX_PART_HEADER or not head.startswith(b"\r\n"):
        raise Malformed("form part header")
    found = [match for line in head[2:].split(b"\r\n") if (match := _DISPOSITION.fullmatch(line))]
    if len(found) != 1:
        raise Malformed("form part without one Content-Disposition")
    name, filename = found[0].groups()
    try:
        return Part(name.decode(), None if filename is None else _base_name(filename.decode()), content)
    except UnicodeDecodeError:
        raise Malformed("form part name is not UTF-8") from None


def _base_name(filename: str) -> str:
    return filename.replace("\\", "/").rpartition("/")[2][-255:]

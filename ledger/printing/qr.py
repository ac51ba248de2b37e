"""QR symbols of certificates: written with explicit segments, drawn as rectangles (`runs`) or as text.

The text is `https://HOST/c/SECRET` alone (link-only) or followed by `#q` and digits. Digits go into a numeric
segment (10 bits for three), the rest into a byte segment; error correction M, no logo (ISO/IEC 18004:2015 7.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import qrcode
import zxingcpp
from PIL import Image
from qrcode import constants, exceptions, util

from ledger.errors import Malformed, Refused
from ledger.text import Text

QUIET_ZONE: Final = 4  # modules of white on each side
DOTS_PER_MODULE: Final = 5  # printer dots of 1/300 inch; a whole number, or scanners misread (measured)
DOTS_PER_INCH: Final = 300
MAX_VERSION: Final = 18  # 89 modules, 37.7 mm without the quiet zone at 5 dots

_MAX_TEXT: Final = 7089  # characters, the most any symbol holds (version 40-L, digits)
_DIGITS: Final = re.compile(r"(.*#q)([0-9]+)", re.DOTALL)
# Every mask decodes. Choosing among all eight is four fifths of qrcode's time, and digits that encode hashes
# and signatures look random under any of them, so all symbols take the same one.
_MASK: Final = 0

TOO_DENSE: Final = Text(
    "二维码内容过长：需要第 {version} 版，印刷上限为第 {limit} 版；请改印仅含网址的二维码",
    "The QR code would be too dense to print: version {version}, at most {limit}; print the link-only code",
)


@dataclass(frozen=True, slots=True)
class QrSymbol:
    """A square of modules without its quiet zone. `rows` run from the top; byte 1 is dark, 0 is light."""

    version: int  # 1..40
    rows: tuple[bytes, ...]

    def __post_init__(self) -> None:
        assert 1 <= self.version <= 40, "QR version"
        assert len(self.rows) == 17 + 4 * self.version, "modules a side"
        assert all(len(row) == len(self.rows) and not row.strip(b"\x00\x01") for row in self.rows), "0 or 1"

    @property
    def size(self) -> int:
        """Modules a side, quiet zone not counted."""
        return len(self.rows)


def make_symbol(text: str, *, max_version: int = MAX_VERSION) -> QrSymbol:
    """The smallest symbol at level M that holds `text` (ASCII).

    Raises Malformed for text that is not printable ASCII, Refused QR_TOO_DENSE when it needs more than
    `max_version`: the caller then prints the link alone and warns the issuer.
    """
    if not text.isascii() or not text.isprintable() or not text:
        raise Malformed("QR text: printable ASCII only")
    code = qrcode.QRCode(error_correction=constants.ERROR_CORRECT_M, mask_pattern=_MASK, border=0)
    with_digits = _DIGITS.fullmatch(text)
    head, digits = with_digits.groups() if with_digits else (text, "")
    if len(text) > _MAX_TEXT:
        raise _too_dense(">40", max_version)
    code.add_data(util.QRData(head.encode("ascii"), mode=util.MODE_8BIT_BYTE), optimize=0)
    if digits:
        code.add_data(util.QRData(digits.encode("ascii"), mode=util.MODE_NUMBER), optimize=0)
    try:
        version = code.best_fit(start=1)
    except (exceptions.DataOverflowError, ValueError):
        version = 41
    if version > max_version:
        raise _too_dense(str(version) if version <= 40 else ">40", max_version)
    try:
        code.make(fit=False)
    except ValueError:
        return _by_zxing(text)
    return QrSymbol(version, tuple(bytes(map(bool, row)) for row in code.modules))


def _by_zxing(text: str) -> QrSymbol:
    """qrcode 8.2 fails (`glog(0)`) when a whole Reed-Solomon block is zero, as a long run of zero digits makes it;
    zxing-cpp finds the same segments by itself."""
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    picture = Image.fromarray(made.to_image(scale=1, add_quiet_zones=False))
    pixels, edge = picture.convert("L").tobytes(), picture.width
    rows = tuple(bytes(value < 128 for value in pixels[at : at + edge]) for at in range(0, edge * edge, edge))
    return QrSymbol((len(rows) - 17) // 4, rows)


def _too_dense(needed: str, limit: int) -> Refused:
    return Refused("QR_TOO_DENSE", "qr_text", TOO_DENSE.format(version=needed, limit=limit))


def runs(symbol: QrSymbol) -> Iterator[tuple[int, int, int]]:
    """Dark modules merged along rows: (row, first column, length), for writers that fill rectangles."""
    for y, row in enumerate(symbol.rows):
        for match in re.finditer(rb"\x01+", row):
            yield y, match.start(), match.end() - match.start()


def to_terminal(symbol: QrSymbol) -> str:
    """Half blocks, two rows of modules a line, with a quiet zone of two.

    Light modules are drawn and dark ones left out, so it reads on the usual dark terminal; readers that
    accept inverted codes read it on light ones too.
    """
    blank = bytes(symbol.size + 4)
    rows = [blank, blank, *(b"\x00\x00" + row + b"\x00\x00" for row in symbol.rows), blank, blank, blank]
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    pairs = zip(rows[0:-1:2], rows[1::2], strict=True)
    return "\n".join("".join(blocks[pair] for pair in zip(*two, strict=True)) for two in pairs) + "\n"

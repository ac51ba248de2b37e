from __future__ import annotations

import io

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ledger import scan
from ledger.errors import Malformed, Refused
from ledger.printing import qr

LINK = "https://verify.example.org/c/7H3KQ9TD4MXW7H3KQ9TD4MXW7H"


def picture_of(symbol: qr.QrSymbol, scale: int = 4) -> bytes:
    edge = symbol.size + 2 * qr.QUIET_ZONE
    picture = Image.new("L", (edge, edge), 255)
    for y, row in enumerate(symbol.rows):
        for x, dark in enumerate(row):
            if dark:
                picture.putpixel((x + qr.QUIET_ZONE, y + qr.QUIET_ZONE), 0)
    out = io.BytesIO()
    picture.resize((edge * scale, edge * scale), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


@settings(max_examples=40, deadline=None)
@given(digits=st.text("0123456789", max_size=900))
def test_what_is_written_is_what_another_program_reads(digits: str) -> None:
    text = f"{LINK}#q{digits}"
    symbol = qr.make_symbol(text)
    assert scan.read_picture(picture_of(symbol)) == [text]


def test_runs_of_zeros_are_written_too() -> None:
    # qrcode 8.2 fails on a block of zero codewords.
    text = LINK + "#q" + "0" * 622
    symbol = qr.make_symbol(text)
    assert symbol.version == 13
    assert scan.read_picture(picture_of(symbol)) == [text]


def test_error_correction_is_m_and_link_only_is_version_4() -> None:
    symbol = qr.make_symbol(LINK)
    assert symbol.version == 4
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture_of(symbol))))
    assert read.ec_level == "M"
    assert read.text == LINK


def test_digits_take_numeric_segments() -> None:
    # 256 bytes are 622 digits: version 13 in numeric mode; in byte mode they would need 19.
    assert qr.make_symbol(LINK + "#q" + "7" * 622).version == 13
    with pytest.raises(Refused):
        qr.make_symbol(LINK + "#u" + "7" * 622)


@pytest.mark.parametrize("digits", [0, 1, 200, 400, 622, 900])
def test_the_version_is_the_smallest(digits: int) -> None:
    text = LINK + ("#q" + "1" * digits if digits else "")
    version = qr.make_symbol(text).version
    with pytest.raises(Refused):
        qr.make_symbol(text, max_version=version - 1)


def test_a_code_beyond_the_limit_is_refused_with_its_version() -> None:
    with pytest.raises(Refused) as refused:
        qr.make_symbol(LINK + "#q" + "1" * 2000)
    assert refused.value.code == "QR_TOO_DENSE"
    assert "24" in refused.value.text.zh
    assert "24" in refused.value.text.en


@pytest.mark.parametrize("count", [6000, 100_000])
def test_more_than_any_code_holds_is_refused_too(count: int) -> None:
    with pytest.raises(Refused) as refused:
        qr.make_symbol(LINK + "#q" + "1" * count)
    assert refused.value.code == "QR_TOO_DENSE"


@pytest.mark.parametrize("text", ["", "https://例.org/c/A", "a\nb", "a\x00"])
def test_only_printable_ascii_is_written(text: str) -> None:
    with pytest.raises(Malformed):
        qr.make_symbol(text)


def test_runs_cover_exactly_the_dark_modules() -> None:
    symbol = qr.make_symbol(LINK)
    painted = [bytearray(symbol.size) for _ in range(symbol.size)]
    for y, x, length in qr.runs(symbol):
        assert not any(painted[y][x : x + length]), "no module twice"
        painted[y][x : x + length] = b"\x01" * length
    assert tuple(bytes(row) for row in painted) == symbol.rows


def test_the_terminal_shows_a_code_that_reads() -> None:
    symbol = qr.make_symbol(LINK)
    lines = qr.to_terminal(symbol).splitlines()
    assert len({len(line) for line in lines}) == 1
    # A dark terminal: blocks are light, blanks are dark; two pixel rows a line.
    light = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    width = len(lines[0])
    rows = [bytes(light[char][half] for char in line) for line in lines for half in (0, 1)]
    shown = Image.frombytes("L", (width, len(rows)), b"".join(rows))
    out = io.BytesIO()
    shown.resize((width * 6, len(rows) * 6), Image.Resampling.NEAREST).save(out, "PNG")
    assert scan.read_picture(out.getvalue()) == [LINK]


def test_a_symbol_is_checked() -> None:
    with pytest.raises(AssertionError):
        qr.QrSymbol(1, (b"\x00" * 21,) * 20)
    with pytest.raises(AssertionError):
        qr.QrSymbol(1, (b"\x02" * 21,) * 21)

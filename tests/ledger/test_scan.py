from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Sequence

import pypdfium2
import pytest
import zxingcpp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ledger import scan, scan_apart
from ledger.errors import Malformed, Unavailable


def code(text: str, scale: int = 6) -> Image.Image:
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    return Image.fromarray(made.to_image(scale=scale)).convert("L")


def encoded(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def column(texts: Sequence[str]) -> Image.Image:
    codes = [code(text) for text in texts]
    page = Image.new("L", (max(c.width for c in codes) + 40, sum(c.height + 60 for c in codes)), 255)
    top = 20
    for each in codes:
        page.paste(each, (20, top))
        top += each.height + 60
    return page


def pdf(pages: Sequence[Sequence[str]], size: tuple[float, float] = (595.0, 842.0)) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size, invariant=1)
    for texts in pages:
        for index, text in enumerate(texts):
            canvas.drawImage(ImageReader(code(text)), 60, 600 - 200 * index, 100, 100)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_is_sniffed_and_read(kind: str) -> None:
    data = encoded(code("https://v.example.org/c/A#q123"), kind)
    assert scan_apart.sniff(data) == "picture"
    assert scan.read_picture(data) == ["https://v.example.org/c/A#q123"]


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_pixel_layout_is_read(mode: str) -> None:
    grey = code("layout")
    if mode == "I;16":
        picture = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    elif mode in ("LA", "RGBA"):
        # Black modules on nothing: transparency counts as white paper.
        picture = Image.new(mode, grey.size, 0)
        picture.putalpha(grey.point(lambda value: 255 - value))
    else:
        picture = grey.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    assert scan.read_picture(encoded(picture, kind)) == ["layout"]


def test_all_codes_of_a_picture_are_returned_once_from_the_top() -> None:
    assert scan.read_picture(encoded(column(["one", "two", "one", "three"]), "PNG")) == ["one", "two", "three"]


def test_small_turned_and_large_pictures_are_read() -> None:
    small = code("small", scale=2)
    assert scan.read_picture(encoded(small, "PNG")) == ["small"]
    assert scan.read_picture(encoded(code("turned").rotate(37, expand=True, fillcolor=255), "JPEG")) == ["turned"]
    large = Image.new("L", (6000, 4000), 200)
    large.paste(code("large", scale=30), (900, 700))
    assert scan.read_picture(encoded(large, "JPEG")) == ["large"]


def test_a_picture_without_a_code_is_empty_not_an_error() -> None:
    assert scan.read_picture(encoded(Image.new("RGB", (300, 300), (200, 10, 10)), "PNG")) == []


def test_other_symbologies_are_not_answers() -> None:
    other = zxingcpp.create_barcode("12345", zxingcpp.BarcodeFormat.Code128)
    assert scan.read_picture(encoded(Image.fromarray(other.to_image(scale=4)), "PNG")) == []


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("edge", [7_100, 50_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(edge: int) -> None:
    header = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(Malformed):
        scan.read_picture(data)


@pytest.mark.parametrize("read", [scan.read_picture, scan.read_pdf])
def test_files_over_the_ceiling_are_refused_unread(read) -> None:  # type: ignore[no-untyped-def]
    for start in (b"%PDF-1.7\n", b"\xff\xd8\xff"):
        with pytest.raises(Malformed):
            read(start + bytes(scan_apart.MAX_FILE))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 100, b"%PDF-1.7", b"\xff\xd8\xff", b"GIF89a", b"BM"])
def test_what_is_no_file_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        scan.read_picture(data)
    with pytest.raises(Malformed):
        scan.read_pdf(data)


PICTURE = encoded(code("mutate me"), "PNG")
JPEG = encoded(code("mutate me"), "JPEG")
PDF = pdf([["mutate me"]])


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    whole=st.sampled_from([PICTURE, JPEG]),
    cut=st.integers(0, 4000),
    at=st.integers(0, 4000),
    patch=st.binary(max_size=8),
)
def test_damaged_pictures_give_a_list_or_malformed(whole: bytes, cut: int, at: int, patch: bytes) -> None:
    data = whole[: max(1, len(whole) - cut)]
    data = data[:at] + patch + data[at + len(patch) :]
    with contextlib.suppress(Malformed):
        assert all(isinstance(text, str) for text in scan.read_picture(data))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, len(PDF)), at=st.integers(0, len(PDF)), patch=st.binary(max_size=12))
def test_damaged_pdfs_give_a_scan_or_malformed(cut: int, at: int, patch: bytes) -> None:
    data = PDF[: len(PDF) - cut]
    data = data[:at] + patch + data[at + len(patch) :]
    with contextlib.suppress(Malformed):
        assert isinstance(scan.read_pdf(data), scan_apart.PdfScan)


def test_a_pdf_gives_all_texts_of_all_pages_once() -> None:
    data = pdf([["first", "second"], [], ["third", "first"]])
    assert scan_apart.sniff(data) == "pdf"
    assert scan.read_pdf(data) == scan_apart.PdfScan(("first", "second", "third"), (), ("", "", ""))


def test_a_pdf_without_codes_is_an_empty_scan() -> None:
    assert scan.read_pdf(pdf([[]])).qr_texts == ()


def test_too_many_pages_are_refused() -> None:
    assert scan.read_pdf(pdf([["last"]] * scan.MAX_PAGES)).qr_texts == ("last",)
    with pytest.raises(Malformed):
        scan.read_pdf(pdf([["x"]] * (scan.MAX_PAGES + 1)))


def test_a_huge_page_is_drawn_within_the_pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    decode = scan._decode

    def spy(picture: Image.Image) -> list[str]:
        sizes.append(picture.width * picture.height)
        return decode(picture)

    monkeypatch.setattr(scan, "_decode", spy)
    scan.read_pdf(pdf([[]], size=(14_000.0, 14_000.0)))
    assert sizes
    assert all(size <= scan.MAX_PAGE_PIXELS * 1.01 for size in sizes)


def test_an_encrypted_pdf_is_malformed() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt="secret")
    canvas.drawString(100, 100, "x")
    canvas.save()
    with pytest.raises(Malformed):
        scan.read_pdf(out.getvalue())


def with_attachments(files: Sequence[tuple[str, bytes]]) -> bytes:
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 200)
    for name, content in files:
        document.new_attachment(name).set_data(content)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def test_embedded_files_come_back_byte_for_byte() -> None:
    files = (("a.cose", bytes(range(256))), ("b.tlog-proof", b"\x00\xff" * 500))
    assert scan.read_pdf(with_attachments(files)).attachments == files


@pytest.mark.parametrize("files", [[("big", bytes(scan.MAX_ATTACHMENT + 1))], [(f"f{n}", b"x") for n in range(17)]])
def test_embedded_files_have_limits(files: list[tuple[str, bytes]]) -> None:
    with pytest.raises(Malformed):
        scan.read_pdf(with_attachments(files))


def test_a_region_reads_only_what_lies_in_it() -> None:
    data = pdf([["upper", "lower"]])
    assert scan.read_pdf_region(data, page=0, box=(40, 580, 180, 720), dpi=300) == ["upper"]
    assert scan.read_pdf_region(data, page=0, box=(40, 380, 180, 520), dpi=300) == ["lower"]
    with pytest.raises(Malformed):
        scan.read_pdf_region(data, page=1, box=(0, 0, 100, 100), dpi=300)
    with pytest.raises(Malformed):
        scan.read_pdf_region(data, page=0, box=(100, 0, 100, 100), dpi=300)


def test_sniffing_goes_by_content() -> None:
    assert scan_apart.sniff(b"\xef\xbb\xbf\n%PDF-1.4") == "pdf"
    for other in (b"", b"\xd2\x84", b"PK\x03\x04", b"RIFF0000WAVE", b'{"a":"%PDF-"}'):
        assert scan_apart.sniff(other) == "cbor-or-other"


def test_reading_apart_gives_the_same_answers() -> None:
    data = pdf([["first"], ["second"]])
    assert scan_apart.read_apart(data) == scan.read_pdf(data)
    files = (("a.cose", bytes(range(256))),)
    assert scan_apart.read_apart(with_attachments(files)).attachments == files
    assert scan_apart.read_apart(PICTURE) == scan_apart.PdfScan(("mutate me",), ())
    for broken in (b"", b"text", b"%PDF-1.7", PICTURE[:60], b"\xff\xd8\xff" + bytes(scan_apart.MAX_FILE)):
        with pytest.raises(Malformed):
            scan_apart.read_apart(broken)


def words_pdf(draw: Callable[[Canvas], None]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def test_the_text_layer_is_what_a_reader_sees() -> None:
    """Recognised words behind a scan, or words hidden to deceive a program, are not on the page."""

    def draw(canvas: Canvas, hidden: int) -> None:
        canvas.drawString(100, 700, "seen words")
        text = canvas.beginText(100, 680)
        text.setTextRenderMode(hidden)
        text.textLine("other words")
        canvas.drawText(text)

    assert scan.read_pdf(words_pdf(lambda canvas: draw(canvas, 2))).page_texts == ("seen words\r\nother words",)
    for hidden in (3, 7):
        assert scan.read_pdf(words_pdf(lambda canvas: draw(canvas, hidden))).page_texts == ("seen words",)  # noqa: B023

    def recognised(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(code("x")), 60, 600, 100, 100)
        text = canvas.beginText(100, 680)
        text.setTextRenderMode(3)
        text.textLine("words of a scan")
        canvas.drawText(text)

    assert scan.read_pdf(words_pdf(recognised)).page_texts == ("",)


def test_a_hyphen_at_the_end_of_a_line_stays_a_hyphen() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(100, 700, "Anna Smith-")
        canvas.drawString(100, 688, "Jones")

    assert scan.read_pdf(words_pdf(draw)).page_texts == ("Anna Smith-\r\nJones",)


def bomb(size: int) -> bytes:
    """A PDF whose page is `size` bytes of spaces."""
    squeeze = zlib.compressobj(1)
    packed = b"".join(squeeze.compress(b" " * (1 << 20)) for _ in range(size >> 20)) + squeeze.flush()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed),
    ]
    out, offsets = b"%PDF-1.5\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + table
    return out + b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start


def test_a_pdf_that_unpacks_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_apart, "_WALL", 300)  # the limit of processor time is to strike, on a busy machine too
    assert scan_apart.read_apart(bomb(1 << 20)).qr_texts == ()
    with pytest.raises(Malformed):
        scan_apart.read_apart(bomb(512 << 20), memory=700 << 20)
    with pytest.raises(Malformed):
        scan_apart.read_apart(bomb(512 << 20), memory=8 << 30, seconds=2)


def test_a_reader_that_breaks_says_nothing_about_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_apart, "_CHILD", "raise SystemExit(1)")
    with pytest.raises(Unavailable):
        scan_apart.read_apart(PICTURE)
    monkeypatch.setattr(scan_apart, "_CHILD", "import time; time.sleep(600)")
    with pytest.raises(Unavailable):
        scan_apart.read_apart(PICTURE, seconds=0.1)  # type: ignore[arg-type]

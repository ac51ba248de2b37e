"""Read QR texts out of files that strangers hand in: photographs, scans, PDFs.

Shared by issuer (decode what was printed) and verifier (`check FILE`, uploads). Input is hostile: sizes are
judged before anything is decoded, pages and pixels are bounded, and whatever a decoder trips over becomes
`Malformed`. Not pure: it calls zxing-cpp, Pillow and PDFium (not safe in threads: one lock guards it).
Our own buffers are bounded, PDFium's time and memory are not: a 1 MB PDF can cost 3 GB and half a minute (tried).
So files of strangers go through `ledger.scan_apart`, which has this done in a process of its own with limits.
"""

from __future__ import annotations

import io
import math
import resource
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

import cbor2
import pypdfium2
import pypdfium2.raw as pdfium
import zxingcpp
from PIL import Image

from ledger.errors import Malformed
from ledger.scan_apart import MAX_FILE, PdfScan, sniff

MAX_PIXELS: Final = 50_000_000  # of a picture, before decoding
MAX_PAGES: Final = 10
MAX_PAGE_PIXELS: Final = 16_000_000  # of one rendered page; A4 at 300 dpi has 8.7 million
MAX_PAGE_TEXT: Final = 20_000  # characters
MAX_ATTACHMENTS: Final = 16
MAX_ATTACHMENT: Final = 1_000_000  # bytes

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_PAGE_DPI: Final = (300, 200, 450, 120)  # the first one that finds something in the file wins
_QR: Final = zxingcpp.barcode_formats_from_str("QRCode")
_PDFIUM: Final = threading.Lock()
_UNSEEN: Final = frozenset({pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP})
# What PDFium calls a hyphen at the end of a line (it leaves the line end out), and a glyph without a known character.
_CHARACTERS: Final = {0x02: "-\r\n", 0x00: "\ufffd"}


def read_picture(data: bytes) -> list[str]:
    """Every QR text in a PNG, JPEG, WebP, GIF, BMP or TIFF (first frame), top to bottom; empty if none.

    Raises Malformed when the file is over 20 MB or 50 megapixels, or cannot be decoded.
    """
    grey = _open_grey(data)
    found = _decode(grey)
    if not found:
        # Sensor noise hides modules at full size; small screenshots have too few pixels a module.
        width, height = grey.size
        if max(width, height) < 1000:
            found = _decode(grey.resize((width * 2, height * 2), Image.Resampling.BICUBIC))
        for factor in (2, 3, 4):
            if found or min(width, height) // factor < 100:
                break
            found = _decode(grey.reduce(factor))
    return found


def read_pdf(data: bytes) -> PdfScan:
    """QR texts and embedded files of a PDF of at most 10 pages.

    Pages are drawn at 300 dpi, and at 200, 450 and 120 dpi only if the whole file gave nothing.
    Raises Malformed when the file is over 20 MB, is encrypted, damaged, has too many pages or embedded files,
    or cannot be drawn.
    """
    with _PDFIUM, _Document(data) as document:
        attachments = tuple(document.attachments())
        pages = range(document.page_count())
        words = tuple(document.text(page) for page in pages)
        for dpi in _PAGE_DPI:
            texts = _once(text for page in pages for text in _decode(document.draw(page, dpi)))
            if texts:
                break
        return PdfScan(tuple(texts), attachments, words)


def read_pdf_region(data: bytes, *, page: int, box: tuple[float, float, float, float], dpi: int) -> list[str]:
    """QR texts in one rectangle of one page: much faster than a page, where the place is known (a new print).

    `box` is (left, bottom, right, top) in points from the lower left corner. Raises Malformed as `read_pdf`.
    """
    with _PDFIUM, _Document(data) as document:
        if not 0 <= page < document.page_count():
            raise Malformed(f"PDF has no page {page}")
        return _decode(document.draw(page, dpi, box))


def answer_apart(memory: int, seconds: int) -> None:
    """The child's side of `read_apart`: limits first, then the file from stdin, the answer as CBOR on stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read()
    try:
        found = read_pdf(data) if sniff(data) == "pdf" else PdfScan(tuple(read_picture(data)), ())
        answer: object = [list(found.qr_texts), [list(file) for file in found.attachments], list(found.page_texts)]
    except Malformed as error:
        answer = str(error)
    except MemoryError:
        answer = "file: too costly to read"
    sys.stdout.buffer.write(cbor2.dumps(answer))


class _Document:
    """A PDFium document: always closed, every failure Malformed. Hold `_PDFIUM` around it."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_FILE:
            raise Malformed("PDF: over 20 MB")
        if sniff(data) != "pdf":
            raise Malformed("PDF: not a PDF")
        try:
            self._pdf = pypdfium2.PdfDocument(data)
        except (pypdfium2.PdfiumError, ValueError, OSError) as error:
            raise Malformed("PDF: damaged or encrypted") from error

    def __enter__(self) -> _Document:
        return self

    def __exit__(self, *_: object) -> None:
        self._pdf.close()

    def page_count(self) -> int:
        count = len(self._pdf)
        if not 1 <= count <= MAX_PAGES:
            raise Malformed(f"PDF: between 1 and {MAX_PAGES} pages, please")
        return count

    def draw(self, index: int, dpi: int, box: tuple[float, float, float, float] | None = None) -> Image.Image:
        """One page, or one box of it, in grey. A huge page is drawn coarser, within MAX_PAGE_PIXELS."""
        try:
            page = self._pdf[index]
            try:
                width, height = page.get_size()
                left, bottom, right, top = box or (0.0, 0.0, width, height)
                drawn = (right - left) * (top - bottom)
                if not (math.isfinite(width * height) and width > 0 and height > 0 and drawn > 0):
                    raise Malformed("PDF: a page without a size")
                scale = min(dpi / 72, math.sqrt(MAX_PAGE_PIXELS / drawn))
                crop = (left, bottom, width - right, height - top)
                bitmap = page.render(scale=scale, crop=crop, grayscale=True, may_draw_forms=False)
                try:
                    picture: Image.Image = bitmap.to_pil().convert("L")
                    return picture.copy()  # the bitmap's memory goes with it
                finally:
                    bitmap.close()
            finally:
                page.close()
        except (pypdfium2.PdfiumError, ValueError, OSError, MemoryError) as error:
            raise Malformed("PDF: a page that cannot be drawn") from error

    def text(self, index: int) -> str:
        """The visible text layer of one page, at most MAX_PAGE_TEXT characters."""
        try:
            page = self._pdf[index]
            try:
                words = page.get_textpage()
                try:
                    count = min(words.count_chars(), MAX_PAGE_TEXT)
                    found = "".join(_character(words.raw, at) for at in range(count))
                finally:
                    words.close()
            finally:
                page.close()
        except (pypdfium2.PdfiumError, ValueError, OSError, MemoryError) as error:
            raise Malformed("PDF: a text layer that cannot be read") from error
        # PDFium counts in UTF-16 units.
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()

    def attachments(self) -> Iterator[tuple[str, bytes]]:
        try:
            count = self._pdf.count_attachments()
            if count > MAX_ATTACHMENTS:
                raise Malformed(f"PDF: more than {MAX_ATTACHMENTS} embedded files")
            for index in range(count):
                attachment = self._pdf.get_attachment(index)
                content = bytes(attachment.get_data())
                if len(content) > MAX_ATTACHMENT:
                    raise Malformed("PDF: an embedded file over 1 MB")
                yield attachment.get_name(), content
        except (pypdfium2.PdfiumError, ValueError, OSError, MemoryError) as error:
            raise Malformed("PDF: an embedded file that cannot be read") from error


def _character(words: Any, at: int) -> str:
    """One UTF-16 unit of a text page; nothing where it is drawn unseen. Spaces and line ends that PDFium puts in
    between belong to no object."""
    drawn = pdfium.FPDFText_GetTextObject(words, at)
    if drawn and pdfium.FPDFTextObj_GetTextRenderMode(drawn) in _UNSEEN:
        return ""
    unit: int = pdfium.FPDFText_GetUnicode(words, at)
    return _CHARACTERS.get(unit) or chr(unit)


def _open_grey(data: bytes) -> Image.Image:
    """Decode to 8-bit grey on white. Pillow reads the size from the header, before any pixel is unpacked."""
    if len(data) > MAX_FILE:
        raise Malformed("picture: over 20 MB")
    if sniff(data) != "picture":
        raise Malformed("picture: none of PNG, JPEG, WebP, GIF, BMP, TIFF")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if width < 1 or height < 1 or width * height > MAX_PIXELS:
                raise Malformed("picture: over 50 megapixels")
            return _grey(picture)
    except Malformed:
        raise
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error
        raise Malformed("picture: cannot be decoded") from error


def _grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return picture.convert("I").point(lambda value: value / 256).convert("L")  # 16 bits a sample
    if "A" in picture.getbands() or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        page = Image.new("L", picture.size, 255)
        page.paste(coloured.convert("L"), mask=coloured.getchannel("A"))
        return page
    picture.draft("L", picture.size)  # JPEG: skip the colour planes
    return picture.convert("L")


def _decode(picture: Image.Image) -> list[str]:
    barcodes = zxingcpp.read_barcodes(picture, formats=_QR, text_mode=zxingcpp.TextMode.Plain)
    ordered = sorted(barcodes, key=lambda code: (code.position.top_left.y, code.position.top_left.x))
    return _once(code.text for code in ordered if code.text)


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))

"""Drawing on A4 pages: fitted text, photographs, QR symbols as filled rectangles. Positions are mm from the lower
left corner, type sizes are points. reportlab's canvas stays behind this."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from PIL import Image, ImageOps
from reportlab import rl_config
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfdoc, pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from ledger.errors import Malformed
from ledger.printing.fonts import Fonts
from ledger.printing.ornament import GOLD, RED, Colour, draw_frame
from ledger.printing.qr import DOTS_PER_INCH, QUIET_ZONE, QrSymbol, runs
from ledger.text import Text

WIDTH: Final = 210.0  # mm
HEIGHT: Final = 297.0  # mm
MM: Final = 72 / 25.4  # points

# The sheet in points: A4 in whole printer dots (2480 x 3508), so that dots counted from any edge are the same dots.
# A hair less, or a renderer that rounds the 32-bit size up stretches everything over one dot more.
_SHEET: Final = (2480 * 72 / DOTS_PER_INCH - 0.0001, 3508 * 72 / DOTS_PER_INCH - 0.0001)

INK: Final = (0.10, 0.10, 0.11)
GREY: Final = (0.42, 0.41, 0.40)

__all__ = ["GOLD", "GREY", "HEIGHT", "INK", "MM", "RED", "WIDTH", "Page", "Style"]

Align = Literal["left", "centre", "right"]

rl_config.useA85 = 0  # binary streams: a fifth smaller, and reportlab's Python encoder costs 15 ms a certificate

_MAX_ENTRY: Final = 200  # characters of one entry
_TWO_LINES: Final = 11.5  # points at most where an entry is broken
_MAX_PHOTO: Final = 2_000_000  # bytes
_MAX_PHOTO_PIXELS: Final = 12_000_000


@dataclass(frozen=True, slots=True)
class Style:
    """How a run of text looks: size and letter spacing in points, `weight` the outline added to embolden (points)."""

    size: float
    colour: Colour = INK
    spacing: float = 0.0
    weight: float = 0.0
    align: Align = "left"


class Page:
    """One PDF being drawn. `finish` gives its bytes; the same calls give the same bytes (no dates, no random id)."""

    def __init__(self, fonts: Fonts, *, title: str, author: str, subject: str) -> None:
        self._out = io.BytesIO()
        self._fonts = fonts
        self._canvas: Any = Canvas(
            self._out, pagesize=_SHEET, invariant=1, pageCompression=1, initialFontName=fonts.name
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor(author)
        self._canvas.setSubject(subject)
        self._canvas.setCreator("cert-ledger")
        self._canvas.setProducer("cert-ledger")

    def text_width(self, text: str, style: Style) -> float:
        """In mm."""
        points: float = pdfmetrics.stringWidth(text, self._fonts.name, style.size)
        return (points + style.spacing * max(len(text) - 1, 0)) / MM

    def text(self, x: float, y: float, text: str, style: Style) -> None:
        """One line with its baseline at `y`. Raises Refused GLYPH_MISSING rather than print an empty box."""
        self._fonts.check("text", text)
        width = self.text_width(text, style)
        left = x - {"left": 0.0, "centre": width / 2, "right": width}[style.align]
        canvas = self._canvas
        canvas.setFont(self._fonts.name, style.size)
        canvas.setFillColorRGB(*style.colour)
        mode = 0
        if style.weight:
            canvas.setStrokeColorRGB(*style.colour)
            canvas.setLineWidth(style.weight)
            canvas.setLineJoin(1)
            mode = 2
        canvas.drawString(left * MM, y * MM, text, mode=mode, charSpace=style.spacing)

    def grouped(self, x: float, y: float, groups: Sequence[str], style: Style, gap: float) -> None:
        """Groups set `gap` mm apart. ActualText (PDF 32000-1 14.9.4) makes search and copying see no gaps."""
        whole = "".join(groups).encode("utf-16-be").hex().upper()
        self._canvas._code.append(f"/Span <</ActualText <FEFF{whole}>>> BDC")
        for group in groups:
            self.text(x, y, group, style)
            x += self.text_width(group, style) + gap
        self._canvas._code.append("EMC")

    def fitted(
        self, x: float, y: float, text: str, style: Style, width: float, *, smallest: float = 7.5, lines: int = 2
    ) -> None:
        """Text made to fit `width` mm: smaller first, then broken over up to `lines` lines centred on `y`.

        Raises Malformed when even that is too long: a cut name on a certificate would be a wrong name.
        """
        style, parts = self._fit(text, style, width, smallest, lines)
        pitch = style.size * 1.25 / MM
        top = y + pitch * (len(parts) - 1) / 2
        for index, part in enumerate(parts):
            self.text(x, top - index * pitch, part, style)

    def _fit(self, text: str, style: Style, width: float, smallest: float, lines: int) -> tuple[Style, Sequence[str]]:
        for count in range(1, lines + 1 if len(text) <= _MAX_ENTRY else 0):
            floor = smallest if count == lines else max(smallest, style.size * 0.72)
            size = style.size if count == 1 else min(style.size, _TWO_LINES)
            while size >= floor:
                tried = Style(size, style.colour, style.spacing, style.weight, style.align)
                parts = self._break(text, tried, width)
                if len(parts) <= count:
                    return tried, parts
                size -= 0.5
        raise Malformed(Text("文字过长，证书上放不下", "a text too long for its place on the certificate"))

    def _break(self, text: str, style: Style, width: float) -> list[str]:
        """Greedy: after a space or the dot of a name if one is in a line's second half, else between any two
        characters (Chinese)."""
        parts = []
        while text:
            end = len(text)
            while end > 1 and self.text_width(text[:end].rstrip(), style) > width:
                end -= 1
            if end < len(text) and text[end] != " ":
                gap = max(text.rfind(mark, end // 2, end) for mark in " ·")
                end = gap + 1 if gap > 0 else end
            parts.append(text[:end].rstrip())
            text = text[end:].lstrip()
        return parts or [""]

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: Colour, width: float, dash: Sequence[float] = ()
    ) -> None:
        """`width` and `dash` in points."""
        canvas = self._canvas
        canvas.setStrokeColorRGB(*colour)
        canvas.setLineWidth(width)
        canvas.setDash(*((list(dash), 0) if dash else ()))
        canvas.line(x1 * MM, y1 * MM, x2 * MM, y2 * MM)
        canvas.setDash()

    def box(
        self, x: float, y: float, width: float, height: float, colour: Colour, line: float, *, filled: bool = False
    ) -> None:
        canvas = self._canvas
        canvas.setStrokeColorRGB(*colour)
        canvas.setFillColorRGB(*colour)
        canvas.setLineWidth(line)
        canvas.rect(x * MM, y * MM, width * MM, height * MM, stroke=int(line > 0), fill=int(filled))

    def diamond(self, x: float, y: float, half: float, colour: Colour) -> None:
        path = self._canvas.beginPath()
        path.moveTo((x - half) * MM, y * MM)
        for corner in ((x, y + half), (x + half, y), (x, y - half)):
            path.lineTo(corner[0] * MM, corner[1] * MM)
        path.close()
        self._canvas.setFillColorRGB(*colour)
        self._canvas.drawPath(path, stroke=0, fill=1)

    def frame(self) -> None:
        """The border and the pale rosette behind the text."""
        draw_frame(self._canvas, *_SHEET)

    def symbol(self, symbol: QrSymbol, right: float, bottom: float, dots: int, link: str) -> float:
        """A QR symbol with its quiet zone on white, lower right corner at (right, bottom) moved to whole printer
        dots; `dots` of 1/300 inch a module. A tap on a screen opens `link`. Returns the whole edge in mm."""
        module = dots * 72 / DOTS_PER_INCH  # points
        edge = (symbol.size + 2 * QUIET_ZONE) * module
        dot = 72 / DOTS_PER_INCH
        x = math.floor((right * MM - edge) / dot) * dot
        y = math.floor(bottom * MM / dot) * dot
        canvas = self._canvas
        canvas.saveState()
        canvas.setFillColorRGB(1, 1, 1)
        canvas.rect(x, y, edge, edge, stroke=0, fill=1)
        canvas.setFillGray(0)
        # From here one unit is a module and y grows downwards, so that the path is whole numbers.
        canvas.transform(module, 0, 0, -module, x + QUIET_ZONE * module, y + edge - QUIET_ZONE * module)
        # Written as operators: reportlab's path object costs 60 ms for a symbol.
        canvas._code.append(" ".join(f"{x} {y} {n} 1 re" for y, x, n in runs(symbol)) + " f")
        canvas.restoreState()
        canvas.linkURL(link, (x, y, x + edge, y + edge))
        return edge / MM

    def photo(self, picture: bytes, x: float, y: float, width: float, height: float) -> None:
        """A JPEG or PNG cut to fill the box, on white; stored at 300 dpi without its metadata (place, camera).

        Raises Malformed when it is neither, or too large.
        """
        dots = (round(width / 25.4 * DOTS_PER_INCH), round(height / 25.4 * DOTS_PER_INCH))
        reader = ImageReader(io.BytesIO(_fitted_photo(picture, dots)))
        self._canvas.drawImage(reader, x * MM, y * MM, width * MM, height * MM)

    def next(self) -> None:
        """Close this page; what follows is drawn on a new one."""
        self._canvas.showPage()

    def attach(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Embed files (PDF 32000-1 7.11.4). Names are printable ASCII; call it once."""
        document = self._canvas._doc
        entries = []
        for name, content in sorted(files):
            if not name.isascii() or not name.isprintable():
                raise Malformed("name of an embedded file")
            size = pdfdoc.PDFDictionary({"Size": len(content)})
            stream = pdfdoc.PDFStream(
                pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("EmbeddedFile"), "Params": size}),
                content,
            )
            stream.filters = [pdfdoc.PDFZCompress]
            where = pdfdoc.PDFDictionary({"F": document.Reference(stream)})
            label = pdfdoc.PDFString(name)
            spec = pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("Filespec"), "F": label, "UF": label, "EF": where})
            entries += [label, document.Reference(spec)]
        if entries:
            names = pdfdoc.PDFDictionary({"Names": pdfdoc.PDFArray(entries)})
            document.Catalog.Names = pdfdoc.PDFDictionary({"EmbeddedFiles": names})

    def finish(self) -> bytes:
        self._canvas.save()
        return self._out.getvalue()


def _fitted_photo(picture: bytes, dots: tuple[int, int]) -> bytes:
    if len(picture) > _MAX_PHOTO:
        raise Malformed(Text("照片超过 2 MB", "photo: over 2 MB"))
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > _MAX_PHOTO_PIXELS:
                raise Malformed(Text("照片超过 1200 万像素", "photo: over 12 megapixels"))
            opened.draft("RGB", (2 * dots[0], 2 * dots[1]))
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
            paper = Image.new("RGBA", upright.size, "white")
            paper.alpha_composite(upright)
            out = io.BytesIO()
            ImageOps.fit(paper.convert("RGB"), dots, Image.Resampling.LANCZOS).save(out, "JPEG", quality=90)
            return out.getvalue()
    except Malformed:
        raise
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error
        raise Malformed(Text("照片不是 JPEG 或 PNG", "photo: neither JPEG nor PNG")) from error

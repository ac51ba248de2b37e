"""What a phone sees of a printed certificate: our own PDF at 300 dpi, held a little askew, in uneven light, not quite
sharp, noisy, as JPEG. The same pictures for the same seed.

    page = printed(pdf)                       the first page as the printer's dots, with a little spread of ink
    photo(page, seed=1)                       a still of 12 megapixels' likeness: the lower half of the page
    frame(page, seed=1)                       one frame of 1920 × 1080 at about 15 cm
    clip([frame, …])                          Motion-JPEG for Chromium's --use-file-for-fake-video-capture
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence

import pypdfium2
import zxingcpp
from PIL import Image, ImageChops, ImageFilter

DPI = 300
MM = DPI / 25.4  # dots
_UNIFORM = 73.9  # standard deviation of random bytes


def printed(pdf: bytes, page: int = 0) -> Image.Image:
    """A page at 300 dpi, with the spread of ink on paper."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        picture = document[page].render(scale=DPI / 72).to_pil().convert("L")
    finally:
        document.close()
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def where_is_the_code(page: Image.Image) -> tuple[int, int]:
    """The middle of the QR code on a page."""
    [found] = zxingcpp.read_barcodes(page, formats=zxingcpp.BarcodeFormat.QRCode)
    corners = (found.position.top_left, found.position.bottom_right)
    return sum(c.x for c in corners) // 2, sum(c.y for c in corners) // 2


def frame(
    page: Image.Image,
    *,
    seed: int = 1,
    size: tuple[int, int] = (1920, 1080),
    wide_mm: float = 160.0,
    turn: float = 12.0,
    lean: float = 0.08,
    blur: float = 1.2,
    noise: float = 9.0,
) -> Image.Image:
    """What a camera sees of `wide_mm` around the code: turned by degrees, leaning by a part of its width."""
    draw = random.Random(seed)
    width, height = size
    at_x, at_y = where_is_the_code(page)
    scale = wide_mm * MM / width
    angle = math.radians(turn + draw.uniform(-3, 3))

    def on_page(x: float, y: float) -> tuple[float, float]:
        x, y = (x - width / 2) * scale, (y - height / 2) * scale
        return at_x + x * math.cos(angle) - y * math.sin(angle), at_y + x * math.sin(angle) + y * math.cos(angle)

    inset = lean * width
    corners = [(-inset, 0), (0, height), (width, height + inset / 2), (width + inset, -inset / 2)]
    quad = [axis for corner in corners for axis in on_page(*corner)]
    desk = Image.new("L", (page.width + 4000, page.height + 4000), 96)
    desk.paste(page, (2000, 2000))
    seen = desk.transform(size, Image.Transform.QUAD, [v + 2000 for v in quad], Image.Resampling.BILINEAR)
    light = Image.linear_gradient("L").resize(size).rotate(draw.uniform(0, 360), expand=False)
    seen = Image.blend(seen, Image.composite(seen, Image.new("L", size, 40), light), 0.45)
    seen = seen.filter(ImageFilter.GaussianBlur(blur))
    grain = Image.frombytes("L", size, draw.randbytes(width * height))
    grain = grain.point([round(128 + (value - 127.5) * noise / _UNIFORM) for value in range(256)])
    return Image.merge("RGB", [ImageChops.add(seen, grain, 1, -128)] * 3)


def photo(page: Image.Image, *, seed: int = 1) -> Image.Image:
    """A still: sharper than a frame, and of more of the page."""
    return frame(page, seed=seed, size=(2400, 1800), wide_mm=190.0, turn=-8.0, blur=1.0, noise=8.0)


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def clip(frames: Sequence[Image.Image]) -> bytes:
    """Motion-JPEG: the frames one after the other."""
    return b"".join(jpeg(one) for one in frames)

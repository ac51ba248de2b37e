"""Photos of holders: found by name in a folder, reduced to the thumbnail that a scan shows.

The certificate commits to the SHA-256 of the thumbnail, which travels in the face envelope, is what is printed (35 mm
at about 240 dpi), and can be shared by its holder. The whole file stays with the body.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from ledger.errors import Malformed, cannot
from ledger.records.envelope import MAX_THUMBNAIL
from ledger.text import Text

MAX_FILE: Final = 20_000_000  # bytes
MAX_PIXELS: Final = 50_000_000
_BOX: Final = (240, 336)  # pixels; 25 x 35 mm
_QUALITIES: Final = (85, 75, 65, 55, 45, 35, 25, 15)
_SUFFIXES: Final = (".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")
_FORMATS: Final = ("JPEG", "PNG")


@dataclass(frozen=True, slots=True)
class Photo:
    """One holder's picture: a JPEG of at most 12 KiB, made from the file as it came."""

    thumbnail: bytes

    def __post_init__(self) -> None:
        assert 0 < len(self.thumbnail) <= MAX_THUMBNAIL

    @property
    def digest(self) -> bytes:
        """What a certificate commits to."""
        return sha256(self.thumbnail).digest()


def find_photo(folder: Path, given: str, *stems: str) -> Path | None:
    """The file that the roster names (`given`, "" = none), else the first `<stem>.jpg|.jpeg|.png` there is.

    Names that are not plain names inside `folder` find nothing.
    """
    names = [given] if given else []
    names += [stem + suffix for stem in stems for suffix in _SUFFIXES]
    for name in names:
        plain = "\0" not in name and Path(name).name == name and not name.startswith(".")
        if plain and (folder / name).is_file():
            return folder / name
    return None


def read_photo(path: Path) -> Photo:
    """Raises Unavailable when the file cannot be read, Malformed when it is no JPEG or PNG within the limits."""
    try:
        with path.open("rb") as file:
            original = file.read(MAX_FILE + 1)
    except OSError as error:
        raise cannot(Text("无法读取照片", "a photo cannot be read"), error) from error
    if len(original) > MAX_FILE:
        raise Malformed(Text("照片超过 20 MB", "photo of more than 20 MB"))
    return Photo(make_thumbnail(original))


def make_thumbnail(original: bytes) -> bytes:
    """A JPEG of at most 240 x 336 pixels and 12 KiB, upright, without metadata. Raises Malformed."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(original), formats=_FORMATS) as picture:
            warnings.simplefilter("ignore")  # Pillow's own size warning: the limit is ours
            if picture.width * picture.height > MAX_PIXELS:
                raise Malformed(Text("照片超过 5000 万像素", "photo of more than 50 megapixels"))
            picture.draft("RGB", (2 * _BOX[0], 2 * _BOX[1]))  # decodes a large JPEG at a fraction of its size
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            upright.thumbnail(_BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, MemoryError) as error:
        raise Malformed(Text("不是 JPEG 或 PNG 图片", "not a JPEG or PNG picture")) from error
    for quality in _QUALITIES:
        out = io.BytesIO()
        upright.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= MAX_THUMBNAIL:
            return out.getvalue()
    raise Malformed(Text("照片无法压缩到 12 KiB 以内", "photo that does not fit 12 KiB"))

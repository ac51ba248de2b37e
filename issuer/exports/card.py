"""The picture that a badge is baked into: a card with occupation, grade and number; name and photo when chosen.

1200 x 675 pixels, in the colours and the font of the printed certificate. The same facts give the same bytes.
"""

from __future__ import annotations

import functools
import io
import itertools
import multiprocessing
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from issuer.exports.facts import NAME, PHOTO, Facts
from ledger import printing
from ledger.errors import Malformed, Unavailable
from ledger.printing.ornament import GOLD, RED, Colour
from ledger.process_pool import ProcessPool
from ledger.records.dates import format_day
from ledger.text import Text

SIZE: Final = (1200, 675)
_FONT: Final = Path(printing.__file__).with_name("fonts") / "NotoSerifSC_400Regular.ttf"
_PAPER: Final = (255, 253, 248)
_INK: Final = (26, 26, 28)
_GREY: Final = (107, 105, 102)
_LEFT, _RIGHT = 80, 1120
_PHOTO: Final = (180, 252)
_COLOURS: Final = 64
_MAX_PIXELS: Final = 1_000_000  # of a thumbnail; ours have 80,640
_AHEAD: Final = 16  # pictures drawn ahead; keeps memory flat for any roster
_TITLE: Final = Text("职业技能等级证书", "Certificate of Vocational Skill Level")
_POST: Final = Text("技能岗位聘任证书", "Certificate of Appointment to a Skill Post")
_NUMBER: Final = Text("证书编号", "Number")
_ISSUED: Final = Text("发证日期", "Issued")
_TERM: Final = Text("聘期", "Term")
_STATUS: Final = Text("现时状态和等级请到", "For status and current grade ask")


def draw_card(facts: Facts, fields: Collection[str], official_host: str) -> bytes:
    """PNG bytes. Raises Unavailable when the font is not installed."""
    photo = facts.thumbnail if PHOTO in fields else b""
    right = _RIGHT - _PHOTO[0] - 40 if photo else _RIGHT
    card = _blank(
        facts.is_post,
        facts.occupation + (f"  {facts.trade}" if facts.trade else ""),
        facts.grade,
        facts.body_name,
        _when(facts),
        f"{_STATUS.zh} {_STATUS.en}  {official_host}",
        right,
    )
    number = _strip(f"{_NUMBER.zh} {_NUMBER.en}  {facts.number}", 22, 1040, card)
    name = _strip(facts.name, 46, right - _LEFT, card) if NAME in fields else None
    shown = card.convert("RGB") if photo else card.copy()
    shown.paste(number, (_LEFT, 572 - number.height // 2))
    if name is not None:
        shown.paste(name, (_LEFT, 222 - name.height // 2))
    if photo:
        _paste(shown, photo)
    out = io.BytesIO()
    shown.save(out, "PNG", compress_level=6)
    return out.getvalue()


def draw_cards(
    facts: Iterable[Facts], fields: Collection[str], official_host: str, *, apart: bool
) -> Iterator[tuple[Facts, bytes]]:
    """Pictures in order, each with its facts. `apart`: drawn in a process of its own, a few ahead of the caller.

    Raises Unavailable, also when that process is killed. Callers with `apart` need the usual `__main__` guard.
    """
    if not apart:
        yield from ((one, draw_card(one, fields, official_host)) for one in facts)
        return
    # spawn: what was unlocked in this process is not in that one.
    with ProcessPool(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn: deque[tuple[Facts, Future[bytes]]] = deque()
        coming = iter(facts)
        try:
            while True:
                for one in itertools.islice(coming, _AHEAD - len(drawn)):
                    drawn.append((one, pool.submit(draw_card, one, tuple(fields), official_host)))
                if not drawn:
                    return
                one, card = drawn.popleft()
                yield one, card.result()
        except BrokenProcessPool as error:
            raise Unavailable(
                Text(
                    "绘图进程被终止：请检查内存后重试",
                    "the process that draws was killed: look at the memory, and try again",
                )
            ) from error
        finally:
            for _, card in drawn:
                card.cancel()


@functools.lru_cache(maxsize=64)
def _blank(
    is_post: bool, occupation: str, grade: Text, body_name: str, issued: str, asked: str, right: int
) -> Image.Image:
    """Everything but what is one person's, which most cards of a roster share. In a palette: a third of the size."""
    card = Image.new("RGB", SIZE, _PAPER)
    draw = ImageDraw.Draw(card)
    draw.rectangle((24, 24, 1176, 651), outline=_rgb(GOLD), width=4)
    draw.rectangle((36, 36, 1164, 639), outline=_rgb(GOLD), width=1)
    title = _POST if is_post else _TITLE
    _text(draw, (600, 92), title.zh, 44, _INK, anchor="mm", width=1000)
    _text(draw, (600, 142), title.en, 22, _rgb(RED), anchor="mm", width=1000)
    _text(draw, (_LEFT, 292), occupation, 38, _INK, anchor="lm", width=right - _LEFT)
    _text(draw, (_LEFT, 382), grade.zh, 72, _rgb(RED), anchor="lm", width=right - _LEFT)
    _text(draw, (_LEFT, 448), grade.en, 26, _INK, anchor="lm", width=right - _LEFT)
    draw.line((_LEFT, 494, _RIGHT, 494), fill=_rgb(GOLD), width=2)
    _text(draw, (_LEFT, 530), body_name, 26, _INK, anchor="lm", width=620)
    _text(draw, (_RIGHT, 530), issued, 22, _INK, anchor="rm", width=400)
    _text(draw, (_LEFT, 610), asked, 20, _GREY, anchor="lm", width=_RIGHT - _LEFT)
    return card.quantize(_COLOURS, Image.Quantize.FASTOCTREE)


def _strip(text: str, size: int, width: int, card: Image.Image) -> Image.Image:
    """One line of ink on paper, in the colours that the card has."""
    strip = Image.new("RGB", (width, size + 24), _PAPER)
    _text(ImageDraw.Draw(strip), (0, strip.height // 2), text, size, _INK, anchor="lm", width=width)
    return strip.quantize(palette=card, dither=Image.Dither.NONE)


def _when(facts: Facts) -> str:
    """The issue date, or from when to when a post is held."""
    if not facts.is_post:
        return f"{_ISSUED.zh} {_ISSUED.en}  {format_day(facts.issue_day)}"
    last = format_day(facts.last_day) if facts.last_day else ""
    return f"{_TERM.zh} {_TERM.en}  {format_day(facts.first_day)} – {last}".rstrip()


def _paste(card: Image.Image, photo: bytes) -> None:
    left, top = _RIGHT - _PHOTO[0], 196
    try:
        with Image.open(io.BytesIO(photo), formats=("JPEG",)) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise Malformed("thumbnail of more than a megapixel")
            shown = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Malformed("thumbnail: not a JPEG picture") from error
    shown.thumbnail(_PHOTO)
    at = (left + (_PHOTO[0] - shown.width) // 2, top + (_PHOTO[1] - shown.height) // 2)
    card.paste(shown, at)
    ImageDraw.Draw(card).rectangle(
        (at[0] - 2, at[1] - 2, at[0] + shown.width + 1, at[1] + shown.height + 1), outline=_rgb(GOLD), width=2
    )


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    *,
    anchor: str,
    width: int,
) -> None:
    """One line, made smaller until it fits `width` pixels."""
    wide = _font(size).getlength(text)
    fitting = size if wide <= width else max(10, int(size * width / wide))
    draw.text(at, text, fill=colour, font=_font(fitting), anchor=anchor)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(_FONT), size)
    except OSError as error:
        raise Unavailable(
            Text("没有安装打印字体：请重新安装本程序", "the print font is not installed; install this program again")
        ) from error


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue

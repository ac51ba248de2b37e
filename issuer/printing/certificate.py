"""The printed certificate: one A4 sheet with the fields of the ministry's 2022 notice, and
behind it the claim slip. Everything arrives formatted; nothing here knows statements or keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from issuer.printing.slip import ClaimSlip, draw_slip
from ledger.errors import Refused
from ledger.printing.fonts import Fonts
from ledger.printing.page import GOLD, GREY, HEIGHT, INK, MM, RED, WIDTH, Page, Style
from ledger.printing.qr import DOTS_PER_INCH, DOTS_PER_MODULE, QrSymbol, make_symbol
from ledger.records.number import parse_number
from ledger.text import Text

TITLE: Final = Text("职业技能等级证书", "Certificate of Vocational Skill Level")
POST_TITLE: Final = Text("技能岗位聘任证书", "Certificate of Appointment to a Skill Post")
NO_TRADE: Final = "--"
# Where the symbol lies on page 1, in points (left, bottom, right, top), with room for the largest: what a printer of
# many certificates draws again to read it.
QR_REGION: Final = (138 * MM, 34 * MM, 190 * MM, 86 * MM)

_LEFT: Final = 29.0  # mm, where labels begin
_VALUE: Final = 64.0  # mm, where entries begin
_RIGHT: Final = WIDTH - _LEFT
_PHOTO: Final = (25.0, 35.0)  # mm, one inch (一寸)
_QR_BOTTOM: Final = 41.0  # mm
_LEAST_QR: Final = 25.0  # mm without quiet zone, on paper: our own floor, for the cameras of phones
_DECLARATION: Final = Text(
    "本证书表明持证人已通过评价机构组织的职业技能等级认定，具备所列职业（工种）相应等级的技能水平。",
    "The holder has passed the assessment held by the body named below and has attained the level stated.",
)
_POST_DECLARATION: Final = Text(
    "本证书表明持证人受下列单位聘任，在所列职业（工种）担任相应技能岗位；岗位不是职业技能等级。",
    "The holder is appointed by the body named below to the skill post stated; a post is not a certified level.",
)


@dataclass(frozen=True, slots=True)
class CertificateFace:
    """What page 1 shows. Strings are printed as they are, except that the number is set in groups.

    `issue_date` is a day since 1970-01-01 or ready text; `trade` is "--" where there is none; `photo` is JPEG or PNG;
    `qr_text` is the code's content and `link` the page it opens (the same, cut before `#`).
    """

    body_name: str  # the assessment body, exactly as filed
    name: str
    document_type: str
    document_number: str  # full or masked, as the caller decides
    occupation: str
    trade: str
    grade: str  # "三级/高级工"
    grade_en: str  # "Level III / Advanced skilled worker"; may be empty
    number: str
    issue_date: int | str
    official_host: str
    qr_text: str
    link: str
    photo: bytes | None = None
    body_query_url: str | None = None
    post: Text | None = None  # from when to when a post is held; None for a certificate of a grade

    def __post_init__(self) -> None:
        for field in ("body_name", "name", "document_type", "document_number", "occupation", "trade", "grade"):
            assert getattr(self, field), f"{field} is printed"
        assert self.number and self.official_host, "number and host are printed"
        assert self.qr_text.startswith(self.link), "the code opens the link"
        assert f"//{self.official_host}/" in self.link, "the host in words is the host of the code"

    def issue_text(self) -> Text:
        if isinstance(self.issue_date, str):
            return Text(self.issue_date, self.issue_date)
        day = date(1970, 1, 1) + timedelta(days=self.issue_date)
        return Text(f"{day.year}年{day.month}月{day.day}日", day.isoformat())


def number_groups(number: str) -> list[str]:
    """A number by its parts, as pages group it too; numbers of unknown form in fours."""
    try:
        groups = parse_number(number).grouped.split(" ")
    except Refused:
        groups = []
    return groups if len(groups) > 1 else [number[at : at + 4] for at in range(0, len(number), 4)]


def printed_text(face: CertificateFace, slip: ClaimSlip) -> str:
    """Every character that depends on the row, for the glyph check before issuing."""
    when = face.issue_text()
    return "".join(
        [face.body_name, face.name, face.document_type, face.document_number, face.occupation, face.trade]
        + [face.grade, face.grade_en, face.number, when.zh, when.en, face.official_host]
        + ([face.post.zh, face.post.en] if face.post else [])
        + [face.body_query_url or "", slip.name, slip.number, slip.holder_code]
        + [part for line in slip.instructions for part in (line.zh, line.en)]
    )


def module_dots(symbol: QrSymbol) -> int:
    """Printer dots a module: 5, or as many more as a small symbol needs to reach 25 mm."""
    least = math.ceil(_LEAST_QR / 25.4 * DOTS_PER_INCH / symbol.size)
    return max(DOTS_PER_MODULE, least)


def render_certificate(
    face: CertificateFace,
    slip: ClaimSlip,
    fonts: Fonts,
    attachments: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    """The PDF: page 1 the certificate, page 2 the claim slip. The same input gives the same bytes.

    Raises Refused GLYPH_MISSING or QR_TOO_DENSE (print again with `qr_text` = `link`), Malformed for a photo that is
    none or a text that fits no place.
    """
    fonts.check("certificate", printed_text(face, slip))
    symbol = make_symbol(face.qr_text)
    title = POST_TITLE if face.post else TITLE
    page = Page(fonts, title=f"{title.zh} {face.number}", author=face.body_name, subject=title.en)
    page.attach(attachments)
    page.frame()
    _heading(page, face)
    _person(page, face)
    _grade(page, face)
    _issue(page, face)
    _code(page, face, symbol)
    page.next()
    draw_slip(page, slip, face.body_name, number_groups(slip.number))
    return page.finish()


def _heading(page: Page, face: CertificateFace) -> None:
    middle = WIDTH / 2
    title, declaration = (POST_TITLE, _POST_DECLARATION) if face.post else (TITLE, _DECLARATION)
    page.text(middle, 249, title.zh, Style(37, INK, spacing=5, weight=0.9, align="centre"))
    page.text(middle, 238, title.en, Style(13, RED, spacing=0.9, align="centre"))
    page.line(middle - 40, 232, middle - 3, 232, GOLD, 0.6)
    page.line(middle + 3, 232, middle + 40, 232, GOLD, 0.6)
    page.diamond(middle, 232, 1.3, RED)
    page.fitted(middle, 222.5, declaration.zh, Style(10.5, INK, align="centre"), _RIGHT - _LEFT)
    page.fitted(middle, 216, declaration.en, Style(8.5, GREY, align="centre"), _RIGHT - _LEFT)


def _entry(page: Page, y: float, zh: str, en: str, value: str, right: float, size: float = 12) -> None:
    """One labelled entry on its rule. Labels are bilingual; entries are 小四 (12 pt) unless larger."""
    page.text(_LEFT, y, zh, Style(10.5, GREY, spacing=0.6))
    page.text(_LEFT, y - 3.7, en, Style(6.5, GREY))
    page.fitted(_VALUE, y - 0.6, value, Style(size), right - _VALUE - 1)
    page.line(_VALUE - 1, y - 4.4, right, y - 4.4, GOLD, 0.35)


def _person(page: Page, face: CertificateFace) -> None:
    beside = _RIGHT - _PHOTO[0] - 9
    _entry(page, 200, "姓名", "Name", face.name, beside, 16)
    _entry(page, 187, "证件类型", "Identity document", face.document_type, beside)
    _entry(page, 174, "证件号码", "Document number", face.document_number, beside)
    _entry(page, 161, "职业名称", "Occupation", face.occupation, _RIGHT)
    _entry(page, 148, "工种/职业方向", "Trade", face.trade, _RIGHT)
    x, y = _RIGHT - _PHOTO[0], 169.5
    if face.photo is not None:
        page.photo(face.photo, x, y, *_PHOTO)
        page.box(x, y, *_PHOTO, GOLD, 0.5)
    else:
        page.box(x, y, *_PHOTO, GOLD, 0.5)
        page.text(x + _PHOTO[0] / 2, y + 18, "照片", Style(9, GREY, align="centre"))
        page.text(x + _PHOTO[0] / 2, y + 14.5, "Photo", Style(6.5, GREY, align="centre"))


def _grade(page: Page, face: CertificateFace) -> None:
    middle = WIDTH / 2
    page.text(middle, 134.5, "聘任岗位" if face.post else "职业技能等级", Style(10.5, GREY, spacing=2, align="centre"))
    page.fitted(middle, 121, face.grade, Style(32, RED, spacing=2.5, weight=0.7, align="centre"), 140, lines=1)
    beneath = f"{face.post.zh}   {face.post.en}" if face.post else face.grade_en
    if beneath:
        page.fitted(middle, 112.5, beneath, Style(12, INK, spacing=0.3, align="centre"), 140, lines=1)
    y = 99.0
    page.text(_LEFT, y, "证书编号", Style(10.5, GREY, spacing=0.6))
    page.text(_LEFT, y - 3.7, "Certificate number", Style(6.5, GREY))
    page.grouped(_VALUE, y - 0.6, number_groups(face.number), Style(15, INK, spacing=0.5), 1.6)
    page.line(_VALUE - 1, y - 4.4, _RIGHT, y - 4.4, GOLD, 0.35)


def _issue(page: Page, face: CertificateFace) -> None:
    when = face.issue_text()
    page.text(_LEFT, 80, "评价机构（盖章）", Style(10.5, GREY, spacing=0.6))
    page.text(_LEFT, 76.3, "Assessment body (seal)", Style(6.5, GREY))
    page.fitted(_LEFT, 67.5, face.body_name, Style(14), 98)
    page.text(_LEFT, 53.5, "发证日期", Style(10.5, GREY, spacing=0.6))
    page.text(_LEFT, 49.8, "Date of issue", Style(6.5, GREY))
    page.text(_VALUE - 12, 52.6, when.zh, Style(12))
    if when.en != when.zh:
        page.text(_VALUE - 12, 49, when.en, Style(6.5, GREY))
    page.text(_LEFT, 38, f"证书查询 Verify   {face.link.partition('/c/')[0]}/", Style(8, GREY))
    if face.body_query_url:
        address = f"机构查询 Assessment body   {face.body_query_url}"
        page.fitted(_LEFT, 33.5, address, Style(8, GREY), 110, smallest=6, lines=1)
    page.text(
        WIDTH / 2,
        24.5,
        "真伪与现时等级以扫码查询结果为准；请同时核对本人照片和身份证件。",
        Style(7.5, GREY, align="centre"),
    )
    page.text(
        WIDTH / 2,
        21.2,
        "Scan the code for authenticity and the current grade; compare the photo and the identity document.",
        Style(6.5, GREY, align="centre"),
    )


def _code(page: Page, face: CertificateFace, symbol: QrSymbol) -> None:
    edge = page.symbol(symbol, _RIGHT + 3, _QR_BOTTOM, module_dots(symbol), face.link)
    assert edge <= (HEIGHT - _QR_BOTTOM) and edge < 46, "the largest symbol fits its region"
    middle = _RIGHT + 3 - edge / 2
    page.text(middle, 38, "扫码后网址应为", Style(7.5, GREY, align="centre"))
    page.fitted(middle, 33.7, face.official_host, Style(10, INK, align="centre"), 46, smallest=6, lines=2)
    page.text(middle, 29.6, "The address must show this host", Style(6, GREY, align="centre"))

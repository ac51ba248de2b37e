"""The claim slip, page 2: the holder code, handed over with the certificate and never shown on its face, and below the
cut line the stub that the assessment body keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.printing.page import GOLD, GREY, INK, RED, WIDTH, Page, Style
from ledger.text import Text

INSTRUCTIONS: Final = (
    Text(
        "持证人码是您管理本证书的唯一凭证：凭它可查看完整记录、生成分享链接、关闭分享。请像保管密码一样保管。",
        "This code alone lets you see your full record and open or close links that share it. Keep it like a password.",
    ),
    Text(
        "切勿将持证人码交给用人单位、培训机构或任何其他人。核验证书只需扫描第1页的二维码，不需要本码。",
        "Never hand this code to an employer, a trainer or anyone else. Checking needs only the QR code on page 1.",
    ),
    Text(
        "发送电子版证书时，请只发送第1页，不要发送本页。",
        "When you send the certificate as a file, send page 1 only and never this page.",
    ),
    Text(
        "本码遗失或泄露时，请持身份证件到评价机构申请换发证书，旧码随即作废。",
        "If the code is lost or seen by others, ask the assessment body for a reissue; the old code then ends.",
    ),
)

_LEFT: Final = 27.0  # mm
_RIGHT: Final = WIDTH - _LEFT
_CUT: Final = 96.0  # mm from the bottom


@dataclass(frozen=True, slots=True)
class ClaimSlip:
    """What page 2 shows. `holder_code` is the code's one spelling (upper case, no gaps); it is set in groups."""

    name: str
    number: str
    holder_code: str
    instructions: tuple[Text, ...] = INSTRUCTIONS

    def __post_init__(self) -> None:
        assert self.name and self.number, "the slip names certificate and holder"
        assert self.holder_code.isalnum() and self.holder_code.isascii(), "the code as it is typed"
        assert 1 <= len(self.instructions) <= 5, "instructions that fit the slip"


def code_groups(code: str) -> list[str]:
    """Groups of four, the last one of what is left."""
    return [code[at : at + 4] for at in range(0, len(code), 4)]


def draw_slip(page: Page, slip: ClaimSlip, body_name: str, number_groups: Sequence[str]) -> None:
    """Fill a page. Raises Malformed when a text fits no place, Refused GLYPH_MISSING."""
    middle = WIDTH / 2
    page.text(middle, 266, "持证人领取凭条", Style(24, INK, spacing=3, weight=0.5, align="centre"))
    page.text(middle, 258, "Claim slip for the holder", Style(11, GREY, spacing=0.5, align="centre"))
    warning = "仅交持证人本人 · 请勿交给用人单位"
    page.box(_LEFT, 238.5, _RIGHT - _LEFT, 13, RED, 0.8)
    page.text(middle, 245.8, warning, Style(12, RED, spacing=0.8, weight=0.25, align="centre"))
    page.text(
        middle, 241, "For the holder only. Do not hand this page to an employer.", Style(8.5, RED, align="centre")
    )
    _row(page, 226, "持证人", "Holder", [slip.name])
    _row(page, 214, "证书编号", "Certificate number", number_groups)

    page.text(middle, 200, "持证人码  Holder code", Style(10.5, GREY, spacing=0.5, align="centre"))
    page.box(_LEFT, 180, _RIGHT - _LEFT, 16, GOLD, 0.6)
    style = Style(19, INK, spacing=1.2, weight=0.2)
    groups, gap = code_groups(slip.holder_code), 3.4
    total = sum(page.text_width(group, style) for group in groups) + gap * (len(groups) - 1)
    page.grouped(middle - total / 2, 185.6, groups, style, gap)

    y = 169.5
    for index, line in enumerate(slip.instructions, 1):
        page.text(_LEFT, y, f"{index}.", Style(9.5, RED))
        page.fitted(_LEFT + 6, y, line.zh, Style(9.5), _RIGHT - _LEFT - 6, smallest=6.5, lines=1)
        page.fitted(_LEFT + 6, y - 5, line.en, Style(8, GREY), _RIGHT - _LEFT - 6, smallest=6, lines=1)
        y -= 14

    page.line(10, _CUT, WIDTH - 10, _CUT, GREY, 0.6, (4, 3))
    page.text(middle, _CUT + 2, "沿此线剪下   Cut here", Style(7.5, GREY, align="centre"))
    _stub(page, slip, body_name, number_groups)


def _stub(page: Page, slip: ClaimSlip, body_name: str, number_groups: Sequence[str]) -> None:
    """What the body files: who received, without the code."""
    page.text(WIDTH / 2, 81, "签收存根", Style(15, INK, spacing=2, align="centre"))
    page.text(
        WIDTH / 2,
        75.5,
        "Receipt, kept by the assessment body (carries no code)",
        Style(8, GREY, align="centre"),
    )
    _row(page, 64, "评价机构", "Assessment body", [body_name])
    _row(page, 52, "持证人", "Holder", [slip.name])
    _row(page, 40, "证书编号", "Certificate number", number_groups)
    for x, zh, en in ((_LEFT, "领取人签字", "Received by (signature)"), (120.0, "日期", "Date")):
        page.text(x, 26, zh, Style(10.5, GREY))
        page.text(x, 22.3, en, Style(6.5, GREY))
    page.line(_LEFT + 32, 22, 112, 22, GREY, 0.4)
    page.line(134, 22, _RIGHT, 22, GREY, 0.4)


def _row(page: Page, y: float, zh: str, en: str, groups: Sequence[str]) -> None:
    page.text(_LEFT, y, zh, Style(10.5, GREY, spacing=0.6))
    page.text(_LEFT, y - 3.7, en, Style(6.5, GREY))
    x = _LEFT + 38
    if len(groups) == 1:
        page.fitted(x, y - 0.6, groups[0], Style(13), _RIGHT - x)
    else:
        page.grouped(x, y - 0.6, groups, Style(13, INK, spacing=0.5), 1.5)

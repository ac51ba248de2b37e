"""A receipt on one A4 page, in both languages, with the JSON receipt embedded as `receipt.json`.

The page is for people; what counts is the embedded file, and the page says so. Not safe in threads: reportlab keeps
state of the process, so one lock guards it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ledger.errors import Malformed, Refused
from ledger.printing.fonts import Fonts, load_fonts
from ledger.printing.page import GREY, HEIGHT, INK, WIDTH, Page, Style
from ledger.printing.qr import make_symbol
from ledger.records.dates import parse_day
from ledger.records.secret import SECRET_CHARS
from ledger.text import Text
from verifier.messages import Messages, say_time
from verifier.receipts.receipt import ATTACHED, Receipt, format_receipt
from verifier.verdict import Code

_LEFT: Final = 22.0  # mm
_RIGHT: Final = WIDTH - 22.0
_VALUE: Final = 72.0
_DOTS: Final = 7  # of 1/300 inch a module: read from a screen or from office paper
_COLOURS: Final = {
    "good": (0.04, 0.40, 0.21),
    "outline": (0.04, 0.40, 0.21),
    "caution": (0.54, 0.29, 0.0),
    "bad": (0.70, 0.09, 0.11),
}
_DRAWING: Final = threading.Lock()


def print_receipt(receipt: Receipt, messages: Messages) -> bytes:
    """The PDF. Takes about 0.1 s the first time; call it off the event loop. Raises Unavailable without the font."""
    with _DRAWING:
        return _Paper(receipt, messages, load_fonts()).draw()


class _Paper:
    def __init__(self, receipt: Receipt, messages: Messages, fonts: Fonts) -> None:
        self._receipt = receipt
        self._messages = messages
        self._fonts = fonts
        title = messages.labels["receipts_title"]
        self._page = Page(fonts, title=title.both(), author=receipt.verifier, subject=receipt.code)
        self._y = HEIGHT - 20.0

    def draw(self) -> bytes:
        receipt, labels = self._receipt, self._messages.labels
        title = labels["receipts_title"]
        self._page.text(WIDTH / 2, self._y, title.zh, Style(20, INK, spacing=2, weight=0.4, align="centre"))
        self._page.text(WIDTH / 2, self._y - 7, title.en, Style(10.5, GREY, align="centre"))
        self._y -= 20
        self._band()
        for label, value in self._rows():
            self._row(labels[label], value)
        self._foot()
        self._page.attach([(ATTACHED, format_receipt(receipt))])
        return self._page.finish()

    def _band(self) -> None:
        wording = self._messages.wordings[Code(self._receipt.code)]
        verdict = self._receipt.verdict
        colour = _COLOURS.get(wording.family, INK)
        self._page.box(_LEFT, self._y - 18, _RIGHT - _LEFT, 24, colour, 1.2)
        self._fit(_LEFT + 4, self._y - 2, wording.title.both(), Style(14, colour, weight=0.3), _RIGHT - _LEFT - 8)
        self._fit(_LEFT + 4, self._y - 9, _both(verdict["line"]), Style(10, INK), _RIGHT - _LEFT - 8)
        said = self._messages.labels["receipts_then"].both()
        self._fit(_LEFT + 4, self._y - 15, said, Style(8, GREY), _RIGHT - _LEFT - 8)
        self._y -= 27

    def _rows(self) -> list[tuple[str, str]]:
        receipt, verdict = self._receipt, self._receipt.verdict
        rows = [("checked", _time(receipt.checked_at_ms)), ("receipts_by", receipt.verifier)]
        found = verdict["certificate"]
        if found:
            rows += [
                ("holder", found["name"] or "--"),
                ("number", found["number"] or "--"),
                ("grade", _both(found["grade"])),
                ("occupation", f"{found['occupation']}  {found['occupation_code']}"),
                ("trade", found["trade"] or "--"),
                ("issued", found["issue_date"] + self._delay(found)),
                ("status", self._messages.labels[f"status_{found['status']}"].both()),
            ]
            if found["logged_at"]:
                rows.append(("logged", _time(_ms(found["logged_at"]))))
            rows += self._more(found)
        if verdict["issuer"]:
            rows.append(("issuer", f"{verdict['issuer']['name']}  {verdict['issuer']['filing_number']}"))
        if verdict["as_of"]:
            rows.append(("data_as_of", _time(_ms(verdict["as_of"]))))
        if verdict["proof"]:
            proof: Mapping[str, Any] = verdict["proof"]
            rows += [
                ("log_name", proof["origin"]),
                ("log_index", f"{proof['index']} < {proof['size']}"),
                ("leaf_hash", proof["leaf_hash"]),
                ("log_root", proof["root"]),
            ]
        if receipt.file_digest:
            rows.append(("receipts_file", receipt.file_digest.hex()))
        rows.append(("receipts_key", receipt.public.hex()))
        return rows

    def _more(self, found: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What not every certificate has, as pages and `check` say it."""
        labels, rows = self._messages.labels, list[tuple[str, str]]()
        current, held = found["current"], found["held_post"]
        if found["post"]:
            rows.append(("post_days", self._term(found["post"])))
        if found["corrected"]:
            rows.append(("corrected", found["corrected"]))
        if current:
            trade = f"{current['trade']}  " if current["trade"] else ""
            notes = [labels["current_this"].both() if current["is_this"] else current["since"]]
            if current.get("log"):  # receipts of before have no such key
                notes.append(labels["current_log"].format(log=current["log"]).both())
            note = "; ".join(filter(None, notes))
            rows.append(("current", trade + _both(current["grade"]) + (f"  ({note})" if note else "")))
        if held:
            rows.append(("held", f"{_both(held['grade'])}  {self._term(held)}"))
        return rows

    def _term(self, days: Mapping[str, Any]) -> str:
        return f"{days['first_day']} – {days['last_day'] or self._messages.labels['open_ended'].both()}"

    def _delay(self, found: Mapping[str, Any]) -> str:
        day, logged = parse_day(found["issue_date"]), found["logged_at"]
        said = self._messages.delay(day, None if logged is None else _ms(logged), late=found["late_entry"])
        return "" if said is None else f"  ({said.both()})"

    def _row(self, label: Text, value: str) -> None:
        self._fit(_LEFT, self._y, label.both(), Style(8.5, GREY), _VALUE - _LEFT - 3)
        self._fit(_VALUE, self._y, value, Style(10.5, INK), _RIGHT - _VALUE)
        self._page.line(_LEFT, self._y - 2.6, _RIGHT, self._y - 2.6, (0.85, 0.86, 0.88), 0.4)
        self._y -= 8.2

    def _foot(self) -> None:
        labels, link = self._messages.labels, self._receipt.asked.partition("#")[0]
        bottom, width = 18.0, _RIGHT - _LEFT
        edge = 0.0
        # What was asked is a stranger's text: only a certificate's own address becomes a code and a link to tap.
        if re.fullmatch(re.escape(f"{self._receipt.verifier}/c/") + f"[0-9A-Z]{{{SECRET_CHARS}}}", link, re.ASCII):
            edge = self._page.symbol(make_symbol(link), _RIGHT, bottom, _DOTS, link)
        y = bottom + 24
        for key in ("receipts_again", "receipts_offline", "receipts_person"):
            for line, style in ((labels[key].zh, Style(9, INK)), (labels[key].en, Style(8, GREY))):
                self._fit(_LEFT, y, line, style, width - edge - 4, lines=1)
                y -= 4.4
            y -= 0.8

    def _fit(self, x: float, y: float, text: str, style: Style, width: float, *, lines: int = 2) -> None:
        """Text for its place; what the font lacks is told by its code point, what is too long is cut with a mark."""
        shown = "".join(c if ord(c) in self._fonts.covered else f"[U+{ord(c):04X}]" for c in text)
        for end in range(len(shown), 0, -8):
            cut = shown if end == len(shown) else shown[:end] + "…"
            try:
                self._page.fitted(x, y, cut, style, width, smallest=6.0, lines=lines)
            except Malformed:
                continue
            return
        raise Refused("NO_RECEIPT", "text", self._messages.labels["receipts_unprintable"])


def _both(text: Mapping[str, str]) -> str:
    return f"{text['zh']} / {text['en']}"


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _time(ms: int) -> str:
    return say_time(ms, "zh")

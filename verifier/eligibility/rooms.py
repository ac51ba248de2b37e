"""What the handlers of eligibility share: the office behind them, and how a decision is shown on a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

from aiohttp import web

from ledger.errors import Malformed
from ledger.records.dates import batch_day, parse_day
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.decision import Decision, format_decision
from verifier.eligibility.earlier import asked_wage_day
from verifier.eligibility.explain import explain, trace_lines
from verifier.eligibility.gathering import Gathered, Gatherer
from verifier.eligibility.known_of import known_of_text, rests_on
from verifier.eligibility.offices import Office
from verifier.eligibility.pack import Pack
from verifier.eligibility.runs import Runs
from verifier.eligibility.tables import Outcome
from verifier.eligibility.wording import ADVICE, RESULTS
from verifier.messages import Messages
from verifier.verdict import Verdict

_FAMILIES: Final = {
    Outcome.ELIGIBLE: ("good", "✓"),
    Outcome.NOT_ELIGIBLE: ("neutral", "✕"),
    Outcome.NEEDS_INFORMATION: ("doubt", "?"),
    Outcome.REVIEW: ("caution", "!"),
}


class Templates:
    """Empty sheets by pack and language, each made once: whoever asks for one starts no process. All that wait for one
    that cannot be made hear it at the same time."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], asyncio.Task[bytes]] = {}  # or being made
        self._making = asyncio.Lock()

    async def of(self, pack_id: str, lang: str, make: Callable[[], bytes]) -> bytes:
        """`make` runs in a thread. Raises what it raises."""
        key = pack_id, lang
        if key not in self._made:
            made = self._made[key] = asyncio.create_task(self._make(make))
            made.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(self._made[key])

    async def _make(self, make: Callable[[], bytes]) -> bytes:
        async with self._making:
            return await asyncio.to_thread(make)

    def _ended(self, key: tuple[str, str], made: asyncio.Task[bytes]) -> None:
        if made.cancelled() or made.exception() is not None:
            del self._made[key]


@dataclass(frozen=True, slots=True)
class Counter:
    """What the handlers need."""

    office: Office
    gatherer: Gatherer
    runs: Runs
    ladder: Ladder
    messages: Messages
    now_ms: Callable[[], int]
    templates: Templates

    @property
    def today(self) -> int:
        return batch_day(self.now_ms())

    def day(self, text: str) -> int:
        """The day that somebody asks about; today where none is given. Raises Malformed."""
        return parse_day(text) if text else self.today

    def wage_day(self, text: str) -> int:
        """The day of a payroll: as `day`, or `yyyy-mm` for the last day of a month that is over. Raises Malformed,
        Refused MONTH_NOT_OVER."""
        return asked_wage_day(text, self.today)

    def label(self, key: str, lang: str) -> str:
        return self.messages.labels[key].of(lang)


COUNTER: Final = web.AppKey("eligibility_counter", Counter)


def pack_lines(packs: list[Pack], lang: str) -> list[dict[str, Any]]:
    """Packs to choose from."""
    return [{"id": pack.id, "title": pack.title.of(lang), "sample": pack.sample} for pack in packs]


def decision_view(decision: Decision, pack: Pack, ladder: Ladder, lang: str) -> dict[str, Any]:
    """A decision for a template: its band, sentences, sources, and every condition."""
    family, mark = _FAMILIES[decision.result]
    said = [text for text in explain(decision, pack, ladder)[1:] if text is not ADVICE]
    result = RESULTS[decision.result].of(lang)
    sources = [text.of(lang) for text in said if is_source(text)]
    return {
        "family": family,
        "mark": mark,
        "result": result[:1].upper() + result[1:],
        "pack": pack.title.of(lang),
        "said": [text.of(lang).strip() for text in said if not is_source(text)],
        "sources": sources,
        "known_of": bool(rests_on(decision, pack)),  # then `said` has it
        "sample": decision.sample,
        "trace": [(text.of(lang).startswith("  ") or text.of(lang).startswith("　"), text.of(lang).strip())
                  for text in trace_lines(decision, pack, ladder)],
        "digest": decision.digest.hex(),
        "claim": None
        if pack.claim is None or not decision.certificates
        else (decision.certificates[0].cert_key.hex(), sha256(format_decision(decision)).hexdigest()),
    }  # fmt: skip


def is_source(text: Text) -> bool:
    return text.zh.startswith("依据：")


def check_view(gathered: Gathered, messages: Messages, lang: str) -> dict[str, Any]:
    """What the check of one certificate came to, without anything that a page of another person should show."""
    verdict: Verdict = gathered.verdict
    wording, view = messages.wordings[verdict.code], verdict.certificate
    counts = gathered.certificate is not None
    log = view.current.log if view and view.current else ""
    return {
        "mark": wording.mark,
        "title": wording.title.of(lang),
        "counts": counts,
        "line": messages.line(verdict).of(lang),
        "grade": view.grade.of(lang) if view and counts else "",
        "occupation": " ".join(filter(None, (view.occupation, view.trade))) if view and counts else "",
        "current": view.current.grade.of(lang) if view and counts and view.current else "",
        "log": known_of_text((log,)).of(lang) if counts and log else "",
    }


def other_lang(lang: str) -> str:
    return "en" if lang == "zh" else "zh"


def chosen(fields: Mapping[str, str], lang: str) -> str:
    """The language of a form's own field, else that of the request."""
    return fields["lang"] if fields.get("lang") in ("zh", "en") else lang


def the_day(counter: Counter, fields: Mapping[str, str]) -> int:
    """Raises Malformed for what is no day."""
    text = fields.get("as_of", "").strip()
    if len(text) > 10:
        raise Malformed(Text("截止日期：年-月-日，如 2026-07-01", "as_of: yyyy-mm-dd"))
    return counter.day(text)

"""The words for verdicts and pages, in Chinese and English: one catalogue for page, API, script and sheets.

`verdicts.json` has the verdicts and what every page says; `words/ROOM.json` what one part of the site says.

The catalogue is checked when it is loaded: every code, both languages, no value that no code provides.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from ledger.records.dates import MS_PER_DAY, SHANGHAI_OFFSET_MS, batch_day
from ledger.text import Text
from verifier.causes import Cause
from verifier.steps import HISTORIC, OUTDATED, POST_UNFOUNDED
from verifier.verdict import CAUSES, GREEN, Code, Verdict, cause_of
from verifier.verdict_json import text_json, to_json

FAMILIES: Final = frozenset({"good", "outline", "caution", "bad", "doubt", "neutral", "offline"})
DELAY_SHOWN_DAYS: Final = 30  # from issue date to registration
MARKS: Final = frozenset("✓✕?!")
# Values a sentence may name, by the code that provides them.
_VALUES: Final[Mapping[Code, frozenset[str]]] = {
    Code.VALID_UPGRADED: frozenset({"current_grade", "current_since"}),
    Code.REVOKED: frozenset({"since", "reason"}),
    Code.ENDED: frozenset({"since"}),
    Code.WRONG_DOMAIN: frozenset({"found_host", "official_host"}),
    Code.OFFLINE_BUNDLE_OK: frozenset({"as_of", "age"}),
    Code.STALE: frozenset({"as_of"}),
}
_CAUSE_VALUES: Final[Mapping[Code, frozenset[str]]] = {Code.STALE: frozenset({"as_of", "age"})}  # beside its detail
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Said:
    """What one cause of a code reads like; `line` may still name values."""

    line: Text
    next_steps: tuple[Text, ...]

    def __post_init__(self) -> None:
        assert self.next_steps, "something can always be done"


@dataclass(frozen=True, slots=True)
class Wording:
    """How one code looks and reads; `line` may still name values. It and `next_steps` are for no cause at all."""

    family: str  # colour family, one of FAMILIES
    icon: str  # id in pages/icons.json
    mark: str  # first character of the page title
    title: Text
    line: Text
    next_steps: tuple[Text, ...]
    causes: Mapping[Cause, Said]

    def said(self, cause: Cause | None) -> Said:
        return Said(self.line, self.next_steps) if cause is None else self.causes[cause]

    def __post_init__(self) -> None:
        assert self.family in FAMILIES and self.mark in MARKS and self.icon and self.next_steps


@dataclass(frozen=True, slots=True)
class Messages:
    """The whole catalogue."""

    wordings: Mapping[Code, Wording]
    labels: Mapping[str, Text]

    def line(self, verdict: Verdict) -> Text:
        """The one-line meaning with the values of this verdict in it."""
        said = self._meant(verdict)
        if not any(finding is HISTORIC for finding in verdict.findings):
            return said
        label = self.labels["valid_then" if said == self.wordings[Code.VALID].line else "then"]
        assert verdict.as_of_ms is not None, "an earlier moment is told"
        then = {lang: say_time(verdict.as_of_ms, lang) for lang in ("zh", "en")}
        return Text(
            label.zh.format(as_of=then["zh"], line=said.zh),
            label.en.format(as_of=then["en"], line=said.en),
        )

    def _meant(self, verdict: Verdict) -> Text:
        """The line, of whatever moment the verdict is about."""
        template, cause, view = self.wordings[verdict.code].line, cause_of(verdict), verdict.certificate
        if cause is not None:
            template = self.wordings[verdict.code].causes[cause].line
        elif view is not None and verdict.code in GREEN and view.post is not None and _to_come(view.post[0], verdict):
            label, day = self.labels["post_to_come"], view.post[0]
            return Text(*(label.of(lang).format(date=say_day_number(day, lang)) for lang in ("zh", "en")))
        elif verdict.code is Code.VALID and view is not None and view.post and POST_UNFOUNDED in verdict.findings:
            return self.labels["post_unfounded"]
        elif verdict.code is Code.VALID_CORRECTED and view is not None and not view.personal_available:
            return self.labels["corrected_unopened"]
        elif verdict.code not in _VALUES:
            return template
        return Text(
            template.zh.format(**self._values(verdict, "zh")),
            template.en.format(**self._values(verdict, "en")),
        )

    def unnamed(self, verdict: Verdict) -> Text:
        """What stands where a name would, when it could not be opened."""
        view = verdict.certificate
        corrected = view is not None and view.corrected_day is not None
        return self.labels["name_outdated" if corrected or OUTDATED in verdict.findings else "name_unavailable"]

    def next_steps(self, code: Code, cause: Cause | None) -> tuple[Text, ...]:
        """What to do about a verdict of this code and cause."""
        return self.wordings[code].said(cause).next_steps

    def as_json(self, verdict: Verdict) -> dict[str, object]:
        """`to_json` plus the words of the code: title, line, next (list), each {"zh", "en"}."""
        wording = self.wordings[verdict.code]
        return to_json(verdict) | {
            "title": text_json(wording.title),
            "line": text_json(self.line(verdict)),
            "next": [text_json(step) for step in self.next_steps(verdict.code, cause_of(verdict))],
        }

    def labels_in(self, lang: str) -> dict[str, str]:
        return {key: text.of(lang) for key, text in self.labels.items()}

    def age(self, ms: int, lang: str) -> str:
        """A length of time in its largest whole unit: `12 秒`, `3 h`. Below one second: a word for it."""
        seconds = max(0, ms) // 1000
        for label, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
            if seconds >= unit:
                return self.labels[label].of(lang).format(n=seconds // unit)
        return self.labels["now"].of(lang)

    def delay(self, issue_day: int, logged_at_ms: int | None, *, late: bool) -> Text | None:
        """What is said of a certificate that was entered long after its issue date, wherever one is shown: back-dating
        shows. `late`: under a permit of the authority. None where there is nothing to say."""
        days = 0 if logged_at_ms is None else batch_day(logged_at_ms) - issue_day
        if days <= DELAY_SHOWN_DAYS:
            return None
        said = self.labels["delay"].format(n=days)
        permitted = self.labels["late_entry"]
        return Text(f"{said.zh} · {permitted.zh}", f"{said.en} · {permitted.en}") if late else said

    def _values(self, verdict: Verdict, lang: str) -> dict[str, str]:
        values = {
            key: say_day(date.fromisoformat(value), lang) if key == "since" else value
            for key, value in verdict.detail.items()
        }
        if f"reason_{lang}" in values:
            values["reason"] = values[f"reason_{lang}"]
        if verdict.as_of_ms is not None:
            values["as_of"] = say_time(verdict.as_of_ms, lang)
            values["age"] = self.age(verdict.checked_at_ms - verdict.as_of_ms, lang)
        if verdict.certificate is not None and verdict.certificate.current is not None:
            current = verdict.certificate.current
            values["current_grade"] = current.grade.of(lang)
            comma = "，" if lang == "zh" else ", "
            since = current.since_day
            values["current_since"] = "" if since is None else comma + say_day_number(since, lang)
        return values


def _to_come(first_day: int, verdict: Verdict) -> bool:
    """Whether a post begins only after the day that the verdict is about."""
    then = any(finding is HISTORIC for finding in verdict.findings)
    asked = verdict.as_of_ms if then and verdict.as_of_ms is not None else verdict.checked_at_ms
    return first_day > batch_day(asked)


def say_day(day: date, lang: str) -> str:
    """`2026-03-01` in Chinese, `1 Mar 2026` in English."""
    return day.isoformat() if lang == "zh" else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


@lru_cache(4096)  # the same days and seconds over and over: of one checkpoint, one batch, one moment of asking
def say_day_number(day: int, lang: str) -> str:
    """`say_day` of days since 1970-01-01."""
    return say_day(date(1970, 1, 1) + timedelta(days=day), lang)


def say_time(ms: int, lang: str) -> str:
    """Unix milliseconds as wall time of Asia/Shanghai with its zone, to the second."""
    return _say_second(ms // 1000, lang)


@lru_cache(4096)
def _say_second(second: int, lang: str) -> str:
    day, left = divmod(second + SHANGHAI_OFFSET_MS // 1000, MS_PER_DAY // 1000)
    zone = "（UTC+8）" if lang == "zh" else " (UTC+8)"
    return f"{say_day_number(day, lang)} {left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}{zone}"


def load_messages() -> Messages:
    """The catalogue of this package. An incomplete one is a bug and fails here."""
    folder = resources.files("verifier")
    raw = json.loads(folder.joinpath("verdicts.json").read_text("utf-8"))
    for item in sorted(folder.joinpath("words").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".json"):
            add_words(raw["labels"], item.name.removesuffix(".json"), json.loads(item.read_text("utf-8")))
    return build_messages(raw)


def add_words(labels: dict[str, Any], room: str, words: Mapping[str, Any]) -> None:
    """Take the words of one room of the site into the catalogue: each key begins with the room's name."""
    for key, entry in words.items():
        assert key.startswith(f"{room}_") and key not in labels, f"word {key} of {room}"
        labels[key] = entry


def build_messages(raw: Mapping[str, Any]) -> Messages:
    """Check a decoded catalogue: exactly the known codes, both languages, only values the code provides."""
    assert set(raw) == {"codes", "labels"} and set(raw["codes"]) == set(Code), "one entry for each code"
    wordings = {}
    for name, entry in raw["codes"].items():
        code = Code(name)
        wording = Wording(
            entry["family"],
            entry["icon"],
            entry["mark"],
            _text(entry["title"]),
            _text(entry["line"]),
            tuple(_text(step) for step in entry["next"]),
            MappingProxyType({Cause(cause): _said(said) for cause, said in entry.get("causes", {}).items()}),
        )
        for lang in ("zh", "en"):
            assert _named(wording.line, lang) == _VALUES.get(code, frozenset()), f"values of {name}"
        _check_causes(code, wording)
        wordings[code] = wording
    labels = {key: _text(entry) for key, entry in raw["labels"].items()}
    return Messages(MappingProxyType(wordings), MappingProxyType(labels))


def _check_causes(code: Code, wording: Wording) -> None:
    """Each cause of the code reads in both languages, and says all that its detail holds."""
    known = CAUSES.get(code, {})
    assert set(wording.causes) == set(known), f"causes of {code}"
    for cause, keys in known.items():
        told = {"reason" if key.startswith("reason_") else key for key in keys}
        for lang in ("zh", "en"):
            named = _named(wording.causes[cause].line, lang)
            assert told <= named <= told | _CAUSE_VALUES.get(code, frozenset()), f"values of {code} {cause}"


def _named(text: Text, lang: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text.of(lang)) if field}


def _said(entry: Mapping[str, Any]) -> Said:
    assert set(entry) == {"line", "next"}, "a cause has a line and next steps"
    return Said(_text(entry["line"]), tuple(_text(step) for step in entry["next"]))


def _text(entry: Mapping[str, str]) -> Text:
    assert set(entry) == {"zh", "en"}, "a message has exactly two languages"
    return Text(entry["zh"], entry["en"])

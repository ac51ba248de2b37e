"""The facts of a pack as a form: fields to fill in, and what was filled in as facts. Pure.

Field names: `f.NAME`, and `f.NAME.WORD` for each word of a set. An empty field is a fact that nobody gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.errors import Refused
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.kinds import Kind
from verifier.eligibility.pack import Input, Pack
from verifier.eligibility.people import read_text

_YES_NO = (("yes", Text("是", "Yes")), ("no", Text("否", "No")))


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `control` is select, checks, number, money, date or history; `value` as it was typed."""

    name: str
    label: str
    control: str
    value: str
    options: tuple[tuple[str, str], ...] = ()
    least: int = 0
    most: int = 0
    optional: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a form came to: facts as `read_facts` takes them, and the fields that cannot be read."""

    facts: Mapping[str, object]
    problems: Mapping[str, Text]


def read_form(fields: Mapping[str, str], pack: Pack, ladder: Ladder) -> Filled:
    """The facts in the fields of a form; others are left alone."""
    facts, problems = dict[str, object](), dict[str, Text]()
    for name, each in pack.inputs.items():
        try:
            value = _read(fields, name, each, ladder)
        except Refused as refused:
            problems[name] = refused.text
            continue
        if value is not None:
            facts[name] = value
    return Filled(facts, problems)


def fields_of(
    pack: Pack, ladder: Ladder, lang: str, typed: Mapping[str, str], problems: Mapping[str, Text]
) -> list[Field]:
    """The form in one language, filled with what was typed."""
    return [_field(name, each, ladder, lang, typed, problems.get(name)) for name, each in pack.inputs.items()]


def _field(name: str, about: Input, ladder: Ladder, lang: str, typed: Mapping[str, str], problem: Text | None) -> Field:
    kind, full = about.type.kind, f"f.{name}"
    options = tuple((word, text.of(lang)) for word, text in _options(about, ladder))
    control = {Kind.INT: "number", Kind.MONEY: "money", Kind.DATE: "date", Kind.SET: "checks", Kind.HISTORY: "history"}
    value = typed.get(full, "")
    if kind is Kind.SET:
        value = " ".join(word for word, _ in options if f"{full}.{word}" in typed)
    return Field(
        full,
        about.text.of(lang),
        control.get(kind, "select"),
        value,
        options,
        about.type.low,
        about.type.high,
        about.type.optional,
        problem.of(lang) if problem else "",
    )


def _options(about: Input, ladder: Ladder) -> list[tuple[str, Text]]:
    kind = about.type.kind
    if kind is Kind.BOOL:
        return list(_YES_NO)
    if kind is Kind.GRADE:
        return [(grade.zh, grade.text) for grade in ladder.grades]
    return list(about.labels.items())


def _read(fields: Mapping[str, str], name: str, about: Input, ladder: Ladder) -> object | None:
    full = f"f.{name}"
    if about.type.kind is Kind.SET:
        chosen = [word for word in about.labels if f"{full}.{word}" in fields]
        return chosen if chosen or f"{full}.none" in fields else None
    return read_text(fields.get(full, ""), about, ladder)

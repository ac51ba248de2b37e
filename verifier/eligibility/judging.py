"""Tables against values: which rows match, what that comes to, why not, and how much. Pure; steps 4 to 6 of the engine.

A row with a failed condition is out; a row with an open one (its value is not known) might match; a "no" is said only
when no row can match any more, whatever the missing facts are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from verifier.eligibility.decision import Fired, TableTrace
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Value
from verifier.eligibility.pack import Pack
from verifier.eligibility.tables import AS_OF, FAIL, OPEN, Hit, Outcome, Row, Table

_BEST: Final = (Outcome.ELIGIBLE, Outcome.REVIEW, Outcome.NEEDS_INFORMATION, Outcome.NOT_ELIGIBLE)


@dataclass(slots=True)
class Trace:
    """What is found on the way, for the decision to show."""

    tables: list[TableTrace] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    rows: list[tuple[Table, Row]] = field(default_factory=list)
    windows: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rules come to."""

    result: Outcome
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nearest: str = ""
    amount: int | None = None
    lines: tuple[tuple[str, int], ...] = ()


def judge(pack: Pack, values: dict[str, Value], trace: Trace) -> Answer:
    """The tables in order, the result, the amount; `values` grows by what the tables say, `trace` by what was found."""
    answer = None
    for table in pack.tables:  # 4
        marks, row = _answered(table, values, trace)
        deciding = table.id == pack.decides
        if deciding:
            answer = _result(pack, table, marks, values)  # 5
            if row is not None or table.hit is Hit.COLLECT:
                _fire(table, marks, trace)
        elif row is not None:
            trace.rows.append((table, row))
            trace.fired.append(Fired(table.id, row.id, tuple(sorted(row.outputs.items()))))
        open_ = row is None and any(FAIL not in each for each in marks)
        for name in table.outputs:
            values[f"tables.{table.id}.{name}"] = row.outputs[name] if row else UNKNOWN if open_ else ABSENT
    assert answer is not None, "one table decides"
    if answer.result not in (Outcome.ELIGIBLE, Outcome.REVIEW) or pack.amount is None:
        return answer
    return _paid(pack, values, answer)  # 6


def _answered(table: Table, values: dict[str, Value], trace: Trace) -> tuple[list[str], Row | None]:
    """The marks of a table, and the row whose outputs others read (of a collecting one: none)."""
    read = tuple([values[name] for name in table.columns])
    marks = table.weigh(read)
    rows = tuple(zip([row.id for row in table.rows], marks, strict=True))
    trace.tables.append(TableTrace(table.id, read, rows))
    if table.hit is Hit.COLLECT:
        return marks, None
    for row, each in zip(table.rows, marks, strict=True):
        if FAIL not in each:
            return marks, None if OPEN in each else row
    return marks, None


def _fire(table: Table, marks: list[str], trace: Trace) -> None:
    for row, each in zip(table.rows, marks, strict=True):
        if FAIL not in each and OPEN not in each:
            trace.rows.append((table, row))
            trace.fired.append(Fired(table.id, row.id, tuple(sorted(row.outputs.items()))))
            if table.hit is not Hit.COLLECT:
                return


def _result(pack: Pack, table: Table, marks: list[str], values: dict[str, Value]) -> Answer:
    """What the deciding table comes to."""
    matched, possible = list[tuple[Row, str]](), list[tuple[Row, str]]()
    for row, each in zip(table.rows, marks, strict=True):
        if FAIL not in each:
            (possible if OPEN in each else matched).append((row, each))
            if table.hit is Hit.FIRST:
                break
    if table.hit is not Hit.COLLECT and matched:
        row = matched[0][0]
        return Answer(row.outcome, (row.reason,) if row.reason else ())
    missing = tuple(sorted({fact for _, each in possible for fact in _open_facts(pack, table, each, values)}))
    if matched:
        result = min((row.outcome for row, _ in matched), key=_BEST.index)
        reasons = tuple(sorted({row.reason for row, _ in matched if row.reason}))
        return Answer(result, reasons, missing)
    if possible:
        return Answer(Outcome.NEEDS_INFORMATION, (), missing)
    return _refused(pack, table, marks)


def _open_facts(pack: Pack, table: Table, marks: str, values: dict[str, Value]) -> set[str]:
    """The facts without which the open conditions of a row cannot be told; a name itself where no fact would help."""
    found = set[str]()
    for name, mark in zip(table.columns, marks, strict=True):
        if mark == OPEN:
            facts = {fact for fact in pack.facts_of[name] if values[fact] is UNKNOWN}
            found |= facts or {name}
    return found


def _refused(pack: Pack, table: Table, marks: list[str]) -> Answer:
    """No row can match: the nearest that pays says why and what would change it.

    Nearest: fewest failed conditions; of those, the row that agrees in most of the first columns; then by id.
    """
    paying = [
        (each[0] == FAIL, each.count(FAIL), -each.find(FAIL), each.count(OPEN), row.id, row, each)
        for row, each in zip(table.rows, marks, strict=True)
        if row.outcome is Outcome.ELIGIBLE
    ] or [(True, 0, 0, 0, row.id, row, each) for row, each in zip(table.rows, marks, strict=True)]
    *_, row, each = min(paying, key=lambda item: item[:5])
    reasons = []
    for name, mark in zip(table.columns, each, strict=True):
        if mark == FAIL:
            reasons.append("NOT_IN_FORCE" if name == AS_OF else pack.column_reasons[name])
    return Answer(Outcome.NOT_ELIGIBLE, tuple(dict.fromkeys(reasons)), (), row.id)


def _paid(pack: Pack, values: dict[str, Value], answer: Answer) -> Answer:
    amount = pack.amount
    assert amount is not None
    unknown, absent = amount.gaps(values)
    if absent:
        tables = {table.id: table for table in pack.tables}
        reasons = {tables[n.split(".")[1]].reason if n.startswith("tables.") else "NO_VALUE" for n in absent}
        return Answer(Outcome.NOT_ELIGIBLE, tuple(sorted(reasons)))
    if unknown:
        missing = {fact for name in unknown for fact in pack.facts_of[name] if values[fact] is UNKNOWN} or set(unknown)
        return Answer(Outcome.NEEDS_INFORMATION, (), tuple(sorted(missing)))
    found = [(line.id, line.value(values)) for line in amount.lines]
    lines = tuple((name, fen) for name, fen in found if fen is not None)
    total = sum(fen for _, fen in lines)
    if len(lines) != len(found) or total > amount.most:
        return Answer(Outcome.REVIEW, ("AMOUNT",))
    if total < 0:
        return Answer(Outcome.REVIEW, ("OWED_BACK",), answer.missing, "", total, lines)
    return Answer(answer.result, answer.reasons, answer.missing, "", total, lines)

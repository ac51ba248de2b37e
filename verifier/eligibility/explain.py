"""A decision in words, zh and en: result, amount, reasons, what would change it, sources. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.errors import Unverified
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.amounts import Bound, Period
from verifier.eligibility.decision import Basis, Decision, TableTrace
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Kind, Value, ValueType
from verifier.eligibility.known_of import known_of_text, resting, rests_on
from verifier.eligibility.pack import Pack, Source
from verifier.eligibility.sentences import row_label, table_label
from verifier.eligibility.tables import ANY, FAIL, OPEN, PASS, Outcome, Table
from verifier.eligibility.wording import (
    ABSENT_TEXT,
    ADVICE,
    NO,
    REHEARSAL,
    RESULTS,
    ROW,
    SAMPLE,
    SPANS,
    TABLE,
    UNKNOWN_TEXT,
    UNPUBLISHED,
    VALUES,
    YES,
    day_text,
    say_cell,
)

_PERIODS = {
    Period.ONCE: Text("一次性", "once"),
    Period.MONTH: Text("每月", "a month"),
    Period.YEAR: Text("每年", "a year"),
}
_KNOWN_OF = Text("{zh}（仅就登记日志 {logs} 而言）", "{en} (as far as the log {logs} goes)")
_MARKS = {PASS: "+", FAIL: "x", OPEN: "?", ANY: "·"}


def explain(decision: Decision, pack: Pack, ladder: Ladder) -> tuple[Text, ...]:
    """The sentences for people, most important first. Raises Unverified when the pack is not the decision's."""
    return tuple(_Explainer(decision, pack, ladder).sentences())


def trace_lines(decision: Decision, pack: Pack, ladder: Ladder) -> tuple[Text, ...]:
    """Every condition of every row with the value that was read: `+` passed, `x` failed, `?` not known."""
    return tuple(_Explainer(decision, pack, ladder).trace())


class _Explainer:
    """Puts the values of one decision into words."""

    def __init__(self, decision: Decision, pack: Pack, ladder: Ladder) -> None:
        if decision.digest != pack.digest:
            raise Unverified("a decision under another pack")
        self.decision, self.pack, self.ladder = decision, pack, ladder
        self.tables = {table.id: table for table in pack.tables}
        self.logs = rests_on(decision, pack)
        self.resting = resting(pack) if self.logs else frozenset()

    def sentences(self) -> Iterator[Text]:
        d, pack = self.decision, self.pack
        result = RESULTS[d.result]
        yield Text(f"{pack.title.zh}：{result.zh}", f"{pack.title.en}: {result.en}")
        if d.amount is not None and d.period is not None:
            yield self._amount(d.amount, d.period)
        for line, fen in d.lines if len(d.lines) > 1 else ():
            text = (
                next(each.text for each in pack.amount.lines if each.id == line) if pack.amount else RESULTS[d.result]
            )
            yield Text(f"　{text.zh}：{yuan(fen)} 元", f"  {text.en}: {yuan(fen)} yuan")
        for fired in d.fired:
            if fired.table == pack.decides:
                yield from self._outputs(fired.table, fired.outputs)
        for code in d.reasons:
            yield self._reason(code)
        if d.missing:
            names = [pack.labels.get(name, Text(name, name)) for name in d.missing]
            zh, en = "、".join(each.zh for each in names), ", ".join(each.en for each in names)
            if d.result is Outcome.NEEDS_INFORMATION:
                yield Text(f"请补充：{zh}", f"Please give: {en}")
            else:
                yield Text(f"补充后可能还有更多结果：{zh}", f"More may follow with: {en}")
        yield from self._nearest()
        for name, first, last in d.windows:
            label, begins, ends = pack.labels[name], day_text(first), day_text(last)
            yield Text(f"{label.zh}：{begins.zh} – {ends.zh}", f"{label.en}: {begins.en} – {ends.en}")
        if self.logs:
            yield known_of_text(self.logs)
        for key in d.sources:
            said = source_text(pack.sources[key])
            yield Text(f"依据：{said.zh}", f"Source: {said.en}")
        if d.sample:
            yield SAMPLE
        if d.basis is Basis.UNPUBLISHED:
            yield UNPUBLISHED
        yield REHEARSAL if d.basis is Basis.REHEARSAL else ADVICE

    def trace(self) -> Iterator[Text]:
        for each in self.decision.tables:
            table = self.tables[each.table]
            for row, marks in each.rows:
                yield row_text(self.pack, table, row)
                yield from self._conditions(table, each, row, marks)

    def _amount(self, amount: int, period: Period) -> Text:
        most = self.decision.bound is Bound.AT_MOST
        said = _PERIODS[period]
        zh = f"金额：{said.zh}{'不超过 ' if most else ' '}{yuan(amount)} 元"
        return Text(zh, f"Amount: {'at most ' if most else ''}{yuan(amount)} yuan {said.en}")

    def _outputs(self, table: str, outputs: tuple[tuple[str, int | str], ...]) -> Iterator[Text]:
        for name, value in outputs:
            type_ = self.tables[table].outputs[name]
            label = self.pack.labels[f"tables.{table}.{name}"]
            word = self.pack.words.get(f"tables.{table}.{name}.{value}")
            said = word if word is not None else self._value(value, type_, {})
            if type_.kind is not Kind.MONEY:
                yield Text(f"{label.zh}：{said.zh}", f"{label.en}: {said.en}")

    def _reason(self, code: str) -> Text:
        text = self.pack.reasons[code]
        for column, marks, name, read, table in self._of_nearest():
            if self.pack.column_reasons.get(name) == code and marks == FAIL:
                cell = table.rows[column[0]].cells[column[1]]
                assert cell is not None, "a failed condition has a test"
                wanted = say_cell(cell, lambda v, n=name: self.say(n, v), dated=self._dated(name))  # type: ignore[misc]
                value = self.say(name, read)
                return Text(
                    text.zh.format(value=value.zh, wanted=wanted.zh), text.en.format(value=value.en, wanted=wanted.en)
                )
        return Text(text.zh.format(value="", wanted=""), text.en.format(value="", wanted=""))

    def _nearest(self) -> Iterator[Text]:
        """What would have to be otherwise for the nearest row to pay."""
        for (row, at), mark, name, read, table in self._of_nearest():
            cell = table.rows[row].cells[at]
            if mark == PASS or cell is None:
                continue
            wanted = say_cell(cell, lambda v, n=name: self.say(n, v), dated=self._dated(name))  # type: ignore[misc]
            label, value = self.pack.labels[name], self.say(name, read)
            yield Text(
                f"改变结果需要：{label.zh}：{wanted.zh}（现为 {value.zh}）",
                f"What would change it: {label.en}: {wanted.en} (now {value.en})",
            )

    def _of_nearest(self) -> Iterator[tuple[tuple[int, int], str, str, Value, Table]]:
        table = self.tables[self.pack.decides]
        trace = next((each for each in self.decision.tables if each.table == table.id), None)
        if not self.decision.nearest or trace is None:
            return
        row = next(at for at, (name, _) in enumerate(trace.rows) if name == self.decision.nearest)
        for at, (name, mark) in enumerate(zip(table.columns, trace.rows[row][1], strict=True)):
            yield (row, at), mark, name, trace.values[at], table

    def _conditions(self, table: Table, trace: TableTrace, row: str, marks: str) -> Iterator[Text]:
        cells = next(each for each in table.rows if each.id == row).cells
        for name, mark, cell, read in zip(table.columns, marks, cells, trace.values, strict=True):
            if cell is None:
                continue
            wanted = say_cell(cell, lambda v, n=name: self.say(n, v), dated=self._dated(name))  # type: ignore[misc]
            label, value = self.pack.labels[name], self.say(name, read)
            if name in self.resting:
                value = _KNOWN_OF.format(zh=value.zh, en=value.en, logs=", ".join(self.logs))
            yield Text(
                f"　{_MARKS[mark]} {label.zh}：{value.zh}；要求 {wanted.zh}",
                f"  {_MARKS[mark]} {label.en}: {value.en}; wanted: {wanted.en}",
            )

    def _dated(self, name: str) -> bool:
        return self.pack.types[name].kind is Kind.DATE

    def say(self, name: str, value: Value) -> Text:
        """A value of the named input in words."""
        if name in VALUES and value in VALUES[name]:
            return VALUES[name][str(value)]
        about = self.pack.inputs.get(name)
        word = self.pack.words.get(f"{name}.{value}") if type(value) is str else None
        return word or self._value(value, self.pack.types[name], about.labels if about else {})

    def _value(self, value: Value, type_: ValueType, labels: object) -> Text:
        if value is UNKNOWN or value is ABSENT:
            return UNKNOWN_TEXT if value is UNKNOWN else ABSENT_TEXT
        if isinstance(value, frozenset):
            said = [self._value(each, ValueType(Kind.ENUM, type_.values), labels) for each in sorted(value)]
            if not said:
                return ABSENT_TEXT
            return Text("、".join(each.zh for each in said), ", ".join(each.en for each in said))
        if type_.kind is Kind.GRADE:
            return self.ladder.by_ordinal(int(str(value))).text
        if type_.kind is Kind.BOOL:
            return YES if value else NO
        if type_.kind is Kind.DATE:
            return day_text(value)  # type: ignore[arg-type]
        if type_.kind is Kind.MONEY:
            return Text(f"{yuan(value)} 元", f"{yuan(value)} yuan")  # type: ignore[arg-type]
        if isinstance(labels, dict) and value in labels:
            found = labels[value]
            assert isinstance(found, Text)
            return found
        if value in SPANS and type_.values == tuple(SPANS):
            return SPANS[str(value)]
        return Text(str(value) or "-", str(value) or "-")


def row_text(pack: Pack, table: Table, row: str) -> Text:
    """The name of a row with that of its table: the pack's own, else which table and row it is."""
    named = pack.labels.get(table_label(table.id), TABLE.format(n=1 + pack.tables.index(table)))
    at = next(at for at, each in enumerate(table.rows, 1) if each.id == row)
    which = pack.labels.get(row_label(table.id, row), ROW.format(n=at))
    return Text(f"{named.zh}：{which.zh}", f"{named.en}: {which.en}")


def source_text(source: Source) -> Text:
    """Document, clause and date."""
    day = day_text(source.day)
    return Text(
        f"{source.document} {source.clause} ({day.zh})",
        f"{source.document} {source.clause} ({day.en})",
    )


def yuan(fen: int) -> str:
    """Fen as yuan: `2,000`, `1,999.50`, `-50`."""
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole:,}{f'.{rest:02}' if rest else ''}"

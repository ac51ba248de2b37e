"""Suspend, restore, revoke; end an appointment: statements that name certificates and say nothing about a person.

Lines with the same reason and day are one statement, of at most 200 certificates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from issuer.acts.act import Checked, Item
from issuer.acts.lines import Reading, Repeats, Source
from issuer.batch import World
from issuer.issue import Named, Proposed, Signed, SignedStatement
from issuer.register import Held, Register
from ledger.records.appointment import Appoint
from ledger.records.authority import Filing
from ledger.records.dates import format_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import MAX_LISTED, EndAppointment, Listed, Range, Ruling
from ledger.records.reasons import reason_text
from ledger.records.statements import issuer_entry
from ledger.sheets.problem import ERROR
from ledger.sheets.sheet import MAX_ROWS
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

_TAKEN: Final = (
    Reason.ISSUED_IN_ERROR, Reason.FRAUD, Reason.IRREGULAR_ASSESSMENT, Reason.OUT_OF_SCOPE, Reason.HOLDER_REQUEST,
    Reason.AUTHORITY_DECISION, Reason.DATA_ERROR, Reason.LOST_OR_LEAKED, Reason.OTHER,
)  # fmt: skip
REASONS: Final = {
    Kind.SUSPEND: (Reason.UNDER_REVIEW, *_TAKEN),
    Kind.REVOKE: _TAKEN,
    Kind.RESTORE: (
        Reason.CLEARED, Reason.DECIDED_IN_ERROR, Reason.HOLDER_REQUEST, Reason.AUTHORITY_DECISION, Reason.OTHER,
    ),
    Kind.END_APPOINTMENT: (
        Reason.POST_ENDED, Reason.HOLDER_REQUEST, Reason.ISSUED_IN_ERROR, Reason.AUTHORITY_DECISION, Reason.OTHER,
    ),
}  # fmt: skip
ACTS: Final = {
    Kind.SUSPEND: Text("暂停", "suspend"),
    Kind.RESTORE: Text("恢复", "restore"),
    Kind.REVOKE: Text("撤销", "revoke"),
    Kind.END_APPOINTMENT: Text("结束聘任", "end the appointment"),
}
_NO_POST: Final = Text("该编号不是聘任岗位", "this number is no appointment")
_SAME: Final = Text(
    "日志中已有同一处理（原因和日期相同），其后又有变更；请另填生效日期或原因",
    "the log has this very act already (same reason and day) and something came after it: give another day or reason",
)
_RANGE_EMPTY: Final = Text("这一段日志中没有本机构的证书", "no certificate of this body stands in this stretch")


@dataclass(frozen=True, slots=True)
class Concern:
    """One certificate, why, and from which day on."""

    row: int
    held: Held
    reason: Reason
    day: int

    @property
    def named(self) -> Named:
        return Named(self.row, self.held.number, self.held.cert_key)


class RulingAct:
    """An act whose lines are a number, a reason and perhaps a day. `kind` is a key of REASONS."""

    chunk = MAX_ROWS  # all at once, so that no list is shorter than it must be

    def __init__(self, kind: Kind, filing: Filing, register: Register, today: int) -> None:
        self.command = kind.name.lower().replace("_", "-")
        self._kind, self._filing, self._register, self._today = kind, filing, register, today

    def check(self, source: Source) -> Checked:
        repeats = Repeats()
        readings, found = [], []
        for line in source.lines:
            reading = Reading(source.form, line, source.date1904)
            held = reading.held(self._register)
            default = Reason.POST_ENDED if self._kind is Kind.END_APPOINTMENT else None
            reason = reading.reason(REASONS[self._kind], default)
            day = reading.day("effective_date", self._today, latest=self._today)
            if held is not None:
                repeats.check(reading, held.number)
                if self._kind is Kind.END_APPOINTMENT and not isinstance(held.body, Appoint):
                    reading.add("number", "NO_APPOINTMENT", _NO_POST)
                if reason is not None and day is not None and self._ruled(held, reason, day):
                    reading.add("number", "SAME_AGAIN", _SAME)
            readings.append(reading)
            if held is not None and reason is not None and day is not None:
                found.append(Concern(line.row, held, reason, day))
        problems = tuple(problem for reading in readings for problem in reading.problems)
        wrong = {problem.row for problem in problems if problem.severity == ERROR}
        return Checked(tuple(item for item in found if item.row not in wrong), (*source.problems, *problems))

    def _ruled(self, held: Held, reason: Reason, day: int) -> bool:
        """Whether this could be the very bytes of a statement that is in the log: the ledger would answer with that
        one's place, and nothing would happen. (Of a list, which is made later, as far as one certificate says.)"""
        return (held.cert_key, self._kind, reason, day) in self._register.changes.ruled

    def preview(self, items: Sequence[Item]) -> list[str]:
        concerns = _concerns(items)
        lines = []
        for reason, day in dict.fromkeys((item.reason, item.day) for item in concerns):
            count = sum((item.reason, item.day) == (reason, day) for item in concerns)
            lines.append(f"{ACTS[self._kind].both()}  {reason_text(reason).both()}  {format_day(day)}  × {count}")
        shown = sorted({0, len(concerns) // 2, len(concerns) - 1}) if concerns else []
        for item in (concerns[at] for at in shown):
            lines.append(f"  {item.row}: {item.held.current.face.name}  {item.held.number}")
        return lines

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        number = self._filing.number
        if self._kind is Kind.END_APPOINTMENT:
            return [
                SignedStatement(
                    item.row,
                    issuer_entry(EndAppointment(item.held.cert_key, item.reason, item.day, number), signer),
                    (item.named,),
                )
                for item in _concerns(items)
            ]
        signed: list[Signed | Proposed] = []
        for reason, day, named in _lists(_concerns(items)):
            whom = Listed(tuple(sorted(one.cert_key for one in named)))
            ruling = Ruling(self._kind, whom, reason, day, number)
            row = named[0].row if len(named) == 1 else -named[0].row
            signed.append(SignedStatement(row, issuer_entry(ruling, signer), named))
        return signed


class RangeAct:
    """The same for every certificate of this body between two places of the log: one statement."""

    chunk = 1

    def __init__(self, kind: Kind, filing: Filing, register: Register, today: int, *, first: int, last: int) -> None:
        self.command = kind.name.lower()
        self._kind, self._filing, self._register, self._today = kind, filing, register, today
        self._range = Range(filing.number, first, last)

    def check(self, source: Source) -> Checked:
        reading = Reading(source.form, source.lines[0], source.date1904)
        reason = reading.reason(REASONS[self._kind])
        day = reading.day("effective_date", self._today, latest=self._today)
        held = self._register.between(self._range.first, self._range.last)
        if not held:
            reading.add("number", "RANGE_EMPTY", _RANGE_EMPTY)
        if (self._range, self._kind, reason, day) in self._register.changes.ranges:  # the very bytes, as in _ruled
            reading.add("number", "SAME_AGAIN", _SAME)
        if reading.wrong or reason is None or day is None:
            return Checked((), tuple(reading.problems))
        return Checked((Concern(1, held[0], reason, day),), tuple(reading.problems))

    def preview(self, items: Sequence[Item]) -> list[str]:
        held = self._register.between(self._range.first, self._range.last)
        stretch = Text("第 {first}–{last} 条", "indexes {first}–{last}").format(
            first=self._range.first, last=self._range.last
        )
        lines = [f"{ACTS[self._kind].both()}  {stretch.both()}  × {len(held)}"]
        return lines + [f"  {one.current.face.name}  {one.number}" for one in (held[0], held[-1])]

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        (item,) = _concerns(items)
        held = self._register.between(self._range.first, self._range.last)
        about = tuple(Named(row, one.number, one.cert_key) for row, one in enumerate(held, 1))
        ruling = Ruling(self._kind, self._range, item.reason, item.day, self._filing.number)
        return [SignedStatement(1, issuer_entry(ruling, signer), about)]


def _concerns(items: Sequence[Item]) -> list[Concern]:
    found = [item for item in items if isinstance(item, Concern)]
    assert len(found) == len(items), "an act signs what it checked"
    return found


def _lists(concerns: Sequence[Concern]) -> Iterable[tuple[Reason, int, tuple[Named, ...]]]:
    """Lines of the same reason and day together, in their order, at most 200 at a time."""
    alike: dict[tuple[Reason, int], list[Named]] = {}
    for item in concerns:
        alike.setdefault((item.reason, item.day), []).append(item.named)
    for (reason, day), named in alike.items():
        for start in range(0, len(named), MAX_LISTED):
            yield reason, day, tuple(named[start : start + MAX_LISTED])

"""What a grade means for its holder, from the certificate alone: nothing is asked, so nothing is promised. Pure.

    wage      the band of the employer's own wage table for a post at this grade, where this verifier has the table
    open      what the certificate can still bring: on which facts it depends, until when it can be asked for
    closed    what it cannot bring, and why

Every part is a decision with all facts left open; a certificate that is not verified has no meaning here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.records.dates import date_of, day_of
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.certificate import VerifiedCertificate
from verifier.eligibility.decision import Decision
from verifier.eligibility.engine import decide
from verifier.eligibility.explain import yuan
from verifier.eligibility.facts import Facts
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Kind, Value, ValueType
from verifier.eligibility.offices import Office
from verifier.eligibility.pack import Needs, Pack, PackKind
from verifier.eligibility.tables import FAIL, Outcome
from verifier.eligibility.wording import say_cell

SHOWN: Final = (PackKind.SUBSIDY, PackKind.TITLE, PackKind.TAX, PackKind.ALLOWANCE, PackKind.POINTS)
OWN_STAFF: Final = "own_staff"
_TIME: Final = "elapsed."
_PEOPLE_MOST: Final = 8  # of a number in a wage table that somebody could reach in practice; its caps are lower


@dataclass(frozen=True, slots=True)
class Band:
    """What the wage table pays for a post at the grade, all month: with nothing besides, and with everything."""

    pack: Pack
    grade: int  # ordinal
    low: Decision
    high: Decision


@dataclass(frozen=True, slots=True)
class Chance:
    """One pack with all facts open. `brings`: what its rows that are still possible say; `later`: what only time keeps
    from it."""

    pack: Pack
    decision: Decision
    brings: tuple[Text, ...]
    later: tuple[Text, ...]

    @property
    def open(self) -> bool:
        return self.decision.result is not Outcome.NOT_ELIGIBLE

    @property
    def last_day(self) -> int | None:
        """The last day on which it can be asked for, as far as a window says so."""
        return min((last for _, _, last in self.decision.windows), default=None)


@dataclass(frozen=True, slots=True)
class Meaning:
    """All of it, for one day."""

    band: Band | None
    chances: tuple[Chance, ...]  # those with a last day first, the nearest first


def meaning_of(certificate: VerifiedCertificate, office: Office, ladder: Ladder, as_of: int) -> Meaning:
    """What this certificate means on a day (a day number)."""
    packs = [pack for pack in office.of_kind(*SHOWN) if pack.in_force(as_of) and pack.certificate is Needs.REQUIRED]
    chances = [_chance(certificate, pack, ladder, as_of) for pack in packs]
    far = 10**9
    chances.sort(key=lambda each: (not each.open, each.last_day if each.last_day is not None else far, each.pack.id))
    return Meaning(_band(certificate, office, as_of), tuple(chances))


def _chance(certificate: VerifiedCertificate, pack: Pack, ladder: Ladder, as_of: int) -> Chance:
    decision = decide([certificate], _facts(pack, {}), pack, as_of)
    return Chance(pack, decision, tuple(_brings(decision, pack, ladder)), tuple(_later(decision, pack, ladder)))


def _brings(decision: Decision, pack: Pack, ladder: Ladder) -> Sequence[Text]:
    trace = next((each for each in decision.tables if each.table == pack.decides), None)
    if trace is None or decision.result is Outcome.NOT_ELIGIBLE:
        return []
    possible = {row for row, marks in trace.rows if FAIL not in marks}
    rows = [row for row in pack.table.rows if row.id in possible and row.outcome is Outcome.ELIGIBLE]
    said: list[Text] = []
    for name, type_ in pack.table.outputs.items():
        label = pack.labels[f"tables.{pack.decides}.{name}"]
        values = list(dict.fromkeys(row.outputs[name] for row in rows))
        texts = [_say(pack, ladder, name, type_, value) for value in values if value != 0]
        if texts and len(texts) <= 6:
            zh, en = "、".join(text.zh for text in texts), ", ".join(text.en for text in texts)
            said.append(Text(f"{label.zh}：{zh}", f"{label.en}: {en}"))
    return said


def _later(decision: Decision, pack: Pack, ladder: Ladder) -> Iterator[Text]:
    """The rows in which nothing but elapsed time fails, and how much of it they want."""
    trace = next((each for each in decision.tables if each.table == pack.decides), None)
    marked = dict(trace.rows) if trace is not None else {}
    for row in pack.table.rows:
        failed = [at for at, mark in enumerate(marked.get(row.id, "")) if mark == FAIL]
        names = [pack.table.columns[at] for at in failed]
        if not failed or row.outcome is not Outcome.ELIGIBLE or not all(name.startswith(_TIME) for name in names):
            continue
        said = [_say(pack, ladder, name, pack.table.outputs[name], value) for name, value in row.outputs.items()]
        for at, name in zip(failed, names, strict=True):
            cell = row.cells[at]
            assert cell is not None and trace is not None, "a failed condition has a test"
            wanted, label, now = say_cell(cell, _number), pack.labels[name], trace.values[at]
            zh, en = "、".join(text.zh for text in said), ", ".join(text.en for text in said)
            yield Text(f"{zh}：{label.zh}{wanted.zh}（现为 {now!s}）", f"{en}: {label.en} {wanted.en} (now {now!s})")


def _number(value: int | str) -> Text:
    return Text(str(value), str(value))


def _say(pack: Pack, ladder: Ladder, name: str, type_: ValueType, value: int | str) -> Text:
    if type_.kind is Kind.MONEY:
        return Text(f"{yuan(int(value))} 元", f"{yuan(int(value))} yuan")
    if type_.kind is Kind.GRADE:
        return ladder.by_ordinal(int(value)).text
    return pack.words.get(f"tables.{pack.decides}.{name}.{value}", Text(str(value), str(value)))


def _band(certificate: VerifiedCertificate, office: Office, as_of: int) -> Band | None:
    """Of the employer's own staff only: the body that certified is then the employer."""
    record = certificate.record
    pack = office.wage_pack(record.filing) if record.audience == OWN_STAFF else None
    if pack is None or not pack.in_force(as_of):
        return None
    date = date_of(as_of)
    first = day_of(date.replace(day=1))
    grade = record.track_highest or record.grade

    def ends(*, high: bool) -> Decision:
        values: dict[str, Value] = {}
        for name, each in pack.inputs.items():
            if each.type.optional:
                values[name] = ABSENT
            elif each.type.kind is Kind.GRADE:
                values[name] = grade
            elif each.type.kind is Kind.DATE:
                values[name] = first
            elif each.type.kind is Kind.INT:
                values[name] = min(each.type.high, max(each.type.low, _PEOPLE_MOST)) if high else each.type.low
        return decide([certificate], _facts(pack, values), pack, as_of)

    low, high = ends(high=False), ends(high=True)
    if Outcome.ELIGIBLE is not low.result or Outcome.ELIGIBLE is not high.result:
        return None
    return Band(pack, grade, low, high)


def _facts(pack: Pack, values: dict[str, Value]) -> Facts:
    return Facts(pack.digest, {name: values.get(name, UNKNOWN) for name in pack.inputs})

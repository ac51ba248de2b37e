"""The engine: certificates, facts, a pack and a day in; a reasoned decision out. Pure, total, bounded, exact.

    1 validity      the pack is in force on the day                                    else not_eligible NOT_IN_FORCE
    2 certificate   a pack about a certificate has one that counts                     else the reason why it does not
    3 values        facts, parameters, what is read of certificates, derived values
    4 tables        in order: every row against every value; a missing value is never a "no"
    5 result        the rows that answer, by the hit policy
    6 amount        the sum of its lines, where there is one

`decide` takes verified certificates and nothing else. `rehearse` is the same for made-up ones (worked cases, what-if):
its decisions say so, and are good for nothing that is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ledger.records.dates import check_day, date_of
from verifier.eligibility import days
from verifier.eligibility.certificate import VerifiedCertificate
from verifier.eligibility.decision import Basis, Decision, Fired, Proof, Rejected, TableTrace
from verifier.eligibility.facts import Facts
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Value
from verifier.eligibility.pack import Needs, Pack
from verifier.eligibility.records import CertificateRecord, certificate_values
from verifier.eligibility.tables import AS_OF, FAIL, OPEN, Hit, Outcome, Row, Table

MAX_CERTIFICATES: Final = 64
_BEST: Final = (Outcome.ELIGIBLE, Outcome.REVIEW, Outcome.NEEDS_INFORMATION, Outcome.NOT_ELIGIBLE)
_DAY_MS: Final = 86_400_000
_SHANGHAI_MS: Final = 8 * 3_600_000


def decide(
    certificates: Sequence[VerifiedCertificate],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected] = (),
) -> Decision:
    """The decision on `as_of` (a day number). The first certificate is the one applied with, the others stand beside.

    `rejected`: certificates that were shown and do not count. When the one applied with is among them, `certificates` is
    empty: another does not take its place. Raises Malformed for a day outside 1900..2999.
    """
    assert all(type(each) is VerifiedCertificate for each in certificates), "only verified certificates are decided on"
    records = [each.record for each in certificates]
    return _evaluate(records, [each.proof for each in certificates], facts, pack, as_of, rejected, Basis.VERIFIED)


def rehearse(
    records: Sequence[CertificateRecord],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected] = (),
) -> Decision:
    """What the rules would say of certificates that nobody has verified."""
    return _evaluate(records, (), facts, pack, as_of, rejected, Basis.REHEARSAL)


def evaluate_again(decision: Decision, facts: Facts, pack: Pack) -> Decision:
    """The decision once more from its own inputs (for `verifier.eligibility.replay`)."""
    d = decision
    return _evaluate(d.certificates, d.evidence, facts, pack, d.as_of, d.rejected, d.basis)


@dataclass(slots=True)
class _Trace:
    """What is found on the way."""

    tables: list[TableTrace] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    rows: list[tuple[Table, Row]] = field(default_factory=list)
    windows: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    result: Outcome
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nearest: str = ""
    amount: int | None = None
    lines: tuple[tuple[str, int], ...] = ()


def _evaluate(
    records: Sequence[CertificateRecord],
    evidence: Sequence[Proof],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected],
    basis: Basis,
) -> Decision:
    assert facts.digest == pack.digest, "facts are read for one pack"
    assert len(records) <= MAX_CERTIFICATES, "a person has few certificates"
    check_day(as_of)
    trace = _Trace()
    answer = _gate(records, evidence, facts, pack, as_of, rejected)  # 1, 2
    if answer is None:
        values = _values(records, facts, pack, as_of)  # 3
        trace.windows = tuple(
            (each.name, *each.span(values))
            for each in pack.derived
            if each.span is not None and type(values[each.needs[0]]) is int
        )
        answer = _without(_judge(pack, values, trace), records, rejected)
    paid = answer.amount is not None
    fired = [row for _, row in trace.rows]
    used = {row.source for row in (*fired, *(row for row in pack.table.rows if row.id == answer.nearest))}
    used |= {each.source for each in pack.derived if each.source and used}
    lines = pack.amount.lines if pack.amount and paid else ()
    parameters = [pack.parameters[n] for line in lines for n in line.names if n in pack.parameters]
    used |= {parameter.source for parameter in parameters}
    doubtful = any(row.sample for row in fired) or any(p.sample for p in parameters)
    return Decision(
        pack.id,
        pack.digest,
        as_of,
        basis,
        pack.sample or doubtful or any(pack.sources[key].sample for key in used),
        answer.result,
        answer.reasons,
        answer.missing,
        tuple(f"{pack.id}/{table.id}/{row.id}" for table, row in trace.rows),
        answer.amount,
        pack.amount.period if pack.amount and paid else None,
        pack.amount.bound if pack.amount and paid else None,
        answer.lines,
        tuple(trace.tables),
        tuple(trace.fired),
        trace.windows,
        answer.nearest,
        tuple(records),
        tuple(evidence),
        tuple(rejected),
        tuple(facts.values.items()),
        tuple(sorted(used)),
    )


def _gate(
    records: Sequence[CertificateRecord],
    evidence: Sequence[Proof],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected],
) -> _Answer | None:
    """Steps 1 and 2: what stands in the way before any rule is read."""
    if not pack.in_force(as_of):
        return _Answer(Outcome.NOT_ELIGIBLE, ("NOT_IN_FORCE",))
    if pack.certificate is Needs.NONE:
        return None
    if any(as_of > (proof.time_ms + _SHANGHAI_MS) // _DAY_MS + 1 for proof in evidence):
        return _Answer(Outcome.NEEDS_INFORMATION, ("EVIDENCE_OLD",))
    if records:
        late = records[0].issue_day > as_of
        return _Answer(Outcome.NOT_ELIGIBLE, ("NOT_YET_ISSUED",)) if late else None
    if not rejected:
        needed = pack.certificate is Needs.REQUIRED
        return _Answer(Outcome.NEEDS_INFORMATION, ("NO_CERTIFICATE",)) if needed else None
    if pack.certificate is Needs.OPTIONAL:
        return None
    reasons = tuple(sorted({each.reason for each in rejected}))
    if "NOT_PROVEN" in reasons:
        return _Answer(Outcome.NEEDS_INFORMATION, reasons)
    if pack.recovery is not None and "STATUS" in reasons:
        received = facts.values[pack.recovery.when]
        if received is UNKNOWN:
            return _Answer(Outcome.NEEDS_INFORMATION, reasons, (pack.recovery.when,))
        if received is True:
            return _Answer(Outcome.REVIEW, (pack.recovery.reason,))
    return _Answer(Outcome.NOT_ELIGIBLE, reasons)


def _without(answer: _Answer, records: Sequence[CertificateRecord], rejected: Sequence[Rejected]) -> _Answer:
    """A "no" without the certificate that was shown says so, and is none while that certificate could not be proven."""
    if records or not rejected or answer.result is not Outcome.NOT_ELIGIBLE:
        return answer
    left_out = sorted({each.reason for each in rejected})
    if "NOT_PROVEN" in left_out:
        return replace(answer, result=Outcome.NEEDS_INFORMATION, reasons=tuple(left_out))
    return replace(answer, reasons=(*answer.reasons, *left_out))


def _values(records: Sequence[CertificateRecord], facts: Facts, pack: Pack, as_of: int) -> dict[str, Value]:
    date = date_of(as_of)
    held = [record for at, record in enumerate(records) if at == 0 or record.issue_day <= as_of]
    values: dict[str, Value] = {
        AS_OF: as_of,
        "as_of.year": date.year,
        "as_of.month": date.month,
        "as_of.month_days": days.month_days(date.year, date.month),
        "cert.key": records[0].cert_key if records else b"",
        **certificate_values(held, as_of),
        **facts.values,
        **pack.constants,
    }
    for each in pack.derived:
        values[each.name] = each.value(values)
    return values


def _judge(pack: Pack, values: dict[str, Value], trace: _Trace) -> _Answer:
    """Steps 4 to 6."""
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


def _answered(table: Table, values: dict[str, Value], trace: _Trace) -> tuple[list[str], Row | None]:
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


def _fire(table: Table, marks: list[str], trace: _Trace) -> None:
    for row, each in zip(table.rows, marks, strict=True):
        if FAIL not in each and OPEN not in each:
            trace.rows.append((table, row))
            trace.fired.append(Fired(table.id, row.id, tuple(sorted(row.outputs.items()))))
            if table.hit is not Hit.COLLECT:
                return


def _result(pack: Pack, table: Table, marks: list[str], values: dict[str, Value]) -> _Answer:
    """What the deciding table comes to."""
    matched, possible = list[tuple[Row, str]](), list[tuple[Row, str]]()
    for row, each in zip(table.rows, marks, strict=True):
        if FAIL not in each:
            (possible if OPEN in each else matched).append((row, each))
            if table.hit is Hit.FIRST:
                break
    if table.hit is not Hit.COLLECT and matched:
        row = matched[0][0]
        return _Answer(row.outcome, (row.reason,) if row.reason else ())
    missing = tuple(sorted({fact for _, each in possible for fact in _open_facts(pack, table, each, values)}))
    if matched:
        result = min((row.outcome for row, _ in matched), key=_BEST.index)
        reasons = tuple(sorted({row.reason for row, _ in matched if row.reason}))
        return _Answer(result, reasons, missing)
    if possible:
        return _Answer(Outcome.NEEDS_INFORMATION, (), missing)
    return _refused(pack, table, marks)


def _open_facts(pack: Pack, table: Table, marks: str, values: dict[str, Value]) -> set[str]:
    """The facts without which the open conditions of a row cannot be told; a name itself where no fact would help."""
    found = set[str]()
    for name, mark in zip(table.columns, marks, strict=True):
        if mark == OPEN:
            facts = {fact for fact in pack.facts_of[name] if values[fact] is UNKNOWN}
            found |= facts or {name}
    return found


def _refused(pack: Pack, table: Table, marks: list[str]) -> _Answer:
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
    return _Answer(Outcome.NOT_ELIGIBLE, tuple(dict.fromkeys(reasons)), (), row.id)


def _paid(pack: Pack, values: dict[str, Value], answer: _Answer) -> _Answer:
    amount = pack.amount
    assert amount is not None
    unknown, absent = amount.gaps(values)
    if absent:
        tables = {table.id: table for table in pack.tables}
        reasons = {tables[n.split(".")[1]].reason if n.startswith("tables.") else "NO_VALUE" for n in absent}
        return _Answer(Outcome.NOT_ELIGIBLE, tuple(sorted(reasons)))
    if unknown:
        missing = {fact for name in unknown for fact in pack.facts_of[name] if values[fact] is UNKNOWN} or set(unknown)
        return _Answer(Outcome.NEEDS_INFORMATION, (), tuple(sorted(missing)))
    found = [(line.id, line.value(values)) for line in amount.lines]
    lines = tuple((name, fen) for name, fen in found if fen is not None)
    total = sum(fen for _, fen in lines)
    if len(lines) != len(found) or total > amount.most:
        return _Answer(Outcome.REVIEW, ("AMOUNT",))
    if total < 0:
        return _Answer(Outcome.REVIEW, ("OWED_BACK",), answer.missing, "", total, lines)
    return _Answer(answer.result, answer.reasons, answer.missing, "", total, lines)

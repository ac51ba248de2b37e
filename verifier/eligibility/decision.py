"""A decision: the answer, why, on which evidence, with the trace of every condition; and its one byte form. Pure.

    ["certledger/decision/v1", pack id, pack digest, as of, basis, sample, result, [reasons], [missing facts],
     [rules], amount, [line, fen, …], [[table, [values], [row, marks, …]]], [[table, row, [output, value, …]]],
     [window, first, last, …], nearest row, [certificates], [evidence], [code, reason, …], [fact, value, …], [sources]]

An amount is [fen, period, bound] or []. Marks are one letter for each column of the table: p passed, f failed,
u not known, - not asked. Which test a mark is about stands in the pack of that digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.dates import check_day
from verifier.eligibility.amounts import Bound, Period
from verifier.eligibility.kinds import ABSENT, UNKNOWN, PastClaim, Value
from verifier.eligibility.records import CertificateRecord, parse_record, record_value
from verifier.eligibility.tables import Outcome

LABEL: Final = "certledger/decision/v1"
MAX_DECISION: Final = 256 * 1024  # bytes
MAX_CERTIFICATES: Final = 64


class Basis(StrEnum):
    """What stands behind a decision. Only `verified` counts."""

    VERIFIED = "verified"  # each certificate came out of a green verdict, and the pack is published on the log
    UNPUBLISHED = "unpublished"  # the certificates did, but the log does not know the pack
    REHEARSAL = "rehearsal"  # made up: a worked case, a what-if


@dataclass(frozen=True, slots=True)
class Proof:
    """The checkpoint under which a certificate was proven. Hash and root are raw.

    `time_ms`: the moment that was proven: of the checkpoint, or the end of the earlier day that a wage is about.
    """

    cert_key: bytes
    origin: str
    size: int
    root: bytes
    time_ms: int
    checked_ms: int

    def __post_init__(self) -> None:
        types = tuple(map(type, (self.cert_key, self.origin, self.size, self.root, self.time_ms, self.checked_ms)))
        if types != (bytes, str, int, bytes, int, int) or len(self.cert_key) != 32 or len(self.root) != 32:
            raise Malformed("a proof names a cert key, a log, size, root and times")
        if not 0 < self.size < 2**48 or not 0 < self.time_ms < 2**48 or not 0 < self.checked_ms < 2**48:
            raise Malformed("a proof with a size or time out of range")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A certificate that was shown and does not count: a rule reads nothing of it; only why it was left out is kept."""

    code: str  # of its verdict
    reason: str  # STATUS, NOT_GENUINE, NOT_PROVEN, OUT_OF_SCOPE

    def __post_init__(self) -> None:
        if type(self.code) is not str or self.reason not in ("STATUS", "NOT_GENUINE", "NOT_PROVEN", "OUT_OF_SCOPE"):
            raise Malformed("a certificate that was left out has a code and a reason")


@dataclass(frozen=True, slots=True)
class TableTrace:
    """Every row of one table, with the values that its columns read (the first is the day asked about)."""

    table: str
    values: tuple[Value, ...]
    rows: tuple[tuple[str, str], ...]  # row id, marks


@dataclass(frozen=True, slots=True)
class Fired:
    """A row that matched, and what it says."""

    table: str
    row: str
    outputs: tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The reasoned answer. Money in fen, days since 1970-01-01. Advice until a person confirms it (PIPL art. 24)."""

    pack: str
    digest: bytes
    as_of: int
    basis: Basis
    sample: bool  # rests on something that is not confirmed
    result: Outcome
    reasons: tuple[str, ...]
    missing: tuple[str, ...]  # facts to give; also what could open more rows
    rules: tuple[str, ...]  # pack/table/row of what fired
    amount: int | None
    period: Period | None
    bound: Bound | None
    lines: tuple[tuple[str, int], ...]
    tables: tuple[TableTrace, ...]
    fired: tuple[Fired, ...]
    windows: tuple[tuple[str, int, int], ...]
    nearest: str  # the row that pays and is nearest; "" where one fired or none was weighed
    certificates: tuple[CertificateRecord, ...]
    evidence: tuple[Proof, ...]
    rejected: tuple[Rejected, ...]
    facts: tuple[tuple[str, Value], ...]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        assert (self.amount is None) == (self.period is None) == (self.bound is None), "an amount has its period"
        assert self.result is not Outcome.NEEDS_INFORMATION or self.missing or self.reasons, "says what it needs"
        assert self.result in (Outcome.ELIGIBLE, Outcome.NEEDS_INFORMATION) or self.reasons, "a no has its reason"
        assert self.basis is Basis.REHEARSAL or len(self.evidence) == len(self.certificates), "each one proven"


def format_decision(decision: Decision) -> bytes:
    """The canonical bytes: the same inputs give the same bytes on any machine."""
    d = decision
    amount: list[canonical.Value] = [] if d.amount is None else [d.amount, str(d.period), str(d.bound)]
    return canonical.encode(
        [
            LABEL,
            d.pack,
            d.digest,
            d.as_of,
            d.basis.value,
            int(d.sample),
            d.result.value,
            d.reasons,
            d.missing,
            d.rules,
            amount,
            _flat(d.lines),
            [[t.table, [value_form(v) for v in t.values], _flat(t.rows)] for t in d.tables],
            [[f.table, f.row, _flat((name, _plain(value)) for name, value in f.outputs)] for f in d.fired],
            _flat(d.windows),
            d.nearest,
            [record_value(record) for record in d.certificates],
            [[p.cert_key, p.origin, p.size, p.root, p.time_ms, p.checked_ms] for p in d.evidence],
            _flat((r.code, r.reason) for r in d.rejected),
            _flat((name, value_form(value)) for name, value in d.facts),
            d.sources,
        ]
    )


def parse_decision(raw: bytes) -> Decision:
    """The decision with these bytes. Raises Malformed for any others."""
    value = canonical.decode(raw, limit=MAX_DECISION)
    try:
        if type(value) is not list or value[0] != LABEL or len(value) != 21:
            raise Malformed("not a decision")
        amount = value[10]
        decision = Decision(
            value[1],
            _octets(value[2]),
            check_day(value[3]),
            Basis(value[4]),
            value[5] == 1,
            Outcome(value[6]),
            tuple(value[7]),
            tuple(value[8]),
            tuple(value[9]),
            amount[0] if amount else None,
            Period(amount[1]) if amount else None,
            Bound(amount[2]) if amount else None,
            _groups(value[11], 2),
            tuple(
                TableTrace(table, tuple(map(parse_value, values)), _groups(rows, 2))
                for table, values, rows in value[12]
            ),
            tuple(Fired(table, row, _groups(outputs, 2)) for table, row, outputs in value[13]),
            _groups(value[14], 3),
            value[15],
            tuple(map(parse_record, value[16])),
            tuple(Proof(*proof) for proof in value[17]),
            tuple(Rejected(code, reason) for code, reason in _groups(value[18], 2)),
            tuple((name, parse_value(each)) for name, each in _groups(value[19], 2)),
            tuple(value[20]),
        )
        if len(decision.certificates) > MAX_CERTIFICATES:
            raise Malformed("a decision on too many certificates")
        same = format_decision(decision) == raw
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError):
        raise Malformed("not a decision")
    if not same:
        raise Malformed("not the one form of a decision")
    return decision


def value_form(value: Value) -> canonical.Value:
    """A value in bytes: numbers and words as they are, [0] not known, [1] absent, [2, [words]], [3, [claims]]."""
    kind = type(value)
    if kind is int or kind is str:
        return value  # type: ignore[return-value]
    if kind is bool:
        return int(value)  # type: ignore[arg-type]
    if value is UNKNOWN:
        return [0]
    if value is ABSENT:
        return [1]
    if isinstance(value, frozenset):
        return [2, sorted(value)]
    assert isinstance(value, tuple), "no other value is written"
    return [3, [_claim_form(claim) for claim in value]]


def parse_value(form: Any) -> Value:
    """Back again; a bool comes back as 0 or 1. Raises Malformed."""
    if type(form) in (int, str):
        return form  # type: ignore[no-any-return]
    if form == [0]:
        return UNKNOWN
    if form == [1]:
        return ABSENT
    if type(form) is list and len(form) == 2 and form[0] == 2 and all(type(each) is str for each in form[1]):
        return frozenset(form[1])
    if type(form) is list and len(form) == 2 and form[0] == 3:
        return tuple(map(_parse_claim, form[1]))
    raise Malformed("a value of a decision")


def _flat(groups: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(chain.from_iterable(groups))


def _groups(flat: list[Any], size: int) -> tuple[Any, ...]:
    return tuple(zip(*(iter(flat),) * size, strict=True))


def claim_order(claim: PastClaim) -> tuple[Any, ...]:
    """Earlier claims have no order of their own: this one is written."""
    return claim.day, claim.scheme, claim.lineage, claim.trade, claim.grade, claim.cert_key, sorted(claim.tags)


def _claim_form(claim: PastClaim) -> Sequence[canonical.Value]:
    c = claim
    return [c.scheme, c.lineage, c.trade, c.grade, c.day, c.cert_key, sorted(c.tags)]


def _parse_claim(form: Any) -> PastClaim:
    if type(form) is not list or tuple(map(type, form)) != (str, str, str, int, int, bytes, list):
        raise Malformed("an earlier claim")
    scheme, lineage, trade, grade, day, key, tags = form
    if not 1 <= grade <= 8 or not all(type(tag) is str for tag in tags):
        raise Malformed("an earlier claim")
    return PastClaim(scheme, lineage, trade, grade, check_day(day), _octets(key), frozenset(tags))


def _plain(value: int | str) -> int | str:
    return int(value) if type(value) is bool else value


def _octets(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise Malformed("a digest of a decision")
    return value

"""What a value in a pack can be: kinds, their bounds, and the two ways of having no value. Pure.

`UNKNOWN` is a fact nobody has given (the answer may depend on it); `ABSENT` is known not to exist (no certificate, an
open end). They are never mixed up: a missing fact must not become a "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from ledger.records.dates import FIRST_DAY, LAST_DAY

MONEY_MAX: Final = 10**12  # fen: ten thousand million yuan
INT_MAX: Final = 10**9


class Gap(Enum):
    """No value, and why."""

    UNKNOWN = 0
    ABSENT = 1


UNKNOWN: Final = Gap.UNKNOWN
ABSENT: Final = Gap.ABSENT


class Kind(StrEnum):
    """Types of facts, parameters, outputs. All but the last four are whole numbers."""

    INT = "int"
    MONEY = "money"  # fen
    DATE = "date"  # day number
    BOOL = "bool"
    GRADE = "grade"  # ordinal 1..8
    ENUM = "enum"
    TEXT = "text"
    SET = "set"
    HISTORY = "history"  # earlier claims


NUMBERS: Final = frozenset({Kind.INT, Kind.MONEY, Kind.DATE, Kind.BOOL, Kind.GRADE})
_BOUNDS: Final = {
    Kind.INT: (-1, INT_MAX),
    Kind.MONEY: (0, MONEY_MAX),
    Kind.DATE: (FIRST_DAY, LAST_DAY),
    Kind.BOOL: (0, 1),
    Kind.GRADE: (1, 8),
}


@dataclass(frozen=True, slots=True)
class PastClaim:
    """A benefit that was reserved or paid before. `day` decides in which year it counts."""

    scheme: str
    lineage: str
    trade: str
    grade: int  # ordinal
    day: int
    cert_key: bytes  # 32 bytes
    tags: frozenset[str] = frozenset()


Value: TypeAlias = int | str | bytes | frozenset[str] | tuple[PastClaim, ...] | Gap


@dataclass(frozen=True, slots=True)
class ValueType:
    """A kind with its bounds. `optional`: it may be ABSENT."""

    kind: Kind
    values: tuple[str, ...] = ()  # of an enum or a set
    low: int = 0
    high: int = 0
    optional: bool = False

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBERS


def value_type(
    kind: Kind,
    values: tuple[str, ...] = (),
    low: int | None = None,
    high: int | None = None,
    *,
    optional: bool = False,
) -> ValueType:
    """The type with the bounds of its kind where none are given."""
    least, most = _BOUNDS.get(kind, (0, 0))
    return ValueType(kind, values, least if low is None else low, most if high is None else high, optional)


def fits(value: object, type_: ValueType) -> bool:
    """Whether a runtime value is of the type. Booleans are True and False; no other int is."""
    kind = type_.kind
    if kind is Kind.BOOL:
        return type(value) is bool
    if kind in NUMBERS:
        return type(value) is int and type_.low <= value <= type_.high
    if kind is Kind.ENUM:
        return type(value) is str and value in type_.values
    if kind is Kind.SET:
        return type(value) is frozenset and value <= set(type_.values)
    return type(value) is (str if kind is Kind.TEXT else tuple)

"""What a pack pays: a sum of lines, each a product of whole numbers over a whole number, in fen. Pure, exact, bounded.

    [[amount.lines]]
    id = "base"
    of = ["params.base", "tables.grade.coefficient"]     # multiplied
    divide = [100]                                        # numbers and names, multiplied: hundredths here
    round = "half_up"                                     # down · half_up · exact (a remainder: a person decides)

No line can leave 62 bits, whatever the facts are: that is computed from the bounds of its operands when the pack loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.text import Text
from verifier.eligibility.derived import Values
from verifier.eligibility.kinds import ABSENT, MONEY_MAX, UNKNOWN, Kind, ValueType
from verifier.eligibility.reader import Node, bad, unknown

MAX_LINES: Final = 40
_LIMIT: Final = 2**62
_INTS: Final = frozenset({Kind.INT, Kind.MONEY, Kind.GRADE, Kind.BOOL})


class Period(StrEnum):
    """What the amount is paid for."""

    ONCE = "once"
    MONTH = "month"
    YEAR = "year"


class Bound(StrEnum):
    EXACT = "exact"
    AT_MOST = "at_most"  # the rule names a ceiling; the office decides


class Sign(StrEnum):
    PLUS = "+"
    MINUS = "-"


class Rounding(StrEnum):
    DOWN = "down"
    HALF_UP = "half_up"
    EXACT = "exact"


class Negative(StrEnum):
    """What a sum below nothing means."""

    REFUSE = "refuse"  # cannot be: the pack does not load if it could
    REVIEW = "review"  # money is owed back; a person decides


@dataclass(frozen=True, slots=True)
class Line:
    """One summand: the product of `factors` over that of `divisors`, each a whole number or a name."""

    id: str
    text: Text
    minus: bool
    factors: tuple[int | str, ...]
    divisors: tuple[int | str, ...]
    rounding: Rounding

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each for each in (*self.factors, *self.divisors) if isinstance(each, str))

    def value(self, values: Values) -> int | None:
        """Fen, with its sign. None where it does not come out even and must. All names have whole numbers."""
        product, divisor = 1, 1
        for factor in self.factors:
            product *= int(values[factor]) if isinstance(factor, str) else factor
        for each in self.divisors:
            divisor *= int(values[each]) if isinstance(each, str) else each
        whole, rest = divmod(abs(product), divisor)
        if rest and self.rounding is Rounding.EXACT:
            return None
        if self.rounding is Rounding.HALF_UP and 2 * rest >= divisor:
            whole += 1
        return -whole if (product < 0) is not self.minus else whole


@dataclass(frozen=True, slots=True)
class Amount:
    """The sum and what it is for."""

    period: Period
    bound: Bound
    most: int  # fen; a sum beyond it is a matter for a person
    negative: Negative
    lines: tuple[Line, ...]

    def gaps(self, values: Values) -> tuple[list[str], list[str]]:
        """The names that are not known, and those that are absent."""
        names = sorted({name for line in self.lines for name in line.names})
        return [n for n in names if values[n] is UNKNOWN], [n for n in names if values[n] is ABSENT]


def read_amount(node: Node, types: Mapping[str, ValueType]) -> Amount:
    """The amount of a pack. Raises BadPack: unknown names, amounts that could be negative or leave their bounds."""
    period, bound = node.choice("period", Period), node.choice("bound", Bound, "exact")
    most = node.number("most", low=1, high=MONEY_MAX)
    negative = node.choice("negative", Negative, "refuse")
    lines, low, high = [], 0, 0
    for each in node.rows("lines", MAX_LINES):
        line = _line(each, types)
        least, greatest = _bounds(line, types, each)
        low, high = low + least, high + greatest
        lines.append(line)
    if len({line.id for line in lines}) != len(lines) or not lines:
        raise bad("REPEATED", node.at("lines"), "至少一行，编号不重复", "at least one line, and no id twice")
    if low < 0 and negative is Negative.REFUSE:
        raise bad("NEGATIVE", node.at("lines"), "金额可能为负", "the amount could be negative")
    node.end()
    return Amount(period, bound, most, negative, tuple(lines))


def _line(node: Node, types: Mapping[str, ValueType]) -> Line:
    id_, text = node.name("id"), node.pair()
    minus = node.choice("sign", Sign, "+") is Sign.MINUS
    factors, divisors = _operands(node, "of", types), _operands(node, "divide", types, [])
    rounding = node.choice("round", Rounding, "exact")
    node.end()
    return Line(id_, text, minus, factors, divisors, rounding)


def _operands(
    node: Node, key: str, types: Mapping[str, ValueType], default: list[object] | None = None
) -> tuple[int | str, ...]:
    raw = node.take(key) if default is None else node.take(key, default)
    if type(raw) is not list or not (default is not None or raw) or len(raw) > 6:
        raise bad("TYPE", node.at(key), "应为最多 6 个数或名称的数组", "must be an array of at most 6 numbers or names")
    return tuple(_operand(each, node, key, types) for each in raw)


def _operand(raw: object, node: Node, key: str, types: Mapping[str, ValueType]) -> int | str:
    if type(raw) is int and 0 < raw <= MONEY_MAX:
        return raw
    if type(raw) is not str:
        raise bad("TYPE", node.at(key), "应为正整数或名称", "must be a positive integer or a name")
    if raw not in types:
        raise unknown("UNKNOWN_NAME", node.at(key), raw, types)
    if types[raw].kind not in _INTS:
        raise bad("TYPE", node.at(key), "{name} 不是数", "{name} is not a number", name=raw)
    return raw


def _bounds(line: Line, types: Mapping[str, ValueType], node: Node) -> tuple[int, int]:
    """The least and the greatest that the line can come to."""
    low = high = 1
    for factor in line.factors:
        least, most = (types[factor].low, types[factor].high) if isinstance(factor, str) else (factor, factor)
        ends = [a * b for a in (low, high) for b in (least, most)]
        low, high = min(ends), max(ends)
    if max(abs(low), abs(high)) >= _LIMIT:
        raise bad("ABSURD", node.place, "可能超出可计算的范围", "could leave the range of amounts")
    if any(isinstance(each, str) and types[each].low < 1 for each in line.divisors):
        raise bad("RANGE", node.at("divide"), "除数可能不为正", "the divisor could be below one")
    return (-high, -low) if line.minus else (low, high)

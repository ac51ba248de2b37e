"""Places in the log, or marks of certificates, as a set that is small on the wire: ranges, whose gaps and lengths are
exp-Golomb coded. Pure.

    [number of ranges, order of the gaps, order of the lengths, bits]

The ranges rise and do not touch. A gap is the distance from the end of the range before (from 0 at first, and one less
afterwards, as it is never 0); a length is that of the range, less one. A value v of order k is written as
q = (v >> k) + 1 in binary with one 0 before it for each bit after its first, then the k low bits of v. Bits run from
the top of each byte, and the last byte is filled with 0.

Chosen over a compressed bitmap: nearly the entropy for scattered places, a few bits for a whole revoked batch, and a
page of code in any language.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from ledger.errors import Malformed
from ledger.records import canonical

MAX_RANGES: Final = 1 << 22
MAX_ORDER: Final = 40
_TOP: Final = 2**53  # exact in every reader's numbers; an index is far below
_NEAR: Final = 4  # orders tried on each side of the mean's


@dataclass(frozen=True, slots=True)
class IndexSet:
    """Log indexes or marks, as rising ranges [first, end) that do not touch."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        before = -1
        for first, end in self.ranges:
            if not before < first < end <= _TOP:
                raise Malformed("index set: ranges rise, have an end behind their first, and do not touch")
            before = end
        if len(self.ranges) > MAX_RANGES:
            raise Malformed("index set: too many ranges")

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Self:
        ranges: list[list[int]] = []
        for index in sorted(set(indexes)):
            if ranges and ranges[-1][1] == index:
                ranges[-1][1] = index + 1
            else:
                ranges.append([index, index + 1])
        return cls(tuple((first, end) for first, end in ranges))

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.ranges, (index, _TOP + 1)) - 1
        return at >= 0 and self.ranges[at][0] <= index < self.ranges[at][1]

    def __len__(self) -> int:
        return sum(end - first for first, end in self.ranges)

    def as_value(self) -> list[canonical.Value]:
        gaps, lengths, before = [], [], -1
        for first, end in self.ranges:
            gaps.append(first - before - 1)
            lengths.append(end - first - 1)
            before = end
        orders = _order(gaps), _order(lengths)
        bits = "".join(
            _code(gap, orders[0]) + _code(length, orders[1]) for gap, length in zip(gaps, lengths, strict=True)
        )
        packed = int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big") if bits else b""
        return [len(self.ranges), *orders, packed]


def parse_index_set(value: object) -> IndexSet:
    """Read the array as decoded from canonical CBOR. Raises Malformed unless it is one that `as_value` could write."""
    match value:
        case [int(count), int(gap_order), int(length_order), bytes(packed)]:
            if not 0 <= count <= MAX_RANGES or not 0 <= gap_order <= MAX_ORDER or not 0 <= length_order <= MAX_ORDER:
                raise Malformed("index set: too many ranges, or an order out of range")
            bits = f"{int.from_bytes(packed, 'big'):0{8 * len(packed)}b}" if packed else ""
            ranges, at, before = [], 0, -1
            for _ in range(count):
                gap, at = _read(bits, at, gap_order)
                length, at = _read(bits, at, length_order)
                first = before + 1 + gap
                before = first + length + 1
                if before > _TOP:
                    raise Malformed("index set: an index out of range")
                ranges.append((first, before))
            if len(bits) - at >= 8 or "1" in bits[at:]:
                raise Malformed("index set: bits behind the last range")
            return IndexSet(tuple(ranges))
    raise Malformed("index set: [count, order, order, bits]")


def _order(values: Sequence[int]) -> int:
    """The order that takes the fewest bits; the lowest of several."""
    if not values:
        return 0
    about = min((sum(values) // len(values)).bit_length(), MAX_ORDER)
    orders = range(max(0, about - _NEAR), min(MAX_ORDER, about + _NEAR) + 1)
    return min(orders, key=lambda order: (sum(_bits(value, order) for value in values), order))


def _bits(value: int, order: int) -> int:
    return 2 * ((value >> order) + 1).bit_length() - 1 + order


def _code(value: int, order: int) -> str:
    quotient = (value >> order) + 1
    low = f"{value & ((1 << order) - 1):0{order}b}" if order else ""
    return "0" * (quotient.bit_length() - 1) + f"{quotient:b}" + low


def _read(bits: str, at: int, order: int) -> tuple[int, int]:
    one = bits.find("1", at)
    end = one + (one - at) + 1
    if one < 0 or one - at > 53 or end + order > len(bits):
        raise Malformed("index set: cut short")
    low = int(bits[end : end + order], 2) if order else 0
    return ((int(bits[one:end], 2) - 1) << order) + low, end + order

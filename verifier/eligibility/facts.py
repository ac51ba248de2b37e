"""Facts about a person or a case, read strictly against what a pack asks for. Pure.

They come from TOML or JSON: dates as dates or `yyyy-mm-dd`, sets and history as arrays. What is not given stays
unknown; what is given in the wrong form is refused, because taking it for a "no" would be worse.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Malformed, Refused
from ledger.records import canonical
from ledger.records.dates import day_of, parse_day
from ledger.text import Text
from verifier.eligibility.decision import claim_order
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Kind, PastClaim, Value, ValueType, fits
from verifier.eligibility.pack import Input, Pack
from verifier.eligibility.reader import nearest

MAX_CLAIMS: Final = 500
_HEX32: Final = re.compile(r"[0-9a-f]{64}")
_CLAIM_KEYS: Final = frozenset({"scheme", "lineage", "trade", "grade", "day", "certificate", "tags"})


@dataclass(frozen=True, slots=True)
class Facts:
    """Every fact that one pack asks for, by name: a value of its type, UNKNOWN, or ABSENT where it is optional."""

    digest: bytes  # of that pack
    values: Mapping[str, Value]


def read_facts(raw: Mapping[str, object], pack: Pack, *, others: Iterable[str] = ()) -> Facts:
    """The facts that `pack` asks for. `others`: names that other packs ask for and this one passes over.

    Raises Refused FACT_UNKNOWN (with the nearest name), FACT_TYPE, FACT_RANGE.
    """
    passed = frozenset(others)
    for name in raw:
        if name not in pack.inputs and name not in passed:
            text = Text("没有这项信息，最接近的是 {near}", "no such fact; the nearest is {near}")
            raise Refused("FACT_UNKNOWN", str(name)[:80], text.format(near=nearest(str(name)[:80], pack.inputs)))
    return Facts(pack.digest, {name: _read(name, raw.get(name), each) for name, each in pack.inputs.items()})


def facts_from(values: Iterable[tuple[str, Value]], pack: Pack) -> Facts:
    """The facts of a decision's bytes again. Raises Malformed when they are not those of the pack."""
    found: dict[str, Value] = {}
    for name, value in values:
        type_ = pack.inputs[name].type if name in pack.inputs else None
        if type_ is not None and type_.kind is Kind.BOOL and type(value) is int:
            value = value == 1 if value in (0, 1) else value
        gap = value is UNKNOWN or (value is ABSENT and type_ is not None and type_.optional)
        if type_ is None or not (gap or fits(value, type_)):
            raise Malformed("a decision with facts of another pack")
        found[name] = value
    if tuple(found) != tuple(pack.inputs):
        raise Malformed("a decision with facts of another pack")
    return Facts(pack.digest, found)


def _read(name: str, raw: object, about: Input) -> Value:
    type_ = about.type
    if raw is None:
        return ABSENT if type_.optional else UNKNOWN
    value: object = raw
    if type_.kind is Kind.DATE:
        value = _day(name, raw)
    elif type_.kind is Kind.SET and isinstance(raw, list | tuple | set | frozenset):
        value = frozenset(each for each in raw if type(each) is str) if all(type(e) is str for e in raw) else raw
    elif type_.kind is Kind.HISTORY:
        return _history(name, raw)
    if not fits(value, type_):
        raise _wrong(name, type_, value)
    return value  # type: ignore[return-value]


def _day(name: str, raw: object) -> object:
    try:
        if type(raw) is dt.date:
            return day_of(raw)
        return parse_day(raw) if type(raw) is str else "no date"
    except Malformed:
        raise Refused("FACT_TYPE", name, Text("应为日期 yyyy-mm-dd", "must be a date yyyy-mm-dd"))


def _history(name: str, raw: object) -> tuple[PastClaim, ...]:
    if not isinstance(raw, list | tuple) or len(raw) > MAX_CLAIMS:
        raise Refused("FACT_TYPE", name, Text("应为往次申领的数组", "must be an array of earlier claims"))
    return tuple(sorted((_claim(f"{name}[{at}]", each) for at, each in enumerate(raw)), key=claim_order))


def _claim(place: str, raw: Any) -> PastClaim:
    if not isinstance(raw, Mapping) or not raw.keys() <= _CLAIM_KEYS:
        near = nearest(str(next(iter(raw.keys() - _CLAIM_KEYS)))[:80], _CLAIM_KEYS) if isinstance(raw, Mapping) else "-"
        text = Text("不是往次申领的写法，最接近的键是 {near}", "not an earlier claim; the nearest key is {near}")
        raise Refused("FACT_TYPE", place, text.format(near=near))
    tags = raw.get("tags", ())
    if not isinstance(tags, list | tuple | set | frozenset):
        raise Refused("FACT_TYPE", place, Text("标签应为数组", "tags are an array"))
    words = [raw.get("scheme"), raw.get("lineage"), raw.get("trade", ""), *tags]
    plain = all(type(word) is str and len(word) <= 64 and canonical.is_plain(word) for word in words)
    grade, key = raw.get("grade"), raw.get("certificate")
    if not plain or type(grade) is not int or not 1 <= grade <= 8:
        raise Refused("FACT_TYPE", place, Text("项目、职业或等级不对", "scheme, occupation or grade is wrong"))
    if type(key) is not str or not _HEX32.fullmatch(key):
        raise Refused(
            "FACT_TYPE", place, Text("缺少证书代号（64 位十六进制）", "the cert key, 64 hex digits, is missing")
        )
    day = _day(place, raw.get("day"))
    if type(day) is not int:
        raise Refused("FACT_TYPE", place, Text("缺少日期", "the day is missing"))
    named = frozenset(tags)
    return PastClaim(raw["scheme"], raw["lineage"], raw.get("trade", ""), grade, day, bytes.fromhex(key), named)


def _wrong(name: str, type_: ValueType, value: object) -> Refused:
    if type_.is_number and type_.kind is not Kind.BOOL and type(value) is int:
        span = {"low": type_.low, "high": type_.high}
        return Refused("FACT_RANGE", name, Text("应在 {low}..{high}", "must be in {low}..{high}").format(**span))
    kinds = " | ".join(type_.values) if type_.kind in (Kind.ENUM, Kind.SET) else type_.kind.value
    return Refused("FACT_TYPE", name, Text("应为 {kinds}", "must be {kinds}").format(kinds=kinds))

"""The occupation catalogue: code, name and trades (工种) of each occupation, as one versioned canonical file.

Codes are `d-dd-dd-dd` (职业分类大典, 2022 edition); trades have no code of their own. Codes move between
editions, so an occupation also has a *lineage*: the id under which certificates of one person join a track.
It is the code of the edition in which this product first met the occupation and never changes afterwards.
An entry that no primary source confirmed has `confirmed` false, and output says so.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger.errors import Malformed, Refused
from ledger.records.dates import format_day, parse_day
from ledger.text import Text

FORMAT = "certledger/catalogue/v1"
MAX_BYTES = 4 * 1024 * 1024
MAX_OCCUPATIONS = 10_000
MAX_TRADES = 200

_CODE = re.compile(r"[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}")
_LINEAGE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.@-]{0,31}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_STANDARD = re.compile(r"[0-9A-Za-z.()/-]{0,40}")
_FIELDS = ("code", "name", "lineage", "trades", "standard_id", "confirmed", "since", "until")
_TRADE_SEPARATORS = re.compile(r"[、,，;；|\n]+")


@dataclass(frozen=True, slots=True)
class Occupation:
    """One occupation of one version. `trades` may be incomplete; `standard_id` "" = not on record."""

    code: str
    name: str
    lineage: str
    trades: tuple[str, ...] = ()
    standard_id: str = ""
    confirmed: bool = True
    since: int | None = None  # first day in force (days since 1970-01-01); None = always
    until: int | None = None  # last day in force, inclusive; None = not withdrawn

    def __post_init__(self) -> None:
        check_code(self.code)
        for name in (self.name, *self.trades):
            _check_name(name)
        if len(set(self.trades)) != len(self.trades) or len(self.trades) > MAX_TRADES:
            raise Malformed("trades of an occupation")
        if not _LINEAGE.fullmatch(self.lineage) or not _STANDARD.fullmatch(self.standard_id):
            raise Malformed("lineage or standard of an occupation")
        if type(self.confirmed) is not bool:
            raise Malformed("confirmed is true or false")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise Malformed("an occupation ends before it begins")

    @property
    def standard(self) -> str:
        """The occupational standard that an issue statement names: the one on record, else the code itself."""
        return self.standard_id or self.code

    def in_force(self, day: int) -> bool:
        """Whether certificates dated `day` may name this code."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass(frozen=True)
class Catalogue:
    """One version of the catalogue, sorted by code. Names of occupations not withdrawn are unique."""

    version: str
    occupations: tuple[Occupation, ...]

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise Malformed("catalogue version")
        if not 0 < len(self.occupations) <= MAX_OCCUPATIONS:
            raise Malformed("a catalogue holds 1 to 10,000 occupations")
        codes = [occupation.code for occupation in self.occupations]
        if codes != sorted(set(codes)):
            raise Malformed("catalogue codes must rise and not repeat")
        names = [occupation.name for occupation in self.occupations if occupation.until is None]
        if len(set(names)) != len(names):
            raise Malformed("two occupations in force share a name")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the exact file bytes (the form is canonical, so they follow from the value)."""
        return hashlib.sha256(format_catalogue(self)).digest()

    @functools.cached_property
    def _by_code(self) -> Mapping[str, Occupation]:
        return {occupation.code: occupation for occupation in self.occupations}

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Occupation]:
        return {o.name: o for o in sorted(self.occupations, key=lambda o: o.until is None)}

    @functools.cached_property
    def _by_trade(self) -> Mapping[str, tuple[Occupation, ...]]:
        found: dict[str, tuple[Occupation, ...]] = {}
        for occupation in self.occupations:
            for trade in occupation.trades:
                found[trade] = (*found.get(trade, ()), occupation)
        return found

    def find(self, code: str) -> Occupation | None:
        """The occupation with exactly this code, or None."""
        return self._by_code.get(code)

    def find_by_name(self, name: str, trade: str = "") -> Occupation | None:
        """The occupation that a roster calls `name`: by its own name, else by a trade of that name.

        Names are compared without spaces and in NFKC. None when nobody is called so; Refused
        OCCUPATION_AMBIGUOUS when `name` is a trade of several occupations and `trade` does not decide.
        """
        plain = plain_name(name)
        if plain in self._by_name:
            return self._by_name[plain]
        candidates = self._by_trade.get(plain, ())
        if len(candidates) > 1 and plain_name(trade) not in ("", plain):
            candidates = tuple(o for o in candidates if plain_name(trade) in (o.name, *o.trades))
        if not candidates:
            return None
        if len(candidates) > 1:
            raise Refused(
                "OCCUPATION_AMBIGUOUS",
                "occupation",
                Text(
                    "多个职业有这个工种，请填写职业名称",
                    "several occupations have this trade; name the occupation",
                ),
            )
        return candidates[0]


def check_code(code: str) -> str:
    """Return `code` when it is of the form d-dd-dd-dd (2022 classification); Malformed otherwise."""
    if type(code) is not str or not _CODE.fullmatch(code):
        raise Malformed("occupation code is not d-dd-dd-dd")
    return code


def plain_name(text: str) -> str:
    """A name as it is compared: NFKC, no white space, parentheses in their ASCII form."""
    return "".join(unicodedata.normalize("NFKC", text[:400]).split())


def format_catalogue(catalogue: Catalogue) -> bytes:
    """The canonical file: UTF-8 JSON, one occupation per line. Its SHA-256 goes on the log."""
    lines = ",\n".join(_format_occupation(occupation) for occupation in catalogue.occupations)
    head = f'{{"format":"{FORMAT}","version":"{catalogue.version}","occupations":[\n'
    return f"{head}{lines}\n]}}\n".encode()


def parse_catalogue(raw: bytes) -> Catalogue:
    """The catalogue of a canonical file; Malformed for other bytes (also another spelling of the same)."""
    if len(raw) > MAX_BYTES:
        raise Malformed("catalogue file over 4 MiB")
    try:
        outer = json.loads(raw)
        if outer["format"] != FORMAT:
            raise Malformed("not a catalogue file")
        occupations = tuple(_parse_occupation(item) for item in outer["occupations"])
        catalogue = Catalogue(outer["version"], occupations)
        same = format_catalogue(catalogue) == raw
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Malformed("catalogue file")
    if not same:
        raise Malformed("catalogue file is not in its canonical form")
    return catalogue


def import_catalogue(rows: Iterable[tuple[str, str, str]], version: str, *, base: Catalogue | None = None) -> bytes:
    """The canonical file made from an official list: rows of (code, name, trades joined by 、 or a comma).

    Every entry counts as confirmed. An occupation whose code or name is in `base` keeps that lineage (code
    first); others get their own code. Rows that repeat an occupation add their trades. Refused, `field` naming
    the row from 1: CATALOGUE_CODE, CATALOGUE_NAME, CATALOGUE_DUPLICATE (one code, two names) or
    CATALOGUE_NAME_CONFLICT (one name, two codes).
    """
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    trades: dict[str, dict[str, None]] = {}
    for at, (raw_code, raw_name, raw_trades) in enumerate(rows, 1):
        code, name = plain_name(raw_code), plain_name(raw_name)
        if not _CODE.fullmatch(code):
            raise _bad_row("CATALOGUE_CODE", at, "职业编码应为 d-dd-dd-dd", "the code is not d-dd-dd-dd")
        listed = [plain_name(part) for part in _TRADE_SEPARATORS.split(raw_trades)]
        try:
            for checked in (name, *filter(None, listed)):
                _check_name(checked)
        except Malformed:
            raise _bad_row("CATALOGUE_NAME", at, "名称为空或含有不允许的字符", "a name is empty or has a bad character")
        if names.setdefault(code, name) != name:
            raise _bad_row("CATALOGUE_DUPLICATE", at, "同一编码有两个名称", "one code has two names")
        if codes.setdefault(name, code) != code:
            raise _bad_row("CATALOGUE_NAME_CONFLICT", at, "同一名称有两个编码", "one name has two codes")
        trades.setdefault(code, {}).update(dict.fromkeys(filter(None, listed)))
    occupations = tuple(
        Occupation(code, names[code], _lineage(code, names[code], base), tuple(trades[code])) for code in sorted(names)
    )
    return format_catalogue(Catalogue(version, occupations))


def _lineage(code: str, name: str, base: Catalogue | None) -> str:
    known = (base.find(code) or base._by_name.get(name)) if base else None
    return known.lineage if known else code


def _check_name(name: str) -> None:
    if type(name) is not str or not 0 < len(name) <= 60 or name != plain_name(name):
        raise Malformed("name of an occupation or trade")
    if any(unicodedata.category(character)[0] == "C" for character in name):
        raise Malformed("control or private character in a name")


def _format_occupation(occupation: Occupation) -> str:
    value = {name: getattr(occupation, name) for name in _FIELDS}
    for name in ("since", "until"):
        value[name] = format_day(value[name]) if value[name] is not None else ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parse_occupation(item: dict[str, object]) -> Occupation:
    if not isinstance(item, dict) or tuple(item) != _FIELDS or not isinstance(item["trades"], list):
        raise Malformed("an occupation of the catalogue")
    since, until = (parse_day(str(item[name])) if item[name] != "" else None for name in ("since", "until"))
    return Occupation(
        code=check_code(item["code"]),  # type: ignore[arg-type]
        name=str(item["name"]),
        lineage=str(item["lineage"]),
        trades=tuple(item["trades"]),
        standard_id=str(item["standard_id"]),
        confirmed=item["confirmed"],  # type: ignore[arg-type]
        since=since,
        until=until,
    )


def _bad_row(code: str, at: int, zh: str, en: str) -> Refused:
    return Refused(code, f"row {at}", Text(f"第 {at} 行：{zh}", f"row {at}: {en}"))

"""Strict reading of a pack's TOML: every value typed, every key known, errors name file, table and row. Pure."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from ledger.errors import Malformed, Refused
from ledger.records.canonical import is_plain
from ledger.records.dates import day_of
from ledger.text import Text

E = TypeVar("E", bound=StrEnum)
MAX_FILE = 256 * 1024  # bytes
MAX_TEXT = 400
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
ANY = re.compile(r"[^\n]{1,120}")
_ABSENT: Any = object()


class BadPack(Refused):
    """A pack that is refused: `code` is typed, `field` says where (file, table, row, key)."""


def bad(code: str, place: str, zh: str, en: str, **values: object) -> BadPack:
    """The refusal with the values filled into both sentences."""
    return BadPack(code, place, Text(zh, en).format(**values))


def read_toml(name: str, raw: bytes) -> Node:
    """The outermost table of one file. Raises BadPack (TOO_LARGE, NOT_TOML)."""
    if len(raw) > MAX_FILE:
        raise bad("TOO_LARGE", name, "文件超过 256 KiB", "the file is over 256 KiB")
    try:
        return Node(tomllib.loads(raw.decode("utf-8")), name)
    except (ValueError, RecursionError) as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{name}:{line[1]}" if line else name
        raise bad("NOT_TOML", where, "不是 UTF-8 的 TOML", "not TOML in UTF-8")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like it; "-" where nothing is known."""
    return next(iter(get_close_matches(word, list(known), 1, 0.0)), "-")


class Node:
    """One table of the file. Every read takes its key; `end` refuses the keys that nobody asked for."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        self._table = dict(table)
        self._asked: list[str] = []
        self.place = place

    def at(self, key: str) -> str:
        return f"{self.place}: {key}"

    def has(self, key: str) -> bool:
        return key in self._table

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that are left."""
        return tuple(self._table)

    def take(self, key: str, default: Any = _ABSENT) -> Any:
        """The value as TOML has it. Raises BadPack MISSING."""
        self._asked.append(key)
        value = self._table.pop(key, default)
        if value is _ABSENT:
            raise bad("MISSING", self.at(key), "缺少此项", "missing")
        return value

    def text(self, key: str, default: Any = _ABSENT, *, long: bool = False) -> str:
        value = self.take(key, default)
        if type(value) is not str or not (value == default or _spelled(value, MAX_TEXT if long else 120)):
            raise self._wrong(key, "一行文字", "one line of plain text")
        return value

    def flag(self, key: str, default: Any = _ABSENT) -> bool:
        value = self.take(key, default)
        if type(value) is not bool:
            raise self._wrong(key, "true 或 false", "true or false")
        return value

    def number(self, key: str, default: Any = _ABSENT, *, low: int, high: int) -> int:
        value = self.take(key, default)
        if type(value) is not int:
            raise self._wrong(key, "整数", "an integer")
        if not low <= value <= high:
            raise bad("RANGE", self.at(key), "应在 {low}..{high}", "must be in {low}..{high}", low=low, high=high)
        return value

    def day(self, key: str, default: Any = _ABSENT) -> Any:
        """A day number; `default` where the key is absent."""
        value = self.take(key, default)
        return value if value is default else day_value(value, self.at(key))

    def choice(self, key: str, kind: type[E], default: Any = _ABSENT) -> E:
        value = self.take(key, default)
        words = [member.value for member in kind]
        if value not in words:
            raise bad("CHOICE", self.at(key), "只能是 {c}", "must be one of {c}", c=" | ".join(words))
        return kind(value)

    def name(self, key: str, pattern: re.Pattern[str] = NAME) -> str:
        value = self.take(key)
        if type(value) is not str or not pattern.fullmatch(value):
            raise self._wrong(key, "标识符", "an identifier")
        return value

    def words(self, key: str, default: Any = _ABSENT) -> tuple[str, ...]:
        value = self.take(key, default)
        if value is default:
            return tuple(value)
        if type(value) is not list or not all(type(each) is str and _spelled(each, 64) for each in value):
            raise self._wrong(key, "文字数组", "an array of texts")
        if len(set(value)) != len(value):
            raise bad("REPEATED", self.at(key), "有重复", "says something twice")
        return tuple(value)

    def pair(self) -> Text:
        """The keys `zh` and `en`."""
        return Text(self.text("zh", long=True), self.text("en", long=True))

    def node(self, key: str, *, optional: bool = False) -> Node:
        value = self.take(key, {} if optional else _ABSENT)
        if type(value) is not dict:
            raise self._wrong(key, "表", "a table")
        return Node(value, self.at(key))

    def nodes(self, key: str, pattern: re.Pattern[str] = NAME) -> Iterator[tuple[str, Node]]:
        """The named tables below `key`, none where it is absent."""
        for name, value in self.node(key, optional=True)._table.items():
            if not pattern.fullmatch(name):
                raise bad("NAME", self.at(f"{key}.{name[:60]}"), "名称不合规", "not a name that is allowed here")
            if type(value) is not dict:
                raise self._wrong(f"{key}.{name}", "表", "a table")
            yield name, Node(value, f"{self.place}: {key}.{name}")

    def entries(self, key: str) -> dict[str, Any]:
        """The table under `key` as it stands, for a caller that checks every entry."""
        return self.node(key)._table

    def rows(self, key: str, most: int) -> Iterator[Node]:
        """The array of tables under `key`, none where it is absent; each is placed by its `id`."""
        value = self.take(key, [])
        if type(value) is not list or not all(type(each) is dict for each in value):
            raise self._wrong(key, "表的数组", "an array of tables")
        if len(value) > most:
            raise bad("TOO_MANY", self.at(key), "最多 {most} 项", "at most {most}", most=most)
        for index, each in enumerate(value, 1):
            label = each.get("id")
            yield Node(each, f"{self.place}: {key}/{label if type(label) is str else index}"[:200])

    def end(self) -> None:
        """Raises BadPack UNKNOWN_KEY for what was not asked for."""
        for key in self._table:
            raise unknown("UNKNOWN_KEY", self.at(key), key, self._asked)

    def _wrong(self, key: str, zh: str, en: str) -> BadPack:
        return BadPack("TYPE", self.at(key), Text(f"应为{zh}", f"must be {en}"))


def unknown(code: str, place: str, word: str, known: Iterable[str]) -> BadPack:
    """A word that nothing is called, with the nearest that something is."""
    near = nearest(word, known)
    return bad(code, place, "未知名称，最接近的是 {near}", "unknown; the nearest is {near}", near=near)


def day_value(value: Any, place: str) -> int:
    """A TOML date, without time, as a day number."""
    if type(value) is not dt.date:
        raise bad("TYPE", place, "应为日期", "must be a date")
    try:
        return day_of(value)
    except Malformed:
        raise bad("RANGE", place, "日期应在 1900..2999", "must be a date in 1900..2999")


def _spelled(value: str, most: int) -> bool:
    return 0 < len(value) <= most and is_plain(value)

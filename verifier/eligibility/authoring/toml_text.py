"""TOML text for the files of a pack: what the standard library reads and cannot write. Pure.

Plain values first, then tables; arrays of tables as `[[…]]`, whose own tables `when` and `then` stand on one line.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
INLINE: Final = frozenset({"when", "then"})


def format_toml(table: Mapping[str, Any]) -> str:
    """The text of a document."""
    return "\n".join(_table(table, ())).strip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if not _is_table(key, value, path) and not _is_rows(value):
            yield f"{_key(key)} = {format_value(value)}"
    for key, value in table.items():
        inner = (*path, key)
        if _is_table(key, value, path):
            yield f"\n[{'.'.join(map(_key, inner))}]"
            yield from _table(value, inner)
        elif _is_rows(value):
            for each in value:
                yield f"\n[[{'.'.join(map(_key, inner))}]]"
                yield from _table(each, inner)


def _is_table(key: str, value: Any, path: tuple[str, ...]) -> bool:
    return isinstance(value, Mapping) and key not in INLINE and path[-1:] not in (("values",), ("every",))


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(each, Mapping) for each in value)


def format_value(value: Any) -> str:
    """One value on one line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {format_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(format_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, str), "a pack has whole numbers, texts, dates, booleans, arrays and tables"
    return '"' + "".join(_ESCAPES.get(c, c) for c in value) + '"'


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else format_value(key)

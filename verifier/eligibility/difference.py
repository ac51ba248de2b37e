"""What differs between two packs, entry by entry and row by row. Pure.

Arrays of tables (tables, rows, lines, constraints, cases) are matched by `id`: a row that moved is no difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from verifier.eligibility.loader import FILES
from verifier.eligibility.pack import Pack
from verifier.eligibility.reader import read_toml


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not the same. None: it is not there. `path`: keys and ids with dots between."""

    file: str
    path: str
    before: str | None
    after: str | None


def differences(old: Pack, new: Pack) -> tuple[Difference, ...]:
    """Every entry that differs, file by file; an added or removed row is one difference."""
    found = []
    for file in FILES:
        before, after = (_whole(pack.files[file], file) for pack in (old, new))
        for path, was, now in _walk("", before, after):
            found.append(Difference(file, path, was, now))
    return tuple(found)


def _whole(raw: bytes, file: str) -> dict[str, Any]:
    root = read_toml(file, raw)
    return {name: root.take(name) for name in root.names}


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, str | None, str | None]]:
    one, other = _keyed(old), _keyed(new)
    if one is None or other is None:
        if old != new or type(old) is not type(new):
            yield path, say(old), say(new)
        return
    for key in (*one, *(key for key in other if key not in one)):
        below = f"{path}.{key}" if path else key
        if key not in other:
            yield below, say(one[key]), None
        elif key not in one:
            yield below, None, say(other[key])
        else:
            yield from _walk(below, one[key], other[key])


def _keyed(value: Any) -> Mapping[str, Any] | None:
    """A table as it is, an array of tables with ids by id; anything else is compared as a whole."""
    if type(value) is dict:
        return value
    if type(value) is list and value and all(type(each) is dict and type(each.get("id")) is str for each in value):
        return {each["id"]: each for each in value}
    return None


def say(value: Any) -> str:
    """A TOML value on one line."""
    if type(value) is dict:
        return "{ " + ", ".join(f"{key} = {say(each)}" for key, each in value.items()) + " }"
    if type(value) is list:
        return "[" + ", ".join(map(say, value)) + "]"
    if type(value) is bool:
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)

"""What a store's tables are, compared with what its own steps make: a column, index or trigger that somebody changed by
hand is named, whatever the store says of its steps.

Nothing is written down twice: the steps are carried out once more beside the store, in memory, and both are described
in the words of the store's kind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.store import postgres_catalogue
from ledger.store.migrations import Migration
from ledger.store.postgres_catalogue import Fetch
from ledger.store.sqlite_text import OUR_TABLES, carried_out
from ledger.text import Text

_SHOWN: Final = 10
_LONGEST: Final = 300  # characters of a definition
_CHANGED: Final = Text(
    "存储结构被改动过，与升级步骤所建的不同，未做任何更改，请以表的拥有者身份改回后重试：{what}",
    "The schema was changed, and is not what its steps make; nothing was done. Put it back as the owner of the tables, "
    "then try again: {what}",
)
_WANTED: Final = Text("。升级步骤所建的是：", ". What the steps make: ")
_ABSENT: Final = Text("{name}，{made}", "{name}, {made}")
_OTHERWISE: Final = Text("{name}，{made}（现为 {found}）", "{name}, {made} (and it is {found})")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was made, in the words of the store's kind."""

    name: str
    made: str | None  # None: no step made it
    found: str | None  # None: it is missing

    def __post_init__(self) -> None:
        assert self.made != self.found, "no difference"

    def __str__(self) -> str:
        kind = "missing" if self.found is None else "no step made it" if self.made is None else "changed"
        return f"{self.name}: {kind}"

    @property
    def wanted(self) -> Text | None:
        """How it should be; None where it should not be at all, or its name says all."""
        if self.made is None or self.name.startswith("relation "):
            return None
        values = {"name": self.name, "made": _cut(self.made), "found": _cut(self.found or "")}
        return (_ABSENT if self.found is None else _OTHERWISE).format(**values)


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[:_LONGEST] + "…"


def differences(made: dict[str, str], found: dict[str, str]) -> list[Difference]:
    """What of `found` is not as it was `made`, in order of the names."""
    names = sorted(made.keys() | found.keys())
    return [Difference(name, made.get(name), found.get(name)) for name in names if made.get(name) != found.get(name)]


def refuse_drift(found: Sequence[Difference], where: str) -> None:
    """Raise Refused("SCHEMA_CHANGED") that names what was found, and says how it should be."""
    if found:
        shown = found[:_SHOWN]
        text = _CHANGED.format(what="; ".join(map(str, shown)) + ("; …" if len(found) > _SHOWN else ""))
        if wanted := [each.wanted for each in shown if each.wanted is not None]:
            zh, en = "；".join(each.zh for each in wanted), "; ".join(each.en for each in wanted)
            text = Text(text.zh + _WANTED.zh + zh, text.en + _WANTED.en + en)
        raise Refused("SCHEMA_CHANGED", where, text)


def sqlite_drift(store: sqlite3.Connection, done: Sequence[Migration]) -> list[Difference]:
    """How the tables of a store in which these steps were `done` differ from what they make. Raises Unavailable."""
    try:
        return differences(_made(tuple(done)), _described(store))
    except sqlite3.Error as error:
        raise Unavailable(Text(f"存储没有完成操作：{error}", f"store: {error}")) from error


@cache
def _made(steps: tuple[Migration, ...]) -> dict[str, str]:
    with closing(carried_out(steps, "sqlite")) as tables:
        return _described(tables)


def _described(store: sqlite3.Connection) -> dict[str, str]:
    return {f"{kind} {name}": " ".join(text.split()) for kind, name, text in store.execute(OUR_TABLES)}


async def postgres_drift(fetch: Fetch, done: Sequence[Migration]) -> list[Difference]:
    """The same for the schema that is first in the path of the session that answers. Raises Unavailable as `fetch`."""
    return differences(postgres_catalogue.made(tuple(done)), await postgres_catalogue.found(fetch))

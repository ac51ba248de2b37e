"""What a store's tables are, compared with what its own steps make: a column, index or trigger that somebody changed by
hand is named, whatever the store says of its steps.

Nothing is written down twice: the steps are carried out once more beside the store, in memory, and both are described
in the words of the store's kind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.store import postgres_catalogue
from ledger.store.migrations import Migration
from ledger.store.postgres_catalogue import Fetch
from ledger.store.sqlite_text import OUR_TABLES, carried_out
from ledger.text import Text

_SHOWN: Final = 10
_CHANGED: Final = Text(
    "存储结构被改动过，与升级步骤所建的不同，未做任何更改，请以表的拥有者身份改回后重试：{what}",
    "The schema was changed, and is not what its steps make; nothing was done. Put it back as the owner of the tables, "
    "then try again: {what}",
)


def differences(made: dict[str, str], found: dict[str, str]) -> list[str]:
    """What of `found` is not as it was `made`, a line each, in order of the names."""
    words: list[str] = []
    for name in sorted(made.keys() | found.keys()):
        if name not in found:
            words.append(f"{name}: missing")
        elif name not in made:
            words.append(f"{name}: no step made it")
        elif made[name] != found[name]:
            words.append(f"{name}: changed")
    return words


def refuse_drift(found: Sequence[str], where: str) -> None:
    """Raise Refused("SCHEMA_CHANGED") that names what was found."""
    if found:
        what = "; ".join(found[:_SHOWN]) + ("; …" if len(found) > _SHOWN else "")
        raise Refused("SCHEMA_CHANGED", where, _CHANGED.format(what=what))


def sqlite_drift(store: sqlite3.Connection, done: Sequence[Migration]) -> list[str]:
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


async def postgres_drift(fetch: Fetch, done: Sequence[Migration]) -> list[str]:
    """The same for the schema that is first in the path of the session that answers. Raises Unavailable as `fetch`."""
    return differences(postgres_catalogue.made(tuple(done)), await postgres_catalogue.found(fetch))

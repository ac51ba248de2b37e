"""Numbered plain SQL. A file, once released, is never edited: its SHA-256 is kept in the store and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from ledger.errors import Refused
from ledger.text import Text

TABLE_OF_STEPS: Final = "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, digest bytea NOT NULL)"
OLDER: Final = Text(
    "存储结构比程序旧：请停止服务并用 migrate 升级（核验方的副本可重新生成）",
    "The store's schema is older than this program: stop what runs on it and bring it up with migrate (a verifier's "
    "replica can also be made again)",
)
_ANOTHER: Final = Text(
    "存储结构比程序新，或属于另一程序：请用相同版本的程序",
    "The store's schema is newer than this program, or of another one: use the version that it was made with",
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `digest` is the SHA-256 of its text."""

    name: str
    text: str

    @property
    def digest(self) -> bytes:
        return sha256(self.text.encode()).digest()

    def statements(self, store: str = "") -> list[str]:
        """Its text, one statement at a time: what every store runs, and what `store` ("sqlite" or "postgres") runs
        beside it, in lines that begin with `-- sqlite: ` or `-- postgres: `. What rows there are, and of which columns,
        is the same with and without those; keys and indexes need not be. No literal holds a semicolon or two dashes."""
        own = re.sub(rf"^-- {store}: ", "", self.text, flags=re.MULTILINE) if store else self.text
        plain = re.sub(r"--[^\n]*", "", own)
        return [statement for statement in (part.strip() for part in plain.split(";")) if statement]


def steps_in(package: str) -> list[Migration]:
    """The numbered files of a package, in order."""
    found = sorted(files(package).iterdir(), key=lambda item: item.name)
    sql = [path for path in found if path.name.endswith(".sql")]
    return [Migration(path.name.removesuffix(".sql"), path.read_text("utf-8")) for path in sql]


def migrations(*, private: bool) -> list[Migration]:
    """The steps for a replica's store, or with `private` for the ledger's, in order."""
    return [step for step in steps_in(__name__) if private or not step.name.endswith("_private")]


def missing_steps(wanted: Sequence[Migration], done: Mapping[str, bytes], where: str) -> list[Migration]:
    """Those of the `wanted` steps that a store lacks, in order, by the names and digests that it has.

    Raises Refused("SCHEMA") on drift: a step with another text, an unknown one, or one missing before a later one.
    """
    if {step.name: step.digest for step in wanted[: len(done)]} != dict(done):
        raise Refused("SCHEMA", where, _ANOTHER)
    return list(wanted[len(done) :])

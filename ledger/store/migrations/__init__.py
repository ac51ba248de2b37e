"""Numbered plain SQL. A file, once released, is never edited: its SHA-256 is kept in the store and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from ledger.errors import Refused
from ledger.text import Text


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `digest` is the SHA-256 of its text."""

    name: str
    text: str

    @property
    def digest(self) -> bytes:
        return sha256(self.text.encode()).digest()

    def statements(self) -> list[str]:
        """Its text, one statement at a time. No literal in it holds a semicolon or two dashes."""
        plain = re.sub(r"--[^\n]*", "", self.text)
        return [statement for statement in (part.strip() for part in plain.split(";")) if statement]


def migrations(*, private: bool) -> list[Migration]:
    """The steps for a replica's store, or with `private` for the ledger's, in order."""
    found = []
    for path in sorted(files(__name__).iterdir(), key=lambda item: item.name):
        if path.name.endswith(".sql") and (private or not path.name.endswith("_private.sql")):
            found.append(Migration(path.name.removesuffix(".sql"), path.read_text("utf-8")))
    return found


def missing_steps(done: Mapping[str, bytes], where: str, *, private: bool) -> list[Migration]:
    """The steps that a store lacks, in order, by the names and digests that it has.

    Raises Refused("SCHEMA") on drift: a step with another text, an unknown one, or one missing before a later one.
    """
    wanted = migrations(private=private)
    head = wanted[: len(done)]
    if {step.name: step.digest for step in head} != dict(done):
        raise Refused("SCHEMA", where, Text("存储结构与程序版本不符", "Store schema of another version"))
    return wanted[len(done) :]

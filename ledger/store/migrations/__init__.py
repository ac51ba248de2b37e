"""Numbered plain SQL. A file, once released, is never edited: its SHA-256 is kept in the store and compared."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `digest` is the SHA-256 of its text."""

    name: str
    text: str

    @property
    def digest(self) -> bytes:
        return sha256(self.text.encode()).digest()


def migrations(*, private: bool) -> list[Migration]:
    """The steps for a replica's store, or with `private` for the ledger's, in order."""
    found = []
    for path in sorted(files(__name__).iterdir(), key=lambda item: item.name):
        if path.name.endswith(".sql") and (private or not path.name.endswith("_private.sql")):
            found.append(Migration(path.name.removesuffix(".sql"), path.read_text("utf-8")))
    return found

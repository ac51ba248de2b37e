"""Which store the site has: a file name is SQLite, `postgresql://…` is PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from ledger.store.opening import is_postgres
from ledger.store.postgres_link import parse_place
from verifier.site import postgres, sqlite
from verifier.site.store import SiteStore


async def open_site(place: str, folder: Path) -> SiteStore:
    """The site's store; a file is relative to `folder`. Raises Unavailable when it is missing, Refused on drift."""
    if is_postgres(place):
        return await postgres.open_store(parse_place(place, "site_store"))
    return sqlite.open_store(folder / place)


async def prepare_site(place: str, folder: Path) -> list[str]:
    """Make the store where there is none, bring an older one to this version; the names of the steps that were done.
    Raises Refused on drift, Unavailable."""
    if is_postgres(place):
        return await postgres.prepare(parse_place(place, "site_store"))
    return sqlite.prepare(folder / place)

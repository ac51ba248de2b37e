"""The site's store, opened for a test: a SQLite file, or a schema of a PostgreSQL server of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.postgres import postgres_server
from verifier.site.opening import open_site, prepare_site
from verifier.site.store import SiteStore


@asynccontextmanager
async def sqlite_store(folder: Path) -> AsyncIterator[SiteStore]:
    async with _opened("site.db", folder) as store:
        yield store


@asynccontextmanager
async def open_stores(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SiteStore]:
    """The kind that the fixture's parameter names: "sqlite" or "postgres"."""
    place = "site.db"
    if request.param == "postgres":
        server = postgres_server()
        place = server.owner(server.place("site"))
    async with _opened(place, folder) as store:
        yield store


@asynccontextmanager
async def _opened(place: str, folder: Path) -> AsyncIterator[SiteStore]:
    await prepare_site(place, folder)
    store = await open_site(place, folder)
    try:
        yield store
    finally:
        await store.close()

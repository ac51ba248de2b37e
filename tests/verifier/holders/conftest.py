"""The site's store with the tables of this version, on both kinds, and a clock that only the test moves."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.builders import octets
from tests.support.postgres import postgres_server
from verifier.holders.accounts import Accounts
from verifier.holders.requests import Requests
from verifier.holders.share_store import Shares
from verifier.holders.tries import Tries
from verifier.site.opening import open_site, prepare_site
from verifier.site.store import SiteStore


@dataclass
class Kit:
    """What the holders' part keeps, over one store."""

    store: SiteStore
    now: list[int]
    accounts: Accounts = field(init=False)
    shares: Shares = field(init=False)
    requests: Requests = field(init=False)
    tries: Tries = field(init=False)

    def __post_init__(self) -> None:
        counter = itertools.count()

        def draw(count: int) -> bytes:
            return octets(f"draw {next(counter)}", count)

        now: Callable[[], int] = lambda: self.now[0]  # noqa: E731
        self.accounts = Accounts(lambda: self.store, now, draw)
        self.shares = Shares(lambda: self.store, now, draw)
        self.requests = Requests(lambda: self.store, now, draw)
        self.tries = Tries(lambda: self.store, now)


@pytest.fixture(params=["sqlite", "postgres"])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    if request.param == "sqlite":
        place = "site.db"
    else:
        server = postgres_server()
        place = server.owner(server.place("holders"))
    await prepare_site(place, tmp_path)
    store = await open_site(place, tmp_path)
    yield Kit(store, [1_795_349_403_000])
    await store.close()

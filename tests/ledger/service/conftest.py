"""One ledger process for the HTTP tests of this folder, with two filings on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_ledger import LAB, LiveLedger, live_body
from tests.support.service_room import Room

HOME, OTHER_NUMBER = live_body("home"), "Y000051000002"
OTHER = live_body("other", number=OTHER_NUMBER)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLedger]:
    ledger = LiveLedger.create(tmp_path_factory.mktemp("service") / "log", "service", verifiers=(LAB,))
    ledger.start()
    try:
        for body in (HOME, OTHER):
            asyncio.run(ledger.file(body))
        asyncio.run(_until_signed_requests_are_taken(ledger))
        yield ledger
    finally:
        ledger.stop()
    assert ledger.process is not None and ledger.process.returncode == 0
    assert '"level":"error"' not in ledger.stderr.read_text("utf-8"), "no request may become a 500"


async def _until_signed_requests_are_taken(ledger: LiveLedger) -> None:
    """One that is signed in the second of the start is refused, as it could be a replay; the client signs again."""
    async with ledger.client(HOME) as client:
        await client.taken_numbers([])


@pytest.fixture(scope="session")
def home() -> object:
    return HOME


@pytest.fixture(scope="session")
def other() -> object:
    return OTHER


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)

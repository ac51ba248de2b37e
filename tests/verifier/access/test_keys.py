"""API keys in both kinds of store: found as sent, never readable from the database, ended when revoked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.errors import Refused
from tests.support.build_log import octets
from tests.support.site_stores import open_stores
from verifier.access.keys import REMEMBERED_MS, ApiKeys
from verifier.site.store import SiteStore


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SiteStore]:
    async with open_stores(request, tmp_path) as opened:
        yield opened


async def test_made_found_and_revoked(store: SiteStore) -> None:
    now = [1_000_000]
    keys = ApiKeys(lambda: store, lambda: now[0])
    made, sent = await keys.add("人事系统", lambda n: octets(f"key {n}", n), per_minute=60, max_rows=100)
    assert await keys.find(sent) == made and await keys.listed() == [made]
    ((digest,),) = await store.fetch("SELECT digest FROM api_key")
    assert octets("key 32", 32) not in bytes(digest) and sent[-64:] not in bytes(digest).hex()
    for wrong in (
        sent[:-1] + ("0" if sent[-1] != "0" else "1"),
        sent.upper(),
        sent + "\n",
        "",
        "cvk_" + "0" * 16 + sent[20:],
        sent[:20],
    ):
        assert await keys.find(wrong) is None
    await keys.revoke(made.id)
    now[0] += REMEMBERED_MS
    assert await keys.find(sent) is None
    assert (await keys.listed())[0].revoked_ms == 1_000_000
    for unknown in (made.id, "x"):
        with pytest.raises(Refused):
            await keys.revoke(unknown)
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(Refused):
            await keys.add(name, lambda n: octets("other", n))

"""How often somebody may be wrong about one certificate in a day, counted in the site's store for all its processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.records.dates import batch_day
from verifier.holders.sealing import name_of
from verifier.site.store import SiteStore

TRIES_A_DAY: Final = 5


class Tries:
    """A try is taken before it is judged, so that many at once are no more than many in turn."""

    def __init__(self, store: Callable[[], SiteStore], now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def take(self, cert_key: bytes) -> bool:
        """False when none of today's is left. Those of earlier days are forgotten on the way."""
        row, day = name_of(cert_key, "try"), batch_day(self._now_ms())
        async with self._store().transaction() as tx:
            await tx.execute("DELETE FROM holder_try WHERE day < $1", day)
            await tx.execute(
                "INSERT INTO holder_try (id, day, tries) VALUES ($1, $2, 0) ON CONFLICT (id) DO NOTHING", row, day
            )
            taken = await tx.execute(
                "UPDATE holder_try SET tries = tries + 1 WHERE id = $1 AND tries < $2", row, TRIES_A_DAY
            )
        return taken == 1

    async def forgive(self, cert_key: bytes) -> None:
        """After a right answer the day's tries are whole again."""
        await self._store().execute("DELETE FROM holder_try WHERE id = $1", name_of(cert_key, "try"))

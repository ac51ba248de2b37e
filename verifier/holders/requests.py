"""What holders ask of others: a correction of the body that issued, an erasure of the log's operator.

A request says which certificate and which field, and nothing about the person: what the right value is, the body is
told with documents in hand. An erasure also carries an order that only the ledger's operator can open
(`ledger.records.erasure`), since what opens the envelopes finds them too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.text import Text
from verifier.holders.accounts import Session
from verifier.holders.sealing import ID_BYTES, RandomBytes
from verifier.site.store import SiteStore

CORRECTION: Final = "correction"
ERASURE: Final = "erasure"
FIELDS: Final = ("name", "document", "photo", "scores", "employer", "birth_year", "training", "other")
_MOST: Final = 20  # open ones of an account
_MANY: Final = Text("待处理的申请过多", "There are too many requests waiting")
_COLUMNS: Final = "SELECT id, kind, cert_key, field, sealed, at_ms, done_ms FROM holder_request"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `field` is empty for an erasure, `order` for a correction; `done_ms` is 0 until it was acted on."""

    id: bytes
    kind: str
    cert_key: bytes
    field: str
    order: bytes
    at_ms: int
    done_ms: int

    def __post_init__(self) -> None:
        fits = self.field in FIELDS if self.kind == CORRECTION else self.kind == ERASURE and not self.field
        if not fits or len(self.cert_key) != 32:
            raise Malformed(
                Text(
                    "申请应为更正某一项，或删除，且只针对一张证书",
                    "a request is a correction of a field, or an erasure, of one certificate",
                )
            )


class Requests:
    """Reads and writes them."""

    def __init__(self, store: Callable[[], SiteStore], now_ms: Callable[[], int], random_bytes: RandomBytes) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random = random_bytes

    async def add(self, session: Session, kind: str, cert_key: bytes, field: str, order: bytes) -> None:
        """A new one, unless the same waits already. Raises Malformed, Refused."""
        new = Request(self._random(ID_BYTES), kind, cert_key, field, order, self._now_ms(), 0)
        async with self._store().transaction() as tx:
            waiting = await tx.fetch(
                "SELECT kind, cert_key, field FROM holder_request WHERE account = $1 AND done_ms = 0", session.account
            )
            if (new.kind, new.cert_key, new.field) in waiting:
                return
            if len(waiting) >= _MOST:
                raise Refused("REQUESTS_MANY", "", _MANY)
            await tx.execute(
                "INSERT INTO holder_request (id, account, kind, cert_key, field, sealed, at_ms, done_ms) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
                new.id,
                session.account,
                new.kind,
                new.cert_key,
                new.field,
                new.order,
                new.at_ms,
            )

    async def of(self, session: Session) -> list[Request]:
        """Those of an account, the newest first."""
        rows = await self._store().fetch(f"{_COLUMNS} WHERE account = $1 ORDER BY at_ms DESC, id", session.account)
        return [Request(*row) for row in rows]


async def waiting(store: SiteStore) -> list[Request]:
    """Everybody's, for the operator, in the order in which they came."""
    return [Request(*row) for row in await store.fetch(f"{_COLUMNS} WHERE done_ms = 0 ORDER BY at_ms, id")]


async def mark_done(store: SiteStore, id_: bytes, now_ms: int) -> bool:
    """It was acted on; the order is forgotten. False for one that does not wait."""
    done = await store.execute(
        "UPDATE holder_request SET done_ms = $1, sealed = $2 WHERE id = $3 AND done_ms = 0", now_ms, b"", id_
    )
    return done == 1

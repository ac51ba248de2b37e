"""Watches, their events and how far each log was compared, in the site's store.

One transaction takes a piece of a log's changes: the events of the watches concerned, what was told, and the cursor. A
crash before its commit leaves the cursor where it was, and the piece is compared again against what was told last, so
no change is missed and none is told twice. An answer of a log that is older than its cursor is no news: another process
on the same store, or this one before it went back to a backup, has told more.

What an objection ends stays ended: the same API key cannot watch the certificate under another address, nor by removing
the watch first, of which the objection alone is kept. With its API key a watch ends too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Refused
from ledger.records.dates import format_day
from ledger.records.state import certificate_map_key
from ledger.text import Text
from verifier.site.store import SiteStore, Transaction
from verifier.verdict_json import iso_time
from verifier.watch.asking import Asked
from verifier.watch.standing import Change, Standing, changes, may_tell, parse_standing

MAX_WATCHES: Final = 10_000  # of one API key
_FULL: Final = Text("该密钥关注的证书已达 {n} 张", "This API key watches {n} certificates already")
_OBJECTED: Final = Text("持证人反对关注这张证书", "The holder of this certificate objects to its being watched")
# Of a watch whose API key still counts.
_COUNTS: Final = "NOT EXISTS (SELECT 1 FROM api_key WHERE api_key.id = watch.key_id AND api_key.revoked_ms IS NOT NULL)"
_REMOVED: Final = "watch.url = watch.id"  # only the objection is left of it
_COLUMNS: Final = "id, key_id, cert_key, url, note, created_ms, known, objected_ms"


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch, without its secret."""

    id: str
    key_id: str
    cert_key: bytes
    url: str
    note: str
    created_ms: int
    known: Standing
    objected_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Watcher:
    """What a holder may know of who watches."""

    watch_id: str
    name: str  # of the API key, as the operator wrote it
    created_ms: int
    objected_ms: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell. `due_ms` None: delivered or given up."""

    id: str
    watch_id: str
    kind: str
    body: str
    created_ms: int
    due_ms: int | None
    tries: int
    delivered_ms: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to be tried now."""

    event: Event
    url: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the changes of a log were taken: up to this key of that seal (index of its leaf)."""

    origin: str
    seal: int
    map_key: bytes


class Watches:
    """All watches of one site."""

    def __init__(
        self, store: Callable[[], SiteStore], now_ms: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random_bytes = random_bytes

    def new_id(self) -> str:
        return self._random_bytes(16).hex()

    async def add(self, watch: Watch, sealed: bytes) -> tuple[Watch, bool]:
        """Keep a watch; one for the same certificate and address is given back as it is. Whether it is new. Raises
        Refused when the key watches too many, or the holder objects to its watching."""
        async with self._store().transaction() as tx:
            old = await tx.fetch(
                f"SELECT {_COLUMNS} FROM watch WHERE key_id = $1 AND cert_key = $2 AND url = $3",  # noqa: S608
                watch.key_id, watch.cert_key, watch.url,
            )  # fmt: skip
            if old:
                return _watch(old[0]), False
            objected = await tx.fetch(
                "SELECT 1 FROM watch WHERE key_id = $1 AND cert_key = $2 AND objected_ms IS NOT NULL LIMIT 1",
                watch.key_id, watch.cert_key,
            )  # fmt: skip
            if objected:
                raise Refused("WATCH_OBJECTED", "text", _OBJECTED)
            ((count,),) = await tx.fetch("SELECT count(*) FROM watch WHERE key_id = $1", watch.key_id)
            if count >= MAX_WATCHES:
                raise Refused("TOO_MANY_WATCHES", "key", _FULL.format(n=MAX_WATCHES))
            await tx.execute(
                "INSERT INTO watch (id, key_id, cert_key, map_key, url, secret, note, created_ms, known) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                watch.id, watch.key_id, watch.cert_key, certificate_map_key(watch.cert_key), watch.url, sealed,
                watch.note, watch.created_ms, watch.known.format(),
            )  # fmt: skip
        return watch, True

    async def of_key(self, key_id: str, after: str = "", limit: int = 100) -> list[Watch]:
        """The watches of an API key behind the id `after`, by id."""
        rows = await self._store().fetch(
            f"SELECT {_COLUMNS} FROM watch WHERE key_id = $1 AND id > $2 AND NOT {_REMOVED} "  # noqa: S608
            "ORDER BY id LIMIT $3",
            key_id, after, limit,
        )  # fmt: skip
        return [_watch(row) for row in rows]

    async def find(self, key_id: str, watch_id: str) -> Watch | None:
        rows = await self._store().fetch(
            f"SELECT {_COLUMNS} FROM watch WHERE key_id = $1 AND id = $2 AND NOT {_REMOVED}",  # noqa: S608
            key_id, watch_id,
        )  # fmt: skip
        return _watch(rows[0]) if rows else None

    async def remove(self, key_id: str, watch_id: str) -> bool:
        """End a watch; its events go with it. An objection stays, without address, secret and note."""
        async with self._store().transaction() as tx:
            gone = await tx.execute(
                "DELETE FROM watch WHERE key_id = $1 AND id = $2 AND objected_ms IS NULL", key_id, watch_id
            )
            if gone == 0:
                gone = await tx.execute(
                    "UPDATE watch SET url = id, secret = $1, note = $2 "  # noqa: S608
                    f"WHERE key_id = $3 AND id = $4 AND NOT {_REMOVED}",
                    b"", "", key_id, watch_id,
                )  # fmt: skip
                if gone == 1:
                    await tx.execute("DELETE FROM watch_event WHERE watch_id = $1", watch_id)
        return gone == 1

    async def events(self, watch_id: str, limit: int = 100) -> list[Event]:
        """The newest first."""
        rows = await self._store().fetch(
            "SELECT id, watch_id, kind, body, created_ms, due_ms, tries, delivered_ms FROM watch_event "
            "WHERE watch_id = $1 ORDER BY created_ms DESC, id LIMIT $2",
            watch_id, limit,
        )  # fmt: skip
        return [Event(*row) for row in rows]

    async def watchers(self, cert_key: bytes) -> list[Watcher]:
        """Who watches a certificate, for its holder."""
        rows = await self._store().fetch(
            "SELECT watch.id, api_key.name, watch.created_ms, watch.objected_ms FROM watch "
            "JOIN api_key ON api_key.id = watch.key_id WHERE watch.cert_key = $1 AND api_key.revoked_ms IS NULL "
            "ORDER BY watch.created_ms, watch.id",
            cert_key,
        )  # fmt: skip
        return [Watcher(*row) for row in rows]

    async def object_to(self, cert_key: bytes, watch_id: str) -> bool:
        """The holder objects: the watcher is told that the watch has ended, and nothing more. Whether there was such a
        watch that was not objected to before."""
        now = self._now_ms()
        async with self._store().transaction() as tx:
            done = await tx.execute(
                "UPDATE watch SET objected_ms = $1 WHERE id = $2 AND cert_key = $3 AND objected_ms IS NULL",
                now, watch_id, cert_key,
            )  # fmt: skip
            if done == 1:
                rows = await tx.fetch(f"SELECT {_COLUMNS} FROM watch WHERE id = $1", watch_id)  # noqa: S608
                await self._tell(tx, _watch(rows[0]), Change.OBJECTED, _watch(rows[0]).known, "", 0)
        return done == 1

    async def cursor(self, origin: str) -> Cursor | None:
        rows = await self._store().fetch("SELECT seal, map_key FROM watch_cursor WHERE origin = $1", origin)
        return Cursor(origin, int(rows[0][0]), bytes(rows[0][1])) if rows else None

    async def begin(self, cursor: Cursor) -> None:
        """The first of a log: what it says so far is no news."""
        await self._move(self._store(), cursor)

    async def watched(self) -> dict[bytes, bytes]:
        """Map keys of the certificates that are watched, with their cert keys."""
        rows = await self._store().fetch(
            f"SELECT DISTINCT map_key, cert_key FROM watch WHERE objected_ms IS NULL AND {_COUNTS}"  # noqa: S608
        )
        return {bytes(map_key): bytes(cert_key) for map_key, cert_key in rows}

    async def take(self, asked: Asked, cursor: Cursor | None = None) -> tuple[int, frozenset[str]]:
        """Take what was asked, of the changes up to `cursor` where it is of some. How many events it made, and the
        origins whose answers are older than their cursors."""
        made = 0
        async with self._store().transaction() as tx:
            cursors = {str(row[0]): int(row[1]) for row in await tx.fetch("SELECT origin, seal FROM watch_cursor")}
            behind = frozenset(one for one, size in asked.sizes.items() if cursors.get(one, -1) >= size)
            for cert_key, found in asked.found.items():
                rows = await tx.fetch(
                    f"SELECT {_COLUMNS} FROM watch "  # noqa: S608
                    f"WHERE cert_key = $1 AND objected_ms IS NULL AND {_COUNTS}",
                    cert_key,
                )
                for watch in map(_watch, rows):
                    known, now = watch.known, found.standing
                    if not may_tell(known, now, asked.silent, behind):
                        continue
                    for change in changes(known, now):
                        await self._tell(tx, watch, change, now, now.origins[0], found.size)
                        made += 1
                    now = now.with_silent(known, asked.silent | behind)
                    if now != known:
                        await tx.execute("UPDATE watch SET known = $1 WHERE id = $2", now.format(), watch.id)
            if cursor is not None and cursor.origin not in behind:
                await self._move(tx, cursor)
        return made, behind

    async def claim_due(self, limit: int, lease_ms: int) -> list[Due]:
        """Deliveries to try now. Each is put off by the lease, so that nobody else tries it meanwhile, and so that one
        whose process dies is tried again."""
        now = self._now_ms()
        rows = await self._store().fetch(
            "SELECT watch_event.id, watch_id, kind, body, watch_event.created_ms, due_ms, tries, delivered_ms, "  # noqa: S608
            "watch.url, watch.secret FROM watch_event JOIN watch ON watch.id = watch_event.watch_id "
            f"WHERE due_ms <= $1 AND {_COUNTS} ORDER BY due_ms, watch_event.id LIMIT $2",
            now, limit,
        )  # fmt: skip
        claimed = []
        for row in rows:
            event = Event(*row[:8])
            done = await self._store().execute(
                "UPDATE watch_event SET due_ms = $1 WHERE id = $2 AND due_ms = $3",
                now + lease_ms, event.id, event.due_ms,
            )  # fmt: skip
            if done == 1:
                claimed.append(Due(event, row[8], bytes(row[9])))
        return claimed

    async def delivered(self, event_id: str) -> None:
        await self._store().execute(
            "UPDATE watch_event SET due_ms = NULL, delivered_ms = $1, tries = tries + 1 WHERE id = $2",
            self._now_ms(), event_id,
        )  # fmt: skip

    async def failed(self, event_id: str, again_ms: int | None) -> None:
        """`again_ms` None: given up."""
        await self._store().execute(
            "UPDATE watch_event SET due_ms = $1, tries = tries + 1 WHERE id = $2", again_ms, event_id
        )

    async def to_list(self, key_id: str) -> list[tuple[bytes, str, int]]:
        """(cert key, kind, when) of events that no list has told yet; from now on one has."""
        now = self._now_ms()
        async with self._store().transaction() as tx:
            rows = await tx.fetch(
                "UPDATE watch_event SET listed_ms = $1 WHERE key_id = $2 AND listed_ms IS NULL "
                "RETURNING cert_key, kind, created_ms",
                now, key_id,
            )  # fmt: skip
        return sorted(((bytes(row[0]), row[1], int(row[2])) for row in rows), key=lambda row: row[2])

    async def _move(self, tx: Transaction, cursor: Cursor) -> None:
        await tx.execute(
            "INSERT INTO watch_cursor (origin, seal, map_key) VALUES ($1, $2, $3) "
            "ON CONFLICT (origin) DO UPDATE SET seal = excluded.seal, map_key = excluded.map_key",
            cursor.origin, cursor.seal, cursor.map_key,
        )  # fmt: skip

    async def _tell(self, tx: Transaction, watch: Watch, change: Change, now: Standing, origin: str, size: int) -> None:
        at, event_id = self._now_ms(), self.new_id()
        body = {
            "type": f"certificate.{change.value}",
            "timestamp": iso_time(at),
            "data": {
                "watch": watch.id,
                "note": watch.note,
                "cert_key": watch.cert_key.hex(),
                "status": now.status,
                "effective": format_day(now.effective_day),
                "current_ordinal": now.current or None,
                "origin": origin or None,
                "size": size or None,
            },
        }
        await tx.execute(
            "INSERT INTO watch_event (id, watch_id, key_id, cert_key, kind, body, created_ms, due_ms, tries) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            event_id, watch.id, watch.key_id, watch.cert_key, change.value,
            json.dumps(body, ensure_ascii=False), at, at, 0,
        )  # fmt: skip


def _watch(row: Sequence[Any]) -> Watch:
    watch_id, key_id, cert_key, url, note, created_ms, known, objected_ms = row
    return Watch(watch_id, key_id, bytes(cert_key), url, note, created_ms, parse_standing(known), objected_ms)

"""Shares in the site's store: made, opened, counted, extended, closed.

A row holds what its token alone opens (the cert key), what its account opens (the note), and a body that neither opens.
The token is 16 random bytes of an address; whoever guesses one learns as much as from one that has ended: nothing.

Opening, in one transaction, so that what was closed is never given out after the answer to closing it:

    1 there    by the digest of the token; not closed, not over, not locked
    2 PIN      where there is one: the proof that only whoever has link and PIN can make, `WRONG_PINS` times at most
    3 count    the view, and when it was
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.text import Text
from verifier.holders.accounts import Session
from verifier.holders.sealing import SHARE_TOKEN_BYTES, Box, RandomBytes, name_of
from verifier.holders.shares import MAX_BODY, MAX_SHARES, WRONG_PINS, Note, format_note, parse_note
from verifier.site.store import Row, SiteStore, Transaction

PROOF_BYTES: Final = 32
_LISTED: Final = 50  # views of one share that are listed with their times
_OPEN: Final = 0  # `closed_ms` of one that was not closed
_TOO_MANY: Final = Text(
    "分享数量已达上限，请先删除已结束的分享", "There are too many shares; delete some that have ended"
)
_AGAIN: Final = Text("该分享已存在", "This share is there already")


class Gate(Enum):
    """Why a share does not open."""

    ENDED = "ended"  # never was, closed, or over: all alike
    PIN = "pin"  # it has one, and none was given
    WRONG = "wrong"  # not that one
    LOCKED = "locked"  # too many were wrong


@dataclass(frozen=True, slots=True)
class Opened:
    """What the other side gets."""

    cert_key: bytes
    body: bytes  # ciphertext for the key in the link's fragment
    expires_ms: int
    has_pin: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A share as its holder sees it."""

    id: bytes
    certificate: bytes
    note: Note
    has_pin: bool
    wrong: int
    views: int
    seen_ms: tuple[int, ...]  # the newest first, at most 50
    created_ms: int
    expires_ms: int
    closed_ms: int  # 0: it was not closed

    def state(self, now_ms: int) -> str:
        if self.closed_ms != _OPEN:
            return "closed"
        if self.expires_ms <= now_ms:
            return "over"
        return "locked" if self.wrong >= WRONG_PINS else "open"


class Shares:
    """Reads and writes them."""

    def __init__(self, store: Callable[[], SiteStore], now_ms: Callable[[], int], random_bytes: RandomBytes) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random = random_bytes

    async def add(
        self, session: Session, certificate: bytes, cert_key: bytes, note: Note, body: bytes, proof: bytes, expires: int
    ) -> bytes:
        """A new share; its id. `proof` is empty where there is no PIN. Raises Malformed, Refused."""
        if not 0 < len(body) <= MAX_BODY or len(proof) not in (0, PROOF_BYTES):
            raise Malformed("share: a body of at most 32 KiB, and a proof of 32 bytes where there is a PIN")
        id_ = share_id(note.token)
        async with self._store().transaction() as tx:
            (count,) = (await tx.fetch("SELECT count(*) FROM holder_share WHERE account = $1", session.account))[0]
            if count >= MAX_SHARES:
                raise Refused("SHARES_MANY", "", _TOO_MANY)
            put = await tx.execute(
                "INSERT INTO holder_share (id, account, certificate, subject, note, body, proof, wrong, views, "
                "created_ms, expires_ms, closed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, 0) "
                "ON CONFLICT (id) DO NOTHING",
                id_,
                session.account,
                certificate,
                Box(note.token, "share").seal(cert_key, self._random, row=id_),
                session.vault.seal(format_note(note), self._random, row=id_),
                body,
                sha256(proof).digest() if proof else b"",
                self._now_ms(),
                expires,
            )
        if put != 1:
            raise Refused("SHARE_EXISTS", "token", _AGAIN)
        return id_

    async def open(self, token: bytes, proof: bytes | None, *, count: bool = True) -> Opened | Gate:
        """What whoever has this token gets now; `proof` is None where no PIN was given. `count`: as a view."""
        if len(token) != SHARE_TOKEN_BYTES:
            return Gate.ENDED
        id_, now = share_id(token), self._now_ms()
        async with self._store().transaction() as tx:
            found = await tx.fetch(
                "SELECT subject, body, proof, wrong, expires_ms, views FROM holder_share "
                "WHERE id = $1 AND closed_ms = 0 AND expires_ms > $2",
                id_,
                now,
            )
            if not found:  # 1
                return Gate.ENDED
            subject, body, wanted, wrong, expires, views = found[0]
            if wrong >= WRONG_PINS:
                return Gate.LOCKED
            if wanted:  # 2
                if proof is None:
                    return Gate.PIN
                if not hmac.compare_digest(sha256(proof).digest(), wanted):
                    await tx.execute("UPDATE holder_share SET wrong = wrong + 1 WHERE id = $1", id_)
                    return Gate.WRONG if wrong + 1 < WRONG_PINS else Gate.LOCKED
            if count:  # 3
                await self._view(tx, id_, views + 1, now)
        return Opened(Box(token, "share").open(subject, row=id_), body, expires, bool(wanted))

    async def listed(self, session: Session) -> list[Listed]:
        """Those of an account, the newest first."""
        store = self._store()
        rows = await store.fetch(
            "SELECT id, certificate, note, proof, wrong, views, created_ms, expires_ms, closed_ms FROM holder_share "
            "WHERE account = $1 ORDER BY created_ms DESC, id",
            session.account,
        )
        seen = await store.fetch(
            "SELECT share, at_ms FROM holder_view WHERE share IN (SELECT id FROM holder_share WHERE account = $1) "
            "ORDER BY at_ms DESC, number DESC",
            session.account,
        )
        times: dict[bytes, list[int]] = {}
        for share, at in seen:
            times.setdefault(share, []).append(at)
        return [_listed(session, row, times.get(row[0], ())) for row in rows]

    async def close(self, session: Session, id_: bytes) -> None:
        """At once and for good: what it disclosed is gone from here with this commit."""
        await self._store().execute(
            "UPDATE holder_share SET closed_ms = $1, body = $2 WHERE id = $3 AND account = $4 AND closed_ms = 0",
            self._now_ms(),
            b"",
            id_,
            session.account,
        )

    async def extend(self, session: Session, id_: bytes, expires: int) -> bool:
        """A new end, and the PIN's tries anew; False for one that was closed."""
        changed = await self._store().execute(
            "UPDATE holder_share SET expires_ms = $1, wrong = 0 WHERE id = $2 AND account = $3 AND closed_ms = 0",
            expires,
            id_,
            session.account,
        )
        return changed == 1

    async def drop(self, session: Session, id_: bytes) -> None:
        """Forget it with its views."""
        async with self._store().transaction() as tx:
            gone = await tx.execute("DELETE FROM holder_share WHERE id = $1 AND account = $2", id_, session.account)
            if gone == 1:
                await tx.execute("DELETE FROM holder_view WHERE share = $1", id_)

    async def _view(self, tx: Transaction, id_: bytes, number: int, now: int) -> None:
        await tx.execute("UPDATE holder_share SET views = $1 WHERE id = $2", number, id_)
        await tx.execute("INSERT INTO holder_view (share, number, at_ms) VALUES ($1, $2, $3)", id_, number, now)
        await tx.execute("DELETE FROM holder_view WHERE share = $1 AND number <= $2", id_, number - _LISTED)


def share_id(token: bytes) -> bytes:
    return name_of(token, "share")


def _listed(session: Session, row: Row, seen: list[int] | tuple[()]) -> Listed:
    id_, certificate, note, proof, wrong, views, created, expires, closed = row
    opened = parse_note(session.vault.open(note, row=id_))
    return Listed(id_, certificate, opened, bool(proof), wrong, views, tuple(seen), created, expires, closed)

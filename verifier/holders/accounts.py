"""Accounts of holders in the site's store: their sessions, passkeys and certificates.

An account is a random handle that only passkeys, sessions' cookies and claimed certificates lead to. Whoever deletes
the account deletes everything of it here in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ledger.errors import Unverified
from ledger.text import Text
from verifier.holders.held import Held, format_held, parse_held
from verifier.holders.sealing import (
    HANDLE_BYTES,
    ID_BYTES,
    TOKEN_BYTES,
    Box,
    RandomBytes,
    account_of,
    name_of,
    vault_of,
)
from verifier.site.store import SiteStore, Transaction

SESSION_MS: Final = 2 * 3_600_000
CHALLENGE_MS: Final = 5 * 60_000
_NOBODY: Final = bytes(ID_BYTES)
_DROP: Final = (
    "DELETE FROM holder_view WHERE share IN (SELECT id FROM holder_share WHERE account = $1)",
    "DELETE FROM holder_share WHERE account = $1",
    "DELETE FROM holder_certificate WHERE account = $1",
    "DELETE FROM holder_recovery WHERE account = $1",
    "DELETE FROM holder_passkey WHERE account = $1",
    "DELETE FROM holder_challenge WHERE account = $1",
    "DELETE FROM holder_session WHERE account = $1",
    "DELETE FROM holder_account WHERE id = $1",
)


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in, for the length of one request."""

    id: bytes  # of the session
    handle: bytes

    @property
    def account(self) -> bytes:
        return account_of(self.handle)

    @property
    def vault(self) -> Box:
        return vault_of(self.handle)


@dataclass(frozen=True, slots=True)
class Passkey:
    """A credential of an account; `public_key` as COSE bytes."""

    id: bytes
    account: bytes
    public_key: bytes
    sign_count: int
    created_ms: int
    used_ms: int  # 0: never


@dataclass(frozen=True, slots=True)
class Kept:
    """A certificate of an account, opened."""

    id: bytes
    held: Held
    created_ms: int


class Accounts:
    """Reads and writes them. `store` is asked each time, since the site's store opens after the application is made."""

    def __init__(self, store: Callable[[], SiteStore], now_ms: Callable[[], int], random_bytes: RandomBytes) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random = random_bytes

    async def claim(self, held: Held, signed_in: Session | None) -> bytes:
        """Take in a certificate that was proven to be this person's; the handle of its account: the one that has it
        already, else the one that is signed in, else a new one. All of it is one transaction.

        Raises Unverified when the row that should lead back to an account does not open.
        """
        key = held.secret + held.holder_code
        tag, box = name_of(key, "recovery"), Box(key, "recovery")
        now = self._now_ms()
        async with self._store().transaction() as tx:
            found = await tx.fetch("SELECT sealed FROM holder_recovery WHERE id = $1", tag)
            if found:
                handle = box.open(found[0][0], row=tag)
            else:
                handle = signed_in.handle if signed_in else self._random(HANDLE_BYTES)
            account = account_of(handle)
            await tx.execute(
                "INSERT INTO holder_account (id, created_ms) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", account, now
            )
            if not found:
                await tx.execute(
                    "INSERT INTO holder_recovery (id, account, sealed) VALUES ($1, $2, $3)",
                    tag,
                    account,
                    box.seal(handle, self._random, row=tag),
                )
            await self._put(tx, handle, held, now)
        return handle

    async def start(self, handle: bytes) -> bytes:
        """Sign in: the token for the cookie. Sessions that are over are forgotten on the way."""
        token, now = self._random(TOKEN_BYTES), self._now_ms()
        row = name_of(token, "session")
        sealed = Box(token, "session").seal(handle, self._random, row=row)
        async with self._store().transaction() as tx:
            await tx.execute("DELETE FROM holder_session WHERE expires_ms <= $1", now)
            await tx.execute(
                "INSERT INTO holder_session (id, account, sealed, expires_ms) VALUES ($1, $2, $3, $4)",
                row,
                account_of(handle),
                sealed,
                now + SESSION_MS,
            )
        return token

    async def session(self, token: bytes) -> Session | None:
        """Whoever holds this cookie, while it counts."""
        row = name_of(token, "session")
        found = await self._store().fetch(
            "SELECT sealed FROM holder_session WHERE id = $1 AND expires_ms > $2", row, self._now_ms()
        )
        if not found:
            return None
        return Session(row, Box(token, "session").open(found[0][0], row=row))

    async def end(self, session: Session) -> None:
        await self._store().execute("DELETE FROM holder_session WHERE id = $1", session.id)

    async def end_others(self, session: Session) -> None:
        await self._store().execute(
            "DELETE FROM holder_session WHERE account = $1 AND id <> $2", session.account, session.id
        )

    async def challenge(self, challenge: bytes, session: Session | None) -> None:
        """Remember a challenge that was handed out, for one answer."""
        now, account = self._now_ms(), session.account if session else _NOBODY
        async with self._store().transaction() as tx:
            await tx.execute("DELETE FROM holder_challenge WHERE expires_ms <= $1", now)
            await tx.execute(
                "INSERT INTO holder_challenge (id, account, expires_ms) VALUES ($1, $2, $3)",
                name_of(challenge, "challenge"),
                account,
                now + CHALLENGE_MS,
            )

    async def redeem(self, challenge: bytes, session: Session | None) -> None:
        """Raises Unverified unless this challenge was handed out for that, lately, and not answered yet."""
        gone = await self._store().execute(
            "DELETE FROM holder_challenge WHERE id = $1 AND account = $2 AND expires_ms > $3",
            name_of(challenge, "challenge"),
            session.account if session else _NOBODY,
            self._now_ms(),
        )
        if gone != 1:
            raise Unverified(
                Text(
                    "该登录请求不是本站发出的，或已过期，请重新开始",
                    "a challenge that was not handed out, or too long ago",
                )
            )

    async def add_passkey(self, session: Session, id_: bytes, public_key: bytes, sign_count: int) -> None:
        """A credential that is there already stays as it is."""
        await self._store().execute(
            "INSERT INTO holder_passkey (id, account, public_key, sign_count, created_ms, used_ms) "
            "VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (id) DO NOTHING",
            id_,
            session.account,
            public_key,
            sign_count,
            self._now_ms(),
        )

    async def passkey(self, id_: bytes) -> Passkey | None:
        found = await self._store().fetch(f"{_PASSKEYS} WHERE id = $1", id_)
        return Passkey(*found[0]) if found else None

    async def passkeys(self, session: Session) -> list[Passkey]:
        found = await self._store().fetch(f"{_PASSKEYS} WHERE account = $1 ORDER BY created_ms, id", session.account)
        return [Passkey(*row) for row in found]

    async def used(self, passkey: Passkey, sign_count: int) -> None:
        await self._store().execute(
            "UPDATE holder_passkey SET sign_count = $1, used_ms = $2 WHERE id = $3",
            sign_count,
            self._now_ms(),
            passkey.id,
        )

    async def drop_passkey(self, session: Session, id_: bytes) -> None:
        await self._store().execute("DELETE FROM holder_passkey WHERE id = $1 AND account = $2", id_, session.account)

    async def certificates(self, session: Session) -> list[Kept]:
        """Those of the account, in the order in which they were claimed. Raises Unverified for a damaged row."""
        found = await self._store().fetch(
            "SELECT id, sealed, created_ms FROM holder_certificate WHERE account = $1 ORDER BY created_ms, id",
            session.account,
        )
        vault = session.vault
        return [Kept(id_, parse_held(vault.open(sealed, row=id_)), at) for id_, sealed, at in found]

    async def certificate(self, session: Session, id_: bytes) -> Kept | None:
        return next((kept for kept in await self.certificates(session) if kept.id == id_), None)

    async def renew(self, session: Session, held: Held) -> None:
        """Newer openings of a certificate that is there, after a correction."""
        async with self._store().transaction() as tx:
            await self._put(tx, session.handle, held, self._now_ms())

    async def drop_certificate(self, session: Session, kept: Kept) -> None:
        """Forget it with its shares; the next claim of it starts anew. A crash leaves all of it or nothing."""
        key = kept.held.secret + kept.held.holder_code
        async with self._store().transaction() as tx:
            await tx.execute(_DROP_VIEWS, session.account, kept.id)
            await tx.execute(
                "DELETE FROM holder_share WHERE account = $1 AND certificate = $2", session.account, kept.id
            )
            await tx.execute("DELETE FROM holder_certificate WHERE id = $1 AND account = $2", kept.id, session.account)
            await tx.execute(
                "DELETE FROM holder_recovery WHERE id = $1 AND account = $2", name_of(key, "recovery"), session.account
            )

    async def drop(self, session: Session) -> None:
        """Forget the whole account. Requests that an operator has yet to act on stay, without it."""
        async with self._store().transaction() as tx:
            for text in _DROP:
                await tx.execute(text, session.account)
            await tx.execute("UPDATE holder_request SET account = $2 WHERE account = $1", session.account, _NOBODY)

    async def _put(self, tx: Transaction, handle: bytes, held: Held, now: int) -> None:
        id_ = name_of(handle + held.cert_key, "certificate")
        await tx.execute(
            "INSERT INTO holder_certificate (id, account, sealed, created_ms) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (id) DO UPDATE SET sealed = EXCLUDED.sealed",
            id_,
            account_of(handle),
            vault_of(handle).seal(format_held(held), self._random, row=id_),
            now,
        )


_DROP_VIEWS: Final = (
    "DELETE FROM holder_view WHERE share IN (SELECT id FROM holder_share WHERE account = $1 AND certificate = $2)"
)
_PASSKEYS: Final = "SELECT id, account, public_key, sign_count, created_ms, used_ms FROM holder_passkey"

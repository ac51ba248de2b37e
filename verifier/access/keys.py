"""API keys: `cvk_<id>_<secret>`, shown once when made, kept as a digest.

The secret is 32 random bytes, so a plain SHA-256 of it tells nothing and need not be slow. A revoked key ends within
five seconds in every process, which is how long an answer of the store is remembered.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Refused
from ledger.text import Text
from verifier.site.store import SiteStore

PER_MINUTE: Final = 600
MAX_ROWS: Final = 10_000
REMEMBERED_MS: Final = 5_000
_KEPT: Final = 1024
_FORM: Final = re.compile(r"cvk_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_NAME: Final = Text("名称为 1 至 100 个可显示的字符", "A name of 1 to 100 printable characters")
_NONE: Final = Text("没有这个密钥，或已停用", "There is no such key, or it was revoked already")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What one key may. Times are ms since 1970."""

    id: str
    name: str
    per_minute: int
    max_rows: int
    created_ms: int
    revoked_ms: int | None = None

    def __post_init__(self) -> None:
        assert 1 <= self.per_minute <= 1_000_000 and 1 <= self.max_rows <= MAX_ROWS


class ApiKeys:
    """The keys in one site store."""

    def __init__(self, store: Callable[[], SiteStore], now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._known: OrderedDict[str, tuple[int, ApiKey | None]] = OrderedDict()  # by the key as sent, hashed

    async def find(self, sent: str) -> ApiKey | None:
        """The key that a client sent, if it counts. Raises Unavailable."""
        match = _FORM.fullmatch(sent)
        if match is None:
            return None
        label, now = sha256(sent.encode()).hexdigest(), self._now_ms()
        known = self._known.get(label)
        if known is not None and known[0] > now:
            return known[1]
        rows = await self._store().fetch(
            "SELECT name, per_minute, max_rows, created_ms, digest FROM api_key WHERE id = $1 AND revoked_ms IS NULL",
            match[1],
        )
        found = None
        digest = sha256(bytes.fromhex(match[2])).digest()
        if rows and hmac.compare_digest(bytes(rows[0][4]), digest):
            name, per_minute, max_rows, created_ms, _ = rows[0]
            found = ApiKey(match[1], name, per_minute, max_rows, created_ms)
            self._known[label] = now + REMEMBERED_MS, found  # only what exists: guesses cannot fill this
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.pop(label, None)
        return found

    async def add(
        self, name: str, random_bytes: Callable[[int], bytes], *, per_minute: int = PER_MINUTE, max_rows: int = MAX_ROWS
    ) -> tuple[ApiKey, str]:
        """Make a key; what the client sends is known now and never again. Raises Refused, Unavailable."""
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise Refused("KEY_NAME", "name", _NAME)
        secret, key_id = random_bytes(32), random_bytes(8).hex()
        made = ApiKey(key_id, name, per_minute, max_rows, self._now_ms())
        await self._store().execute(
            "INSERT INTO api_key (id, name, digest, created_ms, per_minute, max_rows) VALUES ($1, $2, $3, $4, $5, $6)",
            key_id, name, sha256(secret).digest(), made.created_ms, per_minute, max_rows,
        )  # fmt: skip
        return made, f"cvk_{key_id}_{secret.hex()}"

    async def listed(self) -> list[ApiKey]:
        """All keys, revoked ones too, in the order they were made."""
        rows = await self._store().fetch(
            "SELECT id, name, per_minute, max_rows, created_ms, revoked_ms FROM api_key ORDER BY created_ms, id"
        )
        return [ApiKey(*row) for row in rows]

    async def revoke(self, key_id: str) -> None:
        """Raises Refused when no such key counts, Unavailable."""
        done = await self._store().execute(
            "UPDATE api_key SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL", self._now_ms(), key_id
        )
        if done != 1:
            raise Refused("NO_SUCH_KEY", "id", _NONE)

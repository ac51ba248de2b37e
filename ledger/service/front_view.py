"""What a front knows of the log: filings, their request keys, and the authority, read from the log's database.

The front believes its database; whoever puts a statement into the log does not believe the front (examined.py). Rows
are read anew for each request, so that a filing that was suspended a moment ago is; their terms, which never change
under one index, are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.records.authority import Genesis
from ledger.records.kinds import Kind
from ledger.records.state import AuthorityState, FilingState, authority_map_key, filing_map_key
from ledger.records.statements import parse_statement
from ledger.store.protocol import StateRow, Store
from ledger.store.standing import authority_of, filing_of
from ledger.text import Text
from ledger.tlog.checkpoint_text import parse_checkpoint
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import parse_note

_REFRESH_S: Final = 1.0  # request keys are read again at most this often
_ORIGIN: Final = Text("存储属于另一日志", "The store belongs to another log")


class FrontView:
    """`now_s` gives seconds that only rise."""

    def __init__(self, store: Store, origin: str, genesis: Genesis, leaf: bytes, now_s: Callable[[], float]) -> None:
        self.keys: dict[bytes, tuple[str, bytes]] = {}  # request keys: kid -> filing number, public key
        self.store, self._origin = store, origin
        self._genesis, self._leaf, self._now_s = genesis, leaf, now_s
        self._filings: dict[bytes, tuple[bytes, FilingState]] = {}  # map key -> value of the row, state
        self._tried_at = self._read_at = -_REFRESH_S
        self._failed: Unavailable | None = None  # why the last try did
        self._one = asyncio.Lock()

    @classmethod
    async def open(cls, store: Store, origin: str, now_s: Callable[[], float]) -> FrontView:
        """Raises Refused for another log's store, Unavailable where there is no log yet."""
        if await store.meta("origin") != origin.encode():
            raise Refused("ORIGIN", "origin", _ORIGIN)
        entries = await store.entries(0, 1)
        first = parse_statement(entries[0]).body if entries else None
        if not isinstance(first, Genesis):
            raise Unavailable(Text("日志还没有创世语句：请先运行 init", "the log has no genesis yet: run init"))
        view = cls(store, origin, first, leaf_hash(entries[0]), now_s)
        await view.refresh()
        return view

    async def filing(self, number: str) -> FilingState | None:
        """A filing as it is committed now. Raises Unverified when its rows do not belong together."""
        key = filing_map_key(number)
        row = (await self.store.states([key])).get(key)
        return None if row is None else await self._state(row)

    async def authority(self) -> AuthorityState:
        """The authority as it is committed now."""
        key = authority_map_key(self._origin)
        return authority_of(self._genesis, self._leaf, (await self.store.states([key])).get(key))

    async def kept_size(self) -> int:
        """Leaves of the newest published head, where the log keeps it (it has a witness quorum); else 0. Never more
        than its readers see."""
        note = await self.store.checkpoint()
        return 0 if note is None else parse_checkpoint(parse_note(note).text).size

    async def refresh(self) -> bool:
        """Read the request keys of all filings again, unless that was tried within the last second; whether what is
        known now is newer than this question. Raises Unavailable as the store, also within a second of it."""
        asked_at = self._now_s()
        async with self._one:
            if self._read_at > asked_at:  # somebody else had them read while this waited
                return True
            if self._now_s() - self._tried_at < _REFRESH_S:
                if self._failed is not None:
                    raise self._failed
                return False
            self._tried_at = self._now_s()
            try:
                keys = await self._request_keys()
            except Unavailable as error:
                self._failed = error
                raise
            self._failed, self._read_at = None, self._now_s()
            self.keys.clear()
            self.keys.update(keys)
            return True

    async def _request_keys(self) -> dict[bytes, tuple[str, bytes]]:
        numbers = await self.store.named(int(Kind.FILING))
        rows = await self.store.states([filing_map_key(number) for number in numbers])
        keys: dict[bytes, tuple[str, bytes]] = {}
        for row in rows.values():
            terms = (await self._state(row)).terms
            keys.update({key.kid: (terms.number, key.public) for key in terms.request_keys})
        return keys

    async def _state(self, row: StateRow) -> FilingState:
        kept = self._filings.get(row.map_key)
        if kept is None or kept[0] != row.value:
            kept = (row.value, await filing_of(self.store, row))
            self._filings[row.map_key] = kept
        return kept[1]

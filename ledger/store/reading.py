"""Reading entries before the fold asks for them, on other cores: form, and signatures under keys that are known.

    reads = await read_entries(workers, entries, start, keys)      one Read for each entry

`keys` is a hint, kid -> record key, of filings that the reader already knows. It decides nothing: a statement under it
comes back as `Authentic` with the key it was checked under, which the replay compares with what its filing lists; one
without, or whose signature does not hold under it, comes back as a `Statement` to be judged there. So a reader can be
far ahead of the state.

Threads hand over the objects, processes flat values (records/handover.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from itertools import islice
from typing import Final, TypeAlias

from ledger.errors import Unavailable, Unverified
from ledger.records import cose
from ledger.records.authority import FiledKey, Filing
from ledger.records.handover import Sight, pack, read, unpack
from ledger.records.statements import Statement
from ledger.records.view import Authentic
from ledger.text import Text

_PIECE: Final = 256  # entries of one task
_LOOKED_AT: Final = 64  # statements of one stretch: some 10 ms
_KID: Final = slice(12, 20)  # where the kid of a statement with one signer lies, when its header has the usual length


class BadEntry(Unverified):
    """An entry that has no place in this log. `index` is the first one, `reason` says why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"entry {index}: {reason}")
        self.index = index
        self.reason = reason


Read: TypeAlias = Authentic | Statement | BadEntry | None  # None: a seal


def keys_for(entries: Iterable[bytes], keys: Mapping[bytes, FiledKey]) -> dict[bytes, bytes]:
    """Of the keys known, those that these entries seem to be signed by: kid -> public key."""
    return {kid: keys[kid].public for kid in {entry[_KID] for entry in entries} if kid in keys}


def filed_ahead(entries: Iterable[bytes]) -> dict[bytes, FiledKey]:
    """The record keys that filings among these entries list, by kid, whoever signed them: more hints, for what is read
    before they are folded. Only the first few statements of an authority are looked at, as it is done at once."""
    keys = {}
    for entry in islice((entry for entry in entries if entry[:2] == cose.SIGN), _LOOKED_AT):
        sight = read(entry, {})
        if isinstance(sight, Statement) and isinstance(sight.body, Filing):
            keys.update({key.kid: key for key in sight.body.record_keys})
    return keys


async def read_entries(
    workers: Executor, entries: Sequence[bytes], start: int, keys: Mapping[bytes, FiledKey]
) -> list[Read]:
    """What each entry is, in order; the first of them stands at index `start`. Never raises for what an entry is;
    Unavailable when a process that reads has ended.
    """
    loop = asyncio.get_running_loop()
    apart = isinstance(workers, ProcessPoolExecutor)
    pieces = [entries[at : at + _PIECE] for at in range(0, len(entries), _PIECE)]
    hints = [keys_for(piece, keys) for piece in pieces]
    work: Callable[..., bytes | list[Sight]] = pack if apart else _read_piece
    try:
        running = [loop.run_in_executor(workers, work, piece, hint) for piece, hint in zip(pieces, hints, strict=True)]
        results = await asyncio.gather(*running)
    except BrokenExecutor as error:
        raise Unavailable(
            Text(
                "读取条目的进程意外结束：请检查内存后重试",
                "a process that reads entries has ended: look at the memory, and try again",
            )
        ) from error
    reads: list[Read] = []
    for piece, hint, result in zip(pieces, hints, results, strict=True):
        sights = unpack(piece, hint, result) if isinstance(result, bytes) else result
        reads += [
            BadEntry(index, sight) if isinstance(sight, str) else sight
            for index, sight in enumerate(sights, start + len(reads))
        ]
    return reads


def _read_piece(entries: Sequence[bytes], keys: Mapping[bytes, bytes]) -> list[Sight]:
    return [read(entry, keys) for entry in entries]

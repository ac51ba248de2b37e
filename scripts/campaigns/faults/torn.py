"""Cut short: the guard at every length and torn at every byte; what the store wrote last, at every length; the row of
the growing tile and a served bundle, at every length. Each reads as before the write, as after it, or is refused.

One trial is one log, cut at all of them: `lengths` counts these.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import aiohttp

from campaigns.faults.inside import Clock, Template, inside
from campaigns.faults.stores import StoreKind
from ledger.errors import CertLedgerError, Malformed
from ledger.service.guard import FileGuard
from ledger.store.integrate import Integrator
from ledger.tlog.tiles import parse_entries

GUARD = 256  # bytes
TAIL = 3 * 4120  # bytes at the end of what the store wrote last that are cut one by one
_LEAVES, _MORE = 200, 2
STEP = 1  # every so-many-th length; the tests take fewer


async def run(room: Path, store: StoreKind, seed: int, count: int) -> Counter[str]:
    """The lengths of one log."""
    assert count == 1
    step, clock, counts = STEP, Clock(), Counter[str]()
    template = await Template.make(room / f"piece {seed}" / "log", f"torn-{seed}", _LEAVES + _MORE, clock, store)
    live, oracle = template.live, template.oracle()
    sender = template.sender(live, oracle)
    guard = live.folder / "guard"
    async with inside(live, clock):
        assert await sender.insist(template.certificates[:_LEAVES])
        old, before = await oracle.follow(live.url), guard.read_bytes()
        tail = store.begin_tail(live.folder)
        assert await sender.insist(template.certificates[_LEAVES:])
        new, after = await oracle.follow(live.url), guard.read_bytes()
        bundle = await _bundle(live.url, new)
        copy = store.copy_torn(live.folder, room / f"piece {seed}" / "torn")
    sender.journal.close()
    with patch.object(os, "fdatasync", lambda file: None):  # 512 waits for the disk show nothing
        for cut in range(0, GUARD, step):
            await _guard(guard, after[:cut], {new}, counts)
            await _guard(guard, after[:cut] + before[cut:], {old, new}, counts)
    for length in store.tail_lengths(copy, tail, TAIL, step):
        counts["lengths"] += 1
        store.cut_tail(copy, length)
        try:
            opened = await store.open(copy)
            try:
                size = (await Integrator.open(opened)).size
            finally:
                await opened.close()
        except CertLedgerError:
            counts["store: refused"] += 1
            continue
        counts["wrong"] += size not in (old, new)
        counts["store: the head " + ("before" if size == old else "after")] += 1
    store.cut_tail(copy, 1 << 40)  # whole
    await (await store.open(copy)).close()  # and in one file
    for length in range(0, 32 * (new % 256), step):
        counts["lengths"] += 1
        with store.cut_tile(copy, length):
            try:
                opened = await store.open(copy)
                try:
                    await Integrator.open(opened)
                finally:
                    await opened.close()
            except CertLedgerError:
                counts["tile: refused"] += 1
            else:
                counts["wrong"] += 1
    for cut in range(0, len(bundle), step):
        counts["lengths"] += 1
        try:
            parse_entries(bundle[:cut], new % 256)
        except Malformed:
            counts["bundle: refused"] += 1
        else:
            counts["wrong"] += 1
    return counts


async def _guard(path: Path, raw: bytes, allowed: set[int], counts: Counter[str]) -> None:
    counts["lengths"] += 1
    path.write_bytes(raw)
    try:
        guard = FileGuard(path)
    except Malformed:
        counts["guard: refused"] += 1
        return
    await guard.close()
    counts["guard: remembers"] += 1
    counts["wrong"] += guard.size not in allowed


async def _bundle(url: str, size: int) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/tile/entries/000.p/{size}") as answer:
        return await answer.read()

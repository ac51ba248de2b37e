"""What a Python team would use instead, side by side on the same entries and the same disk, in one run.

    pymerkle       an append-only tree in SQLite: each entry appended and proven, then 256 at a time
    plain table    INSERT … COMMIT of entry, hash and the hash before it, one at a time, then 256 at a time
    this log       256 at a time: signature, fold, state map, chain, seal, tree, commit, a proof for each; one at a time
                   too

All three in process, with SQLite in WAL mode and synchronous=FULL, each on a file that holds some thousand entries
already. The two others check no signature, keep no state and seal nothing; they are here for scale, not as equals.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from pymerkle import SqliteTree
from pymerkle import verify_inclusion as verify_pymerkle

from benchmarks.auditing import DAY, certificates, filings, logged_ms, record_publics
from benchmarks.figures import Figure
from benchmarks.processes import Scale
from benchmarks.workload import Authority
from ledger.records.statements import parse_statement
from ledger.records.view import authenticate_authority, authenticate_record
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite
from ledger.tlog.merkle import leaf_hash, verify_inclusion

GROUP = 256
Append: TypeAlias = Callable[[Sequence[bytes]], Awaitable[None]]  # entries as one commit


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    single, grouped = (40, 4 * GROUP) if scale.runs < 5 else (400, 16 * GROUP)
    entries = certificates(grouped + scale.runs * (single + grouped))
    figures = []
    for name, label, opened in (
        ("pymerkle", "pymerkle with SQLite, proof of each", _pymerkle),
        ("plain", "plain SQLite table with a hash column", _plain),
        ("ours", "this log in process, proof of each", _ours),
    ):
        async with opened(folder / f"{name}.db", len(entries)) as append:
            ones, many = await _rates(append, entries, scale.runs, single, grouped)
        figures.append(Figure(f"peers.{name}_1", f"{label}: one to a commit", "/s", ones))
        figures.append(Figure(f"peers.{name}_{GROUP}", f"{label}: {GROUP} to a commit", "/s", many))
    return figures


async def _rates(
    append: Append, entries: Sequence[bytes], runs: int, single: int, grouped: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Entries a second, one to a commit and GROUP to a commit, after `grouped` entries are there."""
    rest = iter(entries)

    async def stretch(count: int, size: int) -> float:
        groups = [[next(rest) for _ in range(size)] for _ in range(count // size)]
        began = time.perf_counter()
        for group in groups:
            await append(group)
        return count / (time.perf_counter() - began)

    await stretch(grouped, GROUP)
    found = [(await stretch(single, 1), await stretch(grouped, GROUP)) for _ in range(runs)]
    return tuple(one for one, _ in found), tuple(many for _, many in found)


@asynccontextmanager
async def _pymerkle(path: Path, _count: int) -> AsyncIterator[Append]:
    with SqliteTree(str(path)) as tree:
        tree.con.execute("PRAGMA journal_mode = WAL")
        tree.con.execute("PRAGMA synchronous = FULL")

        async def append(group: Sequence[bytes]) -> None:
            size = tree.append_entries(group)
            proofs = [tree.prove_inclusion(index, size) for index in range(size - len(group) + 1, size + 1)]
            verify_pymerkle(tree.get_leaf(size), tree.get_state(size), proofs[-1])  # fast wrong proofs do not count

        yield append


@asynccontextmanager
async def _plain(path: Path, _count: int) -> AsyncIterator[Append]:
    with closing(sqlite3.connect(path, isolation_level=None)) as table:
        table.execute("PRAGMA journal_mode = WAL")
        table.execute("PRAGMA synchronous = FULL")
        table.execute("CREATE TABLE ledger (id INTEGER PRIMARY KEY, entry BLOB NOT NULL, hash BLOB NOT NULL UNIQUE)")
        last = bytes(32)

        async def append(group: Sequence[bytes]) -> None:
            nonlocal last
            table.execute("BEGIN IMMEDIATE")
            for entry in group:
                last = sha256(last + entry).digest()
                table.execute("INSERT INTO ledger (entry, hash) VALUES (?, ?)", (entry, last))
            table.execute("COMMIT")

        yield append


@asynccontextmanager
async def _ours(path: Path, count: int) -> AsyncIterator[Append]:
    store = create_sqlite(path, private=False)
    integrator, hashes, publics, done = await Integrator.open(store), Hashes(store), record_publics(), 0
    authority = Authority(DAY)
    genesis: Any = parse_statement(authority.genesis()).body

    async def batch(entries: Sequence[bytes], time_ms: int) -> None:
        statements = [parse_statement(entry) for entry in entries]
        begun = await integrator.begin(statements, time_ms)
        indexes = [
            begun.add(
                authenticate_record(statement, publics[statement.kid])
                if statement.envelope.single
                else authenticate_authority(statement, genesis)
            )
            for statement in statements
        ]
        prepared = await begun.finish()
        await integrator.commit(prepared)
        hashes.learn(prepared.completed)
        proofs = await hashes.inclusion(indexes, integrator.size)
        verify_inclusion(leaf_hash(entries[-1]), indexes[-1], integrator.size, proofs[-1], prepared.head.root)

    async def append(group: Sequence[bytes]) -> None:
        nonlocal done
        done += len(group)
        assert integrator.head is not None
        await batch(group, max(integrator.head.time + 1, logged_ms(done, count)))

    try:
        await batch([authority.genesis(), *filings(authority)], DAY * 86_400_000)
        yield append
    finally:
        await store.close()

"""A slice of scripts/faults: every kind of fault a little, and broken builds that the campaign must notice.

A real ledger killed at any moment, each step of the order of truth failing, disks, clocks, restored backups, witnesses,
single bits and rivals. The whole campaign, and what it has counted so far: docs/campaigns.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cbor2
import pytest

from campaigns.faults import clocks, databases, disks, failpoints, fleets, flips, restores, torn
from campaigns.faults.journal import Told, read_journals
from campaigns.faults.kinds import KINDS, STORES
from campaigns.faults.oracle import BAD, Oracle, Unreadable
from ledger.errors import CertLedgerError, Unavailable
from ledger.service import guard
from ledger.service.guard import FileGuard
from ledger.service.postgres_guard import PostgresGuard
from ledger.service.private_fold import PrivateFold
from ledger.service.signer import HeadSigner
from ledger.service.witnesses import Witnesses
from ledger.store.postgres_link import unavailable
from ledger.store.postgres_writer import Writer
from ledger.store.sqlite import SqliteStore
from tests.support.live_ledger import ROOT
from tests.support.missing import missing

SQLITE = STORES["sqlite"]


def failpoint(step: str, kept: bool, size: int = 7) -> int:
    return failpoints.TRIALS.index(failpoints.Trial(step, kept, size))


# Kind: the pieces of the slice, (seed, how many).
ON_POSTGRES: dict[str, list[tuple[int, int]]] = {
    "failpoints": [
        *((failpoint(step, kept=False), 1) for step in (*failpoints.STORE_STEPS, *failpoints.GUARD_STEPS)),
        *((failpoint(step, kept=True), 1) for step in ("commit", "guard sync")),
    ],
    "kills": [(1, 2)],
    "restores": [(0, 3)],
    "flips": [(2, 6)],
    "commits": [(0, 12)],
    "backends": [(0, 8)],
    "database": [(0, 1)],
    "fleets": [(2, 2)],
}
SLICES: dict[str, list[tuple[int, int]]] = {
    "failpoints": [
        *((failpoint(step, bool(at % 2)), 1) for at, step in enumerate(failpoints.STEPS)),
        (failpoint("commit", kept=True), 1),
        (failpoint("guard sync", kept=True), 1),
        (failpoint("witness", kept=True, size=257), 1),
    ],
    "kills": [(1, 10)],
    "full": [(0, 1), (1, 1)],
    "eio": [(2, 1), (3, 1)],  # any call, and one that copies back
    "torn": [(0, 1)],
    "clocks": [
        (clocks.TRIALS.index((1, *how)), 1)
        for how in (("-6 s", "running"), ("+1 h", "restart"), ("+10 y", "committed"))
    ],
    "restores": [(0, 6)],
    "witnesses": [(0, 1), (3, 1), (12, 1)],
    "flips": [(0, 60)],
    "rivals": [(0, 3)],
}


def test_every_kind_has_a_slice() -> None:
    for store, slices in (("sqlite", set(SLICES)), ("postgres", set(ON_POSTGRES))):
        assert slices == {name for name, kind in KINDS.items() if store in kind.stores}


def with_one_that_is_gone(folder: Path) -> dict[str, Told]:
    return {**read_journals(folder), "gone": Told(bytes(32), [(1, 1000, 3)])}


def judged(counts: Counter[str]) -> None:
    """None of what must not be, and everything that clients of the campaign sent has the answer that it must have."""
    assert not {name: counts[name] for name in BAD if counts[name]}
    if "attempted" in counts:
        assert counts["refused"] > 0 and counts["attempted"] == counts["acked"] + counts["refused"]


async def pieces(kind: str, store: str, room: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with KINDS[kind].session(room, STORES[store]) as piece:
        for seed, count in {"sqlite": SLICES, "postgres": ON_POSTGRES}[store][kind]:
            counts += await piece(seed, count)
    return counts


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "postgres" in kind.stores])
async def test_on_postgres_a_slice_of(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restores, "STAGES", 2)
    monkeypatch.setattr(fleets, "read_journals", with_one_that_is_gone)
    counts = await pieces(kind, "postgres", tmp_path)
    if kind == "fleets":  # one that the log never had was acknowledged there: the judge asks the clients' disks
        assert counts.pop("lost") == 1
        assert not {name: counts[name] for name in BAD if counts[name]}
    else:
        judged(counts)
    match kind:
        case "failpoints":
            # Each twice; but a lost answer to the store's COMMIT is looked up, and the batch stands.
            trials = len(failpoints.STORE_STEPS) + len(failpoints.GUARD_STEPS) + 2
            assert counts["unfired"] == 0 and counts["trials"] == trials and counts["fired"] == 2 * trials - 1
        case "kills":
            assert counts["kills"] == 2 and counts["requests unknown"] > 0
        case "restores":
            assert counts["restores"] == 3 and counts["signatures"] == 0
            assert counts["store, guard lost, 0 silent: stopped"] == counts["store and guard, 0 silent: stopped"] == 1
        case "flips":
            assert sum(count for found, count in counts.items() if ": found" in found) > 2
        case "commits":
            assert counts["not struck"] == 0 and counts["starts"] > 1
            assert all(counts[f"{how}, {of}"] > 0 for how in ("before", "after") for of in databases.COMMITS[:2])
        case "backends":
            assert all(counts[f"strikes, {who}"] > 0 for who in databases.SESSIONS)
            assert counts["in a transaction"] >= counts["sessions ended, guard"] > 0  # while it remembers
        case "database":
            assert counts["stops"] == 1 and counts["requests unknown"] > 0
        case "fleets":
            assert counts["stopped"] == 1 and counts["killed"] == 1
            assert counts["attempted"] == counts["acked"] > 4 and counts["rounds of 2 through fronts"] == 2


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "sqlite" in kind.stores])
async def test_a_slice_of(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torn, "STEP", 270)
    if kind == "full" and os.geteuid() != 0 and disks.succeeds(*disks.AS_ROOT, "true"):
        words = [*disks.AS_ROOT, sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        words += [f"{__file__}::{test_a_slice_of.__name__}[full]"]
        done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600)
        if "1 passed" not in done.stdout:
            missing(f"a root of a namespace cannot do it either: {done.stdout[-500:]}")
        return
    if why := KINDS[kind].lacks():
        missing(why)
    counts = await pieces(kind, "sqlite", tmp_path)
    judged(counts)
    match kind:  # it fell where it hurts: else it shows nothing
        case "failpoints":
            assert counts["unfired"] == 0 and counts["fired"] > counts["trials"] and counts["unknown"] > 0
        case "kills":
            assert counts["kills"] == 10 and counts["requests unknown"] >= 5 and counts["acked"] > 10
        case "full":
            assert counts["full: unknown"] > 0 and counts["full: turned away"] > 0
            assert counts["the process ends"] == counts["goes on by itself"] == 1, "which its file system told of it"
        case "clocks":
            assert counts["while wrong unknown"] == 3
        case "restores":
            assert counts["restores"] == 6 and counts["signatures"] == 0
        case "flips":
            assert sum(count for found, count in counts.items() if ": found" in found) > 30
        case "rivals":
            assert counts["rivals"] == 3


async def noticed(run: Callable[[], Any]) -> bool:
    """Whether a trial of a broken build ends in a count that must be none, or in a log that does not start."""
    try:
        counts = await run()
    except (CertLedgerError, AssertionError):
        return True
    return any(counts[name] for name in BAD)


def commit_error_is_success(stack: ExitStack) -> None:
    """COMMIT is sent again on a fresh session, where it succeeds on nothing."""
    append = SqliteStore.append

    async def broken(self: SqliteStore, *arguments: Any) -> None:
        try:
            await append(self, *arguments)
        except Unavailable:
            return

    stack.enter_context(patch.object(SqliteStore, "append", broken))


def guard_is_not_synchronised(stack: ExitStack) -> None:
    def broken(self: FileGuard, sequence: int, size: int, root: bytes) -> None:
        os.pwrite(self._file, 2 * guard._slot(sequence, size, root), 0)

    stack.enter_context(patch.object(FileGuard, "_write", broken))


def signs_before_the_guard(stack: ExitStack) -> None:
    sign = HeadSigner.sign

    async def broken(self: HeadSigner, size: int, root: bytes) -> bytes:
        with patch.object(FileGuard, "remember"), patch.object(PostgresGuard, "remember"):
            note = await sign(self, size, root)
        await self._guard.remember(size, root)
        return note

    stack.enter_context(patch.object(HeadSigner, "sign", broken))


def numbers_are_forgotten(stack: ExitStack) -> None:
    stack.enter_context(patch.object(PrivateFold, "_index_of", lambda self, part: None))


@pytest.mark.parametrize(
    ("broken", "step", "store"),
    [
        (None, "answer", "sqlite"),
        (commit_error_is_success, "commit", "sqlite"),
        (guard_is_not_synchronised, "answer", "sqlite"),
        (signs_before_the_guard, "answer", "sqlite"),
        (signs_before_the_guard, "answer", "postgres"),
        (numbers_are_forgotten, "answer", "sqlite"),
    ],
)
async def test_failpoints_notice(
    broken: Callable[[ExitStack], None] | None, step: str, store: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        if broken is not None:
            broken(stack)

        async def run() -> Counter[str]:
            async with failpoints.session(tmp_path, STORES[store]) as piece:
                return await piece(failpoint(step, kept=False), 1)

        assert await noticed(run) == (broken is not None)


async def lost_is_success(self: Writer, work: Any, before: Any, after: Any) -> None:
    async with self._one:
        await self._commit(await self._begin_and(work))


async def test_a_lost_commit_that_is_not_looked_up_is_noticed(tmp_path: Path) -> None:
    with patch.object(databases, "FLAVOURS", ("before",)), patch.object(Writer, "append", lost_is_success):
        assert await noticed(lambda: databases.run_commits(tmp_path, STORES["postgres"], 0, 3))


async def unanswered_is_success(self: PostgresGuard, size: int, root: bytes) -> None:
    with suppress(Unavailable), unavailable("guard"):
        await self._grow(await self._connected(), size, root)


async def test_a_guard_whose_lost_memory_is_not_looked_up_is_noticed(tmp_path: Path) -> None:
    with (
        patch.object(databases, "FLAVOURS", ("before",)),
        patch.object(databases, "COMMITS", ("batch", "guard")),
        patch.object(PostgresGuard, "remember", unanswered_is_success),
    ):
        assert await noticed(lambda: databases.run_commits(tmp_path, STORES["postgres"], 0, 3))


async def never_asked(self: Witnesses, stored: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("broken", "store"), [("no guard", "sqlite"), ("no guard", "postgres"), ("witnesses are not asked", "sqlite")]
)
async def test_restores_notice(broken: str, store: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        if broken == "no guard":
            for each in (FileGuard, PostgresGuard):
                stack.enter_context(patch.object(each, "check"))
        else:
            stack.enter_context(patch.object(Witnesses, "ask", never_asked))
        assert await noticed(lambda: restores.run(tmp_path, STORES[store], 0, 1 if broken == "no guard" else 3))


def write_in_turn(self: FileGuard, sequence: int, size: int, root: bytes) -> None:
    os.pwrite(self._file, guard._slot(sequence, size, root), sequence % 2 * 128)
    os.fdatasync(self._file)


async def test_flips_notice_slots_that_are_written_in_turn(tmp_path: Path) -> None:
    with patch.object(FileGuard, "_write", write_in_turn), patch.object(flips, "_SHARES", ("guard",)):

        async def run() -> Counter[str]:
            async with flips.session(tmp_path, SQLITE) as piece:
                return await piece(0, 40)

        assert await noticed(run)


LOOSE = """
from ledger.store import sqlite
real = sqlite.connect
def connect(path, **how):
    made = real(path, **how)
    made.execute("PRAGMA synchronous = OFF")
    return made
sqlite.connect = connect
"""


async def test_a_traced_ledger_that_does_not_synchronise_its_store_is_noticed(tmp_path: Path) -> None:
    if why := disks.no_tracer():
        missing(why)
    assert await noticed(lambda: disks.run_eio(tmp_path, SQLITE, 0, 1, sabotage=LOOSE))


def test_the_judge_notices_what_must_not_be() -> None:
    oracle = Oracle("log.test.example/judge", [])
    entries = [b"\xd2 one", b"\xd2 two", b"\xd2 one"]
    for entry in entries:
        oracle._take(entry)
    seal = cbor2.dumps(["certledger/seal/v1", 3, 1000, bytes(32), 0, oracle._chain, -1])
    oracle._take(seal)
    leaves = [sha256(b"\x00" + entry).digest() for entry in (*entries[:2], b"\xd2 three")]
    told = {
        "found": Told(leaves[1], [(1, 1000, 4)]),
        "elsewhere": Told(leaves[1], [(0, 1000, 4)]),
        "gone": Told(leaves[2], [(5, 1000, 6)]),
        "twice": Told(leaves[0], [(0, 1000, 4), (2, 1000, 4)]),
        "another time": Told(leaves[1], [(1, 999, 4)]),
        "unknown": Told(leaves[2], unknown=True),
        "refused": Told(leaves[2], refused=True),
        "refused, and there": Told(leaves[1], refused=True),
        "to be refused": Told(leaves[1], [(1, 1000, 4)], forbidden=True),
        "to be refused, unanswered": Told(leaves[1], forbidden=True, unknown=True),
    }
    oracle.heads = {1: bytes(32), 9: bytes(32)}
    oracle.guarded(4, oracle._roots[3])  # behind what was signed
    oracle.guarded(2, bytes(32))  # that, and of another log
    oracle.guarded(12, bytes(32))  # of a head that the log does not have
    counts = oracle.judge(told)
    wanted = {
        "attempted": 10,
        "acked": 6,
        "refused": 2,
        "unknown": 2,
        "lost": 2,
        "duplicated": 2,
        "forks": 2,
        "wrong": 8,
    }
    assert {name: counts[name] for name in wanted} == wanted
    for what in (
        ["certledger/seal/v1", 4, 1001, bytes(32), 0, oracle._chain, 2],  # another seal before it than there is
        ["certledger/seal/v1", 4, 1001, bytes(32), 0, bytes(32), 3],  # another chain
        ["certledger/seal/v1", 4, 1000, bytes(32), 0, oracle._chain, 3],  # time that stands still
    ):
        with pytest.raises(Unreadable):
            oracle._take(cbor2.dumps(what))

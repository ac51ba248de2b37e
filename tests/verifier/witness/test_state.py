"""The witness's memory on a real file: compare-and-store, restarts, and what it says when the disk fails."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Malformed, Refused, Unavailable
from verifier.witness.state import MAX_FORKS, Fork, Seen, WitnessState

LOG = "log.example/a"
ONE, TWO = Seen(5, b"\1" * 32, 100, b"one"), Seen(9, b"\2" * 32, 101, b"two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    WitnessState.create(tmp_path / "witness.db")
    return tmp_path / "witness.db"


@pytest.fixture
def state(path: Path) -> Iterator[WitnessState]:
    opened = WitnessState(path)
    opened.add_log(LOG)
    yield opened
    opened.close()


def test_begins_with_the_empty_tree_and_moves_only_from_where_it_is(state: WitnessState) -> None:
    assert state.seen(LOG) == Seen() and state.seen("log.example/b") is None
    assert state.advance(LOG, Seen(), ONE)
    assert not state.advance(LOG, Seen(), TWO), "somebody was there first"
    assert not state.advance(LOG, replace(ONE, root=b"\3" * 32), TWO), "the same size with another root"
    assert not state.advance(LOG, replace(ONE, size=4), TWO)
    assert not state.advance(LOG, ONE, replace(TWO, time_s=99)), "time does not go back"
    assert not state.advance("log.example/b", Seen(), ONE)
    assert state.seen(LOG) == ONE
    assert state.advance(LOG, ONE, TWO) and state.seen(LOG) == TWO
    assert state.advance(LOG, TWO, replace(TWO, time_s=300, note=b"renewed"))


def test_a_restart_keeps_everything(path: Path) -> None:
    fork = Fork(LOG, 5, b"\7" * 32, 100, b"ours", b"other")
    state = WitnessState(path)
    state.add_log(LOG)
    assert state.advance(LOG, Seen(), ONE)
    state.keep_fork(fork)
    state.close()
    state = WitnessState(path)
    state.add_log(LOG)  # again: what is known stays
    assert state.seen(LOG) == ONE and state.forks() == [fork]
    state.close()


def test_only_create_creates_and_nothing_is_replaced(tmp_path: Path, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Refused):
        WitnessState.create(path)
    with pytest.raises(Unavailable):
        WitnessState(tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Unavailable):
        WitnessState(tmp_path / "noise.db")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(Malformed):
        WitnessState(tmp_path / "other.db")


def test_every_commit_is_on_disk(state: WitnessState) -> None:
    assert state._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert state._db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert not state._db.in_transaction


def test_a_file_from_before_is_changed_and_keeps_what_it_has(tmp_path: Path) -> None:
    WitnessState.create(tmp_path / "state.db")
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("INSERT INTO log (origin, size, root, time_s) VALUES ('before', 7, ?, 9)", (bytes(32),))
    state = WitnessState(tmp_path / "state.db")
    assert state._db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert state.seen("before") == Seen(7, bytes(32), 9)
    state.close()


def test_of_many_at_once_one_succeeds(state: WitnessState) -> None:
    won: list[int] = []
    barrier = threading.Barrier(8)

    def run(n: int) -> None:
        barrier.wait()
        if state.advance(LOG, Seen(), replace(ONE, root=bytes([n]) * 32)):
            won.append(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    seen = state.seen(LOG)
    assert seen is not None and seen.root == bytes(won) * 32


def test_of_two_processes_with_one_file_one_succeeds(path: Path, state: WitnessState) -> None:
    other = WitnessState(path)
    assert other.seen(LOG) == state.seen(LOG) == Seen()
    assert other.advance(LOG, Seen(), ONE)
    assert not state.advance(LOG, Seen(), TWO)
    assert state.seen(LOG) == ONE
    other.close()


def test_proofs_of_forks_are_kept_once_and_not_without_end(state: WitnessState) -> None:
    for n in range(MAX_FORKS + 5):
        for _ in range(2):
            state.keep_fork(Fork(LOG, 5, bytes([n]) * 32, 100 + n, b"ours", b"other"))
    state.keep_fork(Fork("log.example/b", 5, bytes(32), 99, b"ours", b"other"))
    forks = state.forks()
    assert [fork.origin for fork in forks] == ["log.example/b"] + [LOG] * MAX_FORKS
    assert [fork.root for fork in forks[1:]] == [bytes([n]) * 32 for n in range(MAX_FORKS)]


def test_without_a_free_descriptor_it_waits_for_one(state: WitnessState) -> None:
    """Too many connections for a moment are no failure of the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)  # every number below it is taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                state.advance(LOG, Seen(), ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert state.seen(LOG) == Seen()
    assert state.advance(LOG, Seen(), ONE) and state.seen(LOG) == ONE


def test_after_a_failure_nothing_more_is_said(path: Path, state: WitnessState) -> None:
    """What the disk holds after a failed write is only known again after a restart."""
    state._db.execute("CREATE TRIGGER fail BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    with pytest.raises(Unavailable):
        state.advance(LOG, Seen(), ONE)
    state._db.execute("DROP TRIGGER fail")
    for call in (lambda: state.advance(LOG, Seen(), ONE), lambda: state.seen(LOG), lambda: state.forks()):
        with pytest.raises(Unavailable, match="again"):
            call()
    again = WitnessState(path)
    assert again.seen(LOG) == Seen() and again.advance(LOG, Seen(), ONE)
    again.close()

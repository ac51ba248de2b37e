"""Reading ahead: the same on threads and in processes, and never more than a hint."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.records.authority import FiledKey
from ledger.records.statements import Statement
from ledger.records.view import Authentic
from ledger.store.reading import BadEntry, Read, filed_ahead, keys_for, read_entries
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import ISSUE_DAY, LogBuilder, octets


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


def filed(log: LogBuilder) -> dict[bytes, FiledKey]:
    key = FiledKey(log.record_key.public, ISSUE_DAY)
    return {key.kid: key}


def facts(read: Read) -> object:
    """Everything about a read that can be compared."""
    if isinstance(read, Authentic):
        return read.statement, read.statement.leaf_hash, read.publics, read.threshold
    return str(read) if isinstance(read, BadEntry) else read


async def entries_of(log: LogBuilder) -> list[bytes]:
    """Every sort of entry: authority, seals, certificates with and without trade, other signers, and nonsense."""
    made = [log.certificate(f"c{n}", trade="数控" if n % 2 else "") for n in range(300)]
    entries = await log.store.entries(0, 3) + [one.statement.entry for one in made]
    entries.append(log.certificate("reissue", replaces=octets("old")).statement.entry)
    entries.append(log.certificate("thief", signer=Ed25519Signer(octets("thief"))).statement.entry)
    entries.append(made[7].statement.entry[:-1] + bytes([made[7].statement.entry[-1] ^ 1]))  # signature
    entries += [b"", b"\xd2\x80", made[8].statement.entry + b"\0"]
    return entries


async def test_processes_read_what_threads_read(log: LogBuilder, threads: Executor, processes: Executor) -> None:
    entries, keys = await entries_of(log), filed(log)
    here = await read_entries(threads, entries, 1000, keys)
    there = await read_entries(processes, entries, 1000, keys)
    assert [facts(read) for read in there] == [facts(read) for read in here]
    kinds = [type(read).__name__ for read in here]
    assert kinds[:3] == ["Statement", "Statement", "NoneType"] and set(kinds[3:304]) == {"Authentic"}
    assert kinds[304:306] == ["Statement", "Statement"]  # an unknown key, and a signature that does not hold
    assert [read.index for read in here if isinstance(read, BadEntry)] == [1306, 1307, 1308]


async def test_what_is_read_is_what_was_written(log: LogBuilder, processes: Executor) -> None:
    certificate = log.certificate("one", trade="钳工", track="t")
    (read,) = await read_entries(processes, [certificate.statement.entry], 0, filed(log))
    assert isinstance(read, Authentic) and read.statement == certificate.statement
    assert read.statement.body == certificate.issue
    assert type(read.statement.body.route) is type(certificate.issue.route)  # type: ignore[union-attr]
    assert read.statement.identity == certificate.statement.identity
    assert read.statement.leaf_hash == certificate.statement.leaf_hash


async def test_without_hints_nothing_is_authentic(log: LogBuilder, threads: Executor) -> None:
    (read,) = await read_entries(threads, [log.certificate("one").statement.entry], 0, {})
    assert isinstance(read, Statement)


def test_only_the_keys_in_question_are_handed_over(log: LogBuilder) -> None:
    keys = filed(log) | {octets(f"k{n}", 8): FiledKey(octets(f"p{n}"), ISSUE_DAY) for n in range(50)}
    entry = log.certificate("one").statement.entry
    assert keys_for([entry, b"", b"\xd2"], keys) == {kid: key.public for kid, key in filed(log).items()}
    assert keys_for([], keys) == {}


async def test_filings_give_their_keys_before_they_are_folded(log: LogBuilder) -> None:
    entries = await log.store.entries(0, 3) + [log.certificate("one").statement.entry, b"\xd8\x62", b""]
    assert [(kid, key.public) for kid, key in filed_ahead(entries).items()] == [
        (kid, key.public) for kid, key in filed(log).items()
    ]
    assert filed_ahead(entries[2:]) == {}
    assert filed_ahead([b"\xd8\x62"] * 62 + entries) != {}
    assert filed_ahead([b"\xd8\x62"] * 64 + entries) == {}  # it is done at once, so for few only


async def test_a_process_that_ends_is_an_outage(log: LogBuilder) -> None:
    entry = log.certificate("one").statement.entry
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pid = pool.submit(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            for _ in range(100):
                await read_entries(pool, [entry] * 300, 0, {})

"""A log read back from what was exported, by a replica and by the auditor: real files, a real static server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.__main__ import main as ledger_main
from ledger.errors import Unavailable
from ledger.log_folder import open_log
from ledger.records.secret import format_secret
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite, open_sqlite
from tests.support.build_log import BASE, MAP_DEPTH, TIME, LogBuilder
from tests.support.live_ledger import LiveLedger, drafted, live_body
from tests.support.static_log import StaticLog
from verifier.__main__ import main
from verifier.replica import Replica
from verifier.violation import Violation

NOW = TIME + 60_000
SIZE = 300  # roughly: more than a bundle


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A log's store and its files, built once."""
    room = tmp_path_factory.mktemp("log")

    async def build() -> None:
        log = await LogBuilder.create(room / "log.db")
        await log.issue(*(log.certificate(f"c{n}") for n in range(SIZE)))
        await StaticLog.export(log, room / "out", time_ms=time.time_ns() // 1_000_000)
        await log.store.close()

    asyncio.run(build())
    return room / "log.db", room / "out"


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    """`main` sets it for its process, which here is that of the tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
async def log(exported: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[LogBuilder]:
    shutil.copy(exported[0], tmp_path / "log.db")
    store = open_sqlite(tmp_path / "log.db", private=False)
    integrator = await Integrator.open(store)
    assert integrator.head is not None
    yield LogBuilder(store, integrator, time=integrator.head.time)
    await store.close()


@pytest.fixture
def files(exported: tuple[Path, Path], tmp_path: Path) -> StaticLog:
    shutil.copytree(exported[1], tmp_path / "out")
    return StaticLog(tmp_path / "out")


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@asynccontextmanager
async def where(files: StaticLog, kind: str) -> AsyncIterator[str]:
    if kind == "folder":
        yield files.url
    else:
        async with files.served() as url:
            yield url


@asynccontextmanager
async def following(log: LogBuilder, url: str, room: Path, pool: Executor) -> AsyncIterator[Replica]:
    store = create_sqlite(room / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    async with open_log(url) as source:
        yield await Replica.open(store, source, log.trust(), pool, stretch=256)
    await store.close()


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("kind", ["folder", "server"])
async def test_a_replica_is_as_from_the_ledger(
    log: LogBuilder, files: StaticLog, tmp_path: Path, pool: Executor, kind: str
) -> None:
    async with where(files, kind) as url, following(log, url, tmp_path, pool) as replica:
        await replica.poll(now())
        assert replica.integrator.head == log.integrator.head
        await log.issue(*(log.certificate(f"more{n}") for n in range(250)))
        await replica.poll(now())
        assert replica.verified is not None and replica.verified.size < log.integrator.size
        await StaticLog.export(log, files.folder, time_ms=now())  # drops the partial tiles of before
        await replica.poll(now())
        assert replica.integrator.head == log.integrator.head
        assert replica.verified.size == log.integrator.size


async def test_an_old_checkpoint_and_a_dropped_partial(
    log: LogBuilder, files: StaticLog, tmp_path: Path, pool: Executor
) -> None:
    """Somebody who read the checkpoint before its partial tiles went reads the full ones."""
    old, size = (files.folder / "checkpoint").read_bytes(), log.integrator.size
    await log.issue(*(log.certificate(f"more{n}") for n in range(250)))
    await StaticLog.export(log, files.folder, time_ms=now())
    assert not list(files.folder.glob("tile/*/001.p/*"))
    (files.folder / "checkpoint").write_bytes(old)
    async with files.served() as url, following(log, url, tmp_path, pool) as replica:
        await replica.poll(now())
        assert replica.verified is not None and replica.verified.size == size


@pytest.mark.parametrize(
    ("path", "at", "index"),
    [
        ("tile/entries/000", 2 + 700, None), ("tile/entries/001.p/", 2, 256), ("tile/0/001.p/", 5 * 32, 0),
        ("checkpoint", 40, None), ("checkpoint", 200, None),
    ],
)  # fmt: skip
async def test_what_was_tampered_with_is_refused_at_its_place(
    log: LogBuilder, files: StaticLog, tmp_path: Path, pool: Executor, path: str, at: int, index: int | None
) -> None:
    if path.endswith("/"):
        (found,) = files.folder.glob(f"{path}*")
        path = found.relative_to(files.folder).as_posix()
    files.flip(path, at)
    async with following(log, files.url, tmp_path, pool) as replica:
        with pytest.raises(Violation) as refused:
            await replica.poll(now())
        assert replica.verified is None and not refused.value.proven
        assert refused.value.index == (_hit(log, at) if path == "tile/entries/000" else index)
        files.flip(path, at)
        await replica.poll(now())
        assert replica.integrator.head == log.integrator.head, "whole again"


def _hit(log: LogBuilder, at: int) -> int:
    """The index of the entry that byte `at` of bundle 0 belongs to."""
    reader = log.store._reader  # type: ignore[attr-defined]
    end = 0
    for index, (size,) in enumerate(reader.execute("SELECT length(body) FROM entry ORDER BY idx")):
        end += 2 + size
        if at < end:
            return index
    raise AssertionError


@pytest.mark.parametrize("kind", ["folder", "server"])
async def test_nothing_there_is_unavailable(
    log: LogBuilder, files: StaticLog, tmp_path: Path, pool: Executor, kind: str
) -> None:
    async with where(files, kind) as url, following(log, url, tmp_path, pool) as replica:
        (files.folder / "checkpoint").rename(files.folder / "away")
        with pytest.raises(Unavailable):
            await replica.poll(now())
        (files.folder / "away").rename(files.folder / "checkpoint")
        (files.folder / "tile/entries/000").rename(files.folder / "away")
        with pytest.raises(Violation) as refused:
            await replica.poll(now())
        assert refused.value.index == 0 and not refused.value.proven


async def test_an_audit_is_as_from_the_ledger(
    log: LogBuilder, files: StaticLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = ["--origin", log.origin, "--genesis", sha256(log.genesis_entry()).hexdigest()]
    pins += [word for key in log.signer.vkeys for word in ("--vkey", key.format_vkey())]

    async def audit(*more: str) -> tuple[int, dict[str, object]]:
        capsys.readouterr()
        words = ["audit", files.url, "--dir", str(tmp_path / "audit"), "--quiet", "--json", *more]
        code = await asyncio.to_thread(main, words)
        out = capsys.readouterr().out
        return code, json.loads(out) if out else {}

    code, report = await audit(*pins)
    assert (code, report["result"], report["replayed"]) == (0, "sound", log.integrator.size)
    assert report["verified"]["root"] == log.integrator.head.root.hex()  # type: ignore[index,union-attr]
    shutil.rmtree(tmp_path / "audit")
    files.flip("tile/entries/000", 702)
    code, report = await audit(*pins)
    assert (code, report["result"], report["first_bad_index"]) == (1, "broken", _hit(log, 702))
    (files.folder / "checkpoint").unlink()
    code, report = await audit()
    assert (code, report["result"]) == (3, "undecided")


async def test_beside_a_running_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way, as typed: a log that serves, its files, and a verifier that reads nothing but those."""
    live, body = LiveLedger.create(tmp_path / "log"), live_body()
    pins = ["--origin", live.authority.origin, "--base", BASE]
    pins += [word for key in live.keys for word in ("--vkey", key.format_vkey())]
    pins += ["--genesis", sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()]
    files, folder = (tmp_path / "out").as_uri(), str(tmp_path / "verifier")

    def run(*words: str) -> int:
        return main(words)

    def export() -> int:
        return ledger_main(["export-tiles", str(live.folder), "--to", str(tmp_path / "out"), "--quiet"])

    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            one, two = await drafted(client, body, "one", "two")
            await client.submit([one.submission()])
            assert await asyncio.to_thread(export) == 0
            assert await asyncio.to_thread(run, "init", "--dir", folder, "--tiles", files, *pins) == 0
            link = f"{BASE}/c/"
            check = ("check", "--dir", folder, "--json", "--quiet")
            assert await asyncio.to_thread(run, *check, link + format_secret(one.secret)) == 0
            capsys.readouterr()
            await client.submit([two.submission()])
            assert await asyncio.to_thread(run, *check, link + format_secret(two.secret)) == 1, "not exported yet"
            assert await asyncio.to_thread(export) == 0
            assert await asyncio.to_thread(run, *check, link + format_secret(two.secret)) == 0
            answer = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert answer["certificate"]["personal_available"] is False
    finally:
        live.stop()
    assert await asyncio.to_thread(export) == 3, "only a log that serves says what is published"

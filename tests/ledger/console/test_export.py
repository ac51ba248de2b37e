"""What the operator types to export: the address and keys of the folder, what is said, exit codes, following."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ledger.__main__ import main
from ledger.console.export import follow, local_url
from ledger.console.operate import PASSPHRASE
from ledger.errors import Malformed, Unavailable
from ledger.export.place import OtherBytes
from ledger.keystore import open_key_file
from ledger.records.statements import parse_statement
from ledger.service.config import LedgerSettings
from ledger.service.log_keys import log_keys, log_signer
from ledger.text import Text
from tests.support.builders import make_authority
from tests.support.object_store import ObjectStore
from tests.support.tile_log import TileLog

ROOT = Path(__file__).parents[3]
AUTHORITY = make_authority("export", origin="log.test.example/export")
Run = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]


class Served:
    """A ledger's folder, and somebody who answers at its address under its keys."""

    def __init__(self, folder: Path, log: TileLog) -> None:
        self.folder, self.log, self.looks = folder, log, 0

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/")
        self.looks += path == "checkpoint"
        if self.log.down:
            return web.Response(status=503)
        body = await (self.log.checkpoint() if path == "checkpoint" else self.log.tile(path))
        return web.Response(body=body)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")

    async def call(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
async def served(run: Run, tmp_path: Path) -> AsyncIterator[Served]:
    genesis = AUTHORITY.sign(AUTHORITY.genesis).entry
    assert parse_statement(genesis) and Path("genesis").write_bytes(genesis)
    log = TileLog(AUTHORITY.origin).grow(300)
    one = Served(tmp_path / "log", log)
    app = web.Application()
    app.router.add_get("/{path:.*}", one.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = str(runner.addresses[0][1])
    assert (
        await run("init", "--dir", "log", "--origin", log.origin, "--genesis", "genesis", "--light", "--port", port)
    )[0] == 0
    log.signer = log_signer(
        log.origin, open_key_file(one.folder / "keys.json", b"a passphrase of the tests"), None, None
    )  # type: ignore[arg-type]
    yield one
    await runner.cleanup()


async def test_into_a_folder(served: Served, run: Run, tmp_path: Path) -> None:
    code, out, err = await run("export-tiles", "log", "--to", "out")
    assert code == 0 and "exported 300 entries (300 new, 5 files)" in out and "300/300" in err
    assert (tmp_path / "out/checkpoint").read_bytes() == served.log.note()
    assert (await run("export-tiles", "log", "--to", "out", "--quiet"))[:2] == (0, "没有更新 / nothing new\n")
    served.log.grow(1)
    code, out, err = await run("export-tiles", "log", "--to", "out", "--json", "--quiet")
    assert code == 0 and not err
    assert json.loads(out) == {"size": 301, "root": served.log.root().hex(), "entries": 1, "files": 2}


async def test_into_an_object_store(served: Served, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ObjectStore().served() as store:
        for name, value in store.environ.items():
            monkeypatch.setenv(name, value)
        code, out, err = await run("export-tiles", "log", "--to", "s3://logs/2026", "--quiet")
        assert code == 0, err
        assert store.objects["logs/2026/checkpoint"].body == served.log.note()
        store.faults = ["403"]
        code, out, err = await run("export-tiles", "log", "--to", "s3://logs/2026")
        assert code == 3 and "403" in err
        assert not any(store.environ["AWS_SECRET_ACCESS_KEY"] in said for said in (out, err))
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert (await run("export-tiles", "log", "--to", "s3://logs/2026"))[0] == 2


async def test_exit_codes(served: Served, run: Run) -> None:
    assert (await run("export-tiles", "nowhere", "--to", "out"))[0] == 3
    assert (await run("export-tiles", "log", "--to", "gs://x"))[0] == 2
    assert (await run("export-tiles", "log", "--to", "out", "--every", "0"))[0] == 2
    served.log.down = True
    assert (await run("export-tiles", "log", "--to", "out"))[0] == 3
    served.log.down = False
    assert (await run("export-tiles", "log", "--to", "out"))[0] == 0
    served.log.entries[3] = b"another"
    served.log._levels = [[]]
    served.log.time_s += 1
    code, _, err = await run("export-tiles", "log", "--to", "out", "--quiet")
    assert code == 1 and "OTHER_BYTES" in err and "[tile/entries/000]" in err
    served.log.signer = TileLog(served.log.origin).signer
    served.log.time_s += 1
    assert (await run("export-tiles", "log", "--to", "new", "--quiet"))[0] == 1


async def test_follows_through_an_outage(capsys: pytest.CaptureFixture[str]) -> None:
    """Looks again and again; who does not answer is waited for, longer each time; a fork ends it."""
    answers: list[Exception | None] = [
        None,
        Unavailable(Text("没有应答", "a")),
        Unavailable(Text("没有应答", "b")),
        None,
        OtherBytes("tile/entries/000"),
    ]
    pauses: list[float] = []

    async def look() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with pytest.raises(OtherBytes):
        await follow(look, 5, sleep)
    told = capsys.readouterr().err
    assert pauses == [5, 5, 10, 20, 5] and told.count("cannot export now") == told.count("没有应答 / ") == 2
    answers = [Unavailable(Text("没有应答", "a"))] * 20 + [OtherBytes("x")]
    with pytest.raises(OtherBytes):
        await follow(look, 5, sleep)
    assert max(pauses) == 120


async def test_follow_waits_for_a_ledger_and_exports_what_is_published(served: Served, tmp_path: Path) -> None:
    served.log.down = True
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "export-tiles", "log", "--to", "out", "--follow", "--every", "1", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        await asyncio.wait_for(process.stderr.readuntil(b"cannot export now"), 120)
        served.log.down = False
        for size in (300, 310):
            line = await asyncio.wait_for(process.stdout.readline(), 120)
            assert json.loads(line)["size"] == size
            assert (tmp_path / "out/checkpoint").read_bytes() == served.log.note()
            served.log.grow(10)
    finally:
        process.kill()
        await process.wait()


async def test_an_outage_is_said_once_and_its_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Once more where it fails otherwise than it did: that is news."""

    async def sleep(_seconds: float) -> None:
        return

    async def heard(*answers: Exception | None, failed: str = "") -> list[str]:
        coming = iter([*answers, OtherBytes("tile/entries/000")])

        async def look() -> None:
            if (answer := next(coming)) is not None:
                raise answer

        with pytest.raises(OtherBytes):
            await follow(look, 5, sleep, failed)
        return [line.partition(" / ")[2] for line in capsys.readouterr().err.splitlines()]

    away, refused = Unavailable(Text("没有应答", "away")), Unavailable(Text("拒绝连接", "refused"))
    first, other = "cannot export now: 没有应答 / away", "cannot export now: 拒绝连接 / refused"
    back = "answered again, exporting goes on"
    assert await heard(None, None) == []
    assert await heard(away, away, away, None, None) == [first, back]
    assert await heard(away, None, away) == [first, back, first]
    assert await heard(away, refused, refused, None) == [first, other, back]
    assert await heard(away, None, failed="away") == [back], "the first look said it"


async def test_looks_that_find_nothing_new_are_not_heard_of(served: Served, tmp_path: Path) -> None:
    async def looks(more: int) -> None:
        until = served.looks + more
        async with asyncio.timeout(120):
            while served.looks < until:
                await asyncio.sleep(0.05)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "export-tiles", "log", "--to", "out", "--follow", "--every", "1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    try:
        await looks(4)
        served.log.down = True
        await looks(3)
        served.log.down = False
        await looks(2)
    finally:
        process.kill()
        said, told = await process.communicate()
    (exported,) = said.decode().splitlines()
    assert "300 entries (300 new" in exported
    lines = [line for line in told.decode().splitlines() if "exporting the log" not in line]
    assert len(lines) == 2 and "cannot export now" in lines[0] and "answered again" in lines[1], lines
    assert told.decode().count("exporting the log") == 1, "how far the one export was"


def test_where_the_ledger_listens() -> None:
    for host, url in (
        ("127.0.0.1", "http://127.0.0.1:8700"), ("0.0.0.0", "http://127.0.0.1:8700"), ("::", "http://127.0.0.1:8700"),
        ("::1", "http://[::1]:8700"), ("10.0.0.5", "http://10.0.0.5:8700"), ("localhost", "http://localhost:8700"),
    ):  # fmt: skip
        assert local_url(replace(LedgerSettings("log.test.example/x"), host=host)) == url


async def test_every_pair_of_keys_in_the_folder(served: Served, run: Run) -> None:
    settings = LedgerSettings(AUTHORITY.origin)
    assert log_keys(served.folder, settings) == [served.log.signer.vkeys]
    assert (await run("next-keys", "--dir", "log", "--light"))[0] == 0
    assert len(log_keys(served.folder, settings)) == 2
    (served.folder / "log-keys-0.json").write_bytes((served.folder / "keys.json").read_bytes()[:-20])
    (served.folder / "log-keys-0.json").chmod(0o600)
    with pytest.raises(Malformed):
        log_keys(served.folder, settings)

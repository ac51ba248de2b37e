"""What the operator of a witness types, and what comes out of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from ledger.tlog.add_checkpoint import checkpoint_path, parse_cosignatures
from ledger.tlog.checkpoint import add_cosignatures, open_cosigned
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import parse_policy
from tests.support.growing_log import GrowingLog
from tests.support.live_witness import PASSPHRASE, LiveWitness
from verifier.__main__ import main
from verifier.witness.config import STATE_FILE, load_folder
from verifier.witness.console import PASSPHRASE as VARIABLE
from verifier.witness.state import Fork, WitnessState

LOG = GrowingLog("log.example/a")


@pytest.fixture(autouse=True)
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    before = os.umask(0o022)
    yield
    os.umask(before)


def init(folder: Path, *more: str) -> int:
    vkeys = [argument for key in LOG.vkeys for argument in ("--log", key.format_vkey())]
    return main(["witness", "init", "--dir", str(folder), "--name", "w.example/1", "--light", *vkeys, *more])


def test_init_prints_a_policy_to_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "a") == 0
    text = capsys.readouterr().out
    policy = parse_policy(text)
    ed, ml = policy.keys
    assert policy.quorum_time({ed: 5}) == 5 and policy.quorum_time({ml: 6}) == 6 and policy.quorum_time({}) is None
    assert init(tmp_path / "b", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "w.example/1"
    assert tuple(parse_vkey(vkey) for vkey in said["vkeys"]) == parse_policy(said["policy"]).keys
    assert load_folder(tmp_path / "b").keys() == {LOG.origin: LOG.vkeys}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log", "nonsense"],
        ["--name", "two words"],
        ["--passphrase-file", "/nowhere"],
    ],
)
def test_init_with_wrong_words_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    if "--passphrase-file" in arguments:
        monkeypatch.delenv(VARIABLE)
    assert init(tmp_path / "w", *arguments) in (2, 3)
    assert not (tmp_path / "w").exists()


def test_nothing_but_init_creates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vkey = LOG.vkeys[0].format_vkey()
    for command in (["serve"], ["forks"], ["add-log", "--log", vkey]):
        assert main(["witness", *command, "--dir", str(tmp_path / "nowhere")]) == 2
        assert "init" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert init(tmp_path / "w") == 0
    assert init(tmp_path / "w") == 2


def test_add_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = GrowingLog("log.example/b")
    assert init(tmp_path / "w") == 0
    arguments = ["witness", "add-log", "--dir", str(tmp_path / "w"), "--log", other.vkeys[0].format_vkey()]
    assert main(arguments) == 0
    assert other.origin in capsys.readouterr().out
    assert load_folder(tmp_path / "w").keys() == {LOG.origin: LOG.vkeys, other.origin: other.vkeys[:1]}
    assert main(arguments) == 2


def test_forks_shows_both_heads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "w"
    assert init(folder) == 0
    assert main(["witness", "forks", "--dir", str(folder)]) == 0
    capsys.readouterr()
    head, other = LOG.grown(b"a"), LOG.grown(b"A")
    state = WitnessState(folder / STATE_FILE)
    state.keep_fork(Fork(LOG.origin, 1, other.root, 7, head.note, other.note))
    state.close()
    assert main(["witness", "forks", "--dir", str(folder)]) == 1
    out = capsys.readouterr().out
    assert head.note.decode() in out and other.note.decode() in out
    assert main(["witness", "forks", "--dir", str(folder), "--json"]) == 1
    (fork,) = json.loads(capsys.readouterr().out)["forks"]
    assert fork == {
        "origin": LOG.origin, "size": 1, "time": 7, "ours": head.note.decode(), "other": other.note.decode(),
    }  # fmt: skip


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveWitness]:
    witness = LiveWitness.create(tmp_path / "w", LOG.vkeys)
    try:
        yield witness
    finally:
        witness.kill()


async def test_serve_cosigns_and_a_restart_remembers(live: LiveWitness) -> None:
    log = GrowingLog(LOG.origin)
    policy = parse_policy(live.policy)
    async with aiohttp.ClientSession() as session:

        async def add(body: bytes) -> tuple[int, bytes]:
            async with session.post(live.url + "/add-checkpoint", data=body) as response:
                return response.status, await response.read()

        await asyncio.to_thread(live.start)
        head = log.grown(b"a", b"b")
        status, body = await add(head.request())
        assert status == 200
        note = add_cosignatures(head.note, parse_cosignatures(body))
        assert open_cosigned(note, log.origin, log.vkeys, policy).checkpoint.size == 2
        assert await asyncio.to_thread(live.stop) == 0
        await asyncio.to_thread(live.start)
        assert await add(head.request()) == (409, b"2\n")
        assert (await add(log.grown(b"a", b"B").request(old=2)))[0] == 422
        async with session.get(f"{live.url}/{checkpoint_path(log.origin)}") as response:
            assert await response.read() == note
        log.adopt(head)
        assert (await add(log.grown(b"c").request()))[0] == 200
    assert await asyncio.to_thread(live.stop) == 0

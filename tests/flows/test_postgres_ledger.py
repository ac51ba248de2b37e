"""The whole log on PostgreSQL: made by the owner, served by a role that cannot rewrite it, killed, started again,
checked, and followed by a verifier whose replica is on PostgreSQL too."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.errors import Unavailable, Unverified
from ledger.wire import Logged
from tests.support.live_ledger import PASSPHRASE, ROOT, LiveLedger, distinct, drafted, live_body
from tests.support.postgres import APPLICATION, OWNER, Server, postgres_server
from tests.support.waiting import until

KILLS = 2


@pytest.fixture
def server() -> Server:
    return postgres_server()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | {"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode()},
        capture_output=True,
        text=True,
        check=False,
    )


def follow(live: LiveLedger, folder: Path, *words: str) -> int:
    """Make a verifier in `folder` and have it copy the log; how many entries it has then."""
    genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
    pins = ["--ledger", live.url, "--origin", live.authority.origin, "--genesis", genesis]
    pins += [word for key in live.keys for word in ("--vkey", key.format_vkey())]
    made = run("verifier", "init", "--dir", str(folder), "--base", "https://v.example", *words, *pins)
    assert made.returncode == 0, made.stderr
    done = run("verifier", "sync", "--dir", str(folder), "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    size: int = json.loads(done.stdout)["size"]
    return size


async def test_killed_and_started_again_nothing_acknowledged_is_lost(server: Server, tmp_path: Path) -> None:
    place, body, draw = server.place("flow"), live_body("postgres"), random.Random(7)
    live = LiveLedger.create(tmp_path / "log", "postgres", store=place, store_owner=server.owner(place), examiners=0)
    assert {name for (name,) in server.sql(place, "SELECT name FROM meta")} == {"origin", "map_depth"}, "track_places"
    assert not list((tmp_path / "log").glob("*.db*"))
    acked: dict[str, int] = {}
    labels = distinct("pg", 48)
    try:
        live.start()
        await live.file(body)
        async with live.client(body) as client:
            certificates = dict(zip(labels, await drafted(client, body, *labels), strict=True))

        async def submit(some: list[str]) -> None:
            async with live.client(body) as client:
                entries = [certificates[label].submission() for label in some]
                receipt = await client.submit(entries)
            live.check(receipt, [certificates[label].statement.entry for label in some])
            for label, answer in zip(some, receipt.answers, strict=True):
                assert isinstance(answer, Logged), answer
                assert acked.setdefault(label, answer.index) == answer.index

        async def submit_all() -> None:
            for at in range(0, len(labels), 4):
                if labels[at] not in acked:
                    await submit(labels[at : at + 4])

        unknown = 0
        for _ in range(KILLS):
            sending = asyncio.create_task(submit_all())
            before = len(acked)
            await until(lambda one=sending, most=before + 8: one.done() or len(acked) >= most, 0.005)
            await asyncio.sleep(draw.uniform(0.0, 0.05))
            assert live.kill() == -9
            try:
                await sending
            except (Unavailable, Unverified):
                unknown += 1
            live.start()
        assert unknown == KILLS
        early = dict(acked)
        acked.clear()
        await submit_all()
        assert early.items() <= acked.items() and acked.keys() == set(labels)
        assert len(set(acked.values())) == len(labels)

        # A verifier follows it into a schema of its own.
        size = live.open((await live.fetch("/checkpoint"))[2]).checkpoint.size
        replica = server.place("replica").replace(APPLICATION, OWNER)
        assert follow(live, tmp_path / "verifier", "--store", replica) == size
        assert server.sql(replica, "SELECT count(*) FROM entry")[0][0] == size

        beside = run("ledger", "fsck", "--dir", str(live.folder), "--json")  # while it runs
        assert (beside.returncode, json.loads(beside.stdout)) == (0, {"problems": []}), beside.stderr
        assert live.stop() == 0
    finally:
        if live.process is not None:
            live.kill()


async def test_a_restored_backup_is_proven_and_does_not_sign(server: Server, tmp_path: Path) -> None:
    """The drill: back up while the log runs, go on, lose the database, restore. What is restored is a true copy of the
    log as it was, and the guard stops it before its first signature, until a verifier's copy has given it the rest."""
    place, body = server.place("drill"), live_body("drill")
    live = LiveLedger.create(tmp_path / "log", "drill", store=place, store_owner=server.owner(place), examiners=0)
    try:
        live.start()
        await live.file(body)
        kept = live.open((await live.fetch("/checkpoint"))[2]).checkpoint
        done = await asyncio.to_thread(run, "ledger", "backup", "--dir", str(live.folder), "--out", f"{tmp_path}/b")
        assert (done.returncode, done.stdout) == (0, f"size {kept.size} root {kept.root.hex()}\n"), done.stderr
        async with live.client(body) as client:
            (certificate,) = await drafted(client, body, "later")
            receipt = await client.submit([certificate.submission()])
        size = await asyncio.to_thread(follow, live, tmp_path / "verifier")
        assert live.stop() == 0
    finally:
        if live.process is not None:
            live.kill()
    fresh = server.place("drill restored")
    settings = live.folder / "ledger.toml"
    settings.write_text(settings.read_text("utf-8").replace(place, fresh), "utf-8")
    words = ["--dir", str(live.folder), "--from", f"{tmp_path}/b", "--store-owner", server.owner(fresh)]
    done = run("ledger", "restore", *words)
    assert (done.returncode, done.stdout) == (0, f"size {kept.size} root {kept.root.hex()}\n"), done.stderr
    guard = (live.folder / "guard").read_bytes()
    started = run("ledger", "serve", "--dir", str(live.folder))
    assert started.returncode == 1 and "GUARD_BACKWARDS" in started.stderr
    assert (live.folder / "guard").read_bytes() == guard
    (replica,) = (tmp_path / "verifier").glob("replica*.db")
    words = ["--dir", str(live.folder), "--from", str(replica), "--store-owner", server.owner(fresh)]
    done = run("ledger", "refill", *words)
    assert done.returncode == 0 and done.stdout.startswith(f"size {size} root "), done.stderr
    assert "run cert-ledger erase with the orders that you kept" in done.stderr
    live.start()
    try:
        async with live.client(body) as client:
            assert (await client.submit([certificate.submission()])).answers == receipt.answers
    finally:
        live.stop()

"""The primary crashes under load and its synchronous standby is promoted: nothing acknowledged is lost, and whatever
the old primary holds when it comes back, the log is never signed twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import Unavailable, Unverified
from tests.support.failover import Drill, fail_over
from tests.support.live_ledger import PASSPHRASE, ROOT
from tests.support.standby import ONE, Pair, apart, crash, make_pair, until, wait_for

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
NEVER = ("lost", "duplicated", "forks")


def a_drill(folder: Path, pair: Pair, name: str, people: int = 400, *, demanding: str = "0") -> Drill:
    place = pair.place(name, require_standby=demanding)
    return Drill.create(folder / "log", place, pair.primary.owner(place), name, people)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = make_pair()
    yield made
    made.stop()


def stored(drill: Drill, pair: Pair) -> list[bytes]:
    """The entries that the present primary has, whether or not a log may run on it."""
    return [row[0] for row in pair.primary.sql(drill.place, "SELECT body FROM entry ORDER BY idx")]


async def start_is_refused(drill: Drill) -> str:
    """What `serve` says, after which the guard remembers what it did before."""
    guard = (drill.live.folder / "guard").read_bytes()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "ledger", "serve", "--dir", str(drill.live.folder)],
        cwd=ROOT,
        env={"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode(), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert (drill.live.folder / "guard").read_bytes() == guard
    return done.stderr


async def test_nothing_acknowledged_is_lost(pair: Pair, tmp_path: Path) -> None:
    drill = a_drill(tmp_path, pair, "failover", demanding="1")
    try:
        await drill.open()
        draw = random.Random(1)
        for _ in range(3):  # one may come while no answer is under way
            await drill.round(draw, fail_over(pair, draw))
            if drill.journal.unknown:
                break
        found = await drill.judge()
        assert {name: found[name] for name in NEVER} == dict.fromkeys(NEVER, 0)
        assert found["acked"] == found["attempted"] > 8 and found["unknown"] > 0
        assert await asyncio.to_thread(drill.live.stop) == 0
    finally:
        await drill.close()


async def test_where_commits_wait_for_nobody_the_judge_finds_what_is_lost(pair: Pair, tmp_path: Path) -> None:
    """The negative control: the standby is cut off, statements are acknowledged all the same, the primary crashes, and
    the guard ends the log there. The next test takes the same steps where commits wait."""
    drill = a_drill(tmp_path, pair, "lossy", 40)
    try:
        await drill.open()
        await drill.submit(drill.intend(2))
        until(pair.attached)
        wait_for(pair.primary, "")
        pair.left.stop(immediate=True)
        await drill.submit(drill.intend(2))
        drill.live.kill()
        crash(pair.primary)
        pair.left.start()
        pair.promote()
        found = drill.journal.judge(stored(drill, pair))
        assert (found["acked"], found["lost"]) == (4, 2)
        wait_for(pair.primary, "")
        assert "GUARD_BACKWARDS" in await start_is_refused(drill)
    finally:
        await drill.close()
    wait_for(pair.primary, ONE)
    pair.rejoin()


async def test_the_old_primary_is_not_gone_on_with(pair: Pair, tmp_path: Path) -> None:
    """It comes back with a batch that no standby had, and is then larger than the log that went on without it."""
    drill = a_drill(tmp_path, pair, "old-primary", 60)
    settings = drill.live.folder / "ledger.toml"
    try:
        await drill.open()
        await drill.submit(drill.intend(2))
        pair.left.stop(immediate=True)
        sending = asyncio.create_task(drill.submit(drill.intend(8)))
        await apart(until, lambda: bool(pair.primary.sql(None, WAITING)))  # it is on that one disk
        drill.live.kill()
        with pytest.raises((Unavailable, Unverified)):
            await sending
        crash(pair.primary)
        pair.left.start()
        pair.promote()
        found = drill.journal.judge(stored(drill, pair))
        assert (found["acked"], found["lost"]) == (2, 0), "what could be lost was not acknowledged"
        wait_for(pair.primary, "")
        await drill.start()
        await drill.submit(drill.intend(1))
        signed = (await drill.judge())["entries"]
        assert drill.live.stop() == 0

        old = pair.left
        old.start()
        wait_for(old, "")  # else the first commit there would wait for ever
        assert old.sql(drill.place, "SELECT size FROM head")[0][0] > signed
        both = settings.read_text("utf-8")
        hosts = drill.place.split("@")[1].split("/")[0]
        settings.write_text(both.replace(hosts, f"127.0.0.1:{old.port}"), "utf-8")
        assert "GUARD_FORK" in await start_is_refused(drill)

        settings.write_text(both.replace(hosts, f"127.0.0.1:{pair.primary.port}"), "utf-8")
        await drill.start()
        await drill.settle()
        await drill.submit(drill.intend(2))
        found = await drill.judge()
        assert {name: found[name] for name in NEVER} == dict.fromkeys(NEVER, 0)
        old.stop()
    finally:
        await drill.close()

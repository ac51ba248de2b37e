"""The examining processes: the same answers as in one process, and none of them outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from ledger.errors import Malformed, Refused, Unavailable
from ledger.records.kinds import Kind
from ledger.service import desk as desk_module
from ledger.service import examiners
from ledger.service.admission import Candidate, Examined
from ledger.service.desk import Desk
from ledger.service.examiners import Submitter
from ledger.wire import SubmissionBody, SubmitRequest, encode, submission_body
from tests.support.builders import octets
from tests.support.life_builders import bare, correction, ruling
from tests.support.service_room import BODY, EXAMINER, Room

ROOT = Path(__file__).parents[3]
PARENT = """
import sys, time
from ledger.service.examiners import start_examiners, warm_up
if __name__ == "__main__":
    pool = start_examiners(1, bytes(32))
    warm_up(pool, 1)
    print(pool.submit(__import__("os").getpid).result(), flush=True)
    time.sleep(600)
"""


async def submitter(room: Room) -> Submitter:
    log = room.sequencer.integrator
    filing = await log.filing(BODY.filing.number)
    assert filing is not None and log.authority is not None
    return Submitter(filing, log.authority)


def mixed() -> list[SubmissionBody]:
    """Submissions that cross in every way: certificates, what is none, refusals with and without an identity."""
    first, second = BODY.certificate("first"), BODY.certificate("second")
    spoilt = submission_body(BODY.certificate("spoilt").submission())
    spoilt.locator = b"short"
    return [
        submission_body(first.submission()),
        spoilt,
        submission_body(bare(ruling(BODY, Kind.SUSPEND, first))),
        SubmissionBody(b"no statement"),
        submission_body(correction(BODY, first, "another name").submission()),
        submission_body(second.submission()),
    ]


def said(examined: Examined) -> object:
    """Everything of an outcome but the nonce and ciphertext of its sealed look-up row."""
    outcome = examined.outcome
    if isinstance(outcome, Refused):
        return examined.known_by, outcome.code, outcome.field, outcome.text
    part = outcome.private
    if part is not None:
        part = replace(part, lookup=b"")
    authentic = outcome.authentic
    return examined.known_by, authentic.statement, authentic.publics, authentic.threshold, part


async def test_what_was_examined_crosses_whole(room: Room) -> None:
    bodies = mixed()
    async with room.open(run=False):
        by = await submitter(room)
    here = EXAMINER.examine(bodies, by.filing, by.authority)
    kinds = [type(each.outcome) for each in here]
    assert kinds == [Candidate, Refused, Candidate, Refused, Candidate, Candidate]
    for each in here:
        came = examiners._unpack(examiners._pack([each]))[0]
        assert said(came) == said(each)
        if isinstance(each.outcome, Candidate) and each.outcome.private is not None:
            assert isinstance(came.outcome, Candidate) and came.outcome.private == each.outcome.private


async def test_processes_give_the_answers_of_one_in_order(room: Room) -> None:
    bodies = mixed()
    async with room.open(run=False):
        by = await submitter(room)
    pool = examiners.start_examiners(2, octets("index"))
    try:
        body = encode(SubmitRequest(bodies))
        wanted = [said(each) for each in EXAMINER.examine(bodies, by.filing, by.authority)]
        for shares in (1, 2, 4):
            assert [said(each) for each in await examiners.examine_in(pool, shares, body, by)] == wanted
        for wrong in (b"{", encode(SubmitRequest([]))):
            with pytest.raises(Malformed):
                await examiners.examine_in(pool, 2, wrong, by)
    finally:
        pool.shutdown()


def test_a_process_gives_way_to_its_parent_and_ends_with_it(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, "utf-8")
    parent = subprocess.Popen(
        [sys.executable, script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert parent.stdout is not None
        with parent.stdout as said:
            child = psutil.Process(int(said.readline()))
        assert child.nice() == min(19, os.nice(0) + 5)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 60
    with contextlib.suppress(psutil.NoSuchProcess):  # it may end between two questions
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "an orphan holds the index keys in memory"
            time.sleep(0.05)


def test_a_process_looks_for_cycles_rarely() -> None:
    """By itself the interpreter looks after every 700 objects; a request of 250 certificates makes 15,000."""
    pool = examiners.start_examiners(1, octets("index"))
    try:
        assert pool.submit(gc.get_threshold).result()[0] >= 15_000
        assert pool.submit(gc.get_freeze_count).result() > 10_000  # the catalogue, and all that was imported
    finally:
        pool.shutdown()


async def test_the_submission_that_cannot_be_decoded_is_named_whichever_process_met_it(room: Room) -> None:
    """And no process has anything of the request any more: what came after it was never counted."""
    async with room.open(run=False):
        by = await submitter(room)
    sound = [submission_body(BODY.certificate(f"sound {at}").submission()) for at in range(6)]
    encoded = [encode(one) for one in sound]
    pool = examiners.start_examiners(2, octets("index"))
    try:
        for wrong, named in (((0,), 0), ((5,), 5), ((3,), 3), ((2, 3), 2), ((1, 4), 4)):
            items = [b'{"entry": 7}' if at in wrong else raw for at, raw in enumerate(encoded)]
            with pytest.raises(Malformed) as refused:
                await examiners.examine_in(pool, 2, b'{"submissions": [' + b",".join(items) + b"]}", by)
            assert str(refused.value) == f"JSON body: Expected `bytes`, got `int` - at `$.submissions[{named}].entry`"
            assert not pool._pending_work_items
        whole = await examiners.examine_in(pool, 2, encode(SubmitRequest(sound)), by)
        assert all(isinstance(one.outcome, Candidate) for one in whole)
    finally:
        pool.shutdown()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_processes_of_which_one_is_gone_or_stands_still_are_replaced(
    room: Room, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the process ends while one stands still."""
    monkeypatch.setattr(desk_module, "_ANEW_S", 0.0)
    async with room.open(run=False):
        by = await submitter(room)
    body = encode(SubmitRequest([submission_body(BODY.certificate("one").submission())] * 60))
    assert len(body) > 64 * 1024
    desk = Desk(EXAMINER, octets("index"), 2)
    try:
        assert len(await desk.examine(body, by)) == 60
        before = desk._pool
        assert before is not None and before._processes
        for pid in list(before._processes):
            os.kill(pid, how)
        if how == signal.SIGSTOP:
            monkeypatch.setattr(desk_module, "_LONGEST_S", 0.5)
            with pytest.raises(Unavailable, match="too long"):
                await desk.examine(body, by)
            monkeypatch.setattr(desk_module, "_LONGEST_S", 60.0)
        assert len(await desk.examine(body, by)) == 60, "in this process, or in others"
        assert len(await desk.examine(body, by)) == 60
        after = desk._pool
        assert after is not None and after is not before and after._processes
        assert desk._apart_now == desk._apart_bytes == 0
        os.kill(next(iter(after._processes)), signal.SIGSTOP)
    finally:
        await asyncio.wait_for(asyncio.to_thread(desk.close), 60)


async def test_those_that_die_again_and_again_are_not_started_all_the_time(room: Room) -> None:
    async with room.open(run=False):
        by = await submitter(room)
    body = encode(SubmitRequest([submission_body(BODY.certificate("one").submission())] * 60))
    desk = Desk(EXAMINER, octets("index"), 1)
    try:
        assert len(await desk.examine(body, by)) == 60
        assert desk._pool is not None
        for pid in list(desk._pool._processes):
            os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            assert len(await desk.examine(body, by)) == 60
        assert desk._pool is None
    finally:
        desk.close()


async def test_a_request_alone_is_shared_out_and_more_than_fits_is_refused(room: Room) -> None:
    """What is under examination is bounded, but for one request, which may be as large as any."""
    async with room.open(run=False):
        by = await submitter(room)
    desk = Desk(EXAMINER, octets("index"), 2)
    go, shared = asyncio.Event(), []

    async def work(_pool: object, shares: int, what: str, _by: Submitter) -> str:
        shared.append(shares)
        await go.wait()
        return what

    def asked(what: str, size: int) -> asyncio.Task[str | None]:
        return asyncio.create_task(desk._apart(work, what, size, by))

    mib = 1024 * 1024
    try:
        assert await desk._apart(work, "small", 100, by) is None, "not worth the way"
        large = asked("large", 24 * mib)
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as full:
            await desk._apart(work, "more", mib, by)
        assert full.value.retry_after == 1 and not go.is_set()
        go.set()
        assert await large == "large"
        go.clear()
        several = [asked(str(at), 3 * mib) for at in range(3)]
        await asyncio.sleep(0)
        go.set()
        said = await asyncio.gather(*several, return_exceptions=True)
        assert said[:2] == ["0", "1"] and isinstance(said[2], Unavailable)
        assert shared == [2, 2, 1] and await desk._apart(work, "later", 3 * mib, by) == "later"
    finally:
        desk.close()

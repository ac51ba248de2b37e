"""Lists in memory: room, order, forgetting, and what a bad one does."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from tests.support.build_log import BASE
from tests.support.receipt_office import Office, open_office
from tests.support.waiting import until
from tests.verifier.test_scanning import Reader
from verifier.hiring import jobs as module
from verifier.hiring.checking import ListChecker, ListResult
from verifier.hiring.jobs import ANONYMOUS_SCAN_MS, FAILED_MS, KEPT_LONGER_MS, KEPT_MS, Job, Jobs, JobState
from verifier.messages import load_messages
from verifier.scanning import Scanner


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
async def jobs(office: Office) -> AsyncIterator[Jobs]:
    messages, count = load_messages(), iter(range(1, 10_000))
    checker = ListChecker(office.lookup, messages, BASE, lambda: office.now[0])
    made = Jobs(checker, messages, lambda: office.now[0], lambda size: next(count).to_bytes(size, "big"))
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def sent(jobs: Jobs, raw: bytes, **how: object) -> Job:
    return jobs.submit(raw, "list.csv", "zh", max_rows=10, **how)  # type: ignore[arg-type]


async def test_answered_kept_for_an_hour_and_gone(office: Office, jobs: Jobs) -> None:
    raw = f"链接\n{office.link}\n".encode()
    job, longer = sent(jobs, raw), sent(jobs, raw, longer=True)
    await job.finished.wait()
    await longer.finished.wait()
    assert job.state is JobState.DONE and job.rows == job.done == 1 and job.raw == b""
    assert "证书有效".encode() in job.result and job.result_name == "list-checked.csv"
    office.now[0] += KEPT_MS - 1
    assert jobs.find(job.id) is job
    office.now[0] += 1
    assert jobs.find(job.id) is None and jobs.find(longer.id) is longer
    office.now[0] += KEPT_LONGER_MS - KEPT_MS
    assert jobs.find(longer.id) is None


async def test_forgotten_at_once(office: Office, jobs: Jobs) -> None:
    job = sent(jobs, b"\xe9\x93\xbe\xe6\x8e\xa5\nx\n")
    assert jobs.forget(job.id) and not jobs.forget(job.id) and jobs.find(job.id) is None
    other = sent(jobs, f"链接\n{office.link}\n".encode())
    await other.finished.wait()
    assert other.state is JobState.DONE and job.state is JobState.WAITING


async def test_a_bad_list_and_a_bug_stop_nobody(office: Office, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = sent(jobs, b"a,b\n1,2\n")
    await bad.finished.wait()
    assert bad.state is JobState.FAILED and isinstance(bad.error, Refused) and bad.error.code == "HEADER_NOT_FOUND"

    def broken(*_: object) -> bytes:
        raise KeyError("姓名 of a person")

    monkeypatch.setattr(module, "write_result", broken)
    bug = sent(jobs, f"链接\n{office.link}\n".encode())
    await bug.finished.wait()
    assert bug.state is JobState.FAILED and isinstance(bug.error, Unavailable)
    monkeypatch.undo()
    good = sent(jobs, f"链接\n{office.link}\n".encode())
    await good.finished.wait()
    assert good.state is JobState.DONE


async def test_a_list_with_a_key_waits_for_none_without(office: Office, jobs: Jobs) -> None:
    reader = Reader()
    office.lookup._scanner = Scanner(reader)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for at in range(4):
            archive.writestr(f"{at}.png", b"\x89PNG\r\n\x1a\n" + bytes([at]))
    slow = jobs.submit(out.getvalue(), "photos.zip", "zh", max_rows=10)
    after = sent(jobs, f"链接\n{office.link}\n".encode())
    await until(lambda: len(reader.began) == 1)
    keyed = sent(jobs, f"链接\n{office.link}\n".encode(), owner="a key")
    async with asyncio.timeout(60):
        await keyed.finished.wait()
    assert keyed.state is JobState.DONE and slow.state is JobState.CHECKING and after.state is JobState.WAITING
    assert jobs.forget(slow.id)  # nobody comes for its answers
    reader.go.set()
    await after.finished.wait()
    assert after.state is JobState.DONE and len(reader.began) == 1


async def test_strangers_take_no_room_from_a_key(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    for _ in range(2):
        sent(jobs, b"x")
    with pytest.raises(Unavailable):
        sent(jobs, b"x")
    assert sent(jobs, b"x", owner="a key").state is JobState.WAITING


async def test_only_a_list_without_a_key_has_its_time(
    office: Office, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    check = jobs._checker.check

    async def noted(*how: Any) -> ListResult:
        given.append(how[-1])
        return await check(*how)

    monkeypatch.setattr(jobs._checker, "check", noted)
    for owner in ("", "a key"):
        await sent(jobs, f"链接\n{office.link}\n".encode(), owner=owner).finished.wait()
    assert given == [ANONYMOUS_SCAN_MS, None]


async def test_room_is_bounded(office: Office, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMORY", 100)
    with pytest.raises(Unavailable):
        sent(jobs, b"x" * 101)
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    taken = [sent(jobs, b"x"), sent(jobs, b"x")]
    with pytest.raises(Unavailable):
        sent(jobs, b"x")
    for job in taken:
        await job.finished.wait()
    assert sent(jobs, b"x").state is JobState.WAITING
    monkeypatch.setattr(module, "MAX_JOBS", 3)
    with pytest.raises(Unavailable):
        sent(jobs, b"x")
    office.now[0] += FAILED_MS
    assert jobs.find(taken[0].id) is None


async def test_an_answered_list_keeps_what_is_counted_and_a_summary(office: Office, jobs: Jobs) -> None:
    """Its answers in memory are many times the packed sheet, and no limit would see them."""
    job = sent(jobs, f"链接\n{office.link}\n".encode())
    await job.finished.wait()
    assert job.summary is not None and job.summary.rows == 1
    kept = [getattr(job, name) for name in job.__slots__]
    assert not any(isinstance(one, ListResult) for one in kept) and job.memory == len(job.result)


async def test_what_was_forgotten_holds_no_memory(office: Office) -> None:
    """Whoever sends lists and deletes them again fills neither the memory nor the queue."""
    checker = ListChecker(office.lookup, load_messages(), BASE, lambda: office.now[0])
    count = iter(range(10_000))
    idle = Jobs(checker, load_messages(), lambda: office.now[0], lambda size: next(count).to_bytes(size, "big"))
    forgotten = [sent(idle, bytes(1024)) for _ in range(module.MAX_WAITING)]
    assert all(idle.forget(job.id) for job in forgotten)
    assert sum(job.memory for job in forgotten) == 0
    assert sent(idle, b"x").state is JobState.WAITING, "their places are free again"


async def test_what_an_owner_watches_is_said(office: Office) -> None:
    messages = load_messages()

    async def changes(owner: str) -> dict[str, str]:
        return {office.certificate.issue.cert_key.hex(): f"{owner} 关注的证书有变化"}

    checker = ListChecker(office.lookup, messages, BASE, lambda: office.now[0])
    made = Jobs(checker, messages, lambda: office.now[0], bytes, changes)
    task = asyncio.create_task(made.run())
    job = sent(made, f"链接\n{office.link}\n".encode(), owner="甲")
    await job.finished.wait()
    assert "甲 关注的证书有变化".encode() in job.result
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

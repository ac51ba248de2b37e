"""Lists under way and answered, in memory only: a process that ends takes them along, and nothing is ever on disk.

A list is kept for an hour after it was answered (a day where the sender asks for it; ten minutes where it failed), then
forgotten. One list is answered at a time, and beside it one with an API key; a bounded number of each waits. Whoever
knows the id, 128 random bits, may fetch it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final

from ledger.edge_log import describe
from ledger.errors import CertLedgerError, Refused, Unavailable
from ledger.records.notice import Notice
from ledger.text import Text
from verifier.hiring.checking import ListChecker
from verifier.hiring.sheets import MAX_ROWS, HiringList, read_list
from verifier.hiring.summary import Summary
from verifier.hiring.writing import TYPES, write_result
from verifier.messages import Messages
from verifier.scanning import asked_by

KEPT_MS: Final = 3_600_000
KEPT_LONGER_MS: Final = 86_400_000
FAILED_MS: Final = 600_000
MAX_JOBS: Final = 2_000
MAX_WAITING: Final = 32
MAX_MEMORY: Final = 128 * 1024 * 1024  # bytes of uploads and results together
ANONYMOUS_SCAN_MS: Final = 180_000  # of reading pictures in a list without a key: 300 of 0.6 s
_SWEEP_S: Final = 15.0
_FULL: Final = Text("名单过多，请稍后再试", "Too many lists are waiting; please try again later")
_FAILED: Final = Text("名单未能处理，请重试", "The list could not be processed; please try again")
_log = logging.getLogger("verifier.hiring")


class JobState(StrEnum):
    WAITING = "waiting"
    READING = "reading"
    CHECKING = "checking"
    WRITING = "writing"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Job:
    """One list. `result` is there once it is done, `error` when it failed."""

    id: str
    owner: str  # id of an API key, "" without one
    file_name: str
    lang: str
    max_rows: int
    max_pairs: int
    kept_ms: int
    raw: bytes = b""
    state: JobState = JobState.WAITING
    rows: int = 0
    done: int = 0
    until_ms: int | None = None  # forgotten then
    result: bytes = b""
    kind: str = "xlsx"
    summary: Summary | None = None
    notes: tuple[Notice, ...] = ()
    error: Refused | Unavailable | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.state in (JobState.DONE, JobState.FAILED)

    @property
    def content_type(self) -> str:
        return TYPES[self.kind]

    @property
    def result_name(self) -> str:
        """The name of the file that goes back, from that of the upload."""
        stem = self.file_name.rpartition(".")[0] or self.file_name or "list"
        return f"{stem[:100]}-checked.{self.kind}"

    @property
    def memory(self) -> int:
        return len(self.raw) + len(self.result)

    def let_go(self) -> None:
        """Nothing is needed of what was sent."""
        self.raw = b""


# What is said about watched certificates in the lists of one API key, and that it was said.
Changes = Callable[[str], Awaitable[Mapping[str, str]]]


class JobQueue:
    """Jobs of one kind in one process. `run` does them, until it is cancelled."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[bool, asyncio.Queue[Job]] = {keyed: asyncio.Queue() for keyed in (False, True)}

    async def _process(self, job: Job) -> None:
        """Do one job: its result, rows and notes."""
        raise NotImplementedError

    def admit(self, job: Job) -> None:
        """Take a job in. Raises Unavailable when there is no room."""
        self.sweep()
        used = sum(job.memory for job in self._jobs.values())
        keyed = bool(job.owner)
        waiting = sum(one.state is JobState.WAITING and bool(one.owner) is keyed for one in self._jobs.values())
        crowded = len(self._jobs) >= MAX_JOBS or waiting >= MAX_WAITING
        if crowded or used + job.memory > MAX_MEMORY:
            raise Unavailable(_FULL, retry_after=60, public=True)
        self._jobs[job.id] = job
        self._waiting[keyed].put_nowait(job)

    def find(self, job_id: str) -> Job | None:
        self.sweep()
        return self._jobs.get(job_id)

    def forget(self, job_id: str) -> bool:
        """Whether there was such a list. One that is being answered goes on, and its result is dropped; of one that
        waits only an empty shell stays in the queue."""
        job = self._jobs.pop(job_id, None)
        if job is not None and job.state is JobState.WAITING:
            job.let_go()
        return job is not None

    def sweep(self) -> None:
        now = self._now_ms()
        for job in [job for job in self._jobs.values() if job.until_ms is not None and job.until_ms <= now]:
            del self._jobs[job.id]

    async def run(self) -> None:
        """Answer lists in the order they came: of those with an API key one at a time, and of the others."""
        async with asyncio.TaskGroup() as group:
            for keyed in self._waiting:
                group.create_task(self._work_off(keyed))

    async def _work_off(self, keyed: bool) -> None:
        while True:
            try:
                async with asyncio.timeout(_SWEEP_S):
                    job = await self._waiting[keyed].get()
            except TimeoutError:
                self.sweep()
                continue
            if job.id in self._jobs:
                listens = partial(self._jobs.__contains__, job.id)
                with asked_by(None, listens, "lists with a key" if keyed else "lists"):
                    await self._answer(job)

    async def _answer(self, job: Job) -> None:
        try:
            await self._process(job)
            job.state = JobState.DONE
        except (Refused, Unavailable) as error:
            job.error, job.state = error, JobState.FAILED
        except CertLedgerError:
            job.error, job.state = Unavailable(_FAILED, public=True), JobState.FAILED
        except Exception as error:  # noqa: BLE001  # a bug in one list must not stop the others
            _log.error("list failed", extra={"fields": describe(error)})
            job.error, job.state = Unavailable(_FAILED, public=True), JobState.FAILED
        finally:
            job.let_go()
            job.until_ms = self._now_ms() + (job.kept_ms if job.state is JobState.DONE else FAILED_MS)
            job.finished.set()


class Jobs(JobQueue):
    """All hiring lists of one process."""

    def __init__(
        self,
        checker: ListChecker,
        messages: Messages,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        changes: Changes | None = None,
    ) -> None:
        super().__init__(now_ms)
        self._checker = checker
        self._messages = messages
        self._random_bytes = random_bytes
        self._changes = changes

    def submit(
        self,
        raw: bytes,
        file_name: str,
        lang: str,
        *,
        owner: str = "",
        max_rows: int,
        max_pairs: int = MAX_ROWS,
        longer: bool = False,
    ) -> Job:
        """Take a list in. Raises Unavailable when there is no room."""
        kept = KEPT_LONGER_MS if longer else KEPT_MS
        job = Job(self._random_bytes(16).hex(), owner, file_name, lang, max_rows, max_pairs, kept, raw)
        self.admit(job)
        return job

    async def _process(self, job: Job) -> None:
        job.state = JobState.READING
        asked: HiringList = await asyncio.to_thread(read_list, job.raw, job.file_name, job.max_rows)
        job.rows, job.kind, job.notes = len(asked.questions), asked.sheet.kind, asked.notes
        job.state = JobState.CHECKING
        changed: Mapping[str, str] = {}
        if self._changes is not None and job.owner:
            with suppress(Unavailable):
                changed = await self._changes(job.owner)

        def progress(done: int) -> None:
            job.done = done

        scan_ms = None if job.owner else ANONYMOUS_SCAN_MS
        answers = await self._checker.check(asked, job.lang, progress, changed, job.max_pairs, scan_ms)
        job.state = JobState.WRITING
        job.result = await asyncio.to_thread(write_result, asked.sheet, answers, self._messages, job.lang)
        job.summary = answers.summary  # the answers themselves are in the result, whose bytes are counted

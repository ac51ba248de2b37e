"""Runs over sheets under way and done, in memory only, as hiring lists are: forgotten an hour after they were answered.

A run keeps neither facts nor certificates: what stays until then is the answered sheet and the counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ledger.errors import Refused
from ledger.records.dates import batch_day
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.claimed import Asking, claimed_already
from verifier.eligibility.earlier import earlier_day
from verifier.eligibility.pack import Pack
from verifier.eligibility.payroll import page_of, read_before
from verifier.eligibility.people import read_people
from verifier.eligibility.results import Answered, Columns, summary_of
from verifier.eligibility.running import Runner
from verifier.hiring.jobs import KEPT_LONGER_MS, KEPT_MS, Job, JobQueue, JobState
from verifier.hiring.summary import Under
from verifier.hiring.writing import write_page
from verifier.lookup import Lookup
from verifier.messages import Messages

_PAIRS = Text(
    "按编号和姓名核验最多 {n} 行，请改用链接",
    "At most {n} rows with numbers and names; use links",
)
COMPARED_TWICE = Text("与上次结果和对比日只能选一种", "compare with a last result file or with a day, not both")
UNREAD = "unread"  # counted beside the results: a fact that could not be read


@dataclass(slots=True)
class Run(Job):
    """One sheet under one pack. `counts` by result; `total` in fen."""

    pack: Pack | None = None
    as_of: int = 0
    previous: bytes = b""
    employer: str = ""  # filing of whose wage table it is
    compare: int | None = None  # the other day that the same list is worked out for
    counts: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None

    @property
    def memory(self) -> int:
        return len(self.raw) + len(self.previous) + len(self.result)

    def let_go(self) -> None:
        self.raw = self.previous = b""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run needs of its verifier."""

    runner: Runner
    ladder: Ladder
    messages: Messages
    now_ms: Callable[[], int]
    under: Callable[[], Sequence[Under]]  # the checkpoints that answers rest on
    asking: Asking | None = None  # of a payer: whether benefits were claimed already


class Runs(JobQueue):
    """All runs of one process."""

    def __init__(self, desk: Desk, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(desk.now_ms)
        self._desk = desk
        self._random_bytes = random_bytes

    def submit(
        self,
        raw: bytes,
        file_name: str,
        lang: str,
        pack: Pack,
        as_of: int,
        previous: bytes = b"",
        *,
        max_rows: int,
        max_pairs: int,
        longer: bool = False,
        employer: str = "",
        compare: int | None = None,
    ) -> Run:
        """Take a sheet in. Raises Unavailable when there is no room."""
        kept = KEPT_LONGER_MS if longer else KEPT_MS
        run = Run(self._random_bytes(16).hex(), "", file_name, lang, max_rows, max_pairs, kept, raw)
        run.pack, run.as_of, run.previous, run.employer, run.compare = pack, as_of, previous, employer, compare
        self.admit(run)
        return run

    async def _process(self, job: Job) -> None:
        assert isinstance(job, Run) and job.pack is not None, "this queue has runs only"
        done = await answer_sheet(self._desk, job, _progress_of(job))
        job.kind, job.result = done.kind, done.result
        counts = Counter(one.decision.result.value if one.decision else UNREAD for one in done.answered)
        job.counts = dict(sorted(counts.items()))
        amounts = [one.decision.amount for one in done.answered if one.decision and one.decision.amount is not None]
        job.total = sum(amounts) if job.pack.amount is not None else None


@dataclass(frozen=True, slots=True)
class Done:
    """A sheet that was answered."""

    answered: list[Answered]
    kind: str
    result: bytes
    summary: list[tuple[str, str]]


async def answer_sheet(desk: Desk, run: Run, progress: Callable[[int], None]) -> Done:
    """Read, check, decide, write. Raises Refused for a sheet that is none or a day that the log does not have,
    Unavailable."""
    pack = run.pack
    assert pack is not None
    run.state = JobState.READING
    documents = desk.asking is not None and pack.claim is not None
    people = await asyncio.to_thread(
        read_people, run.raw, run.file_name, pack, desk.ladder, run.max_rows, documents=documents
    )
    if sum(not q.link and bool(q.number) for person in people.people for q in person.questions) > run.max_pairs:
        raise Refused("TOO_MANY_PAIRS", "file", _PAIRS.format(n=run.max_pairs))
    columns = Columns(pack, desk.ladder, desk.messages, run.lang)
    if run.previous:
        columns = replace(columns, before=await asyncio.to_thread(read_before, run.previous, ""))
    run.rows, run.notes = len(people.sheet.rows), people.sheet.notes
    run.state = JobState.CHECKING
    if run.compare is not None:
        earlier = await desk.runner.run(people.people, pack, run.compare, employer=run.employer)
        columns = replace(columns, before=columns.before_of(earlier), compared=run.compare)
    answered = await desk.runner.run(people.people, pack, run.as_of, progress, run.employer)
    if desk.asking is not None and pack.claim is not None:
        columns = replace(columns, taken=await claimed_already(desk.asking, answered, pack, run.as_of, desk.now_ms))
    run.state = JobState.WRITING
    columns = replace(columns, then=earlier_day(pack, run.as_of, batch_day(desk.now_ms())))
    summary = summary_of(columns, answered, run.as_of, desk.now_ms(), desk.under())
    page = await asyncio.to_thread(page_of, people, answered, columns, summary)
    return Done(answered, people.sheet.kind, await asyncio.to_thread(write_page, page), summary)


def under_of(lookup: Lookup) -> list[Under]:
    """The newest verified checkpoint of each log."""
    return [
        Under(log.trust.origin, verified.size, verified.root, verified.time_ms)
        for log in lookup.logs
        if log.replica is not None and (verified := log.replica.verified) is not None
    ]


def _progress_of(job: Job) -> Callable[[int], None]:
    def progress(done: int) -> None:
        job.done = done

    return progress

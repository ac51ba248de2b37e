"""Every step of the order of truth fails, in both flavours, while the tree crosses every edge: 13 x 2 x 13 = 338.

One trial: a batch fails at its step and the process ends; the next one fails at the same step again, where it comes so
far; the third is sound, and takes the same statements again, or others first. The list has no batch of nothing: that
writes nothing (the reference's size 0); 258 stands in its place, the first size past a whole tile with its seal.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, inside, judge
from campaigns.faults.stores import Fault, StoreKind
from ledger.errors import CertLedgerError, Unavailable
from ledger.records.status import authenticate_record
from ledger.service.answers import Answers
from ledger.store.integrate import Integrator
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner

STORE_STEPS = ("entries", "tiles", "states", "map", "head", "check", "commit", "publish")
GUARD_STEPS = ("guard write", "guard sync")
STEPS = (*STORE_STEPS[:7], *GUARD_STEPS, "sign", "witness", "publish", "answer")
SMALL = (6, 7, 254, 255, 256, 257, 258, 511, 512, 513)  # leaves after the batch that fails
LARGE = (65_535, 65_536, 65_537)
FILED = 4  # leaves of the template: genesis, filing, and a seal behind each
PEOPLE = 520
FILLED = 65_520  # leaves of the large template


@dataclass(frozen=True)
class Trial:
    step: str
    kept: bool
    size: int


TRIALS = [  # the cheap ones first
    Trial(*each) for sizes in (SMALL, LARGE) for each in itertools.product(STEPS, (False, True), sizes)
]
assert len(TRIALS) == 338


@contextmanager
def failing(fault: Fault, store: StoreKind, folder: Path, witness: HearingWitness) -> Iterator[None]:
    """Whatever is opened or called in here fails at the fault's step."""
    witness.fault = fault
    with ExitStack() as stack:
        if fault.step in STORE_STEPS:
            stack.enter_context(store.failing(fault))
        durable = stack.enter_context(store.failing_guard(fault, folder))
        sign = _spoiled(CheckpointSigner.sign, "sign", fault)

        def remembered(signer: Any, checkpoint: Checkpoint, time_s: int) -> Any:
            """What is about to be signed must be on the guard's disk."""
            if (size := durable()) != checkpoint.size:
                fault.early += 1
                print(f"size {checkpoint.size} is signed, and the guard holds {size}", flush=True)
            return sign(signer, checkpoint, time_s)

        stack.enter_context(patch.object(CheckpointSigner, "sign", remembered))
        stack.enter_context(patch.object(Answers, "receipt", _spoiled(Answers.receipt, "answer", fault)))
        try:
            yield
        finally:
            witness.fault = None


def _spoiled(real: Callable[..., Any], step: str, fault: Fault) -> Callable[..., Any]:
    def sign(*arguments: Any) -> Any:
        if not fault.strikes(step):
            return real(*arguments)
        if fault.kept:
            real(*arguments)
        raise OSError("the signer does not answer")

    async def answer(*arguments: Any, **how: Any) -> Any:
        if not fault.strikes(step):
            return await real(*arguments, **how)
        if fault.kept:
            await real(*arguments, **how)
        raise Unavailable(Text("没有应答", "the answer is lost"))

    return answer if step == "answer" else sign


class Failpoints:
    """The trials, over one small template and, once it is wanted, one large."""

    def __init__(self, room: Path, store: StoreKind, witness: HearingWitness, template: Template) -> None:
        self._room, self._store, self._clock = room, store, template.clock
        self._witness, self._small = witness, template
        self._large: Path | None = None

    async def run(self, number: int, *, check: bool = True) -> Counter[str]:
        """One trial of the list."""
        trial, template = TRIALS[number], self._small
        large = trial.size in LARGE
        folder = self._room / f"trial {number}"
        live = template.copy(folder, await self._filled() if large else None)
        start = FILLED if large else FILED
        # The tree before the batch, and the batch: it ends with a seal at `size`.
        before = trial.size - 5 if large else 259 if trial.size > 258 else FILED
        pool = iter(template.certificates)
        first = list(itertools.islice(pool, max(0, before - start - 1)))
        batch = list(itertools.islice(pool, trial.size - before - 1))
        other = list(itertools.islice(pool, 2))
        oracle = template.oracle()
        sender = template.sender(live, oracle)
        self._witness.notes.clear()
        fault = Fault(trial.step, trial.kept)
        if first:
            async with inside(live, self._clock):
                assert await sender.insist(first)
        starts = 0
        for at in range(2):
            fault.left = at  # what the first start does is not what is meant to fail
            try:
                with ExitStack() as stack:
                    stack.enter_context(failing(fault, self._store, folder, self._witness))
                    async with inside(live, self._clock):
                        starts += 1
                        fault.left = 1
                        await sender.send(batch)
            except (CertLedgerError, OSError):
                pass  # a start that met the fault is refused; the next one is sound
            self._witness.tell(oracle)
        async with inside(live, self._clock):
            for each in (other, batch) if number % 2 else (batch, other):
                assert await sender.insist(each), trial
            await oracle.read_whole(live.url)
        self._witness.tell(oracle)
        sender.journal.close()
        counts: Counter[str] = Counter(await judge(live, oracle, self._store, check=check))
        self._store.discard(folder)
        if not fault.fired:
            print(f"{trial} never failed, and shows nothing", flush=True)
        idle = int(not fault.fired)
        counts.update(trials=1, starts=starts + 1, fired=fault.fired, unfired=idle, wrong=fault.early + idle)
        return counts

    async def _filled(self) -> Path:
        """The template with certificates of nobody, up to the last tile but one."""
        if self._large is None:
            live = self._small.copy(self._room / "large")
            store = await self._store.open(live.folder)
            try:
                await fill(await Integrator.open(store), self._small, FILLED)
            finally:
                await store.close()
            self._large = live.folder
        return self._large


async def fill(integrator: Integrator, template: Template, size: int) -> None:
    """Certificates of nobody, straight into the store, until the log has `size` leaves."""
    body, at = template.body, 0
    day = template.certificates[0].issue.issue_day
    while integrator.size < size:
        count = min(2000, size - integrator.size - 1)
        made: Sequence[Any] = [
            body.certificate(f"filler {number}", day=day).statement for number in range(at, at + count)
        ]
        at += count
        assert integrator.head is not None
        batch = await integrator.begin(made, integrator.head.time + 1)
        for statement in made:
            batch.add(authenticate_record(statement, body.record.public))
        await integrator.commit(await batch.finish())


@asynccontextmanager
async def session(room: Path, store: StoreKind) -> AsyncIterator[Callable[[int, int], Awaitable[Counter[str]]]]:
    """The seed is the trial's place in the list. The operator's check of a large log takes minutes: the last has it."""
    clock = Clock()
    async with HearingWitness("w1", clock.now_s) as witness:
        template = await Template.make(
            room / "small", "failpoints", PEOPLE, clock, store, [witness], 1, answer_wait_ms=3_000
        )
        trials = Failpoints(room, store, witness, template)
        yield lambda seed, _: trials.run(seed, check=TRIALS[seed].size not in LARGE or seed == len(TRIALS) - 1)

"""The sequencer with a clock of the test's own: order, back-pressure, stops, and what an error leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.seal import is_seal, parse_seal
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service import sequencer as module
from ledger.service.admission import Candidate, Examiner
from ledger.service.clock import LogClock
from ledger.service.private_index import PrivateIndex
from ledger.service.sequencer import Sequencer
from ledger.service.signer import Guard, HeadSigner
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.tlog.checkpoint import CheckpointSigner, open_checkpoint
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.wire import Logged, submission_body
from tests.support.builders import DAY, OCCUPATION, TIME, Certificate, id_number, make_authority, make_body, octets
from tests.support.fault_store import FaultStore

AUTHORITY = make_authority()
BODY = make_body()
INDEX = PrivateIndex(octets("index"), lambda count: octets("track", count))
EXAMINER = Examiner(INDEX, load_ladder(), load_catalogue())
SIGNER = CheckpointSigner(AUTHORITY.origin, Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))


class Room:
    """One sequencer over a store in a folder, and the hands of its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wall, self.steady = folder, TIME, 0
        self.committed: list[Candidate] = []
        self.sequencer: Sequencer
        self.store: Any

    @asynccontextmanager
    async def open(self, *, run: bool = True, queue: int = 100, limit: int = 8, **faults: Any) -> AsyncIterator[Room]:
        path = self.folder / "log.db"
        if path.exists():
            inner = open_sqlite(path, private=True)
        else:
            inner = create_sqlite(path, private=True)
            await inner.put_meta({"map_depth": b"\x04"})
            Guard.create(self.folder / "guard")
            integrator = await Integrator.open(inner)
            for statement in (AUTHORITY.sign(AUTHORITY.genesis), AUTHORITY.sign(BODY.filing)):
                batch = await integrator.begin([statement], self.wall)
                examined = EXAMINER.examine_authority(statement.entry, AUTHORITY.genesis)
                assert isinstance(examined.outcome, Candidate)
                batch.add(examined.outcome.authentic)
                await integrator.commit(await batch.finish())
                self.wall += 1
        self.store = FaultStore(inner, **faults)
        clock = LogClock(lambda: self.wall, lambda: self.steady)
        signer = HeadSigner(SIGNER, Guard(self.folder / "guard"), clock.now_s)
        integrator = await Integrator.open(self.store)
        self.sequencer = Sequencer(
            integrator,
            self.store,
            signer,
            clock,
            INDEX,
            batch_limit=limit,
            queue_limit=queue,
            on_commit=self.committed.extend,
        )
        task = None
        try:
            await self.sequencer.start()
            task = asyncio.create_task(self.sequencer.run()) if run else None
            yield self
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            signer.close()
            await inner.close()

    async def candidates(self, *certificates: Certificate) -> list[Candidate]:
        filing = await self.sequencer.integrator.filing(BODY.filing.number)
        assert filing is not None
        examined = EXAMINER.examine([submission_body(c.submission()) for c in certificates], filing)
        found = [each.outcome for each in examined]
        assert all(isinstance(each, Candidate) for each in found), found
        return found  # type: ignore[return-value]

    async def put(self, *certificates: Certificate) -> list[int | Refused | BaseException]:
        return await asyncio.gather(*self.sequencer.put(await self.candidates(*certificates)), return_exceptions=True)

    async def draft(self, *labels: str, **changes: Any) -> list[Certificate]:
        """Certificates with the tracks that the private index holds."""
        made = []
        for label in labels:
            index = PrivateIndex(octets("index"), lambda count, label=label: octets(f"t {label}", count))
            row = index.track_row("111", "CHN", id_number(label), OCCUPATION)
            track = (await self.store.claim([row]))[row.hmac]
            made.append(BODY.certificate(label, track=track, **changes))
        return made


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_order_is_kept_and_batches_are_sealed(room: Room) -> None:
    async with room.open(limit=3):
        certificates = await room.draft(*"abcdefgh")
        answers = await room.put(*certificates)
        size = room.sequencer.integrator.size
        entries = await room.store.entries(0, size)
    assert [entries[index] for index in answers] == [c.statement.entry for c in certificates]  # type: ignore[index]
    assert answers == sorted(answers)  # type: ignore[type-var]
    seals = [at for at, entry in enumerate(entries) if is_seal(entry)]
    assert [parse_seal(entries[at]).covered for at in seals] == seals
    times = [parse_seal(entries[at]).time for at in seals]
    assert times == sorted(set(times)), "one millisecond, several batches: times still rise"
    assert len(seals) == 2 + 3
    assert [c.statement.entry for c in room.committed] == [c.statement.entry for c in certificates]


async def test_identical_candidates_share_one_leaf_and_refusals_take_no_place(room: Room) -> None:
    async with room.open():
        a, b = await room.draft("a", "b")
        (twin,) = await room.draft("a", grade=4)
        late = BODY.certificate("a2", person="a", track=a.issue.track_id)
        first = await room.put(a, twin, late, a, b, b)
        again = await room.put(b, late, a)
    index = first[0]
    assert first[1] == first[3] == index and first[4] == first[5] == index + 1  # type: ignore[operator]
    for refusal in (first[2], again[1]):
        assert isinstance(refusal, Refused) and refusal.code == "DUPLICATE_GRADE"
    assert [again[0], again[2]] == [first[4], index]


async def test_a_full_queue_takes_nothing_of_a_request(room: Room) -> None:
    async with room.open(run=False, queue=5):
        a = await room.candidates(*await room.draft(*"abc"))
        room.sequencer.put(a)
        with pytest.raises(Unavailable) as full:
            room.sequencer.put(a)
        assert full.value.retry_after == 1
        assert room.sequencer.waiting == 3
        room.sequencer.put(a[:2])
        assert room.sequencer.waiting == 5


async def test_answers_are_proofs_under_what_is_published(room: Room) -> None:
    async with room.open():
        certificates = await room.draft("a", "b")
        answers = await room.put(*certificates)
        refusal = Refused("X", "x", module.refuse(module.Refusal.NUMBER, "n").text)
        receipt = await room.sequencer.receipt([answers[1], refusal, answers[0], 0])  # type: ignore[list-item]
        published = room.sequencer.published
    assert published is not None
    opened = open_checkpoint(receipt.checkpoint, SIGNER.origin, SIGNER.vkeys)
    assert opened.checkpoint.size == published.size
    one, two, three, genesis = receipt.answers
    assert isinstance(one, Logged) and isinstance(three, Logged) and isinstance(genesis, Logged) and two is refusal
    assert (one.index, three.index, genesis.index) == (answers[1], answers[0], 0)
    assert one.time == three.time == parse_seal(published.seal).time
    assert genesis.time < one.time


@pytest.mark.parametrize("leap", [-10_000, 400_000])
async def test_a_leap_of_the_clock_stops_signing_and_only_that(room: Room, leap: int) -> None:
    async with room.open():
        a, b = await room.draft("a", "b")
        room.wall += leap
        (stopped,) = await room.put(a)
        assert isinstance(stopped, Unavailable)
        assert not room.sequencer.fatal.done()
        before = room.sequencer.published
        room.wall -= leap
        room.wall += 5
        room.steady += 5
        (index,) = await room.put(a)
        assert isinstance(index, int)
        assert room.sequencer.published != before
        assert all(isinstance(answer, int) for answer in await room.put(b, a))


async def test_a_leap_between_commit_and_signature_ends_the_process(room: Room) -> None:
    """Nothing may be signed later than its place: the next start signs the committed head."""
    async with room.open():
        (a,) = await room.draft("a")
        commit = room.sequencer.integrator.commit

        async def commit_then_leap(prepared: Any) -> None:
            await commit(prepared)
            room.wall += 400_000

        room.sequencer.integrator.commit = commit_then_leap  # type: ignore[method-assign]
        (outcome,) = await room.put(a)
        assert isinstance(outcome, Unavailable)
        assert room.sequencer.fatal.done()
        committed = (await room.store.head()).size
        assert room.sequencer.published is not None and room.sequencer.published.size < committed
    async with room.open():
        assert room.sequencer.published is not None and room.sequencer.published.size == committed
        (index,) = await room.put(a)
        assert index == committed - 2


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_a_store_error_ends_the_process_and_the_next_start_decides(room: Room, fail: str) -> None:
    async with room.open(fail=fail):
        a, b = await room.draft("a", "b")
        size = room.sequencer.integrator.size
        outcomes = await room.put(a, b)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert room.sequencer.fatal.done()
        with pytest.raises(Unavailable):
            room.sequencer.put(await room.candidates(a))
    async with room.open():
        assert room.sequencer.integrator.size == (size if fail == "before" else size + 3)
        assert await room.put(a, b) == [size, size + 1]


async def test_a_flipped_row_ends_the_process_before_anything_is_signed(room: Room) -> None:
    async with room.open(alter=lambda entries: [entries[0][:-1] + b"!", *entries[1:]]):
        (a,) = await room.draft("a")
        size, published = room.sequencer.integrator.size, room.sequencer.published
        (outcome,) = await room.put(a)
        assert isinstance(outcome, Unavailable)
        assert isinstance(room.sequencer.fatal.result(), AssertionError)
        assert room.sequencer.published == published
    async with room.open():
        assert await room.put(a) == [size]


async def test_a_retry_between_commit_and_publication_waits_for_the_checkpoint(room: Room) -> None:
    async with room.open():
        (a,) = await room.draft("a")
        index = room.sequencer.integrator.size
        early = asyncio.create_task(room.sequencer.receipt([index]))
        await asyncio.sleep(0)
        assert not early.done()
        await room.put(a)
        receipt = await early
        assert isinstance(receipt.answers[0], Logged) and receipt.answers[0].index == index


async def test_an_index_that_is_never_published_is_unavailable(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PUBLICATION_S", 0.01)
    async with room.open():
        with pytest.raises(Unavailable):
            await room.sequencer.receipt([room.sequencer.integrator.size])


async def test_an_idle_log_renews_its_signature_and_adds_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    async with room.open():
        before = room.sequencer.published
        assert before is not None
        room.wall += 90_000
        room.steady += 90_000
        while room.sequencer.published == before:
            await asyncio.sleep(0.005)
        after = room.sequencer.published
        assert after is not None and (after.size, after.root, after.seal) == (before.size, before.root, before.seal)
        times = [open_checkpoint(each.note, SIGNER.origin, SIGNER.vkeys).time_s for each in (before, after)]
        assert times[1] - times[0] == 90


async def test_refused_statements_do_not_put_off_the_renewal(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that admit nothing sign nothing; readers must not see the log age because of them."""
    monkeypatch.setattr(module, "RENEW_S", 0.05)
    async with room.open():
        stray = BODY.certificate("stray")  # its track was never drawn
        before = room.sequencer.published
        for _ in range(30):
            (outcome,) = await room.put(stray)
            assert isinstance(outcome, Refused)
            await asyncio.sleep(0.01)
        assert room.sequencer.published is not before, "renewed although the queue was never quiet for long"
        assert room.sequencer.alive


async def test_the_queue_is_bounded_in_bytes_too(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room.open(run=False):
        (waiting,) = await room.candidates(*await room.draft("a"))
        monkeypatch.setattr(module, "_QUEUE_BYTES", waiting.size)
        room.sequencer.put([waiting])
        with pytest.raises(Unavailable):
            room.sequencer.put([waiting])


async def test_a_start_behind_the_log_refuses(room: Room) -> None:
    async with room.open():
        await room.put(*await room.draft("a"))
    room.wall -= 3_600_000
    with pytest.raises(Unavailable, match="behind"):
        async with room.open():
            pass


async def test_a_key_that_died_meanwhile_does_not_change_the_first_answer(room: Room) -> None:
    async with room.open():
        (a,) = await room.draft("a")
        (index,) = await room.put(a)
    room.wall += (BODY.filing.last_day - DAY + 10) * 86_400_000
    async with room.open():
        (b,) = await room.draft("b")
        again, late = await room.put(a, b)
    assert again == index
    assert isinstance(late, Refused) and late.code == "ISSUED_TOO_LATE"


async def test_a_guard_ahead_of_the_store_refuses_to_start(room: Room, tmp_path: Path) -> None:
    async with room.open():
        await room.put(*await room.draft("a"))
    copy = (tmp_path / "log.db").read_bytes()
    async with room.open():
        await room.put(*await room.draft("b"))
    for left in tmp_path.glob("log.db-*"):
        left.unlink()
    (tmp_path / "log.db").write_bytes(copy)
    with pytest.raises(Refused) as refused:
        async with room.open():
            pass
    assert refused.value.code == "GUARD_BACKWARDS"


async def test_a_forked_store_refuses_to_start(room: Room, tmp_path: Path) -> None:
    async with room.open():
        pass
    copy = (tmp_path / "log.db").read_bytes()
    async with room.open():
        await room.put(*await room.draft("a"))
    guard = (tmp_path / "guard").read_bytes()
    for left in tmp_path.glob("log.db-*"):
        left.unlink()
    (tmp_path / "log.db").write_bytes(copy)
    (tmp_path / "guard").unlink()
    Guard.create(tmp_path / "guard")
    async with room.open():
        await room.put(*await room.draft("b"))
    (tmp_path / "guard").write_bytes(guard)
    with pytest.raises(Refused) as refused:
        async with room.open():
            pass
    assert refused.value.code == "GUARD_FORK"

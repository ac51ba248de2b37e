"""The sequencer with a clock of the test's own: order, back-pressure, stops, and what an error leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.seal import is_seal, parse_seal
from ledger.service import sequencer as module
from ledger.service.admission import Candidate
from ledger.service.backlog import START, Backlog
from ledger.service.clock import ClockStopped
from ledger.service.disk_room import DiskRoom
from ledger.store.batch import Batch, Prepared
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateRows
from tests.support.builders import DAY, Certificate
from tests.support.fault_store import FaultStore
from tests.support.service_room import BODY, Room
from tests.support.stores import KINDS
from tests.support.waiting import until


@pytest.fixture(params=sorted(KINDS))
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    """What a batch leaves behind depends on the store."""
    return Room(tmp_path, KINDS[request.param]())


async def test_order_is_kept_and_batches_are_sealed(room: Room) -> None:
    async with room.open(limit=3):
        certificates = await room.draft(*"abcdefgh")
        answers = await room.put(*certificates)
        size = room.size
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


async def test_only_what_came_into_the_log_is_told_of(tmp_path: Path) -> None:
    """Who listens learns request keys and changes of the log's keys: a refused statement must teach nothing."""
    room = Room(tmp_path)
    async with room.open():
        a, b, c = await room.draft("a", "b", "c")
        await room.put(a)
        refused = BODY.certificate("a2", person="a", track=a.issue.track_id)
        outcomes = await room.put(b, refused, a, c)
        assert isinstance(outcomes[1], Refused) and isinstance(outcomes[2], int)
    assert [one.statement.entry for one in room.committed] == [one.statement.entry for one in (a, b, c)]


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


async def test_a_disk_that_fills_up_takes_nothing_and_ends_nothing(room: Room) -> None:
    """What waits already is sent away too, before the store has heard of it; it goes on by itself."""
    async with room.open(run=False):
        a, b = await room.draft("a", "b")
        waiting = room.sequencer.put(await room.candidates(a))
        room.free = 999
        running = asyncio.create_task(room.sequencer.run())
        with pytest.raises(Unavailable, match="full") as full:
            await waiting
        assert full.value.retry_after is not None and full.value.text is not None
        with pytest.raises(Unavailable, match="full"):
            room.sequencer.put(await room.candidates(b))
        assert room.store.reached == 0 and not room.fatal.done()
        room.free = 5000
        assert all(isinstance(answer, int) for answer in await room.put(a, b))
        running.cancel()


async def test_a_disk_is_looked_at_once_a_batch(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    look = DiskRoom.look
    monkeypatch.setattr(DiskRoom, "look", lambda self: looks.append(1) or look(self))
    async with room.open(limit=4):
        made = await room.draft(*"abcdefghijkl")
        room.publisher.room.look()
        before = room.store.reached
        looks.clear()
        for request in [room.sequencer.put(await room.candidates(each)) for each in made]:
            await request
        assert 0 < len(looks) <= room.store.reached - before


async def test_a_request_larger_than_the_queue_has_its_turn(tmp_path: Path) -> None:
    """Told to come again in a second, it would do so for ever."""
    async with Room(tmp_path).open(queue=2) as room:
        assert all(isinstance(answer, int) for answer in await room.put(*await room.draft(*"abc")))


async def test_a_leap_is_told_only_where_a_start_would_take_the_clock_as_it_is(room: Room) -> None:
    """One that ended while the clock is behind the log could not start, and would not even be read; one that is started
    by a clock that witnesses share, years ahead, is lost."""
    async with room.open():
        room.sequencer.check_leap()
        for leap in (3_600_000, -3_600_000, 10 * 365 * 86_400_000):  # the last would keep all batches out for ten years
            room.wall += leap
            with pytest.raises(ClockStopped):
                room.sequencer.check_clock()
            if leap == 3_600_000:
                with pytest.raises(ClockStopped):
                    room.sequencer.check_leap()
            else:
                room.sequencer.check_leap()
            room.wall -= leap
        room.sequencer.check_leap()


@pytest.mark.parametrize("leap", [-10_000, 400_000])
async def test_a_leap_of_the_clock_stops_signing_and_only_that(room: Room, leap: int) -> None:
    async with room.open():
        a, b = await room.draft("a", "b")
        room.wall += leap
        (stopped,) = await room.put(a)
        assert isinstance(stopped, Unavailable)
        assert not room.fatal.done()
        before = room.published
        assert before is not None and room.size == before.size
        room.wall -= leap
        room.wall += 5
        room.steady += 5
        (index,) = await room.put(a)
        assert isinstance(index, int)
        assert (await room.until_published()) != before
        assert all(isinstance(answer, int) for answer in await room.put(b, a))


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_a_store_error_ends_the_process_and_the_next_start_decides(room: Room, fail: str) -> None:
    async with room.open(fail=fail):
        a, b = await room.draft("a", "b")
        size = room.size
        outcomes = await room.put(a, b)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert room.fatal.done()
        with pytest.raises(Unavailable):
            room.sequencer.put(await room.candidates(a))
    async with room.open():
        assert room.size == (size if fail == "before" else size + 3)
        assert await room.put(a, b) == [size, size + 1]


async def test_a_flipped_row_ends_the_process_before_anything_is_signed(room: Room) -> None:
    async with room.open(alter=lambda entries: [entries[0][:-1] + b"!", *entries[1:]]):
        (a,) = await room.draft("a")
        size, published = room.size, room.published
        (outcome,) = await room.put(a)
        assert isinstance(outcome, Unavailable)
        assert isinstance(room.fatal.result(), AssertionError)
        assert room.published == published
    async with room.open():
        assert await room.put(a) == [size]


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


@pytest.mark.parametrize("busy", [True, False])
async def test_batches_tell_what_a_busy_log_can_do(tmp_path: Path, busy: bool) -> None:
    room = Room(tmp_path)

    class Slow(list[Candidate]):
        """Each batch takes 400 ms: 20 statements a second."""

        def extend(self, batch: Iterable[Candidate]) -> None:
            super().extend(batch)
            room.wall += 400
            room.steady += 400

    room.committed = Slow()
    async with room.open(limit=8):
        made = await room.draft(*(f"busy {at}" for at in range(24)))
        backlog = room.sequencer.backlog
        with backlog.through(300 if busy else len(made)):
            assert all(isinstance(answer, int) for answer in await room.put(*made))
        assert (20 < backlog.rate < START) if busy else backlog.rate == START
        assert backlog.wait_s == 0


async def _overlapped(room: Room, held: asyncio.Event, first: int, *behind: Certificate) -> list[asyncio.Future[Any]]:
    """One batch of `first` certificates that hangs in its commit, and requests of what is put behind it, one each."""
    made = [room.sequencer.put(await room.candidates(*await room.draft(*(f"first {at}" for at in range(first)))))]
    await until(lambda: room.store.reached == 1)
    made += [room.sequencer.put(await room.candidates(one)) for one in behind]
    assert not held.is_set()
    return made


async def test_the_next_batch_is_folded_beside_a_commit_and_answered_after_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, folded = asyncio.Event(), list[int]()

    async def finish(batch: Batch, private: PrivateRows) -> Prepared:
        folded.append(len(batch))
        return await real(batch, private)

    real = Batch.finish
    async with room.open(held=held):
        monkeypatch.setattr(Batch, "finish", finish)
        size = room.size
        (other,) = await room.draft("first 0")
        up = BODY.certificate("up", person="first 0", track=other.issue.track_id, grade=3)
        behind = [*await room.draft("a", "b"), up]
        twin = (await room.draft("a", grade=4))[0]
        again = (await room.draft("first 1"))[0]
        late = BODY.certificate("late", person="first 2", track=(await room.draft("first 2"))[0].issue.track_id)
        requests = await _overlapped(room, held, 3, *behind, twin, again, late)
        await until(lambda: len(folded) == 2)
        assert folded == [3, 3] and room.store.reached == 1 and room.size == size
        assert not any(one.done() for one in requests), "an answer is a durable fact"
        held.set()
        answers = [await one for one in requests]
    assert answers[0] == [size, size + 1, size + 2]
    assert answers[1:6] == [[size + 4], [size + 5], [size + 6], [size + 4], [size + 1]]
    (refusal,) = answers[6]
    assert isinstance(refusal, Refused) and refusal.code == "DUPLICATE_GRADE"
    async with room.open():  # the next start finds a log that stands up
        assert room.size == size + 8


async def test_fewer_than_are_being_committed_wait_for_more(room: Room) -> None:
    """Else each batch would be what one request brings, and each commit costs an fsync."""
    held = asyncio.Event()
    async with room.open(held=held):
        size = room.size
        requests = await _overlapped(room, held, 4, *await room.draft("a", "b"))
        requests.append(room.sequencer.put(await room.candidates(*await room.draft("c"))))
        held.set()
        answers = [await one for one in requests]
    assert answers[1:] == [[size + 5], [size + 6], [size + 7]], "one batch"


async def test_a_batch_is_folded_in_parts(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between them the event loop serves the commit of the batch before."""
    turn, folded_in = 0, list[int]()

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def add(batch: Batch, *asked: Any) -> int:
        folded_in.append(turn)
        return real(batch, *asked)

    real = Batch.add
    async with room.open():
        monkeypatch.setattr(module, "_IN_ONE_GO", 3)
        monkeypatch.setattr(Batch, "add", add)
        made = await room.draft(*"abcdefgh")
        ticking = asyncio.create_task(turning())
        await room.put(*made)
        ticking.cancel()
    assert [folded_in.count(each) for each in sorted({*folded_in})] == [3, 3, 2]


async def test_what_the_next_batch_reads_is_read_before_a_commit_or_beside_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file a commit is in the way of reads, and the writer remembers what it has read; a server does both."""
    order = list[str]()

    async def begin(integrator: Integrator, *asked: Any) -> Batch:
        batch = await begun(integrator, *asked)
        order.append("read")
        return batch

    async def append(store: Any, *asked: Any) -> None:
        order.append("commit")
        await appended(store, *asked)

    begun, appended = Integrator.begin, FaultStore.append
    async with room.open(limit=2):
        monkeypatch.setattr(Integrator, "begin", begin)
        monkeypatch.setattr(FaultStore, "append", append)
        size = room.size
        made = [await room.candidates(*await room.draft(*pair)) for pair in ("ab", "cd", "ef")]
        requests = [room.sequencer.put(each) for each in made]
        answers = [await one for one in requests]
        first = room.store.reads_first
    assert answers == [[size, size + 1], [size + 3, size + 4], [size + 6, size + 7]]
    assert order[:3] == (["read", "read", "commit"] if first else ["read", "commit", "read"])
    assert sorted(order) == ["commit"] * 3 + ["read"] * 3


async def test_a_number_that_the_batch_before_takes_is_taken(room: Room) -> None:
    held = asyncio.Event()
    async with room.open(held=held):
        (one,) = await room.draft("first 0")
        (other,) = await room.draft("b")
        number = one.face.number
        thief = BODY.certificate("first 0", person="b", track=other.issue.track_id)
        assert thief.face.number == number
        requests = await _overlapped(room, held, 1, thief)
        await asyncio.sleep(0.05)
        held.set()
        (index,), (refusal,) = [await each for each in requests]
    assert isinstance(index, int)
    assert isinstance(refusal, Refused) and refusal.code in ("NUMBER_TAKEN", "CERT_EXISTS"), refusal


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_a_commit_that_fails_takes_the_batch_behind_it_along(room: Room, fail: str) -> None:
    held = asyncio.Event()
    async with room.open(held=held, fail=fail):
        size = room.size
        made = await room.draft("a", "b")
        requests = await _overlapped(room, held, 2, *made)
        await asyncio.sleep(0.05)
        held.set()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(each, Unavailable) for each in outcomes), outcomes
        assert room.fatal.done() and room.store.reached == 1, "the second one was never begun in the store"
    async with room.open():
        assert room.size == (size if fail == "before" else size + 3)
        assert all(isinstance(answer, int) for answer in await room.put(*made))


async def test_what_asks_the_past_waits_for_the_commit(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def begin(integrator: Integrator, *asked: Any) -> Batch:
        assert held.is_set() or room.store.reached == 0, "begun beside the commit"
        return await real(integrator, *asked)

    real = Integrator.begin
    async with room.open(held=held):
        monkeypatch.setattr(Integrator, "begin", begin)
        (first,) = await room.draft("first 0")
        requests = await _overlapped(room, held, 1, BODY.reissue("anew", first))
        await asyncio.sleep(0.05)
        held.set()
        (index,), (anew,) = [await each for each in requests]
        assert isinstance(index, int) and anew == index + 2


@pytest.mark.parametrize("behind", ["", "ab"])
async def test_a_stop_in_the_middle_leaves_nobody_without_a_word(room: Room, behind: str) -> None:
    held = asyncio.Event()
    async with room.open(held=held):
        requests = await _overlapped(room, held, 2, *await room.draft(*behind))
        await asyncio.sleep(0.05)
        for task in room.tasks:
            task.cancel()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(each, Unavailable) for each in outcomes), outcomes


async def test_what_nobody_waits_for_any_more_is_not_logged(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.open(run=False):
        given_up, waited_for = [await room.candidates(*await room.draft(label)) for label in "ab"]
        room.sequencer.put(given_up).cancel()
        answer = room.sequencer.put(waited_for)
        task = asyncio.create_task(room.sequencer.run())
        (index,) = await answer
        task.cancel()
        assert isinstance(index, int) and room.size == index + 2, "one statement and its seal"
        assert await room.store.find([given_up[0].statement.identity]) == {}


@pytest.mark.parametrize("most", [3, 100])
async def test_a_batch_has_what_takes_a_moment_and_never_more_than_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    room, sizes = Room(tmp_path), list[int]()

    class Told(list[Candidate]):
        def extend(self, batch: Iterable[Candidate]) -> None:
            sizes.append(len(list(batch)))

    monkeypatch.setattr(Backlog, "batch", most)
    room.committed = Told()
    async with room.open(limit=5):
        assert all(isinstance(answer, int) for answer in await room.put(*await room.draft(*"abcdefg")))
    assert sizes == ([3, 3, 1] if most == 3 else [5, 2])

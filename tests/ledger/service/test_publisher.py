"""From committed to published: quorum lost and found, kills at every step, restored backups, and broken builds that
these very checks must catch.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.seal import parse_seal
from ledger.service import guard
from ledger.service import publisher as module
from ledger.service.admission import Candidate
from ledger.service.guard import FileGuard
from ledger.service.log_keys import KeysChanged
from ledger.service.publisher import Publisher
from ledger.service.signer import HeadSigner
from ledger.service.witnesses import Witnesses
from ledger.store.integrate import Integrator
from ledger.store.serving import Serving
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner, open_checkpoint, open_cosigned
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.policy import NONE, Policy
from tests.support.builders import octets
from tests.support.fake_witness import FakeWitness, Seen
from tests.support.service_room import BODY, SIGNER, Pause, Room
from tests.support.waiting import PATIENCE_S, until


@asynccontextmanager
async def fakes(room: Room, *names: str) -> AsyncIterator[list[FakeWitness]]:
    """Witnesses of this clock; each checks that what it is sent is on the disk already."""
    made = [FakeWitness(name, room.now_s) for name in names]
    try:
        for witness in made:
            await witness.start()
            witness.answer = lambda witness=witness: room_check(room, witness)
        yield made
    finally:
        for witness in made:
            await witness.stop()
    assert early == [], "a witness was sent a head that was not committed"


early: list[tuple[str, int, int]] = []


@pytest.fixture(autouse=True)
def nothing_early() -> None:
    early.clear()


@pytest.fixture(autouse=True)
def no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would bring about what a test waits for."""
    monkeypatch.setattr(module, "RENEW_S", 2 * PATIENCE_S)


def room_check(room: Room, witness: FakeWitness) -> None:
    with sqlite3.connect(f"file:{room.folder / 'log.db'}?mode=ro", uri=True) as connection:
        (size,) = connection.execute("SELECT size FROM head").fetchone()
    connection.close()
    if witness.requests[-1][1] > size:
        early.append((witness.name, witness.requests[-1][1], size))


async def put_and_wait(room: Room, *labels: str) -> list[Any]:
    answers = await room.put(*await room.draft(*labels))
    await room.until_published()
    return answers


async def test_without_a_policy_a_batch_is_signed_and_published_at_once(room: Room) -> None:
    async with room.open():
        assert room.published is not None and room.published.size == room.size, "already at the start"
        (index,) = await put_and_wait(room, "a")
        assert index < room.published.size == room.size
        assert open_checkpoint(room.published.note, SIGNER.origin, SIGNER.vkeys).checkpoint.size == room.size
        assert room.publisher.alive and room.publisher.pending == 0
        assert await room.store.checkpoint() is None, "nothing is kept that is signed again at every start"


async def test_a_quorum_stands_behind_everything_that_readers_see(room: Room) -> None:
    async with fakes(room, "w1", "w2", "w3") as witnesses, room.open(witnesses=witnesses, k=2):
        for label in "abcd":
            await put_and_wait(room, label)
        sizes = [published.size for published in room.shown]
        assert sizes == sorted(sizes) and sizes[-1] == room.size
        for published in room.shown:
            opened = open_cosigned(published.note, SIGNER.origin, SIGNER.vkeys, room.policy)
            assert opened.checkpoint.size == published.size and len(opened.cosigned) >= 2
        assert await room.store.checkpoint() is not None


async def test_a_serving_map_follows_what_is_published_also_when_heads_are_skipped(room: Room) -> None:
    async with fakes(room, "w") as (witness,), room.open(witnesses=[witness], k=1):
        serving = Serving(room.sequencer.integrator)
        await put_and_wait(room, "a")
        witness.mode = "500"
        await room.put(*await room.draft("b"))
        await room.put(*await room.draft("c"))
        witness.mode = "honest"
        await room.until_published()
        for published in room.shown:
            serving.publish(published.size)
            assert serving.size == published.size
            assert serving.map.root == parse_seal(published.seal).map_root
        assert len({published.size for published in room.shown}) >= 3


async def test_a_lost_quorum_keeps_statements_pending_and_publishes_nothing_half_witnessed(room: Room) -> None:
    async with fakes(room, "w1", "w2") as (one, two), room.open(witnesses=[one, two], k=2, wait_s=0.05):
        await put_and_wait(room, "a")
        before = room.published
        two.mode = "500"
        answers = [await room.put(*await room.draft(label)) for label in "bcd"]
        indexes = [index for (index,) in answers]
        assert all(isinstance(index, int) for index in indexes), "durable"
        await until(lambda: one.seen and one.seen.checkpoint.size > before.size)  # type: ignore[union-attr]
        for index in indexes:
            assert await room.answers.receipt([index]) is None  # type: ignore[list-item]
        assert room.published is before, "readers keep the old head"
        assert room.publisher.pending == room.size - before.size  # type: ignore[union-attr]
        assert not room.fatal.done()

        two.mode = "honest"
        await room.until_published()
        receipt = await room.answers.receipt(indexes)  # type: ignore[arg-type]
        assert receipt is not None and room.opened().checkpoint.size == room.size
        assert [answer.index for answer in receipt.answers] == indexes  # type: ignore[union-attr]


async def test_one_of_three_down_is_not_seen_by_anybody(room: Room) -> None:
    async with fakes(room, "w1", "w2", "w3") as (one, two, three):
        async with room.open(witnesses=[one, two, three], k=2):
            await three.stop()
            for label in "abc":
                await put_and_wait(room, label)
            assert room.publisher.alive
        await three.start()


async def test_a_late_cosignature_is_shown_as_well(room: Room) -> None:
    async with fakes(room, "w1", "w2") as (one, two), room.open(witnesses=[one, two], k=1):
        await until(lambda: two.seen)
        two.mode = "hang"
        await put_and_wait(room, "a")
        assert two.key not in room.opened().cosigned
        two.mode = "honest"
        two.released.set()
        await until(lambda: two.key in room.opened().cosigned)
        assert one.key in room.opened().cosigned and room.opened().checkpoint.size == room.size


async def test_public_witnesses_are_sent_to_at_their_pace_and_waited_for_by_nobody(room: Room) -> None:
    async with fakes(room, "own", "public") as (own, public):
        policy, pause = Policy((), policy_lines(own, public), (), "own"), Pause()
        async with room.open(witnesses=[own, public], policy=policy, public=["public"], rest=pause.rest):
            for turn, labels in enumerate(("abc", "def"), 1):
                for label in labels:
                    await put_and_wait(room, label)
                assert len(public.requests) == turn - 1 and len(own.requests) > 3 * turn, "nothing during a pause"
                assert public.key not in room.opened().cosigned
                await pause.over()
                await until(lambda: public.key in room.opened().cosigned)
                assert own.key in room.opened().cosigned
                assert len(public.requests) == turn and public.requests[-1][1] == room.size, "the newest, once"
            assert set(pause.asked) == {10.0}


async def test_an_auditors_line_comes_after_publication_and_is_shown_with_the_head(room: Room) -> None:
    async with fakes(room, "own", "auditor") as (own, auditor):
        before: list[tuple[int, int]] = []
        heard = auditor.answer

        def hear() -> None:
            heard()
            before.append((auditor.requests[-1][1], room.published.size if room.published else 0))

        auditor.answer = hear
        async with room.open(witnesses=[own, auditor], policy=Policy((), policy_lines(own, auditor), (), "own")):
            for label in "abc":
                await put_and_wait(room, label)
                await until(lambda: auditor.key in signers(room))
                assert own.key in signers(room) and room.opened().checkpoint.size == room.size
            assert before and all(size <= shown for size, shown in before), "nothing that nobody can read"


async def test_a_head_with_an_auditors_line_is_remembered_when_newer_ones_have_none(room: Room) -> None:
    async with (
        fakes(room, "own", "auditor") as (own, auditor),
        room.open(witnesses=[own, auditor], policy=Policy((), policy_lines(own, auditor), (), "own")),
    ):
        ids = [auditor.key.key_id]
        await put_and_wait(room, "a")
        await until(lambda: auditor.key in signers(room))
        auditor.mode = "hang"
        before = len(auditor.requests)
        await put_and_wait(room, "b")
        asked = room.size
        await until(lambda: len(auditor.requests) > before)
        await put_and_wait(room, "c")
        remembered = room.publisher.last_cosigned.newest(ids)
        assert remembered is not None and remembered.size < asked, "the one before"
        auditor.released.set()  # it answers for the head of "b", which is not the newest any more
        await until(lambda: room.publisher.last_cosigned.newest(ids).size >= asked)  # type: ignore[union-attr]
        remembered = room.publisher.last_cosigned.newest(ids)
        assert remembered is not None
        opened = open_cosigned(remembered.note, SIGNER.origin, SIGNER.vkeys, room.policy, [])
        assert {own.key, auditor.key} <= opened.cosigned.keys()
        assert parse_seal(remembered.seal).covered == remembered.size - 1
        auditor.mode = "honest"


def signers(room: Room) -> Any:
    return room.opened().cosigned


def policy_lines(*witnesses: FakeWitness) -> Any:
    from ledger.tlog.policy import Witness

    return tuple(Witness(witness.name, witness.key, witness.url) for witness in witnesses)


async def test_an_idle_log_renews_its_signature_and_adds_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    async with room.open():
        before = room.published
        assert before is not None
        room.wall += 90_000
        room.steady += 90_000
        after = await until(lambda: room.published if room.published is not before else None)
        assert (after.size, after.root, after.seal) == (before.size, before.root, before.seal)
        times = [open_checkpoint(each.note, SIGNER.origin, SIGNER.vkeys).time_s for each in (before, after)]
        assert times[1] - times[0] == 90


async def test_an_idle_log_is_cosigned_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    async with fakes(room, "w") as (witness,), room.open(witnesses=[witness], k=1, run=False):
        first = room.opened()
        room.wall += 90_000
        room.steady += 90_000
        task = asyncio.create_task(room.publisher.run())
        await until(lambda: room.opened().quorum_time_s != first.quorum_time_s)
        task.cancel()
        second = room.opened()
        assert second.checkpoint == first.checkpoint and second.time_s == first.time_s + 90
        assert {size for _, size in witness.requests} == {first.checkpoint.size}


async def test_refused_statements_do_not_put_off_the_renewal(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that admit nothing sign nothing; readers must not see the log age because of them."""
    monkeypatch.setattr(module, "RENEW_S", 0.05)
    async with room.open():
        stray = BODY.certificate("stray")  # its track was never drawn
        before = room.published
        async with asyncio.timeout(PATIENCE_S):
            while room.published is before:  # renewed although the queue is never quiet for long
                (outcome,) = await room.put(stray)
                assert isinstance(outcome, Refused)
                await asyncio.sleep(0.01)
        monkeypatch.undo()
        assert room.publisher.alive


async def test_a_leap_between_commit_and_signature_holds_the_signature_up(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed, not signed while the clock is wrong, and published when it is right again."""
    monkeypatch.setattr(module, "RENEW_S", 0.2)
    async with room.open(wait_s=0.02):
        (a,) = await room.draft("a")
        commit, before = room.sequencer.integrator.commit, room.published

        async def commit_then_leap(prepared: Any) -> None:
            await commit(prepared)
            room.wall += 400_000

        room.sequencer.integrator.commit = commit_then_leap  # type: ignore[method-assign]
        (index,) = await room.put(a)
        assert isinstance(index, int) and await room.answers.receipt([index]) is None
        assert room.published is not None and before is not None
        assert room.published.size == before.size and not room.fatal.done()
        room.wall -= 400_000
        await room.until_published()
        monkeypatch.undo()
        assert room.published.size > index and room.publisher.alive


@pytest.mark.parametrize("leap", [3_600_000, -3_600_000])
async def test_a_start_whose_clock_a_quorum_contradicts_takes_no_statement(room: Room, leap: int) -> None:
    """Sealed with a time to come, a batch would keep every later one out until then: for years, perhaps."""
    right, times = room.wall // 1000, {"w3": 0}
    witnesses = [FakeWitness(name, lambda name=name: right + times.get(name, 0)) for name in ("w1", "w2", "w3")]
    for witness in witnesses:
        await witness.start()
    try:
        times["w3"] = leap // 1000  # one alone changes nothing
        async with room.open(witnesses=witnesses, k=2):
            await put_and_wait(room, "a")
            (b,) = await room.draft("b")
        size, times["w3"] = room.size, 0
        room.wall += max(leap, 0)
        if leap < 0:
            right -= leap // 1000  # ours is behind theirs, and not behind the log
        async with room.open(witnesses=witnesses, k=2):
            assert room.publisher._asked and not room.publisher.alive
            with pytest.raises(Unavailable) as refused:
                room.sequencer.put(await room.candidates(b))
            assert refused.value.text is not None and "clock" in refused.value.text.en
            assert room.size == size
        room.wall += 2000 - min(leap, 0) - max(leap, 0)
        async with room.open(witnesses=witnesses, k=2):
            await put_and_wait(room, "b")
            assert room.publisher.alive and room.size > size
    finally:
        for witness in witnesses:
            await witness.stop()


@pytest.mark.parametrize("gone", [False, True])
async def test_one_witness_of_another_time_stops_nothing_while_a_quorum_has_ours(room: Room, gone: bool) -> None:
    """Also where one alone would be a quorum, and also one that is never heard of again."""
    async with FakeWitness("good", room.now_s) as good, AsyncExitStack() as running:
        bad = await running.enter_async_context(FakeWitness("bad", room.now_s))
        bad.mode = "old time"
        async with room.open(witnesses=[good, bad], k=1):
            await put_and_wait(room, "a")
            await until(lambda: ("bad", "clock") in room.outcomes)
            if gone:
                await running.aclose()
            good.mode = "hang"  # what is on its way has no quorum yet: the witnesses have said nothing new
            (b,) = await room.draft("b")
            (index,) = await room.put(b)
            assert isinstance(index, int)
            await until(lambda: good.requests[-1][1] == room.size)
            room.publisher.check_taking()
            good.mode = "honest"
            good.released.set()
            await room.until_published()
            assert room.publisher.alive


async def test_a_quorum_of_another_time_is_believed_until_it_has_ours_again(room: Room) -> None:
    """Not only while it answers: a witness that falls silent has not said that our clock is right."""
    async with FakeWitness("w1", room.now_s) as one, FakeWitness("w2", room.now_s) as two:
        one.mode = two.mode = "old time"
        async with room.open(witnesses=[one, two], k=1):
            await until(lambda: {("w1", "clock"), ("w2", "clock")} <= set(room.outcomes))
            one.mode = two.mode = "500"
            await until(lambda: {("w1", "status 500"), ("w2", "status 500")} <= set(room.outcomes))
            with pytest.raises(Unavailable, match="another time"):
                room.publisher.check_taking()
            one.mode = "honest"
            await room.until_published()
            room.publisher.check_taking()


async def test_a_batch_that_ends_the_process_is_not_signed_by_it(room: Room) -> None:
    """One that names other keys of the log: the old ones sign nothing more, and no witness sees that they did."""

    class Ends(list[Candidate]):
        def extend(self, batch: Iterable[Candidate]) -> None:
            super().extend(batch)
            room.fatal.set_result(KeysChanged(Text("没有应答", "other keys")))

    room.committed = Ends()
    async with fakes(room, "w") as (witness,), room.open(witnesses=[witness], k=1):
        published = await room.until_published()
        asked = len(witness.requests)
        await room.put(*await room.draft("a"))
        await asyncio.wait(room.tasks, timeout=PATIENCE_S)
        assert all(task.done() for task in room.tasks), "both have ended by themselves"
        assert room.size > published.size and room.published is published
        assert len(witness.requests) == asked


async def test_a_guard_error_ends_the_process(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room.open(wait_s=0.05):
        (a,) = await room.draft("a")
        before = room.published

        async def fail(self: FileGuard, size: int, root: bytes) -> None:
            raise Unavailable(Text("没有应答", "signer guard: Input/output error"))

        monkeypatch.setattr(FileGuard, "remember", fail)
        (index,) = await room.put(a)
        assert isinstance(index, int)
        await until(room.fatal.done)
        assert room.published is before
        with pytest.raises(Unavailable):
            room.sequencer.put(await room.candidates(a))
        with pytest.raises(Unavailable):
            await room.answers.receipt([index])
    monkeypatch.undo()
    async with room.open():
        assert await room.put(a) == [index]
        assert room.published is not None and room.published.size > index


async def test_a_branch_that_has_grown_past_what_was_signed_is_refused_without_any_witness(room: Room) -> None:
    """A server that a failover left behind may be ahead of the one that went on: its size alone would pass."""
    log, kept, of_log = room.folder / "log.db", room.folder / "kept.db", room.folder / "guard"
    async with room.open():
        await put_and_wait(room, "a")
    shutil.copy(log, kept)
    async with room.open():
        await put_and_wait(room, "b")
        signed = room.size
    shutil.copy(kept, log)
    of_log.rename(room.folder / "guard of the log")
    FileGuard.create(of_log)
    async with room.open():  # it has forgotten all: so the other branch could grow
        await put_and_wait(room, "c", "d")
        assert room.size > signed
    of_log.unlink()
    (room.folder / "guard of the log").rename(of_log)
    before = of_log.read_bytes()
    with pytest.raises(Refused, match="GUARD_FORK"):
        async with room.open():
            pass
    assert of_log.read_bytes() == before, "and nothing was signed"


class Killed(BaseException):
    """kill -9 at this very place: nothing of this process runs any more."""


def die(*_: Any, **__: Any) -> Any:
    raise Killed


async def die_later(*_: Any, **__: Any) -> Any:
    raise Killed


POSITIONS: dict[str, Callable[[pytest.MonkeyPatch, Room], None]] = {
    "committed, before the publisher knows": lambda m, r: m.setattr(Publisher, "committed", die),
    "before the guard": lambda m, r: m.setattr(HeadSigner, "sign", die_later),
    "after the guard": lambda m, r: m.setattr(CheckpointSigner, "sign", die),
    "signed, before it is sent": lambda m, r: m.setattr(Witnesses, "cosign", die_later),
    "cosigned, before it is kept": lambda m, r: m.setattr(r.store, "put_checkpoint", die_later, raising=False),
    "kept, before readers see it": lambda m, r: m.setattr(Publisher, "_show", die),
}


@pytest.mark.parametrize("position", POSITIONS)
async def test_a_kill_between_commit_and_publication_is_finished_by_the_next_start(
    room: Room, position: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes(room, "w1", "w2") as witnesses:
        async with room.open(witnesses=witnesses, k=2, wait_s=0.05):
            await put_and_wait(room, "a")
            before = room.published
            (b,) = await room.draft("b")
            with monkeypatch.context() as patch:
                POSITIONS[position](patch, room)
                candidates = await room.candidates(b)
                room.sequencer.put(candidates)
                await until(lambda: any(task.done() for task in room.tasks))
                assert room.size > before.size  # type: ignore[union-attr]
            head = room.sequencer.integrator.head
            assert head is not None and room.published is before
        room.wall += 2000
        room.steady += 2000
        async with room.open(witnesses=witnesses, k=2):
            opened = room.opened()
            assert (opened.checkpoint.size, opened.checkpoint.root) == (head.size, head.root), "the same head"
            assert await room.put(b) == [head.size - 2]
            await put_and_wait(room, "c")
            sizes = {seen.seen.checkpoint.size for seen in witnesses if seen.seen}
            assert sizes == {room.size}


async def test_a_kill_while_one_of_two_witnesses_has_it(room: Room) -> None:
    async with fakes(room, "w1", "w2") as (one, two):
        async with room.open(witnesses=[one, two], k=2):
            await put_and_wait(room, "a")
            before = room.published
            two.mode = "hang"
            await room.put(*await room.draft("b"))
            await until(lambda: one.seen and one.seen.checkpoint.size == room.size)
            assert room.published is before
        assert one.seen is not None
        sent = one.seen.checkpoint
        two.mode = "honest"
        two.released.set()
        async with room.open(witnesses=[one, two], k=2):
            assert room.opened().checkpoint == sent


async def test_a_restart_without_quorum_shows_no_smaller_log_and_takes_nothing(room: Room) -> None:
    async with fakes(room, "w1", "w2") as (one, two):
        async with room.open(witnesses=[one, two], k=2):
            (index,) = await put_and_wait(room, "a")
            shown = room.published
        assert shown is not None
        for witness in (one, two):
            await witness.stop()
        async with room.open(witnesses=[one, two], k=2, wait_s=0.05):
            assert room.published is not None and room.published.note == shown.note
            assert not room.publisher.alive, "nobody has signed in this process"
            await until(lambda: room.publisher._short)
            with pytest.raises(Unavailable) as quiet:
                room.publisher.check_alive()
            assert quiet.value.text is not None and "Too few witnesses" in quiet.value.text.en
            with pytest.raises(Unavailable) as refused:
                room.sequencer.put(await room.candidates(*await room.draft("b")))
            assert refused.value.text is not None and "witnesses" in refused.value.text.en
            receipt = await room.answers.receipt([index])
            assert receipt is not None and receipt.checkpoint == shown.note
            for witness in (one, two):
                await witness.start()
            await until(lambda: room.publisher.alive)
            room.publisher.check_alive()
            await put_and_wait(room, "b")


async def test_a_restart_asks_until_the_silent_could_not_be_a_quorum(room: Room) -> None:
    async with fakes(room, "w1", "w2", "w3") as (one, two, three):
        async with room.open(witnesses=[one, two, three], k=2):
            await put_and_wait(room, "a")
        await two.stop()
        await three.stop()
        async with room.open(witnesses=[one, two, three], k=2, run=False):
            assert not room.publisher._asked, "the two that are silent may have seen more"
        await two.start()
        async with room.open(witnesses=[one, two, three], k=2, run=False):
            assert room.publisher._asked and room.publisher.alive
        await three.start()


async def test_a_kept_checkpoint_of_another_tree_is_not_shown(room: Room) -> None:
    async with fakes(room, "w") as (witness,):
        async with room.open(witnesses=[witness], k=1):
            await put_and_wait(room, "a")
            size = room.size
            note = SIGNER.sign(Checkpoint(SIGNER.origin, size, octets("another")), room.now_s())
            await room.store.put_checkpoint(note, size)
        with pytest.raises(Unavailable, match="fsck"):
            async with room.open(witnesses=[witness], k=1):
                pass


async def test_a_kept_checkpoint_whose_seal_is_missing_is_not_shown(room: Room) -> None:
    async with fakes(room, "w") as (witness,):
        async with room.open(witnesses=[witness], k=1):
            await put_and_wait(room, "a")
            size = room.size
            witness.mode = "500"
            await room.put(*await room.draft("b"))
        room.kind.change(room.folder / "log.db", f"DELETE FROM entry WHERE idx = {size - 1}")
        with pytest.raises(Unavailable, match=f"entry {size - 1} is missing"):
            async with room.open(witnesses=[witness], k=1):
                pass


async def test_a_kept_checkpoint_under_other_keys_is_not_shown(room: Room) -> None:
    async with fakes(room, "w") as (witness,):
        async with room.open(witnesses=[witness], k=1):
            head = room.sequencer.integrator.head
            assert head is not None
            stranger = CheckpointSigner(SIGNER.origin, *other_keys())
            note = stranger.sign(Checkpoint(SIGNER.origin, head.size, head.root), room.now_s())
            await room.store.put_checkpoint(note, head.size)
        witness.mode = "500"
        async with room.open(witnesses=[witness], k=1, run=False):
            assert room.published is None and room.publisher.readable == 0 and not room.publisher.alive


async def test_a_guard_ahead_of_the_store_refuses_to_start(room: Room) -> None:
    await restored(room, keep_guard=True)
    with pytest.raises(Refused) as refused:
        async with room.open():
            pass
    assert refused.value.code == "GUARD_BACKWARDS"


async def test_a_forked_store_refuses_to_start(room: Room, tmp_path: Path) -> None:
    async with room.open():
        pass
    copied = copy(room)
    async with room.open():
        await put_and_wait(room, "a")
    guard = (tmp_path / "guard").read_bytes()
    put_back(room, copied, guard=True)
    async with room.open():
        await put_and_wait(room, "b")
    (tmp_path / "guard").write_bytes(guard)
    with pytest.raises(Refused) as refused:
        async with room.open():
            pass
    assert refused.value.code == "GUARD_FORK"


def copy(room: Room) -> Path:
    """A backup of the stopped log, guard included."""
    kept = room.folder / "backup"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for name in ("log.db", "guard"):
        shutil.copy(room.folder / name, kept / name)
    return kept


def put_back(room: Room, kept: Path, *, guard: bool) -> None:
    for left in room.folder.glob("log.db*"):
        left.unlink()
    shutil.copy(kept / "log.db", room.folder / "log.db")
    if guard:
        shutil.copy(kept / "guard", room.folder / "guard")


async def restored(room: Room, *witnesses: FakeWitness, keep_guard: bool = False) -> None:
    """A log that published more than its restored store holds. The guard is restored too, unless `keep_guard`."""
    k = len(witnesses)
    async with room.open(witnesses=witnesses, k=k):
        await put_and_wait(room, "a")
    copied = copy(room)
    async with room.open(witnesses=witnesses, k=k):
        await put_and_wait(room, "b")
    put_back(room, copied, guard=not keep_guard)
    for witness in witnesses:
        witness.requests.clear()


async def nothing_is_signed_over_a_restored_store(room: Room, *witnesses: FakeWitness) -> None:
    """The check that the broken builds below must not pass."""
    signed: list[int] = []
    sign = CheckpointSigner.sign

    def watched(self: CheckpointSigner, checkpoint: Checkpoint, time_s: int) -> bytes:
        signed.append(checkpoint.size)
        return sign(self, checkpoint, time_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointSigner, "sign", watched)
        async with room.open(witnesses=witnesses, k=len(witnesses), wait_s=0.05):
            assert signed == [], "signed over a restored store"
            assert room.publisher.stopped is not None
            assert "refill" in room.publisher.stopped.en.lower() and "补齐" in room.publisher.stopped.zh
            assert not room.publisher.alive and room.publisher.readable == room.size, "what is stored stays readable"
            with pytest.raises(Unavailable):
                room.publisher.check_running()
            with pytest.raises(Unavailable):
                room.sequencer.put(await room.candidates(*await room.draft("c")))
            await asyncio.sleep(0.05)
            assert signed == []
    for witness in witnesses:  # one that shows nothing may be offered what was published before
        assert all(old == 0 and size <= room.size for old, size in witness.requests), "sent to a witness"


@pytest.mark.parametrize("times", range(3))
async def test_a_restored_backup_with_its_guard_is_found_before_the_first_signature(room: Room, times: int) -> None:
    async with fakes(room, "w1", "w2") as (one, two):
        await restored(room, one, two)
        if times == 1:  # one witness that saw it is enough
            two.seen = None
        if times == 2:
            await one.stop()
        await nothing_is_signed_over_a_restored_store(room, one, two)
        if times == 2:
            await one.start()


async def test_the_same_size_with_another_root_is_found_too(room: Room) -> None:
    async with fakes(room, "w") as (witness,):
        async with room.open(witnesses=[witness], k=1):
            size = room.size
        note = SIGNER.sign(Checkpoint(SIGNER.origin, size, octets("fork")), room.now_s())
        witness.seen = Seen(Checkpoint(SIGNER.origin, size, octets("fork")), note)
        witness.requests.clear()
        await nothing_is_signed_over_a_restored_store(room, witness)


async def test_a_witness_that_saw_another_branch_below_is_found_too(room: Room) -> None:
    async with fakes(room, "w") as (witness,):
        async with room.open(witnesses=[witness], k=1):
            await put_and_wait(room, "a")
        forged = Checkpoint(SIGNER.origin, 2, octets("branch"))
        witness.seen = Seen(forged, SIGNER.sign(forged, room.now_s()))
        witness.requests.clear()
        await nothing_is_signed_over_a_restored_store(room, witness)


async def test_a_bare_claim_only_raises_an_alarm(room: Room) -> None:
    """A checkpoint that the log never signed, and a size without any: neither may stop the log."""
    async with fakes(room, "w1", "w2", "w3") as (one, two, three):
        async with room.open(witnesses=[one, two, three], k=2):
            await put_and_wait(room, "a")
        stranger = CheckpointSigner(SIGNER.origin, *other_keys())
        larger = Checkpoint(SIGNER.origin, 10**6, octets("larger"))
        one.seen = Seen(larger, stranger.sign(larger, room.now_s()))
        one.mode = "409 larger"
        async with room.open(witnesses=[one, two, three], k=2):
            await put_and_wait(room, "b")
            assert room.publisher.stopped is None and room.publisher.alive
            assert ("shows a larger size under unknown keys", "w1") in room.alarms
            await until(lambda: ("claims a larger size", "w1") in room.alarms)
            assert one.key not in room.opened().cosigned


def other_keys() -> Any:
    from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer

    return Ed25519Signer(octets("stranger")), MlDsa44Signer(octets("stranger ml"))


async def test_a_witness_that_shows_our_own_larger_checkpoint_stops_a_running_log(room: Room) -> None:
    async with fakes(room, "w1", "w2", "w3") as (one, two, three):  # noqa: SIM117  # too long for one line
        async with room.open(witnesses=[one, two, three], k=2, wait_s=0.1):
            await put_and_wait(room, "a")
            larger = Checkpoint(SIGNER.origin, 10**6, octets("larger"))
            one.seen = Seen(larger, SIGNER.sign(larger, room.now_s()))  # with the log's own keys: from another copy
            one.mode = "409 larger"
            (b,) = await room.draft("b")
            await room.put(b)
            await until(lambda: room.publisher.stopped)
            await until(lambda: two.requests[-1][1] == three.requests[-1][1] == room.size)  # these were on their way
            sizes = [witness.requests[-1][1] for witness in (one, two, three)]
            with pytest.raises(Unavailable):
                await room.put(b)
            await asyncio.sleep(0.05)
            assert [witness.requests[-1][1] for witness in (one, two, three)] == sizes, "nothing more is sent"


async def answered_only_after_the_commit(room: Room, answered: asyncio.Event) -> None:
    """The check: when a submitter has its receipt, another reader of the file finds the statement there."""
    try:
        (index,) = await room.put(*await room.draft("a"))
        assert isinstance(index, int)
        assert await room.answers.receipt([index]) is not None
        with sqlite3.connect(f"file:{room.folder / 'log.db'}?mode=ro", uri=True) as connection:
            (size,) = connection.execute("SELECT size FROM head").fetchone()
        connection.close()
        assert index < size, "answered before it was committed"
    finally:
        answered.set()


async def test_nobody_is_answered_before_the_commit(room: Room) -> None:
    async with room.open():
        await answered_only_after_the_commit(room, asyncio.Event())


# Broken builds (docs/campaigns/README.md): each of the checks above has to notice.


async def test_control_a_build_that_answers_before_the_commit_is_caught(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    late: list[asyncio.Task[None]] = []
    commit = Integrator.commit

    async def answer_first(self: Integrator, prepared: Any) -> None:
        async def then() -> None:
            await answered.wait()
            await commit(self, prepared)

        late.append(asyncio.create_task(then()))

    async with room.open():
        monkeypatch.setattr(Integrator, "commit", answer_first)
        with pytest.raises(AssertionError, match="answered before it was committed"):
            await answered_only_after_the_commit(room, answered)
        await asyncio.gather(*late)


async def test_control_a_build_that_sends_before_the_commit_is_caught(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Integrator.commit

    async def send_first(self: Integrator, prepared: Any) -> None:
        room.publisher._hashes.learn(prepared.completed)
        room.publisher.committed(prepared)
        await until(lambda: early)
        await commit(self, prepared)

    with pytest.raises(AssertionError, match="not committed"):
        async with fakes(room, "w") as (witness,), room.open(witnesses=[witness], k=1):
            monkeypatch.setattr(Integrator, "commit", send_first)
            await room.put(*await room.draft("a"))


async def test_control_a_build_that_skips_the_guard_is_caught(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await restored(room, keep_guard=True)
    monkeypatch.setattr(guard, "check_follows", lambda known, size, root: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(Refused):
        async with room.open():
            pass


async def test_control_a_build_that_does_not_ask_the_witnesses_is_caught(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def satisfied(self: Witnesses, stored: object) -> bool:
        return True

    async with fakes(room, "w") as (witness,):
        await restored(room, witness)
        monkeypatch.setattr(Witnesses, "ask", satisfied)
        with pytest.raises(AssertionError, match="signed over a restored store"):
            await nothing_is_signed_over_a_restored_store(room, witness)


async def test_control_a_build_that_publishes_without_quorum_is_caught(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Witnesses, "_satisfied", lambda self: True)
    async with fakes(room, "w1", "w2") as (one, two), room.open(witnesses=[one, two], k=2):
        two.mode = "500"
        await put_and_wait(room, "a")
        with pytest.raises(Unverified):
            room.opened()


async def test_every_head_extends_the_one_before(room: Room) -> None:
    async with fakes(room, "w1", "w2") as witnesses, room.open(witnesses=witnesses, k=2, limit=2):
        for turn in range(4):
            await room.put(*await room.draft(*(f"{turn} {at}" for at in range(5))))
        await room.until_published()
        heads = list(dict.fromkeys((p.size, p.root) for p in room.shown))
        for (old, old_root), (new, new_root) in itertools.pairwise(heads):
            proof = await room.answers._hashes.consistency(old, new)
            verify_consistency(old, old_root, new, new_root, proof)


def test_the_policy_that_asks_for_nobody_is_the_default() -> None:
    assert not Policy((), (), (), NONE).has_quorum


async def test_a_line_of_an_older_head_never_goes_on_the_newest(room: Room) -> None:
    async with (
        fakes(room, "own", "auditor") as (own, auditor),
        room.open(witnesses=[own, auditor], policy=Policy((), policy_lines(own, auditor), (), "own")),
    ):
        await put_and_wait(room, "a")
        await until(lambda: auditor.key in signers(room))
        auditor.mode = "hang"
        await put_and_wait(room, "b")
        older = room.published
        await put_and_wait(room, "c")
        newest = room.published
        room.publisher.answered(older, [auditor.cosign(older.signed.checkpoint)])
        assert room.published is newest
        remembered = room.publisher.last_cosigned.newest([auditor.key.key_id])
        assert remembered is not None and remembered.size == older.size
        assert auditor.key in open_cosigned(remembered.note, SIGNER.origin, SIGNER.vkeys, room.policy, []).cosigned
        auditor.mode = "honest"
        auditor.released.set()


async def test_a_line_goes_with_its_head_when_that_was_signed_again_meanwhile(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        fakes(room, "own", "auditor") as (own, auditor),
        room.open(witnesses=[own, auditor], policy=Policy((), policy_lines(own, auditor), (), "own")),
    ):
        auditor.mode = "hang"
        await put_and_wait(room, "a")
        before = room.published
        monkeypatch.setattr(module, "RENEW_S", 0.01)
        room.wall += 90_000
        room.steady += 90_000
        room.publisher._renew_at = 0.0
        room.publisher._wake.set()
        renewed = await until(lambda: room.published if room.published is not before else None)
        monkeypatch.setattr(module, "RENEW_S", 600.0)
        assert renewed.size == before.size and renewed.note != before.note
        room.publisher.answered(before, [auditor.cosign(before.signed.checkpoint)])
        assert auditor.key in signers(room)
        auditor.mode = "honest"
        auditor.released.set()


async def test_a_stopped_log_shows_no_line_that_comes_afterwards(room: Room) -> None:
    async with (
        fakes(room, "own", "auditor") as (own, auditor),
        room.open(witnesses=[own, auditor], policy=Policy((), policy_lines(own, auditor), (), "own")),
    ):
        auditor.mode = "hang"
        await put_and_wait(room, "a")
        before, room.publisher.stopped = room.published, "stopped"
        room.publisher.answered(before, [auditor.cosign(before.signed.checkpoint)])
        assert room.published is before
        assert room.publisher.last_cosigned.newest([auditor.key.key_id]) is None
        auditor.mode = "honest"
        auditor.released.set()

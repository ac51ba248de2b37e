"""All witnesses together: the quorum, who is waited for, who is left alone, and what a policy must allow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from ledger.errors import Malformed, Refused, Unavailable
from ledger.service import witnesses as module
from ledger.service.cosigned import Published
from ledger.service.witness import Contradiction, Signed, TheLog
from ledger.service.witnesses import Counts, Witnesses
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, add_cosignatures, open_cosigned
from ledger.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from ledger.tlog.note import NoteSignature, VerifierKey
from ledger.tlog.policy import NONE, Group, Policy, Witness
from tests.ledger.service.test_witness import NOW, ORIGIN, SIGNER, consistency, head, hurried, root_at
from tests.support.builders import octets
from tests.support.fake_witness import FakeWitness, Seen, policy_of
from tests.support.service_room import Pause
from tests.support.waiting import PATIENCE_S, until


class Ear:
    """Hears what the publisher would."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.contradictions: list[Contradiction] = []
        self.errors: list[BaseException] = []
        self.outcomes: list[tuple[str, str]] = []

    def late(self, signed: Signed, lines: Sequence[NoteSignature]) -> None:
        self.lines += [(signed.checkpoint.size, line.name) for line in lines]

    def answered(self, published: Published, lines: Sequence[NoteSignature]) -> None:
        self.lines += [(published.size, line.name) for line in lines]

    def contradicted(self, found: Contradiction) -> None:
        self.contradictions.append(found)

    def end(self, error: BaseException) -> None:
        self.errors.append(error)


@asynccontextmanager
async def client(policy: Policy, **changes: Any) -> Any:
    ear = Ear()
    made = Witnesses(
        policy,
        TheLog(ORIGIN, SIGNER.vkeys, lambda: 40, root_at, changes.pop("consistency", consistency), lambda: NOW),
        Counts(lambda *outcome: ear.outcomes.append(outcome), lambda kind, name: None),
        **{"timeout_s": PATIENCE_S, **changes},
    )
    made.report_to(ear)
    async with made:
        yield made, ear


@asynccontextmanager
async def fakes(*names: str) -> Any:
    made = [FakeWitness(name, lambda: NOW) for name in names]
    for witness in made:
        await witness.start()
    try:
        yield made
    finally:
        for witness in made:
            await witness.stop()


def shown(size: int) -> Published:
    return Published(head(size), head(size).note, b"")


def names_of(lines: Sequence[NoteSignature] | None) -> set[str]:
    assert lines is not None
    return {line.name for line in lines}


async def test_the_quorum_is_enough_and_the_rest_comes_later() -> None:
    async with fakes("w1", "w2", "w3") as (one, two, three), client(policy_of([one, two, three], 2)) as (all_of, ear):
        three.mode = "hang"
        lines = await all_of.cosign(head(5))
        assert names_of(lines) == {"w1", "w2"}
        note = add_cosignatures(head(5).note, lines)
        assert open_cosigned(note, ORIGIN, SIGNER.vkeys, all_of.policy).quorum_time_s == NOW
        three.mode = "honest"
        three.released.set()
        await until(lambda: (5, "w3") in ear.lines)


@pytest.mark.parametrize(
    "mode",
    ["hang", "reset", "wrong signature", "other checkpoint", "old time", "409 larger", "409 empty", "422", "429", "500",
     "garbage", "redirect", "huge"],
)  # fmt: skip
@pytest.mark.parametrize("bad", [1, 2])
async def test_k_of_n_under_every_mood(mode: str, bad: int) -> None:
    async with fakes("w1", "w2", "w3") as made, client(policy_of(made, 2)) as (all_of, ear):
        for witness in made[:bad]:
            witness.mode = mode
        hanging = [place.open for place in all_of._places[:bad] if mode == "hang"]
        async with hurried(*hanging):
            lines = await all_of.cosign(head(5))
        assert (lines is None) == (bad == 2)
        assert ear.errors == [] and ear.contradictions == []
        for witness in made:
            witness.mode = "honest"
            witness.released.set()
        async with asyncio.timeout(PATIENCE_S):  # when they are back, all is well
            while (lines := await all_of.cosign(head(6))) is None:
                await asyncio.sleep(0.05)
        assert len(lines) >= 2


async def test_a_failing_witness_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (3000.0, 6000.0))
    async with fakes("w1", "w2") as (one, two), client(policy_of([one, two], 2)) as (all_of, ear):
        two.mode = "500"
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await all_of.cosign(head(5)) is None
        assert before + 3000 <= all_of.next_try() <= loop.time() + 3000
        for size in (6, 7):
            assert await all_of.cosign(head(size)) is None
        assert len(two.requests) == 1 and len(one.requests) == 3
        assert ear.outcomes.count(("w2", "status 500")) == 1


async def test_the_back_off_doubles_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.01, 0.05))
    async with fakes("w") as (one,), client(policy_of([one], 1)) as (all_of, _):
        one.mode = "500"
        waits, loop = [], asyncio.get_running_loop()
        for _ in range(6):
            assert await all_of.cosign(head(5)) is None
            waits.append(all_of.next_try() - loop.time())
            await asyncio.sleep(0.06)
        assert max(waits) <= 0.05
        one.mode = "honest"
        assert await all_of.cosign(head(5))


async def test_a_retry_after_is_heeded() -> None:
    async with fakes("w") as (one,), client(policy_of([one], 1)) as (all_of, _):
        one.mode, before = "429", asyncio.get_running_loop().time()
        assert await all_of.cosign(head(5)) is None
        assert all_of.next_try() >= before + 1


async def test_heads_that_pile_up_behind_a_slow_witness_are_skipped() -> None:
    async with fakes("w1", "w2") as (one, slow), client(policy_of([one, slow], 1)) as (all_of, ear):
        slow.mode = "hang"
        for size in range(5, 15):
            assert names_of(await all_of.cosign(head(size))) == {"w1"}
        slow.mode = "honest"
        slow.released.set()
        await until(lambda: (14, "w2") in ear.lines)
        assert [size for _, size in slow.requests] == [5, 14]
        assert ear.lines == [(14, "w2")], "a line of an old head is of no use to readers"


async def test_one_server_with_two_keys_is_asked_once() -> None:
    async with fakes("w") as (one,):
        second = FakeWitness("w/second", lambda: NOW)
        one.also = [second]
        lines = (Witness("a", one.key, one.url), Witness("b", second.key, one.url + "/"))
        async with client(Policy((), lines, (Group("q", 2, ("a", "b")),), "q")) as (all_of, _):
            assert names_of(await all_of.cosign(head(5))) == {"w", "w/second"}
            assert len(one.requests) == 1


async def test_without_a_quorum_nobody_is_waited_for() -> None:
    async with fakes("w") as (one,):
        one.mode = "hang"
        policy = Policy((), (Witness("w", one.key, one.url),), (), NONE)
        async with client(policy) as (all_of, ear):
            assert await all_of.ask(None), "nobody could be a quorum"
            assert await all_of.cosign(head(5)) == ()
            all_of.published(shown(5))
            one.mode = "honest"
            one.released.set()
            await until(lambda: ear.lines == [(5, "w")])
    async with client(Policy((), (), (), NONE)) as (nobody, _):
        assert await nobody.ask(None) and await nobody.cosign(head(5)) == ()


def with_auditor(own: FakeWitness, auditor: FakeWitness) -> Policy:
    lines = tuple(Witness(one.name, one.key, one.url) for one in (own, auditor))
    return Policy((), lines, (Group("all", 1, ("own",)), Group("enough", 1, ("all",))), "enough")


async def test_who_is_not_in_the_quorum_hears_of_nothing_before_it_is_published() -> None:
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        assert names_of(await all_of.cosign(head(5))) == {"own"}
        assert auditor.requests == []
        all_of.published(shown(5))
        await until(lambda: ear.lines == [(5, "auditor")])
        assert names_of(await all_of.cosign(head(6))) == {"own"}
        all_of.published(shown(6))
        await until(lambda: ear.lines == [(5, "auditor"), (6, "auditor")])
        assert auditor.requests == [(0, 5), (5, 6)] and own.requests == [(0, 5), (5, 6)]


async def test_one_beyond_the_quorum_that_fails_gets_the_newest_head_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.01, 0.02))
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        auditor.mode = "500"
        all_of.published(shown(5))
        await until(lambda: len(auditor.requests) >= 3)
        all_of.published(shown(6))
        await until(lambda: auditor.requests[-1] == (0, 6))
        auditor.mode = "honest"
        await until(lambda: ear.lines == [(6, "auditor")])
        assert ear.errors == [] and own.requests == []


async def test_a_newer_head_that_comes_while_one_beyond_the_quorum_fails_is_the_one_it_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.01, 0.02))
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        auditor.mode = "500"
        auditor.answer = lambda: all_of.published(shown(6)) if len(auditor.requests) == 1 else None
        all_of.published(shown(5))
        await until(lambda: len(auditor.requests) >= 3)
        assert {size for _, size in auditor.requests[1:]} == {6} and ear.errors == []


async def test_one_beyond_the_quorum_has_its_own_time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a witness has: it replays first."""
    monkeypatch.setattr(module, "_BEYOND_S", PATIENCE_S)
    async with (
        fakes("own", "auditor") as (own, auditor),
        client(with_auditor(own, auditor), timeout_s=0.2) as (all_of, ear),
    ):
        auditor.mode = "hang"
        all_of.published(shown(5))
        await until(lambda: auditor.requests)
        await asyncio.sleep(0.5)
        auditor.released.set()
        await until(lambda: ear.lines == [(5, "auditor")])
        assert ("auditor", "timeout") not in ear.outcomes and len(auditor.requests) == 1


async def test_and_no_more_than_that_is_kept_waiting_for_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEYOND_S", 0.2)
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.01, 0.02))
    async with (
        fakes("own", "auditor") as (own, auditor),
        client(with_auditor(own, auditor), timeout_s=10 * PATIENCE_S) as (all_of, ear),
    ):
        auditor.mode = "hang"
        all_of.published(shown(5))
        await until(lambda: ("auditor", "timeout") in ear.outcomes)
        all_of.published(shown(6))
        await until(lambda: (0, 6) in auditor.requests)


async def test_one_beyond_the_quorum_never_hurries_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (3000.0, 3000.0))
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        auditor.mode = "500"
        all_of.published(shown(5))
        await until(lambda: ("auditor", "status 500") in ear.outcomes)
        own.mode = "500"
        assert await all_of.cosign(head(5)) is None
        held = {place.open.name: place.not_before for place in all_of._places}
        assert held["auditor"] < held["own"] == all_of.next_try()


async def test_a_contradiction_from_beyond_the_quorum_stops_the_log_and_is_not_asked_again() -> None:
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        larger = Checkpoint(ORIGIN, 41, octets("larger"))
        auditor.seen, auditor.mode = Seen(larger, SIGNER.sign(larger, NOW)), "409 larger"
        all_of.published(shown(5))
        await until(lambda: ear.contradictions)
        await until(lambda: all(place.task is None or place.task.done() for place in all_of._places))
        assert [found.shown for found in ear.contradictions] == [larger] and len(auditor.requests) == 1


async def test_asking_is_done_when_the_silent_could_not_be_a_quorum() -> None:
    for k, silent, done in ((1, 0, True), (1, 1, False), (2, 1, True), (2, 2, False), (3, 2, True), (3, 3, False)):
        async with fakes("w1", "w2", "w3") as made, client(policy_of(made, k)) as (all_of, _):
            for witness in made[:silent]:
                witness.read_mode = "500"
            assert await all_of.ask(None) is done, (k, silent)


async def test_asking_raises_a_contradiction_whatever_else_happens() -> None:
    async with fakes("w1", "w2", "w3") as (one, two, three), client(policy_of([one, two, three], 2)) as (all_of, _):
        one.read_mode = "500"
        larger = Checkpoint(ORIGIN, 41, octets("larger"))
        three.seen = Seen(larger, SIGNER.sign(larger, NOW))
        with pytest.raises(Contradiction):
            await all_of.ask(None)
        assert two.requests == []


async def test_a_contradiction_while_cosigning_reaches_the_publisher() -> None:
    async with fakes("w1", "w2") as (one, two), client(policy_of([one, two], 2)) as (all_of, ear):
        larger = Checkpoint(ORIGIN, 41, octets("larger"))
        two.seen, two.mode = Seen(larger, SIGNER.sign(larger, NOW)), "409 larger"
        assert await all_of.cosign(head(5)) is None
        assert [found.shown for found in ear.contradictions] == [larger]


async def test_a_store_that_does_not_answer_is_nobodys_fault_but_ours() -> None:
    async def broken(old: int, new: int) -> tuple[bytes, ...]:
        raise Unavailable(Text("没有应答", "store: a tile is missing"))

    async with fakes("w") as (one,), client(policy_of([one], 1), consistency=broken) as (all_of, ear):
        await all_of.cosign(head(5))
        waiting = asyncio.create_task(all_of.cosign(head(6)))
        await until(lambda: ear.errors)
        assert isinstance(ear.errors[0], Unavailable)
        waiting.cancel()


async def test_public_witnesses_get_what_is_published_at_their_pace() -> None:
    async with fakes("own", "public") as (own, public):
        policy = Policy((), policy_of([own, public], 1).witnesses, (), "own")
        pause = Pause()
        async with client(policy, public=["public"], public_pace_s=7.0, rest=pause.rest) as (all_of, ear):
            published: list[Signed] = []
            task = asyncio.create_task(all_of.pace(lambda: published[-1] if published else None))
            for size in (5, 6):
                await all_of.cosign(head(size))
            await pause.over()
            assert public.requests == []
            published.append(head(6))
            await pause.over()
            await until(lambda: (6, "public") in ear.lines)
            await pause.over()
            await all_of.cosign(head(7))
            assert public.requests == [(0, 6)], "the same head is sent once"
            assert set(pause.asked) == {7.0}
            task.cancel()


def test_settings_that_cannot_work_are_refused() -> None:
    one, two = FakeWitness("w1"), FakeWitness("w2")
    one.url = two.url = "http://127.0.0.1:1"
    the_log = TheLog(ORIGIN, SIGNER.vkeys, lambda: 0, root_at, consistency, lambda: NOW)
    counts = Counts(lambda *_: None, lambda *_: None)
    with pytest.raises(Refused, match="w9"):
        Witnesses(policy_of([one, two], 1), the_log, counts, public=["w9"])
    two.url = "http://127.0.0.1:2"
    with pytest.raises(Refused, match="cannot make up the quorum"):
        Witnesses(policy_of([one, two], 2), the_log, counts, public=["w2"])
    two.url = ""
    with pytest.raises(Refused, match="cannot make up the quorum"):
        Witnesses(policy_of([one, two], 2), the_log, counts)
    Witnesses(policy_of([one, two], 1), the_log, counts)


async def test_a_start_waits_for_no_auditor_longer_than_for_a_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEYOND_S", 10_000.0)
    async with fakes("own", "auditor") as (own, auditor):
        await auditor.stop()
        over = asyncio.Event()

        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", auditor.port)
        async with asyncio.timeout(120), client(with_auditor(own, auditor), timeout_s=0.5) as (all_of, ear):
            await all_of.ask(None)
            assert ("auditor", "timeout") in ear.outcomes
        over.set()
        silent.close()
        await auditor.start()


async def test_an_auditor_that_fails_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", (3000.0, 3000.0))
    async with fakes("own", "auditor") as (own, auditor), client(with_auditor(own, auditor)) as (all_of, ear):
        auditor.mode = "500"
        all_of.published(shown(5))
        await until(lambda: ("auditor", "status 500") in ear.outcomes)
        all_of.published(shown(6))
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert len(auditor.requests) == 1


@pytest.mark.parametrize(
    ("kind", "public_bytes", "blob_bytes"),
    [(ED25519_COSIGNATURE, 32, 72), (ML_DSA_44_COSIGNATURE, 1312, 2428)],
)
def test_a_policy_with_more_lines_than_a_checkpoint_has_room_for_is_refused(
    kind: int, public_bytes: int, blob_bytes: int
) -> None:
    """At the start, and not by a process that ends whenever the last of them has answered."""
    keys = [VerifierKey(f"w{n}", kind, (octets(f"key {n}") * 41)[:public_bytes]) for n in range(64)]
    lines = [Witness(key.name, key, f"http://127.0.0.1/{key.name}") for key in keys]
    the_log = TheLog(ORIGIN, SIGNER.vkeys, lambda: 40, root_at, consistency, lambda: NOW)
    note = SIGNER.sign(Checkpoint(ORIGIN, 2**63 - 1, octets("root")), NOW)

    def fits(count: int) -> bool:
        try:
            add_cosignatures(note, [NoteSignature(key.name, key.key_id, bytes(blob_bytes)) for key in keys[:count]])
        except Malformed:
            return False
        return True

    def make(count: int) -> None:
        Witnesses(Policy((), tuple(lines[:count]), (), NONE), the_log, Counts(lambda *_: None, lambda *_: None))

    most = max(filter(fits, range(65)))
    assert 16 <= most < 64
    make(most)
    with pytest.raises(Refused, match="64 KiB") as caught:
        make(most + 1)
    assert caught.value.code == "bad_policy"
    quiet = [replace(line, url="") for line in lines[most:]]  # never asked: no line of theirs comes
    Witnesses(Policy((), (*lines[:most], *quiet), (), NONE), the_log, Counts(lambda *_: None, lambda *_: None))

"""Answers: proofs under one published head, or the news that there is none yet."""

from __future__ import annotations

import asyncio

import pytest

from ledger.errors import Unavailable
from ledger.records.refusals import Refusal, refuse
from ledger.records.seal import parse_seal
from ledger.service.publisher import Publisher
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.wire import Logged
from tests.support.fake_witness import FakeWitness
from tests.support.service_room import SIGNER, Room


async def test_answers_are_proofs_under_what_is_published(room: Room) -> None:
    async with room.open():
        certificates = await room.draft("a", "b")
        answers = await room.put(*certificates)
        refusal = refuse(Refusal.NUMBER, "n")
        receipt = await room.answers.receipt([answers[1], refusal, answers[0], 0])  # type: ignore[list-item]
        published = room.published
    assert published is not None and receipt is not None
    checkpoint = open_checkpoint(receipt.checkpoint, SIGNER.origin, SIGNER.vkeys).checkpoint
    assert checkpoint.size == published.size
    one, two, three, genesis = receipt.answers
    assert isinstance(one, Logged) and isinstance(three, Logged) and isinstance(genesis, Logged) and two is refusal
    assert (one.index, three.index, genesis.index) == (answers[1], answers[0], 0)
    assert one.time == three.time == parse_seal(published.seal).time
    assert genesis.time < one.time
    for answer, certificate in ((one, certificates[1]), (three, certificates[0])):
        leaf = leaf_hash(certificate.statement.entry)
        verify_inclusion(leaf, answer.index, checkpoint.size, answer.inclusion, checkpoint.root)


async def test_a_retry_between_commit_and_publication_waits_for_the_checkpoint(room: Room) -> None:
    async with room.open():
        (a,) = await room.draft("a")
        index = room.size
        early = asyncio.create_task(room.answers.receipt([index]))
        await asyncio.sleep(0)
        assert not early.done()
        await room.put(a)
        receipt = await early
        assert receipt is not None
        assert isinstance(receipt.answers[0], Logged) and receipt.answers[0].index == index


async def test_an_index_that_is_not_published_in_time_has_no_receipt(room: Room) -> None:
    async with room.open(wait_s=0.01):
        assert await room.answers.receipt([room.size]) is None
        assert await room.answers.receipt([room.size], wait=False) is None
        assert not room.answers.covered(room.size) and room.answers.covered(room.size - 1)


async def test_a_statement_whose_seal_is_missing_gets_no_other_time(room: Room) -> None:
    async with room.open():
        (first,) = await room.put(*await room.draft("a"))
        (second,) = await room.put(*await room.draft("b"))
        assert isinstance(first, int) and isinstance(second, int)
        assert await room.answers.receipt([first, second]) is not None
        room.kind.change(room.folder / "log.db", f"UPDATE entry SET idx = 100000 WHERE idx = {first + 1}")
        with pytest.raises(Unavailable, match="seal"):
            await room.answers.receipt([first])
        assert await room.answers.receipt([second]) is not None


async def test_refusals_wait_for_nothing(room: Room) -> None:
    async with FakeWitness("w", room.now_s) as witness, room.open(witnesses=[witness], k=1):
        witness.mode = "500"
        refusal = refuse(Refusal.NUMBER, "n")
        receipt = await room.answers.receipt([refusal])
        assert receipt is not None and receipt.answers == (refusal,)


async def test_who_waits_when_the_log_ends_is_told_to_ask_again(room: Room) -> None:
    async with room.open(run=False):
        waiting = asyncio.create_task(room.answers.receipt([room.size]))
        await asyncio.sleep(0.01)
        room.publisher.end(OSError("disk"))
        with pytest.raises(Unavailable):
            await waiting


async def test_an_answer_before_publication_is_caught(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the wait for publication broken there is no proof to give, and no receipt either."""

    async def at_once(self: Publisher, index: int, wait_s: float) -> object:
        return self.published

    async with FakeWitness("w", room.now_s) as witness, room.open(witnesses=[witness], k=1):
        witness.mode = "500"
        (a,) = await room.draft("a")
        (index,) = await room.put(a)
        assert isinstance(index, int)
        assert await room.answers.receipt([index], wait=False) is None
        monkeypatch.setattr(Publisher, "beyond", at_once)
        with pytest.raises(Exception):  # noqa: B017  # no proof of an index beyond the tree exists
            await room.answers.receipt([index], wait=False)

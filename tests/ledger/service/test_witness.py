"""One witness in all its moods: what it may say, what is believed of it, and what is only an alarm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
import pytest

from ledger.service.publisher import RENEW_S
from ledger.service.witness import CLOCKS_S, Contradiction, Cosignature, Failed, Signed, TheLog, WitnessLink
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner, add_cosignatures, open_cosigned
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import leaf_hash, prove_consistency
from ledger.tlog.policy import Witness
from tests.support.builders import octets
from tests.support.fake_witness import FakeWitness, Seen, policy_of
from tests.support.slow_tree import root as tree_root
from tests.support.waiting import PATIENCE_S
from verifier.trust import FRESHNESS_S, SKEW_S

NOW = 1_790_000_000
ORIGIN = "log.test.example/witness"
SIGNER = CheckpointSigner(ORIGIN, Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))
LEAVES = [leaf_hash(bytes([at])) for at in range(64)]


def root(size: int) -> bytes:
    return tree_root(LEAVES[:size])


def head(size: int, *, of: bytes = b"", signer: CheckpointSigner = SIGNER) -> Signed:
    checkpoint = Checkpoint(ORIGIN, size, of or root(size))
    return Signed(checkpoint, signer.sign(checkpoint, NOW))


async def root_at(size: int) -> bytes:
    return root(size)


async def consistency(old: int, new: int) -> tuple[bytes, ...]:
    def read(subtrees: object) -> list[bytes]:
        return [tree_root(LEAVES[index << level : (index + 1) << level]) for level, index in subtrees]  # type: ignore[attr-defined]

    return prove_consistency(old, new, read)


@dataclass
class Desk:
    """One link to one fake witness, for a log of `size` leaves."""

    witness: FakeWitness
    link: WitnessLink
    alarms: list[tuple[str, str]] = field(default_factory=list)
    size: int = 40


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with FakeWitness("w", lambda: NOW) as witness, aiohttp.ClientSession() as session:
        made = Desk(witness, None)  # type: ignore[arg-type]
        the_log = TheLog(ORIGIN, SIGNER.vkeys, lambda: made.size, root_at, consistency, lambda: NOW)
        line = Witness("w", witness.key, witness.url + "/")
        made.link = WitnessLink(
            line.url, (line,), the_log, session, lambda kind, name: made.alarms.append((kind, name))
        )
        yield made


@asynccontextmanager
async def hurried(*links: WitnessLink) -> AsyncIterator[None]:
    """Meanwhile these links wait for an answer for an instant only; for one that never comes, that is."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        kept = [link._session for link in links]
        for link in links:
            link._session = session
        yield
        for link, before in zip(links, kept, strict=True):
            link._session = before


async def failure(call: Callable[[], Awaitable[object]]) -> Failed:
    with pytest.raises(Failed) as failed:
        await call()
    return failed.value


async def test_growing_heads_are_cosigned_with_the_size_it_saw_last(desk: Desk) -> None:
    for size in (3, 8, 8, 40):
        found = await desk.link.submit(head(size))
        assert [type(each) for each in found] == [Cosignature] and found[0].time_s == NOW
        note = add_cosignatures(head(size).note, [each.line for each in found])
        opened = open_cosigned(note, ORIGIN, SIGNER.vkeys, policy_of([desk.witness], 1))
        assert opened.checkpoint.size == size and opened.quorum_time_s == NOW
    assert desk.witness.requests == [(0, 3), (3, 8), (8, 8), (8, 40)]
    assert desk.alarms == []


@pytest.mark.parametrize("seen", [0, 5, 40])
async def test_another_size_is_answered_with_the_proof_from_there(desk: Desk, seen: int) -> None:
    await desk.link.submit(head(20))
    desk.witness.seen = Seen(head(seen).checkpoint, head(seen).note) if seen else None  # it lost or gained memory
    if seen <= 20:
        await desk.link.submit(head(30))
        assert desk.witness.requests[1:] == [(20, 30), (seen, 30)]
    else:  # it has seen more of the very same log: this head cannot be cosigned any more, and nobody lied
        assert (await failure(lambda: desk.link.submit(head(30)))).outcome == "conflict"
        assert ("claims a larger size", "w") not in desk.alarms
    assert desk.witness.seen is not None


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("hang", "timeout"),
        ("reset", "unreachable"),
        ("wrong signature", "wrong signature"),
        ("other checkpoint", "wrong signature"),
        ("other key", "wrong signature"),
        ("old time", "clock"),
        ("409 larger", "conflict"),
        ("409 same", "conflict"),
        ("409 empty", "conflict"),
        ("409 garbage", "conflict"),
        ("422", "unprocessable"),
        ("429", "busy"),
        ("400", "status 400"),
        ("403", "status 403"),
        ("404", "status 404"),
        ("500", "status 500"),
        ("garbage", "garbage"),
        ("empty", "garbage"),
        ("redirect", "status 307"),
        ("huge", "too large"),
        ("endless", "too large"),
    ],
)
async def test_whatever_it_does_instead_is_its_failure(desk: Desk, mode: str, outcome: str) -> None:
    await desk.link.submit(head(4))
    desk.witness.mode = mode
    async with hurried(*[desk.link] * (mode == "hang")):
        failed = await failure(lambda: desk.link.submit(head(9)))
    assert failed.outcome == outcome
    assert failed.wait_s == (1.0 if mode == "429" else 0.0)
    assert len(desk.witness.requests) <= 1 + 3, "no redirect followed, no endless trying"
    assert desk.alarms == ([("claims a larger size", "w")] if mode == "409 larger" else [])
    desk.witness.mode = "honest"
    desk.witness.released.set()
    assert await desk.link.submit(head(9)), "and afterwards all is well"


async def test_down_is_a_failure_and_up_again_is_not(desk: Desk) -> None:
    await desk.link.submit(head(4))
    await desk.witness.stop()
    assert (await failure(lambda: desk.link.submit(head(9)))).outcome == "unreachable"
    await desk.witness.start()
    assert await desk.link.submit(head(9))


@pytest.mark.parametrize("mode", ["409 larger", "409 empty", "422"])
async def test_our_own_signature_on_what_we_do_not_hold_is_a_contradiction(desk: Desk, mode: str) -> None:
    await desk.link.submit(head(4))
    desk.witness.mode = mode
    for shown in (head(50), head(9, of=octets("fork")), head(4, of=octets("fork"))):
        desk.witness.seen = Seen(shown.checkpoint, shown.note)
        with pytest.raises(Contradiction) as found:
            await desk.link.submit(head(9))
        assert found.value.shown == shown.checkpoint and found.value.witness == "w"


@pytest.mark.parametrize("mode", ["409 larger", "409 empty", "422"])
async def test_what_others_signed_is_no_contradiction(desk: Desk, mode: str) -> None:
    stranger = CheckpointSigner(ORIGIN, Ed25519Signer(octets("x")), MlDsa44Signer(octets("y")))
    other_log = CheckpointSigner("log.test.example/other", Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))
    elsewhere = Checkpoint("log.test.example/other", 50, octets("r"))
    desk.witness.mode = mode
    for checkpoint, note, alarm in (
        (head(40).checkpoint, head(40, signer=stranger).note, "shows a checkpoint that is not ours"),
        (head(41).checkpoint, head(41, signer=stranger).note, "shows a larger size under unknown keys"),
        (head(50).checkpoint, other_log.sign(elsewhere, NOW), "shows a checkpoint that is not ours"),
    ):
        desk.alarms.clear()
        desk.witness.seen = Seen(checkpoint, note)
        await failure(lambda: desk.link.submit(head(9)))
        assert {kind for kind, _ in desk.alarms} - {"claims a larger size"} == {alarm}


@pytest.mark.parametrize("which", ["before", "next"])
async def test_every_pair_of_the_log_is_its_own(desk: Desk, which: str) -> None:
    """What the log signed before its keys changed is no alarm, and what it signed after a copy was made stops it."""
    before, following = (
        CheckpointSigner(ORIGIN, Ed25519Signer(octets(f"ed {label}")), MlDsa44Signer(octets(f"ml {label}")))
        for label in ("before", "next")
    )
    every = (*SIGNER.vkeys, *before.vkeys, *following.vkeys)
    desk.link._log = replace(desk.link._log, keys=every)
    signer = before if which == "before" else following
    desk.witness.seen = Seen(head(7).checkpoint, head(7, signer=signer).note)
    await desk.link.ask(None)
    assert desk.link.asked and desk.alarms == []
    await desk.link.submit(head(9))
    assert desk.witness.requests == [(7, 9)]
    for shown in (head(41, signer=signer), head(9, of=octets("fork"), signer=signer)):
        desk.witness.seen = Seen(shown.checkpoint, shown.note)
        with pytest.raises(Contradiction):
            await desk.link.ask(None)


async def test_asking_takes_what_it_shows(desk: Desk) -> None:
    desk.witness.seen = Seen(head(7).checkpoint, head(7).note)
    await desk.link.ask(None)
    assert desk.link.asked and desk.witness.requests == []
    await desk.link.submit(head(9))
    assert desk.witness.requests == [(7, 9)]


async def test_asking_finds_a_contradiction(desk: Desk) -> None:
    for shown in (head(41), head(40, of=octets("fork"))):
        desk.witness.seen = Seen(shown.checkpoint, shown.note)
        with pytest.raises(Contradiction):
            await desk.link.ask(None)
        assert not desk.link.asked


@pytest.mark.parametrize("read_mode", ["404", "405", "garbage"])
async def test_a_witness_without_a_read_api_is_offered_what_was_published(desk: Desk, read_mode: str) -> None:
    desk.witness.read_mode = read_mode
    desk.witness.seen = Seen(head(12).checkpoint, head(12).note)
    await desk.link.ask(head(10))
    assert desk.link.asked and desk.witness.requests == [(0, 10)]
    await desk.link.submit(head(20))
    assert desk.witness.requests[1:] == [(12, 20)]
    assert (("shows a checkpoint that is not ours", "w") in desk.alarms) == (read_mode == "garbage")


async def test_a_claim_without_a_signature_is_an_alarm_at_the_start_too(desk: Desk) -> None:
    desk.witness.read_mode = "404"
    desk.witness.seen = Seen(head(60).checkpoint, head(60).note)
    await desk.link.ask(head(10))
    assert desk.link.asked and desk.alarms == [("claims a larger size", "w")]


@pytest.mark.parametrize("read_mode", ["500", "503"])
async def test_a_witness_that_cannot_answer_has_not_been_asked(desk: Desk, read_mode: str) -> None:
    desk.witness.read_mode = read_mode
    await failure(lambda: desk.link.ask(head(10)))
    assert not desk.link.asked


async def test_a_witness_with_two_keys_gives_two_lines(desk: Desk) -> None:
    """And a third line, of a key that the policy does not have, is left out."""
    second, stranger = FakeWitness("w/second", lambda: NOW), FakeWitness("stranger", lambda: NOW)
    desk.link.keys = (desk.witness.key, second.key)
    desk.witness.also = [stranger, second]
    found = await desk.link.submit(head(5))
    assert [each.key for each in found] == [desk.witness.key, second.key]


async def test_the_time_of_a_cosignature_must_be_near_ours(desk: Desk) -> None:
    near, far = CLOCKS_S, CLOCKS_S + 1
    for off, fine in ((0, True), (near, True), (-near, True), (far, False), (-far, False)):
        desk.witness.now_s = lambda off=off: NOW + off
        if fine:
            assert (await desk.link.submit(head(5)))[0].time_s == NOW + off
        else:
            assert (await failure(lambda: desk.link.submit(head(5)))).outcome == "clock"


def test_what_counts_for_the_log_counts_for_verifiers_too() -> None:
    """Also where a verifier's own clock is as far from the log's; and a line of the past stays fresh until the next
    renewal has brought another."""
    assert 2 * CLOCKS_S <= SKEW_S
    assert 2 * CLOCKS_S + RENEW_S < FRESHNESS_S


async def test_a_slow_witness_costs_its_time_limit_and_no_more(desk: Desk) -> None:
    desk.witness.mode = "hang"
    async with hurried(desk.link), asyncio.timeout(PATIENCE_S):
        assert (await failure(lambda: desk.link.submit(head(5)))).outcome == "timeout"

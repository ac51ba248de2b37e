from __future__ import annotations

import asyncio

import pytest

from ledger.errors import Malformed, Refused, Unavailable
from ledger.text import Text
from verifier.access import repeats as module
from verifier.access.repeats import KEPT_MS, MAX_BODY, MAX_KEPT, Repeats, Stored


def answers(*given: Stored | Exception) -> tuple[list[int], object]:
    left, count = list(given), [0]

    async def answer() -> Stored:
        count[0] += 1
        await asyncio.sleep(0)
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return count, answer


A, B = Stored(202, "application/json", b"a"), Stored(202, "application/json", b"b")


async def test_the_first_answer_again_for_an_hour() -> None:
    now = [0]
    repeats = Repeats(lambda: now[0])
    count, answer = answers(A, B)
    assert await repeats.once("me", "k", b"q", answer) == A  # type: ignore[arg-type]
    now[0] = KEPT_MS - 1
    assert await repeats.once("me", "k", b"q", answer) == A and count == [1]  # type: ignore[arg-type]
    with pytest.raises(Refused, match="IDEMPOTENCY_KEY_REUSED"):
        await repeats.once("me", "k", b"other", answer)  # type: ignore[arg-type]
    assert await repeats.once("you", "k", b"other", answer) == B  # type: ignore[arg-type]
    now[0] = KEPT_MS
    count, answer = answers(B)
    assert await repeats.once("me", "k", b"other", answer) == B  # type: ignore[arg-type]


async def test_together_is_once() -> None:
    repeats = Repeats(lambda: 0)
    count, answer = answers(A)
    asked = [repeats.once("me", "k", b"q", answer) for _ in range(20)]  # type: ignore[arg-type]
    assert await asyncio.gather(*asked) == [A] * 20 and count == [1]


async def test_what_failed_is_asked_again() -> None:
    repeats = Repeats(lambda: 0)
    count, answer = answers(Unavailable(Text("没有应答", "x")), Stored(503, "application/json", b""), A, B)
    with pytest.raises(Unavailable):
        await repeats.once("me", "k", b"q", answer)  # type: ignore[arg-type]
    assert (await repeats.once("me", "k", b"q", answer)).status == 503  # type: ignore[arg-type]
    assert await repeats.once("me", "k", b"q", answer) == A  # type: ignore[arg-type]
    assert await repeats.once("me", "k", b"q", answer) == A and count == [3]  # type: ignore[arg-type]
    large = Stored(200, "application/pdf", bytes(MAX_BODY + 1))
    count, answer = answers(large, A)
    assert await repeats.once("me", "large", b"q", answer) == large  # type: ignore[arg-type]
    assert await repeats.once("me", "large", b"q", answer) == A  # type: ignore[arg-type]


async def test_a_repeat_waits_for_no_longer_than_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that fails makes another one the first, and all others wait again."""
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    repeats, free = Repeats(lambda: 0), asyncio.Event()

    async def hanging() -> Stored:
        await free.wait()
        return A

    async def failing() -> Stored:
        await asyncio.sleep(0.02)
        raise Unavailable(Text("没有应答", "the database is away"))

    first = asyncio.create_task(repeats.once("me", "hangs", b"q", hanging))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable, match="not answered yet"):
            await repeats.once("me", "hangs", b"q", hanging)
        free.set()
        assert await first == await repeats.once("me", "hangs", b"q", hanging) == A
        asked = [repeats.once("me", "fails", b"q", failing) for _ in range(20)]
        told = await asyncio.gather(*asked, return_exceptions=True)
    first = "the first request with this key is not answered yet; try again later"
    assert {str(one) for one in told} == {"the database is away", first}


async def test_answers_fill_no_more_than_their_memory() -> None:
    """Anybody may name keys; the oldest answers go first, and the newest is always there."""
    repeats, body = Repeats(lambda: 0), bytes(MAX_BODY)
    asked = 2 * MAX_KEPT // MAX_BODY
    for at in range(asked):
        _, answer = answers(Stored(200, "application/pdf", body))
        await repeats.once("me", str(at), b"q", answer)  # type: ignore[arg-type]
        assert repeats.memory <= MAX_KEPT
    count, answer = answers(A)
    assert len((await repeats.once("me", str(asked - 1), b"q", answer)).body) == MAX_BODY and count == [0]  # type: ignore[arg-type]
    assert await repeats.once("me", "0", b"q", answer) == A and count == [1]  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "x" * 101, "é", "a\nb"])
async def test_keys_of_another_form(key: str) -> None:
    with pytest.raises(Malformed):
        await Repeats(lambda: 0).once("me", key, b"", answers()[1])  # type: ignore[arg-type]

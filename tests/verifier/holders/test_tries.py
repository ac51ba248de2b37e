"""Tries of a day, on both stores."""

from __future__ import annotations

import asyncio

from tests.support.builders import octets
from tests.verifier.holders.conftest import Kit
from verifier.holders.tries import TRIES_A_DAY


async def test_so_many_a_day_for_each_certificate_also_at_once(kit: Kit) -> None:
    taken = await asyncio.gather(*(kit.tries.take(octets("one")) for _ in range(TRIES_A_DAY + 3)))
    assert taken.count(True) == TRIES_A_DAY
    assert await kit.tries.take(octets("another"))
    kit.now[0] += 86_400_000
    assert await kit.tries.take(octets("one"))
    assert await kit.store.fetch("SELECT count(*) FROM holder_try") == [(1,)], "earlier days are forgotten"


async def test_a_right_answer_gives_them_back(kit: Kit) -> None:
    for _ in range(TRIES_A_DAY):
        assert await kit.tries.take(octets("one"))
    await kit.tries.forgive(octets("one"))
    assert await kit.tries.take(octets("one"))

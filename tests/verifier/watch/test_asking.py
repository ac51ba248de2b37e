"""What several logs say of a certificate, for its watchers: of each once, in time, and under a verified checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.text import Text
from tests.verifier.test_several import FIRST, SECOND, Desk
from verifier.known_log import KnownLog
from verifier.watch.asking import ask


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with ThreadPoolExecutor(1) as pool:
        made = Desk(tmp_path, pool)
        for origin in (FIRST, SECOND):
            await made.open(origin, "")
        yield made
        await made.close()


async def test_the_one_that_has_it_tells(desk: Desk) -> None:
    first, second = desk.logs
    one, both, nobody = (first.log.certificate(name) for name in ("one", "both", "nobody"))
    await first.issue(one)
    await second.issue(both)
    await desk.pass_time(first, second)
    await first.issue(both)
    keys = [certificate.issue.cert_key for certificate in (one, both, nobody)]
    asked = await ask(desk.lookup().logs, keys)
    assert not asked.silent and list(asked.found) == keys[:2]
    assert [found.standing.origins for found in asked.found.values()] == [(FIRST,), (SECOND, FIRST)]
    assert asked.sizes == {log.log.origin: log.log.integrator.size for log in desk.logs}
    assert [found.size for found in asked.found.values()] == list(asked.sizes.values())
    await first.revoke(both)
    found = (await ask(desk.lookup().logs, keys)).found[keys[1]]
    assert found.standing.status == "revoked" and found.standing.origins == (FIRST, SECOND)


@pytest.mark.parametrize("hangs", [False, True])
async def test_one_that_does_not_answer_is_asked_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    first, second = desk.logs
    certificates = [first.log.certificate(name) for name in "abc"]
    await first.issue(*certificates)
    questions = 0

    async def nothing(*_: object) -> None:
        nonlocal questions
        questions += 1
        if hangs:
            await asyncio.Event().wait()
        raise Unavailable(Text("没有应答", "the database does not answer"))

    assert second.known.replica is not None
    monkeypatch.setattr(second.known.replica.integrator, "certificate", nothing)
    monkeypatch.setattr("verifier.watch.asking.ANSWER_S", 0.05)
    async with asyncio.timeout(60):
        asked = await ask(desk.lookup().logs, [one.issue.cert_key for one in certificates])
    assert asked.silent == {SECOND} and len(asked.found) == 3 and questions == 1 and list(asked.sizes) == [FIRST]


async def test_without_a_replica_there_is_no_answer(desk: Desk) -> None:
    """Nothing would ever tell of a change: a ledger that is asked for proofs has no cursor."""
    first, _ = desk.logs
    one = first.log.certificate("one")
    await first.issue(one)
    first.ledger.time_ms = desk.now
    light = KnownLog(first.log.trust(), lambda: desk.now, first.ledger, proofs=first.ledger)
    asked = await ask([light], [one.issue.cert_key])
    assert asked.silent == {FIRST} and not asked.found


async def test_what_no_verified_checkpoint_says_is_no_answer(desk: Desk) -> None:
    first, _ = desk.logs
    one = first.log.certificate("one")
    await first.issue(one)
    assert first.known.replica is not None
    before = first.known.replica.verified
    await first.revoke(one)
    after, first.known.replica.verified = first.known.replica.verified, before
    assert (await ask(desk.lookup().logs, [one.issue.cert_key])).silent == {FIRST}
    first.known.replica.verified = after
    asked = await ask(desk.lookup().logs, [one.issue.cert_key])
    assert asked.found[one.issue.cert_key].standing.status == "revoked"

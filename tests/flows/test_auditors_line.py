"""The map auditor's line in time: a real log, a real auditor that follows it over HTTP, and two witnesses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.client import LedgerClient
from ledger.records.secret import format_secret
from ledger.reference_data import load_catalogue, load_ladder
from ledger.tlog.checkpoint import CosignedCheckpoint, open_cosigned
from ledger.tlog.policy import Policy, format_policy
from tests.support.build_log import BASE
from tests.support.builders import Body, Certificate
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.live_auditor import LiveAuditor
from tests.support.live_ledger import LiveLedger, distinct, drafted, live_body
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.trust import build_trust
from verifier.verdict import Code

PATIENCE_S = 50.0  # less than until the next renewal of the signature, which would bring a line as well


@dataclass
class Scene:
    live: LiveLedger
    auditor: LiveAuditor
    policy: Policy  # of whoever verifies: the quorum, without the auditor
    body: Body

    async def head(self) -> CosignedCheckpoint:
        """What `/checkpoint` shows now."""
        _, _, note = await self.live.fetch("/checkpoint")
        return open_cosigned(note, self.live.authority.origin, self.live.keys, self.policy, self.auditor.keys)

    async def with_line(self, size: int) -> CosignedCheckpoint:
        """The head of `size` once it bears the auditor's line, without a newer signature of the log."""
        first = await self.head()
        async with asyncio.timeout(PATIENCE_S):
            while (shown := await self.head()).auditor_time_s is None:
                await asyncio.sleep(0.05)
        assert shown.checkpoint.size == size and shown.log_time_s == first.log_time_s, "not with the next renewal"
        return shown


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A log with a filed body, its settings as shipped; an auditor beside a quorum of two."""
    live = LiveLedger.create(tmp_path / "log", "lines", policy="policy.txt", witness_timeout_ms=1000)
    auditor = LiveAuditor.create(tmp_path / "auditor", live)
    async with FakeWitness("w1") as one, FakeWitness("w2") as other:
        policy = policy_of([one, other], 2)
        asked = replace(policy, witnesses=(*policy.witnesses, *auditor.policy_lines))
        (live.folder / "policy.txt").write_text(format_policy(asked), "utf-8")
        await asyncio.to_thread(live.start)
        try:
            await asyncio.to_thread(auditor.start)
            try:
                body = live_body("lines")
                await live.file(body)
                yield Scene(live, auditor, policy, body)
            finally:
                await asyncio.to_thread(auditor.stop)
        finally:
            await asyncio.to_thread(live.stop)


async def test_every_head_of_an_idle_log_bears_the_line_and_a_busy_one_gives_proofs_under_one_that_does(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as stage:
        labels = distinct("line", 4)
        async with stage.live.client(stage.body) as client:
            made = await drafted(client, stage.body, *labels)
            await stage.with_line((await stage.head()).checkpoint.size)
            for one in made:
                receipt = await client.submit([one.submission()])
                size = stage.live.check(receipt, [one.submission().entry]).checkpoint.size
                shown = await stage.with_line(size)
                assert shown.quorum_time_s is not None
            await busy(stage, client, made[0])


async def busy(stage: Scene, client: LedgerClient, one: Certificate) -> None:
    """The auditor is as good as gone while batches go on: what it cosigned last still proves what did not change."""
    await asyncio.to_thread(stage.auditor.stop)
    trust = build_trust(
        stage.live.authority.origin,
        [key.format_vkey() for key in stage.live.keys],
        "0" * 64,
        [BASE],
        load_ladder(),
        load_catalogue(),
        policy=format_policy(stage.policy),
        map_auditors=[key.format_vkey() for key in stage.auditor.keys],
    )
    known = KnownLog(trust, lambda: time.time_ns() // 1_000_000, proofs=client)
    lookup = Lookup([known], None, lambda: time.time_ns() // 1_000_000)  # type: ignore[arg-type]
    before = await stage.head()
    (late,) = await drafted(client, stage.body, *distinct("late", 1))
    await client.submit([late.submission()])
    assert (await stage.head()).auditor_time_s is None and before.auditor_time_s is not None
    verdict = await lookup.by_secret(format_secret(one.secret))
    assert verdict.code is Code.VALID and verdict.proof is not None and verdict.proof.size == before.checkpoint.size
    assert (await lookup.by_secret(format_secret(late.secret))).code is Code.STALE, "nobody vouches for it yet"
    await asyncio.to_thread(stage.auditor.start)
    await stage.with_line((await stage.head()).checkpoint.size)
    assert (await lookup.by_secret(format_secret(late.secret))).code is Code.VALID

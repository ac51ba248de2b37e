"""From what somebody shows to what may be decided on: through the ordinary look-up, against a small real log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.records.bundle import format_bundle
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import format_code
from ledger.records.statements import issuer_entry
from ledger.store.sqlite import create_sqlite
from tests.support.build_log import FILING, ISSUE_DAY, MAP_DEPTH, Certificate, FakeLedger, LogBuilder
from verifier.eligibility.asking import Shown, examine_shown
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica


class Desk:
    def __init__(self, log: LogBuilder, replica: Replica, now: list[int]) -> None:
        self.log, self.replica, self.now = log, replica, now
        known = KnownLog(log.trust(), lambda: now[0], None, replica=replica)
        self.lookup = Lookup([known], None, lambda: now[0])  # type: ignore[arg-type]

    async def shown(self, *items: Certificate | str | bytes) -> Shown:
        self.now[0] = self.log.time
        await self.replica.poll(self.now[0])
        texts = [format_code(item.code()) if isinstance(item, Certificate) else item for item in items]
        return await examine_shown(self.lookup, texts)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    store = create_sqlite(tmp_path / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, FakeLedger(log), log.trust(), pool, now_ms=log.time)
        yield Desk(log, replica, [log.time])
        await store.close()
    await log.store.close()


async def test_green_ones_count_once_each_in_their_order(desk: Desk) -> None:
    one, two = desk.log.certificate("one"), desk.log.certificate("two", grade=3)
    await desk.log.issue(one, two)
    bundle = format_bundle(await desk.log.bundle(one))
    shown = await desk.shown(one, two, bundle)
    assert [found.record.cert_key for found in shown.certificates] == [one.issue.cert_key, two.issue.cert_key]
    assert shown.rejected == () and len(shown.verdicts) == 3
    assert all(found.proof.time_ms == desk.log.time for found in shown.certificates)


async def test_when_the_first_does_not_count_no_other_takes_its_place(desk: Desk) -> None:
    one, two = desk.log.certificate("one"), desk.log.certificate("two", grade=3)
    await desk.log.issue(one, two)
    said = Ruling(Kind.SUSPEND, Listed((one.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY + 1, FILING)
    await desk.log.batch([issuer_entry(said, desk.log.record_key)])
    shown = await desk.shown(one, two)
    assert shown.certificates == ()
    assert [(each.code, each.reason) for each in shown.rejected] == [("suspended", "STATUS")]
    shown = await desk.shown(two, one)
    assert len(shown.certificates) == 1 and len(shown.rejected) == 1


async def test_nothing_of_what_cannot_be_read_or_is_stale(desk: Desk) -> None:
    one = desk.log.certificate("one")
    await desk.log.issue(one)
    assert (await desk.shown("nonsense")).rejected[0].code == "unreadable"
    await desk.shown(one)
    desk.now[0] += 3_600_000  # the replica hears nothing for an hour
    stale = await examine_shown(desk.lookup, [format_code(one.code())])
    assert stale.certificates == () and stale.rejected[0].code == "stale"
    assert stale.rejected[0].reason == "NOT_PROVEN"
    assert await examine_shown(desk.lookup, []) == Shown((), (), ())

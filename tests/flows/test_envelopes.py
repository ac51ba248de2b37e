"""Personal data from a real ledger to a verifier's verdict and a holder's claim: of a certificate, of a corrected one
and of a reissued one, whichever version of the program wrote the envelopes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.records.secret import format_secret
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.private_index import envelope_keys
from ledger.store.migrations import migrations
from ledger.store.opening import upgrade_store
from ledger.store.sqlite import create_sqlite
from ledger.wire import Logged
from tests.support.builders import Certificate
from tests.support.life_builders import Correction, correction, reissue
from tests.support.live_ledger import MAP_DEPTH, LiveLedger, drafted, live_body, today
from tests.support.stores import before_checkpoint_step
from tests.verifier.test_lookup import FakeScanner
from verifier.holders.claim import fetch_held
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica
from verifier.trust import Trust
from verifier.verdict import Code

Made = Certificate | Correction
STEP = "0008_envelopes_private"


def now() -> int:
    return time.time_ns() // 1_000_000


def certificate_of(made: Made) -> Certificate:
    return made.certificate if isinstance(made, Correction) else made


@dataclass
class Verifier:
    known: KnownLog
    lookup: Lookup

    async def check(self, *current: Made) -> None:
        """Each shows the name of its commitments, and is its holder's to claim. The bare secret says no name."""
        replica = self.known.replica
        assert replica is not None
        await replica.poll(now())
        for made in current:
            certificate = certificate_of(made)
            verdict = await self.lookup.by_secret(format_secret(certificate.secret))
            assert verdict.code is (Code.VALID_CORRECTED if isinstance(made, Correction) else Code.VALID), verdict
            assert verdict.certificate is not None
            assert verdict.certificate.personal_available
            assert (verdict.certificate.name, verdict.certificate.number) == (made.face.name, made.face.number)
            found = await self.lookup.holding(certificate.issue.cert_key)
            assert found is not None
            held = await fetch_held(certificate.secret, certificate.holder_code, *found)
            assert (held.face, tuple(held.digests)) == (made.face, tuple(made.digests))


@asynccontextmanager
async def verifier(live: LiveLedger, path: Path) -> AsyncIterator[Verifier]:
    authority = live.authority
    trust = Trust(
        origin=authority.origin,
        keys=live.keys,
        genesis=sha256(authority.sign(authority.genesis).entry).digest(),
        bases=("https://verify.example.org",),
        freshness_ms=300_000,
        max_skew_ms=60_000,
        ladder=load_ladder(),
        catalogue=load_catalogue(),
    )
    store = create_sqlite(path, private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    with ThreadPoolExecutor(1) as pool:
        async with live.client() as client:
            replica = await Replica.open(store, client, trust, pool)
            known = KnownLog(trust, now, client, replica=replica, envelope_s=30.0)
            yield Verifier(known, Lookup([known], FakeScanner(), now))
    await store.close()


def as_before(live: LiveLedger, rows: Sequence[tuple[int, Made]]) -> None:
    """Make the stopped ledger's file what an older version would have left: rows under locators, in a column of that
    name, and no step since."""
    with closing(sqlite3.connect(live.folder / "log.db")) as store, store:
        for issued, made in rows:
            place, locator = envelope_keys(issued, made.submission().locator)
            moved = store.execute("UPDATE envelope SET place = ? WHERE place = ?", (locator, place)).rowcount
            assert moved == 2, "both envelopes, in the order of the log"
        assert store.execute("SELECT count(*) FROM envelope").fetchone() == (2 * len(rows),)
        store.execute("ALTER TABLE envelope RENAME COLUMN place TO locator")
        before_checkpoint_step(store.execute, postgres=False)
        store.execute("DELETE FROM migration WHERE name >= ?", (STEP,))


async def test_a_name_is_shown_whatever_became_of_the_certificate(tmp_path: Path) -> None:
    body, live = live_body("envelopes"), LiveLedger.create(tmp_path / "log", "envelopes")
    issued: dict[bytes, int] = {}  # cert key -> index
    rows: list[tuple[int, Made]] = []

    async def put(*made: Made) -> None:
        async with live.client(body) as client:
            receipt = await client.submit([each.submission() for each in made])
        for each, answer in zip(made, receipt.answers, strict=True):
            assert isinstance(answer, Logged), answer
            if isinstance(each, Certificate):
                issued[each.issue.cert_key] = answer.index
            rows.append((issued[certificate_of(each).issue.cert_key], each))

    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            plain, corrected, replaced, both, fresh = await drafted(client, body, "a", "b", "c", "d", "e")
        await put(plain, corrected, replaced, both)
        changed, new, newest = (
            correction(body, corrected, "b", name="例改名", day=today()),
            reissue(body, replaced, "c new"),
            reissue(body, both, "d new"),
        )
        await put(changed, new, newest)
        last = correction(body, newest, "d", name="例又改", day=today())
        await put(last)
        async with verifier(live, tmp_path / "first.db") as desk:
            await desk.check(plain, changed, new, last)
        live.stop()
        as_before(live, rows)
        steps = [step.name for step in migrations(private=True) if step.name >= STEP]
        assert await upgrade_store("log.db", live.folder, private=True) == steps
        live.start()
        async with verifier(live, tmp_path / "second.db") as desk:
            await desk.check(plain, changed, new, last)
            again, of_old = reissue(body, plain, "a new"), correction(body, new, "c", name="例旧改", day=today())
            await put(again, of_old, fresh)
            await desk.check(again, changed, of_old, last, fresh)
    finally:
        live.stop()

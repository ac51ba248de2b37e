"""Links are judged as `verify` judges them, whatever was judged before; nothing of a person is kept; changes show."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from ledger.edge import start_site
from ledger.records.envelope import FaceContent
from ledger.records.kinds import Kind
from ledger.records.secret import format_secret, locator_of
from ledger.records.state import Appointment
from ledger.scan_apart import PdfScan
from ledger.store.sqlite import create_sqlite
from tests.support.build_log import BASE, ISSUE_DAY, MAP_DEPTH, Certificate, FakeLedger, LogBuilder, register_of
from verifier import known_log, links
from verifier.causes import Cause
from verifier.envelopes import ENVELOPE_KEPT_MS
from verifier.known_log import KnownLog
from verifier.links import Links
from verifier.lookup import Lookup
from verifier.register import FiledTerms
from verifier.replica import Replica
from verifier.verdict import Code
from verifier.verify import Evidence, verify
from verifier.violation import Violation
from verifier.web.app import WebSettings, create_app


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


async def test_a_link_is_judged_as_if_it_were_the_first(log: LogBuilder) -> None:
    """Every evidence in any order: the verdict is the one that `verify` gives of it, then and there."""
    plain, upgraded, suspended, revoked, corrected, strange = certificates = [
        log.certificate(label, track=label[:2])
        for label in ("plain", "upgraded", "suspended", "revoked", "fixed", "far")
    ]
    await log.issue(*certificates)
    early = {one.secret: await register_of(log, one) for one in certificates}
    await log.issue(log.certificate("better", track="up", grade=5))
    await log.rule(Kind.SUSPEND, suspended)
    await log.rule(Kind.REVOKE, revoked)
    face = await log.correct(corrected, "例大明")
    late = {one.secret: await register_of(log, one) for one in certificates}
    renewed = {secret: replace(register, time_ms=log.time + 200_000) for secret, register in late.items()}
    halted = {secret: replace(register, halted=True) for secret, register in late.items()}
    silent = {secret: replace(register, lag=Cause.QUIET) for secret, register in late.items()}
    stopped = {secret: replace(register, halted=True, lag=Cause.STOPPED) for secret, register in late.items()}
    past = {secret: replace(register, historic=True) for secret, register in late.items()}
    behind = {secret: replace(register, size=2) for secret, register in late.items()}
    mixed = {one.secret: late[other.secret] for one, other in ((plain, upgraded), (upgraded, plain))}
    nobody = {strange.secret: replace(late[strange.secret], logged=None)}
    damaged = {plain.secret: replace(late[plain.secret], filing=None)}
    filed = late[plain.secret].filing
    assert filed is not None
    outside = FiledTerms(replace(filed.terms, rows=(replace(filed.terms.rows[0], grades=(2,)),)), filed.leaf)
    unfiled = {plain.secret: replace(late[plain.secret], filing=outside)}

    def faces(one: Certificate) -> list[FaceContent | None]:
        return [None, FaceContent(one.face, b"picture"), FaceContent(one.face), FaceContent(face)]

    moments = [log.time, log.time + 299_999, log.time + 310_000, log.time - 100_000, log.time + 86_400_000]
    cases = [
        (Evidence(one.code(), registers[one.secret], face, offline), now)
        for one in certificates
        for registers in (early, late, renewed, halted, silent, stopped, past, behind, mixed, nobody, damaged, unfiled)
        if one.secret in registers
        for face, now, offline in product(faces(one), moments, (False, True))
    ]
    cases += [(Evidence(one.code(0), late[one.secret]), log.time) for one in certificates]  # with what it carries
    cases += [(Evidence(plain.code(), None), log.time), (Evidence(None), log.time)]
    judged, trust, seen = Links(log.trust()), log.trust(), set()
    for evidence, now in Random(1).sample(cases, len(cases)):
        verdict = judged.judge(evidence, now)
        assert verdict == verify(evidence, trust, now), (evidence, now)
        seen.add(verdict.code)
    assert seen >= {
        Code.VALID, Code.VALID_UPGRADED, Code.VALID_CORRECTED, Code.SUSPENDED, Code.REVOKED, Code.STALE,
        Code.ISSUER_OUT_OF_SCOPE, Code.UNAVAILABLE, Code.NOT_FOUND, Code.OFFLINE_SIGNATURE_OK, Code.TAMPERED,
    }  # fmt: skip


async def test_a_day_that_is_over_is_over_within_one_checkpoint(log: LogBuilder) -> None:
    """A post's last day ends at midnight in Shanghai, while everything else is as it was."""
    certificate = log.certificate("one")
    await log.issue(certificate)
    register = await register_of(log, certificate)
    assert register.logged is not None
    state = register.logged.state
    post = Appointment(7, bytes(32), 1, ISSUE_DAY - 9, ISSUE_DAY + 3)
    state = structs.replace(state, summary=structs.replace(state.summary, posts=(post,)))
    midnight = (ISSUE_DAY + 4) * 86_400_000 - 8 * 3_600_000
    register = replace(register, logged=replace(register.logged, state=state), time_ms=midnight - 2000)
    judged, evidence = Links(log.trust()), Evidence(certificate.code(), register)
    for now, held in ((midnight - 1, True), (midnight, False), (midnight - 1, True)):
        verdict = judged.judge(evidence, now)
        assert verdict == verify(evidence, log.trust(), now)
        assert verdict.certificate is not None and (verdict.certificate.held is not None) is held


async def test_nothing_of_a_person_is_kept(log: LogBuilder) -> None:
    certificate = log.certificate("one", name="例不存")
    await log.issue(certificate)
    judged, register = Links(log.trust()), await register_of(log, certificate)
    evidence = Evidence(certificate.code(), register, FaceContent(certificate.face, b"picture of a face"))
    view = judged.judge(evidence, log.time).certificate
    assert view is not None and (view.name, view.photo) == ("例不存", b"picture of a face")
    del evidence, view
    kept = list(_reached(judged))
    assert certificate.issue.cert_key in kept, "the walk gets to what is kept"
    for personal in (certificate.secret, certificate.face.salt, certificate.face.name, certificate.face.number):
        assert personal not in kept
    assert b"picture of a face" not in kept


def _reached(root: object) -> Iterator[object]:
    """All texts and byte strings that hang on `root`; classes and modules are not followed."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str | bytes):
            yield one
        for inner in gc.get_referents(one):
            if id(inner) not in seen and not isinstance(inner, type) and type(inner).__name__ != "module":
                seen.add(id(inner))
                waiting.append(inner)


async def test_what_is_the_same_is_worked_out_once(log: LogBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    def counted(*of: Any) -> Any:
        nonlocal runs
        runs += 1
        return verify(*of)

    monkeypatch.setattr(links, "verify", counted)
    monkeypatch.setattr(links, "_KEPT", 2)
    one, two, three = certificates = [log.certificate(label) for label in ("one", "two", "three")]
    await log.issue(*certificates)
    registers = {each.secret: await register_of(log, each) for each in certificates}
    judged = Links(log.trust())

    def ask(each: Certificate, now: int = log.time, **changes: Any) -> int:
        before = runs
        judged.judge(Evidence(each.code(), replace(registers[each.secret], **changes)), now)
        return runs - before

    assert [ask(one), ask(one), ask(one, log.time + 1000), ask(two)] == [1, 0, 0, 1]
    assert ask(one, root=bytes(32), size=9, time_ms=log.time + 1) == 0, "under another checkpoint"
    for changes in ({"halted": True}, {"overtaken": True}, {"witnessed": False}, {"vouched": False}, {}):
        assert ask(one, **changes) == 1
    assert ask(one, log.time + 301_000) == 1, "it has grown old"
    assert ask(two) == 0
    assert [ask(three), ask(two), ask(one)] == [1, 0, 1], "of three, the one that was asked for longest ago is gone"


@dataclass
class Site:
    """A verifier's page of one certificate, beside a log and with a clock that only the test moves."""

    log: LogBuilder
    ledger: FakeLedger
    replica: Replica
    certificate: Certificate
    now: list[int]
    url: str

    async def page(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.url) as got:
            assert got.status == 200
            return await got.text()

    async def follow(self, ms: int = 0) -> None:
        """Let the clock run, the log renew its checkpoint, and the replica see it."""
        self.now[0] = max(self.now[0] + ms, self.log.time)
        self.ledger.time_ms = self.now[0]
        await self.replica.poll(self.now[0])


class NoScanner:
    async def read(self, data: bytes) -> PdfScan:
        raise AssertionError("no files here")


@asynccontextmanager
async def site_of(log: LogBuilder, folder: Path) -> AsyncIterator[Site]:
    certificate = log.certificate("one")
    await log.issue(certificate)
    store = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    ledger, now = FakeLedger(log), [log.time]
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, log.trust(), pool)
        known = KnownLog(log.trust(), lambda: now[0], ledger, replica=replica)
        lookup = Lookup([known], NoScanner(), lambda: now[0])
        site = await start_site(create_app(lookup, WebSettings(BASE, now_ms=lambda: now[0])), "127.0.0.1", 0)
        try:
            address = f"{site.url}/c/{format_secret(certificate.secret)}?lang=en"
            beside = Site(log, ledger, replica, certificate, now, address)
            await beside.follow()
            yield beside
        finally:
            await site.stop()
            await store.close()


async def test_the_next_page_sees_what_changed(log: LogBuilder, tmp_path: Path) -> None:
    """A ruling in the next batch, twice; a checkpoint that grows old and is renewed; a log that broke a rule."""
    async with site_of(log, tmp_path) as site:
        for _ in range(2):
            assert 'data-f="status">In force<' in await site.page()
        await log.rule(Kind.SUSPEND, site.certificate)
        assert 'data-f="status">In force<' in await site.page()
        await site.follow()
        for _ in range(2):
            assert 'data-f="status">Suspended<' in await site.page()
        await log.rule(Kind.RESTORE, site.certificate)
        await site.follow()
        assert 'data-f="status">In force<' in await site.page()
        site.now[0] += 299_000
        assert 'data-f="status">In force<' in await site.page()
        site.now[0] += 2_000
        old = await site.page()
        assert 'data-f="status"' not in old and 'data-f="name"' not in old
        await site.follow()
        assert 'data-f="status">In force<' in await site.page()
        assert "新名称" not in await site.page()
        await log.batch([log.filing_entry(name="新名称", change=True)])
        await site.follow()
        assert "新名称" in await site.page()
        site.replica.halted = Violation("for the test")
        assert 'data-f="status"' not in await site.page()


async def test_an_erased_person_is_on_no_page_after_a_minute(log: LogBuilder, tmp_path: Path) -> None:
    async with site_of(log, tmp_path) as site:
        for _ in range(2):
            assert 'data-f="name">' in await site.page()
        del log.envelopes[locator_of(site.certificate.secret)]
        await site.follow(ENVELOPE_KEPT_MS - 1)
        assert 'data-f="name">' in await site.page(), "kept for a minute, sealed"
        await site.follow(1)
        page = await site.page()
        assert 'data-f="status">In force<' in page
        assert 'data-f="name">' not in page and site.certificate.face.number not in page.replace(" ", "")


async def test_a_state_that_is_the_same_is_not_read_again(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch about others leaves what was read, with its signature checked; one about this certificate does not."""
    reads, read = 0, known_log.read_logged

    async def counted(*of: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*of)

    async with site_of(log, tmp_path) as site:
        monkeypatch.setattr(known_log, "read_logged", counted)
        await site.page()
        assert reads == 1
        await log.issue(log.certificate("another"))
        await site.follow()
        page = await site.page()
        assert reads == 1 and str(site.replica.integrator.size) in page
        await log.issue(log.certificate("better", track="one", grade=5))
        await site.follow()
        await site.page()
        assert reads == 2
        await site.replica._reopen()
        await site.page()
        assert reads == 3, "what was read of another store's state counts no more"
        await log.rule(Kind.REVOKE, site.certificate)
        await site.follow()
        assert 'data-f="status">Revoked<' in await site.page()

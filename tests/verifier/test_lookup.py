"""Gathering evidence: what comes in as text or file, personal data on time or not at all, nothing ever raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from ledger.errors import Malformed, Unavailable
from ledger.records.bundle import format_bundle
from ledger.records.kinds import Kind
from ledger.records.qr import format_code
from ledger.records.secret import format_secret, locator_of
from ledger.records.staple import format_staple
from ledger.records.state import CertificateState
from ledger.scan_apart import PdfScan
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.text import Text
from tests.support.build_log import AUDITOR, AUDITORS, BASE, MAP_DEPTH, ORIGIN, Certificate, FakeLedger, LogBuilder
from tests.support.witnesses import Cosigner, quorum
from verifier import envelopes
from verifier.causes import Cause
from verifier.envelopes import ENVELOPE_KEPT_MS
from verifier.known_log import AsOf, KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica
from verifier.steps import HISTORIC
from verifier.verdict import Code, Source
from verifier.violation import ClocksDiffer, Unwitnessed, Violation
from verifier.web.state import Readiness


@dataclass
class FakeScanner:
    """Answers with what a decoder would have read."""

    texts: list[str] | None = field(default_factory=list)
    page_texts: tuple[str, ...] = ()
    attachments: tuple[tuple[str, bytes], ...] = ()

    async def read(self, data: bytes) -> PdfScan:
        if self.texts is None:
            raise Malformed("cannot be decoded")
        return PdfScan(tuple(self.texts), self.attachments, self.page_texts)


@dataclass
class Desk:
    """One verifier beside one log, with a clock that only the test moves."""

    log: LogBuilder
    ledger: FakeLedger
    replica: Replica
    lookup: Lookup
    scanner: FakeScanner
    now: list[int]
    certificate: Certificate
    index: int

    @property
    def text(self) -> str:
        return format_code(self.certificate.code(self.index))

    def known(self, envelopes: Any, **how: Any) -> KnownLog:
        return KnownLog(self.log.trust(), lambda: self.now[0], envelopes, replica=self.replica, **how)

    async def pass_time(self, ms: int) -> None:
        """Let the clock run and the log renew its checkpoint."""
        self.now[0] += ms
        self.ledger.time_ms = self.now[0]
        await self.replica.poll(self.now[0])


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    certificate = log.certificate("one")
    (index,) = await log.issue(certificate)
    store: SqliteStore = create_sqlite(tmp_path / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    ledger, scanner, now = FakeLedger(log), FakeScanner(), [log.time]
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, log.trust(), pool)
        await replica.poll(now[0])
        known = KnownLog(log.trust(), lambda: now[0], ledger, replica=replica, envelope_s=0.05)
        lookup = Lookup([known], scanner, lambda: now[0])
        yield Desk(log, ledger, replica, lookup, scanner, now, certificate, index)
    await store.close()
    await log.store.close()


async def test_what_is_read_on_both_sides_of_a_batch_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads of a database server may lie so; of all that a verdict is made of, nothing may be older than the rest."""
    integrator = desk.replica.integrator
    read, batches = integrator.certificate, iter([True, False])

    async def slow(cert_key: bytes) -> CertificateState | None:
        state = await read(cert_key)
        if next(batches, False):
            await desk.log.issue(desk.log.certificate("better", grade=5, track="one"))
            await desk.replica.poll(desk.now[0])
        return state

    monkeypatch.setattr(integrator, "certificate", slow)
    known = await desk.lookup.logs[0]._certificate(desk.replica, desk.certificate.issue.cert_key)
    monkeypatch.undo()
    assert known is not None and known.logged.state == await read(desk.certificate.issue.cert_key)


class TestText:
    async def test_link_secret_and_code(self, desk: Desk) -> None:
        secret = format_secret(desk.certificate.secret)
        for verdict in (
            await desk.lookup.by_secret(secret),
            await desk.lookup.by_text(secret),
            await desk.lookup.by_text(f" {BASE}/c/{secret}\r\n"),
            await desk.lookup.by_text(desk.text),
            await desk.lookup.by_text(format_code(desk.certificate.code(desk.index), form="u")),
        ):
            assert verdict.code is Code.VALID
            assert verdict.certificate is not None and verdict.certificate.photo == b"thumbnail"
            assert verdict.certificate.name == "例小明"

    async def test_every_prefix(self, desk: Desk) -> None:
        """Cut anywhere, a code with its certificate is never green; the bare link is one of its prefixes."""
        link = len(BASE) + 3 + 26
        for end in range(len(desk.text)):
            verdict = await desk.lookup.by_text(desk.text[:end])
            if end in (link, link + 1):  # complete as a link, with or without an empty fragment
                assert verdict.code is Code.VALID
            else:
                assert verdict.code in (Code.UNREADABLE, Code.WRONG_DOMAIN, Code.TAMPERED), end

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "\0",
            "x" * 10_000_000,
            "https://",
            "https:///c/",
            "\ud800",
            "例" * 3000,
            "javascript:alert(1)",
            "1" * 26,
        ],
    )
    async def test_rubbish(self, desk: Desk, text: str) -> None:
        assert (await desk.lookup.by_text(text)).code in (Code.UNREADABLE, Code.WRONG_DOMAIN)
        assert (await desk.lookup.by_secret(text[:64])).code is Code.UNREADABLE or text == "1" * 26

    async def test_unknown_and_foreign(self, desk: Desk) -> None:
        assert (await desk.lookup.by_secret("0" * 26)).code is Code.NOT_FOUND
        assert (await desk.lookup.by_text("https://evil.example/c/" + "0" * 26)).code is Code.WRONG_DOMAIN
        assert (await desk.lookup.by_text(f"{BASE}/s/abc")).code is Code.UNREADABLE

    async def test_genuine_but_not_logged_needs_the_filing(self, desk: Desk) -> None:
        stranger = desk.log.certificate("stranger", grade=6)
        verdict = await desk.lookup.by_text(format_code(stranger.code(7)))
        assert verdict.code is Code.ISSUER_OUT_OF_SCOPE


class TestFile:
    async def test_bundle(self, desk: Desk) -> None:
        raw = format_bundle(await desk.log.bundle(desk.certificate))
        assert (await desk.lookup.by_file(raw, "x.jpg")).code is Code.VALID
        for end in range(0, len(raw), 61):
            assert (await desk.lookup.by_file(raw[:end], "")).code is Code.UNREADABLE
        for at in range(0, len(raw), 61):
            changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
            assert (await desk.lookup.by_file(changed, "")).code in (Code.UNREADABLE, Code.TAMPERED)

    @pytest.mark.parametrize("raw", [b"", b"\x8d", b"\x8d" * 100_000, b"\xff\xfe", b"x" * 10_000_000, b"\x00" * 100])
    async def test_rubbish(self, desk: Desk, raw: bytes) -> None:
        assert (await desk.lookup.by_file(raw, "a.pdf")).code is Code.UNREADABLE

    async def test_text_file(self, desk: Desk) -> None:
        raw = b"\xef\xbb\xbf" + desk.text.encode() + b"\n"
        assert (await desk.lookup.by_file(raw, "")).code is Code.VALID

    @pytest.mark.parametrize(
        ("texts", "code"),
        [
            (None, Code.UNREADABLE),
            ([], Code.UNREADABLE),
            (["hello"], Code.UNREADABLE),
            (["https://evil.example/x"], Code.WRONG_DOMAIN),
            (["https://a.example", "hello"], Code.WRONG_DOMAIN),
            (["LINK"], Code.VALID),
            (["https://body.example/query", "LINK"], Code.VALID),
            (["LINK", "FULL"], Code.VALID),
            (["FULL", "LINK"], Code.VALID),
            (["LINK", "BASE/c/" + "0" * 26], Code.UNREADABLE),
        ],
    )
    async def test_codes_in_a_picture(self, desk: Desk, texts: list[str] | None, code: Code) -> None:
        names = {"LINK": desk.text.partition("#")[0], "FULL": desk.text}
        desk.scanner.texts = None if texts is None else [names.get(t, t.replace("BASE", BASE)) for t in texts]
        verdict = await desk.lookup.by_file(b"%PDF-1.7 ", "")
        assert verdict.code is code
        if texts is not None and "FULL" in texts:
            assert verdict.findings[2].outcome.value == "pass"  # the code with the certificate in it was used

    async def test_a_real_picture_in_a_process_of_its_own(self, desk: Desk) -> None:
        from verifier.scanning import Scanner

        drawn = zxingcpp.create_barcode(desk.text, zxingcpp.BarcodeFormat.QRCode)
        out = BytesIO()
        Image.fromarray(zxingcpp.write_barcode_to_image(drawn, scale=4)).save(out, "PNG")
        lookup = Lookup([desk.known(desk.ledger)], Scanner(), lambda: desk.now[0])
        assert (await lookup.by_file(out.getvalue(), "")).code is Code.VALID
        assert (await lookup.by_file(out.getvalue()[:100], "")).code is Code.UNREADABLE
        assert (await lookup.by_file(b"%PDF-1.7 rubbish", "")).code is Code.UNREADABLE

    async def test_words_on_the_page_reach_the_check(self, desk: Desk) -> None:
        """A genuine code under another name is a forgery, whether it carries the certificate or is a bare link."""
        face, trust = desk.certificate.face, desk.log.trust()
        occupation = trust.catalogue.find(desk.certificate.issue.occupation)
        assert occupation is not None
        grade = trust.ladder.by_ordinal(desk.certificate.issue.grade).zh_formal
        page = f"职业技能等级证书\n{face.name}\n{occupation.name}\n{grade}\n{face.number}\n示例机械有限公司\n2026-05-27"
        for text in (desk.text, desk.text.partition("#")[0]):
            desk.scanner.texts = [text]
            for page_texts, code in [
                ((page,), Code.VALID),
                ((page.replace(face.name, "张冒名"),), Code.TAMPERED),
                ((page.replace(face.name, face.name + "月"), page), Code.TAMPERED),
                (("", ""), Code.VALID),
            ]:
                desk.scanner.page_texts = page_texts
                verdict = await desk.lookup.by_file(b"%PDF-1.7 ", "")
                assert verdict.code is code, page_texts
                assert code is Code.VALID or verdict.certificate is None


class TestPersonalData:
    async def test_kept_for_a_minute_at_most(self, desk: Desk) -> None:
        secret = format_secret(desk.certificate.secret)
        for _ in range(3):
            await desk.lookup.by_secret(secret)
        assert desk.ledger.asked.count("envelope") == 1
        del desk.log.envelopes[locator_of(desk.certificate.secret)]  # erased
        await desk.pass_time(ENVELOPE_KEPT_MS)
        verdict = await desk.lookup.by_secret(secret)
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and not verdict.certificate.personal_available

    async def test_is_dropped_also_when_nobody_asks_and_when_the_clock_is_set_back(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(envelopes, "ENVELOPE_KEPT_MS", 200)
        (log,) = desk.lookup.logs
        await desk.lookup.by_secret(format_secret(desk.certificate.secret))
        assert log._envelopes._kept
        desk.now[0] -= 3_600_000
        async with asyncio.timeout(60):
            while log._envelopes._kept:
                await asyncio.sleep(0.01)

    async def test_of_a_correction_is_asked_by_the_place_of_its_certificate(self, desk: Desk) -> None:
        await desk.log.correct(desk.certificate, "例大明")
        await desk.replica.poll(desk.log.time)
        desk.now[0] = desk.log.time
        verdict = await desk.lookup.by_secret(format_secret(desk.certificate.secret))
        assert verdict.code is Code.VALID_CORRECTED
        assert verdict.certificate is not None and verdict.certificate.name == "例大明"

    async def test_concurrent_views_ask_once(self, desk: Desk) -> None:
        secret = format_secret(desk.certificate.secret)
        await asyncio.gather(*(desk.lookup.by_secret(secret) for _ in range(10)))
        assert desk.ledger.asked.count("envelope") == 1

    async def test_silent_ledger_is_left_alone_for_a_while(self, desk: Desk) -> None:
        secret = format_secret(desk.certificate.secret)
        desk.ledger.down = True
        for _ in range(3):
            verdict = await desk.lookup.by_secret(secret)
            assert verdict.code is Code.VALID
            assert verdict.certificate is not None and verdict.certificate.name is None
        assert desk.ledger.asked.count("envelope") == 1
        desk.ledger.down = False
        await desk.pass_time(5_000)
        verdict = await desk.lookup.by_secret(secret)
        assert verdict.certificate is not None and verdict.certificate.name == "例小明"

    async def test_one_slow_envelope_is_not_a_silent_ledger(self, desk: Desk) -> None:
        other = desk.log.certificate("other")
        await desk.log.issue(other)
        await desk.pass_time(1000)
        free, asked, envelope = asyncio.Event(), list[bytes](), desk.ledger.envelope

        class Uneven:
            async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
                asked.append(locator)
                if len(asked) == 1:
                    await free.wait()
                elif len(asked) == 2:
                    raise Unavailable(Text("没有应答", "busy"))
                return await envelope(issued, locator, slot)

        lookup = Lookup([desk.known(Uneven(), envelope_s=120.0)], desk.scanner, lambda: desk.now[0])

        async def named(certificate: Certificate) -> bool:
            verdict = await lookup.by_secret(format_secret(certificate.secret))
            return verdict.certificate is not None and verdict.certificate.name is not None

        slow = asyncio.create_task(named(other))
        while not asked:
            await asyncio.sleep(0)
        assert not await named(desk.certificate) and not await named(desk.certificate)
        assert len(asked) == 2
        free.set()
        assert await slow and await named(desk.certificate)

    async def test_slow_ledger_does_not_hold_up_the_answer(self, desk: Desk) -> None:
        class Slow:
            async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
                await asyncio.sleep(60)
                return None

        lookup = Lookup([desk.known(Slow(), envelope_s=0.01)], desk.scanner, lambda: desk.now[0])
        verdict = await lookup.by_text(desk.text)
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and verdict.certificate.name == "例小明"  # from the code itself

    @pytest.mark.parametrize("sealed", [b"", b"short", bytes(100), bytes(30_000)])
    async def test_envelope_that_does_not_open(self, desk: Desk, sealed: bytes) -> None:
        desk.log.keep(desk.certificate, sealed)
        verdict = await desk.lookup.by_secret(format_secret(desk.certificate.secret))
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and not verdict.certificate.personal_available

    async def test_refusal_counts_as_missing(self, desk: Desk) -> None:
        class Odd:
            asked = 0

            async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
                self.asked += 1
                raise Malformed("the ledger's answer is too large")

        odd = Odd()
        lookup = Lookup([desk.known(odd)], desk.scanner, lambda: desk.now[0])
        for _ in range(2):
            assert (await lookup.by_secret(format_secret(desk.certificate.secret))).code is Code.VALID
        assert odd.asked == 1


class TestRegister:
    async def test_follows_the_replica(self, desk: Desk) -> None:
        low = desk.log.certificate("low", grade=3, track="person")
        await desk.log.issue(low)
        await desk.replica.poll(desk.log.time)
        desk.now[0] = desk.log.time
        assert (await desk.lookup.by_secret(format_secret(low.secret))).code is Code.VALID
        high = desk.log.certificate("high", grade=4, track="person")
        await desk.log.issue(high)
        assert (await desk.lookup.by_secret(format_secret(high.secret))).code is Code.NOT_FOUND
        await desk.replica.poll(desk.log.time)
        desk.now[0] = desk.log.time
        verdict = await desk.lookup.by_secret(format_secret(low.secret))
        assert verdict.code is Code.VALID_UPGRADED
        current = verdict.certificate.current  # type: ignore[union-attr]
        assert current is not None and current.since_day is not None

    async def test_not_under_a_checkpoint_yet(self, desk: Desk) -> None:
        """Batches that were taken in before the poll was complete do not count yet."""
        late = desk.log.certificate("late")
        await desk.log.issue(late)

        def stop(_size: int) -> None:
            raise Unavailable(Text("没有应答", "the network went away"))

        with pytest.raises(Unavailable):
            await desk.replica.poll(desk.log.time, stop)
        assert desk.replica.integrator.size > desk.replica.verified.size  # type: ignore[union-attr]
        assert (await desk.lookup.by_secret(format_secret(late.secret))).code is Code.NOT_FOUND
        assert (await desk.lookup.by_text(desk.text)).code is Code.VALID

    async def test_what_no_checkpoint_ends_yet_makes_nothing_green_and_a_refusal_at_once(self, desk: Desk) -> None:
        other = desk.log.certificate("other")
        await desk.log.issue(other)
        await desk.log.rule(Kind.SUSPEND, desk.certificate)
        await desk.pass_time(1000)
        assert (await desk.lookup.by_text(desk.text)).code is Code.SUSPENDED

        def stop(_size: int) -> None:
            raise Unavailable(Text("没有应答", "the network went away"))

        for kind, one in ((Kind.RESTORE, desk.certificate), (Kind.REVOKE, other)):
            await desk.log.rule(kind, one)
            with pytest.raises(Unavailable):
                await desk.replica.poll(desk.log.time, stop)
        verified = desk.replica.verified
        assert verified is not None and desk.replica.integrator.size > verified.size
        for _ in range(2):  # what was read before is known then
            restored = await desk.lookup.by_text(desk.text)
            assert restored.code is Code.SUSPENDED and restored.proof is not None
            assert restored.proof.size == verified.size and restored.source is Source.REPLICA
            assert (await desk.lookup.by_secret(format_secret(other.secret))).code is Code.REVOKED
        await desk.pass_time(1000)
        assert (await desk.lookup.by_text(desk.text)).code is Code.VALID
        assert (await desk.lookup.by_secret(format_secret(other.secret))).code is Code.REVOKED

    async def test_a_file_from_before_does_not_undo_what_was_taken_in(self, desk: Desk) -> None:
        """The replica's checkpoint is old, the file newer than it, and the revocation newer than both."""
        desk.now[0] += 600_000
        desk.ledger.time_ms = desk.log.time = desk.now[0]
        desk.log.cosigned_by = (AUDITOR,)
        trust = desk.log.trust(map_auditors=AUDITORS)
        known = KnownLog(trust, lambda: desk.now[0], replica=desk.replica)
        lookup = Lookup([known], desk.scanner, lambda: desk.now[0])
        await desk.log.issue(desk.log.certificate("other"))
        file = format_bundle(await desk.log.bundle(desk.certificate))
        assert (await lookup.by_file(file)).code is Code.OFFLINE_BUNDLE_OK
        await desk.log.rule(Kind.REVOKE, desk.certificate)
        desk.ledger.time_ms = desk.now[0] = desk.log.time

        def stop(size: int) -> None:
            if size == desk.log.integrator.size:
                raise Unavailable(Text("没有应答", "the network went away"))

        with pytest.raises(Unavailable):
            await desk.replica.poll(desk.now[0], stop)
        assert (await lookup.by_text(desk.text)).code is Code.REVOKED
        assert (await lookup.by_file(file)).code is Code.REVOKED

    async def test_before_the_first_sync(self, desk: Desk) -> None:
        lookup = Lookup([KnownLog(desk.log.trust(), lambda: desk.now[0])], desk.scanner, lambda: desk.now[0])
        assert (await lookup.by_text(desk.text)).code is Code.UNAVAILABLE
        assert not lookup.ready().ok

    async def test_offline_asks_nobody(self, desk: Desk) -> None:
        desk.ledger.asked.clear()
        lookup = Lookup([desk.known(None)], desk.scanner, lambda: desk.now[0], offline=True)
        desk.now[0] += 10**9
        verdict = await lookup.by_text(desk.text)
        assert verdict.code is Code.OFFLINE_SIGNATURE_OK and verdict.source is Source.REPLICA
        assert desk.ledger.asked == []

    async def test_damaged_store_is_not_the_items_fault(self, desk: Desk) -> None:
        store = desk.replica.integrator.store
        assert isinstance(store, SqliteStore)
        store._writer.execute("UPDATE state SET body = x'80'")
        with pytest.raises(Unavailable):
            await desk.lookup.by_text(desk.text)


def _condition(ready: Readiness) -> dict[str, object]:
    (log,) = ready.detail["logs"]  # type: ignore[attr-defined]
    assert log["origin"] == ORIGIN
    return dict(log)


class TestReady:
    async def test_fresh_then_old_then_halted(self, desk: Desk) -> None:
        ready = desk.lookup.ready()
        assert ready.ok and _condition(ready)["size"] == desk.log.integrator.size
        desk.now[0] += 300_001
        assert not desk.lookup.ready().ok
        desk.now[0] -= 300_001
        desk.replica.halted = Violation("x")
        ready = desk.lookup.ready()
        assert not ready.ok and _condition(ready)["halted"] is True
        assert (await desk.lookup.by_text(desk.text)).code is Code.STALE

    async def test_what_is_stale_names_its_cause(self, desk: Desk) -> None:
        async def cause() -> str:
            verdict = await desk.lookup.by_text(desk.text)
            assert verdict.code is Code.STALE
            return verdict.detail["cause"]

        desk.now[0] += 300_001
        assert await cause() == "quiet", "the ledger answered, and had nothing newer"
        desk.ledger.down = True
        with pytest.raises(Unavailable):
            await desk.replica.poll(desk.now[0])
        assert await cause() == "unreached"
        desk.ledger.down, desk.ledger.time_ms = False, desk.now[0] + 10**9
        with pytest.raises(ClocksDiffer):
            await desk.replica.poll(desk.now[0])
        assert await cause() == "clock"
        desk.replica.problem = Unwitnessed("too few")
        assert await cause() == "quorum"
        desk.replica.halted = Violation("the follower stopped because of a bug", proven=False)
        assert await cause() == "stopped"
        desk.replica.halted = Violation("a second history")
        assert await cause() == "halted"
        desk.now[0] -= 300_001
        assert await cause() == "halted", "however new"
        desk.replica.halted, desk.now[0] = None, desk.now[0] - 10**9
        assert await cause() == "clock", "our own is behind"

    async def test_a_quorum_that_nobody_renewed_is_the_cause(self, desk: Desk) -> None:
        known, time_ms = desk.lookup.logs[0], desk.log.time
        desk.now[0] += 300_001
        assert known._lag(desk.replica, time_ms) is Cause.QUIET
        known.trust = desk.log.trust(policy=quorum(1, Cosigner("w1")))
        assert known._lag(desk.replica, time_ms) is Cause.QUORUM
        desk.replica.answered = False
        assert known._lag(desk.replica, time_ms) is Cause.UNREACHED

    async def test_says_what_went_wrong_by_class_only(self, desk: Desk) -> None:
        desk.ledger.down = True
        with pytest.raises(Unavailable):
            await desk.replica.poll(desk.now[0])
        assert _condition(desk.lookup.ready())["problem"] == "Unavailable"


class TestStapleInsideAPdf:
    """What is inside counts only where nobody else can be asked, and only for the certificate in the code."""

    async def test_it_answers_offline(self, desk: Desk) -> None:
        log, trust = desk.log, desk.log.trust(map_auditors=AUDITORS)
        log.cosigned_by = (AUDITOR,)
        staple = format_staple(await log.staple(desk.certificate))
        other = log.certificate("other")
        await log.issue(other)
        wrong = format_staple(await log.staple(other))
        scanner = FakeScanner([desk.text])
        for inside, code in (
            ((("x.staple", staple),), Code.OFFLINE_BUNDLE_OK),
            ((("a", b"\x85"), ("b", wrong), ("x.staple", staple)), Code.OFFLINE_BUNDLE_OK),
            ((("x.staple", wrong),), Code.UNAVAILABLE),
            ((("x.staple", staple[:-1]),), Code.UNAVAILABLE),
            ((), Code.UNAVAILABLE),
        ):
            scanner.attachments = inside
            lookup = Lookup([KnownLog(trust, lambda: desk.now[0])], scanner, lambda: desk.now[0], offline=True)
            assert (await lookup.by_file(b"%PDF-1.7")).code is code

    async def test_online_the_register_is_asked(self, desk: Desk) -> None:
        desk.scanner.texts = [desk.text]
        desk.scanner.attachments = (("x.staple", format_staple(await desk.log.staple(desk.certificate))),)
        verdict = await desk.lookup.by_file(b"%PDF-1.7")
        assert verdict.code is Code.VALID and verdict.source is Source.REPLICA


async def test_by_its_key_a_certificate_shows_what_the_log_says_and_nothing_of_the_person(desk: Desk) -> None:
    key = desk.certificate.issue.cert_key
    verdict = await desk.lookup.by_key(key)
    assert verdict.code is Code.VALID and verdict.certificate is not None
    shown = verdict.certificate
    assert (shown.name, shown.number, shown.photo) == (None, None, None) and not shown.personal_available
    assert shown.grade_ordinal == 4 and "envelope" not in desk.ledger.asked, "nobody asks for personal data"
    assert (await desk.lookup.by_key(bytes(32))).code is Code.NOT_FOUND
    found = await desk.lookup.holding(key)
    assert found is not None and found[0] is desk.lookup.logs[0]
    assert found[1].statement.entry == desk.certificate.statement.entry
    assert await desk.lookup.holding(bytes(32)) is None


async def test_as_of_a_moment_before_it_was_entered_nothing_is_found(desk: Desk) -> None:
    """A code names body and key; that they are not looked up for an earlier moment says nothing against the body."""
    verified = desk.replica.verified
    assert verified is not None
    later = desk.log.certificate("later")
    (index,) = await desk.log.issue(later)
    desk.ledger.time_ms = desk.now[0] = desk.log.time
    await desk.replica.poll(desk.now[0])
    assert (await desk.lookup.by_text(format_code(later.code(index)))).code is Code.VALID
    known = desk.known(desk.ledger)
    then = Lookup([known], desk.scanner, lambda: desk.now[0], as_of=AsOf(size=verified.size))
    for item in (later.code(index), later.code()):
        verdict = await then.by_text(format_code(item))
        assert verdict.code is Code.NOT_FOUND and HISTORIC in verdict.findings
    assert (await then.by_text(desk.text)).code is Code.VALID

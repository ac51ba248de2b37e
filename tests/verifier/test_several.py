"""Several logs in one verifier: each answers for its own, and none makes another one's answer worse or better."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Damaged, Refused, Unavailable
from ledger.records.bundle import format_bundle
from ledger.records.cose import sign_part
from ledger.records.dates import batch_day, last_ms
from ledger.records.evidence import parse_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import format_code
from ledger.records.rotation import LogKey
from ledger.records.secret import format_secret
from ledger.records.staple import format_staple
from ledger.records.statements import issue_entry, issuer_entry, propose
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from ledger.wire import LookupAnswer
from tests.support.build_log import (
    BASE,
    FILING,
    ISSUE_DAY,
    MAP_DEPTH,
    TIME,
    Certificate,
    FakeLedger,
    LogBuilder,
    octets,
)
from tests.support.number_desk import FakeIndex
from tests.support.receipt_office import SIGNER
from verifier.eligibility.gathering import Gatherer
from verifier.known_log import AsOf, KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.numbers.asking import Asked, Numbers, Tail
from verifier.receipts.issuing import Receipts
from verifier.replica import Replica
from verifier.verdict import GREEN, Code, Source, Verdict
from verifier.violation import Violation

FIRST, SECOND = "log.test.example/2026", "log.test.example/2027"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass
class Followed:
    """One log, its ledger and the replica that follows it."""

    log: LogBuilder
    ledger: FakeLedger
    known: KnownLog
    desk: Desk

    async def issue(self, *certificates: Certificate) -> list[int]:
        self.log.time = max(self.log.time, self.desk.now - 1000)
        indexes = await self.log.issue(*certificates)
        await self.poll()
        return indexes

    async def say(self, *entries: bytes) -> None:
        self.log.time = max(self.log.time, self.desk.now - 1000)
        await self.log.batch(entries)
        await self.poll()

    async def poll(self) -> None:
        self.desk.now = max(self.desk.now, self.log.time)
        self.ledger.time_ms = self.desk.now
        assert self.known.replica is not None
        await self.known.replica.poll(self.desk.now)

    async def revoke(self, certificate: Certificate, reason: Reason = Reason.FRAUD) -> None:
        whom = Listed((certificate.issue.cert_key,))
        await self.say(issuer_entry(Ruling(Kind.REVOKE, whom, reason, ISSUE_DAY + 1, FILING), self.log.record_key))

    def closing(self, successor: str) -> bytes:
        proposal = propose(self.log.origin, LogKey(ISSUE_DAY, successor=successor))
        return proposal.signed(
            tuple(sign_part(proposal.protected, proposal.payload, one) for one in self.log.people[:2])
        )

    async def close(self, successor: str) -> None:
        await self.say(self.closing(successor))


@dataclass
class Desk:
    room: Path
    pool: Executor
    now: int = 0
    logs: list[Followed] = field(default_factory=list)

    async def open(self, origin: str, seed: str, *, time: int = TIME) -> Followed:
        path = self.room / f"{len(self.logs)}.db"
        kept = create_sqlite(path, private=False)
        await kept.put_meta({"map_depth": bytes([MAP_DEPTH])})
        log = LogBuilder(kept, await Integrator.open(kept), origin, seed, time)
        await log.batch([log.genesis_entry(), log.filing_entry()])
        store = create_sqlite(path.with_suffix(".replica"), private=False)
        await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
        ledger = FakeLedger(log)
        replica = await Replica.open(store, ledger, log.trust(), self.pool)
        followed = Followed(log, ledger, KnownLog(log.trust(), lambda: self.now, ledger, replica=replica), self)
        self.logs.append(followed)
        await followed.poll()
        return followed

    def lookup(self, **how: Any) -> Lookup:
        return Lookup([one.known for one in self.logs], None, lambda: self.now, **how)  # type: ignore[arg-type]

    async def scan(self, certificate: Certificate, index: int | None = None, **how: Any) -> Verdict:
        return await self.lookup(**how).by_text(format_code(certificate.code(index)))

    async def code(self, certificate: Certificate, index: int | None = None, **how: Any) -> Code:
        return (await self.scan(certificate, index, **how)).code

    async def pass_time(self, *fresh: Followed, ms: int = HOUR_MS) -> None:
        """Let the clock run; only the logs that are named renew their checkpoints."""
        self.now += ms
        for one in fresh:
            await one.poll()

    async def close(self) -> None:
        for one in self.logs:
            await one.log.store.close()
            if one.known.replica is not None:
                await one.known.replica.integrator.store.close()


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
async def desk(tmp_path: Path, pool: Executor) -> AsyncIterator[Desk]:
    """Two logs of different people."""
    made = Desk(tmp_path, pool)
    await made.open(FIRST, "")
    await made.open(SECOND, "b")
    yield made
    await made.close()


@pytest.fixture
async def heirs(tmp_path: Path, pool: Executor) -> AsyncIterator[Desk]:
    """Two logs in which the same body has filed the same keys, as for two years."""
    made = Desk(tmp_path, pool)
    await made.open(FIRST, "")
    await made.open(SECOND, "")
    yield made
    await made.close()


def said(verdict: Verdict, step: str) -> str:
    return next(finding.text.en for finding in verdict.findings if finding.step == step)


class TestFound:
    async def test_in_any_of_them_and_only_its_ledger_is_asked(self, desk: Desk) -> None:
        for at, one in enumerate(desk.logs):
            certificate = one.log.certificate(f"in {at}")
            (index,) = await one.issue(certificate)
            for asked in (None, index):
                for log in desk.logs:
                    log.ledger.asked.clear()
                verdict = await desk.scan(certificate, asked)
                assert verdict.code is Code.VALID and verdict.certificate is not None
                assert verdict.certificate.name == "例小明" and verdict.proof is not None
                assert verdict.proof.origin == one.log.origin
            other = desk.logs[1 - at]
            assert "envelope" not in other.ledger.asked

    async def test_the_state_of_the_others_does_not_matter(self, desk: Desk) -> None:
        first, second = desk.logs
        certificate = first.log.certificate("one")
        (index,) = await first.issue(certificate)
        await desk.pass_time(first)
        for asked in (None, index):
            assert await desk.code(certificate, asked) is Code.VALID, "the other is stale"
        assert second.known.replica is not None
        second.known.replica.halted = Violation("a fork")
        assert await desk.code(certificate) is Code.VALID
        replica, second.known.replica = second.known.replica, None
        assert await desk.code(certificate) is Code.VALID
        second.known.replica = replica

    async def test_its_own_staleness_does(self, desk: Desk) -> None:
        first, second = desk.logs
        certificate = first.log.certificate("one")
        (index,) = await first.issue(certificate)
        await desk.pass_time(second)
        for asked in (None, index):
            assert await desk.code(certificate, asked) is Code.STALE
        await first.revoke(certificate)
        await desk.pass_time(second)
        assert await desk.code(certificate) is Code.REVOKED, "what was revoked stays so"

    async def test_a_damaged_store_costs_only_its_own(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = desk.logs
        certificate, nobody = first.log.certificate("one"), first.log.certificate("nobody")
        await first.issue(certificate)

        async def damaged(*_: object) -> None:
            raise Unavailable(Text("没有应答", "damaged"))

        monkeypatch.setattr(second.known, "_register", damaged)
        assert await desk.code(certificate) is Code.VALID
        assert await desk.code(nobody) is Code.UNAVAILABLE


class TestDown:
    """One log's database is down, damaged or hangs."""

    @staticmethod
    def breaks(log: Followed, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> list[bytes]:
        """What is read of a certificate in its replica raises, or without `error` never comes; the keys asked for."""
        asked = list[bytes]()

        async def broken(cert_key: bytes) -> None:
            asked.append(cert_key)
            if error is not None:
                raise error
            await asyncio.Event().wait()

        assert log.known.replica is not None
        monkeypatch.setattr(log.known.replica.integrator, "certificate", broken)
        return asked

    async def test_one_that_hangs_holds_no_page_up(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = desk.logs
        one, nobody = (first.log.certificate(name) for name in ("one", "nobody"))
        await first.issue(one)
        lookup = desk.lookup(answer_s=0.01)
        asked, running = self.breaks(second, monkeypatch, None), asyncio.all_tasks()
        async with asyncio.timeout(120):
            assert (await lookup.by_text(one.code().link)).code is Code.VALID
            assert len(asked) == 1 and asyncio.all_tasks() == running
            for certificate, wanted in ((one, Code.VALID), (nobody, Code.UNAVAILABLE)):
                assert (await lookup.by_text(certificate.code().link)).code is wanted
            assert len(asked) == 1, "a moment later it is not asked"
            desk.now += 5000
            assert (await lookup.by_text(nobody.code().link)).code is Code.UNAVAILABLE
            assert len(asked) == 2

    async def test_what_it_has_is_unavailable_and_never_green(
        self, heirs: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = heirs.logs
        one, other = old.log.certificate("one"), new.log.certificate("other")
        await old.issue(one)
        await new.issue(other)
        await old.close(SECOND)
        await heirs.pass_time(new)
        lookup = heirs.lookup(answer_s=0.01)
        assert (await lookup.by_text(one.code().link)).code is Code.VALID
        self.breaks(new, monkeypatch, None)
        async with asyncio.timeout(120):
            assert (await lookup.by_text(one.code().link)).code is Code.STALE, "it holds as of its successor"
            assert (await lookup.by_text(other.code().link)).code is Code.STALE

    async def test_an_old_map_may_take_longer(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of an earlier moment only one that says nothing at all is not waited for."""
        first, second = desk.logs
        one = first.log.certificate("one")
        await first.issue(one)
        day = batch_day(desk.now)
        real, began = second.known.answer, list[AsOf | None]()

        async def slow(item: Any, as_of: AsOf | None = None, until_ms: int | None = None) -> Any:
            began.append(as_of)
            await asyncio.sleep(0.05)
            return await real(item, as_of, until_ms)

        monkeypatch.setattr(second.known, "answer", slow)
        lookup = desk.lookup(answer_s=0.01, as_of=AsOf(day=day))
        nobody = first.log.certificate("nobody")
        assert (await lookup.by_text(nobody.code().link)).code is Code.NOT_FOUND
        self.breaks(second, monkeypatch, None)
        async with asyncio.timeout(120):
            assert (await lookup.by_text(one.code().link)).code is Code.VALID
            assert (await lookup.by_text(nobody.code().link)).code is Code.UNAVAILABLE
        assert began == [AsOf(day=day)]

    async def test_after_a_restart_an_old_map_that_takes_longer_is_begun_once(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of what was taken in but not verified yet, proofs come from the map before: a scan gives up on that, and the
        next one finds it made."""
        _, second = desk.logs
        one = second.log.certificate("one")
        await second.issue(one)
        await second.log.issue(second.log.certificate("late"))
        old, desk.now = second.known.replica, second.log.time
        assert old is not None

        def stop(_size: int) -> None:
            raise Unavailable(Text("网络中断", "the network went away"))

        with pytest.raises(Unavailable):
            await old.poll(desk.now, stop)
        store, free, began = old.integrator.store, asyncio.Event(), list[int]()
        replica = await Replica.open(store, second.ledger, second.log.trust(), desk.pool)
        assert replica.verified is not None and replica.integrator.size > replica.verified.size
        second.known.replica, read = replica, store.changed_since  # type: ignore[attr-defined]

        async def slow(seal: int, after: bytes, limit: int) -> Any:
            if after == b"\xff" * 32:
                began.append(seal)
            await free.wait()
            return await read(seal, after, limit)

        monkeypatch.setattr(store, "changed_since", slow)
        running = asyncio.all_tasks()

        async def scanned() -> Code:
            return await desk.code(one, answer_s=0.05)

        async with asyncio.timeout(120):
            while not began:
                assert await scanned() is Code.UNAVAILABLE
            for _ in range(3):
                assert await scanned() is Code.UNAVAILABLE
            assert len(began) == 1, "each scan goes on with what the first one began"
            free.set()
            while await scanned() is not Code.VALID:
                pass
        assert len(began) == 1
        free.clear()
        day = asyncio.create_task(replica.evidence(one.issue.cert_key, size=3))
        while len(began) == 1:
            await asyncio.sleep(0)
        day.cancel()
        await replica.close()
        assert asyncio.all_tasks() == running, "and it ends with the replica"

    @pytest.mark.parametrize("error", [Unavailable(Text("没有应答", "down")), Damaged(Text("一行", "a row")), None])
    async def test_the_others_give_their_proofs(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception | None
    ) -> None:
        for at, (up, down) in enumerate((desk.logs, desk.logs[::-1])):
            one, nobody = up.log.certificate(f"{at}"), up.log.certificate("nobody").issue.cert_key
            await up.issue(one)
            lookup = desk.lookup(answer_s=0.01)
            assert parse_evidence(await lookup.evidence(nobody)).state == b""
            with monkeypatch.context() as broken:
                self.breaks(down, broken, error)
                async with asyncio.timeout(120):
                    shown = parse_evidence(await lookup.evidence(one.issue.cert_key))
                    assert shown.cert_key == one.issue.cert_key and shown.state
                    for _ in range(2):
                        with pytest.raises(Unavailable):
                            await lookup.evidence(nobody)
            replica, down.known.replica = down.known.replica, None
            assert await desk.lookup().evidence(one.issue.cert_key)
            with pytest.raises(Unavailable):
                await desk.lookup().evidence(nobody)
            down.known.replica = replica

    async def test_a_bug_is_nobody_elses_answer(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        one = desk.logs[0].log.certificate("one")
        await desk.logs[0].issue(one)
        self.breaks(desk.logs[1], monkeypatch, AssertionError("a bug"))
        with pytest.raises(AssertionError, match="a bug"):
            await desk.lookup().evidence(one.issue.cert_key)

    async def test_whether_it_is_open_is_told(self, desk: Desk) -> None:
        first, second = desk.logs
        second.known.replica, second.known.unopened = None, "STORE_IN_USE"
        lookup = desk.lookup()
        readiness = lookup.ready()
        assert readiness.ok and readiness.detail["logs"] == [
            first.known.condition(),
            {"origin": SECOND, "problem": "STORE_IN_USE", "open": False, "synced": False, "target": 0},
        ]
        for log, wanted in ((FIRST, 1), (SECOND, 0)):
            assert lookup.metrics.get_sample_value("certverifier_replica_open", {"origin": log}) == wanted


class TestNowhere:
    async def test_a_no_needs_every_log(self, desk: Desk) -> None:
        first, second = desk.logs
        nobody = first.log.certificate("nobody")
        assert await desk.code(nobody) is Code.NOT_FOUND
        assert await desk.code(nobody, 7) is Code.NOT_FOUND, "signed by a key that the first knows, in no log"
        for stale, fresh in ((first, second), (second, first)):
            await desk.pass_time(fresh)
            for asked in (None, 7):
                verdict = await desk.scan(nobody, asked)
                assert verdict.code is Code.STALE and verdict.certificate is None
            await stale.poll()
            assert await desk.code(nobody) is Code.NOT_FOUND
        for one in desk.logs:
            assert one.known.replica is not None
            one.known.replica.halted = Violation("a fork")
            assert await desk.code(nobody) is Code.STALE
            one.known.replica.halted = None
            replica, one.known.replica = one.known.replica, None
            assert await desk.code(nobody) is Code.UNAVAILABLE
            assert await desk.code(nobody, 7) is Code.UNAVAILABLE
            one.known.replica = replica

    async def test_a_key_that_one_of_them_knows_is_enough(self, desk: Desk) -> None:
        """The body has filed other keys in the other log: that is no forgery."""
        for one in desk.logs:
            assert await desk.code(one.log.certificate("new"), 9) is Code.NOT_FOUND
        stranger = desk.logs[0].log.certificate("new", signer=Ed25519Signer(octets("stranger")))
        assert await desk.code(stranger, 9) is Code.TAMPERED, "every log is up to date and none knows the key"
        await desk.pass_time(desk.logs[0])
        assert await desk.code(stranger, 9) is Code.STALE, "the other may have it by now"

    async def test_a_wrong_signature_under_a_known_key_is_one_everywhere(self, desk: Desk) -> None:
        good = desk.logs[0].log.certificate("new")
        forged = replace(good, face=replace(good.face, name="张冒名"))
        assert await desk.code(forged, 9) is Code.TAMPERED
        await desk.pass_time(desk.logs[0])
        assert await desk.code(forged, 9) is Code.TAMPERED

    async def test_the_bodys_own_word_is_not_altered_because_its_log_is_down(self, heirs: Desk) -> None:
        """The other log has a copy under the same cert key, by the same body's key: not what the code carries."""
        first, second = heirs.logs
        mine, copy = second.log.certificate("one"), first.log.certificate("one", grade=5)
        (index,) = await second.issue(mine)
        await first.issue(copy)
        assert await heirs.code(mine, index) is Code.VALID
        replica, second.known.replica = second.known.replica, None
        assert await heirs.code(mine, index) is Code.UNAVAILABLE
        forged = replace(mine, face=replace(mine.face, name="张冒名"))
        assert await heirs.code(forged, index) is Code.TAMPERED, "this one nobody has signed"
        second.known.replica = replica
        assert await heirs.code(forged, index) is Code.TAMPERED

    async def test_offline(self, desk: Desk) -> None:
        new = desk.logs[1].log.certificate("new")
        await desk.pass_time()
        verdict = await desk.scan(new, 9, offline=True)
        assert verdict.code is Code.OFFLINE_SIGNATURE_OK and verdict.issuer is not None


class TestTwice:
    """The same cert key in two logs."""

    async def test_a_later_copy_changes_nothing(self, desk: Desk) -> None:
        """Anybody who is filed somewhere can log somebody else's cert key: it neither revokes nor revives."""
        first, second = desk.logs
        mine, copy = first.log.certificate("one"), second.log.certificate("one", grade=5)
        assert mine.secret == copy.secret
        (index,) = await first.issue(mine)
        await desk.pass_time(first, ms=5000)
        (other,) = await second.issue(copy)
        verdict = await desk.scan(mine)
        assert verdict.code is Code.VALID and verdict.proof is not None and verdict.proof.origin == FIRST
        assert "report this" in said(verdict, "logged")
        exact = await desk.scan(mine, index)
        assert exact.code is Code.VALID and exact.proof is not None and exact.proof.origin == FIRST
        theirs = await desk.scan(copy, other)
        assert theirs.proof is not None and theirs.proof.origin == SECOND, "its own code shows what it is"
        assert "report this" in said(theirs, "logged")
        await first.revoke(mine)
        assert await desk.code(mine) is await desk.code(mine, index) is Code.REVOKED
        await desk.pass_time(second)
        assert await desk.code(mine) is Code.REVOKED
        await second.revoke(copy)
        await first.poll()
        assert await desk.code(mine) is Code.REVOKED

    async def test_a_copy_does_not_make_a_code_altered(self, desk: Desk) -> None:
        """Somebody logs the cert key elsewhere while this verifier cannot reach the log that has it."""
        first, second = desk.logs
        mine = first.log.certificate("one")
        index = first.log.integrator.size
        await second.issue(second.log.certificate("one"))
        assert await desk.code(mine, index) is Code.TAMPERED, "nobody has these bytes, and all are up to date"
        await desk.pass_time(second)
        assert await desk.code(mine, index) is Code.STALE
        assert first.known.replica is not None
        replica, first.known.replica = first.known.replica, None
        assert await desk.code(mine, index) is Code.UNAVAILABLE
        first.known.replica = replica
        assert (await first.issue(mine)) == [index]
        assert await desk.code(mine, index) is Code.VALID

    async def test_a_stale_first_log_is_not_helped_by_a_copy(self, desk: Desk) -> None:
        first, second = desk.logs
        mine, copy = first.log.certificate("one"), second.log.certificate("one")
        await first.issue(mine)
        await desk.pass_time(second)
        await second.issue(copy)
        assert await desk.code(mine) is Code.STALE

    @pytest.mark.parametrize("at", [0, 1])
    async def test_the_same_bytes_the_least_favourable_counts(self, heirs: Desk, at: int) -> None:
        certificate = heirs.logs[0].log.certificate("one")
        (index,) = await heirs.logs[0].issue(certificate)
        await heirs.logs[1].issue(heirs.logs[1].log.certificate("another"))
        await heirs.logs[1].issue(certificate)
        for asked in (None, index):
            verdict = await heirs.scan(certificate, asked)
            assert verdict.code is Code.VALID and "report this" in said(verdict, "logged")
        await heirs.pass_time(heirs.logs[at])
        assert await heirs.code(certificate) is Code.STALE
        await heirs.logs[at].revoke(certificate)
        await heirs.pass_time(heirs.logs[1 - at])
        assert await heirs.code(certificate) is await heirs.code(certificate, index) is Code.REVOKED
        raw = format_bundle(await heirs.logs[1 - at].log.bundle(certificate, time_ms=heirs.now))
        assert (await heirs.lookup().by_file(raw)).code is Code.REVOKED

    async def test_their_ledgers_are_waited_for_at_the_same_time(self, heirs: Desk) -> None:
        """A page has two seconds, and each of them may take that for the personal data."""
        certificate = heirs.logs[0].log.certificate("one")
        both, asked = asyncio.Event(), list[str]()
        for one in heirs.logs:
            await one.issue(certificate)
            envelope = one.ledger.envelope

            async def waits(*what: Any, origin: str = one.log.origin, envelope: Any = envelope) -> bytes | None:
                asked.append(origin)
                if len(asked) == 2:
                    both.set()
                await both.wait()
                return await envelope(*what)  # type: ignore[no-any-return]

            one.ledger.envelope = waits  # type: ignore[method-assign]
            one.known._envelopes._ledger._wait_s = 120.0
        async with asyncio.timeout(60):
            assert await heirs.code(certificate) is Code.VALID
        assert sorted(asked) == [FIRST, SECOND]

    async def test_it_is_counted(self, desk: Desk) -> None:
        first, second = desk.logs
        mine = first.log.certificate("one")
        await first.issue(mine)
        await second.issue(second.log.certificate("one"))
        lookup = desk.lookup()
        await lookup.by_secret(format_secret(mine.secret))
        assert lookup.metrics.get_sample_value("certverifier_several_logs_total") == 1
        await lookup.by_secret(format_secret(first.log.certificate("x").secret))
        assert lookup.metrics.get_sample_value("certverifier_several_logs_total") == 1


class TestSuccessor:
    """A closed log takes nothing more: what it says holds as long as its successor's data is recent."""

    async def test_the_page_follows(self, heirs: Desk) -> None:
        old, new = heirs.logs
        certificate, nobody = old.log.certificate("one"), old.log.certificate("nobody")
        (index,) = await old.issue(certificate)
        await old.close(SECOND)
        assert old.known.successor == SECOND and old.known.condition()["successor"] == SECOND
        await heirs.pass_time(new)
        for asked in (None, index):
            verdict = await heirs.scan(certificate, asked)
            assert verdict.code is Code.VALID and verdict.as_of_ms == heirs.now
            assert verdict.proof is not None and verdict.proof.origin == FIRST
        assert await heirs.code(nobody) is Code.NOT_FOUND, "an end is an end, however old"
        await heirs.pass_time()
        assert await heirs.code(certificate) is await heirs.code(nobody) is Code.STALE

    async def test_an_end_counts_once_it_is_verified(self, heirs: Desk) -> None:
        old, _ = heirs.logs

        def stop(_size: int) -> None:
            raise Unavailable(Text("没有应答", "the network went away"))

        poll, replica = old.poll, old.known.replica
        assert replica is not None
        old.poll = lambda: replica.poll(heirs.now + DAY_MS, stop)  # type: ignore[method-assign,assignment,return-value]
        with pytest.raises(Unavailable):
            await old.close(SECOND)
        assert replica.integrator.authority is not None and replica.integrator.authority.successor == SECOND
        assert old.known.successor == ""
        await poll()
        assert old.known.successor == SECOND

    async def test_without_the_successor_s_data_nothing_is_green(self, heirs: Desk) -> None:
        old, new = heirs.logs
        certificate = old.log.certificate("one")
        await old.issue(certificate)
        await old.close(SECOND)
        replica, new.known.replica = new.known.replica, None
        verdict = await heirs.scan(certificate)
        assert verdict.code is Code.STALE and "successor" in said(verdict, "freshness")
        new.known.replica = replica
        assert replica is not None
        replica.halted = Violation("a fork")
        assert await heirs.code(certificate) is Code.STALE
        replica.halted = None
        assert await heirs.code(certificate) is Code.VALID

    async def test_a_successor_that_is_not_believed_here_is_nobody(self, heirs: Desk) -> None:
        old, new = heirs.logs
        certificate = old.log.certificate("one")
        await old.issue(certificate)
        await old.close("log.test.example/elsewhere")
        assert await heirs.code(certificate) is Code.VALID
        await heirs.pass_time(new)
        assert await heirs.code(certificate) is Code.STALE

    async def test_what_was_taken_over_is_the_successor_s(self, heirs: Desk) -> None:
        old, new = heirs.logs
        certificate = old.log.certificate("one")
        (index,) = await old.issue(certificate)
        bundle = format_bundle(await old.log.bundle(certificate, time_ms=heirs.now))
        staple = format_staple(await old.log.staple(certificate, time_ms=heirs.now))
        await old.close(SECOND)
        await new.issue(new.log.certificate("of the new one"))
        await new.issue(certificate)
        for asked in (None, index):  # the code says where it stood in the old one
            verdict = await heirs.scan(certificate, asked)
            assert verdict.code is Code.VALID and "report" not in said(verdict, "logged")
            assert verdict.proof is not None and verdict.proof.origin == SECOND and verdict.proof.index != index
        assert await heirs.code(certificate, index + 9) is Code.TAMPERED, "it stands there in neither"
        assert (await heirs.lookup().by_file(bundle)).code is Code.VALID
        await new.revoke(certificate)
        assert await heirs.code(certificate) is await heirs.code(certificate, index) is Code.REVOKED
        for raw in (bundle, staple):
            verdict = await heirs.lookup().by_file(raw)
            assert verdict.code is Code.REVOKED and "report" not in said(verdict, "logged")

    async def test_no_receipt_of_a_closed_one_and_why(self, heirs: Desk) -> None:
        """A receipt carries one log's evidence, and that of a closed log grows old."""
        old, new = heirs.logs
        one, taken = old.log.certificate("one"), old.log.certificate("taken over")
        await old.issue(one, taken)
        await old.close(SECOND)
        await new.issue(taken)
        receipts = Receipts(heirs.lookup(), load_messages(), SIGNER, BASE)
        assert (await receipts.of_text(one.code().link)).code == "valid"
        await heirs.pass_time(new)
        assert await heirs.code(one) is Code.VALID
        with pytest.raises(Refused) as refused:
            await receipts.of_text(one.code().link)
        assert refused.value.code == "NO_RECEIPT"
        for text, words in ((refused.value.text.en, "is closed"), (refused.value.text.zh, "已关闭")):
            assert words in text and FIRST in text and SECOND in text
        assert (await receipts.of_text(taken.code().link)).code == "valid", "what the text says to do helps"

    async def test_two_logs_that_name_each_other_are_no_loop(self, heirs: Desk) -> None:
        old, new = heirs.logs
        certificate = old.log.certificate("one")
        await old.issue(certificate)
        await old.close(SECOND)
        await new.close(FIRST)
        assert await heirs.code(certificate) in (Code.VALID, Code.STALE)
        await heirs.pass_time()
        assert await heirs.code(certificate) is Code.STALE


class TestFiles:
    async def test_a_bundle_is_judged_by_its_own_log(self, desk: Desk) -> None:
        for one in desk.logs:
            certificate = one.log.certificate(f"of {one.log.origin}")
            await one.issue(certificate)
            raw = format_bundle(await one.log.bundle(certificate, time_ms=desk.now))
            verdict = await desk.lookup().by_file(raw)
            assert verdict.code is Code.VALID and verdict.source is Source.REPLICA
            assert verdict.proof is not None and verdict.proof.origin == one.log.origin
            at = raw.index(one.log.origin.encode())
            changed = raw[:at] + b"x" + raw[at + 1 :]
            assert (await desk.lookup().by_file(changed)).code not in GREEN

    async def test_a_bundle_of_a_log_that_nobody_believes(self, desk: Desk, tmp_path: Path) -> None:
        log = await LogBuilder.create(tmp_path / "third.db", origin="log.test.example/third")
        certificate = log.certificate("one")
        await log.issue(certificate)
        raw = format_bundle(await log.bundle(certificate))
        assert (await desk.lookup().by_file(raw)).code is Code.TAMPERED
        await log.store.close()

    async def test_a_bundle_newer_than_the_replica(self, desk: Desk) -> None:
        second = desk.logs[1]
        certificate = second.log.certificate("one")
        await second.log.issue(certificate)
        raw = format_bundle(await second.log.bundle(certificate, time_ms=desk.now))
        verdict = await desk.lookup().by_file(raw)
        assert verdict.source is Source.BUNDLE and verdict.code is Code.STALE, "no map auditor vouches for it"


class TestEarlierMoments:
    async def test_a_log_that_had_not_begun_says_nothing(self, tmp_path: Path, pool: Executor) -> None:
        desk = Desk(tmp_path, pool)
        first = await desk.open(FIRST, "")
        one, nobody = first.log.certificate("one"), first.log.certificate("nobody")
        await first.issue(one)
        day = batch_day(desk.now)
        second = await desk.open(SECOND, "b", time=desk.now + 3 * DAY_MS)
        await first.poll()
        two = second.log.certificate("two")
        await second.issue(two)
        for certificate, wanted in ((one, Code.VALID), (two, Code.NOT_FOUND), (nobody, Code.NOT_FOUND)):
            assert await desk.code(certificate, as_of=AsOf(day=day)) is wanted
        for asked, code in ((day - 5, "TOO_EARLY"), (day + 50, "NOT_YET")):
            with pytest.raises(Refused) as refused:
                await desk.scan(one, as_of=AsOf(day=asked))
            assert refused.value.code == code
        await desk.pass_time(first, ms=3 * DAY_MS)
        today = batch_day(desk.now) - 1
        assert await desk.code(one, as_of=AsOf(day=today)) is Code.VALID
        assert await desk.code(nobody, as_of=AsOf(day=today)) is Code.UNAVAILABLE, "the other has not come that far"
        await desk.close()

    async def test_a_log_that_has_not_so_many_leaves_leaves_no_no(self, desk: Desk) -> None:
        """A size is one of each log: a small log may have had the certificate for long."""
        first, second = desk.logs
        await first.issue(*(first.log.certificate(f"c{at}") for at in range(8)))
        one = second.log.certificate("one")
        await second.issue(one)
        size = first.log.integrator.size
        assert size > second.log.integrator.size
        assert await desk.code(one) is Code.VALID
        assert await desk.code(one, as_of=AsOf(size=size)) is Code.UNAVAILABLE
        with pytest.raises(Refused, match="NO_SUCH_SIZE"):
            await desk.code(one, as_of=AsOf(size=10**6))

    async def test_a_day_behind_the_end_of_a_closed_log(self, heirs: Desk) -> None:
        """Wages of a past month: the certificates of a log that was closed before are still in force in it."""
        old, new = heirs.logs
        one, gone, taken = (old.log.certificate(name) for name in ("one", "gone", "taken over"))
        await old.issue(one, gone, taken)
        await old.revoke(gone)
        await old.close(SECOND)
        closed = batch_day(heirs.now)
        await heirs.pass_time(new, ms=40 * DAY_MS)
        await new.issue(taken)
        last_month = batch_day(heirs.now) - 1
        gatherer = Gatherer(heirs.lookup(), lambda: heirs.now)
        for day in (closed, closed + 1, last_month):
            verdict = await heirs.scan(one, as_of=AsOf(day=day))
            assert verdict.code is Code.VALID and verdict.as_of_ms == last_ms(day)
            assert verdict.proof is not None and verdict.proof.origin == FIRST
            assert await heirs.code(gone, as_of=AsOf(day=day)) is Code.REVOKED
            assert (await gatherer.of_text(one.code().link, day=day)).certificate is not None
            assert (await gatherer.of_text(gone.code().link, day=day)).certificate is None
        assert await heirs.code(old.log.certificate("nobody"), as_of=AsOf(day=last_month)) is Code.NOT_FOUND
        today = batch_day(heirs.now)
        await new.revoke(taken)
        await heirs.pass_time(new, ms=2 * DAY_MS)
        for day, code, origin in ((today - 1, Code.VALID, FIRST), (today + 1, Code.REVOKED, SECOND)):
            verdict = await heirs.scan(taken, as_of=AsOf(day=day))
            assert verdict.code is code and "report" not in said(verdict, "logged"), day
            assert verdict.proof is not None and verdict.proof.origin == origin
        with pytest.raises(Refused) as refused:
            await heirs.scan(one, as_of=AsOf(day=batch_day(heirs.now) + 1))
        assert refused.value.code == "NOT_YET"

    async def test_a_day_behind_the_end_needs_the_successor(self, heirs: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        old, new = heirs.logs
        one = old.log.certificate("one")
        await old.issue(one)
        await heirs.pass_time(new, ms=10 * DAY_MS)
        day = AsOf(day=batch_day(heirs.now) - 1)
        assert await heirs.code(one, as_of=day) is Code.UNAVAILABLE, "the log is open, and silent"
        old.log.time = heirs.now - 10 * DAY_MS + 1000
        await old.log.batch([old.closing(SECOND)])
        old.ledger.time_ms = old.log.time
        assert old.known.replica is not None and new.known.replica is not None
        await old.known.replica.poll(heirs.now)
        assert await heirs.code(one, as_of=day) is Code.VALID
        for broken in (old, new):
            assert broken.known.replica is not None
            broken.known.replica.halted = Violation("a fork")
            assert await heirs.code(one, as_of=day) not in GREEN
            broken.known.replica.halted = None
        replica, new.known.replica = new.known.replica, None
        assert await heirs.code(one, as_of=day) is Code.UNAVAILABLE
        new.known.replica = replica

        async def damaged(*_: object, **__: object) -> bytes:
            raise Unavailable(Text("没有应答", "the database does not answer"))

        with monkeypatch.context() as patched:
            patched.setattr(replica, "evidence", damaged)
            verdict = await heirs.scan(one, as_of=day)
            assert verdict.code is Code.STALE and "successor" in said(verdict, "freshness"), "it may have taken it over"
        assert await heirs.code(one, as_of=day) is Code.VALID
        with pytest.raises(Refused) as refused:
            await heirs.scan(one, as_of=AsOf(day=batch_day(heirs.now) + 1))
        assert refused.value.code == "NOT_YET", "the successor has not come that far"

    async def test_without_replicas_each_ledger_is_asked(self, desk: Desk) -> None:
        one, nobody = desk.logs[1].log.certificate("one"), desk.logs[1].log.certificate("nobody")
        await desk.logs[1].issue(one)
        known = [KnownLog(log.log.trust(), lambda: desk.now, log.ledger, proofs=log.ledger) for log in desk.logs]
        lookup = Lookup(known, None, lambda: desk.now)  # type: ignore[arg-type]
        for log in desk.logs:
            log.ledger.time_ms = desk.now
        verdict = await lookup.by_text(format_code(one.code()))
        assert verdict.code is Code.STALE and verdict.source is Source.EVIDENCE, "no map auditor here"
        desk.logs[0].ledger.down = True
        assert (await lookup.by_text(format_code(one.code()))).code is Code.STALE
        assert (await lookup.by_text(format_code(nobody.code()))).code is Code.STALE


class TestServices:
    async def test_ready_while_one_of_them_is(self, desk: Desk) -> None:
        first, _ = desk.logs
        await desk.pass_time(first)
        ready = desk.lookup().ready()
        assert ready.ok
        logs = ready.detail["logs"]
        assert [(log["origin"], log["fresh"]) for log in logs] == [(FIRST, True), (SECOND, False)]  # type: ignore[attr-defined]
        await desk.pass_time()
        assert not desk.lookup().ready().ok

    async def test_metrics_of_each(self, desk: Desk) -> None:
        metrics = desk.lookup().metrics
        for one in desk.logs:
            size = metrics.get_sample_value("certverifier_replica_size", {"origin": one.log.origin})
            assert size == one.log.integrator.size

    async def test_evidence_is_of_the_log_whose_answer_counts(self, desk: Desk) -> None:
        """A browser checks the page against it: a copy in the log that the settings name first would turn it red."""
        first, second = desk.logs
        mine = second.log.certificate("one")
        await second.issue(mine)
        await desk.pass_time(second, ms=5000)
        await first.issue(first.log.certificate("one", grade=5))
        await evidence_fits_page(desk, mine, Code.VALID)

    async def test_a_copy_elsewhere_does_not_say_whose_it_is(self, desk: Desk) -> None:
        """A body that is filed anywhere could enter the key of somebody's code with another person's document."""
        first, second = desk.logs
        mine, copy = second.log.certificate("one"), first.log.certificate("one", grade=5)
        await second.issue(mine)
        await desk.pass_time(second, ms=5000)
        await first.issue(copy)
        theirs, own = FakeIndex(), FakeIndex()
        theirs.add(copy, "9999")
        own.add(mine, "123X")
        asked, secret = [Asked(first.known, theirs), Asked(second.known, own)], format_secret(mine.secret)
        for known, tails in ((asked, (Tail.OTHER, Tail.SAME)), (asked[:1], (Tail.UNKNOWN, Tail.UNKNOWN))):
            numbers = Numbers(known, desk.lookup(), lambda: desk.now)
            assert (await numbers.tail_of_secret(secret, "9999"), await numbers.tail_of_secret(secret, "123X")) == tails

    async def test_evidence_of_the_same_bytes_is_of_the_log_that_is_told(self, heirs: Desk) -> None:
        both = heirs.logs[0].log.certificate("both")
        for log in heirs.logs:
            await log.issue(both)
        await heirs.logs[1].revoke(both)
        await evidence_fits_page(heirs, both, Code.REVOKED)

    async def test_evidence_comes_from_the_log_that_has_it(self, desk: Desk) -> None:
        second = desk.logs[1]
        certificate = second.log.certificate("one")
        await second.issue(certificate)
        for key, origin in ((certificate.issue.cert_key, SECOND), (bytes(32), FIRST)):
            evidence = parse_evidence(await desk.lookup().evidence(key))
            assert evidence.checkpoint.startswith(origin.encode() + b"\n")


class TestNumbers:
    """An index names a certificate; what becomes of it is said as of its link."""

    async def test_what_the_successor_took_over_is_the_successors(self, heirs: Desk) -> None:
        old, new = heirs.logs
        one = old.log.certificate("one")
        await old.issue(one)
        await old.close(SECOND)
        await new.issue(one)
        await new.revoke(one)
        theirs, silent = FakeIndex(), FakeIndex(failure=Unavailable(Text("没有应答", "down")))
        theirs.add(one)
        assert await heirs.code(one) is Code.REVOKED
        for asked in ([Asked(old.known, theirs), Asked(new.known, silent)], [Asked(old.known, theirs)]):
            assert await numbered(heirs, asked, one) is Code.REVOKED

    async def test_a_closed_log_is_as_its_successor_is(self, heirs: Desk) -> None:
        old, new = heirs.logs
        one = old.log.certificate("one")
        await old.issue(one)
        await old.close(SECOND)
        await heirs.pass_time(new)
        index = FakeIndex()
        index.add(one)
        asked = [Asked(old.known, index), Asked(new.known, FakeIndex())]
        assert (await heirs.code(one), await numbered(heirs, asked, one)) == (Code.VALID, Code.VALID)
        await heirs.pass_time(old, new, ms=1000)
        assert new.known.replica is not None
        new.known.replica.halted = Violation("two histories")
        assert (await heirs.code(one), await numbered(heirs, asked, one)) == (Code.STALE, Code.STALE)

    async def test_a_number_that_moved_in_the_successor_is_the_new_certificates(self, heirs: Desk) -> None:
        """The closed log's index names the certificate of before for good."""
        old, new = heirs.logs
        lost = old.log.certificate("lost")
        await old.issue(lost)
        await old.close(SECOND)
        await new.issue(lost)
        found = new.log.certificate("found", track="lost", replaces=lost.issue.cert_key)
        await new.issue(found)
        theirs, own = FakeIndex(), FakeIndex()
        theirs.add(lost, "123X")
        theirs.found[found.face.number, found.face.name] = theirs.found[lost.face.number, lost.face.name]
        own.add(found, "123X")
        asked = [Asked(old.known, theirs), Asked(new.known, own)]
        assert (await heirs.code(lost), await heirs.code(found)) == (Code.REVOKED, Code.VALID)
        assert await numbered(heirs, asked, found) is Code.VALID
        numbers = Numbers(asked, heirs.lookup(), lambda: heirs.now)
        assert await numbers.tail_of(found.face.number, found.face.name, "123X") is Tail.SAME
        assert theirs.tries == {} and list(own.tries) == [found.issue.cert_key]

    async def test_a_name_corrected_in_the_successor_is_like_any_wrong_name(self, heirs: Desk) -> None:
        old, new = heirs.logs
        one = old.log.certificate("one")
        await old.issue(one)
        await old.close(SECOND)
        await new.issue(one)
        theirs, own = FakeIndex(), FakeIndex()
        theirs.add(one)
        asked = [Asked(old.known, theirs), Asked(new.known, own)]
        assert await numbered(heirs, asked, one) is Code.VALID, (
            "its own index lost what it had (refill): that says nothing"
        )
        await new.log.correct(one, "例改名")
        await new.poll()
        assert await numbered(heirs, asked, one) is Code.NOT_FOUND
        own.failure = Unavailable(Text("没有应答", "down"))
        assert await numbered(heirs, asked, one) is Code.UNAVAILABLE, "the corrected name may be this one again"
        alone = Numbers(asked[:1], heirs.lookup(), lambda: heirs.now)
        assert (await alone.by_number(one.face.number, one.face.name)).code is Code.UNAVAILABLE

    async def test_one_log_has_the_clients_own_deadline(self, desk: Desk) -> None:
        first, _ = desk.logs
        mine, index = first.log.certificate("one"), FakeIndex()
        await first.issue(mine)
        index.add(mine)

        class Slow(FakeIndex):
            async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
                await asyncio.sleep(0.05)
                return await index.lookup(pairs)

        alone = Lookup([first.known], None, lambda: desk.now)  # type: ignore[arg-type]
        numbers = Numbers([Asked(first.known, Slow())], alone, lambda: desk.now, wait_s=0.001)
        for _ in range(2):
            assert (await numbers.by_number(mine.face.number, mine.face.name)).code is Code.VALID

        class Down(FakeIndex):
            calls = 0

            async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
                self.calls += 1
                await asyncio.sleep(0.05)
                raise Unavailable(Text("没有应答", "the client waited for a minute"))

        down = Down()
        numbers = Numbers([Asked(first.known, down)], alone, lambda: desk.now, wait_s=0.001)
        for _ in range(5):
            assert (await numbers.by_number(mine.face.number, mine.face.name)).code is Code.UNAVAILABLE
        assert down.calls == 1, "each of a hundred pieces of a list would wait as long"

    async def test_a_log_that_takes_no_look_ups_leaves_no_no(self, desk: Desk) -> None:
        first, second = desk.logs
        mine, index = second.log.certificate("one"), FakeIndex()
        await second.issue(mine)
        asked = [Asked(first.known, index)]
        verdict = await Numbers(asked, desk.lookup(), lambda: desk.now).by_number(mine.face.number, mine.face.name)
        assert verdict.code is Code.UNAVAILABLE and "takes no look-ups" in verdict.findings[0].text.en
        numbers = Numbers(asked, desk.lookup(), lambda: desk.now)
        assert await numbers.tail_of(mine.face.number, mine.face.name, "123X") is Tail.UNKNOWN
        index.add(mine)  # an index may know what its log does not have: it is judged by the one that does
        assert await numbered(desk, asked, mine) is Code.VALID

    async def test_a_ledger_that_hangs_holds_up_no_other_and_is_left_alone(self, desk: Desk) -> None:
        first, second = desk.logs
        mine, index, answered, hung = second.log.certificate("one"), FakeIndex(), asyncio.Event(), 0
        await second.issue(mine)
        index.add(mine)

        class Hanging(FakeIndex):
            async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
                nonlocal hung
                hung += 1
                await answered.wait()
                return await FakeIndex().lookup(pairs)

            async def match(self, cert_key: bytes, last4: str) -> bool:
                raise AssertionError("it is left alone")

        other = FakeIndex()

        async def told(pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
            answered.set()
            return await index.lookup(pairs)

        other.lookup = told  # type: ignore[method-assign]
        both = [Asked(first.known, Hanging()), Asked(second.known, other)]
        patient = Numbers(both, desk.lookup(), lambda: desk.now, wait_s=1e6)
        async with asyncio.timeout(30):  # the second is asked while the first has not answered
            assert (await patient.by_number(mine.face.number, mine.face.name)).code is Code.VALID
        answered.clear()
        numbers = Numbers([both[0], Asked(second.known, index)], desk.lookup(), lambda: desk.now, wait_s=0.01)
        unknown = ("Y000051000001263999999", "例外人")
        for pair, code in ((unknown, Code.UNAVAILABLE), ((mine.face.number, mine.face.name), Code.VALID)):
            verdicts = await numbers.by_numbers([pair] * 1200)
            assert {verdict.code for verdict in verdicts} == {code}
        assert hung == 2, "once in each look-up of which it was to know"
        copied = first.log.certificate("one")
        await first.issue(copied)
        assert await numbers.tail_of_secret(format_secret(copied.secret), "123X") is not Tail.OTHER

    async def test_a_silent_ledger_is_asked_again_by_the_clock_or_when_it_was_heard(self, desk: Desk) -> None:
        first, _ = desk.logs
        mine = first.log.certificate("one")
        await first.issue(mine)
        pair, begun, free = (mine.face.number, mine.face.name), asyncio.Event(), asyncio.Event()

        class Sometimes(FakeIndex):
            calls, hangs = 0, True

            async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
                self.calls += 1
                if self.hangs:
                    await asyncio.Event().wait()
                return await super().lookup(pairs)

            async def match(self, cert_key: bytes, last4: str) -> bool:
                begun.set()
                await free.wait()
                return True

        index = Sometimes()
        index.add(mine)
        numbers = Numbers([Asked(first.known, index)], desk.lookup(), lambda: desk.now, wait_s=0.05, alone_s=15.0)
        for more_ms in (0, 14_999, 1):
            desk.now += more_ms
            assert (await numbers.by_number(*pair)).code is Code.UNAVAILABLE
        assert index.calls == 2
        desk.now += 15_000
        numbers._ledgers[first.log.origin]._wait_s = 120.0
        match = asyncio.create_task(numbers.tail_of_secret(format_secret(mine.secret), "123X"))
        await begun.wait()
        numbers._ledgers[first.log.origin]._wait_s = 0.05
        assert (await numbers.by_number(*pair)).code is Code.UNAVAILABLE
        index.hangs = False
        assert (await numbers.by_number(*pair)).code is Code.UNAVAILABLE
        free.set()
        assert await match is Tail.SAME
        assert (await numbers.by_number(*pair)).code is Code.VALID


async def numbered(desk: Desk, asked: list[Asked], certificate: Certificate) -> Code:
    face = certificate.face
    return (await Numbers(asked, desk.lookup(), lambda: desk.now).by_number(face.number, face.name)).code


async def test_the_order_of_the_settings_decides_nothing_about_copies(desk: Desk) -> None:
    first, second = desk.logs
    copied = second.log.certificate("one")
    await second.issue(copied)
    await desk.pass_time(second, ms=5000)
    await first.issue(first.log.certificate("one", grade=5))
    verdict = await desk.scan(copied)
    assert verdict.proof is not None and verdict.proof.origin == SECOND
    assert issue_entry(copied.issue, second.log.record_key) == copied.statement.entry


async def evidence_fits_page(desk: Desk, certificate: Certificate, code: Code) -> None:
    """What a browser is given beside a verdict that the second log tells."""
    verdict = await desk.scan(certificate)
    assert verdict.code is code and verdict.proof is not None and verdict.proof.origin == SECOND
    evidence = parse_evidence(await desk.lookup().evidence(certificate.issue.cert_key))
    assert evidence.checkpoint.startswith(SECOND.encode() + b"\n")

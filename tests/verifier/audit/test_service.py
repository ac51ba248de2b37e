"""The service: follows, raises each alarm once, cosigns only what it replayed, and answers a log that asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace as renewed

from ledger.client import LedgerClient
from ledger.errors import CertLedgerError, Refused, Unavailable
from ledger.records.bundle import format_bundle
from ledger.records.commitments import FaceOpening
from ledger.records.state import parse_certificate_state
from ledger.reference_data import load_ladder
from ledger.store.hashes import Hashes
from ledger.text import Text
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.policy import NO_WITNESSES
from tests.support.auditing import NOW, Clock, serving, size_cosigned
from tests.support.build_log import FILING, FakeLedger, LogBuilder, octets
from tests.support.waiting import until
from verifier.audit import run
from verifier.audit.alarms import CATALOGUE, Alarm, AlarmCode
from verifier.audit.openings_folder import LIST_MS, open_folder
from verifier.audit.service import JUDGE_S, RENEW_S
from verifier.audit.store import StoreFailed


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    await builder.issue(builder.certificate("a"), builder.certificate("b"))
    yield builder
    await builder.store.close()


async def test_follows_and_cosigns(log: LogBuilder, tmp_path: Path) -> None:
    async with serving(tmp_path, log, FakeLedger(log), Clock()) as (service, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        await log.issue(log.certificate("more"))
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        note = auditor.seen(log.origin).note
        assert note is not None
        opened = open_cosigned(note, log.origin, log.signer.vkeys, NO_WITNESSES, auditor.cosigner.vkeys)
        assert opened.auditor_time_s == NOW // 1000
        service.check_ready()
        assert service.report()["result"] == "sound"
        assert service.report() is service.report()


async def test_a_log_that_cannot_be_read_is_a_line_with_its_address_and_one_when_it_can(
    log: LogBuilder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At each look it would be thousands a day, and without the address nobody knows where to look."""
    caplog.set_level("INFO", "verifier.audit")

    class Away(FakeLedger):
        reason, looks = "", 0

        async def checkpoint(self) -> bytes:
            self.looks += 1
            if self.reason:
                raise Unavailable(Text("没有应答", self.reason))
            return await super().checkpoint()

    ledger = Away(log)

    async def looks(reason: str) -> None:
        ledger.reason, before = reason, ledger.looks
        await until(lambda: ledger.looks > before + 4)

    async with serving(tmp_path, log, ledger, Clock(), url="http://127.0.0.1:1/2026"):
        await looks("")
        assert caplog.messages == []
        await looks("no answer")
        await looks("another cause")
        await looks("")
    told = [(record.getMessage(), record.levelname, record.fields) for record in caplog.records]  # type: ignore[attr-defined]
    away, back = ("the log cannot be read", "WARNING"), ("the log can be read again", "INFO")
    assert [one[:2] for one in told] == [away, away, back]
    assert [one[2].get("reason") for one in told] == ["no answer", "another cause", None]
    assert all(one[2]["address"] == "127.0.0.1:1" and one[2]["log"] == log.origin for one in told)
    assert "127.0.0.1:1" in told[0][2]["zh"] and "127.0.0.1:1" in told[0][2]["en"]


@pytest.mark.parametrize("status", [200, 202, 401, 403, 502])
@pytest.mark.parametrize("where", ["checkpoint", "tile"])
async def test_what_a_proxy_says_for_a_moment_ends_nothing(
    status: int, where: str, log: LogBuilder, tmp_path: Path
) -> None:
    """A gate with a password, a riddle of a firewall, a maintenance page larger than any checkpoint and any tile."""
    ledger, closed, shut = FakeLedger(log), False, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal shut
        path = request.path[1:]
        if closed and path.startswith(where):
            shut += 1
            return web.Response(status=status, body=b"<html>" * 500_000)
        return web.Response(body=await (ledger.checkpoint() if path == "checkpoint" else ledger.tile(path)))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with (
        TestServer(app) as server,
        LedgerClient(str(server.make_url("/"))) as client,
        serving(tmp_path, log, client, Clock()) as (service, auditor),
    ):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        closed = True
        await log.issue(log.certificate("while it is shut"))
        await until(lambda: shut > 1)
        closed = False
        await log.issue(log.certificate("after it"))
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        assert service.failed is None and service.audit.result == "sound"


async def test_a_monitor_that_hangs_holds_up_no_look(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs one could stop the log's cosignatures otherwise. What it shows in the end is compared."""
    assert run._MONITOR_S < JUDGE_S
    monkeypatch.setattr(run, "_MONITOR_S", 3600.0)
    asked: list[web.Request] = []
    released = asyncio.Event()
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(fork.certificate("there"))

    async def hang(request: web.Request) -> web.Response:
        asked.append(request)
        await released.wait()
        return web.Response(body=fork.checkpoint())

    app = web.Application()
    app.router.add_get("/{hash}/checkpoint", hang)
    async with TestServer(app) as server:
        monitors = (str(server.make_url("/")),)
        async with serving(tmp_path, log, FakeLedger(log), Clock(), monitors=monitors) as (service, auditor):
            for label in ("one", "two"):
                await until(lambda: asked and size_cosigned(auditor, log) == log.integrator.size)
                await log.issue(log.certificate(label))
            (request,) = asked
            assert request.transport is not None, "it has not been given up, and is still asked"
            assert service.audit.result == "sound"
            released.set()
            await until(lambda: service.standing[AlarmCode.INCONSISTENCY])
    await fork.store.close()


async def test_an_idle_logs_cosignature_is_renewed(log: LogBuilder, tmp_path: Path) -> None:
    clock = Clock()
    async with serving(tmp_path, log, FakeLedger(log), clock) as (_, auditor):
        await until(lambda: auditor.seen(log.origin).time_s == NOW // 1000)
        clock.now_ms += (RENEW_S - 1) * 1000
        await asyncio.sleep(0.1)
        assert auditor.seen(log.origin).time_s == NOW // 1000
        clock.now_ms += 1000
        await until(lambda: auditor.seen(log.origin).time_s == clock.s())


async def test_each_alarm_is_a_line_once(log: LogBuilder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = FakeLedger(log)
    async with serving(tmp_path, log, ledger, Clock()) as (service, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        before = size_cosigned(auditor, log)
        fork = await LogBuilder.create(tmp_path / "fork.db")
        await fork.issue(*(fork.certificate(f"there {n}") for n in range(9)))
        with caplog.at_level(logging.WARNING, "verifier.audit"):
            ledger.log = fork
            await until(lambda: service.audit.result == "broken")
            await asyncio.sleep(0.1)
        lines = [record for record in caplog.records if record.getMessage() == "alarm"]
        assert len(lines) == 1 and lines[0].levelno == logging.CRITICAL
        assert lines[0].fields["code"] == "inconsistency"  # type: ignore[attr-defined]
        assert size_cosigned(auditor, log) == before
        request = AddCheckpoint(before, (), fork.checkpoint())
        with pytest.raises(Refused):  # nothing of it any more
            await asyncio.to_thread(auditor.add, format_add_checkpoint(request))
        await fork.store.close()


@pytest.mark.parametrize(("code", "lines"), [(AlarmCode.BURST_AFTER_FILING, 1), (AlarmCode.OPENING_MISMATCH, 3)])
async def test_a_warning_is_no_new_one_because_its_count_has_grown(
    log: LogBuilder, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    code: AlarmCode, lines: int,
) -> None:  # fmt: skip
    """Else a body that goes on issuing would have somebody called with every batch; an error with more is told."""
    async with serving(tmp_path, log, FakeLedger(log), Clock()) as (service, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        asked = 0

        def found(total: int) -> list[Alarm]:
            nonlocal asked
            asked += 1
            return [Alarm(code, FILING, CATALOGUE[code][1], (1,), total)]

        with caplog.at_level(logging.WARNING, "verifier.audit"):
            for total in (1, 2, 3):
                monkeypatch.setattr(service.audit, "alarms", partial(found, total))
                before = asked
                await until(lambda: asked > before + 6)  # noqa: B023
    assert len([record for record in caplog.records if record.getMessage() == "alarm"]) == lines


async def test_openings_put_into_its_folder_raise_alarms(
    log: LogBuilder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faces = [FaceOpening(octets(f"face {n}", 16), f"{FILING}263000007", "例小明") for n in range(2)]
    made = [replace(log.certificate(f"n{n}", face=face.digest()), face=face) for n, face in enumerate(faces)]
    await log.issue(*made)
    given, clock = tmp_path / "given", Clock()
    given.mkdir()
    openings = open_folder(given, load_ladder(), 4)
    with caplog.at_level(logging.WARNING, "verifier.audit"):
        async with serving(tmp_path, log, FakeLedger(log), clock, openings=openings) as (service, auditor):
            await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
            assert service.report()["openings"] == {"checked": 0, "unreadable": 0, "unread": 0, "alarms": 0}
            for n, certificate in enumerate(made):
                (given / f"{n}.certbundle").write_bytes(format_bundle(await log.bundle(certificate)))
            clock.now_ms += LIST_MS
            await until(lambda: service.standing["number_twice"] == 1)
            report = service.report()
            assert report["openings"]["checked"] == 2 and report["result"] == "broken" == service.audit.result
            assert made[0].face.number not in str(report) + caplog.text


def standing_still(log: LogBuilder) -> tuple[FakeLedger, int]:
    """A ledger that goes on showing the checkpoint of now, and its size."""
    ledger = FakeLedger(log)
    ledger.altered["checkpoint"] = log.checkpoint()
    return ledger, log.integrator.size


async def test_a_log_that_asks_is_answered_after_the_replay(log: LogBuilder, tmp_path: Path) -> None:
    """It asks before it publishes: what it shows everybody is still the old checkpoint."""
    ledger, old = standing_still(log)
    async with serving(tmp_path, log, ledger, Clock(), every_s=30) as (service, auditor):
        await until(lambda: size_cosigned(auditor, log) == old)
        await log.issue(log.certificate("more"))
        new = log.integrator.size
        proof = await Hashes(log.store).consistency(old, new)
        raw = format_add_checkpoint(AddCheckpoint(old, proof, log.checkpoint()))
        lines = await asyncio.to_thread(auditor.add, raw)
        assert {line.name for line in lines} == {auditor.cosigner.name}
        assert service.audit.replica.size == new and size_cosigned(auditor, log) == new


async def test_a_head_that_cannot_be_replayed_is_not_cosigned(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier.audit.service.JUDGE_S", 0.2)
    ledger, old = standing_still(log)
    async with serving(tmp_path, log, ledger, Clock(), every_s=30) as (_, auditor):
        await until(lambda: size_cosigned(auditor, log) == old)
        other = await LogBuilder.create(tmp_path / "other.db")
        await other.issue(*(other.certificate(f"x{n}") for n in range(9)))
        raw = format_add_checkpoint(AddCheckpoint(old, (), other.checkpoint()))
        with pytest.raises((Unavailable, Refused)):
            await asyncio.to_thread(auditor.add, raw)
        assert size_cosigned(auditor, log) == old
        await other.store.close()


async def test_a_failing_disk_ends_it(log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, log, FakeLedger(log), Clock()) as (service, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)

        def fails(size: int, statistics: bytes) -> None:
            raise StoreFailed(Text("没有应答", "disk full"))

        monkeypatch.setattr(service.audit.replica._audit_store, "flush", fails)
        before = size_cosigned(auditor, log)
        await log.issue(log.certificate("more"))
        await until(lambda: service.failed is not None)
        assert size_cosigned(auditor, log) == before
        with pytest.raises(Unavailable):
            service.check_ready()


async def test_a_log_that_asks_about_an_older_head_than_the_newest_gets_its_line(
    log: LogBuilder, tmp_path: Path
) -> None:
    """Under a stream of batches the replay is often further than the head that the log has just asked about."""
    async with serving(tmp_path, log, FakeLedger(log), Clock(), every_s=3000) as (_, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        for labels in ("cd", "ef"):
            old = log.integrator.size
            await log.issue(log.certificate(labels[0]))
            asked, note = log.integrator.size, log.checkpoint()
            await log.issue(log.certificate(labels[1]))
            for size, told in ((asked, note), (log.integrator.size, log.checkpoint())):
                proof = await Hashes(log.store).consistency(old, size)
                lines = await asyncio.to_thread(auditor.add, format_add_checkpoint(AddCheckpoint(old, proof, told)))
                assert lines and size_cosigned(auditor, log) == size
                old = size


async def test_while_a_log_waits_the_auditor_looks_again_soon(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was published may take a moment until every server has it."""
    monkeypatch.setattr("verifier.audit.service.JUDGE_S", 120.0)
    ledger = FakeLedger(log)
    async with serving(tmp_path, log, ledger, Clock(), every_s=3000) as (_, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        old = log.integrator.size
        await log.issue(log.certificate("more"))
        serve, failures = ledger.tile, [Unavailable(Text("没有应答", "not there yet"))] * 3

        async def behind(path: str) -> bytes:
            if failures:
                raise failures.pop()
            return await serve(path)

        ledger.tile = behind  # type: ignore[method-assign]
        proof = await Hashes(log.store).consistency(old, log.integrator.size)
        raw = format_add_checkpoint(AddCheckpoint(old, proof, log.checkpoint()))
        assert await asyncio.to_thread(auditor.add, raw)
        assert not failures and size_cosigned(auditor, log) == log.integrator.size


async def test_who_gets_no_answer_does_not_keep_the_auditor_from_its_turn(log: LogBuilder, tmp_path: Path) -> None:
    clock = Clock()
    async with serving(tmp_path, log, FakeLedger(log), clock) as (_, auditor):
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        await log.issue(log.certificate("more"))

        def asked() -> bool:
            with suppress(CertLedgerError):
                auditor.add(b"junk")
            clock.now_ms += 1000
            return size_cosigned(auditor, log) == log.integrator.size

        await until(asked)


async def test_who_gave_up_waiting_does_not_either(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier.audit.service.JUDGE_S", 0.2)
    ledger, old = standing_still(log)
    async with serving(tmp_path, log, ledger, Clock()) as (_, auditor):
        await until(lambda: size_cosigned(auditor, log) == old)
        await log.issue(log.certificate("more"))
        proof = await Hashes(log.store).consistency(old, log.integrator.size)
        raw = format_add_checkpoint(AddCheckpoint(old, proof, log.checkpoint()))
        serve, away = ledger.tile, [True]

        async def tile(path: str) -> bytes:
            if away[0]:
                raise Unavailable(Text("没有应答", "not there yet"))
            return await serve(path)

        ledger.tile = tile  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await asyncio.to_thread(auditor.add, raw)
        away[0] = False
        del ledger.altered["checkpoint"]
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)


@pytest.mark.parametrize("at", [2**63, 2**64 - 1])
async def test_no_bundle_stops_the_service(log: LogBuilder, tmp_path: Path, at: int) -> None:
    one = log.certificate("z")
    await log.issue(one)
    bundle = await log.bundle(one)
    state = renewed(parse_certificate_state(bundle.evidence.state), event_index=at)
    evidence = replace(bundle.evidence, state=state.encode(), commitments=b"x")
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.certbundle").write_bytes(format_bundle(replace(bundle, evidence=evidence)))
    folder = open_folder(given, load_ladder(), 4)
    async with serving(tmp_path, log, FakeLedger(log), Clock(), openings=folder) as (service, _):
        await until(lambda: service.failed is not None or service.report()["openings"]["checked"] == 1)
        assert service.failed is None

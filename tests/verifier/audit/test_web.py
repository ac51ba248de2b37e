"""The auditor's pages and interfaces over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from ledger.edge import start_site
from ledger.errors import Unavailable
from ledger.store.hashes import Hashes
from ledger.text import Text
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint, parse_cosignatures, parse_size
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.policy import NO_WITNESSES
from tests.support.auditing import Clock, serving, size_cosigned
from tests.support.build_log import FakeLedger, LogBuilder
from tests.support.waiting import until
from verifier.audit.cosign import MapAuditor
from verifier.audit.page import content_policy
from verifier.audit.service import Service
from verifier.audit.web import create_app


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    service: Service
    auditor: MapAuditor
    url: str

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def post(self, body: bytes) -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as session, session.post(self.url + "/add-checkpoint", data=body) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(log.certificate("a"))
    ledger = FakeLedger(log)
    async with serving(tmp_path, log, ledger, Clock()) as (service, auditor):
        site = await start_site(create_app(service, auditor), "127.0.0.1", 0)
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        yield Desk(log, ledger, service, auditor, site.url)
        await site.stop()
    await log.store.close()


@pytest.mark.parametrize(("lang", "word"), [("zh", "日志完好"), ("en", "The log is sound")])
async def test_page(desk: Desk, lang: str, word: str) -> None:
    for path, headers in ((f"/?lang={lang}", {}), ("/", {"Accept-Language": lang})):
        status, answer, body = await desk.get(path, **headers)
        assert status == 200 and word in body.decode()
        assert answer["Content-Security-Policy"] == content_policy()
        assert answer["X-Content-Type-Options"] == "nosniff" and answer["Referrer-Policy"] == "no-referrer"


async def test_alarms_and_report(desk: Desk) -> None:
    status, _, body = await desk.get("/v1/alarms")
    assert status == 200 and json.loads(body)["alarms"] == [] and json.loads(body)["result"] == "sound"
    status, _, body = await desk.get("/v1/report")
    assert status == 200 and json.loads(body)["statistics"]["certificates"] == 1


async def test_checkpoint_with_both_cosignatures(desk: Desk) -> None:
    hashed = sha256(desk.log.origin.encode()).hexdigest()
    for path in ("/checkpoint", f"/{hashed}/checkpoint"):
        status, _, note = await desk.get(path)
        assert status == 200
        keys = desk.auditor.cosigner.vkeys
        opened = open_cosigned(note, desk.log.origin, desk.log.signer.vkeys, NO_WITNESSES, keys)
        assert opened.checkpoint.size == desk.log.integrator.size and set(opened.cosigned) == set(keys)
    assert (await desk.get(f"/{'0' * 64}/checkpoint"))[0] == 404


async def test_asked_like_a_witness(desk: Desk) -> None:
    old = desk.log.integrator.size
    await desk.log.issue(desk.log.certificate("more"))
    proof = await Hashes(desk.log.store).consistency(old, desk.log.integrator.size)
    status, body = await desk.post(format_add_checkpoint(AddCheckpoint(old, proof, desk.log.checkpoint())))
    if status == 409:  # it has found and cosigned the checkpoint by itself already
        assert parse_size(body) == desk.log.integrator.size
    else:
        assert status == 200 and len(parse_cosignatures(body)) == 2
    status, body = await desk.post(format_add_checkpoint(AddCheckpoint(1, (), desk.log.checkpoint())))
    assert status == 409 and parse_size(body) == desk.log.integrator.size
    assert (await desk.post(b"nonsense"))[0] == 400


async def test_evidence_is_served(desk: Desk, tmp_path: Path) -> None:
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(*(fork.certificate(f"there {n}") for n in range(9)))
    desk.ledger.log = fork
    await until(lambda: desk.service.audit.result == "broken")
    (name,) = desk.service.audit.evidence_files()
    status, answer, body = await desk.get(f"/evidence/{name}")
    assert status == 200 and answer["Content-Type"].startswith("application/json") and b'"fork"' in body
    for wrong in ("fork-0.json", "..%2Faudit.toml", "x"):
        assert (await desk.get(f"/evidence/{wrong}"))[0] == 404
    assert "日志有误" in (await desk.get("/?lang=zh"))[2].decode()
    metrics = (await desk.get("/metrics"))[2].decode()
    assert 'certaudit_alarms{code="inconsistency"} 1.0' in metrics and "certaudit_sound 0.0" in metrics
    await fork.store.close()


async def test_health_and_meters(desk: Desk) -> None:
    assert (await desk.get("/livez"))[0] == 200 and (await desk.get("/readyz"))[0] == 200
    text = (await desk.get("/metrics"))[2].decode()
    assert f"certaudit_replayed_entries {float(desk.log.integrator.size)}" in text and "certaudit_sound 1.0" in text
    assert len(text.splitlines()) < 500
    desk.service.failed = Unavailable(Text("没有应答", "disk"))
    assert (await desk.get("/readyz"))[0] == 503

"""The log changes its keys for real: what a verifier, an auditor, a holder's file and a restored backup make of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.keystore import LIGHT_COST
from ledger.records.bundle import format_bundle, parse_bundle
from ledger.records.dates import format_day
from ledger.records.evidence import parse_evidence
from ledger.records.rotation import LogKey
from ledger.records.staple import compact, format_staple
from ledger.service.log_keys import file_of, make_next_keys
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.note import ED25519, VerifierKey
from ledger.tlog.policy import format_policy
from ledger.wire import Logged
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.live_ledger import PASSPHRASE, START_S, LiveLedger, drafted, live_body, today
from verifier.__main__ import main

BASE = "https://v.example"
ALARMS = re.compile(r'certledger_alarms_total\{kind="([^"]*)"\} ([1-9][0-9.]*)')


def words(keys: Sequence[VerifierKey]) -> str:
    return json.dumps([key.format_vkey() for key in keys])


def changed(file: Path, table: str, old: Sequence[VerifierKey], new: Sequence[VerifierKey], *, keep: bool) -> None:
    """What docs/operating.md says a person does: the new pair, and the old one below with its last day."""
    text = file.read_text("utf-8")
    assert f"log_keys = {words(old)}" in text
    text = text.replace(f"log_keys = {words(old)}", f"log_keys = {words(new)}")
    if keep:
        former = f'[[{table}.former_keys]]\nlog_keys = {words(old)}\nuntil = "{format_day(today())}"'
        text = text.replace(f"# [[{table}.former_keys]]", former)
        assert former in text
    file.write_text(text, "utf-8")


async def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = await asyncio.to_thread(main, [str(word) for word in words])
    return code, capsys.readouterr().out


async def change_keys(live: LiveLedger) -> tuple[VerifierKey, VerifierKey]:
    """`next-keys`, the authority's statement, and a start under the new pair."""
    origin = live.authority.origin
    publics = make_next_keys(live.folder, origin, PASSPHRASE, cost=LIGHT_COST, day=today(), random_bytes=os.urandom)
    async with live.client() as client:
        with pytest.raises(Unavailable):
            while True:
                await client.submit_authority(live.authority.sign(LogKey(today(), *publics)).entry)
    assert live.process is not None and live.process.wait(START_S) != 0
    live.stop()
    await asyncio.to_thread(live.start)
    return VerifierKey(origin, ED25519, publics[0]), VerifierKey(origin, ML_DSA_44_COSIGNATURE, publics[1])


async def metrics(live: LiveLedger) -> str:
    return (await live.fetch("/metrics"))[2].decode()


async def test_files_replica_auditor_and_backup_across_a_change_of_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live, body = LiveLedger.create(tmp_path / "log", "rotation", policy="policy.txt"), live_body("rotation")
    async with FakeWitness("w1") as witness:
        (live.folder / "policy.txt").write_text(format_policy(policy_of([witness], 1)))
        await asyncio.to_thread(live.start)
        try:
            await files_replica_auditor_and_backup(live, body, tmp_path, capsys)
        finally:
            live.kill()


async def files_replica_auditor_and_backup(
    live: LiveLedger,
    body,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    # Before: a certificate, its files, a verifier, an auditor, a backup.
    await live.file(body)
    async with live.client(body) as client:
        (one,) = await drafted(client, body, "one")
        assert isinstance((await client.submit([one.submission()])).answers[0], Logged)
        evidence = parse_evidence(await client.evidence(one.issue.cert_key))
    bundle, staple = tmp_path / "one.bundle", tmp_path / "one.staple"
    bundle.write_bytes(format_bundle(one.bundle(evidence)))
    staple.write_bytes(format_staple(one.staple(compact(evidence))))
    old, origin = live.keys, live.authority.origin
    genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
    pins = ["--origin", origin, "--genesis", genesis, *(part for key in old for part in ("--vkey", key.format_vkey()))]
    known, unknown, audit = tmp_path / "known", tmp_path / "unknown", tmp_path / "audit"
    policy = ["--policy", live.folder / "policy.txt"]
    for folder in (known, unknown):
        assert (await run(capsys, "init", "--dir", folder, "--base", BASE, "--ledger", live.url, *pins, *policy))[
            0
        ] == 0
        assert (await run(capsys, "sync", "--dir", folder, "--quiet"))[0] == 0
    auditing = ["audit", live.url, "--dir", audit, "--quiet", "--json"]
    assert (await run(capsys, *auditing, *pins, *policy))[0] == 0
    live.stop()
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("log.db", "guard"):
        shutil.copy(live.folder / name, kept)
    await asyncio.to_thread(live.start)

    # The change. No witness cried wolf over the log's own old signature.
    new = await change_keys(live)
    assert ALARMS.findall(await metrics(live)) == []
    changed(known / "verifier.toml", "logs", old, new, keep=True)
    changed(unknown / "verifier.toml", "logs", old, new, keep=False)
    changed(audit / "audit.toml", "pins", old, new, keep=True)

    async def checked(folder: Path, file: Path, *how: str) -> str:
        said = (await run(capsys, "check", "--dir", folder, "--json", *how, file))[1]
        return str(json.loads(said)["code"])

    for file in (bundle, staple):
        assert await checked(known, file, "--offline") == "offline_signature_ok"
        assert await checked(unknown, file, "--offline") == "unavailable", "nothing verified, and nothing altered"
    for folder in (known, unknown):
        assert (await run(capsys, "sync", "--dir", folder, "--quiet"))[0] == 0, "the kept note stops nothing"
        for file in (bundle, staple):
            assert await checked(folder, file) == "valid"
            assert await checked(folder, file, "--light") in ("offline_signature_ok", "stale")
    code, said = await run(capsys, *auditing)
    assert code == 0 and json.loads(said)["result"] == "sound"

    # A holder's files go on, under the new keys, wherever they are brought up to date.
    for folder, file in ((unknown, bundle), (known, staple)):
        assert (await run(capsys, "refresh", "--dir", folder, file))[0] == 0
        assert await checked(unknown, file, "--offline") == "valid"
    assert parse_bundle(bundle.read_bytes()).openings == one.openings

    # The backup of before comes back, guard and all: it does not sign, because a witness saw more under the other pair.
    async with live.client(body) as client:
        (two,) = await drafted(client, body, "two")
        assert isinstance((await client.submit([two.submission()])).answers[0], Logged)
    live.stop()
    for left in live.folder.glob("log.db*"):
        left.unlink()
    for name in ("log.db", "guard"):
        shutil.copy(kept / name, live.folder / name)
    assert (live.folder / file_of(new[0].public)).is_file()
    await asyncio.to_thread(live.start)
    deadline = time.monotonic() + START_S
    while "certledger_stopped 1.0" not in await metrics(live):
        assert time.monotonic() < deadline, "signed over a restored store"
        await asyncio.sleep(0.1)
    assert (await live.fetch("/checkpoint"))[0] == 503

"""A ledger's life: creation, restarts, restored backups, other people's files, and what its own log may say."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from ledger.durable import write_new_file
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.keystore import LIGHT_COST, open_key_file
from ledger.records.refusals import Refusal
from ledger.records.statements import parse_statement
from ledger.service import run
from ledger.service.clock import ClockStopped
from ledger.service.config import LedgerSettings
from ledger.service.disk_room import DiskRoom
from ledger.service.guard import FileGuard
from ledger.service.private_index import PrivateIndex
from ledger.service.run import SETTINGS_FILE, TRUST_FILE, create, running, serve
from ledger.settings import load_settings
from ledger.store.evidence import Prover
from ledger.store.opening import open_store, upgrade_store
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.policy import format_policy
from ledger.wire import Logged
from tests.ledger.service.test_admission import renumbered
from tests.support.builders import id_number, make_authority
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.live_ledger import PASSPHRASE, START_S, LiveLedger, distinct, drafted, live_body
from tests.support.stores import before_checkpoint_step


async def make(folder: Path, genesis: bytes, origin: str, **changes: Any) -> tuple[str, ...]:
    settings = LedgerSettings(origin=origin, **changes)
    return await create(folder, settings, genesis, PASSPHRASE, cost=LIGHT_COST, now_ms=1_790_000_000_000, map_depth=4)


async def test_creation_makes_everything_once(tmp_path: Path) -> None:
    authority = make_authority()
    genesis = authority.sign(authority.genesis).entry
    vkeys = await make(tmp_path / "log", genesis, authority.origin)
    assert len(vkeys) == 2 and all(line.startswith(authority.origin + "+") for line in vkeys)
    assert {path.name for path in (tmp_path / "log").iterdir()} >= {"log.db", "guard", "keys.json", SETTINGS_FILE}
    settings = load_settings(LedgerSettings, tmp_path / "log" / SETTINGS_FILE)
    assert settings.origin == authority.origin
    keys = open_key_file(tmp_path / "log" / "keys.json", PASSPHRASE)
    assert set(keys.keys) == {"log-ed25519", "log-ml-dsa-44", "receipt", "index"}
    before = {path: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    with pytest.raises(Refused) as refused:
        await make(tmp_path / "log", genesis, authority.origin)
    assert "exist" in refused.value.text.en
    assert {path: path.read_bytes() for path in (tmp_path / "log").iterdir()} == before


async def test_what_everybody_pins_is_kept_before_a_log_can_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later command says it again: a log whose creation was killed is one without settings, or has it."""
    authority = make_authority()
    genesis = authority.sign(authority.genesis).entry

    def killed(path: Path, content: bytes) -> None:
        if path.name == SETTINGS_FILE:
            raise KeyboardInterrupt
        write_new_file(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_new_file", killed)
        with pytest.raises(KeyboardInterrupt):
            await make(tmp_path / "killed", genesis, authority.origin)
    assert (tmp_path / "killed" / TRUST_FILE).exists()
    vkeys = await make(tmp_path / "log", genesis, authority.origin)
    pins = json.loads((tmp_path / "log" / TRUST_FILE).read_bytes())
    receipts = open_key_file(tmp_path / "log" / "keys.json", PASSPHRASE).key("receipt", "ed25519")
    assert pins == {
        "origin": authority.origin,
        "log_keys": list(vkeys),
        "genesis": sha256(genesis).hexdigest(),
        "receipt_key": Ed25519Signer(receipts.secret).public.hex(),
    }


async def test_creation_wants_the_genesis_of_this_origin(tmp_path: Path) -> None:
    authority = make_authority()
    genesis, filing = authority.sign(authority.genesis), authority.sign(live_body().filing)
    for entry, origin, failure in (
        (genesis.entry, "another.example", Malformed),
        (filing.entry, authority.origin, Malformed),
        (genesis.entry[:-1], authority.origin, Malformed),
        (authority.sign(authority.genesis, by=(0,)).entry, authority.origin, Unverified),
    ):
        with pytest.raises(failure):
            await make(tmp_path / "log", entry, origin)
        assert not (tmp_path / "log" / "log.db").exists()


def failed_start(live: LiveLedger) -> tuple[int, str]:
    """The exit code and the last words of a ledger that must not start."""
    before = live.stderr.read_bytes() if live.stderr.exists() else b""
    process = live.spawn()
    code = process.wait(60)
    if process.stdout:
        process.stdout.close()
    words = live.stderr.read_bytes()[len(before) :].decode()
    assert "Traceback" not in words, words
    return code, words


async def test_a_restart_gives_the_first_answer_and_goes_on(tmp_path: Path) -> None:
    body, live = live_body("restart"), LiveLedger.create(tmp_path / "log", "restart")
    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            first, second = await drafted(client, body, "a", "b")
            before = await client.submit([first.submission()])
        for end in (live.stop, live.kill):
            end()
            live.start()
            async with live.client(body) as client:
                again = await client.submit([first.submission()])
                assert again.answers == before.answers
                assert live.check(again, [first.statement.entry]).checkpoint == live.open(before.checkpoint).checkpoint
        async with live.client(body) as client:
            after = await client.submit([second.submission(), first.submission()])
        one, two = after.answers
        assert isinstance(one, Logged) and isinstance(two, Logged)
        assert isinstance(before.answers[0], Logged)
        assert (two.index, two.time) == (before.answers[0].index, before.answers[0].time)
    finally:
        live.stop()


async def test_a_number_that_an_older_version_wrote_is_not_given_again(tmp_path: Path) -> None:
    body, live = live_body("older"), LiveLedger.create(tmp_path / "log", "older")
    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            first, second = await drafted(client, body, "a", "b")
            await client.submit([first.submission()])
        live.stop()
        secret = open_key_file(live.folder / "keys.json", PASSPHRASE).key("index", "index").secret
        now, before = PrivateIndex(secret, bytes).number_keys(first.face.number)
        with closing(sqlite3.connect(live.folder / "log.db", isolation_level=None)) as store:
            store.execute("UPDATE private_index SET hmac = ? WHERE hmac = ?", (before, now))
            before_checkpoint_step(store.execute, postgres=False)
            store.execute("DELETE FROM migration WHERE name >= '0009'")
        await upgrade_store("log.db", live.folder, private=True)
        live.start()
        async with live.client(body) as client:
            assert await client.taken_numbers([first.face.number, second.face.number]) == {first.face.number}
            (answer,) = (await client.submit([renumbered(body, second, first.face.number)])).answers
            assert isinstance(answer, Refused) and answer.code == Refusal.NUMBER_TAKEN
    finally:
        live.stop()


async def test_a_restored_backup_never_signs(tmp_path: Path) -> None:
    """Nothing of an older store gets out, however often it is tried; the true store starts again."""
    body, live = live_body("backup"), LiveLedger.create(tmp_path / "log", "backup")
    live.start()
    await live.file(body)
    live.stop()
    database = live.folder / "log.db"
    backup = database.read_bytes()
    live.start()
    async with live.client(body) as client:
        (certificate,) = await drafted(client, body, "a")
        await client.submit([certificate.submission()])
    live.stop()
    true, guard = database.read_bytes(), (live.folder / "guard").read_bytes()
    database.write_bytes(backup)
    for _ in range(2):
        code, words = failed_start(live)
        assert code == 1
        assert "GUARD_BACKWARDS" in words and "旧备份" in words
    assert (live.folder / "guard").read_bytes() == guard
    database.write_bytes(true)
    live.start()
    try:
        async with live.client(body) as client:
            assert isinstance((await client.submit([certificate.submission()])).answers[0], Logged)
    finally:
        live.stop()


def test_starts_that_are_refused(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log", "refused")
    guard = live.folder / "guard"

    kept = guard.read_bytes()
    guard.unlink()
    code, words = failed_start(live)
    assert code == 3 and "signer guard" in words
    assert not guard.exists(), "never made anew"
    guard.write_bytes(bytes(256))
    code, words = failed_start(live)
    assert code == 2 and "must not be recreated" in words
    guard.write_bytes(kept)

    settings = live.folder / SETTINGS_FILE
    text = settings.read_text("utf-8")
    settings.write_text(text.replace(live.authority.origin, "log.test.example/other"), "utf-8")
    code, words = failed_start(live)
    assert code == 1 and "ORIGIN" in words
    settings.write_text(text + "\nqueue_limits = 5\n", "utf-8")
    code, words = failed_start(live)
    assert code == 1 and "queue_limit" in words
    settings.write_text(text, "utf-8")

    database = live.folder / "log.db"
    whole = database.read_bytes()
    database.unlink()
    code, words = failed_start(live)
    assert code == 3 and "run init first" in words
    assert not database.exists()
    database.write_bytes(whole)
    live.start()
    second = LiveLedger(live.folder, live.authority, live.url, live.keys)
    code, words = failed_start(second)
    assert code == 1 and "STORE_IN_USE" in words
    assert live.stop() == 0


async def test_a_start_that_is_refused_lets_go_of_store_and_guard(tmp_path: Path) -> None:
    """In one process, where nothing but the code itself gives them back."""
    live = LiveLedger.create(tmp_path / "log", "held", policy="policy.txt")
    (live.folder / "policy.txt").write_text("nonsense\n")
    settings = load_settings(LedgerSettings, live.folder / SETTINGS_FILE)
    keys = open_key_file(live.folder / settings.keys, PASSPHRASE)
    store = await open_store(settings.store, live.folder, private=True)
    with pytest.raises(Malformed):
        async with running(live.folder, settings, keys, store):
            pass
    await FileGuard(live.folder / settings.guard).close()  # Refused("GUARD_IN_USE") when it is still held
    (live.folder / "policy.txt").write_text("quorum none\n")
    store = await open_store(settings.store, live.folder, private=True)  # Refused when the first one is still open
    async with running(live.folder, settings, keys, store) as (_, fatal):
        assert not fatal.done()


async def test_what_is_made_for_nobody_ends_before_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveLedger.create(tmp_path / "log", "ends")
    settings = load_settings(LedgerSettings, live.folder / SETTINGS_FILE)
    keys = open_key_file(live.folder / settings.keys, PASSPHRASE)
    store = await open_store(settings.store, live.folder, private=True)
    ended, end, close = list[str](), Prover.close, store.close

    async def ending(prover: Prover) -> None:
        ended.append("prover")
        await end(prover)

    async def closing() -> None:
        ended.append("store")
        await close()

    monkeypatch.setattr(Prover, "close", ending)
    monkeypatch.setattr(store, "close", closing)
    async with running(live.folder, settings, keys, store):
        assert not ended
    assert ended == ["prover", "store"]


async def test_a_stop_lets_requests_finish(tmp_path: Path) -> None:
    body, live = live_body("stop"), LiveLedger.create(tmp_path / "log", "stop")
    live.start()
    await live.file(body)
    async with live.client(body) as client:
        made = await drafted(client, body, *(f"stop {at}" for at in range(200)))
        sending = asyncio.create_task(client.submit([c.submission() for c in made]))
        await asyncio.sleep(0.02)
        assert live.process is not None
        live.process.send_signal(signal.SIGTERM)
        outcome = (await asyncio.gather(sending, return_exceptions=True))[0]
    assert live.stop() == 0
    told = [json.loads(line) for line in live.stderr.read_text("utf-8").splitlines()]
    assert [(one["size"], one["at"]) for one in told if one["event"] == "leads"] == [(2, live.url)]
    assert [one["cause"] for one in told if one["event"] == "ends"] == ["signal"]
    live.start()
    try:
        async with live.client(body) as client:
            receipt = await client.submit([c.submission() for c in made])
        assert all(isinstance(answer, Logged) for answer in receipt.answers)
        if not isinstance(outcome, BaseException):
            places = [(a.index, a.time) for a in outcome.answers if isinstance(a, Logged)]
            assert places == [(a.index, a.time) for a in receipt.answers if isinstance(a, Logged)]
    finally:
        live.stop()


@pytest.mark.parametrize("quorum", ["w1", "none"])
async def test_a_leap_that_lasts_ends_a_log_whose_witnesses_can_tell_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quorum: str
) -> None:
    """The leap may be the cure: started again, it goes on by the new time. Without witnesses nothing would tell."""
    live, leap_ms = LiveLedger.create(tmp_path / "log", "leap"), 0

    class Shifted:
        CLOCK_BOOTTIME, clock_gettime_ns, monotonic = time.CLOCK_BOOTTIME, time.clock_gettime_ns, time.monotonic

        @staticmethod
        def time_ns() -> int:
            return time.time_ns() + leap_ms * 1_000_000

    monkeypatch.setattr(run, "time", Shifted)
    witness = FakeWitness("w1", lambda: Shifted.time_ns() // 1_000_000_000)
    (live.folder / "policy").write_text(format_policy(replace(policy_of([witness], 1), groups=(), quorum=quorum)))
    settings = load_settings(LedgerSettings, live.folder / SETTINGS_FILE)
    settings = replace(settings, takeover_ms=300, policy=Path("policy"))
    keys = open_key_file(live.folder / settings.keys, PASSPHRASE)

    def start() -> tuple[asyncio.Task[None], asyncio.Event]:
        ready = asyncio.Event()
        return asyncio.create_task(serve(live.folder, settings, keys, on_ready=lambda _: ready.set())), ready

    async with witness, asyncio.timeout(START_S):
        serving, ready = start()
        await ready.wait()
        leap_ms = 420_000
        if quorum == "none":
            await asyncio.sleep(1.0)  # longer than it takes with witnesses
            assert not serving.done()
        else:
            with pytest.raises(ClockStopped):
                await serving
            serving, ready = start()
            await ready.wait()
            assert live.open((await live.fetch("/checkpoint"))[2]).time_s >= Shifted.time_ns() // 1_000_000_000 - 60
        signal.raise_signal(signal.SIGTERM)
        await serving


async def test_a_full_disk_is_a_state_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements get 503 and why, readers what they always get; when there is room, the same process takes more."""
    live, body, free = LiveLedger.create(tmp_path / "log", "full"), live_body("full"), 1 << 40
    monkeypatch.setattr(run, "DiskRoom", partial(DiskRoom, free=lambda _: free))
    settings = load_settings(LedgerSettings, live.folder / SETTINGS_FILE)
    keys = open_key_file(live.folder / settings.keys, PASSPHRASE)
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(live.folder, settings, keys, on_ready=lambda _: ready.set()))
    async with asyncio.timeout(START_S), live.client(body) as client:
        await ready.wait()
        await live.file(body)
        first, second = await drafted(client, body, "first", "second")
        await client.submit([first.submission()])
        free = 0
        with pytest.raises(Unavailable, match="503") as full:
            await client.submit([first.submission(), second.submission()])
        assert full.value.retry_after == 30
        status, headers, answer = await live.fetch("/readyz")
        assert (status, headers["retry-after"]) == (503, "30") and "The disk of the log's store" in answer.decode()
        assert str(tmp_path) not in answer.decode()
        assert "certledger_disk_full 1.0" in (await live.fetch("/metrics"))[2].decode()
        assert [(await live.fetch(path))[0] for path in ("/livez", "/checkpoint", "/tile/0/000.p/1")] == [200] * 3
        (known,) = (await client.submit([first.submission()])).answers
        assert isinstance(known, Logged), "it is logged: nothing has to be written"
        free = 1 << 40
        (answer_,) = (await client.submit([second.submission()])).answers
        assert isinstance(answer_, Logged)
        assert (await live.fetch("/readyz"))[0] == 200
        assert "certledger_disk_full 0.0" in (await live.fetch("/metrics"))[2].decode()
        assert not serving.done()
        signal.raise_signal(signal.SIGTERM)
        await serving


async def test_the_log_file_names_nobody(tmp_path: Path) -> None:
    body, live = live_body("canary"), LiveLedger.create(tmp_path / "log", "canary")
    live.start()
    try:
        await live.file(body)
        canaries = ["CANARYNAME", "犇羴鱻", id_number("canary"), "CANARYTRACK"]
        async with live.client(body) as client:
            (certificate,) = await drafted(client, body, "canary", name="犇羴鱻")
            (answer,) = (await client.submit([certificate.submission()])).answers
            assert isinstance(answer, Logged)
            assert await client.envelope(answer.index, certificate.submission().locator, "face")
            canaries += [certificate.face.number, certificate.submission().locator.hex(), certificate.secret.hex()]
        for path in ("/CANARYNAME", "/v1/filings/CANARYNAME", "/tile/CANARYNAME?q=CANARYTRACK", "/%E7%8A%87%E7%BE%B4"):
            await live.fetch(path, headers={"User-Agent": "CANARYNAME", "Referer": "http://CANARYTRACK"})
        for path in ("/v1/statements", "/v1/authority", "/v1/tracks"):
            await live.fetch(path, method="POST", data=b'{"CANARYNAME": "CANARYTRACK"}')
    finally:
        live.stop()
    text = live.stderr.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) > 10 and all(len(line) < 1000 for line in text.splitlines())
    assert {line["level"] for line in lines} == {"info"}
    decoded = json.dumps(lines, ensure_ascii=False)
    for canary in canaries:
        assert canary not in text and canary not in decoded, canary


async def test_an_unfinished_creation_is_not_served(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log", "half")
    (live.folder / SETTINGS_FILE).unlink()
    code, words = failed_start(live)
    assert code == 3 and SETTINGS_FILE in words
    genesis = parse_statement(live.authority.sign(live.authority.genesis).entry)
    with pytest.raises(Refused):
        await make(live.folder, genesis.entry, live.authority.origin)


async def test_an_examining_process_that_dies_loses_nothing(tmp_path: Path) -> None:
    body, live = live_body("examiner"), LiveLedger.create(tmp_path / "log", "examiner", examiners=1)
    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            made = await drafted(client, body, *distinct("examiner", 80))
            first = await client.submit([c.submission() for c in made[:40]])
            assert live.process is not None
            apart = [c for c in psutil.Process(live.process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
            assert len(apart) == 1
            apart[0].kill()
            async with asyncio.timeout(START_S):
                while True:  # the request that finds out may be told to ask again
                    try:
                        second = await client.submit([c.submission() for c in made])
                        break
                    except Unavailable:
                        await asyncio.sleep(0.1)
            assert all(isinstance(answer, Logged) for answer in second.answers)
            assert [a.index for a in second.answers[:40]] == [a.index for a in first.answers]  # type: ignore[union-attr]
            third = await client.submit([c.submission() for c in made])
            assert third.answers == second.answers
    finally:
        assert live.stop() == 0

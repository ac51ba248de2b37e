"""The log's keys change by a statement of the authority: before it the old ones sign, after it the new ones only."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused, Unavailable
from ledger.keystore import LIGHT_COST, KeyFile, open_key_file
from ledger.records.refusals import Refusal
from ledger.records.rotation import LogKey
from ledger.records.state import AuthorityState
from ledger.records.status import authenticate_authority
from ledger.service.config import LedgerSettings
from ledger.service.log_keys import check_log_key, file_of, log_signer, make_next_keys, own_keys
from ledger.store.integrate import Integrator
from ledger.store.sqlite import open_sqlite
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.note import ED25519, VerifierKey
from ledger.wire import Receipt
from tests.support.builders import octets
from tests.support.live_ledger import PASSPHRASE, START_S, LiveLedger, today


def made(folder: Path, origin: str, label: str, passphrase: bytes) -> tuple[bytes, bytes]:
    return make_next_keys(
        folder, origin, passphrase, cost=LIGHT_COST, day=today(), random_bytes=lambda count: octets(label, count)
    )


async def test_a_log_goes_on_under_the_keys_that_the_authority_named(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log")
    live.start()
    try:
        publics = make_next_keys(
            live.folder,
            live.authority.origin,
            PASSPHRASE,
            cost=LIGHT_COST,
            day=today(),
            random_bytes=lambda n: octets("n", n),
        )
        entry = live.authority.sign(LogKey(today(), *publics)).entry
        async with live.client() as client:
            with pytest.raises(Unavailable):  # the process ends: it must not sign this head with the old keys
                while True:
                    await client.submit_authority(entry)
        assert live.process is not None and live.process.wait(START_S) != 0
        live.stop()
        live.start()
        origin = live.authority.origin
        new = (VerifierKey(origin, ED25519, publics[0]), VerifierKey(origin, ML_DSA_44_COSIGNATURE, publics[1]))
        async with live.client() as client:
            note = await client.checkpoint()
            opened = open_checkpoint(note, origin, new)
            assert opened.checkpoint.size > 2
            answer = (await client.submit_authority(entry)).answers[0]
        assert not isinstance(answer, Refused), "a retry gets the first answer"
        live.stop()
        (live.folder / file_of(publics[0])).rename(tmp_path / "away")
        with pytest.raises(AssertionError):
            live.start()
        (tmp_path / "away").rename(live.folder / file_of(publics[0]))
        await every_pair_that_it_ever_had(live, new, tmp_path)
    finally:
        live.kill()


async def every_pair_that_it_ever_had(live: LiveLedger, second: Sequence[VerifierKey], work: Path) -> None:
    """Also one that the log named and whose file was destroyed since, and one that nothing names yet."""
    settings = LedgerSettings(live.authority.origin)
    store = open_sqlite(live.folder / settings.store, private=True)
    try:
        assert set(await own_keys(live.folder, settings, store)) == {*live.keys, *second}
        third, fourth = (made(live.folder, settings.origin, label, PASSPHRASE) for label in ("third", "fourth"))
        integrator = await Integrator.open(store)
        for at, publics in enumerate((third, fourth)):
            statement = live.authority.sign(LogKey(today() + at, *publics))
            batch = await integrator.begin([statement], time.time_ns() // 1_000_000 + 60_000 + at)
            assert integrator.authority is not None
            batch.add(authenticate_authority(statement, integrator.authority))
            await integrator.commit(await batch.finish())
        for label in (second[0].public, third[0]):
            shutil.move(live.folder / file_of(label), work / file_of(label))
        named = [VerifierKey(settings.origin, ED25519, public) for public in (third[0], fourth[0])]
        assert {*live.keys, *second, *named} <= set(await own_keys(live.folder, settings, store))
    finally:
        await store.close()


def test_only_the_named_pair_signs(tmp_path: Path) -> None:
    pairs = [made(tmp_path, "log.example", label, PASSPHRASE) for label in ("first", "second")]
    first, second = (open_key_file(tmp_path / file_of(pair[0]), PASSPHRASE) for pair in pairs)
    state = AuthorityState("log.example", (octets("k"),), 1)
    assert log_signer("log.example", first, state, lambda _: second).vkeys[0].public == pairs[0][0]
    named = renewed(state, log_keys=pairs[1])
    assert log_signer("log.example", first, named, lambda _: second).vkeys[1].public == pairs[1][1]
    with pytest.raises(Refused) as caught:
        log_signer("log.example", first, named, lambda _: first)
    assert caught.value.code == "LOG_KEYS"
    back = renewed(state, log_keys=pairs[0])
    assert log_signer("log.example", first, back, lambda _: second).vkeys[0].public == pairs[0][0], "those of the start"


def test_only_a_pair_with_which_the_log_could_sign_may_be_named(tmp_path: Path) -> None:
    """Both halves of one pair, unlocked with what unlocks the others: what is committed cannot be taken back."""
    first, second, third = (made(tmp_path, "log.example", label, PASSPHRASE) for label in ("first", "second", "third"))
    locked = made(tmp_path, "log.example", "locked", b"another passphrase")

    def unlock(name: str) -> KeyFile:
        return open_key_file(tmp_path / name, PASSPHRASE)

    start = unlock(file_of(first[0]))
    now = log_signer("log.example", start, AuthorityState("log.example", (octets("k"),), 1, log_keys=second), unlock)

    def check(*named: bytes) -> None:
        check_log_key(now, start, LogKey(today(), *named), unlock)

    check(*first)
    check(*third)
    check_log_key(now, start, LogKey(today(), successor="log.example/next"), unlock)
    typo = octets("typo")
    for named in (typo, third[1]), (third[0], second[1]), (third[0], first[1]), (first[0], third[1]), locked:
        with pytest.raises(Refused) as caught:
            check(*named)
        assert (caught.value.code, caught.value.field) == (Refusal.LOG_KEYS_NOT_HELD, file_of(named[0]))
    with pytest.raises(Refused) as caught:
        check(*second)
    assert caught.value.code == Refusal.NOTHING_CHANGES


async def test_a_log_never_commits_keys_with_which_it_could_not_start_again(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log")
    live.start()
    try:
        publics = made(live.folder, live.authority.origin, "next", PASSPHRASE)
        own = tuple(key.public for key in live.keys)  # what trust.json says, pasted
        typo = (publics[0], publics[1][:-1] + bytes([publics[1][-1] ^ 1]))
        async with live.client() as client:
            for named, code in ((own, Refusal.NOTHING_CHANGES), (typo, Refusal.LOG_KEYS_NOT_HELD)):
                statement = live.authority.sign(LogKey(today(), *named))
                (answer,) = (await client.submit_authority(statement.entry)).answers
                assert isinstance(answer, Refused) and answer.code == code
                assert answer.field in ("keys", file_of(publics[0]))
            closing = live.authority.sign(LogKey(today(), successor="log.test.example/next"))
            assert isinstance(await client.submit_authority(closing.entry), Receipt), "it lives"
        live.stop()
        live.start()
    finally:
        live.kill()

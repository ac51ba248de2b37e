"""The log's keys change by a statement of the authority: before it the old ones sign, after it the new ones only."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused, Unavailable
from ledger.keystore import open_key_file
from ledger.records.rotation import LogKey
from ledger.records.state import AuthorityState
from ledger.service.log_keys import file_of, log_signer, make_next_keys
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.note import ED25519, VerifierKey
from tests.support.builders import octets
from tests.support.live_ledger import LIGHT, PASSPHRASE, START_S, LiveLedger, today


def made(folder: Path, origin: str, label: str, passphrase: bytes) -> tuple[bytes, bytes]:
    return make_next_keys(
        folder, origin, passphrase, cost=LIGHT, day=today(), random_bytes=lambda count: octets(label, count)
    )


async def test_a_log_goes_on_under_the_keys_that_the_authority_named(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log")
    live.start()
    try:
        publics = make_next_keys(
            live.folder,
            live.authority.origin,
            PASSPHRASE,
            cost=LIGHT,
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
    finally:
        live.kill()


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

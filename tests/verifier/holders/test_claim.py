"""Claims asked of a real ledger over HTTP, and what a person types."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.client import LedgerClient
from ledger.errors import Refused, Unavailable
from ledger.records.commitments import Field
from ledger.records.evidence import parse_evidence
from ledger.records.secret import format_secret
from ledger.store.sqlite import create_sqlite
from tests.support.builders import id_number, octets
from tests.support.live_ledger import LAB, LOOKUP_TOKEN, MAP_DEPTH, LiveLedger, drafted, live_body
from verifier.config import LogConfig
from verifier.holders.claim import claim_by_bundle, claim_by_slip, read_slip
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica
from verifier.scanning import Scanner

CODE = format_secret(octets("code", 16))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def always(_: bytes) -> bool:
    return True


async def never(_: bytes) -> bool:
    return False


def test_what_a_person_types_is_read_as_it_is_meant() -> None:
    slip = read_slip(octets("s", 16), " 张 三 ", " 123x", " ".join(CODE[at : at + 4] for at in range(0, 26, 4)).lower())
    assert (slip.name, slip.tail, slip.holder_code) == ("张三", "123X", octets("code", 16))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NAME_MISSING", {"name": ""}),
        ("NAME_CHARACTER", {"name": "张3"}),
        ("CLAIM_TAIL", {"tail": "123"}),
        ("CLAIM_TAIL", {"tail": "12三4"}),
        ("CLAIM_CODE", {"code": CODE[:-1]}),
        ("CLAIM_CODE", {"code": "I" * 26}),
        ("CLAIM_CODE", {"code": ""}),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_asked(code: str, changes: dict[str, str]) -> None:
    typed = {"name": "张三", "tail": "1234", "code": CODE} | changes
    with pytest.raises(Refused) as caught:
        read_slip(octets("s", 16), typed["name"], typed["tail"], typed["code"])
    assert caught.value.code == code


async def test_a_claim_is_proven_by_the_ledger_and_the_log(tmp_path: Path) -> None:
    body = live_body("claim")
    live = LiveLedger.create(tmp_path / "log", "claim", verifiers=(LAB,)).start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            [certificate] = await drafted(client, body, "a")
            await client.submit([certificate.submission()])
            bundle = certificate.bundle(parse_evidence(await client.evidence(certificate.issue.cert_key)))
        genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
        keys = tuple(key.format_vkey() for key in live.keys)
        trust = LogConfig(live.authority.origin, keys, genesis, live.url).build(("https://cert.example",))
        store = create_sqlite(tmp_path / "replica.db", private=False)
        await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
        async with LedgerClient(live.url, token=LOOKUP_TOKEN) as asked, LedgerClient(live.url) as stranger:
            with ThreadPoolExecutor(1) as pool:
                replica = await Replica.open(store, asked, trust, pool)
                await replica.poll(now_ms())

                def register(client: LedgerClient) -> Lookup:
                    return Lookup([KnownLog(trust, now_ms, client, replica=replica)], Scanner(), now_ms)

                tail, name = id_number("a")[-4:], certificate.face.name
                code = format_secret(certificate.holder_code)
                slip = read_slip(certificate.secret, name, tail, code)
                held = await claim_by_slip(slip, register(asked), always)
                assert held.face == certificate.face and held.opening(Field.EMPLOYER) == certificate.openings[1]
                assert held.opening(Field.ID_DOCUMENT) is None, "it lives with issuer and bundle alone"
                for wrong, counted in (
                    (replace(slip, tail="0000"), always),
                    (replace(slip, name="别人"), always),
                    (replace(slip, holder_code=octets("x", 16)), always),
                    (replace(slip, secret=octets("x", 16)), always),
                    (slip, never),
                ):
                    with pytest.raises(Refused, match="CLAIM_WRONG"):
                        await claim_by_slip(wrong, register(asked), counted)
                with pytest.raises(Unavailable):
                    await claim_by_slip(slip, register(stranger), always)  # it has no token: nobody says anything of it
                held = await claim_by_bundle(bundle, register(stranger))
                assert held.opening(Field.ID_DOCUMENT) == certificate.openings[0]
                with pytest.raises(Refused, match="CLAIM_WRONG"):
                    await claim_by_bundle(replace(bundle, holder_code=octets("x", 16)), register(stranger))
        await store.close()
    finally:
        assert live.stop() == 0

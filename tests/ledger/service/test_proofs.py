from __future__ import annotations

from collections.abc import Sequence

import pytest

from ledger.errors import Refused
from ledger.keystore import public_part
from ledger.records.dates import format_day
from ledger.records.evidence import parse_evidence
from ledger.records.evidence_check import ProvenState, verify_evidence
from ledger.records.receipt import open_receipt
from ledger.service.run import RECEIPT_KEY
from ledger.tlog.policy import NO_WITNESSES
from ledger.tlog.proof import parse_tlog_proof, verify_tlog_proof
from tests.support.builders import Body, Certificate, octets
from tests.support.live_ledger import LiveLedger, distinct, drafted, today

LABELS = distinct("proofs", 3)


async def issued(live: LiveLedger, body: Body, labels: Sequence[str], **changes: object) -> list[Certificate]:
    async with live.client(body) as client:
        certificates = await drafted(client, body, *labels, **changes)  # type: ignore[arg-type]
        receipt = await client.submit([certificate.submission() for certificate in certificates])
        live.check(receipt, [certificate.statement.entry for certificate in certificates])
        return certificates


def proven(live: LiveLedger, raw: bytes, cert_key: bytes) -> ProvenState:
    found = verify_evidence(parse_evidence(raw), live.authority.origin, live.keys, NO_WITNESSES)
    assert found.cert_key == cert_key
    return found


async def test_evidence_now_and_then(live: LiveLedger, home: Body) -> None:
    (one,) = await issued(live, home, LABELS[:1])
    key = one.issue.cert_key
    async with live.client() as client:
        now = proven(live, await client.evidence(key), key)
        assert now.is_current and now.state is not None and now.issued == one.statement
        assert now.terms == home.filing
        higher = home.certificate(
            LABELS[0] + " higher", person=LABELS[0], track=one.issue.track_id, grade=5, day=today() - 3
        )
        async with live.client(home) as issuer:
            await issuer.submit([higher.submission()])
        later = proven(live, await client.evidence(key), key)
        assert later.highest == higher.statement
        before = proven(live, await client.evidence(key, size=now.size), key)
        assert (before.state, before.seal) == (now.state, now.seal) and not before.is_current
        day = proven(live, await client.evidence(key, day=today()), key)
        day.check_day(today())
        assert day.state == later.state
        for wanted, code in (({"size": now.size - 1}, "NO_SUCH_SIZE"), ({"size": 10**9}, "NO_SUCH_SIZE"),
                             ({"day": today() + 2}, "NOT_YET"), ({"day": today() - 2}, "TOO_EARLY")):  # fmt: skip
            with pytest.raises(Refused) as refused:
                await client.evidence(key, **wanted)  # type: ignore[arg-type]
            assert refused.value.code == code


async def test_an_unknown_certificate_has_evidence_of_its_absence_only(live: LiveLedger) -> None:
    nobody = octets("nobody at all")
    async with live.client() as client:
        assert proven(live, await client.evidence(nobody), nobody).state is None
        assert proven(live, await client.evidence(nobody, day=today()), nobody).state is None
    for path in ("tlog-proof", "receipt"):
        status, _, _ = await live.fetch(f"/v1/evidence/{nobody.hex()}/{path}")
        assert status == 404


async def test_downloads(live: LiveLedger, home: Body) -> None:
    (one,) = await issued(live, home, LABELS[1:2])
    path = f"/v1/evidence/{one.issue.cert_key.hex()}"
    status, headers, raw = await live.fetch(path + "/tlog-proof")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    proof = parse_tlog_proof(raw)
    verify_tlog_proof(proof, one.statement.entry, live.authority.origin, live.keys)
    status, headers, raw = await live.fetch(path + "/receipt")
    assert (status, headers["content-type"]) == (200, "application/cose")
    (public,) = [key.public for key in public_part(live.folder / "keys.json") if key.name == RECEIPT_KEY]
    assert public is not None
    receipt = open_receipt(raw, one.statement.entry, live.authority.origin, public)
    assert receipt.index == proof.index


async def test_no_cache_can_pass_off_an_old_answer(live: LiveLedger, home: Body) -> None:
    (one,) = await issued(live, home, LABELS[2:])
    paths = ("", f"?date={format_day(today())}", "/tlog-proof", "/receipt")
    for path in (f"/v1/evidence/{one.issue.cert_key.hex()}{rest}" for rest in paths):
        status, headers, raw = await live.fetch(path)
        assert status == 200 and raw
        assert headers["cache-control"] == "no-cache" and headers["access-control-allow-origin"] == "*"
        status, again, raw = await live.fetch(path, headers={"If-None-Match": headers["etag"]})
        assert (status, raw, again["etag"]) == (304, b"", headers["etag"])
    path = f"/v1/evidence/{one.issue.cert_key.hex()}"
    _, headers, _ = await live.fetch(path)
    await issued(live, home, distinct("another proof", 1))
    status, again, raw = await live.fetch(path, headers={"If-None-Match": headers["etag"]})
    assert status == 200 and raw and again["etag"] != headers["etag"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/evidence/", 404),
        ("/v1/evidence/xyz", 404),
        ("/v1/evidence/" + "A" * 64, 404),
        ("/v1/evidence/" + "a" * 63, 404),
        ("/v1/evidence/" + "a" * 64 + "/other", 404),
        ("/v1/evidence/" + "a" * 64 + "?size=", 400),
        ("/v1/evidence/" + "a" * 64 + "?size=01", 400),
        ("/v1/evidence/" + "a" * 64 + "?size=-1", 400),
        ("/v1/evidence/" + "a" * 64 + "?size=0", 422),
        ("/v1/evidence/" + "a" * 64 + "?date=2026-02-30", 400),
        ("/v1/evidence/" + "a" * 64 + "?date=yesterday", 400),
        ("/v1/evidence/" + "a" * 64 + "?size=1&date=2026-01-01", 400),
        ("/v1/evidence/" + "a" * 64 + "?other=1", 400),
    ],
)
async def test_other_questions_are_refused(live: LiveLedger, path: str, status: int) -> None:
    found, headers, _ = await live.fetch(path)
    assert found == status and headers["cache-control"] == "no-store"

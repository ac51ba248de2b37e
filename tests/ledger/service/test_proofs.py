from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from ledger.edge import protect
from ledger.edge_direct import DIRECT
from ledger.errors import Malformed, Refused, Unavailable
from ledger.keystore import public_part
from ledger.records.dates import format_day
from ledger.records.evidence import parse_evidence
from ledger.records.evidence_check import ProvenState, verify_evidence
from ledger.records.receipt import open_receipt
from ledger.service.cosigned import Published
from ledger.service.proofs import Proofs, add_proofs, cosigned_question
from ledger.service.run import RECEIPT_KEY
from ledger.service.witness import Signed
from ledger.store.evidence import Basis, Prover
from ledger.store.hashes import Hashes
from ledger.store.serving import Serving
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.policy import NO_WITNESSES
from ledger.tlog.proof import parse_tlog_proof, verify_tlog_proof
from tests.support.build_log import LogBuilder
from tests.support.builders import Body, Certificate, octets
from tests.support.in_memory import in_memory, said, undated
from tests.support.live_ledger import LiveLedger, distinct, drafted, today
from tests.support.slow_evidence import slow_evidence
from tests.support.stores import KINDS

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
        asked = today()
        day = proven(live, await client.evidence(key, day=asked), key)
        day.check_day(asked)
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
    assert proof.extra == one.statement.entry, "the file needs nothing beside it"
    name = one.issue.cert_key.hex()[:16]
    assert headers["content-disposition"] == f'attachment; filename="{name}.tlog-proof"'
    status, headers, raw = await live.fetch(path + "/receipt")
    assert (status, headers["content-type"]) == (200, "application/cose")
    assert headers["content-disposition"] == f'attachment; filename="{name}.receipt.cose"'
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


class Memory:
    """A prover that has to wait, remembers what it was asked for under one note, and counts what it had to prove."""

    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, bytes], bytes] = {}
        self.proved: list[bytes] = []

    async def current(self, cert_key: bytes, basis: Basis) -> bytes:
        self.proved.append(cert_key)
        return self.kept.setdefault((cert_key, basis.note), sha256(cert_key + basis.note).digest() * 60)

    def at_once(self, cert_key: bytes, basis: Basis) -> bytes | None:
        return self.kept.get((cert_key, basis.note))


async def test_what_is_remembered_under_the_newest_head_is_answered_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ledger.edge.access")
    monkeypatch.setattr(Proofs, "_signed_ms", lambda self, note: 0)
    heads: list[Any] = [None]
    prover, ways = Memory(), []
    key = octets("a certificate")
    path = f"/v1/evidence/{key.hex()}"
    for direct in (True, False):
        prover.kept.clear()
        heads[:] = [None]
        proofs = Proofs(prover, lambda: heads[-1], lambda _: None, "x", (), None)  # type: ignore[arg-type]
        app = web.Application()
        add_proofs(app, proofs)
        protect(app)
        if not direct:
            del app[DIRECT]
        answers: list[bytes] = []
        proved: list[int] = []
        async with in_memory(app) as connect:
            line = connect()

            async def ask(target: str, more: str = "", line: Any = line, answers: list[bytes] = answers) -> None:
                sent = f"GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()
                answers.append(undated(await line.send(sent)))

            await ask(path)
            for note in (b"one", b"one, signed again", b"two"):
                heads.append(SimpleNamespace(size=9, note=note))
                before = len(prover.proved)
                for _ in range(3):
                    await ask(path)
                proved.append(len(prover.proved) - before)
                tag = proofs.head()[2].text
                await ask(path, f"If-None-Match: {tag}\r\n")
                for other in (path.upper(), path + "?size=9x", path + "/", path[:-1], path + "/other", path + "?"):
                    await ask(other)
                assert sha256(key + note).digest() in answers[-8] and tag.encode() in answers[-8]
        ways.append((answers, proved, said(caplog)))
    (direct_answers, few, lines), (usual_answers, all_of_them, usual_lines) = ways
    assert direct_answers == usual_answers and lines == usual_lines and len(lines) == len(direct_answers)
    assert direct_answers[0].startswith(b"HTTP/1.1 503 ")
    assert (few, all_of_them) == ([1, 1, 1], [3, 3, 3])
    assert [answer[9:12] for answer in direct_answers[1:5]] == [b"200", b"200", b"200", b"304"]


async def test_a_proof_that_waits_for_nothing_is_answered_by_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Computed before there is a request: the same bytes and access lines as by the handler, errors too."""
    caplog.set_level("INFO", "ledger.edge.access")
    log = await LogBuilder.create(tmp_path / "log.db")
    serving, heads, asked = Serving(log.integrator), list[Any](), [octets("nobody")]
    ways: list[tuple[list[bytes], list[dict[str, object]]]] = [([], []), ([], [])]
    sites = []
    for direct in (True, False):
        prover = Prover(log.integrator, Hashes(log.store), serving)
        proofs = Proofs(prover, lambda: heads[-1], lambda _: None, log.origin, log.signer.vkeys, None)  # type: ignore[arg-type]
        app = web.Application()
        add_proofs(app, proofs)
        protect(app)
        if not direct:
            del app[DIRECT]
        sites.append((prover, app))

    def publish() -> None:
        heads.append(SimpleNamespace(size=log.integrator.size, note=log.checkpoint(), root=b""))
        serving.publish(log.integrator.size)

    async with in_memory(sites[0][1]) as at_once, in_memory(sites[1][1]) as usually:
        lines = at_once(), usually()

        async def ask(wanted: int) -> None:
            for key in asked:
                sent = f"GET /v1/evidence/{key.hex()} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                for line, (answers, accesses) in zip(lines, ways, strict=True):
                    answers.append(undated(await line.send(sent)))
                    accesses += said(caplog)
                    assert answers[-1].startswith(b"HTTP/1.1 %d " % wanted)

        for at in range(3):
            one = log.certificate(f"c{at}", grade=2 + at, track="t")
            await log.issue(one)
            asked.append(one.issue.cert_key)
            publish()
            await ask(200)
            assert ways[0][0][-1].endswith(await slow_evidence(log.store, asked[-1], heads[-1].note, heads[-1].size))
        await log.issue(log.certificate("later"))
        heads.append(SimpleNamespace(size=log.integrator.size, note=log.checkpoint(), root=b""))
        await ask(200)  # the serving map is that of the head before: rebuilt, which waits
        asked[:] = asked[-1:]
        serving.publish(log.integrator.size)
        for prover, _ in sites:
            prover._kept.clear()
        write = log.store._writer.execute
        write("UPDATE entry SET idx = idx + 1000 WHERE body = ?", (one.statement.entry,))
        await ask(503)
        ((value,),) = write("SELECT value FROM state WHERE subject = ?", asked).fetchall()
        write("UPDATE state SET value = zeroblob(32) WHERE subject = ?", asked)
        await ask(503)
        write("UPDATE state SET value = ?, body = x'80' WHERE subject = ?", (value, *asked))
        assert ways[0] == ways[1]
        await ask(500)  # each with a reference of its own
        del ways[0][0][-1], ways[1][0][-1], ways[0][1][-1], ways[1][1][-1]
    assert ways[0] == ways[1] and len(ways[0][1]) == len(ways[0][0])
    assert [len(prover._kept) for prover, _ in sites] == [0, 0]
    await log.store.close()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_which_answers_need_no_request(tmp_path: Path, store: str) -> None:
    log = await LogBuilder.create(
        tmp_path / "log.db", store=await KINDS[store]().create(tmp_path / "log.db", private=False)
    )
    head = SimpleNamespace(size=log.integrator.size, note=log.checkpoint())
    prover = Prover(log.integrator, Hashes(log.store), Serving(log.integrator))
    proofs = Proofs(prover, lambda: head, lambda _: None, log.origin, log.signer.vkeys, None)  # type: ignore[arg-type,return-value]
    key = octets("nobody")
    made = proofs.ready(key.hex(), False)
    assert (made is not None) == (store == "sqlite")
    raw = await prover.current(key, proofs.head()[1])
    answer = proofs.ready(key.hex(), False)
    assert answer is not None and answer.endswith(b"\r\n\r\n" + raw) and made in (None, answer)
    await log.store.close()


def test_nothing_lies_ready_before_the_first_head_nor_for_what_is_no_key() -> None:
    proofs = Proofs(Memory(), lambda: None, lambda _: None, "x", (), None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        proofs.ready("00" * 32, False)
    for text in ("", "00" * 31, "00" * 33, "0A" * 32, "00" * 32 + "/receipt", "\u0660" * 64):
        assert proofs.ready(text, False) is None


@pytest.mark.parametrize("text", ["", "0", "0000000g", "ABCDEF01", "00000000,", ",".join(["00000000"] * 17), "all"])
def test_a_question_for_no_key_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        cosigned_question({"cosigned": text})


def test_a_question_for_lines_leaves_the_rest() -> None:
    assert cosigned_question({"size": "5", "cosigned": "00000001,abcdef01"}) == (
        (b"\0\0\0\1", b"\xab\xcd\xef\1"), {"size": "5"},
    )  # fmt: skip
    assert cosigned_question({"date": "2026-01-01"}) == ((), {"date": "2026-01-01"})


async def test_where_nobody_cosigned_the_newest_head_answers(live: LiveLedger) -> None:
    key = octets("nobody at all")
    async with live.client() as client:
        asked = proven(live, await client.evidence(key, cosigned=live.keys), key)
        assert asked.size == proven(live, await client.evidence(key), key).size
        with pytest.raises(Refused):
            await client.evidence(key, cosigned=live.keys * 9)


def test_the_newest_cosigned_head_answers() -> None:
    signer = CheckpointSigner("log.example", Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))

    def head(size: int) -> Published:
        checkpoint = Checkpoint("log.example", size, octets(f"root {size}"))
        note = signer.sign(checkpoint, 1_790_000_000)
        return Published(Signed(checkpoint, note), note, b"")

    now = [head(5)]
    proofs = Proofs(None, lambda: None, lambda ids: now[0], "log.example", signer.vkeys, None)  # type: ignore[arg-type]
    assert proofs.cosigned_head([b"1234"])[1].size == 5
    now[0] = head(6)
    assert proofs.cosigned_head([b"1234"])[1].size == 6

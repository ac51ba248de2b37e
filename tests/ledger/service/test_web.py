"""The ledger's routes: what is public and cached, what is refused before it is read, and nothing that is a 500."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import re
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from ledger import wire
from ledger.client import Pending
from ledger.edge import Intake, protect
from ledger.edge_direct import DIRECT
from ledger.errors import Refused, Unavailable
from ledger.records.kinds import Kind
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import certificate_map_key
from ledger.records.statements import parse_statement
from ledger.service import web
from ledger.service.admission import Candidate, Examined, KnownBy
from ledger.service.answers import Answers
from ledger.service.backlog import LONGEST_S, START, Backlog
from ledger.service.budget import Budget
from ledger.service.examined import front_key, sign_examined
from ledger.service.internal import add_internal, post_examined
from ledger.service.metrics import make_metrics
from ledger.service.tiles import IMMUTABLE
from ledger.service.web import LOG, create_app, post_authority, post_statements, sequence
from ledger.store.hashes import Hashes
from ledger.store.track_places import TrackPlaces
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.policy import format_policy
from ledger.tlog.tiles import parse_entries
from ledger.wire import Logged, Submission
from tests.support import slow_tree
from tests.support.builders import Body, Certificate, id_number
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.held_back import answered_before_the_body, statuses_of_one_head
from tests.support.in_memory import in_memory, said, undated
from tests.support.life_builders import Correction, bare, correction, reissue, ruling
from tests.support.live_ledger import LAB, LOOKUP_TOKEN, LiveLedger, distinct, drafted, live_body, today, tracks_of
from tests.support.service_room import BODY, EXAMINER, INDEX, Room
from tests.support.waiting import PATIENCE_S, until

POSTS = ("/v1/statements", "/v1/authority", "/v1/tracks", "/v1/numbers")
SIGNED = ("/v1/statements", "/v1/tracks", "/v1/numbers")
JSON = {"Content-Type": "application/json"}


def error_of(body: bytes) -> dict[str, str]:
    error = json.loads(body)["error"]
    assert error["zh"] and error["en"] and error["zh"] != error["en"]
    return error


async def size_of(live: LiveLedger) -> int:
    return live.open((await live.fetch("/checkpoint"))[2]).checkpoint.size


async def grow(live: LiveLedger, body: Body, name: str, count: int) -> None:
    async with live.client(body) as client:
        made = await drafted(client, body, *(f"{name} {at}" for at in range(count)))
        receipt = await client.submit([c.submission() for c in made])
    assert all(isinstance(answer, Logged) for answer in receipt.answers)


async def test_the_checkpoint_is_signed_by_both_keys_and_not_cached(live: LiveLedger) -> None:
    status, headers, body = await live.fetch("/checkpoint")
    assert status == 200
    assert headers["cache-control"] == "no-cache"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert live.open(body).checkpoint.size > 0


async def test_tiles_and_bundles_are_the_tree_and_cached_for_ever(live: LiveLedger, home: Body) -> None:
    await grow(live, home, "tiles", 300)
    size = await size_of(live)
    entries: list[bytes] = []
    for index in range(0, size, 256):
        width = min(256, size - index)
        path = f"/tile/entries/{index // 256:03}" + ("" if width == 256 else f".p/{width}")
        status, headers, body = await live.fetch(path)
        assert status == 200
        assert headers["cache-control"] == IMMUTABLE == "public, max-age=604800, immutable"
        assert headers["access-control-allow-origin"] == "*"
        entries += parse_entries(body, width)
    leaves = [leaf_hash(entry) for entry in entries]
    opened = live.open((await live.fetch("/checkpoint"))[2])
    assert opened.checkpoint.root == slow_tree.root(leaves)
    assert (await live.fetch("/tile/0/000"))[2] == b"".join(leaves[:256])
    assert (await live.fetch("/tile/1/000.p/1"))[2] == slow_tree.root(leaves[:256])
    for width in (1, 2, 17, 255):
        assert (await live.fetch(f"/tile/0/000.p/{width}"))[2] == b"".join(leaves[:width]), "a partial is a prefix"
        assert parse_entries((await live.fetch(f"/tile/entries/000.p/{width}"))[2], width) == entries[:width]


async def test_beyond_the_published_size_there_is_nothing_and_nobody_remembers_it(live: LiveLedger) -> None:
    size = await size_of(live)
    last, width = divmod(size, 256)
    assert width
    beyond = [
        f"/tile/0/{last:03}",
        f"/tile/0/{last:03}.p/{width + 1}",
        f"/tile/0/{last + 1:03}.p/1",
        f"/tile/entries/{last:03}",
        f"/tile/entries/{last:03}.p/{width + 1}",
        f"/tile/entries/{last + 1:03}",
        "/tile/1/000",
        f"/tile/1/000.p/{last + 1}",
        "/tile/2/000.p/1",
        "/tile/63/000.p/1",
        "/tile/0/x999/x999/x999/x999/999",
    ]
    for path in beyond:
        status, headers, body = await live.fetch(path)
        assert (status, headers["cache-control"]) == (404, "no-store"), path
        error_of(body)
    assert (await live.fetch(f"/tile/0/{last:03}.p/{width}"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/0",
        "/tile/00/000",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/000.p/01",
        "/tile/0/000.p/-1",
        "/tile/0/000.p",
        "/tile/0/000/",
        "/tile/0/x000/001",
        "/tile/0/X001/000",
        "/tile/64/000",
        "/tile/-1/000",
        "/tile/8/0/000",
        "/tile/entries/0",
        "/tile/data/000",
        "/tile/0/%30%30%30.p/٣",
        "/tile/0/000%00",
        "/tile/0/../0/000",
        "/tile/0/%2e%2e/000",
        "/tile/0/000%0a",
        "/tile/0/000 ",
        "/tile/",
        "/tile",
        "/tile/" + "0/" * 2000,
    ],
)
async def test_tile_paths_have_one_spelling(live: LiveLedger, path: str) -> None:
    status, headers, _ = await live.fetch(path)
    assert status == 404
    assert headers["cache-control"] == "no-store"


async def test_unsigned_and_wrongly_signed_requests_are_401(live: LiveLedger, home: Body, other: Body) -> None:
    body = wire.encode(wire.NumbersRequest(["a"]))
    stranger = live_body("a stranger")
    sent: list[dict[str, str]] = []

    async with live.client(home) as client, live.client(stranger) as unknown:
        for each in (client, unknown):
            send = each._send

            async def record(method: str, path: str, limit: int, raw: bytes | None, headers: dict[str, str], send=send):  # type: ignore[no-untyped-def]
                sent.append(dict(headers))
                if raw is not None:
                    return b'{"taken":[]}'
                return await send(method, path, limit, raw, headers)

            each._send = record  # type: ignore[method-assign]
            await each.taken_numbers(["a"])
    good, by_stranger = sent
    signature = good["Signature"]
    bad = {
        "unsigned": JSON,
        "a stranger's key": by_stranger,
        "no signature": {k: v for k, v in good.items() if k != "Signature"},
        "no digest": {k: v for k, v in good.items() if k != "Content-Digest"},
        "another signature": good | {"Signature": signature[:-6] + "AAA==:"},
        "another key's id": good
        | {"Signature-Input": re.sub(r'keyid="\w+"', f'keyid="{"0" * 16}"', good["Signature-Input"])},
        "garbage": good | {"Signature-Input": "x" * 500},
    }
    answers = set()
    for what, headers in bad.items():
        status, _, raw = await live.fetch("/v1/numbers", method="POST", data=body, headers=headers)
        assert status == 401, what
        answers.add(raw)
    assert len(answers) == 1, "one text for every reason"
    assert error_of(answers.pop())["code"] == "unverified"
    changed = [
        ("/v1/numbers", body + b" "),  # another body
        ("/v1/numbers?a=1", body),  # another query
        ("/v1/tracks", body),  # another path
    ]
    for path, data in changed:
        assert (await live.fetch(path, method="POST", data=data, headers=good))[0] == 401
    status, _, raw = await live.fetch("/v1/numbers", method="POST", data=body, headers=good)
    assert (status, json.loads(raw)) == (200, {"taken": []})
    assert (await live.fetch("/v1/numbers", method="POST", data=body, headers=good))[0] == 401, "a replay"


@pytest.mark.parametrize("path", POSTS)
async def test_bodies_over_the_limit_and_encoded_ones_are_not_read(live: LiveLedger, path: str) -> None:
    limit = wire.MAX_BODY if path == "/v1/statements" else 1024 * 1024
    async with aiohttp.ClientSession() as session:

        async def stream():  # type: ignore[no-untyped-def]
            for _ in range(limit // 65_536 + 2):
                yield bytes(65_536)

        try:
            async with session.post(live.url + path, data=stream(), headers=JSON) as answer:
                assert answer.status == (413 if path == "/v1/authority" else 401)
        except aiohttp.ClientError:
            pass  # the connection was closed while we were still sending
    for encoding in ("gzip", "deflate", "br", "GZIP", "identity, gzip"):
        headers = JSON | {"Content-Encoding": encoding}
        status, _, body = await live.fetch(path, method="POST", data=gzip.compress(b"{}"), headers=headers)
        assert status == 415
        assert error_of(body)["code"] == "unsupported_type"


@pytest.mark.parametrize("path", sorted(set(POSTS) - {"/v1/authority"}))
async def test_a_signed_body_over_the_limit_is_refused_too(live: LiveLedger, home: Body, path: str) -> None:
    limit = wire.MAX_BODY if path == "/v1/statements" else 1024 * 1024
    status, answer = await signed(live, home, path, bytes(limit + 1))
    assert (status, answer["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", sorted(set(POSTS) - {"/v1/authority"}))
async def test_strangers_are_turned_away_before_their_body_comes(live: LiveLedger, path: str) -> None:
    """All bodies under way share one memory: whoever held theirs back would keep the issuers out."""
    assert b" 401 " in await answered_before_the_body(live.url, path)


@pytest.mark.parametrize("handler", [post_statements, post_examined])
async def test_what_would_wait_too_long_is_turned_away_before_its_body_comes(
    handler: Callable[[Any], Awaitable[object]],
) -> None:
    """To read it, hash it and look through it first would be work for nothing, when there is too much of it."""
    backlog = Backlog(lambda: 0.0)

    class Sent:
        async def read(self, *_: object, **__: object) -> bytes:
            raise AssertionError("its body is read")

    async def sender(*_: object, **__: object) -> Sent:
        return Sent()

    app = aiohttp.web.Application()
    add_internal(app, bytes(32))
    app[LOG] = SimpleNamespace(  # type: ignore[assignment]
        requesters=SimpleNamespace(open=sender), intake=Intake(10), sequencer=SimpleNamespace(backlog=backlog)
    )
    app.freeze()
    signed_by_front = sign_examined(front_key(bytes(32)), b"", int(time.time()))
    request = make_mocked_request("POST", "/", headers=signed_by_front, app=app, payload=cast(Any, None))
    with backlog.through(int(START * LONGEST_S) + 1), pytest.raises(Unavailable) as full:
        await handler(request)
    assert full.value.retry_after == 1


@pytest.mark.parametrize("path", sorted(set(POSTS) - {"/v1/authority"}))
async def test_a_head_counts_with_the_body_that_it_was_signed_for_and_once(
    live: LiveLedger, home: Body, path: str
) -> None:
    assert await statuses_of_one_head(live.url, path, home, b"{}") == [401, 400, 401]


async def test_what_anybody_may_send_has_a_share_of_its_own() -> None:
    app = aiohttp.web.Application()
    app[LOG] = SimpleNamespace(intake=Intake(0), strangers=Intake(2))  # type: ignore[assignment]
    app.router.add_post("/v1/authority", post_authority)
    protect(app)
    async with TestClient(TestServer(app)) as client:
        for body, status in ((b"{}", 400), (b"{ }", 503), (b"{}", 400)):
            assert (await client.post("/v1/authority", data=body)).status == status


@pytest.mark.parametrize("length", [16 * 1024 + 1, 99_999_999])
async def test_a_declared_length_over_the_limit_is_refused_at_once(live: LiveLedger, length: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(live.url.rsplit(":", 1)[1]))
    writer.write(f"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()
    await writer.wait_closed()


async def signed(live: LiveLedger, body: Body, path: str, raw: bytes) -> tuple[int, dict[str, str]]:
    """Post exact bytes, properly signed: status and error."""
    status, _, answer = await signed_raw(live, body, path, raw)
    return status, error_of(answer) if status >= 400 else {}


async def signed_raw(live: LiveLedger, body: Body, path: str, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Post exact bytes, properly signed: status, headers and body."""
    seen: list[tuple[int, dict[str, str], bytes]] = []
    async with live.client(body) as client:

        async def send(method: str, path: str, limit: int, raw: bytes | None, headers: dict[str, str]) -> bytes:
            data = io.BytesIO(raw or b"")  # as bytes a large one is warned of
            seen.append(await live.fetch(path, method=method, data=data, headers=headers))
            return b""

        client._send = send  # type: ignore[method-assign]
        await client._post(path, raw)
    return seen[0]


BAD_JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe",
    b"{}",
    b"[" * 10_000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"entry": 1}',
    b'{"entry": "not base64!"}',
    b'{"entry": ""} {}',
    b'{"persons": [], "numbers": [], "submissions": [], "entry": ""}',
    b'{"persons": [{"document_type": "111"}]}',
    b'{"submissions": [{}]}',
    b'{"submissions": [null]}',
    b'{"numbers": [null]}',
    b'{"numbers": "x"}',
    b'{"numbers": ["\\ud800"]}',
    b'{"numbers": [], "__CANARY__": 1}',
    b'{"persons": [], "\\u0000": 1}',
    b'{"entry": "", "extra": 1}',
]


@pytest.mark.parametrize("path", POSTS)
async def test_bad_json_and_unknown_members_are_400_and_nothing_is_echoed(
    live: LiveLedger, home: Body, path: str
) -> None:
    for raw in BAD_JSON:
        status, error = await signed(live, home, path, raw)
        too_large = path == "/v1/authority" and len(raw) > 16 * 1024
        assert (status, error["code"]) == ((413, "too_large") if too_large else (400, "malformed")), raw[:40]
        assert "CANARY" not in json.dumps(error) and len(json.dumps(error)) < 600


async def test_lists_have_bounds(live: LiveLedger, home: Body) -> None:
    person = wire.PersonBody("111", "CHN", "009900198001010016", "6-18-01-01")
    long_lineage = wire.PersonBody("111", "CHN", "009900198001010016", "x" * 65)
    for path, body in (
        ("/v1/tracks", wire.TracksRequest([])),
        ("/v1/tracks", wire.TracksRequest([person] * (wire.MAX_PERSONS + 1))),
        ("/v1/tracks", wire.TracksRequest([long_lineage])),
        ("/v1/numbers", wire.NumbersRequest(["a"] * (wire.MAX_NUMBERS + 1))),
        ("/v1/numbers", wire.NumbersRequest(["a" * 65])),
        ("/v1/numbers", wire.NumbersRequest([home.filing.number + "e\u0301"])),
        ("/v1/statements", wire.SubmitRequest([])),
    ):
        status, error = await signed(live, home, path, wire.encode(body))
        assert (status, error["code"]) == (400, "malformed")
    async with live.client(home) as client:
        (certificate,) = await drafted(client, home, "bounds")
    too_many = wire.SubmitRequest([wire.submission_body(certificate.submission())] * (wire.MAX_SUBMISSIONS + 1))
    status, error = await signed(live, home, "/v1/statements", wire.encode(too_many))
    assert (status, error["code"]) == (400, "malformed")


async def test_methods_and_unknown_pages(live: LiveLedger) -> None:
    assert (await live.fetch("/checkpoint", method="POST"))[0] == 405
    assert (await live.fetch("/v1/statements"))[0] == 405
    for path in ("/", "/v1", "/v1/nothing", "/checkpoint/", "/%00", "/v1/filings/", "//checkpoint", "/.git/config"):
        status, headers, body = await live.fetch(path)
        assert status == 404 and headers["cache-control"] == "no-store"
        error_of(body)


async def test_envelopes_are_found_by_certificate_and_locator_only(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:

        async def logged(made: Certificate | Correction) -> int:
            (answer,) = (await client.submit([made.submission()])).answers
            assert isinstance(answer, Logged)
            return answer.index

        async def check(issued: int, sent: Submission) -> None:
            """Both are found there, and nowhere else."""
            assert await client.envelope(issued, sent.locator, "face") == sent.face_envelope
            assert await client.envelope(issued, sent.locator, "rest") == sent.rest_envelope
            for index in (issued - 1, issued + 1, 0, 10**18 - 1):
                assert await client.envelope(index, sent.locator, "face") is None
            assert await client.envelope(issued, bytes(32), "face") is None

        (certificate,) = await drafted(client, home, "envelope")
        submission = certificate.submission()
        size = await size_of(live)
        for index in range(size - 3, size + 3):
            assert await client.envelope(index, submission.locator, "face") is None, "not before it is logged"
        issued = await logged(certificate)
        await check(issued, submission)
        changed = correction(home, certificate, name="例小红", day=today())
        assert await logged(changed) > issued + 1
        await check(issued, changed.submission())
        await check(issued, submission)
        new = reissue(home, certificate, "new")
        second = await logged(new)
        await check(second, new.submission())
        again = correction(home, new, "again", name="例小兰", day=today())
        await logged(again)
        await check(second, again.submission())
    locator = submission.locator.hex()
    right = f"{issued}/{locator}/face"
    assert (await live.fetch(f"/v1/envelopes/{right}"))[0] == 200
    for path in (
        f"{issued}/{locator}/photo", f"{issued}/{locator.upper()}/face", f"{issued}/{locator[:-1]}/face",
        f"{issued}/{locator}0/face", f"{issued}/x/face", f"0{right}", f"+{right}", f"-{right}", f"%20{right}",
        f"/{right}", f"{right}/", f"\u0661/{locator}/face", f"{issued}.0/{locator}/face", f"x/{locator}/face",
        f"{10**18}/{locator}/face", f"{2**64}/{locator}/face", f"{locator}/face",
    ):  # fmt: skip
        assert (await live.fetch(f"/v1/envelopes/{path}"))[0] == 404, path
    headers = (await live.fetch(f"/v1/envelopes/{right}"))[1]
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


async def test_filings_are_listed_and_found(live: LiveLedger, home: Body, other: Body) -> None:
    listed = json.loads((await live.fetch("/v1/filings"))[2])["filings"]
    numbers = [each["number"] for each in listed]
    assert numbers == sorted(numbers) and {home.filing.number, other.filing.number} <= set(numbers)
    async with live.client() as client:
        for each in listed:
            entry, index = await client.filing(each["number"])
            statement = parse_statement(entry)
            assert statement.body.number == each["number"]  # type: ignore[union-attr]
            assert (index == each["index"]) is (statement.kind is Kind.FILING), "later terms stand later in the log"
    for number in ("Y999999999999", "x", "%00", "%ff", "%E4%BE%8B", "a%2Fb", "'%20OR%201=1", "x" * 5000):
        assert (await live.fetch(f"/v1/filings/{number}"))[0] == 404


async def test_health_and_metrics_name_nobody(live: LiveLedger, home: Body) -> None:
    assert [(await live.fetch(path))[0] for path in ("/livez", "/readyz")] == [200, 200]
    await grow(live, home, "metrics", 1)
    size = await size_of(live)
    text = (await live.fetch("/metrics"))[2].decode()
    assert f"certledger_log_size {float(size)}" in text
    assert "certledger_leads 1.0" in text and re.search(r"^process_resident_memory_bytes [1-9]", text, re.MULTILINE)
    assert "certledger_wait_seconds 0.0" in text and re.search(r"certledger_rate [1-9]", text)
    assert re.search(r'certledger_statements_total\{outcome="logged"\} [1-9]', text)
    assert home.filing.number not in text
    assert len(text.splitlines()) < 200


async def test_security_headers_are_everywhere(live: LiveLedger) -> None:
    for path in ("/checkpoint", "/tile/0/000.p/1", "/metrics", "/nothing", "/v1/filings"):
        headers = (await live.fetch(path))[1]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


async def test_garbage_never_becomes_a_500(live: LiveLedger, home: Body) -> None:
    """Mutated submissions and random paths, from one seed; the fixture's end also reads the error log."""
    draw = random.Random(20261122)
    async with live.client(home) as client:
        (certificate,) = await drafted(client, home, "garbage")
    sound = wire.encode(wire.SubmitRequest([wire.submission_body(certificate.submission())]))
    entry = certificate.statement.entry

    def spoil(raw: bytes) -> bytes:
        changed = bytearray(raw)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(changed))
            match draw.randrange(4):
                case 0:
                    changed[at] = draw.randrange(256)
                case 1:
                    del changed[at : at + draw.randint(1, 40)]
                case 2:
                    changed[at:at] = draw.choice([b'"', b"{", b"]", b"\\u0000", b"\xff", b"null", b"-1", b"e\xcc\x81"])
                case _:
                    changed[at] ^= 1 << draw.randrange(8)
        return bytes(changed)

    async def tries() -> None:
        for _ in range(60):
            status, _error = await signed(live, home, "/v1/statements", spoil(sound))
            assert status in (200, 400), status
            body = wire.encode(wire.AuthorityRequest(spoil(entry)))
            assert (await live.fetch("/v1/authority", method="POST", data=body, headers=JSON))[0] == 200
            alphabet = "/tile01v%.-x\u4e2d?&=#;:@ "
            path = "/" + "".join(draw.choice(alphabet) for _ in range(draw.randint(1, 60)))
            assert (await live.fetch(path))[0] < 500
            prefix = draw.choice(["/tile/", "/v1/filings/", "/v1/envelopes/", "/v1/envelopes/0/" + "0" * 64 + "/"])
            noise = "".join(f"%{draw.randrange(256):02x}" for _ in range(draw.randint(1, 20)))
            assert (await live.fetch(prefix + noise))[0] == 404

    await tries()
    assert (await live.fetch("/readyz"))[0] == 200


def log_of(room: Room, store: Any) -> Any:
    """What `sequence` needs of a log, with another view of its store."""
    return SimpleNamespace(
        sequencer=room.sequencer,
        store=store,
        metrics=make_metrics(),
        answers=Answers(room.publisher, room.store, Hashes(room.store), 0),
    )


async def sequenced(log: Any, asked: Sequence[Candidate]) -> aiohttp.web.Response:
    examined = [Examined(KnownBy.of(each.statement), each) for each in asked]

    async def examine() -> list[Examined]:
        return examined

    return await sequence(log, len(asked), examine)


async def test_a_full_queue_is_503_with_retry_after(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.open():
        known = await room.draft(*"ab")
        await room.put(*known)
    async with room.open(run=False, queue=3):
        logged, waiting, more = [
            await room.candidates(*made) for made in (known, await room.draft(*"cd"), await room.draft(*"ef"))
        ]
        log = log_of(room, room.store)
        room.sequencer.put(waiting)
        with pytest.raises(Unavailable) as full:
            await sequenced(log, more)
        assert full.value.retry_after == 1 and room.sequencer.waiting == 2
        answer = await sequenced(log, logged)
        assert answer.status == 200, "what is logged already needs no place in the queue"


async def test_of_a_new_request_one_certificate_is_looked_for_and_of_a_repeated_one_all(tmp_path: Path) -> None:
    """The sequencer looks for every one: to do it twice for all costs a random page each in a large log."""
    room, asked = Room(tmp_path), list[list[bytes]]()

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(room.store, name)

        async def states(self, map_keys: Sequence[bytes]) -> Any:
            asked.append(list(map_keys))
            return await room.store.states(map_keys)

    async with room.open():
        made = await room.draft(*"abcd")
        keys = [certificate_map_key(each.issue.cert_key) for each in made]
        a, b, c, d = await room.candidates(*made)
        log = log_of(room, Watched())

        async def answers(*candidates: Candidate) -> list[int]:
            asked.clear()
            response = await sequenced(log, candidates)
            assert response.status == 200 and isinstance(response.body, bytes)
            found = wire.receipt_of(response.body).answers
            return [answer.index for answer in found if isinstance(answer, Logged)]

        first = await answers(a, b)
        assert asked == [keys[:1]]
        size = room.size
        assert await answers(a, b) == first and asked == [keys[:1], keys[1:2]]
        assert room.size == size, "a repeated request writes nothing"
        assert (await answers(c, a, d, b))[1::2] == first and asked == [keys[2:3]]
        assert room.size == size + 3, "two certificates and a seal"


async def test_what_is_refused_now_has_its_first_answer_and_another_statement_under_its_key_has_not(
    tmp_path: Path,
) -> None:
    """Certificates are found by their cert key, which says only where to look: the bytes must be the same."""
    room = Room(tmp_path)
    async with room.open():
        (made,) = await room.draft("a")
        (other,) = await room.draft("a", grade=3)
        assert other.issue.cert_key == made.issue.cert_key and other.statement.entry != made.statement.entry
        (index,) = await room.put(made)
        integrator = room.sequencer.integrator
        filing, authority = await integrator.filing(BODY.filing.number), integrator.authority
        assert filing is not None and authority is not None
        ruled = bare(ruling(BODY, Kind.SUSPEND, made))
        (suspended,) = EXAMINER.examine([wire.submission_body(ruled)], filing, authority)
        assert isinstance(suspended.outcome, Candidate)
        (place,) = await room.sequencer.put([suspended.outcome])
        log: Any = SimpleNamespace(
            sequencer=room.sequencer,
            store=room.store,
            metrics=make_metrics(),
            answers=Answers(room.publisher, room.store, Hashes(room.store), 5),
        )
        gone = refuse(Refusal.KEY_UNKNOWN, "kid")
        examined = [Examined(KnownBy.of(one), gone) for one in (made.statement, other.statement)]
        examined.append(Examined(suspended.known_by, gone))
        examined += [Examined(KnownBy.of(other.statement), one) for one in await room.candidates(other)]

        async def examine() -> list[Examined]:
            return examined

        answer = await sequence(log, len(examined), examine)
        assert isinstance(answer.body, bytes)
        first, second, third, fourth = wire.receipt_of(answer.body).answers
    assert isinstance(first, wire.Logged) and first.index == index
    assert isinstance(second, Refused) and second.code == "KEY_UNKNOWN"
    assert isinstance(third, wire.Logged) and third.index == place
    assert isinstance(fourth, Refused)


async def test_a_request_larger_than_the_queue_is_answered(tmp_path: Path) -> None:
    body = live_body("queue")
    small = LiveLedger.create(tmp_path / "log", "queue", queue_limit=2)
    small.start()
    try:
        await small.file(body)
        async with small.client(body) as client:
            made = await drafted(client, body, "a", "b", "c")
            receipt = await client.submit([c.submission() for c in made])
            assert all(isinstance(answer, Logged) for answer in receipt.answers)
    finally:
        small.stop()


async def test_what_would_wait_too_long_is_refused_before_it_is_examined(tmp_path: Path) -> None:
    room, inside, asked = Room(tmp_path), [], []

    class Asked(Answers):
        async def receipt(self, answers: Sequence[int | Refused], *, wait: bool = True) -> wire.Receipt | None:
            inside.append(room.sequencer.backlog.wait_s)
            return await super().receipt(answers, wait=wait)

    async with FakeWitness("w", room.now_s) as witness, room.open(witnesses=[witness], k=1):
        witness.mode = "500"
        log: Any = SimpleNamespace(
            sequencer=room.sequencer,
            store=room.store,
            metrics=make_metrics(),
            answers=Asked(room.publisher, room.store, Hashes(room.store), 0),
        )
        (found,) = await room.candidates(*await room.draft("a"))

        async def examine() -> list[Examined]:
            asked.append(room.sequencer.backlog.wait_s)
            unknown = Examined(None, refuse(Refusal.MALFORMED, "entry"))
            return [Examined(KnownBy.of(found.statement), found), unknown]

        with room.sequencer.backlog.through(int(START * LONGEST_S) + 1):
            with pytest.raises(Unavailable) as full:
                await sequence(log, 2, examine)
            assert full.value.retry_after == 1 and not asked
        answer = await sequence(log, 2, examine)
    assert answer.status == 202 and asked == [2 / START]
    assert inside == [0], "without a quorum of witnesses statements wait for it, but nobody waits for them"


async def test_a_head_that_is_published_just_when_the_wait_ends_is_an_answer_and_no_failure(tmp_path: Path) -> None:
    room = Room(tmp_path)

    class Late(Answers):
        async def receipt(self, answers: Sequence[int | Refused], *, wait: bool = True) -> wire.Receipt | None:
            if wait:
                await room.until_published(room.size)
                return None
            return await super().receipt(answers, wait=wait)

    async with room.open():
        log: Any = SimpleNamespace(
            sequencer=room.sequencer,
            store=room.store,
            metrics=make_metrics(),
            answers=Late(room.publisher, room.store, Hashes(room.store), 0),
        )
        (found,) = await room.candidates(*await room.draft("a"))

        async def examine() -> list[Examined]:
            return [Examined(KnownBy.of(found.statement), found)]

        assert (await sequence(log, 1, examine)).status == 200


async def test_refusals_of_a_log_that_has_published_nothing_are_not_there_yet(tmp_path: Path) -> None:
    room = Room(tmp_path)

    async def examine() -> list[Examined]:
        return [Examined(None, refuse(Refusal.MALFORMED, "entry"))]

    async with FakeWitness("w", room.now_s) as witness:
        witness.mode = "500"
        async with room.open(witnesses=[witness], k=1):
            log: Any = SimpleNamespace(
                sequencer=room.sequencer,
                store=room.store,
                metrics=make_metrics(),
                answers=Answers(room.publisher, room.store, Hashes(room.store), 0),
            )
            with pytest.raises(Unavailable) as early:
                await sequence(log, 1, examine)
            assert early.value.retry_after


async def test_each_statement_comes_out_of_the_backlog_once_whatever_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused or logged already is work done: a rate learnt without it turns away what there is room for."""
    room, out = Room(tmp_path), list[int]()
    async with room.open():
        log: Any = SimpleNamespace(
            sequencer=room.sequencer,
            store=room.store,
            metrics=make_metrics(),
            answers=Answers(room.publisher, room.store, Hashes(room.store), 0),
        )
        finished = room.sequencer.backlog.finished

        def counted(count: int, **how: bool) -> None:
            out.append(count)
            finished(count, **how)

        monkeypatch.setattr(room.sequencer.backlog, "finished", counted)
        one, other = [
            Examined(KnownBy.of(each.statement), each) for each in await room.candidates(*await room.draft(*"ab"))
        ]
        unknown = Examined(None, refuse(Refusal.MALFORMED, "entry"))
        for asked in ([one, unknown], [one], [unknown, one, other, one]):
            out.clear()

            async def examine(asked: list[Examined] = asked) -> list[Examined]:
                return asked

            await sequence(log, len(asked), examine)
            assert sum(out) == len(asked), out


@asynccontextmanager
async def witnessed(
    tmp_path: Path, seed: str, **changes: Any
) -> AsyncIterator[tuple[LiveLedger, Body, FakeWitness, FakeWitness]]:
    """A ledger whose checkpoints need both of two witnesses, with one filing."""
    body = live_body(seed)
    live = LiveLedger.create(tmp_path / "log", seed, policy="policy.txt", **changes)
    async with FakeWitness("w1") as one, FakeWitness("w2") as two:
        (live.folder / "policy.txt").write_text(format_policy(policy_of([one, two], 2)), "utf-8")
        await asyncio.to_thread(live.start)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with suppress(Pending):
                        await live.file(body)
                        break
            yield live, body, one, two
        finally:
            await asyncio.to_thread(live.kill)


async def test_what_is_logged_and_not_published_is_202_with_a_place_to_ask(tmp_path: Path) -> None:
    async with (
        witnessed(tmp_path, "pending", answer_wait_ms=150) as (live, body, one, two),
        live.client(body) as client,
    ):
        made = await drafted(client, body, "a", "b")
        submissions = [c.submission() for c in made]
        before = (await live.fetch("/checkpoint"))[2]
        two.mode = "500"
        with pytest.raises(Pending) as pending:
            await client.submit(submissions)
        identities = [c.statement.identity for c in made]
        assert list(pending.value.identities) == identities and pending.value.retry_after == 2
        place = pending.value.index

        raw = wire.encode(wire.SubmitRequest([wire.submission_body(s) for s in submissions]))
        status, headers, answer = await signed_raw(live, body, "/v1/statements", raw)
        ask = f"/v1/statements/{identities[-1].hex()}?index={place}"
        assert status == 202 and headers["location"] == ask and headers["retry-after"] == "2"
        assert headers["cache-control"] == "no-store"
        wanted = {"pending": [each.hex() for each in identities], "ask": ask, "retry_after": 2}
        assert json.loads(answer) == wanted
        status, headers, answer = await live.fetch(ask)
        assert (status, headers["location"], json.loads(answer)["pending"]) == (202, ask, [identities[-1].hex()])
        with pytest.raises(Pending):
            await client.statement(identities[0], place - 1)
        assert await client.statement(bytes(32)) is None
        for identity, index in ((identities[0], place), (identities[1], place + 1), (bytes(32), place + 2)):
            assert await client.statement(identity, index) is None, "another statement, the seal, and nothing"
        last = identities[-1].hex()
        spoilt = [f"{last}?index={index}" for index in (f"0{place}", "-1", "", "9" * 19)]
        for path in ("x", "0" * 63, "0" * 65, last.upper(), *spoilt):
            assert (await live.fetch(f"/v1/statements/{path}"))[0] == 404
        now = live.open((await live.fetch("/checkpoint"))[2]).checkpoint
        assert now == live.open(before).checkpoint, "readers keep the old head"
        await until(lambda: one.seen is not None and one.seen.checkpoint.size > now.size)  # durable, and known to one
        async with asyncio.timeout(PATIENCE_S):
            while 'outcome="status 500",witness="w2"' not in (text := (await live.fetch("/metrics"))[2].decode()):
                await asyncio.sleep(0.05)
        assert re.search(r"certledger_pending [1-9]", text)

        two.mode = "honest"
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    receipt = await client.submit(submissions)
                    break
                except Pending:
                    await asyncio.sleep(0.1)
        live.check(receipt, [c.statement.entry for c in made])
        for certificate, answer_ in zip(made, receipt.answers, strict=True):
            assert isinstance(answer_, Logged)
            alone = await client.statement(certificate.statement.identity, answer_.index)
            assert alone is not None and isinstance(alone.answers[0], Logged)
            live.check(alone, [certificate.statement.entry])
            assert (alone.answers[0].index, alone.answers[0].time) == (answer_.index, answer_.time)


async def test_a_restored_backup_stays_readable_and_says_what_to_do(tmp_path: Path) -> None:
    async with witnessed(tmp_path, "backup", verifiers=(LAB,)) as (live, body, one, two):
        await grow(live, body, "before", 3)
        assert await asyncio.to_thread(live.stop) == 0
        kept = tmp_path / "kept"
        kept.mkdir()
        for name in ("log.db", "guard"):
            shutil.copy(live.folder / name, kept / name)
        old = live.open((await restart(live)).encode()).checkpoint
        await grow(live, body, "after", 3)
        assert await asyncio.to_thread(live.stop) == 0
        for left in live.folder.glob("log.db*"):
            left.unlink()
        for name in ("log.db", "guard"):
            shutil.copy(kept / name, live.folder / name)
        for witness in (one, two):
            witness.requests.clear()
        await asyncio.to_thread(live.start)
        for path in ("/checkpoint", "/readyz"):
            status, headers, answer = await live.fetch(path)
            error = error_of(answer)
            assert status == 503 and headers["retry-after"] == "600" and headers["cache-control"] == "no-store"
            assert "Refill" in error["en"] and "补齐" in error["zh"] and "guard" in error["en"]
        async with live.client(body) as client:
            with pytest.raises(Unavailable):
                await tracks_of(client, ["never"])
            with pytest.raises(Unavailable):
                await client.submit([body.certificate("never", day=today() - 3).submission()])
        async with live.client(token=LOOKUP_TOKEN) as verifier:  # of what was lost it would be a "no"
            with pytest.raises(Unavailable):
                await verifier.lookup([("1", "n")])
            with pytest.raises(Unavailable):
                await verifier.match(bytes(32), "0000")
        assert one.requests == two.requests == [], "nothing was signed, so nothing was sent"
        status, _, bundle = await live.fetch(f"/tile/entries/000.p/{old.size}")
        assert status == 200 and len(parse_entries(bundle, old.size)) == old.size, "what is stored stays readable"
        assert (await live.fetch(f"/tile/entries/000.p/{old.size + 1}"))[0] == 404
        assert (await live.fetch("/livez"))[0] == 200
        assert "certledger_stopped 1.0" in (await live.fetch("/metrics"))[2].decode()
        assert await asyncio.to_thread(live.stop) == 0


@pytest.mark.parametrize("leap", [-3_600_000, 3_600_000])
async def test_a_log_whose_clock_has_leapt_is_not_ready(tmp_path: Path, leap: int) -> None:
    """It refuses every statement from that moment on, and not only when its signatures have grown old."""
    room = Room(tmp_path)
    async with room.open():
        log: Any = SimpleNamespace(
            sequencer=room.sequencer, publisher=room.publisher, place=SimpleNamespace(is_held=True, lacks=None)
        )
        request: Any = SimpleNamespace(app={web.LOG: log})
        assert (await web.get_ready(request)).status == 200
        room.wall += leap
        with pytest.raises(Unavailable):
            await web.get_ready(request)
        room.wall -= leap
        assert (await web.get_ready(request)).status == 200
        log.place.lacks = Text("请改回", "fsync = off: put it back")
        with pytest.raises(Unavailable, match="put it back") as lacking:
            await web.get_ready(request)
        assert lacking.value.text is not None, "who asks is told what to do"


@pytest.mark.parametrize(
    ("code", "said"),
    [("STORE_IN_USE", "another process has taken over"), ("NOT_DURABLE", "set it to on")],
)
async def test_a_track_asked_of_one_that_was_unseated_is_asked_again(code: str, said: str) -> None:
    """Whoever asks would give up for good at a refusal, and it is the ledger's own doing. Nobody looks for another
    leader where the server loses commits."""
    wanted = wire.TracksRequest([wire.PersonBody("111", "CHN", id_number("a"), "6-01-01-01")])

    async def body(*_: object) -> bytes:
        return wire.encode(wanted)

    async def opened(*_: object) -> Any:
        return SimpleNamespace(filing=SimpleNamespace(terms=SimpleNamespace(number="Y000051000001")), read=body)

    async def unseated(_: object) -> dict[bytes, bytes]:
        raise Refused(code, "store", Text("请改回 on", "set it to on"))

    log: Any = SimpleNamespace(
        publisher=SimpleNamespace(check_taking=lambda: None),
        requesters=SimpleNamespace(open=opened),
        track_budget=Budget(1.0, 10),
        index=INDEX,
        sequencer=SimpleNamespace(integrator=SimpleNamespace(places=TrackPlaces(None), size=0)),
        store=SimpleNamespace(claim=unseated),
    )
    request: Any = SimpleNamespace(app={web.LOG: log})
    with pytest.raises(Unavailable) as failure:
        await web.post_tracks(request)
    assert failure.value.retry_after and failure.value.text is not None and said in failure.value.text.en


async def test_the_tracks_of_a_roster_lie_beside_each_other_and_do_not_look_it(tmp_path: Path) -> None:
    body, live = live_body("roster"), LiveLedger.create(tmp_path / "log", "roster", examiners=0)
    first, second = distinct("first", 40), distinct("second", 40)
    await asyncio.to_thread(live.start)
    try:
        await live.file(body)
        async with live.client(body) as client:
            drawn = {}
            for names in (first, second):
                drawn |= await tracks_of(client, names)
                made = body.certificate(names[-1], day=today() - 3, track=drawn[names[-1]])
                await client.submit([made.submission()])
            assert await tracks_of(client, [*reversed(first), *second]) == drawn, "whoever asks again hears the same"
            rest = [body.certificate(n, day=today() - 3, track=drawn[n]) for n in (*reversed(second[:-1]), *first[:-1])]
            await client.submit([one.submission() for one in rest])
        assert await asyncio.to_thread(live.stop) == 0
        with closing(sqlite3.connect(live.folder / "log.db")) as raw:
            ((kept,),) = raw.execute("SELECT value FROM meta WHERE name = 'track_places'").fetchall()
            rows = raw.execute("SELECT track FROM state WHERE length(track) > 0 ORDER BY track").fetchall()
        in_order = [place for (place,) in rows]
        placed = TrackPlaces(kept).of([drawn[name] for name in (*first, *second)])
        assert in_order == [*sorted(placed[:40]), *sorted(placed[40:])]
        with closing(sqlite3.connect(live.folder / "log.db", isolation_level=None)) as raw:
            raw.execute("DELETE FROM meta WHERE name = 'track_places'")
        process = await asyncio.to_thread(live.spawn)
        assert await asyncio.to_thread(process.wait, 60) == 1 and "tracks do not lie" in live.stderr.read_text("utf-8")
        assert not set(in_order) & set(drawn.values()) and list(drawn.values()) != sorted(drawn.values())
    finally:
        await asyncio.to_thread(live.kill)


async def test_an_entry_that_the_store_has_lost_is_503_and_nothing_short_is_cached(tmp_path: Path) -> None:
    body, live = live_body("lost"), LiveLedger.create(tmp_path / "log", "lost", examiners=0)
    await asyncio.to_thread(live.start)
    try:
        await live.file(body)
        index = json.loads((await live.fetch(f"/v1/filings/{body.filing.number}"))[2])["index"]
        with closing(sqlite3.connect(live.folder / "log.db", isolation_level=None)) as raw:
            raw.execute("DELETE FROM entry WHERE idx = ?", (index,))
        for path in (f"/v1/filings/{body.filing.number}", f"/tile/entries/000.p/{index + 1}"):
            status, headers, _ = await live.fetch(path)
            assert status == 503 and headers["cache-control"] == "no-store"
        assert (await live.fetch(f"/tile/entries/000.p/{index}"))[0] == 200
    finally:
        live.stop()


async def restart(live: LiveLedger) -> str:
    await asyncio.to_thread(live.start)
    return (await live.fetch("/checkpoint"))[2].decode()


async def test_a_policy_that_cannot_be_read_or_met_stops_the_start(tmp_path: Path) -> None:
    live = LiveLedger.create(tmp_path / "log", "policy", policy="policy.txt")
    policy = live.folder / "policy.txt"
    for text, words in ((None, "cannot read"), ("quorum w\n", "policy"), ("\xff", "policy")):
        if text is not None:
            policy.write_bytes(text.encode("latin-1"))
        process = live.spawn()
        assert process.wait(60) in (2, 3)
        assert process.stdout is not None
        process.stdout.close()
        assert words in live.stderr.read_text("utf-8")
    lonely = FakeWitness("w")
    lonely.url = ""
    policy.write_text(format_policy(policy_of([lonely], 1)), "utf-8")  # no address
    process = live.spawn()
    assert process.wait(60) == 1
    assert process.stdout is not None
    process.stdout.close()
    assert "bad_policy" in live.stderr.read_text("utf-8")


class Shown:
    """A publisher as readers see it."""

    def __init__(self) -> None:
        self.published: Any = None
        self.readable = 0
        self.ended = False

    def shown(self) -> Any:
        if self.ended:
            raise Unavailable(Text("没有应答", "the log is stopping; ask again"), retry_after=5)
        if self.published is None:
            raise Unavailable(Text("没有应答", "nothing is published yet"))
        return self.published


class CountedRows:
    def __init__(self) -> None:
        self.reads = 0

    async def tile(self, level: int, index: int) -> bytes:
        self.reads += 1
        return bytes([level, index]) * 4096


async def test_what_lies_ready_is_what_the_handlers_say_at_that_moment(caplog: pytest.LogCaptureFixture) -> None:
    """Through every state of the publisher, and back to a smaller tree: with direct answers and without."""
    paths = ("/checkpoint", "/tile/0/000", "/tile/0/001", "/tile/1/000", "/tile/0/001.p/5", "/checkpoint/", "/tile/0/0")
    states: list[tuple[bytes | None, int, bool]] = [
        (None, 0, False), (b"one", 512, False), (b"one, signed again", 512, False), (b"two", 70_000, False),
        (b"two", 70_000, True), (b"two", 511, False), (b"three", 513, False),
    ]  # fmt: skip
    caplog.set_level("INFO", "ledger.edge.access")
    runs = []
    for direct in (True, False):
        publisher, store = Shown(), CountedRows()
        app = create_app(SimpleNamespace(publisher=publisher, store=store))  # type: ignore[arg-type]
        if not direct:
            del app[DIRECT]
        answers = []
        async with in_memory(app) as connect:
            line = connect(hsts=True)
            for note, size, ended in states:
                publisher.published = None if note is None else SimpleNamespace(note=note, size=size)
                publisher.readable, publisher.ended = size, ended
                for path in paths * 2:
                    answers.append(undated(await line.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())))
            manager = line.protocol._manager
            assert manager is not None
            runs.append((answers, manager.requests_count, said(caplog)))
    assert runs[0] == runs[1]
    codes = [answer[9:12].decode() for answer in runs[0][0]]
    by_state = [codes[at : at + len(paths)] for at in range(0, len(codes), 2 * len(paths))]
    whole, small = ["200", "200", "200", "404", "200", "404", "404"], ["200", "200", "404", "404", "200", "404", "404"]
    large = ["200", "200", "200", "200", "200", "404", "404"]
    ended = ["503", *large[1:]]
    nothing = ["503", *["404"] * 6]
    assert by_state == [nothing, whole, whole, large, ended, small, whole]

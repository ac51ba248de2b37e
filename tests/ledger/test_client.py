"""The ledger's client against a server that answers anything: every failure is one of the four, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ledger import client as module
from ledger import wire
from ledger.client import LedgerClient, Pending
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.request_signing import NonceMemory, open_request
from ledger.tlog.keys import kid
from ledger.wire import PersonLineage
from tests.support.builders import key, make_body
from tests.support.ports import free_port

SIGNER = key("client")
NOW = 1_790_000_000
SUBMISSION = make_body().certificate("client").submission()
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(answer: Answer, **changes: Any) -> AsyncIterator[LedgerClient]:
    """A client whose ledger gives this one answer to everything."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        chosen = {"signer": SIGNER, "now_s": lambda: NOW, "random_bytes": bytes} | changes
        async with LedgerClient(url + "/", **chosen) as client:
            yield client
    finally:
        await runner.cleanup()


def fixed(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=body, headers=headers)

    return answer


ERROR = b'{"error": {"code": "SOME_CODE", "field": "a field", "zh": "\xe4\xb8\xad", "en": "english"}}'


async def test_a_server_that_likes_to_compress_is_told_not_to() -> None:
    """A CDN in front of tiles compresses for whoever says that it may, and the bytes would be others."""

    async def answer(request: web.Request) -> web.Response:
        response = web.Response(body=b"note " * 1000, content_type="text/plain")
        response.enable_compression()
        return response

    async with served(answer) as client:
        assert await client.checkpoint() == b"note " * 1000


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (403, Refused), (405, Refused), (413, Refused), (422, Refused), (404, Refused)]
    # No ledger asks anybody who they are for what is public, or has it later: who says so stands before it.
    + [(status, Unavailable) for status in (202, 401, 429, 500, 502, 503, 504, 599)]
    + [(status, Refused) for status in (201, 204, 206, 301, 302, 307, 304)],
)
async def test_every_status_has_its_failure(status: int, kind: type[CertLedgerError]) -> None:
    body = b"" if status in (204, 304) else ERROR
    async with served(
        fixed(status, body, {"Location": "http://127.0.0.1:1/"} if status in (301, 302, 307) else None)
    ) as client:
        with pytest.raises(kind) as failure:
            await client.checkpoint()
    if status == 422:
        refused = failure.value
        assert isinstance(refused, Refused)
        assert (refused.code, refused.field, refused.text.zh, refused.text.en) == (
            "SOME_CODE",
            "a field",
            "中",
            "english",
        )
    if status == 404:
        assert isinstance(failure.value, Refused) and failure.value.code == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'{"error": 5}', b'{"error": {"code": 5}}', b"<html>", b"\xff"),
        b'{"error": {"code": "\xd6\xd0"}}',  # of a proxy that writes GBK
        b'{"more": ' + b"[" * 50_000,
    ],
)
async def test_errors_without_their_form_are_still_refusals(body: bytes) -> None:
    async with served(fixed(422, body)) as client:
        with pytest.raises(Refused) as failure:
            await client.checkpoint()
    assert failure.value.code and failure.value.text.zh and failure.value.text.en


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("0", 0), ("", None), ("-1", None), ("x", None), ("999999", None), ("٣", None)]
)
async def test_retry_after_is_read_when_it_is_a_number(text: str, seconds: int | None) -> None:
    async with served(fixed(503, ERROR, {"Retry-After": text})) as client:
        with pytest.raises(Unavailable) as failure:
            await client.checkpoint()
    assert failure.value.retry_after == seconds


@pytest.mark.parametrize(
    ("code", "said"),
    [("standby", "503 (standby)"), ("<b>", "503"), ("x" * 41, "503"), ("a\nb", "503"), ("", "503"), ("暂停", "503")],
)
async def test_a_code_is_said_and_nothing_else_that_a_server_sends(code: str, said: str) -> None:
    body = json.dumps({"error": {"code": code, "zh": "<b>", "en": "<b>"}}).encode()
    async with served(fixed(503, body)) as client:
        with pytest.raises(Unavailable, match=f"^the ledger at http://127.0.0.1:[0-9]+ answered {re.escape(said)}$"):
            await client.checkpoint()


async def test_what_the_ledger_itself_says_is_repeated_in_both_languages() -> None:
    """Its header tells it from whoever stands before it; nobody signed it, so it drives no terminal and has an end."""
    error = {"code": "unavailable", "zh": "见证人不足", "en": "too few \x1b[2J\u202e witnesses" + "!" * 1000}
    headers = {"Cert-Ledger-Error": "unavailable"}
    async with served(fixed(503, json.dumps({"error": error}).encode(), headers)) as client:
        with pytest.raises(Unavailable) as failure:
            await client.checkpoint()
    what = failure.value.what
    assert what.zh.endswith(" 答复 503 (unavailable)：见证人不足") and len(what.en) < 600
    assert " answered 503 (unavailable): too few ?[2J? witnesses!" in what.en


@pytest.mark.parametrize("coded", ["", "standby", "error"])
async def test_a_sentence_without_the_ledgers_header_is_not_repeated(coded: str) -> None:
    body = b'{"error": {"code": "unavailable", "zh": "\xe5\x90\x97", "en": "pay here"}}'
    async with served(fixed(503, body, {"Cert-Ledger-Error": coded} if coded else {})) as client:
        with pytest.raises(Unavailable) as failure:
            await client.checkpoint()
    assert "pay here" not in failure.value.what.both()


async def test_a_refusal_drives_no_terminal() -> None:
    error = {"code": "A\x1b", "field": "b\n", "zh": "中\x9b", "en": "e\u202e" * 1000}
    async with served(fixed(422, json.dumps({"error": error}).encode())) as client:
        with pytest.raises(Refused) as failure:
            await client.checkpoint()
    said = failure.value
    assert (said.code, said.field, said.text.zh, said.text.en) == ("A?", "b?", "中?", "e?" * 250)


async def test_nobody_there_is_unavailable() -> None:
    async with LedgerClient(f"http://127.0.0.1:{free_port()}", signer=SIGNER) as client:
        for call in (client.checkpoint(), client.taken_numbers(["a"]), client.envelope(0, bytes(32), "face")):
            with pytest.raises(Unavailable):
                await call


async def test_an_address_that_is_none_is_unavailable() -> None:
    for url in ("http://", "nonsense", "http://127.0.0.1:99999"):
        async with LedgerClient(url) as client:
            with pytest.raises(Unavailable):
                await client.checkpoint()


async def test_a_server_that_hangs_or_hangs_up_is_unavailable() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    async with served(hang, total_s=0.2) as client:
        with pytest.raises(Unavailable):
            await client.checkpoint()

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with served(cut) as client:
        with pytest.raises(Unavailable):
            await client.checkpoint()


async def test_an_endless_answer_is_stopped() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                await response.write(bytes(65_536))
                sent += 65_536
        return response

    async with served(endless) as client:
        with pytest.raises(Unavailable, match="more than a ledger"):
            await client.checkpoint()
    assert sent < 2000 * 65_536


async def test_compressed_answers_are_not_unpacked() -> None:
    async with served(fixed(200, b"\x1f\x8b raw", {"Content-Encoding": "gzip"})) as client:
        assert await client.checkpoint() == b"\x1f\x8b raw"


async def test_paths_and_answers_of_reading() -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path.endswith("/rest"):
            return web.Response(status=404, body=ERROR)
        if "filings" in request.path:
            return web.Response(body=wire.encode(wire.FilingAnswer(b"entry", 3)))
        return web.Response(body=b"raw")

    async with served(answer) as client:
        assert await client.checkpoint() == b"raw"
        assert await client.tile("tile/0/000.p/3") == b"raw"
        assert await client.envelope(7, b"\xab" * 32, "face") == b"raw"
        assert await client.envelope(0, b"\xab" * 32, "rest") is None
        assert await client.filing("Y000051000001") == (b"entry", 3)
    locator = "ab" * 32
    assert seen == [
        "/checkpoint",
        "/tile/0/000.p/3",
        f"/v1/envelopes/7/{locator}/face",
        f"/v1/envelopes/0/{locator}/rest",
        "/v1/filings/Y000051000001",
    ]


async def test_writes_are_signed_over_what_is_sent() -> None:
    nonces = NonceMemory(not_before_s=NOW)
    opened = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        url = f"http://{request.host}{request.raw_path}"
        found = open_request(
            request.method,
            url,
            request.headers,
            key_for=lambda wanted: SIGNER.public if wanted == kid(SIGNER.public) else None,
            now_s=NOW,
            seen=nonces,
        )
        found.accept(body, NOW, nonces)
        opened.append(found)
        assert request.headers["Content-Type"] == "application/json"
        if request.path == "/v1/tracks":
            return web.Response(body=wire.encode(wire.TracksAnswer([bytes(16)])))
        if request.path == "/v1/numbers":
            return web.Response(body=wire.encode(wire.NumbersAnswer(["b"])))
        return web.Response(body=wire.receipt_body([wire.Logged(1, 2, ())], b"note", b"seal", []))

    count = iter(range(100))
    async with served(answer, random_bytes=lambda length: bytes([next(count)]) * length) as client:
        assert await client.tracks([PersonLineage("111", "CHN", "1", "6-18-01-01")]) == [bytes(16)]
        assert await client.taken_numbers(["a", "b"]) == {"b"}
        receipt = await client.submit([SUBMISSION])
    assert receipt.answers == (wire.Logged(1, 2, ()),)
    assert len(opened) == 3 and {each.created for each in opened} == {NOW}


async def test_a_refused_signature_is_made_again_with_another_nonce_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    seen: list[str] = []
    answers = iter([401, 401, 200, 401, 401, 401])

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request.headers["Signature-Input"])
        return web.Response(status=next(answers), body=wire.encode(wire.NumbersAnswer([])))

    count = iter(range(100))
    async with served(answer, random_bytes=lambda length: bytes([next(count)]) * length) as client:
        assert await client.taken_numbers(["a"]) == set()
        with pytest.raises(Unverified):
            await client.taken_numbers(["a"])
    assert len(seen) == len(set(seen)) == 6
    assert len([each for each in waited if each > 1]) == 4


@pytest.mark.parametrize(
    "tracks", [[], [bytes(16), bytes(16)], [bytes(15)], [b""]], ids=["none", "two", "short", "empty"]
)
async def test_tracks_that_were_not_asked_for_are_malformed(tracks: list[bytes]) -> None:
    async with served(fixed(200, wire.encode(wire.TracksAnswer(tracks)))) as client:
        with pytest.raises(Malformed):
            await client.tracks([PersonLineage("111", "CHN", "1", "x")])


@pytest.mark.parametrize("count", [0, 2])
async def test_a_receipt_with_another_number_of_answers_is_malformed(count: int) -> None:
    body = wire.receipt_body([wire.Logged(1, 2, ())] * count, b"note", b"seal", [])
    async with served(fixed(200, body)) as client:
        with pytest.raises(Malformed):
            await client.submit([SUBMISSION])


async def test_answers_that_are_not_json_are_malformed() -> None:
    async with served(fixed(200, b"<html>")) as client:
        for call in (
            client.submit([SUBMISSION]),
            client.submit_authority(b"entry"),
            client.tracks([]),
            client.taken_numbers([]),
            client.filing("x"),
        ):
            with pytest.raises(Malformed):
                await call


async def test_writing_needs_a_key_and_everything_needs_a_session() -> None:
    async with served(fixed(200), signer=None) as client:
        with pytest.raises(AssertionError, match="request key"):
            await client.taken_numbers([])
    with pytest.raises(AssertionError, match="context manager"):
        await LedgerClient("http://127.0.0.1:1").checkpoint()


IDENTITIES = (bytes(32), b"\xff" * 32)


async def test_202_is_pending_with_the_place_and_the_time_to_ask() -> None:
    body = wire.pending_body(IDENTITIES, 12, 7)
    async with served(fixed(202, body, {"Retry-After": "9"})) as client:
        for call in (client.submit([SUBMISSION]), client.submit_authority(b"entry"), client.statement(bytes(32))):
            with pytest.raises(Pending) as pending:
                await call
            assert isinstance(pending.value, Unavailable), "whoever knows nothing of it asks again"
            assert (pending.value.identities, pending.value.index, pending.value.retry_after) == (IDENTITIES, 12, 7)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", wire.pending_body(IDENTITIES, 12, 601), b'{"pending": []}'])
async def test_another_202_is_malformed(body: bytes) -> None:
    async with served(fixed(202, body)) as client:
        with pytest.raises(Malformed):
            await client.submit([SUBMISSION])


async def test_one_statement_is_asked_for_by_its_identity_and_its_place() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response(body=wire.receipt_body([wire.Logged(1, 2, ())], b"note", b"seal", []))

    async with served(answer) as client:
        receipt = await client.statement(b"\xab" * 32)
        assert await client.statement(b"\xab" * 32, 7) == receipt
    assert receipt is not None and receipt.answers == (wire.Logged(1, 2, ()),)
    assert asked == ["/v1/statements/" + "ab" * 32, "/v1/statements/" + "ab" * 32 + "?index=7"]
    async with served(fixed(404)) as client:
        assert await client.statement(bytes(32)) is None
    two = wire.receipt_body([wire.Logged(1, 2, ())] * 2, b"note", b"seal", [])
    async with served(fixed(200, two)) as client:
        with pytest.raises(Malformed):
            await client.statement(bytes(32))

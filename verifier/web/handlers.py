"""What each route does. Every check ends in a verdict with HTTP 200; other statuses are about the request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ledger.edge import ErrorAnswer, Rejected, json_answer, read_body
from ledger.errors import ERROR_CODE, Malformed, Unavailable
from ledger.wire import evidence_question
from verifier.verdict import Code, Verdict, without_item
from verifier.web.answers import (
    SCANNER_HEADERS,
    WASM_CSP,
    asked_cert_key,
    chosen_lang,
    html,
    json_body,
    proof_file,
    ready_html,
    takes_gzip,
)
from verifier.web.forms import parse_multipart, parse_urlencoded
from verifier.web.state import STATE, State

MAX_SECRET = 64  # characters; a true one has 26
FORM_OVERHEAD = 4096  # bytes of delimiters and small fields around an upload
_ESCAPED = 12  # bytes of a character in a form, at most
RAW_TYPES = frozenset(
    {"application/pdf", "application/cbor", "application/octet-stream", "image/jpeg", "image/png", "image/webp"}
)
Check = Callable[[], Awaitable[Verdict]]


class TextQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /v1/verify` as JSON."""

    text: str


_text_question = msgspec.json.Decoder(TextQuestion)


async def start(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    return html(request, state.pages.start(chosen_lang(request)), headers=SCANNER_HEADERS)


async def page(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    secret = request.match_info["secret"]
    if len(secret) > MAX_SECRET:
        verdict = await settle(state, "page", _unreadable(state))
    else:
        verdict = await settle(state, "page", lambda: state.services.by_secret(secret))
    asked = f"{state.settings.base}/c/{secret}"
    means = f"/c/{secret}/means"
    shown = state.pages.verdict(verdict, chosen_lang(request), linked=True, asked=asked, means=means)
    return ready_html(request, shown)


async def form(request: web.Request) -> web.StreamResponse:
    """The two forms of the start page. A file wins over a text."""
    state, asked = request.app[STATE], ""
    with state.uploads.held() as count:
        fields, upload = await _read_form(request, state, count)
        lang = fields.get("lang", "")
        if upload is not None:
            verdict = await settle(state, "form", _file_check(state, *upload))
        else:
            asked = fields.get("text", "")
            verdict = await settle(state, "form", _text_check(state, asked))
    shown = lang if lang in ("zh", "en") else chosen_lang(request)
    return html(request, state.pages.verdict(verdict, shown, linked=False, asked=asked))


async def verify(request: web.Request) -> web.StreamResponse:
    """`POST /v1/verify`: JSON `{"text"}`, a multipart form with `text` or `file`, or the file itself."""
    state = request.app[STATE]
    kind = request.content_type
    if kind == "application/json":
        text = await read_text_question(request, state)
        verdict = await settle(state, "api", _text_check(state, text))
    elif kind == "multipart/form-data":
        with state.uploads.held() as count:
            fields, upload = await _read_form(request, state, count)
            check = _file_check(state, *upload) if upload else _text_check(state, fields.get("text", ""))
            verdict = await settle(state, "api", check)
    elif kind in RAW_TYPES:
        with state.uploads.held() as count:
            data = await read_body(request, state.settings.upload_limit, on_bytes=count)
            verdict = await settle(state, "api", _file_check(state, data, ""))
    else:
        raise Rejected(415)
    return json_body(state.messages.as_json(verdict))


async def read_text_question(request: web.Request, state: State) -> str:
    """The text of a JSON question. Raises Malformed."""
    body = await read_body(request, 4 * state.settings.paste_limit + FORM_OVERHEAD)
    try:
        return _text_question.decode(body).text
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed('JSON body {"text": string}') from None


async def evidence(request: web.Request) -> web.StreamResponse:
    """The proof of a certificate's state, an absence too, for whoever has no replica. Asked for again each time."""
    cert_key = asked_cert_key(request)
    size, day = evidence_question(request.query)
    body = await request.app[STATE].services.evidence(cert_key, size=size, day=day)
    return proof_file(request, body, "application/cbor")


async def trust(request: web.Request) -> web.StreamResponse:
    """What this verifier believes, for browsers that check its answers again."""
    body = request.app[STATE].settings.trust
    if not body:
        raise Rejected(404)
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})


async def static(request: web.Request) -> web.StreamResponse:
    asset = request.app[STATE].assets.get(request.match_info["name"])
    if asset is None:
        raise Rejected(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if request.match_info["name"] == request.app[STATE].wasm_worker:  # a worker's policy is its own, not its page's
        headers["Content-Security-Policy"] = WASM_CSP
    body = asset.body
    if takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        body = asset.packed
    return web.Response(body=body, content_type=asset.content_type, headers=headers)


async def robots(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="User-agent: *\nDisallow: /c/\nDisallow: /s/\nDisallow: /v1/\n")


async def livez(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.StreamResponse:
    readiness = request.app[STATE].services.ready()
    answer = json_body({"ready": readiness.ok, "detail": dict(readiness.detail)}, status=200 if readiness.ok else 503)
    if not readiness.ok:
        answer.headers.update({"Retry-After": "5", ERROR_CODE: "not_ready"})
    return answer


async def metrics(request: web.Request) -> web.StreamResponse:
    body = generate_latest(request.app[STATE].services.metrics)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def render_error(request: web.Request, answer: ErrorAnswer) -> web.Response:
    """A page for people, JSON for programs."""
    if not request.path.startswith("/v1/") and "text/html" in request.headers.get("Accept", ""):
        text = request.app[STATE].pages.error(answer, chosen_lang(request))
        return web.Response(status=answer.status, text=text, content_type="text/html")
    return json_answer(request, answer)


async def settle(state: State, route: str, check: Check) -> Verdict:
    """Run a check to its verdict and count it."""
    began = time.perf_counter()
    try:
        verdict = await check()
    except Malformed:
        verdict = without_item(Code.UNREADABLE, state.settings.now_ms())
    except Unavailable:
        verdict = without_item(Code.UNAVAILABLE, state.settings.now_ms())
    state.meters.count(route, verdict, time.perf_counter() - began)
    return verdict


def _text_check(state: State, text: str) -> Check:
    text = text.strip()
    limit = state.settings.text_limit if text.startswith("http") else state.settings.paste_limit
    if not text or len(text) > limit:
        return _unreadable(state)
    return lambda: state.services.by_text(text)


def _file_check(state: State, data: bytes, filename: str) -> Check:
    if not data:
        return _unreadable(state)
    return lambda: state.services.by_file(data, filename)


def _unreadable(state: State) -> Check:
    async def answer() -> Verdict:
        return without_item(Code.UNREADABLE, state.settings.now_ms())

    return answer


async def _read_form(
    request: web.Request, state: State, count: Callable[[int], None]
) -> tuple[dict[str, str], tuple[bytes, str] | None]:
    """The plain fields, and the chosen file with its name if there is one."""
    typed = request.content_type == "application/x-www-form-urlencoded"
    # A character has four bytes at most, each written as %XX: what takes long to read is no paste.
    limit = _ESCAPED * state.settings.paste_limit if typed else state.settings.upload_limit
    body = await read_body(request, limit + FORM_OVERHEAD, on_bytes=count)
    if typed:
        return parse_urlencoded(body), None
    if request.content_type != "multipart/form-data":
        raise Rejected(415)
    parts = parse_multipart(request.headers["Content-Type"], body)
    fields = {name: part.text() for name, part in parts.items() if part.filename is None}
    chosen = parts.get("file")
    if chosen is None or chosen.filename is None or not (chosen.content or chosen.filename):
        return fields, None
    if len(chosen.content) > state.settings.upload_limit:
        raise Rejected(413)
    return fields, (chosen.content, chosen.filename)

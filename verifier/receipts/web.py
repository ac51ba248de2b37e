"""Receipts over HTTP: the button of the verdict page, and the same for programs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed
from ledger.text import Text
from verifier.messages import Messages, load_messages
from verifier.receipts.issuing import Receipts
from verifier.receipts.paper import print_receipt
from verifier.receipts.receipt import LABEL, Receipt, format_receipt
from verifier.site.context import Context
from verifier.web.forms import parse_multipart, parse_urlencoded
from verifier.web.handlers import FORM_OVERHEAD, RAW_TYPES, read_text_question
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, Room, Route
from verifier.web.schemas import FORM_FILE_OR_TEXT, TEXT_QUESTION, VERDICT
from verifier.web.state import STATE

_PDF, _JSON = "application/pdf", "application/json"
_FORM: Final = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "form": {"type": "string", "enum": ["pdf", "json"]}},
    "required": ["text", "form"],
}
RECEIPT: Final = {
    "type": "object",
    "properties": {
        "format": {"type": "string", "enum": [LABEL]},
        "verifier": {"type": "string"},
        "asked": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "file_sha256": {"anyOf": [{"type": "string", "pattern": "^[0-9a-f]{64}$"}, {"type": "null"}]},
            },
            "required": ["text", "file_sha256"],
            "additionalProperties": False,
        },
        "verdict": VERDICT,
        "statement": {"type": "string", "contentEncoding": "base64"},
        "signature": {"type": "string", "contentEncoding": "base64"},
    },
    "required": ["format", "verifier", "asked", "verdict", "statement", "signature"],
    "additionalProperties": False,
}
_GIVES: Final = {200: {_JSON: RECEIPT, _PDF: BINARY}} | BODY_ERRORS | {422: ERRORS}


@dataclass(frozen=True, slots=True)
class Desk:
    receipts: Receipts
    messages: Messages


DESK = web.AppKey("receipts", Desk)


def build_receipts(context: Context) -> Room:
    """The room; without a receipt key it has no routes."""
    signer = context.signer
    if signer is None:
        return Room((), lambda _app: None)
    messages = load_messages()
    receipts = Receipts(context.lookup, messages, signer, context.settings.bases[0])

    def attach(app: web.Application) -> None:
        app[DESK] = Desk(receipts, messages)

    return Room(ROUTES, attach)


async def save(request: web.Request) -> web.StreamResponse:
    """The verdict page's button: the certificate is checked again, and the receipt is about that check."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise Rejected(415)
    fields = parse_urlencoded(await read_body(request, FORM_OVERHEAD))
    if fields.get("form") not in ("pdf", "json"):
        raise Malformed(Text("form：pdf 或 json", "form: pdf or json"))
    receipt = await request.app[DESK].receipts.of_text(fields.get("text", ""))
    return await _file(request, receipt, pdf=fields["form"] == "pdf")


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /v1/receipts`: takes what `/v1/verify` takes; JSON unless the program prefers a PDF (`Accept`)."""
    desk, state = request.app[DESK], request.app[STATE]
    with state.uploads.held() as count:
        if request.content_type == _JSON:
            receipt = await desk.receipts.of_text(await read_text_question(request, state))
        elif request.content_type == "multipart/form-data":
            body = await read_body(request, state.settings.upload_limit + FORM_OVERHEAD, on_bytes=count)
            parts = parse_multipart(request.headers["Content-Type"], body)
            if "file" in parts and parts["file"].content:
                receipt = await desk.receipts.of_file(parts["file"].content)
            else:
                receipt = await desk.receipts.of_text(parts["text"].text() if "text" in parts else "")
        elif request.content_type in RAW_TYPES:
            data = await read_body(request, state.settings.upload_limit, on_bytes=count)
            if not data:
                raise Malformed(Text("请选择文件", "a file with something in it"))
            receipt = await desk.receipts.of_file(data)
        else:
            raise Rejected(415)
    accepted = request.headers.get("Accept", "")
    return await _file(request, receipt, pdf=_PDF in accepted and _JSON not in accepted)


async def _file(request: web.Request, receipt: Receipt, *, pdf: bool) -> web.Response:
    body = format_receipt(receipt)
    if pdf:
        body = await asyncio.to_thread(print_receipt, receipt, request.app[DESK].messages)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(receipt.checked_at_ms // 1000))
    name = f"receipt-{stamp}.{'pdf' if pdf else 'json'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Robots-Tag": "noindex"}
    return web.Response(body=body, content_type=_PDF if pdf else _JSON, headers=headers)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/receipt",
        save,
        "Check a certificate again and save the signed receipt of it",
        {200: {_JSON: RECEIPT, _PDF: BINARY}} | BODY_ERRORS | {422: ERRORS},
        takes={"application/x-www-form-urlencoded": _FORM},
    ),
    Route(
        "POST",
        "/v1/receipts",
        create,
        "Check what `/v1/verify` checks and get a signed receipt that verifies offline; a PDF if `Accept` says so",
        _GIVES,
        takes={
            _JSON: TEXT_QUESTION,
            "multipart/form-data": FORM_FILE_OR_TEXT,
            **dict.fromkeys(sorted(RAW_TYPES), BINARY),
        },
    ),
)

"""Watches over HTTP, for programs with an API key.

    POST   /v1/watches               a certificate by its link or code, and where to tell; 201, or 200 when it was there
    GET    /v1/watches               those of this key; `?after=` goes on
    GET    /v1/watches/{id}          one
    GET    /v1/watches/{id}/events   what was told, or could not be
    DELETE /v1/watches/{id}          ends it

Only who holds the link or code of a certificate can watch it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Refused, Unavailable
from ledger.records.dates import format_day
from ledger.text import Text
from verifier.access.guard import required_key
from verifier.lookup import Lookup
from verifier.site.context import Context
from verifier.verdict import Verdict
from verifier.verdict_json import iso_time
from verifier.watch.asking import ask
from verifier.watch.delivery import Delivery
from verifier.watch.following import Following
from verifier.watch.outbound import MAX_URL, Outbound, check_url
from verifier.watch.signing import Secrets, format_secret, parse_secret
from verifier.watch.standing import Change, Standing
from verifier.watch.store import Event, Watch, Watches
from verifier.web.answers import json_body
from verifier.web.route import BODY_ERRORS, ERRORS, Room, Route

PAGE: Final = 100
_BODY: Final = 8 * 1024
_NOTE: Final = 200  # characters
_EVERY_S: Final = 1.0
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOT_LOGGED: Final = Text(
    "登记中没有这张证书，不能关注", "The register has no such certificate, so it cannot be watched"
)
_NOTE_LONG: Final = Text("备注最多 200 个可显示的字符", "A note has at most 200 printable characters")


class WatchQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /v1/watches`."""

    text: str
    url: str
    secret: str = ""
    note: str = ""


_question = msgspec.json.Decoder(WatchQuestion)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers need."""

    lookup: Lookup
    watches: Watches
    secrets: Secrets
    context: Context
    following: Following


DESK: Final = web.AppKey("watch_desk", Desk)


def build_watch(context: Context) -> Room:
    """The room; without a receipt key, under which webhook secrets are sealed, it has no routes."""
    signer = context.signer
    if signer is None:
        return Room((), lambda _app: None)
    secrets = Secrets(signer)
    watches = watches_of(context)
    following = Following(context.lookup.logs, watches)

    async def working(_app: web.Application) -> AsyncIterator[None]:
        async with Outbound(loopback=context.settings.webhook_loopback) as outbound:
            delivery = Delivery(watches, secrets, outbound, context.now_ms)
            tasks = [asyncio.create_task(following.run(_EVERY_S)), asyncio.create_task(delivery.run(_EVERY_S))]
            yield
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def attach(app: web.Application) -> None:
        app[DESK] = Desk(context.lookup, watches, secrets, context, following)
        app.cleanup_ctx.append(working)

    return Room(ROUTES, attach)


def watches_of(context: Context) -> Watches:
    """The watches of a site, for the parts of it that list them."""
    return Watches(lambda: context.store, context.now_ms, context.random_bytes)


async def create(request: web.Request) -> web.StreamResponse:
    desk, key = request.app[DESK], required_key(request)
    if request.content_type != "application/json":
        raise Rejected(415)
    try:
        asked = _question.decode(await read_body(request, _BODY))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed('JSON body {"text", "url", "secret"?, "note"?}') from None
    if len(asked.note) > _NOTE or not (asked.note.isprintable() or not asked.note):
        raise Refused("WATCH_NOTE", "note", _NOTE_LONG)
    url = check_url(asked.url, loopback=desk.context.settings.webhook_loopback)
    secret = parse_secret(asked.secret) if asked.secret else desk.context.random_bytes(32)
    cert_key = _cert_key(await desk.lookup.by_text(asked.text))
    watch_id = desk.watches.new_id()
    known = await _standing(desk, cert_key)
    watch = Watch(watch_id, key.id, cert_key, url, asked.note, desk.context.now_ms(), known)
    sealed = desk.secrets.seal(watch_id, secret, desk.context.random_bytes)
    kept, new = await desk.watches.add(watch, sealed)
    if new:
        desk.following.note(cert_key)
    body = watch_json(kept, _origin(desk, kept)) | {"secret": format_secret(secret) if new else None}
    answer = json_body(body, status=201 if new else 200)
    answer.headers["Location"] = f"/v1/watches/{kept.id}"
    return answer


async def listed(request: web.Request) -> web.StreamResponse:
    key, after = required_key(request), request.query.get("after", "")
    if after and _ID.fullmatch(after) is None:
        raise Malformed("after: the id of a watch")
    desk = request.app[DESK]
    watches = await desk.watches.of_key(key.id, after, PAGE)
    return json_body(
        {
            "watches": [watch_json(watch, _origin(desk, watch)) for watch in watches],
            "next": watches[-1].id if len(watches) == PAGE else None,
        }
    )


async def show(request: web.Request) -> web.StreamResponse:
    watch = await _watch(request)
    return json_body(watch_json(watch, _origin(request.app[DESK], watch)))


async def events(request: web.Request) -> web.StreamResponse:
    watch = await _watch(request)
    found = await request.app[DESK].watches.events(watch.id, PAGE)
    return json_body({"events": [_event_json(event) for event in found]})


async def remove(request: web.Request) -> web.StreamResponse:
    watch = await _watch(request)
    await request.app[DESK].watches.remove(watch.key_id, watch.id)
    return web.Response(status=204)


async def _watch(request: web.Request) -> Watch:
    key, watch_id = required_key(request), request.match_info["id"]
    watch = await request.app[DESK].watches.find(key.id, watch_id) if _ID.fullmatch(watch_id) else None
    if watch is None:
        raise Rejected(404)
    return watch


def _cert_key(verdict: Verdict) -> bytes:
    if verdict.proof is None:
        raise Refused("NOT_WATCHABLE", "text", _NOT_LOGGED)
    return bytes.fromhex(verdict.proof.cert_key)


async def _standing(desk: Desk, cert_key: bytes) -> Standing:
    asked = await ask(desk.lookup.logs, [cert_key])
    if cert_key in asked.found:
        return asked.found[cert_key].standing
    if asked.silent and any(log.replica for log in desk.lookup.logs):
        raise Unavailable(
            Text(
                "可能登记了该证书的日志没有应答，请稍后重试",
                "a log that may have the certificate does not answer; try again later",
            )
        )
    raise Refused("NOT_WATCHABLE", "text", _NOT_LOGGED)


def _origin(desk: Desk, watch: Watch) -> str | None:
    """The log that told last how a certificate stands, if it is still one of the site's."""
    told = watch.known.origins[:1]
    return next((log.trust.origin for log in desk.lookup.logs if log.trust.origin in told), None)


def watch_json(watch: Watch, origin: str | None) -> dict[str, Any]:
    """A watch as programs see it: never its secret. `origin`: of the log that tells of the certificate, if one does."""
    known = watch.known
    return {
        "id": watch.id,
        "cert_key": watch.cert_key.hex(),
        "url": watch.url,
        "note": watch.note,
        "created": iso_time(watch.created_ms),
        "status": known.status,
        "effective": format_day(known.effective_day),
        "current_ordinal": known.current or None,
        "origin": origin,
        "objected": None if watch.objected_ms is None else iso_time(watch.objected_ms),
    }


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "kind": event.kind,
        "created": iso_time(event.created_ms),
        "tries": event.tries,
        "delivered": None if event.delivered_ms is None else iso_time(event.delivered_ms),
        "next_try": None if event.due_ms is None else iso_time(event.due_ms),
        "body": event.body,
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_STRING: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Final = {"anyOf": [_TIME, {"type": "null"}]}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "cert_key": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "url": _STRING,
    "note": _STRING,
    "created": _TIME,
    "status": _STRING,
    "effective": {"type": "string", "format": "date"},
    "current_ordinal": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 8}, {"type": "null"}]},
    "origin": {"anyOf": [_STRING, {"type": "null"}]},
    "objected": _MAYBE_TIME,
}
_WATCH: Final = _object(**_FIELDS)
_MADE: Final = _object(**_FIELDS, secret={"anyOf": [_STRING, {"type": "null"}]})
_EVENT: Final = _object(
    id={"type": "string", "pattern": "^[0-9a-f]{32}$"},
    kind={"type": "string", "enum": [change.value for change in Change]},
    created=_TIME,
    tries={"type": "integer", "minimum": 0},
    delivered=_MAYBE_TIME,
    next_try=_MAYBE_TIME,
    body=_STRING,
)
_TAKES: Final = {
    "application/json": {
        "type": "object",
        "properties": {
            "text": _STRING,
            "url": {"type": "string", "format": "uri", "maxLength": MAX_URL},
            "secret": {"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$"},
            "note": {"type": "string", "maxLength": _NOTE},
        },
        "required": ["text", "url"],
        "additionalProperties": False,
    }
}
_NEXT: Final = {"anyOf": [_STRING, {"type": "null"}]}
_LISTED: Final = {"application/json": _object(watches={"type": "array", "items": _WATCH}, next=_NEXT)}
_EVENTS: Final = {"application/json": _object(events={"type": "array", "items": _EVENT})}
_MISSING: Final = dict.fromkeys((404, 503), ERRORS)
ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/v1/watches",
        create,
        "Watch a certificate: be told by signed webhook when it is suspended, revoked, corrected or upgraded",
        {200: {"application/json": _MADE}, 201: {"application/json": _MADE}} | BODY_ERRORS | {422: ERRORS},
        takes=_TAKES,
        keyed=True,
    ),
    Route(
        "GET",
        "/v1/watches",
        listed,
        "The watches of this key, a hundred at a time",
        {200: _LISTED} | dict.fromkeys((400, 503), ERRORS),
        query={"after": {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
        keyed=True,
    ),
    Route(
        "GET",
        "/v1/watches/{id}",
        show,
        "One watch, and how the certificate stands",
        {200: {"application/json": _WATCH}} | _MISSING,
        keyed=True,
    ),
    Route(
        "GET",
        "/v1/watches/{id}/events",
        events,
        "What was told, or could not be, the newest first",
        {200: _EVENTS} | _MISSING,
        keyed=True,
    ),
    Route("DELETE", "/v1/watches/{id}", remove, "End a watch", {204: {}} | _MISSING, keyed=True),
)

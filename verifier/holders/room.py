"""The holders' part of the site: its routes, and what they need."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from verifier.holders import account_pages, claim_pages, own_pages, share_pages, shared_pages, sign_in
from verifier.holders.accounts import Accounts
from verifier.holders.desk import DESK, Desk
from verifier.holders.passkeys import relying_party
from verifier.holders.requests import Requests
from verifier.holders.share_store import Shares
from verifier.holders.shares import FIELDS, NAME, PURPOSES
from verifier.holders.tries import Tries
from verifier.scanning import Scanner
from verifier.site.context import Context
from verifier.site.store import SiteStore
from verifier.watch.web import watches_of
from verifier.web.clients import Allowance
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, PLAIN, Room, Route, Schema

SITE_NAME: Final = "技能等级证书 Skill certificates"  # what a device shows beside a passkey


def _json(closed: bool = True, **properties: Schema) -> dict[str, Schema]:
    required = list(properties)
    said = {"type": "object", "properties": properties, "required": required, "additionalProperties": not closed}
    return {"application/json": said}


def _fields(*names: str) -> dict[str, Schema]:
    properties = dict.fromkeys((*names, "lang"), PLAIN)
    return {"application/x-www-form-urlencoded": {"type": "object", "properties": properties}}


_ID: Final = _fields("id")
_TRUE: Final[Schema] = {"type": "boolean", "const": True}
_OBJECT: Final[Schema] = {"type": "object"}
_ANSWER: Final = _json(closed=False, id=PLAIN, rawId=PLAIN, type=PLAIN, response=_OBJECT)  # WebAuthn 3, 5.1.8
_CLAIM: Final[dict[str, Schema]] = {
    "multipart/form-data": {
        "type": "object",
        "properties": dict.fromkeys(("text", "name", "tail", "code", "lang"), PLAIN) | {"file": BINARY},
    }
}
_NEW_SHARE: Final = _json(
    certificate=PLAIN,
    token=PLAIN,
    body=PLAIN,
    proof=PLAIN,
    purpose={"type": "string", "enum": list(PURPOSES)},
    fields={"type": "array", "items": {"type": "string", "enum": [NAME, *FIELDS]}, "uniqueItems": True},
    recipient={"type": "string", "maxLength": 100},
    period=PLAIN,
)
_ACTED: Final = {303: {}, 403: ERRORS, 404: ERRORS, 422: ERRORS} | BODY_ERRORS
_REFUSED: Final = {403: ERRORS, 404: ERRORS, 422: ERRORS} | BODY_ERRORS


def build_room(context: Context) -> Room:
    base = context.settings.bases[0]
    keys = {log.origin: bytes.fromhex(log.erasure_key) for log in context.settings.logs if log.erasure_key}

    def attach(app: web.Application) -> None:
        def store() -> SiteStore:
            return context.store

        app[DESK] = Desk(
            base,
            context.settings.bases,
            context.lookup,
            Accounts(store, context.now_ms, context.random_bytes),
            Shares(store, context.now_ms, context.random_bytes),
            Tries(store, context.now_ms),
            Requests(store, context.now_ms, context.random_bytes),
            watches_of(context),
            keys,
            Scanner(),
            relying_party(base, SITE_NAME),
            context.now_ms,
            context.random_bytes,
            context.settings.behind_proxy,
            claims=Allowance(5.0, 20),
            sign_ins=Allowance(20.0, 40),
            openings=Allowance(20.0, 60),
        )

    return Room(ROUTES, attach)


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/holder", account_pages.get_home, "A holder's certificates and shares", {200: HTML}, query=LANG),
    Route("GET", "/holder/claim", claim_pages.get_claim, "The form to claim a certificate", {200: HTML}, query=LANG),
    Route(
        "POST",
        "/holder/claim",
        claim_pages.post_claim,
        "Claim a certificate with its code and the claim slip, or with the holder's file",
        {303: {}, 403: ERRORS, 422: HTML} | BODY_ERRORS,
        takes=_CLAIM,
    ),
    Route(
        "POST",
        "/holder/passkeys/options",
        sign_in.post_creation,
        "What a new passkey needs: WebAuthn's creation options",
        {200: _json(closed=False, rp=_OBJECT, user=_OBJECT, challenge=PLAIN)} | _REFUSED,
    ),
    Route(
        "POST",
        "/holder/passkeys",
        sign_in.post_passkey,
        "Add a passkey",
        {200: _json(added=_TRUE)} | _REFUSED,
        takes=_ANSWER,
    ),
    Route("POST", "/holder/passkeys/drop", sign_in.post_drop_passkey, "Remove a passkey", _ACTED, takes=_ID),
    Route(
        "POST",
        "/holder/sign-in/options",
        sign_in.post_request,
        "What signing in needs: WebAuthn's request options",
        {200: _json(closed=False, challenge=PLAIN, rpId=PLAIN)} | _REFUSED,
    ),
    Route(
        "POST",
        "/holder/sign-in",
        sign_in.post_sign_in,
        "Sign in with a passkey",
        {200: _json(signed_in=_TRUE)} | _REFUSED,
        takes=_ANSWER,
    ),
    Route("POST", "/holder/sign-out", sign_in.post_sign_out, "Sign out", _ACTED, takes=_fields()),
    Route(
        "POST",
        "/holder/certificates/drop",
        account_pages.post_drop_certificate,
        "Remove a certificate from the account and end its shares",
        _ACTED,
        takes=_ID,
    ),
    Route(
        "GET",
        "/holder/certificates/{id}/bundle",
        own_pages.get_bundle,
        "The holder's file of a certificate, with the newest proof",
        {200: {"application/cbor": BINARY}, 303: {}, 404: ERRORS, 503: ERRORS},
        query=LANG,
    ),
    Route(
        "GET",
        "/holder/export",
        own_pages.get_export,
        "Everything that is kept here of whoever is signed in",
        {200: {"application/zip": BINARY}, 303: {}},
        query=LANG,
    ),
    Route(
        "POST",
        "/holder/certificates/correction",
        own_pages.post_correction,
        "Ask the body that issued for a correction",
        _ACTED,
        takes=_fields("id", "field"),
    ),
    Route(
        "POST",
        "/holder/certificates/erasure",
        own_pages.post_erasure,
        "Ask the log's operator to erase the personal data of a certificate, and forget it here",
        _ACTED,
        takes=_ID,
    ),
    Route(
        "POST",
        "/holder/certificates/objection",
        account_pages.post_objection,
        "End somebody's watch of one's certificate",
        _ACTED,
        takes=_fields("id", "watch"),
    ),
    Route("POST", "/holder/drop", account_pages.post_drop_account, "Delete the account", _ACTED, takes=_fields()),
    Route(
        "GET",
        "/holder/certificates/{id}/share",
        share_pages.get_share,
        "The form for a share",
        {200: HTML, 303: {}, 404: ERRORS},
        query=LANG,
    ),
    Route(
        "POST",
        "/holder/shares",
        share_pages.post_share,
        "Make a share that the browser has sealed; bytes as base64url without padding",
        {200: _json(id=PLAIN, ends=PLAIN)} | _REFUSED,
        takes=_NEW_SHARE,
    ),
    Route("POST", "/holder/shares/close", share_pages.post_close, "Close a share at once", _ACTED, takes=_ID),
    Route(
        "POST",
        "/holder/shares/extend",
        share_pages.post_extend,
        "Extend a share",
        _ACTED,
        takes=_fields("id", "period"),
    ),
    Route("POST", "/holder/shares/drop", share_pages.post_drop, "Forget a share", _ACTED, takes=_ID),
    Route(
        "GET",
        "/s/{token}",
        shared_pages.get_shared,
        "What a holder shares: the certificate as it stands now; one page for every share that does not open",
        {200: HTML, 503: ERRORS},
        query=LANG,
    ),
    Route(
        "POST",
        "/s/{token}",
        shared_pages.post_shared,
        "The same with the proof of link and PIN",
        {200: HTML} | BODY_ERRORS,
        takes=_fields("proof"),
    ),
)

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
from verifier.holders.tries import Tries
from verifier.scanning import Scanner
from verifier.site.context import Context
from verifier.site.store import SiteStore
from verifier.watch.web import watches_of
from verifier.web.clients import Allowance
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, Room, Route, Schema

NAME: Final = "技能等级证书 Skill certificates"  # what a device shows beside a passkey
_OBJECT: Final[dict[str, Schema]] = {"application/json": {"type": "object"}}
_FORM: Final[dict[str, Schema]] = {"application/x-www-form-urlencoded": {"type": "object"}}
_UPLOAD: Final[dict[str, Schema]] = {"multipart/form-data": {"type": "object"}}
_ACTED: Final = {303: {}, 403: ERRORS, 404: ERRORS} | BODY_ERRORS
_TOLD: Final = {200: _OBJECT, 403: ERRORS, 404: ERRORS, 422: ERRORS} | BODY_ERRORS


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
            keys,
            Scanner(),
            relying_party(base, NAME),
            context.now_ms,
            context.random_bytes,
            context.settings.behind_proxy,
            claims=Allowance(5.0, 20),
            sign_ins=Allowance(20.0, 40),
            openings=Allowance(20.0, 60),
            watches=watches_of(context),
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
        takes=_UPLOAD,
    ),
    Route("POST", "/holder/passkeys/options", sign_in.post_creation, "What a new passkey needs", _TOLD, takes=_OBJECT),
    Route("POST", "/holder/passkeys", sign_in.post_passkey, "Add a passkey", _TOLD, takes=_OBJECT),
    Route("POST", "/holder/passkeys/drop", sign_in.post_drop_passkey, "Remove a passkey", _ACTED, takes=_FORM),
    Route("POST", "/holder/sign-in/options", sign_in.post_request, "What signing in needs", _TOLD, takes=_OBJECT),
    Route("POST", "/holder/sign-in", sign_in.post_sign_in, "Sign in with a passkey", _TOLD, takes=_OBJECT),
    Route("POST", "/holder/sign-out", sign_in.post_sign_out, "Sign out", _ACTED, takes=_FORM),
    Route(
        "POST",
        "/holder/certificates/drop",
        account_pages.post_drop_certificate,
        "Remove a certificate from the account and end its shares",
        _ACTED,
        takes=_FORM,
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
        takes=_FORM,
    ),
    Route(
        "POST",
        "/holder/certificates/erasure",
        own_pages.post_erasure,
        "Ask the log's operator to erase the personal data of a certificate, and forget it here",
        _ACTED,
        takes=_FORM,
    ),
    Route(
        "POST",
        "/holder/watches/object",
        own_pages.post_objection,
        "Object to a watch: it ends",
        _ACTED,
        takes=_FORM,
    ),
    Route("POST", "/holder/drop", account_pages.post_drop_account, "Delete the account", _ACTED, takes=_FORM),
    Route(
        "GET",
        "/holder/certificates/{id}/share",
        share_pages.get_share,
        "The form for a share",
        {200: HTML, 303: {}, 404: ERRORS},
        query=LANG,
    ),
    Route("POST", "/holder/shares", share_pages.post_share, "Make a share", _TOLD, takes=_OBJECT),
    Route("POST", "/holder/shares/close", share_pages.post_close, "Close a share at once", _ACTED, takes=_FORM),
    Route("POST", "/holder/shares/extend", share_pages.post_extend, "Extend a share", _ACTED, takes=_FORM),
    Route("POST", "/holder/shares/drop", share_pages.post_drop, "Forget a share", _ACTED, takes=_FORM),
    Route(
        "GET",
        "/s/{token}",
        shared_pages.get_shared,
        "What a holder shares: the certificate as it stands now; one page for every share that does not open",
        {200: HTML},
        query=LANG,
    ),
    Route(
        "POST",
        "/s/{token}",
        shared_pages.post_shared,
        "The same with the proof of link and PIN",
        {200: HTML} | BODY_ERRORS,
        takes=_FORM,
    ),
)

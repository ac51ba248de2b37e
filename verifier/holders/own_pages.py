"""What a holder takes along, and what a holder asks for: files, corrections, erasure."""

from __future__ import annotations

from aiohttp import web

from ledger.edge import Rejected
from ledger.errors import CertLedgerError
from ledger.records.erasure import seal_order
from ledger.records.evidence import parse_evidence
from verifier.holders.account_pages import kept_of
from verifier.holders.accounts import Kept
from verifier.holders.desk import Desk, acting, desk_of, read_fields, see, signed_in
from verifier.holders.export import bundle_name, bundle_of, export_zip
from verifier.holders.requests import CORRECTION, ERASURE
from verifier.web.answers import chosen_lang


async def get_bundle(request: web.Request) -> web.StreamResponse:
    """The holder's file of one certificate, with the newest proof. Raises Unavailable."""
    desk = desk_of(request)
    session = await signed_in(request)
    if session is None:
        return see("/holder", chosen_lang(request))
    kept = await kept_of(desk, session, request.match_info["id"])
    return _file(await _bundle(desk, kept), bundle_name(kept.held), "application/cbor")


async def get_export(request: web.Request) -> web.StreamResponse:
    """Everything that is kept here of whoever is signed in."""
    desk = desk_of(request)
    session = await signed_in(request)
    if session is None:
        return see("/holder", chosen_lang(request))
    kept = await desk.accounts.certificates(session)
    bundles = {}
    for one in kept:
        try:
            bundles[one.id] = await _bundle(desk, one)
        except CertLedgerError:
            continue  # without its proof now; what is kept is in the JSON
    packed = export_zip(
        kept,
        await desk.shares.listed(session),
        await desk.accounts.passkeys(session),
        await desk.requests.of(session),
        bundles,
        desk.now_ms(),
    )
    return _file(packed, "holder-export.zip", "application/zip")


async def post_correction(request: web.Request) -> web.StreamResponse:
    session = await acting(request)
    desk = desk_of(request)
    fields, lang = await read_fields(request)
    kept = await kept_of(desk, session, fields.get("id", ""))
    await desk.requests.add(session, CORRECTION, kept.held.cert_key, fields.get("field", ""), b"")
    return see("/holder", lang)


async def post_erasure(request: web.Request) -> web.StreamResponse:
    """In this order, so that a crash in between leaves a certificate that can still be asked for:

    1 the order, sealed for the operator of the log that has the certificate, is kept
    2 the certificate and its shares are forgotten here
    """
    session = await acting(request)
    desk = desk_of(request)
    fields, lang = await read_fields(request)
    kept = await kept_of(desk, session, fields.get("id", ""))
    found = await desk.lookup.holding(kept.held.cert_key)
    key = desk.erasure_keys.get(found[0].trust.origin) if found else None
    if key is None:
        raise Rejected(404)
    order = seal_order(key, kept.held.secret, desk.random_bytes(32))
    await desk.requests.add(session, ERASURE, kept.held.cert_key, "", order)  # 1
    await desk.accounts.drop_certificate(session, kept)  # 2
    return see("/holder", lang)


async def _bundle(desk: Desk, kept: Kept) -> bytes:
    raw = await desk.lookup.evidence(kept.held.cert_key)
    return bundle_of(kept.held, parse_evidence(raw))


def _file(body: bytes, name: str, kind: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=body, content_type=kind, headers=headers)

"""Signing in with a passkey, and adding and removing them. The browser's module is `holder-passkey.js`."""

from __future__ import annotations

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Unverified
from ledger.records.names import mask_name
from ledger.text import Text
from verifier.holders.desk import (
    Desk,
    acting,
    desk_of,
    from_here,
    from_text,
    read_fields,
    see,
    sign_in,
    sign_out,
    spend,
)
from verifier.holders.passkeys import CHALLENGE_BYTES, MAX_ANSWER, RelyingParty, challenge_of, parse_assertion
from verifier.holders.sealing import account_of
from verifier.web.answers import json_body


async def post_creation(request: web.Request) -> web.StreamResponse:
    """What the browser needs to make a passkey for whoever is signed in."""
    session = await acting(request)
    desk = desk_of(request)
    party = _party(desk)
    challenge = desk.random_bytes(CHALLENGE_BYTES)
    await desk.accounts.challenge(challenge, session)
    certificates = await desk.accounts.certificates(session)
    user = mask_name(certificates[0].held.face.name) if certificates else "*"
    known = [passkey.id for passkey in await desk.accounts.passkeys(session)]
    text = party.creation(session.handle, user, challenge, known)
    return web.Response(text=text, content_type="application/json")


async def post_passkey(request: web.Request) -> web.StreamResponse:
    """The passkey that it made."""
    session = await acting(request)
    desk = desk_of(request)
    body = await read_body(request, MAX_ANSWER)
    challenge = challenge_of(body)
    await desk.accounts.redeem(challenge, session)
    made = _party(desk).made(body, challenge)
    await desk.accounts.add_passkey(session, made.id, made.public_key, made.sign_count)
    return json_body({"added": True})


async def post_drop_passkey(request: web.Request) -> web.StreamResponse:
    """A passkey is forgotten; whoever else is signed in has to sign in again."""
    session = await acting(request)
    fields, lang = await read_fields(request)
    desk = desk_of(request)
    await desk.accounts.drop_passkey(session, from_text(fields.get("id", "")))
    await desk.accounts.end_others(session)
    return see("/holder", lang)


async def post_request(request: web.Request) -> web.StreamResponse:
    """What the browser needs to sign somebody in."""
    from_here(request)
    desk = desk_of(request)
    spend(request, desk.sign_ins)
    party = _party(desk)
    challenge = desk.random_bytes(CHALLENGE_BYTES)
    await desk.accounts.challenge(challenge, None)
    return web.Response(text=party.request(challenge), content_type="application/json")


async def post_sign_in(request: web.Request) -> web.StreamResponse:
    """Signed in, when

    1 the challenge was handed out here lately, and this is its first answer
    2 the passkey is one of ours, and its device says that it verified the person
    3 the user handle that it gave is that of the passkey's account

    A stranger and a wrong answer are told the same."""
    from_here(request)
    desk = desk_of(request)
    asserted = parse_assertion(await read_body(request, MAX_ANSWER))
    await desk.accounts.redeem(asserted.challenge, None)  # 1
    passkey = await desk.accounts.passkey(asserted.id)
    if passkey is None or account_of(asserted.handle) != passkey.account:  # 2, 3
        raise Unverified(Text("不是本站的通行密钥", "no passkey of this site"))
    count = _party(desk).verify(asserted, passkey.public_key, passkey.sign_count)
    await desk.accounts.used(passkey, count)
    answer = json_body({"signed_in": True})
    sign_in(request, answer, await desk.accounts.start(asserted.handle))
    return answer


async def post_sign_out(request: web.Request) -> web.StreamResponse:
    session = await acting(request)
    _, lang = await read_fields(request)
    await desk_of(request).accounts.end(session)
    answer = see("/holder", lang)
    sign_out(request, answer)
    return answer


def _party(desk: Desk) -> RelyingParty:
    """Raises Rejected where this site can have no passkeys."""
    if desk.relying_party is None:
        raise Rejected(404)
    return desk.relying_party

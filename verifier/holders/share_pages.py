"""Making a share, and what its holder does with it later. What it discloses is sealed by the browser
(`holder-share.js`); this side sees the choice of fields, never the key in the link."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed
from ledger.records.dates import batch_day, date_of
from ledger.records.secret import format_secret
from verifier.holders.account_pages import PURPOSE_WORDS, field_name, kept_of, renewed
from verifier.holders.accounts import Session
from verifier.holders.desk import Desk, acting, desk_of, from_text, page, read_fields, say, see, signed_in, to_text
from verifier.holders.shares import (
    DAYS,
    FIELDS,
    LONGEST_DAYS,
    MAX_BODY,
    NAME,
    PURPOSES,
    Note,
    expiry_of,
    openings_of,
)
from verifier.messages import say_time
from verifier.web.answers import chosen_lang, json_body


class NewShare(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /holder/shares`. Bytes as base64url."""

    certificate: str
    token: str
    body: str
    proof: str  # empty: no PIN
    purpose: str
    fields: list[str]
    recipient: str
    period: str


_new_share = msgspec.json.Decoder(NewShare)


async def get_share(request: web.Request) -> web.StreamResponse:
    """The form for a share of one certificate."""
    desk, lang = desk_of(request), chosen_lang(request)
    session = await signed_in(request)
    if session is None:
        return see("/holder", lang)
    kept = await renewed(desk, session, await kept_of(desk, session, request.match_info["id"]))
    verdict = await desk.lookup.by_secret(format_secret(kept.held.secret))  # with the photo
    openings = openings_of(kept.held, verdict.certificate.photo if verdict.certificate else None)
    today = date_of(batch_day(desk.now_ms()))
    return page(
        request,
        "holder_share.html",
        id=to_text(kept.id),
        number=kept.held.face.number,
        link=f"/c/{format_secret(kept.held.secret)}",
        grade=verdict.certificate.grade.of(lang) if verdict.certificate else "",
        occupation=verdict.certificate.occupation if verdict.certificate else "",
        held=json.dumps(openings, ensure_ascii=False),
        names=json.dumps({name: field_name(request, name, lang) for name in (NAME, *FIELDS)}, ensure_ascii=False),
        fields=[
            {"id": name, "name": field_name(request, name, lang), "there": name in openings} for name in (NAME, *FIELDS)
        ],
        purposes=[
            {"id": name, "name": say(request, PURPOSE_WORDS[name], lang), "fields": " ".join(fields)}
            for name, fields in PURPOSES.items()
        ],
        days=DAYS,
        earliest=today.isoformat(),
        latest=(today + timedelta(days=LONGEST_DAYS)).isoformat(),
        base=desk.base,
    )


async def post_share(request: web.Request) -> web.StreamResponse:
    """A share that the browser has sealed. Raises Malformed, Refused."""
    session = await acting(request)
    desk, lang = desk_of(request), chosen_lang(request)
    try:
        new = _new_share.decode(await read_body(request, 2 * MAX_BODY))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed("share: JSON of a new share") from None
    kept = await kept_of(desk, session, new.certificate)
    note = Note(from_text(new.token), new.purpose, tuple(new.fields), new.recipient)
    expires = expiry_of(new.period, desk.now_ms())
    id_ = await desk.shares.add(
        session, kept.id, kept.held.cert_key, note, from_text(new.body), from_text(new.proof), expires
    )
    return json_body({"id": to_text(id_), "ends": say_time(expires, lang)})


async def post_close(request: web.Request) -> web.StreamResponse:
    desk, session, id_, lang, _ = await _chosen(request)
    await desk.shares.close(session, id_)
    return see("/holder", lang)


async def post_extend(request: web.Request) -> web.StreamResponse:
    desk, session, id_, lang, fields = await _chosen(request)
    if not await desk.shares.extend(session, id_, expiry_of(fields.get("period", ""), desk.now_ms())):
        raise Rejected(404)
    return see("/holder", lang)


async def post_drop(request: web.Request) -> web.StreamResponse:
    desk, session, id_, lang, _ = await _chosen(request)
    await desk.shares.drop(session, id_)
    return see("/holder", lang)


async def _chosen(request: web.Request) -> tuple[Desk, Session, bytes, str, dict[str, str]]:
    session = await acting(request)
    fields, lang = await read_fields(request)
    return desk_of(request), session, from_text(fields.get("id", "")), lang, fields

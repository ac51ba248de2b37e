"""A holder's own page: certificates by occupation with the current grade, shares with their views, passkeys.

Each certificate is checked now, as anybody's scan would check it. After a correction its openings are fetched anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from ledger.edge import Rejected
from ledger.errors import CertLedgerError
from ledger.records.commitments import Field
from ledger.records.secret import format_secret
from verifier.holders.accounts import Kept, Session
from verifier.holders.claim import fetch_held
from verifier.holders.desk import (
    Desk,
    acting,
    desk_of,
    from_text,
    page,
    read_fields,
    say,
    see,
    sign_out,
    signed_in,
    to_text,
)
from verifier.holders.requests import ERASURE, Request
from verifier.holders.share_store import Listed
from verifier.holders.shares import DAYS, NAME, PHOTO
from verifier.messages import say_day_number, say_time
from verifier.verdict import GREEN, Verdict
from verifier.watch.store import Watcher
from verifier.web.answers import chosen_lang
from verifier.web.state import STATE

PURPOSE_WORDS: Final = {
    "job": "holders_purpose_job",
    "subsidy": "holders_purpose_subsidy",
    "title": "holders_purpose_title",
    "custom": "holders_purpose_custom",
}
_FIELD_WORDS: Final = {
    NAME: "holders_field_name",
    PHOTO: "photo",
    "document": "holders_field_document",
    "scores": "holders_field_scores",
    "employer": "holders_field_employer",
    "birth_year": "holders_field_birth_year",
    "training": "holders_field_training",
}
_CORRECTED_WORDS: Final = {
    "name": "holders_name",
    "document": "holders_field_document",
    "photo": "photo",
    "scores": "holders_field_scores",
    "employer": "holders_field_employer",
    "birth_year": "holders_field_birth_year",
    "training": "holders_field_training",
    "other": "holders_field_other",
}
_STATE_WORDS: Final = {
    "open": "holders_state_open",
    "closed": "holders_state_closed",
    "over": "holders_state_over",
    "locked": "holders_state_locked",
}


async def get_home(request: web.Request) -> web.StreamResponse:
    """The way in, or one's certificates."""
    desk, lang = desk_of(request), chosen_lang(request)
    session = await signed_in(request)
    if session is None:
        return page(request, "holder_start.html", passkeys=desk.relying_party is not None)
    kept = await asyncio.gather(*(renewed(desk, session, one) for one in await desk.accounts.certificates(session)))
    verdicts = await asyncio.gather(*(desk.lookup.by_secret(format_secret(one.held.secret)) for one in kept))
    watchers = [await desk.watches.watchers(one.held.cert_key) for one in kept]
    shares = await desk.shares.listed(session)
    names = {one.id: one.held.face.number for one in kept}
    passkeys = await desk.accounts.passkeys(session)
    return page(
        request,
        "holder_home.html",
        groups=_groups(request, list(zip(kept, verdicts, watchers, strict=True)), lang),
        shares=[_share(request, share, names, lang) for share in shares],
        passkeys=[
            {
                "id": to_text(one.id),
                "made": say_time(one.created_ms, lang),
                "used": say_time(one.used_ms, lang) if one.used_ms else "",
            }
            for one in passkeys
        ],
        can_have_passkeys=desk.relying_party is not None,
        days=DAYS,
        correctable=[{"id": name, "name": say(request, words, lang)} for name, words in _CORRECTED_WORDS.items()],
        requests=[_request(request, one, lang) for one in await desk.requests.of(session)],
    )


async def post_drop_certificate(request: web.Request) -> web.StreamResponse:
    """A certificate leaves the account, and its shares end."""
    session = await acting(request)
    desk = desk_of(request)
    fields, lang = await read_fields(request)
    kept = await kept_of(desk, session, fields.get("id", ""))
    await desk.accounts.drop_certificate(session, kept)
    return see("/holder", lang)


async def post_objection(request: web.Request) -> web.StreamResponse:
    """Somebody's watch of this holder's certificate ends; they are told that, and nothing more."""
    session = await acting(request)
    desk = desk_of(request)
    fields, lang = await read_fields(request)
    kept = await kept_of(desk, session, fields.get("id", ""))
    if not await desk.watches.object_to(kept.held.cert_key, fields.get("watch", "")):
        raise Rejected(404)
    return see("/holder", lang)


async def post_drop_account(request: web.Request) -> web.StreamResponse:
    """Everything of the account is forgotten here. The certificates stay what they are."""
    session = await acting(request)
    _, lang = await read_fields(request)
    await desk_of(request).accounts.drop(session)
    answer = see("/holder", lang)
    sign_out(request, answer)
    return answer


async def renewed(desk: Desk, session: Session, kept: Kept) -> Kept:
    """The certificate with the openings that count now. What cannot be fetched stays as it was."""
    try:
        found = await desk.lookup.holding(kept.held.cert_key)
        if found is None or found[1].state.commitment_leaf == kept.held.leaf:
            return kept
        document = kept.held.opening(Field.ID_DOCUMENT)
        held = await fetch_held(kept.held.secret, kept.held.holder_code, *found, document)
    except CertLedgerError:
        return kept
    await desk.accounts.renew(session, held)
    return Kept(kept.id, held, kept.created_ms)


def _groups(
    request: web.Request, checked: Sequence[tuple[Kept, Verdict, list[Watcher]]], lang: str
) -> list[dict[str, Any]]:
    """Certificates by occupation, each group with the grade that its verdicts call current."""
    groups: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for kept, verdict, watchers in checked:
        view = verdict.certificate
        code = view.occupation_code if view else ""
        group = groups.setdefault(
            code, {"occupation": view.occupation if view else "", "code": code, "certificates": []}
        )
        verdicts.setdefault(code, []).append(verdict)
        shown = _certificate(request, kept, verdict, lang)
        group["certificates"].append(shown | {"watchers": [_watcher(one, lang) for one in watchers]})
    label = request.app[STATE].messages.labels["current_log"].of(lang)
    for code, group in groups.items():
        logs = logs_of(verdicts[code])
        group |= {"current": current_of(verdicts[code], lang), "note": label.format(log=logs) if logs else ""}
    return list(groups.values())


def current_of(verdicts: Sequence[Verdict], lang: str) -> str:
    """The highest grade that any of a holder's certificates in one occupation calls current, or "": those of another
    log, or of the track that a correction has parted, know only of their own."""
    found = [verdict.certificate.current for verdict in verdicts if verdict.certificate is not None]
    known = [current for current in found if current is not None]
    return max(known, key=lambda current: current.ordinal).grade.of(lang) if known else ""


def logs_of(verdicts: Sequence[Verdict]) -> str:
    """The logs that this is known of, where several are believed: what somebody has in others is not in the account."""
    views = [verdict.certificate for verdict in verdicts if verdict.certificate is not None]
    return "、".join(sorted({view.current.log for view in views if view.current is not None and view.current.log}))


def _certificate(request: web.Request, kept: Kept, verdict: Verdict, lang: str) -> dict[str, Any]:
    messages, view, face = request.app[STATE].messages, verdict.certificate, kept.held.face
    wording = messages.wordings[verdict.code]
    return {
        "id": to_text(kept.id),
        "name": face.name,
        "number": face.number,
        "link": f"/c/{format_secret(kept.held.secret)}",
        "grade": view.grade.of(lang) if view else "",
        "trade": view.trade if view else "",
        "issued": say_day_number(view.issue_day, lang) if view else "",
        "issuer": verdict.issuer.name if verdict.issuer else "",
        "mood": "yes" if verdict.code in GREEN else "no" if wording.family == "bad" else "may",
        "title": wording.title.of(lang),
        "line": messages.line(verdict).of(lang),
        "checked": say_time(verdict.checked_at_ms, lang),
        "erasable": verdict.proof is not None and verdict.proof.origin in desk_of(request).erasure_keys,
    }


def _watcher(watcher: Watcher, lang: str) -> dict[str, str]:
    ended = watcher.objected_ms
    return {
        "id": watcher.watch_id,
        "name": watcher.name,
        "since": say_time(watcher.created_ms, lang),
        "ended": say_time(ended, lang) if ended is not None else "",
    }


def _share(request: web.Request, share: Listed, numbers: dict[bytes, str], lang: str) -> dict[str, Any]:
    state = share.state(desk_of(request).now_ms())
    return {
        "id": to_text(share.id),
        "address": f"/s/{to_text(share.note.token)}",
        "number": numbers.get(share.certificate, ""),
        "purpose": say(request, PURPOSE_WORDS[share.note.purpose], lang),
        "recipient": share.note.recipient,
        "fields": [field_name(request, field, lang) for field in share.note.fields],
        "pin": share.has_pin,
        "state": state,
        "state_name": say(request, _STATE_WORDS[state], lang),
        "mood": {"open": "yes", "locked": "may"}.get(state, "soft"),
        "views": share.views,
        "seen": [say_time(at, lang) for at in share.seen_ms],
        "made": say_time(share.created_ms, lang),
        "ends": say_time(share.expires_ms, lang),
        "live": state in ("open", "locked"),
    }


def _request(request: web.Request, one: Request, lang: str) -> dict[str, str]:
    if one.kind == ERASURE:
        what = say(request, "holders_asked_erasure", lang)
    else:
        what = say(request, "holders_asked_correction", lang, field=say(request, _CORRECTED_WORDS[one.field], lang))
    return {
        "what": what,
        "at": say_time(one.at_ms, lang),
        "done": say_time(one.done_ms, lang) if one.done_ms else "",
    }


def field_name(request: web.Request, field: str, lang: str) -> str:
    return say(request, _FIELD_WORDS[field], lang)


async def kept_of(desk: Desk, session: Session, text: str) -> Kept:
    """The certificate that an address or a form names. Raises Rejected for one that is not this account's."""
    kept = await desk.accounts.certificate(session, from_text(text))
    if kept is None:
        raise Rejected(404)
    return kept

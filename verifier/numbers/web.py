"""The pages and the API of look-ups by number and name, and of ID tails.

    GET  /lookup        the form                 POST /lookup   the verdict, or the number doctor's explanation
    POST /v1/lookup     the same for programs    POST /c/{secret}   the verdict page with the answer about an ID tail

A look-up, by number:

    1 form       number and name can be read at all
    2 doctor     a number with a problem is explained and asked for nobody
    3 limit      per client; a look-up that ends in `unavailable` costs nothing
    4 ask        verifier.numbers.asking
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Refused
from ledger.records.dates import batch_day
from ledger.records.grades import Ladder
from ledger.records.names import normalise_name
from ledger.text import Text
from verifier.numbers.asking import Numbers, Tail
from verifier.numbers.doctor import LEVELS, Diagnosis, examine
from verifier.verdict import Code, Verdict
from verifier.web.answers import chosen_lang, html, json_body
from verifier.web.clients import Allowance, client_of
from verifier.web.forms import parse_urlencoded
from verifier.web.handlers import MAX_SECRET, settle
from verifier.web.route import BODY_ERRORS, ERRORS, HTML, LANG, Room, Route
from verifier.web.schemas import VERDICT
from verifier.web.state import STATE, State
from verifier.web.view import Match

_BODY: Final = 8 * 1024  # bytes
_FIELD: Final = 512  # characters of what a person typed
_PER_MINUTE, _BURST = 5.0, 20
_LEVELS: Final = frozenset(map(str, LEVELS))
_TAIL: Final = re.compile(r"[0-9A-Z]{4}")
_SAID: Final = {
    Tail.SAME: ("numbers_tail_same", "yes"),
    Tail.OTHER: ("numbers_tail_other", "no"),
    Tail.NO_TRIES: ("numbers_tail_no_tries", "may"),
    Tail.UNKNOWN: ("numbers_tail_unknown", "may"),
    None: ("numbers_tail_form", "may"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers need."""

    numbers: Numbers
    ladder: Ladder
    now_ms: Callable[[], int]
    behind_proxy: bool
    lookups: Allowance
    tails: Allowance


class LookupQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /v1/lookup`."""

    number: str
    name: str


DESK: Final = web.AppKey("numbers_desk", Desk)
_question = msgspec.json.Decoder(LookupQuestion)


async def form(request: web.Request) -> web.StreamResponse:
    return _form_page(request, chosen_lang(request), {}, None, None)


async def lookup(request: web.Request) -> web.StreamResponse:
    """A number with a name, as typed; with `last4`, whether the ID number of what is found ends so."""
    state, desk = request.app[STATE], request.app[DESK]
    fields = await _fields(request)  # 1
    lang, level = _lang(request, fields), fields.get("level", "")
    said = examine(
        fields.get("number", ""),
        today=batch_day(desk.now_ms()),
        ladder=desk.ladder,
        level=int(level) if level in _LEVELS else None,
    )  # 2
    name, problem = _name(fields.get("name", ""))
    if said.problems or problem is not None:
        return _form_page(request, lang, fields, said, problem)
    verdict = await _verdict(request, "form", said.number, name)  # 3, 4
    match = Match("/lookup", (("number", said.number), ("name", name)))
    if verdict.certificate is not None and "last4" in fields:
        last4 = _last4(fields["last4"])
        ask = (lambda: desk.numbers.tail_of(said.number, name, last4)) if last4 else None
        match = _answered(match, await _tail(request, ask), lang, state)
    return html(request, state.pages.verdict(verdict, lang, linked=False, match=match))


async def lookup_json(request: web.Request) -> web.StreamResponse:
    state, desk = request.app[STATE], request.app[DESK]
    if request.content_type != "application/json":
        raise Rejected(415)
    try:
        question = _question.decode(await read_body(request, _BODY))  # 1
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed('JSON body {"number": string, "name": string}') from None
    said = examine(question.number, today=batch_day(desk.now_ms()), ladder=desk.ladder)  # 2
    if said.problems:
        raise Refused(said.problems[0].code, "number", said.problems[0].text)
    name, _ = normalise_name(question.name)
    return json_body(state.messages.as_json(await _verdict(request, "api", said.number, name)))


async def tail(request: web.Request) -> web.StreamResponse:
    """The verdict page of a link once more, with the answer about an ID tail. Whoever has the secret has the code."""
    state, desk = request.app[STATE], request.app[DESK]
    fields, secret = await _fields(request), request.match_info["secret"]
    lang, last4 = _lang(request, fields), _last4(fields.get("last4", ""))
    if len(secret) > MAX_SECRET:
        raise Rejected(404)
    verdict = await settle(state, "page", lambda: state.services.by_secret(secret))
    match = Match("")
    if verdict.certificate is not None:
        ask = (lambda: desk.numbers.tail_of_secret(secret, last4)) if last4 else None
        match = _answered(match, await _tail(request, ask), lang, state)
    return html(request, state.pages.verdict(verdict, lang, linked=True, match=match))


async def _verdict(request: web.Request, route: str, number: str, name: str) -> Verdict:
    state, desk = request.app[STATE], request.app[DESK]
    client = client_of(request, behind_proxy=desk.behind_proxy)
    desk.lookups.take(client, time.monotonic())
    verdict = await settle(state, route, lambda: desk.numbers.by_number(number, name))
    if verdict.code is Code.UNAVAILABLE:
        desk.lookups.give_back(client, time.monotonic())
    return verdict


async def _tail(request: web.Request, ask: Callable[[], Awaitable[Tail]] | None) -> Tail | None:
    """None where nothing was typed that an ID number could end with."""
    if ask is None:
        return None
    desk = request.app[DESK]
    desk.tails.take(client_of(request, behind_proxy=desk.behind_proxy), time.monotonic())
    return await ask()


def _answered(match: Match, tail: Tail | None, lang: str, state: State) -> Match:
    key, mood = _SAID[tail]
    return replace(match, said=state.messages.labels[key].of(lang), mood=mood)


def _form_page(
    request: web.Request, lang: str, fields: dict[str, str], said: Diagnosis | None, name_problem: Text | None
) -> web.Response:
    """The form, filled with what was typed; `said`: what the doctor says about it."""
    desk, pages = request.app[DESK], request.app[STATE].pages
    text = pages.render(
        "lookup.html",
        lang,
        switch=f"/lookup?lang={'en' if lang == 'zh' else 'zh'}",
        number=fields.get("number", ""),
        holder=fields.get("name", ""),
        level=fields.get("level", ""),
        levels=[(level, desk.ladder.by_level(level).text.of(lang)) for level in LEVELS],
        name_problem=None if name_problem is None else name_problem.of(lang),
        problems=[one.text.of(lang) for one in said.problems] if said else [],
        parts=[(one.label.of(lang), one.shown, one.meaning.of(lang), one.fits) for one in said.parts] if said else [],
        suggestion=said.suggestion if said else None,
    )
    return html(request, text)


async def _fields(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Rejected(415)
    fields = parse_urlencoded(await read_body(request, _BODY))
    return {name: value[:_FIELD] for name, value in fields.items()}


def _name(typed: str) -> tuple[str, Text | None]:
    """A name in its normal form, or what is wrong with it."""
    try:
        return normalise_name(typed)[0], None
    except Refused as refused:
        return "", refused.text


def _last4(typed: str) -> str:
    """The end of an ID number in its normal form, "" for what is none."""
    plain = "".join(unicodedata.normalize("NFKC", typed).split()).upper()
    return plain if _TAIL.fullmatch(plain) else ""


def _lang(request: web.Request, fields: dict[str, str]) -> str:
    lang = fields.get("lang", "")
    return lang if lang in ("zh", "en") else chosen_lang(request)


_FORM: Final = {
    "application/x-www-form-urlencoded": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("number", "name", "level", "last4", "lang")},
    }
}
_LAST4: Final = {
    "application/x-www-form-urlencoded": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("last4", "lang")},
    }
}
_QUESTION: Final = {
    "application/json": {
        "type": "object",
        "properties": {"number": {"type": "string"}, "name": {"type": "string"}},
        "required": ["number", "name"],
        "additionalProperties": False,
    }
}
ROUTES: Final = (
    Route("GET", "/lookup", form, "Form for a look-up by number and name", {200: HTML}, query=LANG),
    Route(
        "POST",
        "/lookup",
        lookup,
        "Look a number up with a name: the verdict page, or what is wrong with the number",
        {200: HTML} | BODY_ERRORS,
        takes=_FORM,
    ),
    Route(
        "POST",
        "/v1/lookup",
        lookup_json,
        "Look a number up with a name; 200 for every verdict, 422 for a number or a name that cannot be one",
        {200: {"application/json": VERDICT}, 422: ERRORS} | BODY_ERRORS,
        takes=_QUESTION,
    ),
    Route(
        "POST",
        "/c/{secret}",
        tail,
        "The verdict page, and whether the holder's ID number ends as typed; five tries a day",
        {200: HTML, 404: ERRORS} | BODY_ERRORS,
        takes=_LAST4,
        query=LANG,
    ),
)


def numbers_room(numbers: Numbers, ladder: Ladder, now_ms: Callable[[], int], *, behind_proxy: bool) -> Room:
    """The room that `numbers` makes possible."""
    allowances = Allowance(_PER_MINUTE, _BURST), Allowance(_PER_MINUTE, _BURST)
    desk = Desk(numbers, ladder, now_ms, behind_proxy, *allowances)

    def attach(app: web.Application) -> None:
        app[DESK] = desk

    return Room(ROUTES, attach)

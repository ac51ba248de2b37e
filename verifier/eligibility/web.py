"""Eligibility over HTTP, one certificate at a time.

    GET  /c/{secret}/means      asks for consent       POST  what the grade means for its holder
    GET  /c/{secret}/eligible   rules and their facts  POST  am I eligible, what is missing, until when
    GET  /applications          the payer's screen     POST  the decision with its trace
    GET  /v1/packs              the rules at hand      POST /v1/eligible   a decision as JSON, with its bytes

Nothing that is typed here is stored: it is in the body of the request, decided on, and gone.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Refused
from ledger.records.dates import format_day
from ledger.records.secret import SECRET_CHARS
from ledger.text import Text
from verifier.eligibility.decision import format_decision
from verifier.eligibility.earlier import earlier_day
from verifier.eligibility.explain import source_text, yuan
from verifier.eligibility.form import fields_of, read_form
from verifier.eligibility.gathering import Gathered
from verifier.eligibility.meaning import Band, Chance, meaning_of
from verifier.eligibility.offices import decide_person
from verifier.eligibility.pack import Pack, PackKind
from verifier.eligibility.results import reasons
from verifier.eligibility.rooms import (
    COUNTER,
    Counter,
    check_view,
    chosen,
    decision_view,
    other_lang,
    pack_lines,
    the_day,
)
from verifier.eligibility.schemas import DECIDED, MAX_SHOWN, PACKS, QUESTION
from verifier.eligibility.view import decision_json
from verifier.messages import say_day_number, say_time
from verifier.verdict_json import text_json
from verifier.web.answers import chosen_lang, html, json_body
from verifier.web.forms import parse_urlencoded
from verifier.web.route import BODY_ERRORS, ERRORS, HTML, LANG, Route
from verifier.web.state import STATE

MAX_FORM: Final = 128 * 1024  # bytes
MAX_FIELDS: Final = 200
MAX_JSON: Final = 512 * 1024


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /v1/eligible`."""

    pack: str
    certificates: list[str] = []
    facts: dict[str, Any] = {}
    as_of: str = ""


_question: Final = msgspec.json.Decoder(Question)


async def means_ask(request: web.Request) -> web.StreamResponse:
    """What would be shown, and the consent to it."""
    return _page(request, "means.html", chosen_lang(request), secret=_secret(request), meaning=None)


async def means(request: web.Request) -> web.StreamResponse:
    counter, secret = request.app[COUNTER], _secret(request)
    fields = await _fields(request)
    lang = chosen(fields, chosen_lang(request))
    if fields.get("consent") != "yes":
        raise Malformed(Text("请先取得持证人同意", "the holder's consent"))
    gathered = await counter.gatherer.of_text(secret)
    check = check_view(gathered, counter.messages, lang)
    shown: dict[str, Any] = {"check": check, "band": None, "open": [], "closed": [], "time": "", "day": ""}
    if gathered.certificate is not None:
        found = meaning_of(gathered.certificate, counter.office, counter.ladder, counter.today)
        views = [(each.open, _chance_view(each, counter, lang)) for each in found.chances]
        for each, (_, view) in zip(found.chances, views, strict=True):
            view["unpublished"] = isinstance(await counter.gatherer.pack(each.pack), Pack)
        shown |= {
            "band": _band_view(found.band, counter, lang) if found.band else None,
            "open": [view for is_open, view in views if is_open],
            "closed": [view for is_open, view in views if not is_open],
            "time": say_time(gathered.verdict.checked_at_ms, lang),
            "day": say_day_number(counter.today, lang),
        }
    return _page(request, "means.html", lang, secret=secret, meaning=shown)


async def eligible_ask(request: web.Request) -> web.StreamResponse:
    """The rules to choose from; with `pack` the facts that these rules ask for."""
    counter, lang = request.app[COUNTER], chosen_lang(request)
    pack = _chosen_pack(counter, request.query)
    return _form_page(request, lang, pack, {}, secret=_secret(request))


async def eligible(request: web.Request) -> web.StreamResponse:
    counter, secret = request.app[COUNTER], _secret(request)
    fields = await _fields(request)
    lang, pack = chosen(fields, chosen_lang(request)), counter.office.find(fields.get("pack", ""))
    texts = [secret, *_lines(fields.get("others", ""))]
    return await _decided_page(request, lang, pack, fields, texts, secret=secret)


async def application_ask(request: web.Request) -> web.StreamResponse:
    counter, lang = request.app[COUNTER], chosen_lang(request)
    return _form_page(request, lang, _chosen_pack(counter, request.query), {})


async def application(request: web.Request) -> web.StreamResponse:
    counter = request.app[COUNTER]
    fields = await _fields(request)
    lang, pack = chosen(fields, chosen_lang(request)), counter.office.find(fields.get("pack", ""))
    return await _decided_page(request, lang, pack, fields, _lines(fields.get("certificates", "")))


async def packs(request: web.Request) -> web.StreamResponse:
    counter = request.app[COUNTER]
    return json_body({"packs": [_pack_json(pack) for pack in counter.office.packs.values()]})


async def decide_json(request: web.Request) -> web.StreamResponse:
    counter = request.app[COUNTER]
    if request.content_type != "application/json":
        raise Rejected(415)
    try:
        asked = _question.decode(await read_body(request, MAX_JSON))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed('JSON body {"pack", "certificates": [text], "facts": {}, "as_of"}') from None
    pack = counter.office.find(asked.pack)
    if len(asked.certificates) > MAX_SHOWN:
        raise Malformed("certificates: at most 16")
    as_of = counter.day(asked.as_of)
    day = earlier_day(pack, as_of, counter.today)
    gathered = [await counter.gatherer.of_text(text, day=day) for text in asked.certificates]
    known = await counter.gatherer.pack(pack, counter.office.employer_of(pack))
    decision = decide_person(gathered, asked.facts, known, as_of)
    return json_body(
        {
            "decision": decision_json(decision, pack, counter.ladder),
            "bytes": base64.b64encode(format_decision(decision)).decode(),
            "checks": [each.verdict.code.value for each in gathered],
        }
    )


async def _decided_page(
    request: web.Request, lang: str, pack: Pack, fields: Mapping[str, str], texts: list[str], *, secret: str = ""
) -> web.Response:
    """A form that was filled in: the decision, or what cannot be read in it."""
    counter = request.app[COUNTER]
    filled = read_form(fields, pack, counter.ladder)
    problems = dict(filled.problems)
    gathered: list[Gathered] = []
    decision = None
    if not problems:
        as_of = the_day(counter, fields)
        day = earlier_day(pack, as_of, counter.today)
        gathered = [await counter.gatherer.of_text(text, day=day) for text in texts[:MAX_SHOWN]]
        try:
            known = await counter.gatherer.pack(pack)
            decision = decide_person(gathered, filled.facts, known, as_of)
        except Refused as refused:
            problems[refused.field.partition("[")[0]] = refused.text
    return _form_page(
        request,
        lang,
        pack,
        fields,
        secret=secret,
        problems=problems,
        checks=[check_view(each, counter.messages, lang) for each in gathered],
        d=None if decision is None else decision_view(decision, pack, counter.ladder, lang),
        raw=None if decision is None else base64.b64encode(format_decision(decision)).decode(),
    )


def _form_page(
    request: web.Request, lang: str, pack: Pack | None, fields: Mapping[str, str], *, secret: str = "", **more: Any
) -> web.Response:
    counter = request.app[COUNTER]
    address = f"/c/{secret}/eligible" if secret else "/applications"
    offered = [each for each in counter.office.packs.values() if _offered(each, holder=bool(secret))]
    problems = more.pop("problems", {})
    values: dict[str, Any] = {"checks": [], "d": None, "raw": None, "pack": None, "fields": []}
    if pack is not None:
        values["pack"] = {"id": pack.id, "title": pack.title.of(lang), "sample": pack.sample}
        values["fields"] = fields_of(pack, counter.ladder, lang, fields, problems)
        values["needs"] = pack.certificate.value
    query = f"&pack={pack.id}" if pack else ""
    return _page(
        request,
        "eligible.html",
        lang,
        switch=f"{address}?lang={other_lang(lang)}{query}",
        address=address,
        secret=secret,
        packs=pack_lines(offered, lang),
        as_of=fields.get("as_of") or format_day(counter.today),
        certificates=fields.get("certificates", ""),
        others=fields.get("others", ""),
        **(values | more),
    )


def _offered(pack: Pack, *, holder: bool) -> bool:
    """Wage tables have a page of their own; what no certificate is about is no holder's question."""
    return pack.kind is not PackKind.WAGE_TABLE and not (holder and pack.certificate.value == "none")


def _chosen_pack(counter: Counter, query: Mapping[str, str]) -> Pack | None:
    return counter.office.find(query["pack"]) if query.get("pack") else None


def _page(request: web.Request, name: str, lang: str, **values: Any) -> web.Response:
    values.setdefault("switch", f"?lang={other_lang(lang)}")
    return html(request, request.app[STATE].pages.render(name, lang, **values))


def _secret(request: web.Request) -> str:
    secret = request.match_info["secret"]
    if len(secret) != SECRET_CHARS or not secret.isalnum():
        raise Rejected(404)
    return secret


async def _fields(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Rejected(415)
    return parse_urlencoded(await read_body(request, MAX_FORM), MAX_FIELDS)


def _lines(text: str) -> list[str]:
    """One link or code a line."""
    return [line.strip() for line in text.splitlines() if line.strip()][:MAX_SHOWN]


def _chance_view(chance: Chance, counter: Counter, lang: str) -> dict[str, Any]:
    pack, decision = chance.pack, chance.decision
    last = chance.last_day
    labels = [pack.labels[name].of(lang) if name in pack.labels else name for name in decision.missing]
    sources = [pack.sources[key] for key in decision.sources]
    return {
        "id": pack.id,
        "title": pack.title.of(lang),
        "sample": decision.sample,
        "brings": [text.of(lang) for text in chance.brings],
        "later": [text.of(lang) for text in chance.later],
        "until": "" if last is None else say_day_number(last, lang),
        "missing": labels,
        "reasons": [text.of(lang) for text in reasons(decision, pack, counter.ladder)] if not chance.open else [],
        "sources": [source_text(source).of(lang) for source in sources] or _all_sources(pack, lang),
    }


def _all_sources(pack: Pack, lang: str) -> list[str]:
    return [source_text(source).of(lang) for source in pack.sources.values()]


def _band_view(band: Band, counter: Counter, lang: str) -> dict[str, Any]:
    low, high = band.low.amount or 0, band.high.amount or 0
    said = yuan(low) if low == high else f"{yuan(low)} – {yuan(high)}"
    return {
        "title": band.pack.title.of(lang),
        "sample": band.low.sample,
        "grade": counter.ladder.by_ordinal(band.grade).text.of(lang),
        "said": counter.label("eligibility_band_amount", lang).format(amount=said),
        "lines": [
            (line.text.of(lang), yuan(dict(band.low.lines)[line.id]), yuan(dict(band.high.lines)[line.id]))
            for line in (band.pack.amount.lines if band.pack.amount else ())
        ],
        "sources": _all_sources(band.pack, lang),
    }


def _pack_json(pack: Pack) -> dict[str, Any]:
    return {
        "id": pack.id,
        "kind": pack.kind.value,
        "region": pack.region,
        "title": text_json(pack.title),
        "digest": pack.digest.hex(),
        "sample": pack.sample,
        "first_day": format_day(pack.first_day),
        "last_day": None if pack.last_day is None else format_day(pack.last_day),
        "certificate": pack.certificate.value,
        "facts": [
            {
                "name": name,
                "type": each.type.kind.value,
                "optional": each.type.optional,
                "values": list(each.type.values),
                **text_json(each.text),
            }
            for name, each in pack.inputs.items()
        ],
    }


_FORM: Final = {"application/x-www-form-urlencoded": {"type": "object", "additionalProperties": {"type": "string"}}}
_PACK: Final = {"pack": {"type": "string"}}
_SHOWN: Final = {200: HTML, 404: ERRORS}  # 404: no secret can be spelled so
_ASKED: Final = {200: HTML, 422: ERRORS} | BODY_ERRORS
ROUTES: Final = (
    Route("GET", "/c/{secret}/means", means_ask, "Asks whether to show what a grade means", _SHOWN, query=LANG),
    Route(
        "POST",
        "/c/{secret}/means",
        means,
        "What a grade means for its holder: wage band, open subsidies, titles; nothing is stored",
        _SHOWN | _ASKED,
        takes=_FORM,
    ),
    Route(
        "GET",
        "/c/{secret}/eligible",
        eligible_ask,
        "The rules to choose from, and the facts that one asks for",
        _SHOWN | {422: ERRORS},
        query=LANG | _PACK,
    ),
    Route(
        "POST",
        "/c/{secret}/eligible",
        eligible,
        "Am I eligible, what is missing, until when; nothing is stored",
        _SHOWN | _ASKED,
        takes=_FORM,
    ),
    Route(
        "GET",
        "/applications",
        application_ask,
        "A payer's screen for one application",
        {200: HTML, 422: ERRORS},
        query=LANG | _PACK,
    ),
    Route(
        "POST", "/applications", application, "Decide one application, with the trace", _ASKED, takes=_FORM
    ),
    Route(
        "GET",
        "/v1/packs",
        packs,
        "The rules at hand, their digests and the facts that they ask for",
        {200: {"application/json": PACKS}},
    ),
    Route(
        "POST",
        "/v1/eligible",
        decide_json,
        "Check certificates and decide under one pack; 200 for every decision",
        {200: {"application/json": DECIDED}, 422: ERRORS} | BODY_ERRORS,
        takes={"application/json": QUESTION},
    ),
)  # fmt: skip

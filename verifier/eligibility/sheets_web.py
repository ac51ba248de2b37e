"""Runs over sheets over HTTP: payroll by a wage table, and batches of applications by any other pack.

    GET /payroll        the form                 POST /payroll                a staff list in, on to its page
    GET /applications/batch  the form            POST /applications/batch     applications in, on to its page
    GET /runs/{id}      how far, then counts     GET /runs/{id}/state · /result     POST /runs/{id}/forget
    GET /payroll/template   an empty sheet with the columns of a pack
    POST /v1/payroll-runs · /v1/application-runs                GET · DELETE /v1/runs/{id}    GET /v1/runs/{id}/result

The id opens the result: it is in addresses only, and those are in no log.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Refused, Unavailable
from ledger.records.dates import format_day
from ledger.text import Text
from verifier.access.guard import ANONYMOUS_PAIRS, ANONYMOUS_ROWS, key_of
from verifier.eligibility.explain import yuan
from verifier.eligibility.pack import Pack, PackKind
from verifier.eligibility.people import template_titles
from verifier.eligibility.rooms import COUNTER, Counter, other_lang, pack_lines
from verifier.eligibility.runs import UNREAD, Run
from verifier.eligibility.tables import Outcome
from verifier.eligibility.wording import RESULTS
from verifier.hiring.jobs import JobState
from verifier.hiring.rendering import Page
from verifier.hiring.schemas import PROGRESS, RUN
from verifier.hiring.sheets import parse_lang
from verifier.hiring.web import MAX_UPLOAD
from verifier.hiring.writing import TYPES, write_page
from verifier.messages import say_time
from verifier.verdict import iso_time, text_json
from verifier.web.answers import chosen_lang, html, json_body
from verifier.web.forms import parse_multipart
from verifier.web.handlers import FORM_OVERHEAD
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, Route
from verifier.web.state import STATE

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TITLES: Final = {
    True: ("eligibility_payroll_title", "eligibility_payroll_lead"),
    False: ("eligibility_batch_title", "eligibility_batch_lead"),
}
_WRONG_KIND: Final = Text(
    "工资核算须用工资表，申领批次须用其他规则", "payroll takes a wage table, applications take other rules"
)


async def payroll_form(request: web.Request) -> web.StreamResponse:
    return _form(request, wages=True)


async def batch_form(request: web.Request) -> web.StreamResponse:
    return _form(request, wages=False)


async def payroll(request: web.Request) -> web.StreamResponse:
    return await _on_to_page(request, wages=True)


async def batch(request: web.Request) -> web.StreamResponse:
    return await _on_to_page(request, wages=False)


async def payroll_json(request: web.Request) -> web.StreamResponse:
    return await _accepted(request, wages=True)


async def batch_json(request: web.Request) -> web.StreamResponse:
    return await _accepted(request, wages=False)


async def template(request: web.Request) -> web.StreamResponse:
    """An empty sheet with the columns that a pack asks for."""
    counter, lang = request.app[COUNTER], chosen_lang(request)
    pack = counter.office.find(request.query.get("pack", ""))
    note = "\n".join(text.of(lang) for text in (pack.title,))
    page = Page("xlsx", "Sheet1", "utf-8-sig", "", [(1, list(template_titles(pack, lang)))], [(pack.id, note)])
    body = await counter.templates.of(pack.id, lang, lambda: write_page(page))
    headers = {"Content-Disposition": f'attachment; filename="{pack.id}.xlsx"', "X-Robots-Tag": "noindex"}
    return web.Response(body=body, content_type=TYPES["xlsx"], headers=headers)


async def page(request: web.Request) -> web.StreamResponse:
    counter, lang, run = request.app[COUNTER], chosen_lang(request), _run(request)
    labels = counter.messages.labels
    error = run.error
    wages = run.pack is not None and run.pack.kind is PackKind.WAGE_TABLE
    text = request.app[STATE].pages.render(
        "run.html",
        lang,
        switch=f"?lang={other_lang(lang)}",
        address=f"/runs/{run.id}",
        again="/payroll" if wages else "/applications/batch",
        state=labels[f"lists_{run.state.value}"].of(lang),
        ended=run.ended,
        rows=run.rows,
        done=run.done,
        title=run.pack.title.of(lang) if run.pack else "",
        sample=run.pack is not None and run.pack.sample,
        day=format_day(run.as_of),
        error=error and (error.text or labels["lists_failed"]).of(lang),
        counts=[(_result(counter, name, lang), count) for name, count in run.counts.items()],
        total=None if run.total is None else yuan(run.total),
        notes=[note.text.of(lang) for note in run.notes],
        until=labels["lists_until"].of(lang).format(time=say_time(run.until_ms or 0, lang)),
    )
    return html(request, text)


async def state(request: web.Request) -> web.StreamResponse:
    run = _run(request)
    return json_body({"state": run.state.value, "rows": run.rows, "done": run.done})


async def result(request: web.Request) -> web.StreamResponse:
    run = _run(request)
    if run.state is not JobState.DONE:
        raise Rejected(404)
    name = quote(run.result_name)
    headers = {
        "Content-Disposition": f"attachment; filename=\"result.{run.kind}\"; filename*=UTF-8''{name}",
        "X-Robots-Tag": "noindex",
    }
    return web.Response(body=run.result, content_type=run.content_type, headers=headers)


async def forget(request: web.Request) -> web.StreamResponse:
    run = _run(request)
    request.app[COUNTER].runs.forget(run.id)
    return web.Response(status=303, headers={"Location": "/payroll"})


async def show_json(request: web.Request) -> web.StreamResponse:
    return json_body(_as_json(_run(request)))


async def remove(request: web.Request) -> web.StreamResponse:
    request.app[COUNTER].runs.forget(_run(request).id)
    return web.Response(status=204)


def _form(request: web.Request, *, wages: bool) -> web.Response:
    counter, lang = request.app[COUNTER], chosen_lang(request)
    title, lead = _TITLES[wages]
    text = request.app[STATE].pages.render(
        "run_form.html",
        lang,
        switch=f"?lang={other_lang(lang)}",
        wages=wages,
        address="/payroll" if wages else "/applications/batch",
        title=counter.label(title, lang),
        lead=counter.label(lead, lang),
        hint=counter.label("eligibility_sheet_hint", lang).format(rows=ANONYMOUS_ROWS, mb=MAX_UPLOAD // (1024 * 1024)),
        packs=pack_lines(_packs(counter, wages=wages), lang),
        as_of=format_day(counter.today),
        by_number=counter.gatherer.by_number,
    )
    return html(request, text)


def _packs(counter: Counter, *, wages: bool) -> list[Pack]:
    return [pack for pack in counter.office.packs.values() if (pack.kind is PackKind.WAGE_TABLE) is wages]


async def _on_to_page(request: web.Request, *, wages: bool) -> web.Response:
    run, lang = await _taken(request, wages=wages)
    return web.Response(status=303, headers={"Location": f"/runs/{run.id}" + (f"?lang={lang}" if lang else "")})


async def _accepted(request: web.Request, *, wages: bool) -> web.Response:
    run, _ = await _taken(request, wages=wages)
    answer = json_body(_as_json(run), status=202)
    answer.headers["Location"] = f"/v1/runs/{run.id}"
    return answer


async def _taken(request: web.Request, *, wages: bool) -> tuple[Run, str]:
    """The sheet in the form, taken in; and the language of the form it came by."""
    counter = request.app[COUNTER]
    if request.content_type != "multipart/form-data":
        raise Rejected(415)
    with request.app[STATE].uploads.held() as count:
        body = await read_body(request, MAX_UPLOAD + FORM_OVERHEAD, on_bytes=count)
        parts = parse_multipart(request.headers["Content-Type"], body)
        fields = {name: part.text() for name, part in parts.items() if part.filename is None}
        file, previous = parts.get("file"), parts.get("previous")
        if file is None or not file.content:
            raise Malformed("a file with a sheet in it")
        pack, key = counter.office.find(fields.get("pack", "")), key_of(request)
        if (pack.kind is PackKind.WAGE_TABLE) is not wages:
            raise Refused("PACK_KIND", "pack", _WRONG_KIND)
        run = counter.runs.submit(
            file.content,
            file.filename or "",
            parse_lang(fields.get("words", "")),
            pack,
            counter.day(fields.get("as_of", "").strip()[:11]),
            previous.content if previous is not None and wages else b"",
            max_rows=key.max_rows if key else ANONYMOUS_ROWS,
            max_pairs=key.max_rows if key else ANONYMOUS_PAIRS,
            employer=counter.office.employer_of(pack),
            longer=fields.get("longer", "") == "yes",
        )
    lang = fields.get("lang", "")
    return run, lang if lang in ("zh", "en") else ""


def _run(request: web.Request) -> Run:
    run_id = request.match_info["id"]
    run = request.app[COUNTER].runs.find(run_id) if _ID.fullmatch(run_id) else None
    if not isinstance(run, Run):
        raise Rejected(404)
    return run


def _result(counter: Counter, name: str, lang: str) -> str:
    return counter.label("eligibility_unread", lang) if name == UNREAD else RESULTS[Outcome(name)].of(lang)


def _as_json(run: Run) -> dict[str, Any]:
    error: dict[str, str] | None = None
    if isinstance(run.error, Refused):
        error = {"code": run.error.code, **text_json(run.error.text)}
    elif isinstance(run.error, Unavailable):
        said = run.error.text or Text("暂时无法处理", "cannot be done right now")
        error = {"code": "unavailable", **text_json(said)}
    return {
        "id": run.id,
        "state": run.state.value,
        "pack": run.pack.id if run.pack else "",
        "digest": run.pack.digest.hex() if run.pack else "",
        "as_of": format_day(run.as_of),
        "rows": run.rows,
        "done": run.done,
        "counts": dict(run.counts),
        "total_fen": run.total,
        "until": None if run.until_ms is None else iso_time(run.until_ms),
        "error": error,
        "notes": [{"code": note.code, **text_json(note.text)} for note in run.notes],
        "result": f"/v1/runs/{run.id}/result" if run.state is JobState.DONE else None,
    }


_STRING: Final = {"type": "string"}
_FORM: Final = {
    "multipart/form-data": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "previous": {"type": "string", "format": "binary"},
            **dict.fromkeys(("pack", "as_of", "words", "longer", "lang"), _STRING),
        },
        "required": ["file", "pack"],
    }
}
_TAKEN: Final = {303: {}, 422: ERRORS} | BODY_ERRORS
_FILES: Final = dict.fromkeys(TYPES.values(), BINARY)
_JSON: Final = {"application/json": RUN}
_PROGRESS: Final = {"application/json": PROGRESS}
_RUN: Final = {202: _JSON, 422: ERRORS} | BODY_ERRORS
_PACK: Final = {"pack": _STRING}
ROUTES: Final = (
    Route("GET", "/payroll", payroll_form, "Page to upload a staff list", {200: HTML}, query=LANG),
    Route("POST", "/payroll", payroll, "Take a staff list in and go on to its page", _TAKEN, takes=_FORM),
    Route(
        "GET",
        "/payroll/template",
        template,
        "An empty sheet with the columns of a pack",
        {200: {TYPES["xlsx"]: BINARY}, 422: ERRORS},
        query=LANG | _PACK,
    ),
    Route("GET", "/applications/batch", batch_form, "Page to upload applications", {200: HTML}, query=LANG),
    Route("POST", "/applications/batch", batch, "Take applications in and go on to their page", _TAKEN, takes=_FORM),
    Route("GET", "/runs/{id}", page, "Page of one run", {200: HTML, 404: ERRORS}, query=LANG),
    Route("GET", "/runs/{id}/state", state, "How far a run is, for its page", {200: _PROGRESS, 404: ERRORS}),
    Route("GET", "/runs/{id}/result", result, "The answered sheet", {200: _FILES, 404: ERRORS}),
    Route("POST", "/runs/{id}/forget", forget, "Delete a run at once", {303: {}, 404: ERRORS}),
    Route(
        "POST",
        "/v1/payroll-runs",
        payroll_json,
        "Work out wages for a staff list (xlsx or CSV), compared with a last result file where one is given",
        _RUN,
        takes=_FORM,
    ),
    Route(
        "POST",
        "/v1/application-runs",
        batch_json,
        "Decide a sheet of applications (xlsx or CSV) under one pack, with reasons for each row",
        _RUN,
        takes=_FORM,
    ),
    Route("GET", "/v1/runs/{id}", show_json, "How far a run is, and its counts", {200: _JSON, 404: ERRORS}),
    Route("GET", "/v1/runs/{id}/result", result, "The answered sheet", {200: _FILES, 404: ERRORS}),
    Route("DELETE", "/v1/runs/{id}", remove, "Delete a run at once", {204: {}, 404: ERRORS}),
)  # fmt: skip

"""Runs over sheets over HTTP: payroll by a wage table, and batches of applications by any other pack.

    GET /payroll        the form                 POST /payroll                a staff list in, on to its page
    GET /applications/batch  the form            POST /applications/batch     applications in, on to its page
    GET /runs/{id}      how far, then counts     GET /runs/{id}/state · /result     POST /runs/{id}/forget
    GET /payroll/template   an empty sheet with the columns of a pack
    POST /v1/payroll-runs · /v1/application-runs                GET · DELETE /v1/runs/{id}    GET /v1/runs/{id}/result

The id opens the result: it is in addresses only, and those are in no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from ledger.errors import Malformed, Refused
from ledger.records.dates import format_day
from ledger.text import Text
from verifier.access.guard import ANONYMOUS_PAIRS, ANONYMOUS_ROWS, key_of
from verifier.eligibility.explain import yuan
from verifier.eligibility.pack import Pack, PackKind
from verifier.eligibility.people import template_titles
from verifier.eligibility.rooms import COUNTER, Counter, other_lang, pack_lines
from verifier.eligibility.runs import COMPARED_TWICE, UNREAD, Run
from verifier.eligibility.tables import Outcome
from verifier.eligibility.wording import RESULTS
from verifier.hiring.job_room import MAX_UPLOAD, JobRoom, JobWords, read_form
from verifier.hiring.rendering import Page
from verifier.hiring.schemas import RUN
from verifier.hiring.sheets import parse_lang
from verifier.hiring.writing import TYPES, write_page
from verifier.messages import say_day_number
from verifier.web.answers import chosen_lang, html
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, Route
from verifier.web.state import STATE

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
    return RUNS.on_to_page(*await _taken(request, wages=True))


async def batch(request: web.Request) -> web.StreamResponse:
    return RUNS.on_to_page(*await _taken(request, wages=False))


async def payroll_json(request: web.Request) -> web.StreamResponse:
    return RUNS.accepted((await _taken(request, wages=True))[0])


async def batch_json(request: web.Request) -> web.StreamResponse:
    return RUNS.accepted((await _taken(request, wages=False))[0])


async def template(request: web.Request) -> web.StreamResponse:
    """An empty sheet with the columns that a pack asks for."""
    counter, lang = request.app[COUNTER], chosen_lang(request)
    pack = counter.office.find(request.query.get("pack", ""))
    note = "\n".join(text.of(lang) for text in (pack.title,))
    page = Page("xlsx", "Sheet1", "utf-8-sig", "", [(1, list(template_titles(pack, lang)))], [(pack.id, note)])
    body = await counter.templates.of(pack.id, lang, lambda: write_page(page))
    headers = {"Content-Disposition": f'attachment; filename="{pack.id}.xlsx"', "X-Robots-Tag": "noindex"}
    return web.Response(body=body, content_type=TYPES["xlsx"], headers=headers)


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


async def _taken(request: web.Request, *, wages: bool) -> tuple[Run, str]:
    """The sheet in the form, taken in; and the language of the form it came by."""
    counter = request.app[COUNTER]
    with request.app[STATE].uploads.held() as count:
        files, fields = await read_form(request, count)
        file, previous = files.get("file"), files.get("previous")
        if file is None or not file.content:
            raise Malformed(Text("请选择表格文件", "a file with a sheet in it"))
        pack, key = counter.office.find(fields.get("pack", "")), key_of(request)
        if (pack.kind is PackKind.WAGE_TABLE) is not wages:
            raise Refused("PACK_KIND", "pack", _WRONG_KIND)
        as_of, compare = fields.get("as_of", "").strip()[:11], fields.get("compare", "").strip()[:11] if wages else ""
        if compare and previous is not None and previous.content:
            raise Refused("COMPARED_TWICE", "compare", COMPARED_TWICE)
        run = counter.runs.submit(
            file.content,
            file.filename or "",
            parse_lang(fields.get("words", "")),
            pack,
            counter.wage_day(as_of) if wages else counter.day(as_of),
            previous.content if previous is not None and wages else b"",
            max_rows=key.max_rows if key else ANONYMOUS_ROWS,
            max_pairs=key.max_rows if key else ANONYMOUS_PAIRS,
            employer=counter.office.employer_of(pack),
            longer=fields.get("longer", "") == "yes",
            compare=counter.wage_day(compare) if compare else None,
        )
    return run, fields.get("lang", "")


def _result(counter: Counter, name: str, lang: str) -> str:
    return counter.label("eligibility_unread", lang) if name == UNREAD else RESULTS[Outcome(name)].of(lang)


def _words(request: web.Request, run: Run, lang: str) -> JobWords:
    counter = request.app[COUNTER]
    label = {key: text.of(lang) for key, text in counter.messages.labels.items()}
    pack = run.pack
    assert pack is not None, "a run has its pack from the start"
    return JobWords(
        title=pack.title.of(lang),
        style="eligibility.css",
        start="/payroll" if pack.kind is PackKind.WAGE_TABLE else "/applications/batch",
        again=label["eligibility_again"],
        columns=(label["eligibility_result"], label["eligibility_people"]),
        counts=[(_result(counter, name, lang), count) for name, count in run.counts.items()],
        sample=label["eligibility_sample"] if pack.sample else "",
        day=_days(run, label, lang),
        total=None if run.total is None else (label["eligibility_total"], yuan(run.total)),
        advice=label["eligibility_advice"],
    )


def _days(run: Run, label: Mapping[str, str], lang: str) -> str:
    said = [label["eligibility_as_of"], say_day_number(run.as_of, lang)]
    if run.compare is not None:
        said += ["·", label["eligibility_compared"], say_day_number(run.compare, lang)]
    return " ".join(said)


def _decided(run: Run) -> dict[str, Any]:
    return {
        "pack": run.pack.id if run.pack else "",
        "digest": run.pack.digest.hex() if run.pack else "",
        "as_of": format_day(run.as_of),
        "compare": None if run.compare is None else format_day(run.compare),
        "counts": dict(run.counts),
        "total_fen": run.total,
    }


RUNS: Final = JobRoom(
    Run,
    lambda app: (app[COUNTER].runs, app[COUNTER].messages),
    pages="/runs",
    api="/v1/runs",
    file_name="result",
    words=_words,
    more=_decided,
)
_STRING: Final = {"type": "string"}
_FORM: Final = {
    "multipart/form-data": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "previous": {"type": "string", "format": "binary"},
            **dict.fromkeys(("pack", "as_of", "compare", "words", "longer", "lang"), _STRING),
        },
        "required": ["file", "pack"],
    }
}
_TAKEN: Final = {303: {}, 422: ERRORS} | BODY_ERRORS
_JSON: Final = {"application/json": RUN}
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
    Route(
        "POST",
        "/v1/payroll-runs",
        payroll_json,
        "Work out wages for a staff list (xlsx or CSV) for a day or a month that is over, compared with a last result "
        "file or with another day where one is given",
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
    *RUNS.routes("run", RUN),
)

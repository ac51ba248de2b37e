"""Hiring lists over HTTP: the pages, and the same for programs.

    GET  /lists                  the form                     POST   /v1/hiring-lists            a list in, 202
    POST /lists                  a list in, on to its page    GET    /v1/hiring-lists/{id}       how far, summary
    GET  /lists/{id}             how far, then the result     GET    /v1/hiring-lists/{id}/result
    GET  /lists/{id}/state       the same for the script      DELETE /v1/hiring-lists/{id}
    GET  /lists/{id}/result      the sheet
    POST /lists/{id}/forget

The id opens the result: it is in addresses only, and those are in no log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import web

from ledger.edge import read_body
from ledger.errors import Malformed
from ledger.text import Text
from verifier.access.guard import ANONYMOUS_PAIRS, ANONYMOUS_ROWS, key_of
from verifier.hiring.checking import ListChecker
from verifier.hiring.job_room import MAX_UPLOAD, JobRoom, JobWords, read_form
from verifier.hiring.jobs import Job, Jobs
from verifier.hiring.schemas import FORM_LIST, JOB
from verifier.hiring.sheets import parse_lang
from verifier.hiring.writing import TYPES
from verifier.messages import Messages, load_messages
from verifier.site.context import Context
from verifier.verdict import Code
from verifier.watch.listing import listed_changes
from verifier.watch.web import watches_of
from verifier.web.answers import chosen_lang, html
from verifier.web.route import BINARY, BODY_ERRORS, HTML, LANG, Room, Route
from verifier.web.state import STATE

_RAW: Final = frozenset({*TYPES.values(), "text/plain", "application/zip", "application/octet-stream"})


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers need."""

    jobs: Jobs
    messages: Messages
    names: bool  # number and name can be looked up
    signed: bool


DESK: Final = web.AppKey("hiring_desk", Desk)


def build_lists(context: Context) -> Room:
    """The room of hiring lists."""
    messages = load_messages()
    names = context.numbers
    checker = ListChecker(context.lookup, messages, context.settings.bases[0], context.now_ms, context.signer, names)
    watches = watches_of(context)
    jobs = Jobs(
        checker,
        messages,
        context.now_ms,
        context.random_bytes,
        partial(listed_changes, watches, messages),
    )

    async def working(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(jobs.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def attach(app: web.Application) -> None:
        app[DESK] = Desk(jobs, messages, names is not None, context.signer is not None)
        app.cleanup_ctx.append(working)

    return Room(ROUTES, attach)


async def start(request: web.Request) -> web.StreamResponse:
    desk, lang = request.app[DESK], chosen_lang(request)
    hint = desk.messages.labels["lists_hint"].of(lang).format(rows=ANONYMOUS_ROWS, mb=MAX_UPLOAD // (1024 * 1024))
    text = request.app[STATE].pages.render(
        "lists.html",
        lang,
        switch=f"/lists?lang={'en' if lang == 'zh' else 'zh'}",
        hint=hint,
        names=desk.names,
        signed=desk.signed,
    )
    return html(request, text)


async def upload(request: web.Request) -> web.StreamResponse:
    return LISTS.on_to_page(*await _taken(request))


async def create(request: web.Request) -> web.StreamResponse:
    job, _ = await _taken(request)
    return LISTS.accepted(job)


async def _taken(request: web.Request) -> tuple[Job, str]:
    """The list in the body, taken in; and the language of the form it came by."""
    app_state, desk = request.app[STATE], request.app[DESK]
    with app_state.uploads.held() as count:
        if request.content_type in _RAW:
            raw, name = await read_body(request, MAX_UPLOAD, on_bytes=count), ""
            fields = {key: request.query.get(key, "") for key in ("words", "longer")}
        else:
            files, fields = await read_form(request, count)
            file = files.get("file")
            raw, name = (file.content, file.filename or "") if file is not None else (b"", "")
        if not raw:
            raise Malformed(Text("请选择名单文件", "a file with a list in it"))
        key = key_of(request)
        job = desk.jobs.submit(
            raw,
            name,
            parse_lang(fields.get("words", "")),
            owner=key.id if key else "",
            max_rows=key.max_rows if key else ANONYMOUS_ROWS,
            max_pairs=key.max_rows if key else ANONYMOUS_PAIRS,
            longer=fields.get("longer", "") == "yes",
        )
    return job, fields.get("lang", "")


def _words(request: web.Request, job: Job, lang: str) -> JobWords:
    desk = request.app[DESK]
    label = {key: text.of(lang) for key, text in desk.messages.labels.items()}
    counts = job.summary.counts if job.summary else ()
    return JobWords(
        title=label["lists_title"],
        style="lists.css",
        start="/lists",
        again=label["lists_again"],
        columns=(label["lists_result"], label["lists_rows"]),
        counts=[(desk.messages.wordings[Code(code)].title.of(lang), count) for code, count in counts],
        here="/lists",
    )


def _summary(job: Job) -> dict[str, Any]:
    return {"summary": job.summary.as_json() if job.summary else None}


LISTS: Final = JobRoom(
    Job,
    lambda app: (app[DESK].jobs, app[DESK].messages),
    pages="/lists",
    api="/v1/hiring-lists",
    file_name="checked",
    words=_words,
    more=_summary,
)
_JOB: Final = {"application/json": JOB}
_TAKES: Final = {"multipart/form-data": FORM_LIST, **dict.fromkeys(sorted(_RAW), BINARY)}
_ASKED: Final[dict[str, Any]] = {
    "words": {"type": "string", "enum": ["zh", "en", "both"]},
    "longer": {"type": "string", "enum": ["yes", "no"]},
}
ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/lists", start, "Page to upload a hiring list", {200: HTML}, query=LANG),
    Route(
        "POST",
        "/lists",
        upload,
        "Take a list in and go on to its page",
        {303: {}} | BODY_ERRORS,
        takes={"multipart/form-data": FORM_LIST},
    ),
    Route(
        "POST",
        "/v1/hiring-lists",
        create,
        "Check a list: xlsx or CSV with links, QR texts, or numbers and names; or a zip of pictures and PDFs",
        {202: _JOB} | BODY_ERRORS,
        takes=_TAKES,
        query=_ASKED,
    ),
    *LISTS.routes("list", JOB),
)

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
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Refused, Unavailable
from verifier.access.guard import ANONYMOUS_PAIRS, ANONYMOUS_ROWS, key_of
from verifier.hiring.checking import ListChecker
from verifier.hiring.jobs import Job, Jobs, JobState
from verifier.hiring.schemas import FORM_LIST, JOB, PROGRESS
from verifier.hiring.sheets import parse_lang
from verifier.hiring.writing import TYPES
from verifier.messages import Messages, load_messages, say_time
from verifier.site.context import Context
from verifier.verdict import Code, iso_time, text_json
from verifier.watch.listing import listed_changes
from verifier.watch.web import watches_of
from verifier.web.answers import chosen_lang, html, json_body
from verifier.web.forms import parse_multipart
from verifier.web.handlers import FORM_OVERHEAD
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, Room, Route
from verifier.web.state import STATE

MAX_UPLOAD: Final = 32 * 1024 * 1024  # bytes
_RAW: Final = frozenset({*TYPES.values(), "text/plain", "application/zip", "application/octet-stream"})
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_STATES: Final = {
    JobState.WAITING: "lists_waiting",
    JobState.READING: "lists_reading",
    JobState.CHECKING: "lists_checking",
    JobState.WRITING: "lists_writing",
    JobState.DONE: "lists_done",
    JobState.FAILED: "lists_failed",
}


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
    job, lang = await _taken(request)
    return web.Response(status=303, headers={"Location": f"/lists/{job.id}" + (f"?lang={lang}" if lang else "")})


async def page(request: web.Request) -> web.StreamResponse:
    desk, lang, job = request.app[DESK], chosen_lang(request), _job(request)
    labels = desk.messages.labels
    error = job.error
    counts = job.summary.counts if job.summary else ()
    text = request.app[STATE].pages.render(
        "list.html",
        lang,
        switch=f"?lang={'en' if lang == 'zh' else 'zh'}",
        address=f"/lists/{job.id}",
        state=labels[_STATES[job.state]].of(lang),
        ended=job.ended,
        rows=job.rows,
        done=job.done,
        error=error and (error.text or labels["lists_failed"]).of(lang),
        counts=[(desk.messages.wordings[Code(code)].title.of(lang), count) for code, count in counts],
        notes=[note.text.of(lang) for note in job.notes],
        until=labels["lists_until"].of(lang).format(time=say_time(job.until_ms or 0, lang)),
    )
    return html(request, text)


async def state(request: web.Request) -> web.StreamResponse:
    job = _job(request)
    return json_body({"state": job.state.value, "rows": job.rows, "done": job.done})


async def result(request: web.Request) -> web.StreamResponse:
    job = _job(request)
    if job.state is not JobState.DONE:
        raise Rejected(404)
    name = quote(job.result_name)
    headers = {
        "Content-Disposition": f"attachment; filename=\"checked.{job.kind}\"; filename*=UTF-8''{name}",
        "X-Robots-Tag": "noindex",
    }
    return web.Response(body=job.result, content_type=job.content_type, headers=headers)


async def forget(request: web.Request) -> web.StreamResponse:
    request.app[DESK].jobs.forget(_job(request).id)
    return web.Response(status=303, headers={"Location": "/lists"})


async def create(request: web.Request) -> web.StreamResponse:
    job, _ = await _taken(request)
    answer = json_body(_as_json(job), status=202)
    answer.headers["Location"] = f"/v1/hiring-lists/{job.id}"
    return answer


async def show(request: web.Request) -> web.StreamResponse:
    return json_body(_as_json(_job(request)))


async def remove(request: web.Request) -> web.StreamResponse:
    request.app[DESK].jobs.forget(_job(request).id)
    return web.Response(status=204)


async def _taken(request: web.Request) -> tuple[Job, str]:
    """The list in the body, taken in; and the language of the form it came by."""
    app_state, desk = request.app[STATE], request.app[DESK]
    with app_state.uploads.held() as count:
        if request.content_type == "multipart/form-data":
            body = await read_body(request, MAX_UPLOAD + FORM_OVERHEAD, on_bytes=count)
            parts = parse_multipart(request.headers["Content-Type"], body)
            fields = {name: part.text() for name, part in parts.items() if part.filename is None}
            file = parts.get("file")
            raw, name = (file.content, file.filename or "") if file is not None else (b"", "")
        elif request.content_type in _RAW:
            raw, name = await read_body(request, MAX_UPLOAD, on_bytes=count), ""
            fields = {key: request.query.get(key, "") for key in ("words", "longer")}
        else:
            raise Rejected(415)
        if len(raw) > MAX_UPLOAD:
            raise Rejected(413)
        if not raw:
            raise Malformed("a file with a list in it")
        lang, key = fields.get("lang", ""), key_of(request)
        job = desk.jobs.submit(
            raw,
            name,
            parse_lang(fields.get("words", "")),
            owner=key.id if key else "",
            max_rows=key.max_rows if key else ANONYMOUS_ROWS,
            max_pairs=key.max_rows if key else ANONYMOUS_PAIRS,
            longer=fields.get("longer", "") == "yes",
        )
    return job, lang if lang in ("zh", "en") else ""


def _job(request: web.Request) -> Job:
    job_id = request.match_info["id"]
    job = request.app[DESK].jobs.find(job_id) if _ID.fullmatch(job_id) else None
    if job is None:
        raise Rejected(404)
    return job


def _as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "rows": job.rows,
        "done": job.done,
        "until": None if job.until_ms is None else iso_time(job.until_ms),
        "error": None if job.error is None else _error_json(job.error),
        "notes": [{"code": note.code, **text_json(note.text)} for note in job.notes],
        "result": f"/v1/hiring-lists/{job.id}/result" if job.state is JobState.DONE else None,
        "summary": job.summary.as_json() if job.summary else None,
    }


def _error_json(error: Refused | Unavailable) -> dict[str, str]:
    if isinstance(error, Refused):
        return {"code": error.code, **text_json(error.text)}
    zh, en = (error.text.zh, error.text.en) if error.text else ("暂时无法处理", "cannot be done right now")
    return {"code": "unavailable", "zh": zh, "en": en}


_FILES: Final = dict.fromkeys(TYPES.values(), BINARY)
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
    Route("GET", "/lists/{id}", page, "Page of one list", {200: HTML, 404: ERRORS}, query=LANG),
    Route(
        "GET",
        "/lists/{id}/state",
        state,
        "How far a list is, for its page",
        {200: {"application/json": PROGRESS}, 404: ERRORS},
    ),
    Route("GET", "/lists/{id}/result", result, "The answered sheet", {200: _FILES, 404: ERRORS}),
    Route("POST", "/lists/{id}/forget", forget, "Delete a list at once", {303: {}, 404: ERRORS}),
    Route(
        "POST",
        "/v1/hiring-lists",
        create,
        "Check a list: xlsx or CSV with links, QR texts, or numbers and names; or a zip of pictures and PDFs",
        {202: _JOB} | BODY_ERRORS,
        takes=_TAKES,
        query=_ASKED,
    ),
    Route("GET", "/v1/hiring-lists/{id}", show, "How far a list is, and its signed summary", {200: _JOB, 404: ERRORS}),
    Route("GET", "/v1/hiring-lists/{id}/result", result, "The answered sheet", {200: _FILES, 404: ERRORS}),
    Route("DELETE", "/v1/hiring-lists/{id}", remove, "Delete a list at once", {204: {}, 404: ERRORS}),
)

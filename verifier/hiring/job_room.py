"""Jobs over HTTP, whatever is in the sheet: the page that follows one, its result, and the same for programs.

A room says what its page tells beside that, and what its JSON does. The id opens a job: it is in addresses only, and
those are in no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Refused, Unavailable
from ledger.records.notice import Notice
from ledger.text import Text
from verifier.hiring.jobs import Job, JobQueue, JobState
from verifier.hiring.schemas import PROGRESS
from verifier.hiring.writing import TYPES
from verifier.messages import Messages, say_time
from verifier.verdict_json import iso_time, text_json
from verifier.web.answers import chosen_lang, html, json_body
from verifier.web.forms import Part, parse_multipart
from verifier.web.handlers import FORM_OVERHEAD
from verifier.web.route import BINARY, ERRORS, HTML, LANG, Route
from verifier.web.state import STATE

J = TypeVar("J", bound=Job)
MAX_UPLOAD: Final = 32 * 1024 * 1024  # bytes
FILES: Final = dict.fromkeys(TYPES.values(), BINARY)
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOT_NOW: Final = Text("暂时无法处理", "cannot be done right now")
_STATES: Final = {
    JobState.WAITING: "lists_waiting",
    JobState.READING: "lists_reading",
    JobState.CHECKING: "lists_checking",
    JobState.WRITING: "lists_writing",
    JobState.DONE: "lists_done",
    JobState.FAILED: "lists_failed",
}


@dataclass(frozen=True, slots=True)
class JobWords:
    """What the page of one job says beside how far it is. `columns` head its counts."""

    title: str
    style: str  # name of its style sheet
    start: str  # path of the form it came by
    again: str
    columns: tuple[str, str]
    counts: list[tuple[str, int]]
    here: str = ""
    sample: str = ""
    day: str = ""
    total: tuple[str, str] | None = None
    advice: str = ""


@dataclass(frozen=True, slots=True)
class JobRoom(Generic[J]):
    """The handlers of one kind of job."""

    kind: type[J]
    queue: Callable[[web.Application], tuple[JobQueue, Messages]]
    pages: str  # path below which they are
    api: str
    file_name: str  # of a result, for those who read no other
    words: Callable[[web.Request, J, str], JobWords]  # by language
    more: Callable[[J], dict[str, Any]]  # of its JSON

    def find(self, request: web.Request) -> J:
        """The job of the path's id. Raises Rejected."""
        job_id = request.match_info["id"]
        job = self.queue(request.app)[0].find(job_id) if _ID.fullmatch(job_id) else None
        if not isinstance(job, self.kind):
            raise Rejected(404)
        return job

    async def page(self, request: web.Request) -> web.StreamResponse:
        lang, job = chosen_lang(request), self.find(request)
        labels = self.queue(request.app)[1].labels
        text = request.app[STATE].pages.render(
            "job.html",
            lang,
            switch=f"?lang={'en' if lang == 'zh' else 'zh'}",
            address=f"{self.pages}/{job.id}",
            words=self.words(request, job, lang),
            state=labels[_STATES[job.state]].of(lang),
            ended=job.ended,
            rows=job.rows,
            done=job.done,
            error=job.error and (job.error.text or labels["lists_failed"]).of(lang),
            notes=[note.text.of(lang) for note in job.notes],
            until=labels["lists_until"].of(lang).format(time=say_time(job.until_ms or 0, lang)),
        )
        return html(request, text)

    async def state(self, request: web.Request) -> web.StreamResponse:
        job = self.find(request)
        return json_body({"state": job.state.value, "rows": job.rows, "done": job.done})

    async def result(self, request: web.Request) -> web.StreamResponse:
        job = self.find(request)
        if job.state is not JobState.DONE:
            raise Rejected(404)
        name = quote(job.result_name)
        headers = {
            "Content-Disposition": f"attachment; filename=\"{self.file_name}.{job.kind}\"; filename*=UTF-8''{name}",
            "X-Robots-Tag": "noindex",
        }
        return web.Response(body=job.result, content_type=job.content_type, headers=headers)

    async def forget(self, request: web.Request) -> web.StreamResponse:
        job = self.find(request)
        start = self.words(request, job, "zh").start
        self.queue(request.app)[0].forget(job.id)
        return web.Response(status=303, headers={"Location": start})

    async def show(self, request: web.Request) -> web.StreamResponse:
        return json_body(self.as_json(self.find(request)))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        self.queue(request.app)[0].forget(self.find(request).id)
        return web.Response(status=204)

    def on_to_page(self, job: J, lang: str) -> web.Response:
        """The answer to a form."""
        query = f"?lang={lang}" if lang in ("zh", "en") else ""
        return web.Response(status=303, headers={"Location": f"{self.pages}/{job.id}{query}"})

    def accepted(self, job: J) -> web.Response:
        """The answer to a program."""
        answer = json_body(self.as_json(job), status=202)
        answer.headers["Location"] = f"{self.api}/{job.id}"
        return answer

    def as_json(self, job: J) -> dict[str, Any]:
        return {
            "id": job.id,
            "state": job.state.value,
            "rows": job.rows,
            "done": job.done,
            "until": None if job.until_ms is None else iso_time(job.until_ms),
            "error": None if job.error is None else _error_json(job.error),
            "notes": [_notice_json(note) for note in job.notes],
            "result": f"{self.api}/{job.id}/result" if job.state is JobState.DONE else None,
            **self.more(job),
        }

    def routes(self, name: str, shown: Mapping[str, Any]) -> tuple[Route, ...]:
        """All that leads to a job there is. `name` as in "a list"; `shown` is the schema of its JSON."""
        pages, api, told = f"{self.pages}/{{id}}", f"{self.api}/{{id}}", {"application/json": dict(shown)}
        return (
            Route("GET", pages, self.page, f"Page of one {name}", {200: HTML, 404: ERRORS}, query=LANG),
            Route(
                "GET",
                f"{pages}/state",
                self.state,
                f"How far a {name} is, for its page",
                {200: {"application/json": PROGRESS}, 404: ERRORS},
            ),
            Route("GET", f"{pages}/result", self.result, "The answered sheet", {200: FILES, 404: ERRORS}),
            Route("POST", f"{pages}/forget", self.forget, f"Delete a {name} at once", {303: {}, 404: ERRORS}),
            Route("GET", api, self.show, f"How far a {name} is, and what it came to", {200: told, 404: ERRORS}),
            Route("GET", f"{api}/result", self.result, "The answered sheet", {200: FILES, 404: ERRORS}),
            Route("DELETE", api, self.remove, f"Delete a {name} at once", {204: {}, 404: ERRORS}),
        )


async def read_form(request: web.Request, on_bytes: Callable[[int], None]) -> tuple[dict[str, Part], dict[str, str]]:
    """The files of an upload, and its fields, by name. Raises Malformed, Rejected."""
    if request.content_type != "multipart/form-data":
        raise Rejected(415)
    body = await read_body(request, MAX_UPLOAD + FORM_OVERHEAD, on_bytes=on_bytes)
    parts = parse_multipart(request.headers["Content-Type"], body)
    files = {name: part for name, part in parts.items() if part.filename is not None}
    if any(len(file.content) > MAX_UPLOAD for file in files.values()):
        raise Rejected(413)
    return files, {name: part.text() for name, part in parts.items() if part.filename is None}


def _notice_json(note: Notice) -> dict[str, str]:
    return {"code": note.code, **text_json(note.text)}


def _error_json(error: Refused | Unavailable) -> dict[str, str]:
    if isinstance(error, Refused):
        return {"code": error.code, **text_json(error.text)}
    return {"code": "unavailable", **text_json(error.text or _NOT_NOW)}

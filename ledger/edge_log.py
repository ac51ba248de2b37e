"""Logs of the services: JSON lines without paths, queries or messages of exceptions."""

from __future__ import annotations

import logging
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Final, TextIO

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

log = logging.getLogger("ledger.edge")
access = logging.getLogger("ledger.edge.access")
_JSON = msgspec.json.Encoder(enc_hook=str)


class AccessLog(AbstractAccessLogger):
    """One line per answer: the route's pattern, never the path or the query, so no secret can be logged."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        route = "-"
        if isinstance(request, web.Request):
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "unmatched"
        method = request.method if len(request.method) <= 10 else "-"
        self.line(method, route, response.status, response.body_length, time)

    def line(self, method: str, route: str, status: int, size: int, seconds: float) -> None:
        """Write the line of one answer of `size` bytes, header included."""
        fields = {"method": method, "route": route, "status": status, "bytes": size, "ms": round(seconds * 1000, 1)}
        self.logger.handle(_Line(self.logger.name, fields))

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)


class _Line(logging.LogRecord):
    """What `logging` passes on for an answer, made by hand: finding out caller, thread and process, which the line does
    not name, cost a fifth of a short answer."""

    def __init__(self, name: str, fields: dict[str, object]) -> None:
        now = time.time()
        self.__dict__ = {**_NOWHERE, "name": name, "created": now, "msecs": now % 1 * 1000, "fields": fields}


# All that a record has, for formatters of other programs; None where this one has nothing to say.
_NOWHERE: Final = {
    **logging.LogRecord("", logging.INFO, "", 0, "request", None, None).__dict__,
    **dict.fromkeys(("thread", "threadName", "process", "processName", "taskName")),
}


class JsonLines(logging.Formatter):
    """Each record as one JSON object: t (UTC), level, logger, event and the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "t": _moment(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line.update(describe(record.exc_info[1]))
        return _JSON.encode(line).decode()


class _Stderr(logging.StreamHandler[TextIO]):
    """Stderr passes each line on by itself: to flush it once more for each took as long as the line's JSON."""

    def flush(self) -> None:
        if not getattr(self.stream, "line_buffering", False):
            super().flush()


def start_logging() -> None:
    """JSON lines on stderr, unless the program logs somewhere already."""
    handler = _Stderr()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@lru_cache(2)  # a busy service writes many lines in a millisecond
def _moment(ms: int) -> str:
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(2)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def describe(exc: object) -> dict[str, object]:
    """Kind and place of a failure, without its message, which can carry what a user sent."""
    if not isinstance(exc, BaseException):
        return {}
    frames = traceback.extract_tb(exc.__traceback__)[-8:]
    return {
        "error": type(exc).__name__,
        "at": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }

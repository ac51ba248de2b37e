"""A front: takes submissions for the log without a key of the log and without a state of its own.

POST /v1/statements, by the numbers of admission.py:

    a requester    the request's signature, and the filing that it names, as the database has it now; then the body
    b examine      steps 1, 2, 4 to 7 and 9 in processes of its own
    c hand over    what was examined goes to whoever sequences (examined.py); 3, 8, 10, 11, 12 and the answer are theirs

Tiles come out of the database where they are known to be published. Everything else is passed on as it came, with the
request's own signature: the sequencer judges it by itself. Any number of fronts may run. A crash leaves nothing: what
was handed over is the sequencer's, and who got no answer asks again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ledger import wire
from ledger.edge import Intake, Rejected, protect, read_body
from ledger.errors import Damaged, Unavailable, Unverified
from ledger.service.backlog import Backlog, count_statements
from ledger.service.desk import Desk
from ledger.service.examined import PATH, VERSION, format_examined, sign_examined
from ledger.service.examiners import Submitter
from ledger.service.front_link import Answer, SequencerLink
from ledger.service.front_view import FrontView
from ledger.service.metrics import FrontMetrics
from ledger.service.requester import Requesters, Sender
from ledger.service.tiles import Tiles
from ledger.text import Text

journal = logging.getLogger(__name__)
# Between two hops only (RFC 9110 7.6.1), or made anew by each server.
_HOP: Final = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "expect", "date", "server",
}  # fmt: skip
_SMALL_BODY: Final = 1024 * 1024  # bytes of what is passed on
_READ: Final = {"GET", "HEAD"}


@dataclass(slots=True)
class Front:
    """Everything the handlers need; one per process."""

    view: FrontView
    requesters: Requesters
    desk: Desk
    link: SequencerLink
    key: bytes  # of front and sequencer
    intake: Intake  # of requesters that are known, who wait for who leads
    strangers: Intake  # of what is passed on: anybody may send it, and submissions lose nothing by it
    backlog: Backlog  # of what is examined here; behind it the sequencer has its own
    metrics: FrontMetrics


FRONT: Final = web.AppKey("front", Front)
TILES: Final = web.AppKey("tiles", Tiles)


def create_front_app(front: Front) -> web.Application:
    app = web.Application(client_max_size=wire.MAX_BODY)
    app[FRONT], app[TILES] = front, Tiles(front.view.store)
    app.router.add_post("/v1/statements", post_statements)
    app.router.add_get("/tile/{path:.+}", get_tile)
    app.router.add_get("/livez", get_live)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_route("*", "/sequencer/{path:.*}", not_here)
    app.router.add_route("*", "/{path:.*}", pass_on)
    protect(app, statuses={Unverified: 401})
    return app


async def post_statements(request: web.Request) -> web.Response:
    front = request.app[FRONT]
    sender = await _requester(front, request)  # a
    filing = sender.filing
    front.backlog.check()  # and again when the body has come
    with front.intake.held() as count:
        body = await sender.read(request, wire.MAX_BODY, on_bytes=count)
    by = Submitter(filing, await front.view.authority())
    with front.backlog.through(count_statements(body)):
        items = await front.desk.examine_for_sequencer(body, by)  # b
        front.backlog.finished(len(items))
    examined = format_examined(filing.terms.number, items)
    front.metrics.statements.inc(len(items))
    del body, items  # who leads may hang: what waits for it is held once, and counted
    with front.intake.held() as count, front.metrics.waited.time():
        count(len(examined))
        answer = await front.link.send(
            "POST", PATH, lambda: sign_examined(front.key, examined, int(time.time())), examined
        )
    if answer.status in (401, 404) or answer.code == VERSION:
        # Not the caller's fault, and nothing that they could change.
        journal.error("the sequencer refuses this front", extra={"fields": {"status": answer.status}})
        raise Unavailable(
            Text(
                "定序进程拒绝了这个前端：请核对前端密钥和程序版本",
                "the sequencer refuses this front: look at its keys and version",
            ),
            retry_after=30,
        )
    return _answered(answer)  # c


async def get_tile(request: web.Request) -> web.StreamResponse:
    """Out of the database, up to the head that the log has kept as published; what lies beyond, only the sequencer
    knows whether it is published. Of a checkpoint nobody else can say that it is the newest: it is passed on."""
    try:
        return await request.app[TILES].answer(request, await request.app[FRONT].view.kept_size())
    except Rejected:
        return await pass_on(request)


async def get_live(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def get_metrics(request: web.Request) -> web.Response:
    """The front's own. Those of the log are the leader's, at its own address."""
    body = generate_latest(request.app[FRONT].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def not_here(_request: web.Request) -> web.Response:
    """What is between fronts and sequencers is nobody else's."""
    raise Rejected(404)


async def pass_on(request: web.Request) -> web.Response:
    """Method, target, headers and body as they came; the answer likewise."""
    front = request.app[FRONT]
    if not request.raw_path.startswith("/"):  # a proxy's form of a request: its target names a host
        raise Rejected(404)
    headers = _end_to_end(request.headers)
    with front.strangers.held() as count:  # until it is answered: who leads may hang
        body = b"" if request.method in _READ else await read_body(request, _SMALL_BODY, on_bytes=count)
        answer = await front.link.send(request.method, request.raw_path, lambda: headers, body)
    return _answered(answer)


async def _requester(front: Front, request: web.Request) -> Sender:
    """Step a. A key that is not known may have been filed since the keys were read."""
    try:
        return await front.requesters.open(request, suspended=True)
    except Damaged:
        raise
    except Unverified:
        if not await front.view.refresh():
            raise
    return await front.requesters.open(request, suspended=True)


def _answered(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=answer.body)


def _end_to_end(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    named = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    return [(name, value) for name, value in headers.items() if name.lower() not in _HOP | named]

"""The witness over HTTP (C2SP tlog-witness): add-checkpoint for logs, the newest cosigned checkpoints for monitors.

Errors have the product's JSON body under the statuses of the specification, except for 409, whose body is the size.
Decisions are made on threads, and at most as many bodies are in memory as `_BODIES` holds: more are told 503.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from ledger.edge import Intake, Rejected, protect, read_body
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.text import Text
from ledger.tlog.add_checkpoint import REQUEST_CEILING, SIZE_TYPE, format_cosignatures, format_size
from verifier.witness.decide import OtherSize, UnknownLog, Witness
from verifier.witness.state import Fork

T = TypeVar("T")
DECIDE_S: Final = 10.0  # a disk that does not answer must not hold the log longer than that
_THREADS: Final = 4
_BODIES: Final = 64 * REQUEST_CEILING  # bytes of request bodies together
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OUTCOMES: Final[tuple[tuple[type[CertLedgerError], str], ...]] = (
    (OtherSize, "other_size"),
    (UnknownLog, "unknown_log"),
    (Refused, "inconsistent"),
    (Unverified, "unsigned"),
    (Malformed, "malformed"),
    (Rejected, "rejected"),
    (Unavailable, "unavailable"),
)
journal = logging.getLogger(__name__)


class Desk:
    """What the handlers need; one per application."""

    def __init__(self, witness: Witness, pool: ThreadPoolExecutor) -> None:
        self.witness = witness
        self.bodies = Intake(_BODIES)
        self.registry = CollectorRegistry()
        self.answered = Counter(
            "certwitness_answers", "Requests to cosign, by outcome", ["outcome"], registry=self.registry
        )
        size = Gauge("certwitness_log_size", "Leaves cosigned last", ["origin"], registry=self.registry)
        time = Gauge("certwitness_cosigned_seconds", "Time of the last cosignature", ["origin"], registry=self.registry)
        for origin in witness.logs:
            size.labels(origin).set_function(partial(_number, witness, origin, "size"))
            time.labels(origin).set_function(partial(_number, witness, origin, "time_s"))
        self._pool = pool

    async def decide(self, work: Callable[[], T]) -> T:
        """`work` on a thread. Raises Unavailable after 10 s; what was begun then still ends by itself."""
        try:
            async with asyncio.timeout(DECIDE_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError:
            raise Unavailable(
                Text("见证人的状态没有应答，请稍后重试", "the witness's state does not answer; try again later"),
                retry_after=10,
            ) from None


DESK: Final = web.AppKey("desk", Desk)


def create_app(witness: Witness) -> web.Application:
    """The application, ready for `ledger.edge.start_site`."""
    app = web.Application(client_max_size=REQUEST_CEILING)
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="witness")
    app[DESK] = Desk(witness, pool)
    app.add_routes(
        [
            web.post("/add-checkpoint", post_checkpoint),
            web.get("/{origin_hash}/checkpoint", get_checkpoint),
            web.get("/livez", get_live),
            web.get("/readyz", get_ready),
            web.get("/metrics", get_metrics),
        ]
    )

    async def stop(_: web.Application) -> None:
        pool.shutdown()

    app.on_cleanup.append(stop)
    protect(app)
    return app


def log_fork(fork: Fork) -> None:
    """The alarm: somebody showed a second tree under the log's signature."""
    fields = {"origin": fork.origin, "size": fork.size, "root": fork.root.hex()}
    journal.critical("the log signed two trees of one size; see cert-verifier witness forks", extra={"fields": fields})


async def post_checkpoint(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    outcome = "failed"
    try:
        with desk.bodies.held() as count:
            body = await read_body(request, REQUEST_CEILING, on_bytes=count)
            lines = await desk.decide(lambda: desk.witness.add(body))
        outcome = "cosigned"
        return web.Response(body=format_cosignatures(lines), content_type="text/plain", charset="utf-8")
    except CertLedgerError as error:
        outcome = next(name for kind, name in _OUTCOMES if isinstance(error, kind))
        if isinstance(error, OtherSize):
            return web.Response(status=409, body=format_size(error.size), content_type=SIZE_TYPE)
        raise Rejected(404) if isinstance(error, UnknownLog) else error
    finally:
        desk.answered.labels(outcome).inc()


async def get_checkpoint(request: web.Request) -> web.Response:
    """The newest checkpoint that was cosigned, for monitors: the log's lines and this witness's."""
    desk, origin_hash = request.app[DESK], request.match_info["origin_hash"]
    note = await desk.decide(lambda: desk.witness.shown(origin_hash)) if _HASH.fullmatch(origin_hash) else None
    if note is None:
        raise Rejected(404)
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
    return web.Response(body=note, content_type="text/plain", charset="utf-8", headers=headers)


def _number(witness: Witness, origin: str, name: str) -> float:
    return float(getattr(witness.seen(origin), name))


async def get_live(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def get_ready(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    await desk.decide(desk.witness.check_ready)
    return web.Response(text="ok\n")


async def get_metrics(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    body = await desk.decide(lambda: generate_latest(desk.registry))
    return web.Response(body=body, content_type="text/plain", charset="utf-8")

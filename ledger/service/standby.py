"""Who leads: a second sequencer waits for the first one's place, and the first one notices when it has lost it.

Sequencers of one log share its store and its guard, both in databases, and every file of its folder. The steps of one
that waits, and what a crash leaves at each:

    1 wait     its port answers that it is alive and not ready, and its own figures; it asks for the writer's lock of
               the store, again and again. A crash leaves nothing
    2 unseat   the lock is held by a session of which the server has heard nothing for `takeover_ms`: its process hangs,
               or cannot reach the database. The session is ended, and with it the lock and what was not committed.
               A crash leaves a log that nobody leads until somebody waits again
    3 take     the server gives the lock to one of those who wait: it leads. A crash gives the lock back
    4 finish   guard, then the committed head, as at every start (publisher.py, a to c): what the one before committed
               is signed again if need be, and never another head of that size
    5 serve    the port serves the log
    6 hold     every third of `takeover_ms` the store hears that this process lives, and says whether a commit would be
               durable: while not, this one is not ready, before a commit finds out and ends it
    7 give     one whose clock has stopped the log for `takeover_ms` ends: the other one's may be right, and so may its
               own when it starts again, where it was put right meanwhile. So does one that leads alone, where a start
               would take the clock as it is and witnesses tell whether it is right

Of one that has led and was unseated while it hung, whatever it does next:

    - what it had not committed is gone, and it can commit nothing: the lock is another's, or the head is no more where
      it left it (compare-and-swap on the head row, postgres_writer step 1)
    - it can sign nothing that the other has passed: the guard is one for both
    - so it ends, by step 6 at the latest, and starts again as one that waits

What it signs or answers between waking up and ending was committed before it was unseated: the same log, only older.
A checkpoint that it still keeps then is of that log too, and the store takes none that covers less than the other's.
It is not ready from the moment it wakes up (`Place.is_held`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest

from ledger.edge import ErrorAnswer, Site, json_answer, protect, start_site
from ledger.edge_connection import EdgeSettings
from ledger.errors import ERROR_CODE, Refused, Unavailable
from ledger.service.clock import ClockBehind, ClockStopped
from ledger.service.config import LedgerSettings
from ledger.service.metrics import StandbyMetrics, make_standby_metrics
from ledger.store.opening import Opened, is_postgres, open_store, unseat_writer
from ledger.store.postgres_durable import NO_STANDBY
from ledger.store.postgres_link import Deadlines
from ledger.store.protocol import PrivateStore
from ledger.text import Text

log = logging.getLogger(__name__)
METRICS: Final = web.AppKey("metrics", StandbyMetrics)
STANDBY: Final = "standby"  # code of the answer of one that waits: ask another sequencer
_RETRY_S: Final = 1.0  # after the database did not answer
_RETRY_AFTER_S: Final = 2
ANOTHERS: Final = {"STORE_IN_USE", "HEAD_MOVED"}  # why a store refuses whoever has lost his place
_WAITING: Final = Text(
    "本进程在待命，另一进程正在主持本日志", "This process stands by: another one leads this log; ask that one"
)
_TAKEN_OVER: Final = Text(
    "另一进程已接管本日志：本进程停止，此后未再提交任何语句。可重新启动，以待命方式运行",
    "Another process has taken over this log: this one stops, and has committed nothing since. "
    "Start it again to stand by",
)
_SHARED: Final = Text(
    "待命需要共用的存储和签名守卫：store 与 guard 都须是 postgresql:// 地址",
    "To stand by takes a store and a guard that are shared: store and guard are both postgresql:// addresses",
)


def check_shared(settings: LedgerSettings) -> None:
    """Raise Refused unless another process can take over what these settings name."""
    if not (is_postgres(settings.store) and is_postgres(settings.guard)):
        raise Refused("STANDBY", "guard", _SHARED)


def waiting_app(metrics: StandbyMetrics) -> web.Application:
    """Step 1: alive, not ready, the figures of the process, and nothing else."""
    app = web.Application()
    app[METRICS] = metrics
    app.router.add_get("/livez", _live)
    app.router.add_get("/metrics", _metrics)
    app.router.add_route("*", "/{path:.*}", _wait)
    protect(app)
    return app


async def _live(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _metrics(request: web.Request) -> web.Response:
    """Its own. Those of the log are the leader's, at its own address."""
    body = generate_latest(request.app[METRICS].registry)
    return web.Response(body=body, content_type="text/plain", charset="utf-8")


async def _wait(request: web.Request) -> web.Response:
    response = json_answer(request, ErrorAnswer(503, STANDBY, _WAITING))
    response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    response.headers[ERROR_CODE] = STANDBY
    response.force_close()  # what it was going to send is not worth reading
    return response


@asynccontextmanager
async def standing_by(
    settings: LedgerSettings, folder: Path, edge: EdgeSettings, stop: asyncio.Event, on_waiting: Callable[[Site], None]
) -> AsyncIterator[Opened | None]:
    """Wait on the log's ports until this process leads: its open store, or None when `stop` came first. They go on
    answering until the end of the context. Raises as take_place and start_site."""
    check_shared(settings)
    metrics = make_standby_metrics()
    async with AsyncExitStack() as sites:
        for at, address in enumerate(settings.listen):
            site = await start_site(waiting_app(metrics), *address, edge)
            sites.push_async_callback(site.stop)
            if at == 0:
                on_waiting(site)
        taking = asyncio.ensure_future(take_place(settings, folder, metrics))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            yield taking.result() if taking.done() else None
        finally:
            taking.cancel()
            stopping.cancel()


async def take_place(settings: LedgerSettings, folder: Path, metrics: StandbyMetrics) -> Opened:
    """Steps 1 to 3: the open store of a log that this process leads. Raises as open_store, but waits while another
    process has it, and then also while the database does not answer, which `metrics` tells."""
    silence_s, waiting, away = settings.takeover_ms / 1000, False, False
    deadlines = Deadlines(lock=min(Deadlines().lock, silence_s / 3))
    while True:
        try:
            return await open_store(settings.store, folder, private=True, deadlines=deadlines)  # 1, 3
        except Refused as error:
            if error.code != "STORE_IN_USE":
                raise
            metrics.answers.set(1)
        except Unavailable as error:
            if not waiting:
                raise
            metrics.answers.set(0)
            if not away:
                log.warning("standing by, and the store does not answer", extra={"fields": {"reason": str(error)}})
            away = True
            await asyncio.sleep(_RETRY_S)
            continue
        if not waiting:
            log.info("standing by")
        elif away:
            log.info("standing by, and the store answers again")
        waiting, away = True, False
        with suppress(Unavailable):
            if await unseat_writer(settings.store, silence_s):  # 2
                log.warning("the process that led has fallen silent; its place is taken")


@dataclass(slots=True)
class Place:
    """The place of one that leads. Its store last heard of it at `heard_s`, on a clock that also runs while the process
    is stopped: one that wakes up knows at once that it may have been unseated."""

    silence_s: float  # after which another may take the place
    now_s: Callable[[], float]
    heard_s: float = field(init=False)
    lacks: Text | None = field(init=False, default=None)  # why the store would take no commit, and what to do

    def __post_init__(self) -> None:
        self.heard_s = self.now_s()

    @property
    def is_held(self) -> bool:
        """Whether nobody can have taken it."""
        return self.now_s() - self.heard_s < self.silence_s


async def hold_place(store: PrivateStore, place: Place, fatal: asyncio.Future[BaseException]) -> None:
    """Step 6, until cancelled: puts into `fatal` that another process leads. A database that does not answer decides
    nothing: what needs it fails by itself."""
    while not fatal.done():
        await asyncio.sleep(place.silence_s / 3)
        asked_s = place.now_s()
        try:
            await store.hold()
            place.heard_s = asked_s
            asked_s = place.now_s()  # each waits for a batch that is on its way
            await _look_durable(store, place)
            place.heard_s = asked_s
        except Unavailable as error:
            log.warning("the store does not answer", extra={"fields": {"reason": str(error)}})
        except Refused as error:
            if not fatal.done():
                fatal.set_result(error)


async def _look_durable(store: PrivateStore, place: Place) -> None:
    """Whoever commits is refused by itself; this tells those who ask before."""
    lacks = None
    try:
        await store.check_durable()
    except Refused as error:
        if error.code in ANOTHERS:
            raise
        lacks = error.text
    except Unavailable as error:
        if error.what != NO_STANDBY:
            raise
        lacks = error.what
    if lacks is not None and lacks != place.lacks:
        log.critical("the store takes no commit", extra={"fields": {"reason": lacks.en}})
    place.lacks = lacks


async def give_way(
    check_clock: Callable[[], None],
    silence_s: float,
    fatal: asyncio.Future[BaseException],
    now_s: Callable[[], float],
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Step 7, until cancelled. `check_clock` raises ClockStopped; `now_s` is a clock that nobody sets."""
    right_s = now_s()  # when it last was
    while not fatal.done():
        await rest(silence_s / 15)
        try:
            check_clock()
        except ClockBehind:
            pass
        except ClockStopped as error:
            if now_s() - right_s > silence_s and not fatal.done():
                log.critical("the clock has stopped the log for too long; another start may find it right")
                fatal.set_result(error)
            continue
        except Unavailable:
            pass  # there is no log yet, which no clock can help
        right_s = now_s()


async def why_ended(error: BaseException, store: PrivateStore) -> BaseException:
    """What a person is told about the error that ended a leading process: that another one leads, where that is the
    cause. It shows in many ways: no lock, no session, a head or a guard that went on. Where the store refuses its
    writer for another reason, that is the cause. A fork is never explained away.
    """
    if isinstance(error, Refused | Unavailable) and getattr(error, "code", "") != "GUARD_FORK":
        try:
            await store.hold()
        except Refused as found:
            return Refused("TAKEN_OVER", "store", _TAKEN_OVER) if found.code in ANOTHERS else found
        except Unavailable:
            pass
    return error

"""The auditing service: looks again and again, raises alarms as they appear, and cosigns what it has replayed.

One task on the event loop looks (`_follow`), and another one asks the monitors; the cosigner's threads ask `judge`,
which waits on that loop. A failure of our own disk ends the looking for good: nothing is cosigned after it, `/readyz`
says so, and a restart reads what is there. A log that broke a rule is followed no further, and nothing is cosigned
either.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from ledger.errors import CertLedgerError, Refused, Unavailable
from ledger.log_folder import log_address
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint
from verifier.audit.alarms import Alarm, Severity
from verifier.audit.cosign import MapAuditor
from verifier.audit.openings_folder import OpeningsFolder
from verifier.audit.report import build_report, remedy_of
from verifier.audit.run import Audit

JUDGE_S: Final = 8.0  # how long a log that asks is kept waiting for the replay
RENEW_S: Final = 60  # an idle log's cosignature is renewed when it is so old
_ITS_TURN_MS: Final = 5_000  # after a log has asked, cosigning is left to its asking
_AGAIN_S: Final = 0.1  # between the first two looks while a log waits for an answer; then twice as long each time
_OTHER: Final = Text("与本方重放所得不同", "Not what was found here by replaying")
_BROKEN: Final = Text("日志违反规则，不再签署", "The log broke a rule; nothing of it is cosigned any more")
journal = logging.getLogger("verifier.audit")


class Service:
    """Runs one audit, from `running` on."""

    audit: Audit
    _auditor: MapAuditor
    _loop: asyncio.AbstractEventLoop

    def __init__(self, now_ms: Callable[[], int], every_s: float, openings: OpeningsFolder | None = None) -> None:
        self.failed: CertLedgerError | None = None
        self._openings = openings
        self._now_ms, self._every_s = now_ms, every_s
        self._poke = asyncio.Event()
        self._looked = asyncio.Condition()
        self._asked_ms: int | None = None  # when a log asked last
        self._waiting = 0  # requests of a log that wait for the replay
        self.standing: Counter[str] = Counter()  # alarms by code, of the last look
        self.sound = False
        self.size = 0
        self._announced: set[tuple[str, str, int]] = set()
        self._kept_by = ""  # what keeps the log from being read, as last told
        self._report: dict[str, Any] | None = None

    @asynccontextmanager
    async def running(self, audit: Audit, auditor: MapAuditor) -> AsyncIterator[None]:
        """Follow as long as this lasts."""
        self.audit, self._auditor, self._loop = audit, auditor, asyncio.get_running_loop()
        tasks = [asyncio.create_task(each) for each in (self._follow(), self._ask_monitors())]
        for task in tasks:
            task.add_done_callback(self._stop_on_bug)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_monitors(self) -> None:
        """Until cancelled, or until our own disk fails. One that hangs holds up no look."""
        while self.failed is None:
            await self.audit.ask_monitors(self._now_ms())
            await asyncio.sleep(self._every_s)

    async def _follow(self) -> None:
        """Look until cancelled, or until our own disk fails."""
        pause = _AGAIN_S
        while True:
            try:
                await self.audit.look(self._now_ms())
                await self._open()
                self._tell_reach()
                self._announce()
                await self._cosign()
            except CertLedgerError as error:
                self.failed = error
                journal.critical("the auditor cannot go on; start it again", exc_info=error)
                return
            finally:
                async with self._looked:
                    self._report = None
                    self._looked.notify_all()
            pause = min(2 * pause, self._every_s) if self._waiting else _AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if self._waiting else self._every_s):
                    await self._poke.wait()
            self._poke.clear()

    async def _open(self) -> None:
        """Check some of the openings that stand in the folder of the settings."""
        if self._openings is not None:
            replica = self.audit.replica
            found = await self._openings.look(self._now_ms(), replica.size, replica.entry, replica.certificate)
            self.audit.openings = found.alarms

    def report(self) -> dict[str, Any]:
        """The report of the last look, worked out once for each look."""
        if self._report is None:
            self._report = build_report(
                self.audit, self._now_ms(), openings=None if self._openings is None else self._openings.result
            )
        return self._report

    def check_ready(self) -> None:
        """Raises Unavailable while nothing that is said here would be current."""
        if self.failed is not None or self.audit.replica.verified is None:
            raise Unavailable(
                Text("尚未完成任何核验，或审计服务已停止", "nothing was verified yet, or the auditor has stopped"),
                retry_after=10,
            )

    def asked(self) -> None:
        """A log asks for a cosignature. From any thread."""
        self._asked_ms = self._now_ms()

    def judge(self, note: bytes, checkpoint: Checkpoint) -> None:
        """Step 0 of the map auditor, from a worker thread. Raises Unavailable or Refused."""
        waiting: Future[None] = asyncio.run_coroutine_threadsafe(self._replayed(note, checkpoint), self._loop)
        try:
            waiting.result(JUDGE_S + 1)
        except TimeoutError:
            waiting.cancel()
            raise Unavailable(
                Text("审计尚未进行到该处，请稍后重试", "the auditor has not replayed that far; try again later"),
                retry_after=2,
            ) from None

    async def _replayed(self, note: bytes, checkpoint: Checkpoint) -> None:
        replica = self.audit.replica
        if checkpoint.size > replica.size:
            self.audit.see(note, "add-checkpoint", self._now_ms(), follow=True)
            self._poke.set()
            self._waiting += 1
            try:
                async with asyncio.timeout(JUDGE_S), self._looked:
                    await self._looked.wait_for(lambda: self._knows(checkpoint.size) or self._stopped())
            except TimeoutError:
                pass
            finally:
                self._waiting -= 1
        if self._stopped():
            raise Refused("LOG_BROKEN", "checkpoint", _BROKEN)
        if not self._knows(checkpoint.size):
            raise Unavailable(
                Text("审计尚未进行到该处，请稍后重试", "the auditor has not replayed that far; try again later"),
                retry_after=2,
            )
        if checkpoint.size and await replica.root_at(checkpoint.size) != checkpoint.root:
            self.audit.see(note, "add-checkpoint", self._now_ms())
            self._poke.set()
            raise Refused("OTHER_ROOT", "checkpoint", _OTHER)

    def _knows(self, size: int) -> bool:
        """Whether everything up to `size` was replayed under a checkpoint that ends with its seal."""
        verified = self.audit.replica.verified
        return verified is not None and size <= verified.size

    def _stopped(self) -> bool:
        return self.failed is not None or self.audit.replica.halted is not None or bool(self.audit.heads.forks())

    async def _cosign(self) -> None:
        """Cosign the newest verified checkpoint, or renew what is getting old."""
        auditor, replica = self._auditor, self.audit.replica
        verified = replica.verified
        if verified is None or self._stopped():
            return
        if self._waiting or (self._asked_ms is not None and self._now_ms() - self._asked_ms < _ITS_TURN_MS):
            return  # it asks about every head: a newer one cosigned here would refuse it the one that it shows
        seen = auditor.seen(self.audit.pins.origin)
        if verified.size < seen.size or (
            verified.size == seen.size and self._now_ms() // 1000 - seen.time_s < RENEW_S
        ):  # fmt: skip
            return
        note = await replica.integrator.store.checkpoint()
        assert note is not None
        proof = () if seen.size in (0, verified.size) else await replica.consistency(seen.size, verified.size)
        try:
            await asyncio.to_thread(auditor.add_own, seen.size, proof, note)
        except CertLedgerError as error:  # the log asked at the same moment, or the clock went back: next time
            journal.warning("not cosigned: %s", type(error).__name__)

    def _stop_on_bug(self, done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            journal.critical("the auditor was stopped by a bug", exc_info=error)
            self.failed = Unavailable(
                Text("审计服务因程序错误停止：请查看日志", "the auditor was stopped by a bug: look at its log")
            )

    def _tell_reach(self) -> None:
        """A line when the log cannot be read any more, or for another cause, and one when it can."""
        problem, remedy = self.audit.findings.unavailable, remedy_of(self.audit)
        fields = {"log": self.audit.pins.origin, "address": log_address(self.audit.settings.ledger_url)}
        if problem is None or remedy is None:
            if self._kept_by:
                journal.info("the log can be read again", extra={"fields": fields})
            self._kept_by = ""
            return
        if self._kept_by != str(problem):
            fields |= {"reason": str(problem), "zh": remedy.zh, "en": remedy.en}
            journal.warning("the log cannot be read", extra={"fields": fields})
        self._kept_by = str(problem)

    def _announce(self) -> None:
        """Keep what the meters show, and write a line for each alarm that was not there before."""
        alarms = self.audit.alarms()
        self.standing = Counter(str(alarm.code) for alarm in alarms)
        self.sound, self.size = self.audit.result == "sound", self.audit.replica.size
        for alarm in alarms:
            more = alarm.total if alarm.severity is Severity.ERROR else 0  # a warning's count grows with every batch
            key = (str(alarm.code), alarm.subject, more)
            if key not in self._announced:
                self._announced.add(key)
                journal.log(_level(alarm), "alarm", extra={"fields": alarm.as_json()})


def _level(alarm: Alarm) -> int:
    return logging.CRITICAL if alarm.severity is Severity.ERROR else logging.WARNING

"""One audit of one log: look, replay, compare every head, judge. The same for a single run and for the service.

A look, numbered:

    1 heads      every checkpoint that the log shows is kept before anything else is done with it
    2 replay     the replica's own steps, with all signatures (verifier/replica.py); it stops at the first bad entry
    3 compare    every head ever seen is held against our copy; a fork is written out as evidence
    4 judge      what 2 and 3 found, and what the detectors say about the numbers

What monitors show is kept in the same way, and asked for apart from looks (`ask_monitors`): who runs one decides when
it answers, and not when this auditor looks.

A kill between 1 and 3 leaves a head that is not compared yet: the next look compares it. Evidence is written into a
file of its own before the record says that the head was judged, so no judged head is without it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.client import LedgerClient
from ledger.durable import make_folder, replace_file
from ledger.errors import CertLedgerError, Malformed, Unavailable, Unverified, cannot_create, cannot_read
from ledger.records.dates import batch_day
from ledger.records.refusals import Refusal
from ledger.reference_data import load_ladder
from ledger.remote import LogSource, RemoteTree
from ledger.tlog.checkpoint import open_cosigned, parse_checkpoint
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import parse_note
from ledger.tlog.policy import parse_policy
from verifier.audit.alarms import Alarm, AlarmCode, Severity, alarm, worst
from verifier.audit.config import EVIDENCE_FOLDER, HEADS_FILE, STORE_FILE, AuditSettings
from verifier.audit.detect import detect
from verifier.audit.evidence import BadEntryProof, Fork, format_evidence
from verifier.audit.follow import AuditReplica, Readers
from verifier.audit.heads import Head, HeadRecord
from verifier.audit.pass_rates import Rate, find_alarms, rates_of
from verifier.audit.sitting_counts import SittingCounts
from verifier.audit.sittings import MAX_SHEET, parse_sittings
from verifier.audit.store import StoreFailed, open_audit_store
from verifier.neighbour import Until
from verifier.violation import NOT_PINNED, ClocksDiffer, Violation

# Refusals by the fold that say "this body was not filed for that"; every other one breaks a rule of the log.
SCOPE_CODES: Final = frozenset(
    {Refusal.FILING_UNKNOWN, Refusal.FILING_NOT_ACTIVE, Refusal.SCOPE_WINDOW, Refusal.SCOPE_ROW, Refusal.GRANT,
     Refusal.CAP_REACHED, Refusal.ISSUED_TOO_LATE, Refusal.ISSUED_IN_FUTURE}
)  # fmt: skip
_REFUSED: Final = "not admissible: "
MAX_READERS: Final = 4
MONITOR_MS: Final = 60_000  # between two looks at what others saw: they are not ours to load
_MONITOR_S: Final = 5.0  # for an answer of theirs


class Monitor:
    """Another party's newest checkpoint of the log: a witness's or auditor's monitoring API (C2SP tlog-witness)."""

    def __init__(self, url: str, origin: str) -> None:
        self.url = url
        self._path = f"{url.rstrip('/')}/{sha256(origin.encode()).hexdigest()}"

    async def checkpoint(self) -> bytes:
        """The note as it came. Raises Unavailable."""
        async with LedgerClient(self._path, total_s=_MONITOR_S) as client:
            return await client.checkpoint()


@dataclass(slots=True)
class Findings:
    """What the last look came to."""

    violation: Violation | None = None
    unavailable: Unavailable | ClocksDiffer | None = None
    unreached: list[Head] = field(default_factory=list)
    quorum: bool = True  # the newest checkpoint carries what the policy asks for

    @property
    def first_bad_index(self) -> int | None:
        return None if self.violation is None else self.violation.index


class Audit:
    """One auditor's folder while it is open. One task looks; reads may come from anywhere on the same loop."""

    def __init__(
        self, folder: Path, settings: AuditSettings, replica: AuditReplica, heads: HeadRecord, source: Recorded
    ) -> None:
        self.folder, self.settings = folder, settings
        self.replica, self.heads = replica, heads
        self.pins = settings.pins.build()
        self.findings = Findings()
        self.openings: tuple[Alarm, ...] = ()  # found by openings that were given to this run
        self._source = source
        self._policy = parse_policy(settings.policy)
        self._monitors = [Monitor(url, self.pins.origin) for url in settings.monitors]
        self._now_ms = 0
        self._monitored: Until | None = None

    async def look(self, now_ms: int, progress: Callable[[int], None] = lambda size: None) -> None:
        """One look at the log. Never raises for what the log does: that is in `findings`. Raises Unavailable when our
        own disk fails, and Unverified or Malformed when our own copy is damaged."""
        self._now_ms = now_ms
        findings = Findings()
        try:
            await self.replica.poll(now_ms, progress)  # 1, 2
        except ClocksDiffer as error:  # the log's clock or our own: nothing that the log is convicted of
            findings.unavailable = error
        except Violation as violation:
            findings.violation = violation
        except StoreFailed:
            raise
        except Unavailable as error:
            findings.unavailable = error
        if self.heads.open_heads():
            findings.unreached = await self.heads.compare(self.replica, self._source, self._write_fork)  # 3
        findings.quorum = await self._has_quorum()
        if findings.violation is not None and findings.violation.proven:
            await self._write_bad_entry(findings.violation)
        self.findings = findings

    def see(self, note: bytes, source: str, now_ms: int, *, follow: bool = False) -> Head:
        """Keep a checkpoint that came from elsewhere; the next look compares it, and with `follow` replays up to it.
        Raises Unverified, Malformed."""
        head = self.heads.see(note, source, now_ms)
        if follow:
            self._source.offer(note)
        return head

    async def ask_monitors(self, now_ms: int) -> None:
        """Keep what others were shown, unless they were asked a moment ago; the next look compares it."""
        if self._monitored is not None and not self._monitored.is_over(now_ms):
            return
        self._monitored = Until.after(MONITOR_MS, now_ms)

        async def ask(monitor: Monitor) -> None:
            try:
                self.see(await monitor.checkpoint(), monitor.url, now_ms)
            except CertLedgerError:
                return  # a monitor that is down, or shows what the log did not sign, says nothing about the log

        await asyncio.gather(*map(ask, self._monitors))

    def alarms(self) -> list[Alarm]:
        """Everything found so far, the gravest first."""  # 4
        found = [
            alarm(AlarmCode.INCONSISTENCY, f"{head.size}/{head.root.hex()[:16]}",
                  reason=f"{head.size}/{head.root.hex()[:16]}, {EVIDENCE_FOLDER}/{_fork_name(raw)}")
            for head, raw in self.heads.forks()
        ]  # fmt: skip
        violation = self.findings.violation
        if violation is not None and not (found and violation.index is None):
            found.append(_alarm_of(violation))
        looked = violation is None and not isinstance(self.findings.unavailable, ClocksDiffer)
        if looked:  # otherwise the replay has stopped, and what lies beyond is not looked at
            unreached = self.findings.unreached
            found += [alarm(AlarmCode.HEAD_UNREACHED, str(head.size), size=head.size) for head in unreached]
        if not self.findings.quorum:
            found.append(alarm(AlarmCode.NO_QUORUM, "log"))
        found += self.openings
        found += detect(self.replica.numbers, self.settings.thresholds)
        if self.replica.sittings is not None:
            found += find_alarms(self.replica.sittings, self.rates(), self.settings.thresholds)
        return sorted(found, key=lambda one: one.severity is not Severity.ERROR)

    @property
    def result(self) -> str:
        """`sound`, `broken` (an alarm of severity error) or `undecided` (the world did not answer)."""
        if worst(self.alarms()) is Severity.ERROR:
            return "broken"
        verified = self.replica.verified
        return "undecided" if self.findings.unavailable is not None or verified is None else "sound"

    def rates(self) -> list[Rate]:
        """Pass rates out of the sheet of sittings; without one there are none."""
        sittings, last_ms = self.replica.sittings, self.replica.numbers.last_ms
        return rates_of(sittings, self.settings.thresholds, batch_day(last_ms)) if sittings and last_ms else []

    def evidence_files(self) -> list[str]:
        folder = self.folder / EVIDENCE_FOLDER
        return sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []

    async def _has_quorum(self) -> bool:
        note = await self.replica.integrator.store.checkpoint()
        if note is None or self.replica.verified is None:  # kept under keys of before: not the newest checkpoint
            return True
        latest_s = (self._now_ms + self.pins.max_skew_ms) // 1000
        try:
            open_cosigned(note, self.pins.origin, self.pins.keys, self._policy, latest_s=latest_s)
        except Unverified:
            return False
        return True

    def _write_fork(self, fork: Fork) -> bytes:
        raw = format_evidence(fork)
        self._write(_fork_name(raw), raw)
        return raw

    async def _write_bad_entry(self, violation: Violation) -> None:
        """Keep the entry that broke a rule with its proof, if what is served proves it; otherwise there is none."""
        index, opened = violation.index, self.replica.looked_at
        if index is None or opened is None or index >= opened.checkpoint.size:
            return
        head = opened.checkpoint
        remote = RemoteTree(self._source, head.size)
        try:
            (entry,) = await remote.entries(index, index + 1)
            inclusion = await remote.inclusion(index)
            verify_inclusion(leaf_hash(entry), index, head.size, inclusion, head.root)
        except CertLedgerError:
            return
        vkeys = tuple(key.format_vkey() for key in self.pins.keys)
        proof = BadEntryProof(self.pins.origin, vkeys, opened.note, index, entry, inclusion, str(violation))
        self._write(f"entry-{index}.json", format_evidence(proof))

    def _write(self, name: str, raw: bytes) -> None:
        folder = self.folder / EVIDENCE_FOLDER
        try:
            make_folder(folder)
        except OSError as error:
            raise cannot_create(folder, error) from error
        replace_file(folder / name, raw)


class Recorded:
    """A log source whose checkpoints are kept before anybody believes them."""

    def __init__(self, source: LogSource, name: str, see: Callable[[bytes, str], None]) -> None:
        self._source, self._name, self._see = source, name, see
        self._offered: bytes | None = None

    def offer(self, note: bytes) -> None:
        """A checkpoint of the log that somebody else brought: followed when it is larger than what the log shows."""
        self._offered = note

    async def checkpoint(self) -> bytes:
        offered, self._offered = self._offered, None
        note = await self._source.checkpoint()
        self._see(note, self._name)
        return note if offered is None or _size_of(offered) <= _size_of(note) else offered

    async def tile(self, path: str) -> bytes:
        return await self._source.tile(path)


@asynccontextmanager
async def open_audit(
    folder: Path, settings: AuditSettings, source: LogSource, pool: Executor, now_ms: Callable[[], int]
) -> AsyncIterator[Audit]:
    """The folder, opened for one process. Raises Refused when another has it or the sheet of sittings is wrong,
    Unverified when it is damaged."""
    pins = settings.pins.build()
    sittings = None if settings.sittings is None else _read_sittings(folder / settings.sittings)
    store = open_audit_store(folder / STORE_FILE)
    try:
        heads = HeadRecord(folder / HEADS_FILE, pins.origin, pins.keys, pins.former)
        try:

            def see(note: bytes, name: str) -> None:
                try:
                    heads.see(note, name, now_ms())
                except (Malformed, Unverified):
                    return  # not the log's: the replica says so

            recorded = Recorded(source, settings.ledger_url, see)
            replica = await AuditReplica.open(store, recorded, pins, pool)
            limits = settings.thresholds
            readers = Readers(min(os.cpu_count() or 1, MAX_READERS))
            try:
                replica.count(store, (limits.track_days, limits.track_certificates), readers)
                if sittings is not None:
                    await replica.count_sittings(sittings)
                yield Audit(folder, settings, replica, heads, recorded)
            finally:
                readers.close()
        finally:
            heads.close()
    finally:
        await store.close()


def _read_sittings(path: Path) -> SittingCounts:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SHEET + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    return SittingCounts(parse_sittings(raw, path.name, load_ladder()))


def exit_code(result: str) -> int:
    """0 sound, 1 broken, 3 could not tell."""
    return {"sound": 0, "broken": 1, "undecided": 3}[result]


def _alarm_of(violation: Violation) -> Alarm:
    index = violation.index
    entries: Sequence[int] = () if index is None else (index,)
    if not violation.proven:
        return alarm(AlarmCode.NOT_AS_SIGNED, "log", entries, reason=str(violation))
    if index is None:
        return alarm(AlarmCode.INCONSISTENCY, "log", reason=violation.reason)
    reason = violation.reason
    if reason == NOT_PINNED:
        return alarm(AlarmCode.OTHER_GENESIS, "log", entries)
    code = AlarmCode.RULE_BROKEN
    if reason.removeprefix(_REFUSED) in SCOPE_CODES:
        code = AlarmCode.SCOPE_VIOLATION
    elif "seal" in reason:
        code = AlarmCode.SEAL_MISMATCH
    return alarm(code, str(index), entries, index=index, reason=reason.removeprefix(_REFUSED))


def _size_of(note: bytes) -> int:
    """What a note says, -1 when it is no checkpoint. Nothing is believed for it: the replica opens what it follows."""
    try:
        return parse_checkpoint(parse_note(note).text).size
    except Malformed:
        return -1


def _fork_name(raw: bytes) -> str:
    return f"fork-{sha256(raw).hexdigest()[:16]}.json"

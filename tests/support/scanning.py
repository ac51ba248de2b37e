"""Revoke, scan, restart, again: one log, one replica and one person who scans, in one process, from one seed.

Every certificate goes through one sequence: issued and scanned valid; then something ends it; then it is scanned over
and over, while ledger, replica and verifier are closed and opened again, the ledger loses the answer of a commit, and
the replica is stopped in the middle of a stretch. `violations` are scans that were green after the first that was not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ledger.errors import Unavailable
from ledger.records.cose import sign_part
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Listed, Range, Ruling
from ledger.records.secret import format_secret
from ledger.records.statements import AuthorityBody, issue_entry, issuer_entry, propose
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite, open_sqlite
from tests.support.build_log import FILING, ISSUE_DAY, MAP_DEPTH, Certificate, FakeLedger, LogBuilder
from tests.support.fault_store import FaultStore
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica
from verifier.verdict import GREEN, Code

GRADES = (2, 3, 4, 5)


class Killed(BaseException):
    """The replica stops here, as if its process had been killed."""


@dataclass
class Sequence:
    """One certificate, and how its scans ended, in order."""

    certificate: Certificate
    index: int
    ended: bool = False  # by an accepted statement
    codes: list[Code] = field(default_factory=list)


@dataclass
class Scanning:
    """The three parties in one room. `step` does something at random."""

    room: Path
    seed: int
    log: LogBuilder
    pool: ThreadPoolExecutor
    replica: Replica
    lookup: Lookup
    draw: random.Random
    sequences: list[Sequence] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    spoil: Callable[[Lookup], Lookup] = lambda lookup: lookup  # a broken build, for tests of the harness

    @classmethod
    async def open(cls, room: Path, seed: int, **changes: Any) -> Self:
        log = await LogBuilder.create(room / "ledger.db")
        store = create_sqlite(room / "replica.db", private=False)
        await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
        pool = ThreadPoolExecutor(1)
        replica = await Replica.open(store, FakeLedger(log), log.trust(), pool)
        self = cls(room, seed, log, pool, replica, None, random.Random(seed), **changes)  # type: ignore[arg-type]
        self._verifier()
        return self

    async def close(self) -> None:
        await self.replica.integrator.store.close()
        await self.log.store.close()
        self.pool.shutdown()

    def _verifier(self) -> None:
        known = KnownLog(self.log.trust(), self._now_ms, replica=self.replica)
        lookup = Lookup([known], None, self._now_ms)  # type: ignore[arg-type]
        self.lookup = self.spoil(lookup)

    def _now_ms(self) -> int:
        return self.log.time + 1000

    # ---- restarts -----------------------------------------------------------------------------------------------

    async def restart_ledger(self) -> None:
        self.counts["ledger restarts"] += 1
        await self.log.store.close()
        self.log.store = open_sqlite(self.room / "ledger.db", private=False)
        self.log.integrator = await Integrator.open(self.log.store)

    async def restart_replica(self) -> None:
        self.counts["replica restarts"] += 1
        await self.replica.integrator.store.close()
        store = open_sqlite(self.room / "replica.db", private=False)
        self.replica = await Replica.open(store, FakeLedger(self.log), self.log.trust(), self.pool)
        self._verifier()

    async def restart_verifier(self) -> None:
        self.counts["verifier restarts"] += 1
        self._verifier()

    async def restart_any(self) -> None:
        await self.draw.choice((self.restart_ledger, self.restart_replica, self.restart_verifier))()

    async def poll(self) -> None:
        """Follow the log; now and then the replica is stopped after some whole batch, and started again."""
        if self.draw.randrange(6):
            await self.replica.poll(self.log.time + 1000)
            return
        self.counts["replica kills"] += 1
        left = self.draw.randrange(3)

        def kill(size: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        try:
            await self.replica.poll(self.log.time + 1000, kill)
        except Killed:
            await self.restart_replica()
            await self.replica.poll(self.log.time + 1000)

    async def commit(self, entries: list[bytes]) -> list[int]:
        """One batch; now and then its answer is lost, and the ledger has to look what became of it."""
        if self.draw.randrange(8):
            return await self.log.batch(entries)
        self.counts["answers lost"] += 1
        start = self.log.integrator.size
        self.log.integrator.store = FaultStore(self.log.store, fail="after")  # type: ignore[assignment]
        try:
            return await self.log.batch(entries)
        except Unavailable:
            await self.restart_ledger()
            return list(range(start, start + len(entries)))

    # ---- one sequence -------------------------------------------------------------------------------------------

    async def issue(self, count: int) -> None:
        made = []
        for _ in range(count):
            label = f"{self.seed} {len(self.sequences) + len(made)}"
            made.append(self.log.certificate(label, grade=self.draw.choice(GRADES)))
        indexes = await self.commit([one.statement.entry for one in made])
        self.sequences += [Sequence(one, index) for one, index in zip(made, indexes, strict=True)]

    async def end(self, sequence: Sequence) -> None:
        """Suspend, revoke or replace it: alone, in a list, in a range; by its body or by the authority."""
        key, day = sequence.certificate.issue.cert_key, ISSUE_DAY + 1
        other = self.draw.choice(self.sequences)
        by_authority, way = self.draw.random() < 0.3, self.draw.randrange(5)
        issuer = "" if by_authority else FILING
        if way == 4:
            again = self.log.certificate(f"again {sequence.certificate.secret.hex()}", replaces=key, **_same(sequence))
            await self.commit([issue_entry(again.issue, self.log.record_key)])
            self.counts["reissued"] += 1
        else:
            kind = Kind.SUSPEND if way == 0 else Kind.REVOKE
            whom: Listed | Range = Listed((key,))
            if way == 2 and other is not sequence and not other.ended:
                whom = Listed(tuple(sorted((key, other.certificate.issue.cert_key))))
                other.ended = True
            elif way == 3:
                whom = Range(FILING, sequence.index, sequence.index)
            ruling = Ruling(kind, whom, Reason.FRAUD, day, issuer)
            entry = self.by_authority(ruling) if by_authority else issuer_entry(ruling, self.log.record_key)
            await self.commit([entry])
            self.counts[kind.name.lower()] += 1
        sequence.ended = True

    def by_authority(self, body: AuthorityBody) -> bytes:
        proposal = propose(self.log.origin, body)
        return proposal.signed(tuple(sign_part(proposal.protected, proposal.payload, p) for p in self.log.people[:2]))

    async def end_all(self) -> None:
        """The last act of a log: its filing is cancelled, or its key turns out to be stolen."""
        if self.draw.randrange(2):
            body: AuthorityBody = FilingStanding(FILING, FilingStatus.CANCELLED, Reason.FRAUD, ISSUE_DAY - 5)
        else:
            body = KeyStanding(FILING, self.log.record_key.public, KeyStatus.COMPROMISED, ISSUE_DAY + 1, 0)
        await self.commit([self.by_authority(body)])
        for sequence in self.sequences:
            sequence.ended = True

    async def scan(self, sequence: Sequence) -> None:
        self.counts["scans"] += 1
        sequence.codes.append((await self.lookup.by_secret(format_secret(sequence.certificate.secret))).code)

    async def run(self, certificates: int) -> None:
        """Take `certificates` through their sequences."""
        while len(self.sequences) < certificates:
            await self.issue(min(self.draw.randint(1, 4), certificates - len(self.sequences)))
            await self.poll()
            for sequence in self.sequences[-4:]:
                await self.scan(sequence)
            for sequence in self.sequences[-6:]:
                if not sequence.ended and self.draw.randrange(3):
                    await self.end(sequence)
                    if self.draw.randrange(2):
                        await self.scan(sequence)  # before the replica has heard of it: either answer is right
                    await self.restart_any()
                    await self.poll()
                    await self.scan(sequence)
                    await self.restart_any()
                    await self.scan(sequence)
        await self.end_all()
        await self.restart_any()
        await self.poll()
        for sequence in self.sequences:
            await self.scan(sequence)

    @property
    def violations(self) -> int:
        """Scans that were green after one that was not, or at the end."""
        found = 0
        for sequence in self.sequences:
            first = next((at for at, code in enumerate(sequence.codes) if code not in GREEN), len(sequence.codes) - 1)
            found += sum(code in GREEN for code in sequence.codes[first:])
        return found


def _same(sequence: Sequence) -> dict[str, Any]:
    issue = sequence.certificate.issue
    return {"grade": issue.grade, "track_id": issue.track_id}

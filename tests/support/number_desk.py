"""A verifier with a real replica, beside an index that answers look-ups and matches as a ledger does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ledger.edge import Site, start_site
from ledger.errors import CertLedgerError, Refused
from ledger.reference_data import load_ladder
from ledger.store.sqlite import create_sqlite
from ledger.text import Text
from ledger.wire import FoundBody, LookupAnswer
from tests.support.build_log import BASE, MAP_DEPTH, Certificate, FakeLedger, LogBuilder
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.numbers.asking import Asked, Numbers
from verifier.numbers.web import numbers_room
from verifier.replica import Replica
from verifier.scanning import Scanner
from verifier.web.app import WebSettings, create_app


@dataclass
class FakeIndex:
    """What the ledger's private index says; `failure` is raised instead, if set."""

    found: dict[tuple[str, str], FoundBody] = field(default_factory=dict)
    tails: dict[bytes, str] = field(default_factory=dict)
    tries: dict[bytes, int] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    failure: CertLedgerError | None = None
    unanswered: set[tuple[str, str]] = field(default_factory=set)

    def add(self, certificate: Certificate, tail: str = "") -> None:
        face, leaf = certificate.face, certificate.statement.leaf_hash
        self.found[face.number, face.name] = FoundBody(certificate.issue.cert_key, face.salt, leaf)
        self.tails[certificate.issue.cert_key] = tail

    async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
        assert len(pairs) <= 500
        if self.failure is not None:
            raise self.failure
        self.asked += pairs
        unanswered = [at for at, pair in enumerate(pairs) if pair in self.unanswered]
        return LookupAnswer([None if pair in self.unanswered else self.found.get(pair) for pair in pairs], unanswered)

    async def match(self, cert_key: bytes, last4: str) -> bool:
        if self.failure is not None:
            raise self.failure
        self.tries[cert_key] = self.tries.get(cert_key, 0) + 1
        if self.tries[cert_key] > 5:
            raise Refused("TRIES_USED", "cert_key", Text("-", "-"))
        return self.tails.get(cert_key) == last4


@dataclass
class NumberDesk:
    """One verifier beside one log."""

    log: LogBuilder
    replica: Replica
    lookup: Lookup
    index: FakeIndex
    numbers: Numbers
    now: list[int]

    @asynccontextmanager
    async def site(self, *, behind_proxy: bool = False, base: str = BASE) -> AsyncIterator[Site]:
        """Its pages, with look-ups."""
        room = numbers_room(self.numbers, load_ladder(), lambda: self.now[0], behind_proxy=behind_proxy)
        app = create_app(self.lookup, WebSettings(base, now_ms=lambda: self.now[0]), [room])
        site = await start_site(app, "127.0.0.1", 0)
        try:
            yield site
        finally:
            await site.stop()


@asynccontextmanager
async def number_desk(folder: Path, *certificates: str) -> AsyncIterator[tuple[NumberDesk, list[Certificate]]]:
    """A log with these certificates, all of them in the index; their ID numbers end 123X."""
    log = await LogBuilder.create(folder / "log.db")
    made = [log.certificate(label) for label in certificates]
    if made:
        await log.issue(*made)
    store = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    ledger, now, index = FakeLedger(log), [log.time], FakeIndex()
    for certificate in made:
        index.add(certificate, "123X")
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, log.trust(), pool)
        await replica.poll(now[0])
        known = KnownLog(log.trust(), lambda: now[0], ledger, replica=replica)
        lookup = Lookup([known], Scanner(), lambda: now[0])
        numbers = Numbers([Asked(known, index)], lookup, lambda: now[0])
        yield NumberDesk(log, replica, lookup, index, numbers, now), made
    await store.close()
    await log.store.close()

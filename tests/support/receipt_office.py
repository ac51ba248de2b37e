"""One verifier that gives receipts, beside one log, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.scan_apart import PdfScan
from ledger.store.sqlite import create_sqlite
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, MAP_DEPTH, Certificate, FakeLedger, LogBuilder, octets
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.receipts.check import Checked, check_receipt
from verifier.receipts.issuing import Receipts
from verifier.receipts.receipt import Receipt, format_receipt, parse_receipt
from verifier.replica import Replica

SIGNER = Ed25519Signer(octets("receipts"))
YEARS = 10 * 365 * 86_400_000


class Pictures:
    texts: tuple[str, ...] = ()

    async def read(self, data: bytes) -> PdfScan:
        return PdfScan(self.texts, ())


@dataclass
class Office:
    log: LogBuilder
    ledger: FakeLedger
    replica: Replica
    lookup: Lookup
    receipts: Receipts
    pictures: Pictures
    certificate: Certificate
    index: int
    now: list[int]

    @property
    def link(self) -> str:
        return self.certificate.code().link

    def check(self, receipt: Receipt, *, known: bool = True, later: int = YEARS, **trust: Any) -> Checked:
        read = parse_receipt(format_receipt(receipt))
        keys = {SIGNER.public} if known else set()
        return check_receipt(read, [self.log.trust(**trust)], keys, self.now[0] + later)

    async def catch_up(self) -> None:
        self.now[0] = self.log.time
        await self.replica.poll(self.now[0])


@asynccontextmanager
async def open_office(folder: Path) -> AsyncIterator[Office]:
    log = await LogBuilder.create(folder / "log.db")
    certificate = log.certificate("one")
    (index,) = await log.issue(certificate)
    store = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    ledger, now, pictures = FakeLedger(log), [log.time], Pictures()
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, log.trust(), pool)
        await replica.poll(now[0])
        lookup = Lookup([KnownLog(log.trust(), lambda: now[0], ledger, replica=replica)], pictures, lambda: now[0])
        receipts = Receipts(lookup, load_messages(), SIGNER, BASE)
        yield Office(log, ledger, replica, lookup, receipts, pictures, certificate, index, now)
    await store.close()
    await log.store.close()

"""A payer's folder and its program against a real ledger.

paying = Paying.begin(folder)                      a ledger with a body, a pack, and a payer whose folder `init` made
paying.certify("a", "b")                           certificates in the log
paying.application("a", reference="1")             the case of one of them
paying.run("pay", "1")                             the command line, in this process: exit status
async with paying.payer() as payer: ...            the library; `wrap` puts something between it and the ledger
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.keystore import LIGHT_COST
from ledger.records.authority import FiledKey
from ledger.records.dates import date_of, format_day
from ledger.records.documents import CITIZEN, IdDocument
from ledger.wire import Logged
from tests.support.builders import Body, Certificate, id_number, make_authority, octets
from tests.support.claims import make_pack, make_payer
from tests.support.live_ledger import PASSPHRASE, LiveLedger, drafted, live_body, today
from verifier.__main__ import main
from verifier.claims.config import JOURNAL_FILE, PayerSettings, create_folder, load_folder, open_keys
from verifier.claims.desk import Application, Payer
from verifier.claims.journal import Journal

NUMBER = "Z000051000001"


@dataclass
class Paying:
    """One ledger with one payer."""

    live: LiveLedger
    body: Body
    folder: Path
    certificates: dict[str, Certificate] = field(default_factory=dict)

    @classmethod
    def begin(cls, room: Path) -> Paying:
        live = LiveLedger.create(room / "log", "paying")
        live.start()
        paying = cls(live, live_body("paying"), room / "payer")
        vkeys = tuple(key.format_vkey() for key in live.keys)
        settings = PayerSettings(live.url, make_authority("paying", origin=live.authority.origin).origin, vkeys, NUMBER)
        keys = create_folder(paying.folder, settings, PASSPHRASE, created_day=today(), cost=LIGHT_COST)
        first = today() - 9
        payer = make_payer(
            first_day=first,
            last_day=today() + 400,
            record_keys=(FiledKey(keys.record.public, first),),
            request_keys=(FiledKey(keys.request.public, first),),
        )

        async def file() -> None:
            for one in (paying.body, payer):
                await live.file(one)
            async with live.client() as client:
                await client.submit_authority(live.authority.sign(make_pack()).entry)

        asyncio.run(file())
        return paying

    async def certify(self, *labels: str) -> None:
        async with self.live.client(self.body) as client:
            made = await drafted(client, self.body, *labels)
            receipt = await client.submit([one.submission() for one in made])
        assert all(isinstance(answer, Logged) for answer in receipt.answers)
        self.certificates |= dict(zip(labels, made, strict=True))

    def application(self, label: str, *, reference: str = "", person: str = "") -> Application:
        document = IdDocument(CITIZEN, "CHN", id_number(person or label))
        return Application(
            reference or label,
            self.certificates[label].issue.cert_key,
            document,
            make_pack().digest,
            date_of(today()).year,
            200_000,
            octets("decision " + label),
            today() + 30,
        )

    def printed(self, label: str) -> tuple[str, str]:
        """Number and name on it."""
        face = self.certificates[label].face
        return face.number, face.name

    def sheet(self, path: Path, *applications: Application) -> Path:
        lines = ["reference,cert_key,document_type,country,number,pack,year,amount_fen,decision,last_day"]
        for one in applications:
            document, digests = one.document, (one.pack.hex(), str(one.year), str(one.amount), one.decision.hex())
            who = (document.type_code, document.country, document.number)
            lines.append(",".join((one.reference, one.cert_key.hex(), *who, *digests, format_day(one.last_day))))
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    def run(self, *words: str) -> int:
        """In this process, with the passphrase of the tests."""
        os.environ["CERT_PAYER_PASSPHRASE"] = PASSPHRASE.decode()
        try:
            return main(["claims", *words, "--dir", str(self.folder)])
        finally:
            del os.environ["CERT_PAYER_PASSPHRASE"]

    @asynccontextmanager
    async def payer(self, wrap: Callable[[Any], Any] = lambda ledger: ledger, days: int = 0) -> AsyncIterator[Payer]:
        """`days`: how far the payer's own clock is ahead."""
        keys, settings = open_keys(self.folder, PASSPHRASE), load_folder(self.folder)
        with closing(Journal(self.folder / JOURNAL_FILE)) as journal:
            async with self.live.client(Body(None, keys.record, keys.request)) as client:  # type: ignore[arg-type]
                ahead = days * 86_400_000
                yield Payer(settings, keys, journal, wrap(client), lambda: now_ms() + ahead, os.urandom)


def now_ms() -> int:
    return time.time_ns() // 1_000_000

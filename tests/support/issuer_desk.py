"""An issuer's folder with cheap keys beside an in-memory log, for the issuer's tests. Times and seeds are fixed."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from issuer.batch import Step, World
from issuer.config import SETTINGS_FILE, IssuerSettings
from issuer.console.rosters import batch_evidence, write_everything
from issuer.desk import GENESIS, PUBLIC_KEYS, Desk, Outcome, issue_roster, make_keys, open_desk
from issuer.roster.forms import REPORTING_SHEET, column_title
from issuer.sample import sample_lines
from ledger.keystore import Cost
from ledger.printing.fonts import load_fonts
from ledger.records.dates import batch_day
from ledger.reference_data import load_catalogue
from ledger.settings import format_settings
from tests.support.fake_log import FILING_NUMBER, ORIGIN, FakeLog, make_filing

NOW_MS = 1_780_000_000_000
TODAY = batch_day(NOW_MS)
PASSPHRASE = b"correct horse battery"
CHEAP = Cost(memory_kib=64, passes=1, lanes=1)
VERIFY_URL = "https://verify.example"


class Crash(BaseException):
    """A kill: not an Exception, so that nothing in the product can catch it by accident."""


@dataclass
class Setting:
    """A desk, its log, and how to run a roster through both."""

    desk: Desk
    log: FakeLog
    random_bytes: Callable[[int], bytes]
    slept: list[float]

    def world(self, watch: Callable[[Step, int], None] = lambda step, rows: None) -> World:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        signer = self.desk.record
        assert signer is not None
        trust = self.desk.settings.trust
        return World(self.log, trust, signer, self.random_bytes, lambda: self.log.now_ms, sleep, watch)

    async def issue(
        self, roster: Path, *, crash_at: Step | None = None, crash_on: int = 1, **options: object
    ) -> Outcome:
        seen = [0]

        def watch(step: Step, rows: int) -> None:
            if step is crash_at:
                seen[0] += 1
                if seen[0] == crash_on:
                    raise Crash

        return await issue_roster(self.desk, roster, self.world(watch), load_fonts(), **options)  # type: ignore[arg-type]

    async def write(self, out: Path, outcome: Outcome, **options: Any) -> tuple[dict[str, Any], list[Any]]:
        """Step 6, with evidence from the log."""
        evidence = await batch_evidence(out, outcome, self.desk.settings, self.log, lambda papers, seconds: None)
        return write_everything(out, outcome, self.desk.settings, evidence, **options)


def set_up(folder: Path, **filing: object) -> Setting:
    random_bytes = random.Random(7).randbytes
    keys = make_keys(folder, PASSPHRASE, label="test", today_day=TODAY, random_bytes=random_bytes, cost=CHEAP)
    assert json.loads((folder / PUBLIC_KEYS).read_text()) == keys
    record, request = (bytes.fromhex(keys[name]) for name in ("record_key", "request_key"))
    window = {"first_day": TODAY - 400, "last_day": TODAY + 400} | filing
    log = FakeLog(make_filing(record, request, **window), NOW_MS)  # type: ignore[arg-type]
    settings = IssuerSettings(
        ledger_url="http://127.0.0.1:1",
        origin=ORIGIN,
        log_keys=tuple(key.format_vkey() for key in log.vkeys),
        genesis_sha256=sha256(log.genesis).hexdigest(),
        filing_number=FILING_NUMBER,
        verify_url=VERIFY_URL,
    )
    (folder / SETTINGS_FILE).write_text(format_settings(settings))
    (folder / GENESIS).write_bytes(log.genesis)
    return Setting(open_desk(folder, lambda: PASSPHRASE), log, random_bytes, [])


def sample(rows: int, seed: int = 1) -> list[list[str]]:
    return list(sample_lines(rows, FILING_NUMBER, seed, issue_day=TODAY, catalogue=load_catalogue()))


def write_csv(path: Path, lines: Sequence[Sequence[str]], extra: Sequence[str] = ()) -> Path:
    """A roster of the 11 columns (and `extra` titles) as UTF-8 CSV: quicker to read than a workbook."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(column_title(name) for name in REPORTING_SHEET), *extra])
        writer.writerows(lines)
    return path

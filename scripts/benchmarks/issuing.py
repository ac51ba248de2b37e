"""An issuer's afternoon: the real `cert-issuer` on a roster of invented people, against a fresh ledger each time."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.processes import Scale, run
from benchmarks.workload import Authority, RunningLog, running_log, today
from issuer.sample import SAMPLE_FILING, write_sample_roster
from ledger.records.authority import FiledKey, FilingRow
from ledger.records.kinds import Audience
from ledger.reference_data import load_catalogue

_SECRET = {"CERT_ISSUER_PASSPHRASE": "a benchmark has no secrets"}


async def measure(folder: Path, scale: Scale, runs: int) -> list[Figure]:
    """Seconds of whole commands, starting Python and opening the key file included."""
    checks, issues, prints, peaks = [], [], [], []
    for number in range(runs):
        home = folder / f"issuing-{number}"
        home.mkdir()
        async with running_log(home) as log:
            roster = await _prepare(home, log, scale.roster)
            command = [str(roster), "--dir", "issuer"]
            checks.append(run(["-m", "issuer", "check", *command], home, _SECRET).seconds)
            done = run(["-m", "issuer", "issue", *command, "--out", "out", "--yes", "--no-pdf"], home, _SECRET)
            issues.append(done.seconds)
            printed = run(["-m", "issuer", "print", "--dir", "issuer", "--out", "out"], home, _SECRET)
            prints.append(printed.seconds)
            peaks.append(max(done.peak_mib, printed.peak_mib))
    rows = f"{scale.roster:,} rows"
    targets = (3.0, 40.0) if scale.roster == 1000 else (None, None)
    return [
        Figure("issue.check", f"{rows}: checked against filing and log", "s", tuple(checks)),
        Figure("issue.log", f"{rows}: checked, signed, logged, verified", "s", tuple(issues), targets[0], True),
        Figure("issue.print", f"{rows}: PDFs with codes read back", "s", tuple(prints)),
        Figure(
            "issue.all", f"{rows}: roster to PDFs", "s",
            tuple(a + b for a, b in zip(issues, prints, strict=True)), targets[1], True,
        ),
        Figure("issue.memory", "memory of the issuer at its peak", "MiB", tuple(peaks), 300, True),
    ]  # fmt: skip


async def _prepare(home: Path, log: RunningLog, rows: int) -> Path:
    """Keys, filing, settings and a roster."""
    run(["-m", "issuer", "keygen", "--dir", "issuer"], home, _SECRET)
    public = json.loads((home / "issuer" / "public.json").read_bytes())
    since, catalogue = today() - 400, load_catalogue()
    filing = Authority(today()).filing(
        number=SAMPLE_FILING,
        rows=tuple(
            FilingRow(occupation.code, "", (2, 3, 4, 5), Audience.PUBLIC, since)
            for occupation in catalogue.occupations
            if occupation.confirmed
        ),
        record_keys=(FiledKey(bytes.fromhex(public["record_key"]), since),),
        request_keys=(FiledKey(bytes.fromhex(public["request_key"]), since),),
    )
    async with log.client() as client:
        await client.submit_authority(filing)
    pins = [*log.pins, "--filing", SAMPLE_FILING, "--verify-url", "https://verify.bench.example"]
    run(["-m", "issuer", "init", "--dir", "issuer", *pins], home, _SECRET)
    roster = home / "roster.xlsx"
    write_sample_roster(roster, rows, issue_day=today(), catalogue=catalogue)
    return roster

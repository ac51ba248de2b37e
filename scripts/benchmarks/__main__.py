"""scripts/bench: measure the machine, the ledger, an issuer and a verifier on it.

    limits   what the machine can do at all: signatures, fsync, a bare web server
    append   statements through a running ledger over HTTP
    pages    a replica of that log, and the page of a scanned certificate
    evidence proofs of state out of that log, and their check
    lists    a hiring list through a verifier of that log
    payroll  a payroll through a verifier of that log
    issue    the real issuer on a sample roster
    revoke   from a revocation to the verifier that says so, with two witnesses
    audit    a whole audit of a log that was made beforehand
    sustained the load of append for many minutes; only with --minutes
    growth   a ledger that holds many certificates: its start, what it still takes in, its audit
    eligibility decisions with their trace and bytes, and loading all packs
    fleet    a leader, a standby and fronts on PostgreSQL; how long the log stands still when the leader dies
    peers    an append-only tree library and a plain table on the same entries

Writes nothing outside a scratch folder, which it removes, unless --write. Exit status 1 when a part could not be
measured; a missed target is a figure, not a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import uvloop

from benchmarks import (
    append,
    auditing,
    eligibility,
    fleet,
    growing,
    issuing,
    limits,
    listing,
    pages,
    payroll,
    peers,
    proofs,
    sustained,
    visibility,
)
from benchmarks.figures import Figure
from benchmarks.machine import ROOT, describe_machine
from benchmarks.processes import Failed, Scale
from benchmarks.report import Report, worst, write_section
from benchmarks.stores import EMBEDDED, POSTGRES, other_store
from benchmarks.workload import BATCH, restart_s, running_log
from demonstration.settings import set_toml
from ledger.errors import CertLedgerError

PARTS = (
    "limits",
    "append",
    "pages",
    "evidence",
    "lists",
    "payroll",
    "issue",
    "audit",
    "sustained",
    "growth",
    "revoke",
    "eligibility",
    "fleet",
    "peers",
)
DOCUMENT = ROOT / "docs" / "performance.md"


async def _measure(
    folder: Path, scale: Scale, wanted: set[str], store: str
) -> tuple[list[Figure], dict[str, str], list[float]]:
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    others: list[float] = []
    if "limits" in wanted:
        _say("limits")
        figures += await limits.measure(folder, scale)
    if wanted & {"append", "pages", "evidence", "lists", "payroll"}:
        _say(f"append: {scale.certificates:,} certificates")
        part = "append"
        try:
            async with other_store(store) as place, running_log(folder, visibility.witnesses, place) as log:
                appended = await append.measure(log, scale)
                others = appended.others
                if "append" in wanted:
                    figures += appended.figures
                if "evidence" in wanted:
                    part = "evidence"
                    _say("evidence")
                    figures += await proofs.measure(log, appended.parcels, scale)
                if "pages" in wanted:
                    part = "pages"
                    _say("pages")
                    figures += await pages.measure(log, appended.parcels, scale)
                if "lists" in wanted:
                    part = "lists"
                    _say("lists")
                    figures += await listing.measure(log, appended.parcels, scale)
                if "payroll" in wanted:
                    part = "payroll"
                    _say("payroll")
                    figures += await payroll.measure(log, appended.parcels, scale)
            if "append" in wanted and store == EMBEDDED:
                part = "append"
                label = f"restart of a ledger of {len(appended.parcels) * BATCH:,}, until it is ready"
                set_toml(log.folder / "log" / "ledger.toml", policy="")  # its witnesses have ended
                figures.append(Figure("append.restart", label, "s", (await restart_s(log),), 10, True))
        except (Failed, CertLedgerError, AssertionError) as error:
            failed[part] = f"{type(error).__name__}: {error}"
    if "issue" in wanted:
        _say(f"issue: a roster of {scale.roster:,}")
        try:
            figures += await issuing.measure(folder, scale, 1 if scale.runs < 5 else 3)
        except (Failed, CertLedgerError, AssertionError) as error:
            failed["issue"] = f"{type(error).__name__}: {error}"
    if "audit" in wanted:
        _say(f"audit: {scale.audited:,} certificates")
        try:
            figures += await auditing.measure(folder, scale)
        except (Failed, CertLedgerError, AssertionError) as error:
            failed["audit"] = f"{type(error).__name__}: {error}"
    if "sustained" in wanted and scale.minutes:
        _say(f"sustained: {scale.minutes} minutes")
        home = folder / "sustained"
        home.mkdir()
        try:
            depth = ("--map-depth", str(sustained.DEPTH))
            async with (
                other_store(store, large=True) as place,
                running_log(home, visibility.witnesses, [*place, *depth]) as log,
            ):
                figures += await sustained.measure(log, scale.minutes, scale.rate)
        except (Failed, CertLedgerError, AssertionError) as error:
            failed["sustained"] = f"{type(error).__name__}: {error}"
    if "growth" in wanted:
        _say(f"growth: {scale.grown:,} certificates")
        try:
            figures += await growing.measure(folder, scale, store)
        except (Failed, CertLedgerError, AssertionError) as error:
            failed["growth"] = f"{type(error).__name__}: {error}"
    if "revoke" in wanted:
        _say("revoke: two witnesses and a verifier")
        try:
            figures += await visibility.measure(folder, scale)
        except (Failed, CertLedgerError, AssertionError) as error:
            failed["revoke"] = f"{type(error).__name__}: {error}"
    if "eligibility" in wanted:
        _say("eligibility: every worked case of every pack")
        figures += eligibility.measure(scale)
    if "fleet" in wanted:
        _say("fleet: a leader, a standby, two fronts")
        try:
            figures += await fleet.measure(folder, scale)
        except (Failed, CertLedgerError, AssertionError, TimeoutError) as error:
            failed["fleet"] = f"{type(error).__name__}: {error}"
    if "peers" in wanted:
        _say("peers: the same entries elsewhere")
        try:
            figures += await peers.measure(folder, scale)
        except (CertLedgerError, AssertionError) as error:
            failed["peers"] = f"{type(error).__name__}: {error}"
    return figures, failed, others


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small and short: the shape, not the figures")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be given again")
    parser.add_argument("--certificates", type=int, help="in the log at the end of the append part")
    parser.add_argument(
        "--store",
        choices=(EMBEDDED, POSTGRES),
        default=EMBEDDED,
        help="what the logs of the append, sustained and growth parts are kept in",
    )
    parser.add_argument("--audited", type=int, help="certificates of the log that the audit part makes and audits")
    parser.add_argument("--grown", type=int, help="certificates of the ledger that the growth part fills beforehand")
    parser.add_argument("--minutes", type=int, help="how long the sustained part lasts; there is none without")
    parser.add_argument("--rate", type=int, help="statements a second that the sustained part draws for beforehand")
    parser.add_argument("--json", action="store_true", help="JSON on standard output instead of the table")
    parser.add_argument("--write", action="store_true", help="update the generated section of docs/performance.md")
    parser.add_argument("--dir", type=Path, default=ROOT / "bench-data", help="scratch folder, on the disk to measure")
    options = parser.parse_args()
    scale = Scale.quick() if options.quick else Scale.full()
    if options.certificates is not None:
        scale = replace(scale, certificates=options.certificates)
    if options.audited is not None:
        scale = replace(scale, audited=options.audited)
    if options.grown is not None:
        scale = replace(scale, grown=options.grown)
    if options.minutes is not None:
        scale = replace(scale, minutes=options.minutes)
    if options.rate is not None:
        scale = replace(scale, rate=options.rate)
    options.dir.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(options.dir.absolute())
    with (
        tempfile.TemporaryDirectory(dir=options.dir) as name,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures, failed, others = runner.run(
            _measure(Path(name).absolute(), scale, set(options.only or PARTS), options.store)
        )
    report = Report(machine, options.quick, tuple(figures), failed, worst(others))
    print(json.dumps(report.as_json(), ensure_ascii=False, indent=1) if options.json else report.as_text())
    if options.write:
        write_section(DOCUMENT, report)
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

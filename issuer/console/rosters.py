"""`check` and `issue`."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from issuer import results
from issuer.acts.lines import parse_reason
from issuer.batch import Step, World
from issuer.config import IssuerSettings
from issuer.console.terminal import NOT_CLEAN, OK, ask, passphrase, progress, say, say_json, tell, waiting_told
from issuer.console.waiting import tell_without, told_waiting
from issuer.desk import Outcome, examine_roster, issue_roster, open_desk
from issuer.examine import Examined, open_roster
from issuer.late import draft_late, format_request, issue_permitted, read_permit
from issuer.proofs import EvidenceClient, Watch, missing_evidence
from issuer.roster.report import render_report, write_fix_sheet
from ledger.client import LedgerClient
from ledger.durable import replace_file
from ledger.errors import Malformed
from ledger.printing.fonts import load_fonts
from ledger.progress import Progress
from ledger.records.authority import Filing
from ledger.records.evidence import Evidence
from ledger.records.kinds import Reason
from ledger.sheets.problem import ERROR, Problem
from ledger.text import Text
from ledger.wall import wall_ms

if TYPE_CHECKING:
    from issuer.printing.sheet import Printed

_LOGGING = Text("签发入账", "signing and logging")
_PRINTING = Text("印制 PDF", "printing")
_CONFIRM = Text("确认签发以上证书？", "issue these certificates?")
_ERRORS = Text(
    "名单有错，未签发新证书；修正后重试，或加 --skip-bad 只签发无错的行",
    "errors in the roster, nothing new was signed; correct it, or add --skip-bad to issue the clean rows",
)
_DRAFT = Text("起草以上证书并请求补录许可？", "draft these certificates and ask for a late permit?")
_REQUESTED = Text(
    "已起草 {n} 张；请将 {path} 交主管部门签署许可，入账后用 issue --permit 签发",
    "{n} drafted; {path} goes to the authority; when its permit is logged, go on with issue --permit",
)
_NOT_CONFIRMED = Text("未确认，未签发新证书", "not confirmed, nothing new was signed")


async def check(arguments: Namespace) -> int:
    """Nothing is signed. With --offline the filing is the one last seen, and the log's numbers are not asked."""
    _check_photos(arguments.photos)
    roster = open_roster(arguments.roster)
    now_ms = wall_ms()
    if arguments.offline:
        desk = open_desk(arguments.dir, None)
        examined = await examine_roster(
            desk, roster, desk.saved_filing(), None, load_fonts(), now_ms, photos=arguments.photos
        )
    else:
        desk = open_desk(arguments.dir, lambda: passphrase(arguments), record=False)
        async with LedgerClient(desk.settings.ledger_url, signer=desk.request) as client:
            filing = await desk.current_filing(client, now_ms)
            examined = await examine_roster(desk, roster, filing, client, load_fonts(), now_ms, photos=arguments.photos)
    if arguments.json:
        say_json(report_value(examined))
    else:
        show_report(examined)
    return OK if examined.report.clean else NOT_CLEAN


async def issue(arguments: Namespace) -> int:
    _check_photos(arguments.photos)
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    assert desk.record is not None, "open_desk unlocked it"
    fonts = load_fonts()
    shown = False
    bar: Progress | None = None
    async with AsyncExitStack() as stack:

        def confirm(examined: Examined, filing: Filing, unfinished: int) -> bool:
            nonlocal shown, bar
            if not arguments.json:
                show_report(examined)
                show_preview(examined, filing, unfinished)
                shown = True
            agreed = arguments.yes or ask(_CONFIRM)
            if agreed:
                total = len(examined.orders) + unfinished
                bar = stack.enter_context(progress(total, _LOGGING, quiet=arguments.json))
            return agreed

        def watch(step: Step, rows: int) -> None:
            if step is Step.RECORDED and bar is not None:
                bar.advance(rows)

        client = await stack.enter_async_context(LedgerClient(desk.settings.ledger_url, signer=desk.request))
        world = World(
            client, desk.settings.trust, desk.record, os.urandom, wall_ms, asyncio.sleep, watch, waiting_told()
        )
        if arguments.permit is not None:
            outcome = await issue_permitted(desk, arguments.roster, read_permit(arguments.permit), world, fonts)
        else:
            outcome = await issue_roster(
                desk,
                arguments.roster,
                world,
                fonts,
                skip_bad=arguments.skip_bad,
                photos=arguments.photos,
                out=arguments.out,
                confirm=confirm,
            )
        out = arguments.out or desk.results_folder(outcome.batch_id)
        with told_waiting(quiet=arguments.json) as lines:
            evidence = await batch_evidence(out, outcome, desk.settings, client, lines)
    less = tell_without(evidence, desk.settings.trust)
    summary, printed = write_everything(
        out, outcome, desk.settings, evidence, pdfs=not arguments.no_pdf, quiet=arguments.json
    )
    if arguments.json:
        report = report_value(outcome.examined)
        say_json({"out": str(out), **summary, "without_auditor_line": less, "report": report})
    else:
        if not shown and not outcome.clean:
            show_report(outcome.examined)
        _show_outcome(out, outcome, printed, skip_bad=arguments.skip_bad)
    return OK if outcome.clean and all(item.kept for item in printed) else NOT_CLEAN


async def late_permit(arguments: Namespace) -> int:
    """Draft a roster that is more than 60 days old, and write what the authority is asked to permit."""
    _check_photos(arguments.photos)
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    assert desk.record is not None, "open_desk unlocked it"
    reason = parse_reason(arguments.reason, tuple(Reason))

    def confirm(examined: Examined, filing: Filing, drafted: int) -> bool:
        if not arguments.json:
            show_preview(examined, filing, 0)
        return arguments.yes or ask(_DRAFT)

    async with LedgerClient(desk.settings.ledger_url, signer=desk.request) as client:
        world = World(
            client, desk.settings.trust, desk.record, os.urandom, wall_ms, asyncio.sleep, waiting=waiting_told()
        )
        outcome = await draft_late(
            desk, arguments.roster, world, load_fonts(), photos=arguments.photos, confirm=confirm
        )
    drafts = [outcome.state.drafts[row] for row in sorted(outcome.state.drafts)]
    done = bool(drafts) and not outcome.declined and not outcome.examined.report.error_rows
    if done:
        replace_file(arguments.request, format_request(drafts, reason).encode())
    if arguments.json:
        value = report_value(outcome.examined)
        say_json({"request": str(arguments.request) if done else "", "drafted": len(drafts), "report": value})
    elif done:
        say(_REQUESTED.format(n=len(drafts), path=arguments.request).both())
    else:
        show_report(outcome.examined)
    return OK if done else NOT_CLEAN


async def batch_evidence(
    out: Path, outcome: Outcome, settings: IssuerSettings, client: EvidenceClient, watch: Watch
) -> dict[str, Evidence]:
    """The proof of every certificate of a batch, by number: fetched for those that have no bundle yet.

    Raises Unavailable (nothing is lost: the next run goes on here), Unverified.
    """
    issued = results.all_issued(outcome.state, settings, outcome.changes)
    return await missing_evidence(out, issued, client, settings.trust, asyncio.sleep, watch)


def write_everything(
    out: Path,
    outcome: Outcome,
    settings: IssuerSettings,
    evidence: Mapping[str, Evidence],
    *,
    pdfs: bool = True,
    quiet: bool = True,
    workers: int = 2,
) -> tuple[dict[str, Any], list[Printed]]:
    """Step 6 of batch.py: all results of a roster. Raises Unavailable (disk)."""
    issued = results.all_issued(outcome.state, settings, outcome.changes)
    problems = [problem for problem in outcome.problems() if problem.severity == ERROR]
    results.prepare_folder(out)
    fix = out / results.PROBLEMS
    if problems:
        write_fix_sheet(fix, outcome.examined.roster.sheet, problems)
    else:
        fix.unlink(missing_ok=True)
    staples = results.write_bundles(out, issued, evidence)
    if issued or outcome.state.refused():
        results.write_results_sheet(out / results.RESULTS, outcome.state, issued)
    printed: list[Printed] = []
    if pdfs and issued:
        printed = print_with_bar(
            out, issued, outcome.filing, settings, staples, again=False, quiet=quiet, workers=workers
        )
    bad_rows = len({problem.row for problem in problems})
    summary = results.summary_of(outcome.batch_id, outcome.state, issued, printed, bad_rows)
    results.write_summary(out / results.SUMMARY, summary)
    return summary, printed


def print_with_bar(
    out: Path,
    issued: list[results.Issued],
    filing: Filing,
    settings: IssuerSettings,
    staples: Mapping[str, bytes],
    *,
    again: bool,
    quiet: bool,
    workers: int = 2,
) -> list[Printed]:
    from issuer.papers import print_issued  # loads what draws and reads PDFs: not for --no-pdf

    with progress(len(issued), _PRINTING, quiet=quiet) as bar:
        return print_issued(
            out,
            issued,
            filing,
            settings,
            staples,
            again=again,
            workers=workers,
            progress=lambda done: bar.advance(done - bar.done),
        )


def report_value(examined: Examined) -> dict[str, Any]:
    report = examined.report
    return {
        "file": examined.roster.file_name,
        "encoding": report.encoding,
        "columns": list(report.columns.places),
        "rows": report.row_count,
        "ready": len(report.rows),
        "with_errors": len(report.error_rows),
        "clean": report.clean,
        "problems": [problem_value(problem) for problem in (*report.notes, *report.problems)],
    }


def problem_value(problem: Problem) -> dict[str, Any]:
    return {
        "row": problem.row,
        "column": problem.column,
        "value": problem.value,
        "code": problem.code,
        "severity": problem.severity,
        "zh": problem.text.zh,
        "en": problem.text.en,
    }


def show_report(examined: Examined) -> None:
    header = examined.report.columns
    titles = "、".join(header.titles[at] for at in sorted(header.places.values()) if at < len(header.titles))
    said = Text("第 {row} 行为表头，识别的列：{titles}", "header in row {row}; columns recognised: {titles}")
    say(said.format(row=header.row, titles=titles).both())
    say(render_report(examined.report).rstrip("\n"))


def show_preview(examined: Examined, filing: Filing, unfinished: int) -> None:
    """What is about to be signed: how many of each occupation and grade, and a few rows."""
    say(f"{filing.number}  {filing.name}")
    rows = [order.row for order in examined.orders]
    counts = Counter((row.occupation.code, row.occupation.name, row.grade.zh_formal) for row in rows)
    for (code, name, grade), number in sorted(counts.items()):
        say(f"  {code} {name}  {grade}  × {number}")
    if unfinished:
        earlier = Text("另有先前已签名的 {n} 张待完成", "{n} more were signed earlier and will be finished")
        say(f"  {earlier.format(n=unfinished).both()}")
    shown = sorted({0, len(rows) // 2, len(rows) - 1})
    for row in (rows[at] for at in shown):
        say(f"  {row.row}: {row.name}  {row.number.grouped}  {row.occupation.name} {row.trade}  {row.grade.zh_formal}")


def _show_outcome(out: Path, outcome: Outcome, printed: list[Printed], *, skip_bad: bool) -> None:
    if outcome.declined:
        asked = outcome.examined.orders and (skip_bad or not outcome.examined.report.error_rows)
        say((_NOT_CONFIRMED if asked else _ERRORS).both())
    for row, refusal in outcome.state.refused().items():
        tell(f"{row}: {outcome.state.certificates[row].number}  {refusal.code}  {refusal.text.both()}")
    for item in printed:
        if item.note is not None:
            tell(f"{item.path.name}: {item.code}  {item.note.both()}")
    done = Text("已入账 {n} 张，被拒 {r} 张；结果在 {out}", "{n} in the log, {r} refused; results in {out}")
    say(done.format(n=len(outcome.state.logged()), r=len(outcome.state.refused()), out=out).both())
    if (out / results.PROBLEMS).exists():
        fix = Text("待修正的行在 {path}", "rows to correct are in {path}")
        say(fix.format(path=out / results.PROBLEMS).both())


def _check_photos(photos: Path | None) -> None:
    if photos is not None and not photos.is_dir():
        raise Malformed(Text(f"--photos：{photos} 不是目录", f"--photos: {photos} is not a folder"))

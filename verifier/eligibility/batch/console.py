"""What a person types about sheets of people.

    payroll FILE --pack WAGES --out FILE            the staff list back, with the wage of each person
        --month 2026-10 --compare 2026-09           as the certificates stood when that month ended, and the one before
    applications FILE --pack RULES --out FILE       applications back, each with its decision and why
        --payer DIR                                 and whether it was claimed already, asked with that payer's keys

Exit status: 0 done, 1 when somebody's facts could not be read, 2 a sheet or pack that is refused, 3 could not tell.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from ledger.durable import check_new, write_new_file
from ledger.errors import Malformed, Refused
from ledger.progress import Progress
from ledger.records.dates import batch_day, parse_day
from ledger.reference_data import load_ladder
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.claims.asking import open_asking
from verifier.config import VerifierSettings, load_folder
from verifier.console.terminal import read_file, tell
from verifier.eligibility.console import find_pack
from verifier.eligibility.earlier import asked_wage_day
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.pack import Pack, PackKind
from verifier.eligibility.people import MAX_ROWS
from verifier.eligibility.running import Runner
from verifier.eligibility.runs import Desk, Done, Run, answer_sheet, under_of
from verifier.eligibility.site import open_office
from verifier.hiring.jobs import KEPT_MS
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.opened import logs_to_ask, numbers_to_ask
from verifier.patience import NOBODY_WAITS_S
from verifier.scanning import Scanner

MAX_SHEET: Final = 64 * 1024 * 1024  # bytes
_LABEL: Final = Text("核验名单", "checking the sheet")
_WRONG_KIND: Final = Text("应使用工资表以外的规则", "these are for payroll; applications take other rules")
_NO_WAGES: Final = Text("应使用工资表", "payroll takes a wage table")


def add_payroll(payroll: argparse.ArgumentParser) -> None:
    moment = payroll.add_mutually_exclusive_group()
    moment.add_argument(
        "--month", metavar="YYYY-MM", help="已结束的月份，按月末状态 / a month that is over, as of its end"
    )
    beside = payroll.add_mutually_exclusive_group()
    beside.add_argument("--compare", metavar="YYYY-MM[-DD]", help="同一名单的对比日 / the same list on another day")
    beside.add_argument("--previous", type=Path, metavar="FILE", help="上次的结果 / result file of the last run")
    payroll.add_argument(
        "--employer",
        default="",
        metavar="FILING",
        help="工资表单位的备案号 / filing of the employer",
    )
    _add_sheet(payroll, moment, wages=True)


def add_applications(applications: argparse.ArgumentParser) -> None:
    applications.add_argument(
        "--payer",
        type=Path,
        metavar="DIR",
        help="支付机构目录：查询是否已被申领 / a payer's folder: ask what is claimed",
    )
    applications.add_argument("--passphrase-file", type=Path, help="支付机构密钥的口令 / of the payer's keys")
    _add_sheet(applications, applications, wages=False)


def _add_sheet(command: argparse.ArgumentParser, day: argparse._ActionsContainer, *, wages: bool) -> None:
    """What both have in common; `day` takes the option of the day."""
    command.add_argument("file", type=Path, metavar="FILE", help="xlsx, CSV")
    command.add_argument("--pack", required=True, help="编号、目录或文件 / id, folder or file")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="结果文件 / where the sheet goes")
    day.add_argument("--as-of", metavar="YYYY-MM-DD", help="判定日，默认今天 / the day asked about: today")
    command.add_argument("--lang", choices=("zh", "en", "both"), default="both")
    command.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    command.add_argument("--light", action="store_true", help="不用本机副本，向账本取证明 / ask for proofs")
    command.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    command.set_defaults(run=_run, wages=wages)


def _run(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    pack = _pack(options, settings)
    check_new(options.out)
    today = batch_day(wall_ms())
    as_of = today if options.as_of is None else parse_day(options.as_of)
    previous = read_file(options.previous, MAX_SHEET) if options.wages and options.previous else b""
    run = Run("", "", options.file.name, options.lang, MAX_ROWS, MAX_ROWS, KEPT_MS, read_file(options.file, MAX_SHEET))
    run.pack, run.as_of, run.previous = pack, as_of, previous
    if options.wages:
        run.employer = options.employer
        run.as_of = as_of if options.month is None else _month(options.month, today)
        run.compare = None if options.compare is None else asked_wage_day(options.compare, today)
    done = asyncio.run(_answered(options, settings, run))
    for note in run.notes:
        print(note.text.both(), file=sys.stderr)
    write_new_file(options.out, done.result, 0o600)
    for item, content in done.summary:
        print(f"{item}: {content}")
    return 1 if any(one.decision is None for one in done.answered) else 0


def _month(text: str, today: int) -> int:
    if len(text) != 7:
        raise Malformed(Text("--month：年-月，如 2026-07", "--month: yyyy-mm"))
    return asked_wage_day(text, today)


def _pack(options: argparse.Namespace, settings: VerifierSettings) -> Pack:
    """One of this verifier's own, else one that comes with the program or lies somewhere."""
    own = open_office(options.dir, settings).packs.get(options.pack)
    pack = own or find_pack(options.pack)
    if (pack.kind is PackKind.WAGE_TABLE) is not options.wages:
        raise Refused("PACK_KIND", options.pack[:80], _NO_WAGES if options.wages else _WRONG_KIND)
    return pack


async def _answered(options: argparse.Namespace, settings: VerifierSettings, run: Run) -> Done:
    async with AsyncExitStack() as stack:
        logs = await logs_to_ask(
            options.dir, settings, stack, wall_ms,
            offline=options.offline, light=options.light, quiet=options.quiet, tell=tell,
        )  # fmt: skip
        lookup = Lookup(logs, Scanner(), wall_ms, offline=options.offline, answer_s=NOBODY_WAITS_S)
        names = await numbers_to_ask(options.dir, settings, lookup, stack, wall_ms, offline=options.offline)
        runner = Runner(Gatherer(lookup, wall_ms, names), wall_ms)
        asking = None
        if not options.wages and options.payer is not None:
            asking = await stack.enter_async_context(open_asking(options.payer, options.passphrase_file))
        desk = Desk(runner, load_ladder(), load_messages(), wall_ms, lambda: under_of(lookup), asking)
        with Progress(None, _LABEL, sys.stderr, time.monotonic, quiet=options.quiet) as bar:
            return await answer_sheet(desk, run, lambda done: bar.advance(done - bar.done))

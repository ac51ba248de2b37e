"""cert-verifier audit: check a whole log, keep following it, and check evidence against one.

    audit URL --dir DIR    replay everything that is not replayed yet, compare, report; can be stopped and run again
    audit init             make the folder of an auditing service, with keys of its own
    audit serve            keep following; page, alarms, metrics; cosign as map auditor
    audit evidence FILE    check a file of evidence against a log, under keys that you name

Exit status of `audit URL`: 0 sound, 1 the log broke a rule or does not show what it signed, 2 usage, 3 could not tell.
Of `audit evidence`: 0 the evidence holds (the log is convicted), 1 it does not, 2 usage or malformed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from ledger.durable import make_folder, replace_file
from ledger.edge import Site, run_app
from ledger.edge_connection import EdgeSettings
from ledger.errors import Malformed, Refused, Unverified
from ledger.keystore import LIGHT_COST, PERSON_COST, read_passphrase
from ledger.log_folder import open_log
from ledger.progress import Progress
from ledger.records.dates import LAST_DAY, last_ms
from ledger.reference_data import load_ladder
from ledger.text import Text
from ledger.tlog.note import NOTE_CEILING, parse_vkey
from ledger.tlog.policy import POLICY_CEILING, format_policy, parse_policy
from ledger.tlog.spelling import check_name
from ledger.wall import wall_ms
from verifier.audit.config import NO_QUORUM, SETTINGS_FILE, AuditSettings, PinsConfig, create_folder, load_folder
from verifier.audit.cosign import STATE_FILE, MapAuditor, create_keys, open_cosigner
from verifier.audit.evidence import MAX_BYTES, Fork, parse_evidence, verify_evidence
from verifier.audit.follow import spare_collector
from verifier.audit.openings import OpeningsResult, check_openings
from verifier.audit.openings_folder import open_folder
from verifier.audit.page import report_page
from verifier.audit.report import build_report, format_report, report_text
from verifier.audit.run import Audit, exit_code, open_audit
from verifier.audit.service import Service
from verifier.audit.web import create_app
from verifier.folder import check_unmade
from verifier.former import FormerKeys
from verifier.witness.state import WitnessState
from verifier.witness.web import log_fork

PASSPHRASE: Final = "CERT_AUDITOR_PASSPHRASE"  # noqa: S105  # the name of the variable
_PROMPT: Final = Text("审计方密钥的口令", "passphrase of the auditor's keys")

REPORT_JSON: Final = "report.json"
REPORT_HTML: Final = "report.html"
REPORT_HTML_EN: Final = "report.en.html"
_THREADS: Final = 2
_AGAIN_S: Final = 1.0  # before an answer that does not fit is asked for once more
_EVER_MS: Final = last_ms(LAST_DAY)  # until when a pair counts that somebody types beside a file of evidence
_COMMANDS: Final = ("init", "serve", "evidence")


def main(arguments: Sequence[str]) -> int:
    """Run one audit command; `arguments` come after `audit`. Raises as the product's errors do."""
    first = arguments[0] if arguments else ""
    options = (_commands() if first in _COMMANDS else _run_parser()).parse_args(arguments)
    return int(options.run(options))


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    return asyncio.run(_audit(options, settings))


async def _audit(options: argparse.Namespace, settings: AuditSettings) -> int:
    spare_collector()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="signatures") as pool:
        async with (
            open_log(settings.ledger_url) as client,
            open_audit(options.dir, settings, client, pool, wall_ms) as audit,
        ):
            for path in options.checkpoint:
                audit.see(_read(path, NOTE_CEILING), path.name, wall_ms())
            began, held = time.monotonic(), audit.replica.size
            await _look(audit, quiet=options.quiet)
            seconds = time.monotonic() - began
            own = [] if settings.openings is None else [options.dir / settings.openings]
            openings = await _openings(options.openings or own, audit)
            report = build_report(audit, wall_ms(), seconds=seconds, started_at=held, openings=openings)
            _write(options.dir, report)
            sys.stdout.write(format_report(report).decode() if options.json else report_text(report))
            return exit_code(report["result"])


async def _look(audit: Audit, *, quiet: bool) -> None:
    """One look, and another one when what came does not fit what was signed: a cache may have been behind."""
    await audit.ask_monitors(wall_ms())
    label = Text("审计", "auditing")
    with Progress(None, label, sys.stderr, time.monotonic, done=audit.replica.size, quiet=quiet) as progress:

        def reached(size: int) -> None:
            progress.total = audit.replica.target
            progress.advance(size - progress.done)

        await audit.look(wall_ms(), reached)
        violation = audit.findings.violation
        if violation is not None and not violation.proven:
            await asyncio.sleep(_AGAIN_S)
            await audit.look(wall_ms(), reached)


async def _openings(sources: Sequence[Path], audit: Audit) -> OpeningsResult | None:
    if not sources:
        return None
    found = await check_openings(
        sources, audit.replica.entry, audit.replica.certificate, load_ladder(), audit.settings.thresholds.occupations
    )
    audit.openings = found.alarms
    return found


def _write(folder: Path, report: dict[str, object]) -> None:
    replace_file(folder / REPORT_JSON, format_report(report))
    replace_file(folder / REPORT_HTML, report_page(report, "zh", switch=REPORT_HTML_EN).encode())
    replace_file(folder / REPORT_HTML_EN, report_page(report, "en", switch=REPORT_HTML).encode())


def _init(options: argparse.Namespace) -> int:
    pins = PinsConfig(options.origin, tuple(options.vkey), options.genesis)
    settings = AuditSettings(
        options.ledger, pins, policy=_policy(options.policy), monitors=tuple(options.monitor), name=options.name,
        host=options.host, port=options.port,
    )  # fmt: skip
    check_name(options.name, "the name of the auditor")
    passphrase = read_passphrase(PASSPHRASE, _PROMPT, options.passphrase_file, confirm=True)
    check_unmade(options.dir / SETTINGS_FILE)
    make_folder(options.dir)
    # A crash from here on leaves keys that have signed nothing in a folder that does not count as made: remove it.
    cosigner = create_keys(
        options.dir, options.name, pins.origin, passphrase, created_day=int(time.time()) // 86_400,
        cost=LIGHT_COST if options.light else PERSON_COST, random_bytes=os.urandom,
    )  # fmt: skip
    create_folder(options.dir, settings)
    vkeys = [key.format_vkey() for key in cosigner.vkeys]
    if options.json:
        print(json.dumps({"name": options.name, "vkeys": vkeys}, ensure_ascii=False, indent=1))
    else:
        print("\n".join(vkeys))
    return 0


def _serve(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    passphrase = read_passphrase(PASSPHRASE, _PROMPT, options.passphrase_file)
    cosigner = open_cosigner(options.dir, settings.name, passphrase)
    pins, state = settings.pins.build(), WitnessState(options.dir / STATE_FILE)
    openings = None
    if settings.openings is not None:
        openings = open_folder(options.dir / settings.openings, load_ladder(), settings.thresholds.occupations)
    service = Service(wall_ms, settings.poll_ms / 1000, openings)
    auditor = MapAuditor(
        cosigner,
        {pins.origin: pins.keys},
        state,
        lambda: int(time.time()),
        service.judge,
        service.check_ready,
        log_fork,
        service.asked,
    )
    app = create_app(service, auditor)

    async def running(_app: web.Application) -> AsyncIterator[None]:
        spare_collector()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="signatures") as pool:
            async with (
                open_log(settings.ledger_url) as client,
                open_audit(options.dir, settings, client, pool, wall_ms) as audit,
                service.running(audit, auditor),
            ):
                yield

    app.cleanup_ctx.append(running)
    edge = EdgeSettings(
        body_seconds=10.0, behind_proxy=settings.behind_proxy, tls_cert=settings.tls_cert, tls_key=settings.tls_key
    )

    def ready(site: Site) -> None:
        print(f"{settings.name} {site.url}", flush=True)

    try:
        run_app(app, settings.host, settings.port if options.port is None else options.port, edge, on_ready=ready)
    finally:
        state.close()
    return 0


def _evidence(options: argparse.Namespace) -> int:
    evidence = parse_evidence(_read(options.file, MAX_BYTES))
    keys = tuple(parse_vkey(text) for text in options.vkey)
    former = [FormerKeys(keys[at : at + 2], _EVER_MS) for at in range(2, len(keys), 2)]
    try:
        opened = verify_evidence(evidence, options.origin, keys[:2], former)
    except Unverified as error:
        print(f"证据不成立 / the evidence does not hold: {error}")
        return 1
    heads = ", ".join(f"{one.checkpoint.size} ({one.checkpoint.root.hex()[:16]})" for one in opened)
    if isinstance(evidence, Fork):
        print(f"证据成立：日志签署了互不相容的两个检查点 / holds: the log signed two heads that do not fit: {heads}")
    else:
        print(f"证据成立：日志在检查点 {heads} 中签署了第 {evidence.index} 条")
        print(
            f"holds: under its checkpoint {heads} the log signed entry {evidence.index}; said of it: {evidence.reason}"
        )
        print("为何有误须自行判断：签名和格式看条目本身，范围和封印须重放")
        print("judge the reason yourself: signature and form from the entry, scope and seals by replaying")
    return 0


def _settings(options: argparse.Namespace) -> AuditSettings:
    """Those of the folder, or of a new one made from the pins on the command line. Pins that are given must agree."""
    pins = None
    if options.origin or options.vkey or options.genesis:
        pins = PinsConfig(options.origin or "", tuple(options.vkey), options.genesis or "")
    if not (options.dir / SETTINGS_FILE).exists():
        if pins is None:
            text = Text(
                "首次审计须给出 --origin、--vkey（两个）和 --genesis",
                "The first audit needs --origin, --vkey (twice) and --genesis",
            )
            raise Refused("PINS_MISSING", "origin", text)
        create_folder(options.dir, AuditSettings(options.url, pins, policy=_policy(options.policy)))
    settings = load_folder(options.dir)
    if pins is not None and (pins.origin, sorted(pins.log_keys), pins.genesis) != (
        settings.pins.origin, sorted(settings.pins.log_keys), settings.pins.genesis
    ):  # fmt: skip
        text = Text("该目录属于另一日志", "This folder is of another log: the pins differ from its settings")
        raise Refused("OTHER_LOG", str(options.dir), text)
    policy = settings.policy if options.policy is None else _policy(options.policy)
    sittings = settings.sittings if options.sittings is None else options.sittings.absolute()
    monitors = (*settings.monitors, *options.monitor)
    return replace(settings, ledger_url=options.url, policy=policy, monitors=monitors, sittings=sittings)


def _policy(path: Path | None) -> str:
    if path is None:
        return NO_QUORUM
    try:
        return format_policy(parse_policy(_read(path, POLICY_CEILING).decode()))
    except UnicodeDecodeError:
        raise Malformed(Text("见证策略不是 UTF-8 编码", "policy: not UTF-8")) from None


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        text = Text("无法读取 {path}：{why}", "cannot read {path}: {why}")
        raise Refused("UNREADABLE", str(path), text.format(path=path, why=error.strerror)) from error
    if len(raw) > limit:
        raise Malformed(Text("文件超出其格式允许的大小", "file larger than its form allows"))
    return raw


def _run_parser() -> argparse.ArgumentParser:
    run = argparse.ArgumentParser(
        prog="cert-verifier audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run.add_argument(
        "url", metavar="URL", help="从哪里取日志，或 init、serve、evidence / where the log is fetched from"
    )
    run.add_argument("--dir", type=Path, required=True, help="审计目录 / the auditor's folder")
    _pins(run, required=False)
    run.add_argument("--policy", type=Path, metavar="FILE", help="见证策略 / witness policy (C2SP tlog-policy)")
    run.add_argument("--monitor", action="append", default=[], metavar="URL",
                     help="见证方或审计方的监测接口 / monitoring API of a witness or auditor")  # fmt: skip
    run.add_argument("--checkpoint", action="append", type=Path, default=[], metavar="FILE",
                     help="从别处得到的检查点 / a checkpoint that came from elsewhere")  # fmt: skip
    run.add_argument("--openings", action="append", type=Path, default=[], metavar="PATH",
                     help="证书包文件或其目录 / bundle files, or folders of them")  # fmt: skip
    run.add_argument("--sittings", type=Path, metavar="FILE",
                     help="考试人数表 / sheet of sittings (xlsx, CSV): how many sat")  # fmt: skip
    run.add_argument("--json", action="store_true")
    run.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    run.set_defaults(run=_run)
    return run


def _commands() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cert-verifier audit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="初始化审计服务 / make the folder of an auditing service")
    init.add_argument("--ledger", required=True, metavar="URL", help="从哪里取日志 / where the log is fetched from")
    init.add_argument("--name", required=True, help="本审计方名称 / own name, like auditor.example.org/a1")
    _pins(init, required=True)
    init.add_argument("--policy", type=Path, metavar="FILE", help="见证策略 / witness policy (C2SP tlog-policy)")
    init.add_argument("--monitor", action="append", default=[], metavar="URL",
                      help="见证方或审计方的监测接口 / monitoring API of a witness or auditor")  # fmt: skip
    init.add_argument("--host", default="127.0.0.1")
    init.add_argument("--port", type=int, default=8900)
    init.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    init.add_argument("--json", action="store_true")
    init.set_defaults(run=_init)

    server = commands.add_parser("serve", help="持续审计并签署 / keep auditing, and cosign")
    server.add_argument("--port", type=int, help="覆盖设置中的端口 / instead of the port in the settings")
    server.set_defaults(run=_serve)

    for command in (init, server):
        command.add_argument("--dir", type=Path, required=True, help="审计目录 / the auditor's folder")
        command.add_argument("--passphrase-file", type=Path)

    evidence = commands.add_parser("evidence", help="核对证据文件 / check a file of evidence")
    evidence.add_argument("file", type=Path, metavar="FILE")
    evidence.add_argument("--origin", required=True, help="日志名称 / name of the log")
    evidence.add_argument(
        "--vkey",
        required=True,
        action="append",
        help="日志公钥，两个；换过密钥的，再逐对给出以前的 / log keys, give both; then those of before, pair by pair",
    )
    evidence.set_defaults(run=_evidence)
    return parser


def _pins(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--origin", required=required, help="日志名称 / name of the log")
    parser.add_argument("--vkey", required=required, action="append", default=[], help="日志公钥，两个 / log keys")
    parser.add_argument("--genesis", required=required, metavar="HEX", help="第 0 条的 SHA-256 / SHA-256 of entry 0")

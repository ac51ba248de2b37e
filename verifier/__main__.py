"""cert-verifier: check certificates against one's own verified copy of the log, or of several.

    init    make the folder: trust settings and an empty replica
    add-log believe one more log
    sync    bring the replicas up to date
    check   judge one link, QR text, bundle, PDF, picture or text file; now, or as of an earlier day; or a receipt; or
            whether a tlog-proof or RFC 9942 receipt puts a statement into the log
    check-list   check a hiring list, or whether an answered one is as it was signed
    api-key      make, list and revoke API keys of HR systems
    receipt-key  make the key that signs receipts and the summaries of lists
    refresh put a newer proof into a holder's bundle or staple
    serve   follow the logs and answer over HTTP
    holder-requests  what holders ask to have corrected or erased
    site-store  make the store of accounts, shares and lists, or bring it up to date
    packs   check, list, compare and edit packs of rules; `eligible` decides on certificates
            (verifier/eligibility/console.py); `payroll` and `applications` decide whole sheets of people
    audit   replay a whole log and report; keep following and cosign as an auditor (verifier/audit/console.py)
    kit     make offline kits, to check printed codes without a network (verifier/kit/console.py)
    witness cosign the checkpoints of logs (a program of its own, with keys of its own)
    claims  reserve, pay, release and claw back benefits (a payer's program, with keys of its own)

Exit status of check: 0 valid, 1 not valid, 2 usage or malformed input, 3 could not tell. Of the others: 0 or 2, 3 when
the world did not answer, 1 when the log broke a rule.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from ledger.edge import Site
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.text import Text
from ledger.tlog.policy import POLICY_CEILING
from verifier.access.console import add_api_key
from verifier.audit import console as audit_console
from verifier.claims import console as claims
from verifier.config import LogConfig, VerifierSettings, add_log, create_folder, load_folder
from verifier.console import add_as_of, add_refresh, as_of
from verifier.eligibility import console as eligibility
from verifier.eligibility.batch import console as batch
from verifier.hiring.console import add_check_list
from verifier.holders import console as holders
from verifier.kit import console as kit
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.opened import Opened, bring_up_to_date, logs_to_ask, opened, say_failure
from verifier.places.console import judge_placed, placed_exit, placed_json, say_placed
from verifier.places.placed import is_place_proof
from verifier.receipts.console import add_receipt_key, judge_receipt, receipt_in, receipt_json, say_receipt
from verifier.receipts.keys import open_receipt_key
from verifier.report import Printer
from verifier.scanning import Scanner
from verifier.serving import serve
from verifier.site.opening import prepare_site
from verifier.trust import NO_QUORUM
from verifier.verdict import Code, Verdict, exit_code, without_item
from verifier.violation import Violation
from verifier.witness import console as witness

MAX_INPUT: Final = 20_000_000  # bytes of a file or of stdin


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)  # which certificates were looked up here is nobody else's business
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["audit"]:
            return audit_console.main(words[1:])
        options = _parser().parse_args(words)
        return int(options.run(options))
    except Refused as error:
        return _fail(error.text.both(), error)
    except Malformed as error:
        return _fail(f"格式不正确 / not well formed: {error}", error)
    except Unverified as error:
        return _fail(say_failure(error), error)
    except (Unavailable, OSError) as error:
        return _fail(f"无法完成 / could not be done: {error}", error)
    except KeyboardInterrupt:
        return 130


def _status(error: Exception) -> int:
    """How a command that ended with it exits."""
    if isinstance(error, Unverified):
        return 3 if isinstance(error, Violation) and not error.proven else 1
    return 2 if isinstance(error, Refused | Malformed) else 3


def _init(options: argparse.Namespace) -> int:
    port = {} if options.port is None else {"port": options.port}
    settings = VerifierSettings(tuple(options.base), (_log_of(options),), replica=not options.no_replica, **port)
    asyncio.run(create_folder(options.dir, settings))
    if settings.replica:  # without one nothing is served
        asyncio.run(prepare_site(settings.site_store, options.dir))
    following = f"check --dir {options.dir} X" if options.no_replica else f"sync --dir {options.dir}"
    print(f"{options.dir}: initialised, nothing verified yet; next: cert-verifier {following}")
    return 0


def _add_log(options: argparse.Namespace) -> int:
    log = _log_of(options)
    asyncio.run(add_log(options.dir, log))
    print(f"{options.dir}: 已添加 {log.origin}，下次启动生效 / {log.origin} added, from the next start on")
    return 0


def _log_of(options: argparse.Namespace) -> LogConfig:
    return LogConfig(
        options.origin,
        tuple(options.vkey),
        options.genesis,
        ledger_url=options.ledger,
        tiles_url=options.tiles,
        store=options.store,
        policy=NO_QUORUM if options.policy is None else _read_policy(options.policy),
        receipt_key=options.receipt_key,
        map_auditors=tuple(options.map_auditor),
        token=options.token,
    )


def _sync(options: argparse.Namespace) -> int:
    settings = _with_replica(options.dir)

    async def run() -> list[tuple[Opened, CertLedgerError | None]]:
        async with opened(options.dir, settings, _now_ms) as logs:
            return [(one, await _updated(one, quiet=options.quiet)) for one in logs]

    done = asyncio.run(run())
    for one, failed in done:
        verified = one.replica.verified
        if failed is not None or verified is None:
            continue
        if options.json:
            facts = {"origin": one.origin, "size": verified.size, "root": verified.root.hex()}
            print(json.dumps(facts | {"time_ms": verified.time_ms}))
        else:
            print(f"{one.origin}: verified {verified.size} entries, root {verified.root.hex()}")
    failures = [(one.origin, failed) for one, failed in done if failed is not None]
    for origin, failed in failures:
        _tell(f"{origin}: {say_failure(failed)}")
    return max((_status(failed) for _, failed in failures), default=0, key=(0, 3, 2, 1).index)


async def _updated(one: Opened, *, quiet: bool) -> CertLedgerError | None:
    """What kept this log from being brought up to date; the others go on."""
    try:
        await bring_up_to_date(one, _now_ms, quiet=quiet)
    except CertLedgerError as error:
        return error
    return None


def _with_replica(folder: Path) -> VerifierSettings:
    """The settings of a folder that keeps replicas. Raises Refused for one that does not."""
    settings = load_folder(folder)
    if not settings.replica:
        raise Refused("NO_REPLICA", str(folder), Text("该目录不保存副本", "This folder keeps no replica"))
    return settings


def _check(options: argparse.Namespace) -> int:
    settings, messages = load_folder(options.dir), load_messages()
    item = _read_item(options.item)
    if isinstance(item, bytes) and is_place_proof(item):
        placed = asyncio.run(judge_placed(item, options, settings, _now_ms, _tell))
        print(placed_json(placed) if options.json else say_placed(placed, messages, options.lang).rstrip())
        return placed_exit(placed)
    receipt = asyncio.run(receipt_in(item, Scanner()))
    if receipt is not None:
        return _check_receipt(receipt, options, settings)
    verdict = asyncio.run(_checked(item, options, settings))
    if options.json:
        print(json.dumps(messages.as_json(verdict), ensure_ascii=False))
    else:
        print(Printer(messages, options.lang, colour=sys.stdout.isatty()).block(verdict), end="")
    return exit_code(verdict)


def _check_receipt(raw: bytes, options: argparse.Namespace, settings: VerifierSettings) -> int:
    """About the receipt's moment, from the receipt and the pins alone."""
    messages, now_ms = load_messages(), _now_ms()
    checked = judge_receipt(raw, options.dir, settings, now_ms)
    verdict = without_item(Code.UNREADABLE, now_ms) if checked is None else checked.verdict
    if options.json:
        print(receipt_json(checked, messages, now_ms))
    else:
        head = say_receipt(checked, messages, lang=options.lang) if checked else ""
        print(head + Printer(messages, options.lang, colour=sys.stdout.isatty()).block(verdict), end="")
    return exit_code(verdict)


async def _checked(item: str | bytes, options: argparse.Namespace, settings: VerifierSettings) -> Verdict:
    if options.kit is not None:
        return await kit.check_by_kit(options.dir, settings, options.kit, item)
    async with AsyncExitStack() as stack:
        logs = await logs_to_ask(
            options.dir, settings, stack, _now_ms,
            offline=options.offline, light=options.light, quiet=options.quiet or options.json, tell=_tell,
        )  # fmt: skip
        lookup = Lookup(logs, Scanner(), _now_ms, offline=options.offline, as_of=as_of(options))
        return await (lookup.by_text(item) if isinstance(item, str) else lookup.by_file(item))


def _serve(options: argparse.Namespace) -> int:
    settings = _with_replica(options.dir)
    shelf = kit.open_shelf(options, settings) if options.kit else None
    signer = open_receipt_key(options.dir, options.passphrase_file)
    serve(options.dir, settings, options.port, _announce, shelf, signer)
    return 0


def _announce(site: Site) -> None:
    print(f"cert-verifier listens on {site.url}", file=sys.stderr, flush=True)


def _site_store(options: argparse.Namespace) -> int:
    done = asyncio.run(prepare_site(load_folder(options.dir).site_store, options.dir))
    print(f"{options.dir}: {', '.join(done) or '已是最新 / up to date'}")
    return 0


def _read_policy(path: Path) -> str:
    """The text of a policy file. Raises Malformed and Unavailable; what it says is checked with the trust."""
    try:
        with path.open("rb") as file:
            return file.read(POLICY_CEILING + 1).decode()
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise Malformed(f"{path.name}: not UTF-8") from None


def _read_item(name: str) -> str | bytes:
    """`-` is stdin; a link is itself; otherwise a file if there is one, else a text. Raises Malformed."""
    if name == "-":
        return sys.stdin.buffer.read(MAX_INPUT + 1)
    if name.startswith(("http://", "https://")):
        return name
    with suppress(OSError, ValueError):
        if Path(name).is_file():
            with Path(name).open("rb") as file:
                return file.read(MAX_INPUT + 1)
    if "/" in name or "." in name:
        raise Malformed(f"没有这个文件 / no such file: {name[:200]}")
    return name


def _tell(message: str) -> None:
    print(f"cert-verifier: {message}", file=sys.stderr)


def _fail(message: str, error: Exception) -> int:
    _tell(message)
    return _status(error)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cert-verifier", description="核验职业技能等级证书 / check skill certificates"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="初始化目录 / make a verifier's folder")
    init.add_argument("--base", required=True, action="append", metavar="URL", help="官方网址 / official address")
    init.add_argument("--no-replica", action="store_true", help="不保存副本 / keep no copy of the log")
    init.add_argument("--port", type=int, help="监听端口 / port for serve")
    init.set_defaults(run=_init)

    more = commands.add_parser("add-log", help="再信任一个日志 / believe one more log")
    more.set_defaults(run=_add_log)
    for command in (init, more):
        _add_log_options(command)

    sync = commands.add_parser("sync", help="更新本机副本 / bring the replica up to date")
    sync.add_argument("--json", action="store_true")
    sync.set_defaults(run=_sync)

    check = commands.add_parser("check", help="核验一张证书 / check one certificate")
    check.add_argument(
        "item",
        metavar="X",
        help="链接、二维码内容或文件；- 从标准输入读取，链接中的密钥便不会出现在进程列表里 / link, QR text or file; "
        "- reads it from stdin, which keeps the secret in a link out of the process list",
    )
    add_as_of(check)
    kit.add_option(check)
    check.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    check.add_argument("--json", action="store_true")
    check.add_argument("--lang", choices=("zh", "en"))
    check.set_defaults(run=_check)

    serving = commands.add_parser("serve", help="提供网页核验 / serve the pages and the API")
    serving.add_argument("--port", type=int, help="覆盖设置中的端口 / instead of the port in the settings")
    kit.add_serving(serving)
    serving.add_argument("--passphrase-file", type=Path, help="回执密钥的口令 / passphrase of the receipt key")
    serving.set_defaults(run=_serve)

    site_store = commands.add_parser(
        "site-store", help="建立或升级站点存储 / make the site's store, or bring it up to date"
    )
    site_store.set_defaults(run=_site_store)

    commands.add_parser("audit", help="审计整个日志 / audit a whole log", add_help=False)

    asked = holders.add_command(commands)
    for command in (init, more, sync, check, add_refresh(commands), serving, site_store, asked):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    for command in (sync, check):
        command.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    witness.add_commands(commands)
    claims.add_commands(commands)
    eligibility.add_commands(commands)
    batch.add_commands(commands)
    kit.add_commands(commands)
    add_receipt_key(commands)
    add_api_key(commands)
    add_check_list(commands)
    return parser


def _add_log_options(command: argparse.ArgumentParser) -> None:
    """What says which log is believed, and where it is."""
    command.add_argument("--ledger", default="", metavar="URL", help="账本地址 / address of the ledger")
    command.add_argument(
        "--tiles",
        default="",
        metavar="URL",
        help="从静态服务器或 file:///目录 取日志 / read the log from a static server or file:///folder",
    )
    command.add_argument(
        "--store", default="", help="副本：SQLite 文件或 postgresql://… / replica: SQLite file or postgresql://…"
    )
    command.add_argument(
        "--token",
        type=Path,
        metavar="FILE",
        help="账本令牌文件，用于按编号和姓名查询 / file in the folder with the ledger's token, for look-ups",
    )
    command.add_argument("--origin", required=True, help="日志名称 / name of the log")
    command.add_argument("--vkey", required=True, action="append", help="日志公钥，两个 / log keys, give both")
    command.add_argument("--genesis", required=True, metavar="HEX", help="第 0 条的 SHA-256 / SHA-256 of entry 0")
    command.add_argument("--policy", type=Path, metavar="FILE", help="见证策略 / witness policy (C2SP tlog-policy)")
    command.add_argument(
        "--receipt-key", default="", metavar="HEX", help="日志收据公钥 / key of the log's RFC 9942 receipts"
    )
    command.add_argument(
        "--map-auditor",
        action="append",
        default=[],
        metavar="VKEY",
        help="状态审计员公钥 / key of a map auditor",
    )


if __name__ == "__main__":
    sys.exit(main())

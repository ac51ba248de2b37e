"""cert-verifier: check certificates against one's own verified copy of the log.

    init    make the folder: trust settings and an empty replica
    sync    bring the replica up to date
    check   judge one link, QR text, bundle, PDF, picture or text file; now, or as of an earlier day
    refresh put a newer proof into a holder's bundle or staple
    serve   follow the log and answer over HTTP
    audit   replay a whole log and report; keep following and cosign as an auditor (verifier/audit/console.py)
    witness cosign the checkpoints of logs (a program of its own, with keys of its own)

Exit status of check: 0 valid, 1 not valid, 2 usage or malformed input, 3 could not tell. Of the others: 0 or 2, 3 when
the world did not answer, 1 when the log broke a rule.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from ledger.client import LedgerClient
from ledger.edge import Site, run_app
from ledger.edge_connection import EdgeSettings
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.progress import Progress
from ledger.store.opening import open_store
from ledger.store.protocol import Store
from ledger.text import Text
from ledger.tlog.policy import POLICY_CEILING
from verifier.audit import console as audit_console
from verifier.config import (
    TrustConfig,
    VerifierSettings,
    create_folder,
    is_served,
    load_folder,
    mark_served,
)
from verifier.console import add_as_of, add_refresh, as_of
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.replica import Replica, Violation
from verifier.report import Printer
from verifier.scanning import Scanner
from verifier.trust import NO_QUORUM
from verifier.verdict import Verdict, exit_code
from verifier.web.app import create_app
from verifier.web.state import WebSettings
from verifier.witness import console as witness

MAX_INPUT: Final = 20_000_000  # bytes of a file or of stdin
_POOL_THREADS: Final = 2
_READ_ATTEMPTS: Final = 5
_WAIT_S: Final = 10.0  # for another `check` or `sync` to finish with the replica
_LOOK_S: Final = 0.05
_log = logging.getLogger("verifier")


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)  # which certificates were looked up here is nobody else's business
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["audit"]:
            return audit_console.main(words[1:])
        options = _parser().parse_args(words)
        return int(options.run(options))
    except Refused as error:
        return _fail(error.text.both(), 2)
    except Malformed as error:
        return _fail(f"格式不正确 / not well formed: {error}", 2)
    except Violation as error:
        return _fail(_words(error), 1 if error.proven else 3)
    except Unverified as error:
        return _fail(_words(error), 1)
    except (Unavailable, OSError) as error:
        return _fail(f"无法完成 / could not be done: {error}", 3)
    except KeyboardInterrupt:
        return 130


def _init(options: argparse.Namespace) -> int:
    trust = TrustConfig(
        options.origin,
        tuple(options.vkey),
        options.genesis,
        tuple(options.base),
        policy=NO_QUORUM if options.policy is None else _read_policy(options.policy),
        map_auditors=tuple(options.map_auditor),
    )
    chosen = {name: value for name in ("port", "store") if (value := getattr(options, name)) is not None}
    settings = VerifierSettings(options.ledger, trust, replica=not options.no_replica, **chosen)
    asyncio.run(create_folder(options.dir, settings))
    following = f"check --dir {options.dir} X" if options.no_replica else f"sync --dir {options.dir}"
    print(f"{options.dir}: initialised, nothing verified yet; next: cert-verifier {following}")
    return 0


def _sync(options: argparse.Namespace) -> int:
    settings = _with_replica(options.dir)

    async def run() -> Replica:
        async with _opened(options.dir, settings) as (replica, _):
            await _bring_up_to_date(replica, quiet=options.quiet)
            return replica

    verified = asyncio.run(run()).verified
    assert verified is not None
    if options.json:
        print(json.dumps({"size": verified.size, "root": verified.root.hex(), "time_ms": verified.time_ms}))
    else:
        print(f"verified {verified.size} entries, root {verified.root.hex()}")
    return 0


def _with_replica(folder: Path) -> VerifierSettings:
    """The settings of a folder that keeps a replica. Raises Refused for one that does not."""
    settings = load_folder(folder)
    if not settings.replica:
        raise Refused("NO_REPLICA", str(folder), Text("该目录不保存副本", "This folder keeps no replica"))
    return settings


def _check(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    verdict = asyncio.run(_checked(options, settings))
    messages = load_messages()
    if options.json:
        print(json.dumps(messages.as_json(verdict), ensure_ascii=False))
    else:
        print(Printer(messages, options.lang, colour=sys.stdout.isatty()).block(verdict), end="")
    return exit_code(verdict)


async def _checked(options: argparse.Namespace, settings: VerifierSettings) -> Verdict:
    item = _read_item(options.item)
    async with LedgerClient(settings.ledger_url) as client:
        source = None if options.offline else client
        light = options.light or not settings.replica
        lookup = Lookup(
            settings.trust.build(),
            source,
            Scanner(),
            _now_ms,
            offline=options.offline,
            proofs=source if light else None,
            as_of=as_of(options),
        )
        if light:
            return await (lookup.by_text(item) if isinstance(item, str) else lookup.by_file(item))
        wait_s = 0.0 if options.offline else _WAIT_S
        async with _opened(options.dir, settings, share=True, wait_s=wait_s) as (replica, shared):
            lookup.replica = replica
            if not options.offline and not shared:
                try:
                    await _bring_up_to_date(replica, quiet=options.quiet or options.json)
                except CertLedgerError as error:
                    print(f"cert-verifier: {_words(error)}", file=sys.stderr)
            return await (lookup.by_text(item) if isinstance(item, str) else lookup.by_file(item))


def _serve(options: argparse.Namespace) -> int:
    settings = _with_replica(options.dir)
    trust = settings.trust.build()
    edge = EdgeSettings(behind_proxy=settings.behind_proxy, tls_cert=settings.tls_cert, tls_key=settings.tls_key)
    client = LedgerClient(settings.ledger_url)
    lookup = Lookup(trust, client, Scanner(), _now_ms)

    async def follower(_app: web.Application) -> AsyncIterator[None]:
        async with client, _opened(options.dir, settings, source=client) as (replica, _):
            lookup.replica = replica
            with mark_served(options.dir):
                task = asyncio.create_task(replica.follow(_now_ms, _alarm, settings.poll_ms / 1000))
                task.add_done_callback(lambda done: _halt_on_bug(replica, done))
                yield
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            lookup.replica = None

    app = create_app(lookup, WebSettings(base=trust.bases[0]))
    app.cleanup_ctx.append(follower)
    port = settings.port if options.port is None else options.port
    run_app(app, settings.host, port, edge, on_ready=_announce)
    return 0


@asynccontextmanager
async def _opened(
    folder: Path,
    settings: VerifierSettings,
    *,
    source: LedgerClient | None = None,
    share: bool = False,
    wait_s: float = 0.0,
) -> AsyncIterator[tuple[Replica, bool]]:
    """The folder's replica, and whether another process writes it, so that we only read. With `share` that is a
    running `serve`, which keeps it up to date, or whoever has not finished after `wait_s`."""
    store, shared = await _open_store(folder, settings.store, share=share, wait_s=wait_s)
    trust = settings.trust.build()
    try:
        with ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="signatures") as pool:
            async with LedgerClient(settings.ledger_url) as own:
                for attempt in range(_READ_ATTEMPTS):
                    try:
                        replica = await Replica.open(store, source or own, trust, pool, now_ms=_now_ms())
                        break
                    except Unverified:  # the writer committed between two of our reads
                        if not shared or attempt == _READ_ATTEMPTS - 1:
                            raise
                        await asyncio.sleep(0.05)
                yield replica, shared
    finally:
        await store.close()


async def _open_store(folder: Path, name: str, *, share: bool, wait_s: float) -> tuple[Store, bool]:
    until = time.monotonic() + wait_s
    while True:
        if not (share and is_served(folder)):
            try:
                return await open_store(name, folder, private=False), False
            except Refused as error:
                if error.code != "STORE_IN_USE" or not share:
                    raise
        if is_served(folder) or time.monotonic() >= until:
            return await open_store(name, folder, private=False, read_only=True), True
        await asyncio.sleep(_LOOK_S)


async def _bring_up_to_date(replica: Replica, *, quiet: bool) -> None:
    label = Text("同步登记日志", "following the log")
    with Progress(None, label, sys.stderr, time.monotonic, done=replica.integrator.size, quiet=quiet) as progress:

        def reached(size: int) -> None:
            progress.total = replica.target
            progress.advance(size - progress.done)

        await replica.poll(_now_ms(), reached)


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


def _alarm(error: CertLedgerError) -> None:
    _log.warning("replica: %s: %s", type(error).__name__, _words(error))


def _halt_on_bug(replica: Replica, done: asyncio.Task[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.critical("replica stopped by a bug", exc_info=error)
        replica.halted = Violation("the follower stopped because of a bug")


def _announce(site: Site) -> None:
    print(f"cert-verifier listens on {site.url}", file=sys.stderr, flush=True)


def _words(error: CertLedgerError) -> str:
    if isinstance(error, Refused):
        return error.text.both()
    if isinstance(error, Violation) and error.proven:
        return f"日志违反规则，已停止 / the log broke a rule, so following has stopped: {error}"
    if isinstance(error, Unverified):
        return f"未通过验证 / does not verify: {error}"
    return f"暂时无法更新 / cannot be brought up to date now: {error}"


def _fail(message: str, status: int) -> int:
    print(f"cert-verifier: {message}", file=sys.stderr)
    return status


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cert-verifier", description="核验职业技能等级证书 / check skill certificates"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="初始化目录 / make a verifier's folder")
    init.add_argument("--ledger", required=True, metavar="URL", help="从哪里取日志 / where to fetch the log")
    init.add_argument("--origin", required=True, help="日志名称 / name of the log")
    init.add_argument("--vkey", required=True, action="append", help="日志公钥，两个 / log keys, give both")
    init.add_argument("--genesis", required=True, metavar="HEX", help="第 0 条的 SHA-256 / SHA-256 of entry 0")
    init.add_argument("--base", required=True, action="append", metavar="URL", help="官方网址 / official address")
    init.add_argument("--policy", type=Path, metavar="FILE", help="见证策略 / witness policy (C2SP tlog-policy)")
    init.add_argument(
        "--map-auditor",
        action="append",
        default=[],
        metavar="VKEY",
        help="状态审计员公钥 / key of a map auditor",
    )
    init.add_argument("--no-replica", action="store_true", help="不保存副本 / keep no copy of the log")
    init.add_argument("--store", help="副本：SQLite 文件或 postgresql://… / replica: SQLite file or postgresql://…")
    init.add_argument("--port", type=int, help="监听端口 / port for serve")
    init.set_defaults(run=_init)

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
    check.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    check.add_argument("--json", action="store_true")
    check.add_argument("--lang", choices=("zh", "en"))
    check.set_defaults(run=_check)

    serve = commands.add_parser("serve", help="提供网页核验 / serve the pages and the API")
    serve.add_argument("--port", type=int, help="覆盖设置中的端口 / instead of the port in the settings")
    serve.set_defaults(run=_serve)

    commands.add_parser("audit", help="审计整个日志 / audit a whole log", add_help=False)

    for command in (init, sync, check, add_refresh(commands), serve):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    for command in (sync, check):
        command.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    witness.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

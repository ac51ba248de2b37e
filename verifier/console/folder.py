"""`cert-verifier init | add-log | site-store`: what makes a verifier's folder, and what it believes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from ledger.errors import Malformed, cannot_read
from ledger.text import Text
from ledger.tlog.policy import POLICY_CEILING
from verifier.config import LogConfig, VerifierSettings, add_log, create_folder, load_folder
from verifier.site.opening import prepare_site
from verifier.trust import NO_QUORUM

_NEVER_GREEN = Text(
    "没有副本，也没有给出状态审计员的公钥：这样的核验永远不会是绿色。请在 verifier.toml 的 map_auditors 写入其公钥，"
    "或保留副本",
    "no replica and no key of a map auditor: no check with these settings can be green. Put the auditor's vkeys into "
    "map_auditors of verifier.toml, or keep a replica",
)


def add_init(init: argparse.ArgumentParser) -> None:
    init.add_argument("--base", required=True, action="append", metavar="URL", help="官方网址 / official address")
    init.add_argument("--no-replica", action="store_true", help="不保存副本 / keep no copy of the log")
    init.add_argument("--port", type=int, help="监听端口 / port for serve")
    _add_log_options(init)
    init.set_defaults(run=_init)


def add_add_log(more: argparse.ArgumentParser) -> None:
    _add_log_options(more)
    more.set_defaults(run=_add_log)


def add_site_store(site_store: argparse.ArgumentParser) -> None:
    _add_folder(site_store)
    site_store.set_defaults(run=_site_store)


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
    _add_folder(command)


def _add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")


def _init(options: argparse.Namespace) -> int:
    port = {} if options.port is None else {"port": options.port}
    settings = VerifierSettings(tuple(options.base), (_log_of(options),), replica=not options.no_replica, **port)
    asyncio.run(create_folder(options.dir, settings))
    if settings.replica:  # without one nothing is served
        asyncio.run(prepare_site(settings.site_store, options.dir))
    following = f"check --dir {options.dir} X" if options.no_replica else f"sync --dir {options.dir}"
    print(
        f"{options.dir}: 已初始化，尚未核验任何内容，接着请运行 cert-verifier {following} / "
        f"initialised, nothing verified yet; next: cert-verifier {following}"
    )
    if options.no_replica and not options.map_auditor:
        print(_NEVER_GREEN.both(), file=sys.stderr)
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
        raise cannot_read(path, error) from error
    except UnicodeDecodeError:
        raise Malformed(Text(f"{path.name}：不是 UTF-8 编码", f"{path.name}: not UTF-8")) from None

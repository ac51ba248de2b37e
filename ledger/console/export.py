"""`cert-ledger export-tiles`: the log as files, in a folder or an object store."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ledger.errors import Malformed, Unavailable
from ledger.export.folder import FolderPlace
from ledger.export.s3 import S3Place, read_bucket
from ledger.export.tiles import Export, Exported
from ledger.log_folder import open_log
from ledger.progress import Progress
from ledger.service.config import LedgerSettings
from ledger.service.log_keys import log_keys
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.text import Text

EVERY_S: Final = 10
_MAX_PAUSE_S: Final = 120.0
_LABEL: Final = Text("导出日志", "exporting the log")
_CANNOT: Final = Text("暂时无法导出", "cannot export now")
_AGAIN: Final = Text("恢复应答，继续导出", "answered again, exporting goes on")


def add_export_tiles(export: argparse.ArgumentParser) -> None:
    export.add_argument("folder", type=Path, metavar="FOLDER", help="日志目录 / the log's folder")
    export.add_argument(
        "--to",
        required=True,
        metavar="DIR|s3://BUCKET/PREFIX",
        help="目录，或对象存储（密钥和地址取自环境变量） / a folder, or an object store with keys and address in "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL",
    )
    export.add_argument(
        "--ledger",
        metavar="URL",
        help="账本地址，默认取自设置 / where the ledger listens; by default as its settings say",
    )
    export.add_argument("--follow", action="store_true", help="持续导出新检查点 / keep exporting what is published")
    export.add_argument(
        "--every", type=int, default=EVERY_S, metavar="S", help="--follow 的间隔秒数 / seconds between two looks"
    )
    export.add_argument("--json", action="store_true")
    export.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.every <= 3600:
        raise Malformed(Text("--every：1 到 3600 秒", "--every: 1 to 3600 seconds"))
    settings = load_settings(LedgerSettings, arguments.folder / SETTINGS_FILE)
    asyncio.run(_run(arguments, settings))
    return 0


async def _run(arguments: argparse.Namespace, settings: LedgerSettings) -> None:
    url = arguments.ledger or local_url(settings)
    async with open_log(url) as source, open_place(arguments.to, os.environ) as place:
        export = Export(source, place, settings.origin, log_keys(arguments.folder, settings))
        failed = ""
        try:
            await _once(export, arguments)
        except Unavailable as error:
            if not arguments.follow:
                raise
            failed = _say_cannot(error)
        if arguments.follow:
            await follow(lambda: _once(export, arguments), float(arguments.every), asyncio.sleep, failed)


async def follow(
    look: Callable[[], Awaitable[None]], every_s: float, sleep: Callable[[float], Awaitable[None]], failed: str = ""
) -> None:
    """Look for ever. Ledger or store not answering is waited for, and said once, and once more when they answer again
    or fail otherwise; `failed`: what was said of it before. Whatever else it is, `look` raises on."""
    pause_s = every_s
    while True:
        await sleep(pause_s)
        try:
            await look()
        except Unavailable as error:
            pause_s = min(2 * pause_s, max(_MAX_PAUSE_S, every_s))
            if failed != str(error):
                failed = _say_cannot(error)
            continue
        pause_s = every_s
        if failed:
            print(_AGAIN.both(), file=sys.stderr, flush=True)
        failed = ""


def _say_cannot(error: Unavailable) -> str:
    """Says it, and returns what it is."""
    print(f"{_CANNOT.both()}: {error.what.both()}", file=sys.stderr, flush=True)
    return str(error)


async def _once(export: Export, arguments: argparse.Namespace) -> None:
    """One look, which is not heard of where nothing is new."""
    with ExitStack() as shown:
        progress: Progress | None = None

        def reached(size: int) -> None:
            nonlocal progress
            if progress is None:
                bar = Progress(export.target, _LABEL, sys.stderr, time.monotonic, done=size, quiet=arguments.quiet)
                progress = shown.enter_context(bar)
            progress.advance(size - progress.done)

        exported = await export.once(reached)
    if exported is not None:
        print(_said(exported, as_json=arguments.json), flush=True)
    elif not arguments.follow:
        print('{"entries": 0, "files": 0}' if arguments.json else "没有更新 / nothing new")


def _said(exported: Exported, *, as_json: bool) -> str:
    head = exported.checkpoint
    if as_json:
        facts = {"size": head.size, "root": head.root.hex(), "entries": exported.entries, "files": exported.files}
        return json.dumps(facts)
    text = Text(
        "已导出至第 {size} 条（新增 {entries} 条、{files} 个文件）",
        "exported {size} entries ({entries} new, {files} files)",
    )
    return text.format(size=head.size, entries=exported.entries, files=exported.files).both()


def open_place(to: str, environ: Mapping[str, str]) -> FolderPlace | S3Place:
    """The place that `--to` names. Raises Malformed."""
    if to.startswith("s3://"):
        return S3Place(*read_bucket(to, environ))
    if "://" in to:
        raise Malformed(Text("--to：应为目录，或 s3://存储桶/前缀", "--to: a folder, or s3://bucket/prefix"))
    return FolderPlace(Path(to))


def local_url(settings: LedgerSettings) -> str:
    """Where a ledger with these settings listens, seen from its own machine."""
    host = settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104  # not bound here
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"

"""`cert-verifier check`: one link, QR text, bundle, PDF, picture or text file; now, or as of an earlier day; or a
receipt; or whether a tlog-proof or RFC 9942 receipt puts a statement into the log."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from ledger.errors import Malformed
from ledger.records.dates import parse_day
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import VerifierSettings, load_folder
from verifier.console.terminal import tell
from verifier.known_log import AsOf
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.opened import logs_to_ask
from verifier.places.console import judge_placed, placed_exit, placed_json, say_placed
from verifier.places.placed import is_place_proof
from verifier.receipts.console import judge_receipt, receipt_in, receipt_json, say_receipt
from verifier.report import Printer
from verifier.scanning import Scanner
from verifier.verdict import Code, Verdict, exit_code, without_item

MAX_INPUT: Final = 20_000_000  # bytes of a file or of stdin


def add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "item",
        metavar="X",
        help="链接、二维码内容或文件；- 从标准输入读取，链接中的密钥便不会出现在进程列表里 / link, QR text or file; "
        "- reads it from stdin, which keeps the secret in a link out of the process list",
    )
    check.add_argument("--light", action="store_true", help="不用本机副本，向账本取证明 / ask the ledger for a proof")
    moment = check.add_mutually_exclusive_group()
    moment.add_argument("--as-of", metavar="YYYY-MM-DD", help="该日结束时的状态 / the state at the end of that day")
    moment.add_argument("--as-of-size", type=int, metavar="N", help="日志前 N 条时的状态 / as of the first N leaves")
    check.add_argument("--kit", type=Path, metavar="FILE", help="只凭离线包核验 / judge by an offline kit alone")
    check.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    check.add_argument("--json", action="store_true")
    check.add_argument("--lang", choices=("zh", "en"))
    check.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    check.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    settings, messages = load_folder(options.dir), load_messages()
    item = _read_item(options.item)
    if isinstance(item, bytes) and is_place_proof(item):
        placed = asyncio.run(judge_placed(item, options, settings, wall_ms, tell))
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
    messages, now_ms = load_messages(), wall_ms()
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
        from verifier.kit.console import check_by_kit  # kits, and the keys that sign them

        return await check_by_kit(options.dir, settings, options.kit, item)
    async with AsyncExitStack() as stack:
        logs = await logs_to_ask(
            options.dir, settings, stack, wall_ms,
            offline=options.offline, light=options.light, quiet=options.quiet or options.json, tell=tell,
        )  # fmt: skip
        lookup = Lookup(logs, Scanner(), wall_ms, offline=options.offline, as_of=_as_of(options))
        return await (lookup.by_text(item) if isinstance(item, str) else lookup.by_file(item))


def _as_of(options: argparse.Namespace) -> AsOf | None:
    """The earlier moment that was asked about. Raises Malformed."""
    if options.as_of is not None:
        return AsOf(day=parse_day(options.as_of))
    return None if options.as_of_size is None else AsOf(size=options.as_of_size)


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
        raise Malformed(Text(f"没有这个文件：{name[:200]}", f"no such file: {name[:200]}"))
    return name

"""What a person types about lists: `check-list FILE --out FILE`, and whether an answered list is as it was signed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from ledger.durable import check_new, write_new_file
from ledger.progress import Progress
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import VerifierSettings, load_folder
from verifier.console.terminal import read_file, tell
from verifier.hiring.checking import ListChecker, ListResult
from verifier.hiring.sheets import HiringList, read_list
from verifier.hiring.verifying import verify_list
from verifier.hiring.writing import summary_lines, write_result
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.opened import logs_to_ask, numbers_to_ask
from verifier.patience import NOBODY_WAITS_S
from verifier.receipts.keys import open_receipt_key, own_public_key
from verifier.scanning import Scanner
from verifier.verdict import GREEN

MAX_LIST: Final = 64 * 1024 * 1024  # bytes
_LABEL: Final = Text("核验名单", "checking the list")
_GOOD: Final = Text("{path}：与签名一致", "{path}: as it was signed")
_STRANGER: Final = Text("签名公钥在此未知：{key}", "the signing key is not known here: {key}")


def add_check_list(check: argparse.ArgumentParser) -> None:
    check.add_argument("file", type=Path, metavar="FILE", help="xlsx, CSV, zip")
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="FILE", help="结果文件 / where the answered sheet goes")
    what.add_argument("--verify", action="store_true", help="核对已核验的名单 / is an answered list as it was signed")
    check.add_argument("--lang", choices=("zh", "en", "both"), default="both")
    check.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    check.add_argument("--light", action="store_true", help="不用本机副本，向账本取证明 / ask the ledger for proofs")
    check.add_argument("--unsigned", action="store_true", help="不签名 / do not sign the summary")
    check.add_argument("--passphrase-file", type=Path, help="回执密钥的口令 / passphrase of the receipt key")
    check.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    check.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    check.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    raw = read_file(options.file, MAX_LIST)
    if options.verify:
        return _verify(options, settings, raw)
    check_new(options.out)
    asked = read_list(raw, options.file.name)
    for note in asked.notes:
        print(note.text.both(), file=sys.stderr)
    result = asyncio.run(_check(options, settings, asked))
    messages = load_messages()
    write_new_file(options.out, write_result(asked.sheet, result, messages, options.lang), 0o600)
    for item, content in summary_lines(result.summary, messages, options.lang):
        print(f"{item}: {content}")
    return 0 if all(row.code in GREEN for row in result.rows.values()) else 1


def _verify(options: argparse.Namespace, settings: VerifierSettings, raw: bytes) -> int:
    own = own_public_key(options.dir)
    known = {bytes.fromhex(key) for key in settings.receipt_keys} | ({own} if own else set())
    verified = verify_list(raw, known, load_messages())
    for item, content in summary_lines(verified.summary, load_messages(), options.lang):
        print(f"{item}: {content}")
    if not verified.known:
        print(_STRANGER.format(key=verified.summary.public.hex()).both(), file=sys.stderr)
        return 3
    print(_GOOD.format(path=options.file).both())
    return 0


async def _check(options: argparse.Namespace, settings: VerifierSettings, asked: HiringList) -> ListResult:
    signer = None if options.unsigned else open_receipt_key(options.dir, options.passphrase_file)
    async with AsyncExitStack() as stack:
        logs = await logs_to_ask(
            options.dir, settings, stack, wall_ms,
            offline=options.offline, light=options.light, quiet=options.quiet, tell=tell,
        )  # fmt: skip
        lookup = Lookup(logs, Scanner(), wall_ms, offline=options.offline, answer_s=NOBODY_WAITS_S)
        names = await numbers_to_ask(options.dir, settings, lookup, stack, wall_ms, offline=options.offline)
        checker = ListChecker(lookup, load_messages(), settings.bases[0], wall_ms, signer, names)
        total = len(asked.questions)
        with Progress(total, _LABEL, sys.stderr, time.monotonic, quiet=options.quiet) as bar:
            return await checker.check(asked, options.lang, lambda done: bar.advance(done - bar.done))

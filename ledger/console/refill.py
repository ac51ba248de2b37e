"""`cert-ledger refill`: a store that is older than what was signed gets what it lacks from a copy of the log.

The copy is what any verifier keeps: its replica, a SQLite file or a schema of PostgreSQL. The guard is not touched, and
says at the next start whether it was enough.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ledger.console.paths import add_folder, add_owner
from ledger.errors import Refused
from ledger.progress import Progress
from ledger.service.config import LedgerSettings
from ledger.service.log_keys import log_keys
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store.erasing import BACK_AGAIN
from ledger.store.opening import Opened, check_place, create_store, open_store
from ledger.store.refilling import refill
from ledger.text import Text

_LABEL = Text("补齐", "refilling")
_ROWS = Text(
    "补入的证书没有编号、人员和信封各行，本命令无法补出：请用 fsck 查看数目",
    "What was taken in has no rows of numbers, persons and envelopes, and no copy has them: fsck counts it",
)


def add_refill(more: argparse.ArgumentParser) -> None:
    add_folder(more)
    add_owner(more)
    more.add_argument(
        "--from",
        required=True,
        dest="source",
        metavar="REPLICA",
        help="核验方的副本：SQLite 文件或 postgresql://… / a verifier's replica: SQLite file or postgresql://…",
    )
    more.set_defaults(run=_refill)


def _refill(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    check_place(arguments.source, "from")
    keys = log_keys(arguments.dir, settings)

    async def run() -> int:
        source = await open_store(arguments.source, Path(), private=False, read_only=True)
        try:
            store = await _open(settings, arguments)
            try:
                older = await store.head() is not None
                with ThreadPoolExecutor(2) as workers, Progress(None, _LABEL, sys.stderr, time.monotonic) as bar:

                    def reached(done: int, total: int) -> None:
                        bar.total = total
                        bar.advance(done - bar.done)

                    head = await refill(store, source, settings.origin, keys, workers, reached)
            finally:
                await store.close()
        finally:
            await source.close()
        print(f"size {head.size} root {head.root.hex()}")
        print(_ROWS.both(), file=sys.stderr)
        if older:
            print(BACK_AGAIN.both(), file=sys.stderr)
        return 0

    return asyncio.run(run())


async def _open(settings: LedgerSettings, arguments: argparse.Namespace) -> Opened:
    """The log's store, or a new one where there is none: nothing may be left but copies."""
    try:
        return await create_store(settings.store, arguments.dir, private=True, owner=arguments.store_owner)
    except Refused as refusal:
        if refusal.code not in ("EXISTS", "STORE_OWNER"):
            raise
        return await open_store(settings.store, arguments.dir, private=True)

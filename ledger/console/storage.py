"""`cert-ledger fsck | migrate`: what the operator does to the store, the same on both kinds."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ledger.console.paths import add_folder, add_owner
from ledger.progress import Progress
from ledger.service.config import LedgerSettings
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store.fsck import fsck
from ledger.store.opening import open_store, upgrade_store
from ledger.store.protocol import Store
from ledger.store.sqlite import create_sqlite
from ledger.text import Text


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser("fsck", help="检查存储 / check the store")
    add_folder(check)
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_fsck)

    steps = commands.add_parser("migrate", help="升级存储结构 / bring the store's schema up to this version")
    add_folder(steps)
    add_owner(steps)
    steps.add_argument("--dry-run", action="store_true", help="只列出缺少的步骤 / only say which steps are missing")
    steps.set_defaults(run=_migrate)


def _fsck(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)

    async def check() -> list[str]:
        store = await open_store(settings.store, arguments.dir, private=True, read_only=True)
        try:
            return await prove(store)
        finally:
            await store.close()

    problems = asyncio.run(check())
    if arguments.json:
        print(json.dumps({"problems": problems}, ensure_ascii=False))
    else:
        print("\n".join(problems) or "存储完好 / the store is sound")
    return 1 if problems else 0


async def prove(store: Store) -> list[str]:
    """Everything that is wrong with a ledger's store: its whole log replayed into a scratch file, with progress."""
    with tempfile.TemporaryDirectory(prefix="fsck-") as folder, ThreadPoolExecutor(2) as workers:
        scratch = create_sqlite(Path(folder) / "scratch.db", private=True)
        head = await store.head()
        with Progress(head.size if head else 0, Text("检查", "checking"), sys.stderr, time.monotonic) as bar:
            try:
                return await fsck(store, scratch, workers, lambda done, _: bar.advance(done - bar.done))
            finally:
                await scratch.close()


def _migrate(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    missing = asyncio.run(
        upgrade_store(
            settings.store,
            arguments.dir,
            private=True,
            owner=arguments.store_owner,
            dry_run=arguments.dry_run,
        )
    )
    if not missing:
        print("存储结构已是最新 / the schema is up to date")
    for name in missing:
        print(f"{name}: " + ("缺少 / missing" if arguments.dry_run else "已完成 / done"))
    return 0

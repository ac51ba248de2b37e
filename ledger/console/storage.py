"""`cert-ledger fsck | migrate | migrate-store | migrate-guard | backup | restore`: the same on both kinds of store.

A backup is a store in one SQLite file, whatever kind it was made from: it is checked as any store is, needs no program
of the database's, and is restored into either kind. The guard is never part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ledger.console.operate import PASSPHRASE
from ledger.console.paths import add_folder, add_owner
from ledger.durable import sync_folder
from ledger.errors import Refused, Unavailable, cannot
from ledger.keystore import open_key_file, read_passphrase
from ledger.progress import Progress
from ledger.service.claim_links import check_links
from ledger.service.config import LedgerSettings
from ledger.service.guards import move_guard
from ledger.service.nullifiers import Nullifiers
from ledger.service.private_index import PrivateIndex
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store.claim_rows import check_claim_rows
from ledger.store.copying import Copyable, DamagedCopy, check_whole, copy_store
from ledger.store.erasing import BACK_AGAIN
from ledger.store.fsck import damage_of, fsck
from ledger.store.numbers import check_numbers
from ledger.store.opening import check_place, create_store, open_store, upgrade_store
from ledger.store.postgres_link import Deadlines
from ledger.store.protocol import StoredHead
from ledger.store.sqlite import create_sqlite
from ledger.store.sqlite_wal import gather
from ledger.text import Text

_NUMBERLESS = Text(
    "{count} 张证书没有编号行，这些编号可能被再次使用：refill 补齐的条目如此，否则存储已损坏",
    "{count} certificates have no number row, and their numbers could be given again: so it is with what refill "
    "brought; otherwise the store is damaged",
)


_UNLINKED = Text(
    "{count} 笔申领没有指向证书的行（已删除个人信息，或已损坏）",
    "{count} claims have no row that leads to their certificate: a person was erased, or rows are lost",
)
_RUNS = Text("另一进程正在备份到该文件", "Another process is writing a backup into this file")
_WHOLE_TABLES = Deadlines(read=14_400.0)  # a copy counts its rows: one statement, some seconds a million of them
_PROMPT = Text("日志密钥的口令", "passphrase of the log's keys")


def add_fsck(check: argparse.ArgumentParser) -> None:
    add_folder(check)
    check.add_argument(
        "--keys", action="store_true", help="用日志密钥核对申领 / also open the claims' rows with the log's keys"
    )
    check.add_argument(
        "--numberless", type=int, default=0, metavar="N",
        help="已知没有编号行的证书数（refill 之后）/ certificates known to have no number row (after refill)",
    )  # fmt: skip
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_fsck)


def add_migrate(steps: argparse.ArgumentParser) -> None:
    add_folder(steps)
    add_owner(steps)
    steps.add_argument("--dry-run", action="store_true", help="只列出缺少的步骤 / only say which steps are missing")
    steps.set_defaults(run=_migrate)


def add_migrate_store(move: argparse.ArgumentParser) -> None:
    move.add_argument("source", metavar="FROM", help="SQLite 文件或 postgresql://… / SQLite file or postgresql://…")
    move.add_argument("target", metavar="TO")
    add_owner(move)
    move.set_defaults(run=_migrate_store)


def add_migrate_guard(guard: argparse.ArgumentParser) -> None:
    add_folder(guard)
    guard.add_argument("target", metavar="TO", help="postgresql://…")
    add_owner(guard, "guard")
    guard.set_defaults(run=_migrate_guard)


def add_backup(save: argparse.ArgumentParser) -> None:
    add_folder(save)
    save.add_argument("--out", type=Path, required=True, help="新文件 / a new file")
    save.set_defaults(run=_backup)


def add_restore(back: argparse.ArgumentParser) -> None:
    add_folder(back)
    add_owner(back)
    back.add_argument("--from", type=Path, required=True, dest="source", help="备份文件 / the backup")
    back.set_defaults(run=_restore)


def _fsck(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    nullifiers = None
    if arguments.keys:
        passphrase = read_passphrase(PASSPHRASE, _PROMPT, arguments.passphrase_file)
        key = open_key_file(arguments.dir / settings.keys, passphrase).key("index", "index").secret
        nullifiers = Nullifiers(PrivateIndex(key, os.urandom))

    async def check() -> list[Text]:
        store = await open_store(settings.store, arguments.dir, private=True, read_only=True, deadlines=_WHOLE_TABLES)
        try:
            await check_whole(store)
            return await prove(store, nullifiers, arguments.numberless)
        finally:
            await store.close()

    try:
        problems = asyncio.run(check())
    except Unavailable as error:
        if (damage := damage_of(error)) is None:
            raise
        problems = [damage]
    if arguments.json:
        print(json.dumps({"problems": [problem.en for problem in problems]}, ensure_ascii=False))
    else:
        print("\n".join(problem.both() for problem in problems) or "存储完好 / the store is sound")
    return 1 if problems else 0


async def prove(store: Copyable, nullifiers: Nullifiers | None = None, numberless: int | None = None) -> list[Text]:
    """Everything that is wrong with a ledger's store: its whole log replayed into a scratch file, with progress, then
    its number rows and those of claims, with `nullifiers` also what only its key opens. How many rows are missing that
    erasing a person deletes is said on stderr; so are certificates without a number row, of which more than
    `numberless` are wrong (None: any number may be, in a copy of a store that has them no more)."""
    with tempfile.TemporaryDirectory(prefix="fsck-") as folder, ThreadPoolExecutor(2) as workers:
        scratch = create_sqlite(Path(folder) / "scratch.db", private=True)
        head = await store.head()
        with Progress(head.size if head else 0, Text("检查", "checking"), sys.stderr, time.monotonic) as bar:
            try:
                problems = await fsck(store, scratch, workers, lambda done, _: bar.advance(done - bar.done))
                if problems:
                    return problems
                numbers = await check_numbers(store, scratch)
                claims = await check_claim_rows(store, scratch)
                problems = [*numbers.problems, *claims.problems]
                if nullifiers is not None:
                    problems += await check_links(store, scratch, nullifiers)
            finally:
                await scratch.close()
    if numbers.missing:
        said = _NUMBERLESS.format(count=numbers.missing)
        if numberless is not None and numbers.missing > numberless:
            problems.append(said)
        else:
            print(said.both(), file=sys.stderr)
    if claims.unlinked:
        print(_UNLINKED.format(count=claims.unlinked).both(), file=sys.stderr)
    return problems


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


def _migrate_store(arguments: argparse.Namespace) -> int:
    check_place(arguments.source)
    check_place(arguments.target)

    async def run() -> StoredHead:
        source = await open_store(arguments.source, Path(), private=True, deadlines=_WHOLE_TABLES)  # its only writer
        try:
            return await _copy(source, arguments.target, Path(), arguments.store_owner)
        finally:
            await source.close()

    return _said(asyncio.run(run()))


def _migrate_guard(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    file, target = arguments.dir / settings.guard, arguments.target
    put_away = asyncio.run(move_guard(file, target, settings.origin, settings.store, owner=arguments.guard_owner))
    print(f"{file} → {target}; {put_away.name}\nledger.toml: guard = {json.dumps(target)}")
    return 0


def _backup(arguments: argparse.Namespace) -> int:
    """Begins anew each time: a crash, or a store that is damaged, leaves a file named .partial, which is no backup."""
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    out: Path = arguments.out.absolute()
    partial = out.with_name(out.name + ".partial")

    async def run() -> StoredHead:
        source = await open_store(settings.store, arguments.dir, private=True, read_only=True, deadlines=_WHOLE_TABLES)
        try:
            return await _copy(source, str(partial), Path(), "")
        finally:
            await source.close()

    with _alone(out):
        if out.exists():
            raise Refused("EXISTS", str(out), Text(f"{out} 已存在，不会被覆盖", f"{out} exists; not overwritten"))
        _remove(partial)
        head = asyncio.run(run())
        gather(partial)
        partial.rename(out)
        _remove(partial)
        sync_folder(out.parent)
    return _said(head)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Held while a backup is written, at most until the process ends: a second one into the same file would remove what
    the first has half made, and the first would then give the second's half the backup's name."""
    path = out.with_name(out.name + ".backup.lock")  # none that a store has
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot(Text(f"无法在 {out} 写入备份", f"no backup can be written at {out}"), error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat()
        except OSError as error:  # held, or just let go by one that has ended
            raise Refused("BACKUP_RUNS", str(out), _RUNS) from error
        if not os.path.samestat(there, os.fstat(handle)):
            raise Refused("BACKUP_RUNS", str(out), _RUNS)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _restore(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)

    async def run() -> StoredHead:
        source = await open_store(str(arguments.source.absolute()), Path(), private=True, read_only=True)
        try:
            if await source.meta("origin") != settings.origin.encode():
                raise Refused("ORIGIN", "origin", Text("备份属于另一日志", "The backup is of another log"))
            return await _copy(source, settings.store, arguments.dir, arguments.store_owner)
        finally:
            await source.close()

    head = asyncio.run(run())
    print(BACK_AGAIN.both(), file=sys.stderr)
    return _said(head)


async def _copy(source: Copyable, target_name: str, folder: Path, owner: str) -> StoredHead:
    """Copy into a store that is made here, or was left without a head by the same command. It gets its head when what
    it holds is proven; raises DamagedCopy, its problems printed, when it is not."""
    try:
        target = await create_store(target_name, folder, private=True, owner=owner, deadlines=_WHOLE_TABLES)
    except Refused as refusal:
        if refusal.code != "EXISTS":
            raise
        target = await open_store(target_name, folder, private=True, deadlines=_WHOLE_TABLES)
    with ExitStack() as shown:
        bar = shown.enter_context(Progress(None, Text("复制", "copying"), sys.stderr, time.monotonic))

        def reached(done: int, total: int) -> None:
            bar.total = total
            bar.advance(done - bar.done)

        async def proven(copied: Copyable) -> list[Text]:
            shown.close()
            return await prove(copied)

        try:
            head = await copy_store(source, target, proven, reached)
        except DamagedCopy as damaged:
            print("\n".join(problem.both() for problem in damaged.problems))
            raise
        finally:
            await target.close()
    return head


def _said(head: StoredHead) -> int:
    """Its size and root are the last word of a copy that ended well."""
    print(f"size {head.size} root {head.root.hex()}")
    return 0


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)

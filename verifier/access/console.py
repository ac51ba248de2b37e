"""What an operator types about API keys: `api-key add | list | revoke`."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ledger.errors import Malformed
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.access.keys import MAX_ROWS, PER_MINUTE, ApiKey, ApiKeys
from verifier.config import load_folder
from verifier.site.opening import open_site
from verifier.verdict_json import iso_time

T = TypeVar("T")
_ONCE = Text("请立即保存，之后无法再次显示", "Keep it now: it cannot be shown again")
_REVOKED = Text("{id} 已停用，五秒内生效", "{id} is revoked and ends within five seconds")


def add_api_key(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="新建 / make one")
    add.add_argument("name", metavar="NAME", help="给谁用 / whose it is")
    add.add_argument("--per-minute", type=int, default=PER_MINUTE, help="每分钟请求数 / requests a minute")
    add.add_argument("--max-rows", type=int, default=MAX_ROWS, help="名单行数上限 / rows of a hiring list")
    add.set_defaults(run=_add)
    listed = actions.add_parser("list", help="列出 / list them")
    listed.add_argument("--json", action="store_true")
    listed.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="停用 / revoke one")
    revoke.add_argument("id", metavar="ID")
    revoke.set_defaults(run=_revoke)
    for command in (add, listed, revoke):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")


def _add(options: argparse.Namespace) -> int:
    async def add(keys: ApiKeys) -> str:
        made = await keys.add(
            options.name, secrets.token_bytes, per_minute=options.per_minute, max_rows=options.max_rows
        )
        return made[1]

    if not (1 <= options.per_minute <= 1_000_000 and 1 <= options.max_rows <= MAX_ROWS):
        raise Malformed(
            Text(
                "--per-minute 为 1 到 1000000，--max-rows 为 1 到 10000", "--per-minute 1..1000000, --max-rows 1..10000"
            )
        )
    print(_with_keys(options.dir, add))
    print(_ONCE.both())
    return 0


def _list(options: argparse.Namespace) -> int:
    for key in _with_keys(options.dir, lambda keys: keys.listed()):
        print(
            json.dumps(_shown(key), ensure_ascii=False) if options.json else "  ".join(map(str, _shown(key).values()))
        )
    return 0


def _revoke(options: argparse.Namespace) -> int:
    _with_keys(options.dir, lambda keys: keys.revoke(options.id))
    print(_REVOKED.format(id=options.id).both())
    return 0


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "per_minute": key.per_minute,
        "max_rows": key.max_rows,
        "created": iso_time(key.created_ms),
        "revoked": None if key.revoked_ms is None else iso_time(key.revoked_ms),
    }


def _with_keys(folder: Path, work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    settings = load_folder(folder)

    async def run() -> T:
        store = await open_site(settings.site_store, folder)
        try:
            return await work(ApiKeys(lambda: store, wall_ms))
        finally:
            await store.close()

    return asyncio.run(run())

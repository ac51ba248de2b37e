"""`cert-verifier sync`: the replicas, brought up to date."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from ledger.errors import CertLedgerError
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import load_replicas
from verifier.console.terminal import tell
from verifier.opened import Opened, bring_up_to_date, opened, recreate
from verifier.served import is_served
from verifier.violation import GRAVITY, exit_status, say_failure

_MADE = Text("已重新建立 {origin} 的空副本", "an empty replica of {origin} was made")
_SERVED = Text(
    "正在运行的 serve 若尚未打开过该副本，会在一分钟内打开并同步；若原文件是在其运行时丢失的，请重启 serve",
    "a running serve that could not open it opens and fills it within a minute; if the file was lost while serve ran, "
    "start serve again",
)


def add_sync(sync: argparse.ArgumentParser) -> None:
    sync.add_argument("--json", action="store_true")
    sync.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    sync.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    sync.add_argument(
        "--recreate",
        action="store_true",
        help="重建丢失的副本，从头读取日志 / make a replica that is gone again, and read its log from the start",
    )
    sync.set_defaults(run=_sync)


def _sync(options: argparse.Namespace) -> int:
    settings = load_replicas(options.dir)

    async def run() -> list[tuple[Opened, CertLedgerError | None]]:
        if options.recreate:
            made = await recreate(options.dir, settings)
            for origin in made:
                tell(_MADE.format(origin=origin).both())
            if made and is_served(options.dir):
                tell(_SERVED.both())
                return []
        async with opened(options.dir, settings, wall_ms) as logs:
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
            print(f"{one.origin}: 已核验 / verified {verified.size} entries, root {verified.root.hex()}")
    failures = [(one.origin, failed) for one, failed in done if failed is not None]
    for origin, failed in failures:
        tell(f"{origin}: {say_failure(failed)}")
    return max((exit_status(failed) for _, failed in failures), default=0, key=GRAVITY.index)


async def _updated(one: Opened, *, quiet: bool) -> CertLedgerError | None:
    """What kept this log from being brought up to date; the others go on."""
    try:
        await bring_up_to_date(one, wall_ms, quiet=quiet)
    except CertLedgerError as error:
        return error
    return None

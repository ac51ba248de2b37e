"""`cert-verifier holder-requests`: what holders asked for, for the operator to pass on; and that it was done."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

from ledger.errors import Malformed, Refused
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import load_folder
from verifier.holders.requests import mark_done, waiting
from verifier.site.opening import open_site

_NONE = Text("没有待处理的此申请", "No such request is waiting")


def add_holder_requests(command: argparse.ArgumentParser) -> None:
    command.add_argument("--done", action="append", default=[], metavar="ID", help="标记为已处理 / mark as acted on")
    command.set_defaults(run=run)
    command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")


def run(options: argparse.Namespace) -> int:
    asyncio.run(_run(options.dir, options.done))
    return 0


async def _run(folder: Path, done: list[str]) -> None:
    """One JSON line for each request that waits: id, kind, cert_key, field, order, asked (UTC)."""
    store = await open_site(load_folder(folder).site_store, folder)
    try:
        for text in done:
            try:
                id_ = bytes.fromhex(text)
            except ValueError:
                raise Malformed(Text("申请编号应为十六进制", "an id is hex")) from None
            if not await mark_done(store, id_, wall_ms()):
                raise Refused("NO_REQUEST", text, _NONE)
        for one in [] if done else await waiting(store):
            asked = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.at_ms // 1000))
            line = {"id": one.id.hex(), "kind": one.kind, "cert_key": one.cert_key.hex(), "field": one.field}
            print(json.dumps(line | {"order": one.order.hex(), "asked": asked}))
    finally:
        await store.close()

"""Go's sumdb packages read the real ledger over HTTP while it grows, and accept our receipts and proofs."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.store.hashes import Hashes
from ledger.store.sqlite import open_sqlite
from ledger.tlog.spelling import format_base64
from ledger.tlog.tiles import parse_entries
from ledger.wire import Logged
from tests.interop import test_go
from tests.support.builders import Body
from tests.support.live_ledger import LiveLedger, distinct, drafted, live_body

pytestmark = pytest.mark.interop
checker = test_go.checker  # the programme, built from Debian's packages; says why when it cannot be

SIZES = ((2, 4, 256, 513), (2, 4, 255, 257, 512, 1100))


async def grow(live: LiveLedger, body: Body, labels: Iterator[str], to: int) -> None:
    """Up to exactly `to` leaves: a request to an idle log is one batch, and adds its seal."""
    async with live.client(body) as client:
        while missing := to - live.open(await client.checkpoint()).checkpoint.size:
            assert missing >= 2
            count = min(missing - 1, 300)
            made = await drafted(client, body, *itertools.islice(labels, count))
            receipt = await client.submit([c.submission() for c in made])
            assert all(isinstance(answer, Logged) for answer in receipt.answers)
            live.check(receipt, [c.statement.entry for c in made])


def indexes(size: int) -> list[int]:
    return sorted({at for at in (0, 1, 255, 256, 257, size // 2, size - 2, size - 1) if 0 <= at < size})


async def proofs(live: LiveLedger, size: int, earlier: dict[int, bytes]) -> dict[str, list[dict[str, object]]]:
    """Our own proofs, out of the running ledger's stored tiles."""
    store = open_sqlite(live.folder / "log.db", private=True, read_only=True)
    try:
        hashes = Hashes(store)
        paths = await hashes.inclusion(indexes(size), size)
        return {
            "inclusion": [
                {"index": at, "hashes": [format_base64(each) for each in path]}
                for at, path in zip(indexes(size), paths, strict=True)
            ],
            "consistency": [
                {
                    "old": old,
                    "root": format_base64(root),
                    "hashes": [format_base64(each) for each in await hashes.consistency(old, size)],
                }
                for old, root in earlier.items()
            ],
        }
    finally:
        await store.close()


async def check(
    checker: Path, live: LiveLedger, size: int, earlier: dict[int, bytes], given: object, file: Path
) -> tuple[int, str]:
    file.write_text(json.dumps(given))
    arguments = ["-url", live.url, "-vkey", live.keys[0].format_vkey(), "-proofs", str(file)]
    for at in indexes(size):
        arguments += ["-index", str(at)]
    for old, root in earlier.items():
        arguments += ["-old", f"{old}:{format_base64(root)}"]
    process = await asyncio.create_subprocess_exec(
        checker, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
async def test_go_follows_the_ledger_as_it_grows(checker: Path, tmp_path: Path, sizes: tuple[int, ...]) -> None:
    body, live = live_body("go"), LiveLedger.create(tmp_path / "log", "go")
    live.start()
    try:
        labels = iter(distinct("go", sizes[-1]))
        earlier: dict[int, bytes] = {}
        for size in sizes:
            if size == 4:
                await live.file(body)
            elif size > 4:
                await grow(live, body, labels, size)
            opened = live.open((await live.fetch("/checkpoint"))[2])
            assert opened.checkpoint.size == size
            earlier[size] = opened.checkpoint.root
            given = await proofs(live, size, earlier)
            code, output = await check(checker, live, size, earlier, given, tmp_path / "proofs.json")
            assert code == 0, output
            lines = output.splitlines()
            assert lines[:3] == [
                f"ok checkpoint {live.authority.origin} size {size}, 1 other signatures",
                "ok tiles",
                f"ok entries {size}",
            ]
            assert sorted(lines[3:]) == sorted(
                f"ok {who}{what}"
                for who in ("", "given ")
                for what in (
                    *(f"inclusion of {at} in {size}" for at in indexes(size)),
                    *(f"consistency of {old} with {size}" for old in earlier),
                )
            )
        # The judge is not asleep: a proof for another leaf, another history, another key.
        given["inclusion"][0]["hashes"] = given["inclusion"][1]["hashes"]
        for what, changed, roots in (
            ("given inclusion", given, earlier),
            ("consistency", {}, {**earlier, 2: bytes(32)}),
        ):
            code, output = await check(checker, live, size, roots, changed, tmp_path / "proofs.json")
            assert code == 1 and f"FAILED {what}" in output
        width = size % 256
        bundle = (await live.fetch(f"/tile/entries/{size // 256:03}.p/{width}"))[2]
        assert len(parse_entries(bundle, width)) == width
    finally:
        live.stop()

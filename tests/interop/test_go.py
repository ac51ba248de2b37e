"""Go's sumdb packages, as Debian ships them, read a log made by ledger/tlog over HTTP and accept all of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ledger.errors import Malformed
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner, add_cosignatures
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import Frontier, HashReader, leaf_hash, prove_consistency, prove_inclusion
from ledger.tlog.spelling import format_base64
from ledger.tlog.tiles import (
    EntriesTile,
    format_entries,
    format_tile_path,
    hashes_from_tiles,
    new_entries_tiles,
    parse_tile_path,
    tiles_for_size,
)
from tests.support.growing_log import TIME_S
from tests.support.missing import missing
from tests.support.slow_tree import root as tree_root
from tests.support.witness_bench import make_bench

pytestmark = pytest.mark.interop

GOCODE = Path("/usr/share/gocode")  # where golang-golang-x-mod-dev installs
SIZES = (1, 2, 3, 255, 256, 257, 65_535, 65_536, 65_537, 70_000)
SIGNER = CheckpointSigner("log.example/interop", Ed25519Signer(b"\x01" * 32), MlDsa44Signer(b"\x02" * 32))

Edit = Callable[[str, bytes], bytes]  # (path, answer) -> the answer served


class Log:
    """A log of 70,000 entries that can be served at any smaller size, each partial tile a slice of the full one."""

    def __init__(self) -> None:
        self.entries = [b"entry %d " % i + b"x" * (i % 40) for i in range(SIZES[-1])]
        self.leaves = [leaf_hash(entry) for entry in self.entries]
        frontier, self.subtrees = Frontier.empty(), {}
        for at in range(0, len(self.leaves), 1000):
            frontier, completed = frontier.append(self.leaves[at : at + 1000])
            self.subtrees.update(completed)
        self.roots = {size: tree_root(self.leaves[:size]) for size in SIZES}
        assert frontier.root() == self.roots[SIZES[-1]]

    def tile(self, level: int, index: int, width: int) -> bytes:
        return b"".join(self.subtrees[8 * level, 256 * index + i] for i in range(width))

    def files(self, size: int) -> set[str]:
        """Every tile path that a log of this size has, partial tiles of this size only."""
        return {format_tile_path(t) for t in (*tiles_for_size(size), *new_entries_tiles(0, size))}

    def answer(self, path: str, size: int) -> bytes | None:
        if path == "checkpoint":
            return SIGNER.sign(Checkpoint(SIGNER.origin, size, self.roots[size]), 1_760_000_000)
        try:
            tile = parse_tile_path(path)
        except Malformed:
            return None
        if path not in self.files(size):
            return None
        if isinstance(tile, EntriesTile):
            return format_entries(self.entries[256 * tile.index :][: tile.width])
        return self.tile(tile.level, tile.index, tile.width)

    def reader(self, size: int) -> HashReader:
        widths = {(t.level, t.index): t.width for t in tiles_for_size(size)}
        return hashes_from_tiles(lambda level, index: self.tile(level, index, widths[level, index]))


@pytest.fixture(scope="module")
def log() -> Log:
    return Log()


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads a whole log."""
    return built(tmp_path_factory.mktemp("go"), "check")


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Opens one cosigned checkpoint."""
    return built(tmp_path_factory.mktemp("go"), "cosigned")


def built(folder: Path, name: str) -> Path:
    """A Go programme, built offline from Debian's packages."""
    absent = [
        what
        for what, there in (
            ("golang-go", shutil.which("go")),
            ("golang-golang-x-mod-dev", (GOCODE / "src/golang.org/x/mod/sumdb/tlog").is_dir()),
        )
        if not there
    ]
    if absent:
        missing(f"Debian packages missing: {', '.join(absent)}")
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(GOCODE),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    source = Path(__file__).parent / "go" / f"{name}.go"
    build = ["go", "build", "-o", str(folder / name), str(source)]
    done = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


@asynccontextmanager
async def served(log: Log, size: int, edit: Edit) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        path = request.match_info["path"]
        body = log.answer(path, size)
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=edit(path, body))

    app = web.Application()
    app.router.add_get("/{path:.+}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def indexes(size: int) -> list[int]:
    return sorted({i for i in (0, 1, 255, 256, 257, size // 2, 65_535, 65_536, size - 2, size - 1) if 0 <= i < size})


def proofs(log: Log, size: int) -> dict[str, list[dict[str, object]]]:
    read = log.reader(size)
    return {
        "inclusion": [
            {"index": i, "hashes": [format_base64(h) for h in prove_inclusion(i, size, read)]} for i in indexes(size)
        ],
        "consistency": [
            {
                "old": old,
                "root": format_base64(log.roots[old]),
                "hashes": [format_base64(h) for h in prove_consistency(old, size, read)],
            }
            for old in SIZES
            if old <= size
        ],
    }


async def check(
    checker: Path,
    log: Log,
    size: int,
    file: Path,
    *,
    edit: Edit = lambda path, body: body,
    given: object = None,
    old: tuple[int, ...] = SIZES,
    vkey: str = "",
) -> tuple[int, str]:
    """The checker's exit code and output on the log at `size`."""
    file.write_text(json.dumps(given if given is not None else proofs(log, size)))
    async with served(log, size, edit) as url:
        arguments = ["-url", url, "-vkey", vkey or SIGNER.vkeys[0].format_vkey(), "-proofs", str(file)]
        for index in indexes(size):
            arguments += ["-index", str(index)]
        for older in old:
            if older <= size:
                arguments += ["-old", f"{older}:{format_base64(log.roots[older])}"]
        process = await asyncio.create_subprocess_exec(
            checker, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest.mark.parametrize("size", SIZES)
async def test_go_accepts_notes_tiles_bundles_and_proofs(checker: Path, log: Log, size: int, tmp_path: Path) -> None:
    code, output = await check(checker, log, size, tmp_path / "proofs.json")
    assert code == 0, output
    lines = output.splitlines()
    assert lines[:3] == [
        f"ok checkpoint log.example/interop size {size}, 1 other signatures",
        "ok tiles",
        f"ok entries {size}",
    ]
    older = [old for old in SIZES if old <= size]
    assert sorted(lines[3:]) == sorted(
        f"ok {who}{what}"
        for who in ("", "given ")
        for what in (
            *(f"inclusion of {i} in {size}" for i in indexes(size)),
            *(f"consistency of {old} with {size}" for old in older),
        )
    )


def flip(wanted: str, at: int) -> Edit:
    def edit(path: str, body: bytes) -> bytes:
        if path != wanted:
            return body
        changed = bytearray(body)
        changed[at] ^= 1
        return bytes(changed)

    return edit


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("tile/0/000", 5),
        ("tile/0/001.p/1", 0),
        ("tile/1/000.p/1", 31),
        ("tile/entries/000", 300),
        ("tile/entries/001.p/1", -1),
        ("checkpoint", 22),  # a digit of the size
        ("checkpoint", 30),  # the root
    ],
)
async def test_go_refuses_one_flipped_bit(checker: Path, log: Log, path: str, at: int, tmp_path: Path) -> None:
    code, output = await check(checker, log, 257, tmp_path / "proofs.json", edit=flip(path, at))
    assert code == 1
    assert output.splitlines()[-1].startswith("FAILED")


async def test_go_refuses_proofs_with_one_hash_exchanged(checker: Path, log: Log, tmp_path: Path) -> None:
    for kind in ("inclusion", "consistency"):
        wrong = proofs(log, 257)
        hashes = wrong[kind][1]["hashes"]
        assert isinstance(hashes, list)
        hashes[-1] = format_base64(bytes(32))
        code, output = await check(checker, log, 257, tmp_path / "proofs.json", given=wrong)
        assert code == 1
        assert f"FAILED given {kind}" in output


async def test_go_refuses_another_key_and_another_history(checker: Path, log: Log, tmp_path: Path) -> None:
    stranger = CheckpointSigner(SIGNER.origin, Ed25519Signer(b"\x03" * 32), MlDsa44Signer(b"\x02" * 32))
    code, output = await check(checker, log, 3, tmp_path / "proofs.json", vkey=stranger.vkeys[0].format_vkey())
    assert (code, "FAILED opening the checkpoint" in output) == (1, True)
    log.roots[2], kept = bytes(32), log.roots[2]
    try:
        code, output = await check(checker, log, 3, tmp_path / "proofs.json", given={})
    finally:
        log.roots[2] = kept
    assert (code, "FAILED consistency of 2 with 3" in output) == (1, True)


async def test_go_opens_what_our_witness_cosigned(opener: Path, tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "witness.db")
    head = bench.log.grown(b"a", b"b", b"c")
    note = add_cosignatures(head.note, bench.witness.add(head.request()))
    bench.now_s += 60
    request = format_add_checkpoint(AddCheckpoint(3, (), head.note))
    renewed = add_cosignatures(note, bench.witness.add(request))
    bench.state.close()
    log, witness = bench.log.vkeys[0].format_vkey(), bench.cosigner.vkeys[0].format_vkey()

    def opened(data: bytes) -> tuple[int, str]:
        done = subprocess.run([opener, log, witness], input=data, capture_output=True, check=False)
        return done.returncode, done.stdout.decode()

    assert opened(note) == (0, f"ok cosigned at {TIME_S}, 2 other signatures\n")
    assert opened(renewed) == (0, f"ok cosigned at {TIME_S + 60}, 2 other signatures\n")
    assert opened(head.note)[0] == 1, "no cosignature"
    other = bench.log.grown(b"x").note.partition(b"\n\n")[0]
    assert opened(other + b"\n\n" + note.partition(b"\n\n")[2])[0] == 1, "of another checkpoint"

"""A disk that is full, and one that fails: what was acknowledged stays, and the next start goes on."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Sender, Template, inside, judge
from campaigns.faults.stores import StoreKind
from ledger.errors import CertLedgerError
from ledger.service import run
from ledger.service.disk_room import DiskRoom, reserve
from tests.support.builders import Certificate
from tests.support.live_ledger import PASSPHRASE, ROOT, LiveLedger

AS_ROOT = ("unshare", "-rm")  # in a namespace of its own
_SIZE_KIB = 24 * 1024  # of the small disk: the log, and its write-ahead log twice, as copying that back may take
_FEW = 4  # statements in its batches
_BATCHES = 8
_NOTICED = 3  # batches after those, before a log that met an error has to have ended
_COPY_OFTEN = "from ledger.store import sqlite_wal\nsqlite_wal._COPY_PAGES = sqlite_wal._COPY_MOST = 40\n"
_SECONDS = 300.0  # how long a traced ledger may take to start


@functools.cache
def no_full_disk() -> str:
    """Why a small disk cannot be mounted here; empty when it can: tried once, for a container's root may not."""
    if os.geteuid() != 0:
        return f"only root may mount a tmpfs; {' '.join(AS_ROOT)} COMMAND makes a root, where users may do that"
    with tempfile.TemporaryDirectory() as room:
        if not succeeds("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", room):
            return "a tmpfs cannot be mounted here"
        return "" if succeeds("umount", room) else "a tmpfs cannot be unmounted here"


@functools.cache
def no_tracer() -> str:
    """Why a process cannot be traced here; empty when it can: tried once, for a container may forbid it."""
    if shutil.which("strace") is None:
        return "there is no strace"
    return "" if succeeds("strace", "-f", "-o", os.devnull, "true") else "strace may trace nothing here"


def succeeds(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, timeout=300, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@asynccontextmanager
async def full_session(room: Path, store: StoreKind) -> AsyncIterator[Callable[[int, int], Awaitable[Counter[str]]]]:
    """Each trial leaves another amount of room on a small disk that holds store and guard. One in four is on a file
    system that does not say how much: there the log finds out in the middle of a write."""
    clock = Clock()
    async with HearingWitness("w1", clock.now_s) as witness:
        few = {"batch_limit": _FEW}  # what it keeps free is for batches of the largest size
        template = await Template.make(room / "small", "full", 300, clock, store, [witness], 1, **few)

        async def trial(seed: int, _: int) -> Counter[str]:
            disk = room / f"trial {seed}"
            disk.mkdir()
            _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE_KIB}k", "tmpfs", str(disk))
            told = seed % 4 != 0
            try:
                with patch.object(run, "DiskRoom", DiskRoom if told else partial(DiskRoom, free=lambda _: None)):
                    return await _fill(template, store, disk, random.Random(f"full {seed}"), told=told)
            finally:
                _run("umount", "-l", str(disk))

        yield trial


async def _fill(template: Template, store: StoreKind, disk: Path, draw: random.Random, *, told: bool) -> Counter[str]:
    counts: Counter[str] = Counter(trials=1)
    (witness,) = template.witnesses
    assert isinstance(witness, HearingWitness)
    live, oracle = template.copy(disk / "log"), template.oracle()
    journals = disk.with_name(disk.name + " journals")  # the client has a disk of its own
    journals.mkdir()
    sender = template.sender(replace_folder(live, journals), oracle)
    certificates = iter(template.certificates)
    sent = []
    free = shutil.disk_usage(disk).free
    filler = disk / "filler"
    left = draw.randrange(0, 700) * 1024
    if told and draw.randrange(8):
        left += reserve(_FEW)
    filler.write_bytes(bytes(max(0, free - left)))
    try:
        async with inside(live, template.clock) as fatal:
            for _ in range(_BATCHES):
                batch = list(itertools.islice(certificates, draw.choice((1, 2, 30))))
                sent.append(batch)
                answer = await sender.send(batch)
                turned_away = answer == "unknown" and not fatal.done() and await _says_full(live)
                counts["full: turned away" if turned_away else f"full: {answer}"] += 1
            counts["the process ends"] += fatal.done()
            if not fatal.done():
                await oracle.follow(live.url)
                filler.unlink()
                await _until_acked(sender, sent, counts)
                counts["goes on by itself"] += not fatal.done()
    except CertLedgerError:
        counts["start refused"] += 1
    filler.unlink(missing_ok=True)
    async with inside(live, template.clock):
        await _until_acked(sender, [*sent, list(itertools.islice(certificates, 1))], counts)
        await oracle.read_whole(live.url)
    witness.tell(oracle)
    sender.journal.close()
    for path in journals.iterdir():
        shutil.copy(path, live.folder)
    return counts + Counter(await judge(live, oracle, store))


async def _says_full(live: LiveLedger) -> bool:
    return "certledger_disk_full 1.0" in (await live.fetch("/metrics"))[2].decode()


def replace_folder(live: LiveLedger, folder: Path) -> LiveLedger:
    """The same log, seen by a client that keeps its own files in `folder`."""
    return LiveLedger(folder, live.authority, live.url, live.keys)


async def run_eio(room: Path, store: StoreKind, seed: int, _: int, *, sabotage: str = "") -> Counter[str]:
    """A real ledger under strace; a call of each of its threads fails with EIO, and it goes on no further. `sabotage`:
    statements that run before it, a broken build. By turns any call, and one that copies the store's write-ahead log
    back: such a log copies as soon as it can."""
    draw, clock = random.Random(f"eio {seed}"), Clock()
    copying = bool(seed % 2)
    call, when = draw.choice(("fdatasync", "fdatasync", "pwrite64")), draw.randint(1, 4 if copying else 14)
    counts: Counter[str] = Counter({"trials": 1, call: 1})
    async with HearingWitness("w1") as witness:
        folder = room / f"piece {seed}"
        template = await Template.make(folder / "log", f"eio-{seed}", 40, clock, store, [witness], 1)
        live, oracle = template.live, template.oracle()
        sender, certificates = template.sender(live, oracle), iter(template.certificates)
        trace = folder / "trace"
        command = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}",
                   "-e", f"inject={call}:error=EIO:when={when}"]  # fmt: skip
        if copying:
            command += ["-P", str(live.folder / "log.db")]
            counts["of the store's file"] += 1
        process = _traced(command, live, (_COPY_OFTEN if copying else "") + sabotage)
        assert process.stdout is not None
        sent = []
        started = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), _SECONDS)
        if started:
            await asyncio.sleep(1.0)
            for _ in range(_BATCHES):
                if process.poll() is not None:
                    break
                sent.append(list(itertools.islice(certificates, draw.choice((1, 2, 4)))))
                counts[f"eio: {await sender.send(sent[-1])}"] += 1
            for _ in range(_NOTICED):  # what a copy beside the writer met is told to the next batches
                if process.poll() is None and "INJECTED" in trace.read_text("utf-8"):
                    await asyncio.sleep(0.3)
                    sent.append(list(itertools.islice(certificates, 1)))
                    await sender.send(sent[-1])
            ended, struck = process.poll() is not None, "INJECTED" in trace.read_text("utf-8")
            counts["the process ended"] += ended
            if struck and not ended:
                counts["wrong"] += 1
                print(f"seed {seed}: {call} failed, and the log goes on", flush=True)
        else:
            counts["start refused"] += 1
        await asyncio.to_thread(_end, process)
        syncs = trace.read_text("utf-8").count("fdatasync(")
        least = 2 * counts["eio: acked"]  # of the store and of the guard
        if call == "fdatasync" and not copying and syncs < least:
            counts["wrong"] += 1
            print(f"{counts['eio: acked']} requests were acknowledged after {syncs} fdatasync", flush=True)
        struck = trace.read_text("utf-8").count("INJECTED")
        counts.update({"struck": struck > 0, "not struck": struck == 0})
        live.folder.joinpath("scratch.db").unlink(missing_ok=True)
        await asyncio.to_thread(live.start)
        try:
            await asyncio.sleep(1.0)
            await _until_acked(sender, [*sent, list(itertools.islice(certificates, 1))], counts)
            await oracle.read_whole(live.url)
        finally:
            counts["exit code"] += abs(await asyncio.to_thread(live.stop))
        witness.tell(oracle)
    sender.journal.close()
    return counts + Counter(await judge(live, oracle, store))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _traced(command: list[str], live: LiveLedger, sabotage: str) -> subprocess.Popen[bytes]:
    code = f"import sys\nfrom ledger.__main__ import main\n{sabotage}\nsys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [*command, sys.executable, "-c", code, "serve", "--dir", str(live.folder)],
        cwd=ROOT,
        env=os.environ | {"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """The traced ledger, by its own pid: strace passes no signal on."""
    if process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    process.wait(_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


async def _until_acked(sender: Sender, batches: list[list[Certificate]], counts: Counter[str]) -> None:
    """There is room again, or the disk answers again: everything gets its answer."""
    for batch in batches:
        counts["wrong"] += not await sender.insist(batch)

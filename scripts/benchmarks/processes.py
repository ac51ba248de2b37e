"""Starting the product's own programs as separate processes, and how large a benchmark is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import ROOT

START_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. `seconds` is the length of one timed stretch of load."""

    runs: int
    seconds: float
    certificates: int  # in the log at the end of the append part
    stretch: int  # certificates of one append run
    roster: int  # rows
    audited: int  # certificates of the log that is audited
    grown: int  # certificates of the ledger that was filled beforehand
    minutes: int  # of the sustained load
    rate: int  # statements a second that are drawn for it
    pages: int  # different certificates asked for in turn; a verifier keeps 1,024 envelopes
    first: int  # certificates of one stretch of first scans

    @classmethod
    def full(cls) -> Scale:
        return cls(
            runs=5,
            seconds=5.0,
            certificates=100_000,
            stretch=20_000,
            roster=1_000,
            audited=100_000,
            grown=100_000,
            minutes=0,
            rate=6_000,
            pages=800,
            first=16_000,
        )

    @classmethod
    def quick(cls) -> Scale:
        return cls(
            runs=3,
            seconds=1.0,
            certificates=4_000,
            stretch=1_000,
            roster=40,
            audited=5_000,
            grown=4_000,
            minutes=0,
            rate=6_000,
            pages=100,
            first=1_000,
        )


class Failed(Exception):
    """A program of the product did not do what a benchmark needs."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "PYTHONUNBUFFERED": "1", **(extra or {})}


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ran to its end."""

    output: str
    seconds: float
    peak_mib: float  # of resident memory


def run(arguments: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None) -> Finished:
    """Run `python ARGUMENTS` to its end in `folder`. Raises Failed unless it exits with 0."""
    errors = folder / "stderr"
    began = time.perf_counter()
    with errors.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert child.stdout is not None
        with _Watch(child.pid) as watch, child.stdout as pipe:
            output = pipe.read().decode("utf-8", "replace")
        child.wait()
    seconds = time.perf_counter() - began
    if child.returncode:
        raise Failed(f"{' '.join(arguments[:4])}: exit {child.returncode}: {_end_of(errors)}")
    return Finished(output, seconds, watch.peak_kib / 1024)


class _Watch:
    """The peak of a process's resident memory, read while it runs.

    Not `ru_maxrss`: that begins with what the parent had when it forked, which is us with all the statements to send.
    """

    def __init__(self, pid: int) -> None:
        self.peak_kib = 0
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            with contextlib.suppress(OSError):
                found = re.search(r"VmHWM:\s*(\d+) kB", self._status.read_text())
                self.peak_kib = int(found[1]) if found else self.peak_kib


@asynccontextmanager
async def started(
    arguments: Sequence[str], log: Path, port: int, path: str, extra: Mapping[str, str] | None = None
) -> AsyncIterator[psutil.Process]:
    """Run `python ARGUMENTS` until the block ends; entered when `path` on `port` answers 200."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=log.parent, env=environment(extra), stdin=subprocess.DEVNULL,
            stdout=out, stderr=out,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_S
        while not await _answers(port, path):
            if process.returncode is not None or time.monotonic() > deadline:
                raise Failed(f"{' '.join(arguments[:4])} does not serve: {_end_of(log)}")
            await asyncio.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in await reader.readline()
        finally:
            writer.close()
    except OSError:
        return False


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace").strip()[-600:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

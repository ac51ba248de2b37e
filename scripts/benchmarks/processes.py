"""Starting the product's own programs as separate processes, and how large a benchmark is."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
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
    pages: int  # different certificates asked for

    @classmethod
    def full(cls) -> Scale:
        return cls(runs=5, seconds=5.0, certificates=100_000, stretch=10_000, roster=1_000, pages=2_000)

    @classmethod
    def quick(cls) -> Scale:
        return cls(runs=3, seconds=1.0, certificates=4_000, stretch=1_000, roster=40, pages=200)


class Failed(Exception):
    """A program of the product did not do what a benchmark needs."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "PYTHONUNBUFFERED": "1", **(extra or {})}


def run(arguments: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None, *, check: bool = True) -> str:
    """Run `python ARGUMENTS` to its end in `folder`; its standard output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(extra),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(arguments[:4])}: exit {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


@asynccontextmanager
async def started(
    arguments: Sequence[str], log: Path, *, ready: bytes, extra: Mapping[str, str] | None = None
) -> AsyncIterator[psutil.Process]:
    """Run `python ARGUMENTS` until the block ends; entered when its output contains `ready`."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=log.parent, env=environment(extra), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        seen = b""
        async with asyncio.timeout(START_S):
            while ready not in seen:
                line = await process.stdout.readline()
                if not line:
                    said = log.read_text("utf-8", "replace")[-600:]
                    raise Failed(f"{' '.join(arguments[:4])} ended at once: {said}")
                seen += line
        drain = asyncio.create_task(process.stdout.read())
        yield psutil.Process(process.pid)
        drain.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

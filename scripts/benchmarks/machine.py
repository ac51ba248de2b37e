"""On what machine, with what code, and how busy others kept it meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def describe_machine(folder: Path) -> dict[str, str]:
    """What a reader needs to compare figures. `folder` is where the stores lie."""
    return {
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": _disk(folder),
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """The short commit id, with a plus sign when tracked files differ from it. Results of campaigns do not count: one
    that goes on where its file ends has changed that file itself."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs/campaigns")
        return head + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass(slots=True)
class Busy:
    """How much of the machine processes other than ours used, in cores; known when the watch has ended."""

    others: float = 0.0


@contextmanager
def watch_others() -> Iterator[Busy]:
    """Measure what others burnt meanwhile: two cores shared with somebody are not two cores."""
    busy = Busy()
    began, all_before, ours_before = time.monotonic(), _busy_seconds(), _our_seconds()
    try:
        yield busy
    finally:
        wall = max(time.monotonic() - began, 1e-6)
        busy.others = max(0.0, (_busy_seconds() - all_before) - (_our_seconds() - ours_before)) / wall


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of one process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def tree_cpu_seconds(process: psutil.Process) -> float:
    """The same of a process and all that it has started and that still run."""
    total = cpu_seconds(process)
    for child in process.children(recursive=True):
        try:
            total += cpu_seconds(child)
        except psutil.NoSuchProcess:
            continue
    return total


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times[:7]) - times.idle - times.iowait)


def _our_seconds() -> float:
    total = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            total += cpu_seconds(child)
        except psutil.NoSuchProcess:
            continue
    return total


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _disk(folder: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    found = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    return f"{found.fstype} on {found.device}" if found else "unknown"

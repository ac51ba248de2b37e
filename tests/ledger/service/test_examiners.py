"""The examining processes: the same answers as in one process, and none of them outlives its parent."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ledger.errors import Refused
from ledger.records.refusals import Refusal, refuse, text_of
from ledger.service import examiners

ROOT = Path(__file__).parents[3]
PARENT = """
import sys, time
from ledger.service.examiners import start_examiners, warm_up
if __name__ == "__main__":
    pool = start_examiners(1, bytes(32))
    warm_up(pool, 1)
    print(pool.submit(__import__("os").getpid).result(), flush=True)
    time.sleep(60)
"""


def test_a_refusal_keeps_its_parts_between_processes() -> None:
    assert examiners.start_examiners is not None  # the module registers how a refusal travels
    sent = refuse(Refusal.NUMBER, "number")
    came = pickle.loads(pickle.dumps(sent))
    assert isinstance(came, Refused)
    assert (came.code, came.field, came.text) == (Refusal.NUMBER.value, "number", text_of(Refusal.NUMBER))
    assert str(came) == str(sent)


def test_a_process_ends_with_its_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, "utf-8")
    parent = subprocess.Popen(
        [sys.executable, script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert parent.stdout is not None
        with parent.stdout as said:
            child = psutil.Process(int(said.readline()))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "an orphan holds the index keys in memory"
        time.sleep(0.05)

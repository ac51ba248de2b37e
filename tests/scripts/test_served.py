"""Processes of the campaigns: their end is seen at whatever moment it comes, and none outlives an error."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from campaigns.faults.served import Parent, Served
from tests.support.waiting import until_seen


def test_the_end_of_one_that_is_reaped_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["true"])
    served = Served(SimpleNamespace(folder=Path()), process.pid, SimpleNamespace())  # type: ignore[arg-type]

    def read_late(path: Path) -> bytes:
        with path.open("rb") as file:
            process.wait()
            return file.read()

    monkeypatch.setattr(Path, "read_bytes", read_late)
    assert served.ended()


def test_one_that_is_stopped_when_something_fails_is_killed(tmp_path: Path) -> None:
    live: Any = SimpleNamespace(folder=tmp_path)
    with (
        pytest.raises(ZeroDivisionError),
        Parent("def main(words): print('serves', flush=True); __import__('time').sleep(100)") as parent,
    ):
        served = parent.serve(live)
        said = tmp_path / "serve.out"
        until_seen(lambda: said.exists() and said.read_bytes())
        served.send(signal.SIGSTOP)
        raise ZeroDivisionError
    assert served.ended() and served.code == -9
    with pytest.raises(ProcessLookupError):
        os.kill(served.pid, 0)

"""The lock that says that a `serve` runs in a folder."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ledger.errors import Refused
from verifier import served
from verifier.served import SERVED_FILE, is_served, mark_served


def test_one_at_a_time_and_only_for_as_long_as_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_LOOK_S", 0.0)
    assert not is_served(tmp_path)
    for _ in range(2):
        with mark_served(tmp_path):
            assert is_served(tmp_path)
            with pytest.raises(Refused) as refused, mark_served(tmp_path):
                raise AssertionError("two in one folder")
            assert refused.value.code == "SERVED" and is_served(tmp_path)
        assert not is_served(tmp_path)


def test_somebody_who_just_looks_does_not_stop_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mark_served(tmp_path):
        pass
    with (tmp_path / SERVED_FILE).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(served.time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with mark_served(tmp_path):
            assert is_served(tmp_path)

"""When scripts/setup installs and when not. Python and pip are stand-ins that write down what they are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TOOLS = ("bash", "cat", "cp", "cut", "dirname", "env", "grep", "id", "mkdir", "mktemp", "rm", "sha256sum")
_PYTHON = """#!/usr/bin/env bash
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip install"*) echo "$*" >>asked; [ ! -e pip-killed ] || kill -9 $PPID; [ ! -e pip-fails ] ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts" / "setup")
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for tool in _TOOLS:  # and no apt-get: nothing on this machine may change
        (bin_ / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for python in (bin_ / "python3", tmp_path / ".venv" / "bin" / "python"):
        python.write_text(_PYTHON)
        python.chmod(0o755)
    return tmp_path


def installed(clone: Path, *arguments: str, ok: bool = True) -> list[str]:
    """Run setup; the locks that pip was given."""
    asked = clone / "asked"
    asked.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"PATH": str(clone / "bin")}
    done = subprocess.run(
        [clone / "scripts" / "setup", *arguments], env=environment, capture_output=True, timeout=600, check=False
    )
    assert (done.returncode == 0) is ok, done.stderr.decode()
    return [word for word in asked.read_text().split() if word.endswith(".lock")] if asked.exists() else []


RUN = ["requirements.lock"]
ALL = ["requirements.lock", "requirements-dev.lock"]


def test_a_second_run_installs_nothing(clone: Path) -> None:
    assert installed(clone) == RUN and installed(clone) == []
    assert installed(clone, "--tests") == ALL and installed(clone, "--tests") == []
    assert installed(clone) == [], "what the tests need includes it"


@pytest.mark.parametrize("first", [(), ("--tests",)])
@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed_in_either_mode(clone: Path, first: tuple[str, ...], changed: str) -> None:
    installed(clone, *first)
    (clone / changed).write_text("newer")
    assert installed(clone) == RUN and installed(clone) == []
    assert installed(clone, "--tests") == ALL


def test_going_back_to_an_older_lock_is_a_change_too(clone: Path) -> None:
    installed(clone, "--tests")
    (clone / "requirements.lock").write_text("newer")
    assert installed(clone) == RUN
    (clone / "requirements.lock").write_text("requirements.lock")
    assert installed(clone, "--tests") == ALL


def test_an_install_that_failed_is_done_again(clone: Path) -> None:
    installed(clone)
    (clone / "requirements.lock").write_text("newer")
    (clone / "pip-fails").touch()
    assert installed(clone, ok=False) == RUN
    (clone / "pip-fails").unlink()
    (clone / "requirements.lock").write_text("requirements.lock")
    assert installed(clone) == RUN, "half of the newer one is there"


def test_an_install_that_was_cut_off_is_begun_anew(clone: Path) -> None:
    (clone / "pip-killed").touch()
    assert installed(clone, ok=False) == RUN
    half = clone / ".venv" / "half a package"
    half.touch()
    (clone / "pip-killed").unlink()
    assert installed(clone) == RUN and not half.exists()
    half.touch()
    assert installed(clone) == [] and half.exists(), "what is whole stays"

"""A key file gets another passphrase; whoever does not know the old one changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.passphrase import NEW, OLD
from ledger.errors import Unverified
from ledger.keystore import LIGHT_COST, cost_of, create_key_file, new_key, open_key_file

BEFORE, AFTER = "as it was before", "another one"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    keys = {"record": new_key("ed25519", "x", created_day=20_000, random_bytes=os.urandom)}
    create_key_file(tmp_path / "k.keys", keys, BEFORE.encode(), cost=LIGHT_COST)
    return tmp_path / "k.keys"


def change(file: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> int:
    monkeypatch.setenv(OLD, old)
    monkeypatch.setenv(NEW, new)
    return main(["passphrase", str(file)])


def test_the_keys_stay(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    keys = open_key_file(file, BEFORE.encode()).keys
    assert change(file, monkeypatch, BEFORE, AFTER) == 0
    assert open_key_file(file, AFTER.encode()).keys == keys and cost_of(file) == LIGHT_COST
    with pytest.raises(Unverified):
        open_key_file(file, BEFORE.encode())
    said = "".join(capsys.readouterr())
    assert "口令已更换" in said and "new passphrase" in said and AFTER not in said
    assert [path.name for path in file.parent.iterdir()] == [file.name] and file.stat().st_mode & 0o777 == 0o600


def test_from_files(file: Path, tmp_path: Path) -> None:
    for name, content in (("old", BEFORE), ("new", AFTER)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    words = ["passphrase", str(file), "--passphrase-file", str(tmp_path / "old")]
    assert main([*words, "--new-passphrase-file", str(tmp_path / "new")]) == 0
    assert open_key_file(file, AFTER.encode()).keys


@pytest.mark.parametrize(("old", "new", "code"), [("a wrong one", AFTER, 1), (BEFORE, "short", 1)])
def test_nothing_is_changed(file: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, code: int) -> None:
    before = file.read_bytes()
    assert change(file, monkeypatch, old, new) == code
    assert file.read_bytes() == before


def test_a_wrong_one_is_told_before_the_new_one_is_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OLD, "a wrong one")
    monkeypatch.delenv(NEW, raising=False)
    assert main(["passphrase", str(file)]) == 1
    assert "wrong passphrase" in capsys.readouterr().err

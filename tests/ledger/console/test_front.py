"""What the operator of a front types: a key file with one key, strict settings, and nothing it may not have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.front import FRONT_PASSPHRASE
from ledger.console.operate import PASSPHRASE
from ledger.keystore import open_key_file
from ledger.service.front_run import FRONT_FILE, FrontSettings
from ledger.settings import format_settings, load_settings
from tests.support.builders import make_authority

AUTHORITY = make_authority("console front", origin="log.test.example/console-front")
Run = Callable[..., tuple[int, str]]
SETTINGS = FrontSettings(
    AUTHORITY.origin, "postgresql://reader@127.0.0.1:9/log", ("http://127.0.0.1:8701",), "https://log.test.example"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    monkeypatch.setenv(FRONT_PASSPHRASE, "another passphrase of the tests")
    Path("genesis.cose").write_bytes(AUTHORITY.sign(AUTHORITY.genesis).entry)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err

    assert call("init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light")[0] == 0
    Path("front").mkdir()
    return call


def test_its_key_file_holds_the_index_key_alone(run: Run) -> None:
    make = ("front-keys", "--dir", "log", "--out", "front/keys.json", "--light")
    assert run(*make)[0] == 0
    path = Path("front/keys.json")
    assert [key["name"] for key in json.loads(path.read_text())["keys"]] == ["index"]
    ledger = open_key_file(Path("log/keys.json"), b"a passphrase of the tests")
    front = open_key_file(path, b"another passphrase of the tests")
    assert front.key("index", "index").secret == ledger.key("index", "index").secret
    assert run(*make)[0] == 1, "nothing is overwritten"


def test_it_starts_only_with_its_own_key_and_a_database(run: Run) -> None:
    Path("front", FRONT_FILE).write_text(format_settings(SETTINGS), "utf-8")
    read = load_settings(FrontSettings, Path("front", FRONT_FILE))
    assert replace(read, keys=SETTINGS.keys) == SETTINGS
    shutil.copy("log/keys.json", "front/keys.json")
    assert run("front", "--dir", "front")[0] == 1, "under another passphrase"
    Path("front/keys.json").unlink()
    assert run("front-keys", "--dir", "log", "--out", "front/keys.json", "--light")[0] == 0
    code, err = run("front", "--dir", "front")
    assert code == 3 and "store" in err
    text = Path("front", FRONT_FILE).read_text("utf-8")
    Path("front", FRONT_FILE).write_text(text.replace('keys = "keys.json"', ""), "utf-8")  # as operating.md has it
    code, err = run("front", "--dir", "front")
    assert code == 3 and "store" in err, "its keys are beside its settings, wherever it is started"


def test_more_keys_than_it_may_have_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("front", FRONT_FILE).write_text(format_settings(SETTINGS), "utf-8")
    shutil.copy("log/keys.json", "front/keys.json")
    monkeypatch.setenv(FRONT_PASSPHRASE, "a passphrase of the tests")
    code, err = run("front", "--dir", "front")
    assert code == 1 and "FRONT_KEYS" in err and "front-keys" in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "log.db"),
        ("store", "postgresql://reader:secret@h/log"),
        ("sequencers", ()),
        ("sequencers", ("127.0.0.1:8701",)),
        ("sequencers", ("http://127.0.0.1:8701", "http://log-b.internal:8701")),
        ("sequencers", ("http://[2001:db8::7]:8701",)),
    ],
)
def test_settings_that_cannot_be_are_refused(run: Run, name: str, value: object) -> None:
    text = format_settings(SETTINGS)
    written = json.dumps(value)
    lines = [f"{name} = {written}" if line.startswith(f"{name} = ") else line for line in text.splitlines()]
    Path("front", FRONT_FILE).write_text("\n".join(lines), "utf-8")
    found, err = run("front", "--dir", "front")
    assert found == 1 and "secret" not in err

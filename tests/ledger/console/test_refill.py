"""What `cert-ledger refill` refuses; that it mends a log is shown on a whole one (tests/flows/test_postgres_ledger)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.operate import PASSPHRASE
from ledger.store.sqlite import create_sqlite
from tests.support.builders import make_authority

AUTHORITY = make_authority("refill", origin="log.test.example/refill")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    Path("genesis.cose").write_bytes(AUTHORITY.sign(AUTHORITY.genesis).entry)
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert main(words) == 0
    return tmp_path / "log"


@pytest.mark.parametrize("there", [False, True])
def test_a_copy_that_is_not_there_or_empty(folder: Path, there: bool, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "log.db").read_bytes()
    if there:
        create_sqlite(Path("replica.db"), private=False).close_now()
    assert main(["refill", "--dir", "log", "--from", "replica.db"]) == 3
    assert ("no checkpoint" if there else "no store") in capsys.readouterr().err
    assert (folder / "log.db").read_bytes() == before


def test_an_address_with_a_password_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = "postgresql://reader:secret@db.example.org/replica?schema=a"
    assert main(["refill", "--dir", str(folder), "--from", address]) in (1, 2)
    assert "secret" not in capsys.readouterr().err

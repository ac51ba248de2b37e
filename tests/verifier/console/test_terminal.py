from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Unavailable
from verifier.console.terminal import read_file, tell


def test_a_file_is_read_up_to_what_its_reader_refuses(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"123456")
    assert [read_file(tmp_path / "f", most) for most in (4, 5, 6)] == [b"12345", b"123456", b"123456"]
    with pytest.raises(Unavailable, match="nowhere"):
        read_file(tmp_path / "nowhere", 1)


def test_what_is_told_stays_out_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    tell("word")
    assert capsys.readouterr() == ("", "cert-verifier: word\n")

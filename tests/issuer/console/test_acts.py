"""The acts as a person types them, against an in-memory log."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import openpyxl
import pytest

from tests.support.builders import id_number
from tests.support.issuer_desk import sample, write_csv
from tests.support.issuer_shell import Shell, make_shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    ready = make_shell(tmp_path / "desk", monkeypatch, capsys).make_ready()
    assert ready("issue", write_csv(tmp_path / "r.csv", sample(3)), "--yes", "--no-pdf")[0] == 0
    return ready


NUMBERS = [line[7] for line in sample(3)]


def sheet(path: Path, *lines: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def cells(path: Path) -> list[list[object]]:
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path).active]


def test_a_sheet_with_a_result_for_each_row(shell: Shell, tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "s.csv",
        ("Certificate number", "Reason", "Note"),
        (NUMBERS[0], "fraud", "x"),
        (NUMBERS[1], "magic", ""),
    )
    out = tmp_path / "out"
    code, said, _ = shell("revoke", "--from", path, "--out", out, "--yes")
    assert code == 1 and "REASON_UNKNOWN" in said and "nothing new was signed" in said
    code, value = shell.json("revoke", "--from", path, "--out", out, "--yes", "--skip-bad")
    assert code == 1 and (value["logged"], value["problems"], value["clean"]) == (1, 1, False)
    lines = cells(out / "results.xlsx")
    assert lines[1][1] == NUMBERS[0] and "已入账" in str(lines[1][5]) and str(lines[1][4]).isdigit()
    assert cells(out / "problems.xlsx")[1][0] == NUMBERS[1]
    assert json.loads((out / "summary.json").read_text("utf-8"))["lines"] == value["lines"]
    assert {path.stat().st_mode & 0o077 for path in out.rglob("*")} == {0}


def test_one_number_in_words_and_again(shell: Shell) -> None:
    words = ("suspend", "--number", NUMBERS[0], "--reason", "核查中", "--yes")
    assert shell(*words)[0] == 0
    code, said, _ = shell(*words)
    assert code == 0 and "done before" in said
    code, _, said = shell("restore", "--number", NUMBERS[1], "--reason", "CLEARED", "--yes")
    assert code == 1 and "NOTHING_TO_RESTORE" in said
    code, value = shell.json("status")
    assert code == 0 and sorted(line["logged"] for line in value["acts"]) == [0, 1]


def test_nothing_without_a_yes(shell: Shell) -> None:
    code, said, _ = shell("revoke", "--number", NUMBERS[0], "--reason", "fraud")
    assert code == 1 and "× 1" in said and "not confirmed" in said


def test_what_a_command_may_not_say(shell: Shell, tmp_path: Path) -> None:
    path = sheet(tmp_path / "s.csv", ("证书编号", "原因"), (NUMBERS[0], "fraud"))
    for words in (
        ("revoke", "--yes"),
        ("revoke", "--from", path, "--number", NUMBERS[0]),
        ("revoke", "--range", 9, 3, "--reason", "fraud"),
        ("key", "retired", "--key", "zz"),
        ("key", "retired", "--key", "00"),
        ("correct", "--signed", path, "--number", NUMBERS[0]),
        ("appoint", "--from", path, "--photos", tmp_path / "nowhere"),
    ):
        assert shell(*words)[0] == 2, words
    assert shell("revoke", "--from", tmp_path / "nowhere.csv", "--yes")[0] == 3


def test_a_correction_and_its_reissue_in_one_document(shell: Shell, tmp_path: Path) -> None:
    words = ("--number", NUMBERS[0], "--name", "例改名", "--reason", "姓名变更", "--yes", "--no-pdf", "--reissue")
    code, value = shell.json("correct", *words)
    assert code == 0 and value["clean"] and value["reissued"]["clean"]
    lines = cells(Path(value["reissued"]["out"]) / "results.xlsx")
    assert lines[1][2] == "例改名" and "#q" in str(lines[1][8]), "the new code carries the new name"
    both = (
        "--name",
        "例二改",
        "--document-type",
        "居民身份证",
        "--document",
        id_number("x"),
        "--reason",
        "登记信息有误",
    )
    code, said, _ = shell("correct", "--number", NUMBERS[1], *both, "--yes", "--no-pdf")
    assert code == 1 and f"{NUMBERS[1]}.proposal" in said


def test_a_corrected_certificate_is_printed_with_the_link_only(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--number", NUMBERS[0], "--name", "例改名", "--reason", "姓名变更", "--yes", "--out", out)
    code, _ = shell.json("correct", *words)
    assert code == 0
    line = cells(out / "results.xlsx")[1]
    assert line[2] == "例改名" and line[7] == line[8]
    assert (out / "certificates" / f"{NUMBERS[0]}.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "bundles" / f"{NUMBERS[0]}.certbundle").exists()


def test_a_key_is_named_and_retired(shell: Shell) -> None:
    code, said, _ = shell("key", "compromised", "--key", "request", "--yes")
    assert code == 0 and "void" in said

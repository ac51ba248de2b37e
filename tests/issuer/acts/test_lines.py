"""The lines of an act: sheets of every form, and the words for reasons."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from issuer.acts.lines import one_line, parse_reason, read_sheet
from issuer.roster.forms import CORRECTIONS, ENDS, POSTS, REISSUES, RULINGS
from ledger.errors import Refused, Unavailable
from ledger.records.kinds import Reason
from ledger.records.reasons import reason_text
from ledger.sheets.form import Form

ALL = tuple(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_by_every_spelling(reason: Reason) -> None:
    text = reason_text(reason)
    words = (text.zh, text.en, text.en.upper(), reason.name, reason.name.lower(), str(int(reason)), f" {text.zh} ")
    for spelling in words:
        assert parse_reason(spelling, ALL) is reason
        with pytest.raises(Refused) as refused:
            parse_reason(spelling, [other for other in ALL if other is not reason])
        assert refused.value.code == "REASON_UNFIT"


@pytest.mark.parametrize(("text", "code"), [("", "REASON_MISSING"), (" — ", "REASON_MISSING"), ("x", "REASON_UNKNOWN")])
def test_what_is_no_reason(text: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_reason(text, ALL)
    assert refused.value.code == code and refused.value.text.zh != refused.value.text.en


@pytest.mark.parametrize("form", [RULINGS, CORRECTIONS, REISSUES, POSTS, ENDS], ids=lambda form: form.name)
def test_a_workbook_of_every_form(tmp_path: Path, form: Form) -> None:
    book = openpyxl.Workbook()
    book.active.append([form.title(name) for name in form.columns])
    book.active.append([f"value {at}" for at, _ in enumerate(form.columns)])
    book.save(tmp_path / "sheet.xlsx")
    source = read_sheet(tmp_path / "sheet.xlsx", form)
    (line,) = source.lines
    assert line.row == 2 and list(line.cells.values()) == [f"value {at}" for at, _ in enumerate(form.columns)]


def test_a_sheet_without_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("证书编号,备注,生效日期\n1,2,3\n", "utf-8")
    source = read_sheet(tmp_path / "t.csv", RULINGS)
    assert source.lines == () and "COLUMN_MISSING" in {problem.code for problem in source.problems}
    (tmp_path / "u.csv").write_text("证书编号,原因\n", "utf-8")
    assert "SHEET_EMPTY" in {problem.code for problem in read_sheet(tmp_path / "u.csv", RULINGS).problems}
    (tmp_path / "v.csv").write_text("姓名,性别\n", "utf-8")
    with pytest.raises(Refused) as refused:
        read_sheet(tmp_path / "v.csv", RULINGS)
    assert refused.value.code == "HEADER_NOT_FOUND" and "证书编号" in refused.value.text.zh
    with pytest.raises(Unavailable):
        read_sheet(tmp_path / "nowhere.csv", RULINGS)


def test_the_same_words_are_the_same_act() -> None:
    assert one_line(RULINGS, number="1", reason="x").digest == one_line(RULINGS, reason="x", number="1").digest
    assert one_line(RULINGS, number="1").digest != one_line(RULINGS, number="2").digest
    assert one_line(RULINGS, number="1", reason="").digest == one_line(RULINGS, number="1").digest

"""Packs as workbooks: out and in again nothing is lost, and what people change is what changes."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest

from ledger.errors import Refused
from ledger.reference_data import load_ladder
from verifier.eligibility.authoring.workbook import read_workbook, write_workbook
from verifier.eligibility.difference import differences
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack
from verifier.eligibility.reader import BadPack

LADDER = load_ladder()
PACKS = shipped_packs()


@pytest.mark.parametrize("pack_id", ["sc-2023", "wage-sample"])
def test_out_and_in_again_is_the_same_pack(pack_id: str) -> None:
    pack = PACKS[pack_id]
    again = load_pack(read_workbook(write_workbook(pack, LADDER), pack, LADDER))
    assert differences(pack, again) == ()


def changed(pack: Pack, *cells: tuple[str, str, str, Any]) -> bytes:
    """The workbook of a pack with cells set: sheet, row id ("" appends), title, value."""
    book = openpyxl.load_workbook(io.BytesIO(write_workbook(pack, LADDER)))
    for name, row_id, title, value in cells:
        page = book[name]
        titles = [cell.value for cell in page[1]]
        row = next((row for row in page.iter_rows(min_row=2) if row[0].value == row_id), None)
        if row is None:
            page.append([row_id])
            row = page[page.max_row]
        row[titles.index(title)].value = value
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_what_is_changed_in_the_sheet_changes_in_the_pack() -> None:
    pack = PACKS["sc-2023"]
    raw = changed(
        pack,
        ("subsidy", "L3", "then amount", 1999.5),
        ("subsidy", "L4", "if months_insured", ">= 24"),
        ("subsidy", "L5", "valid_to", "2026-12-31"),
        ("sources", "sc23", "clause", "第二条"),
    )
    found = {(d.path, d.before, d.after) for d in differences(pack, load_pack(read_workbook(raw, pack, LADDER)))}
    assert found == {
        ("tables.subsidy.rows.L3.then.amount", "200000", "199950"),
        ("tables.subsidy.rows.L4.when.months_insured", None, "{ from = 24 }"),
        ("tables.subsidy.rows.L5.valid_to", None, "2026-12-31"),
        ("sources.sc23.clause", "申领条件与补贴标准", "第二条"),
    }
    wage = PACKS["wage-sample"]
    raw = changed(wage, ("params", "base", "value", "4500"))
    assert load_pack(read_workbook(raw, wage, LADDER)).parameters["params.base"].value == 450_000


@pytest.mark.parametrize(
    ("cells", "code", "place"),
    [
        ([("subsidy", "L3", "if cert.grade", "3")], "NOTATION", "subsidy:6"),
        ([("subsidy", "L3", "if months_insured", "=1+1")], "NOTATION", "subsidy:6"),
        ([("subsidy", "L4", "id·subsidy", "L3")], "REPEATED", "subsidy:6"),
        ([("sources", "sc23", "date", "2023")], "NOTATION", "sources:2"),
    ],
)
def test_what_cannot_be_read_says_where(cells: list[tuple[str, str, str, Any]], code: str, place: str) -> None:
    pack = PACKS["sc-2023"]
    with pytest.raises(Refused) as refused:
        read_workbook(changed(pack, *cells), pack, LADDER)
    assert (refused.value.code, refused.value.field) == (code, place)


def test_a_row_that_is_taken_out_takes_its_name_with_it() -> None:
    pack = PACKS["sc-2023"]
    book = openpyxl.load_workbook(io.BytesIO(changed(pack)))
    page = book["subsidy"]
    page.delete_rows(next(row[0].row for row in page.iter_rows(min_row=2) if row[0].value == "L5"))
    out = io.BytesIO()
    book.save(out)
    again = load_pack(read_workbook(out.getvalue(), pack, LADDER))
    assert [row.id for row in again.table.rows] == ["L4", "L3", "pending"]
    assert "subsidy.L5" in pack.labels and "subsidy.L5" not in again.labels and "subsidy.L4" in again.labels


def test_the_loader_judges_what_was_read() -> None:
    pack = PACKS["sc-2023"]
    raw = changed(pack, ("subsidy", "L3", "if cert.grade", "四级"))
    with pytest.raises(BadPack) as refused:
        load_pack(read_workbook(raw, pack, LADDER))
    assert refused.value.code == "OVERLAP"


def test_a_workbook_of_another_pack_is_refused() -> None:
    raw = write_workbook(PACKS["wage-sample"], LADDER)
    with pytest.raises(Refused) as refused:
        read_workbook(raw, PACKS["sc-2023"], LADDER)
    assert refused.value.code == "NO_SHEET"

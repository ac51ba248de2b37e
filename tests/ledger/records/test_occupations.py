from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from openpyxl import Workbook

from ledger.errors import Malformed, Refused, Unavailable
from ledger.records.occupations import (
    Catalogue,
    Occupation,
    format_catalogue,
    import_catalogue,
    parse_catalogue,
)
from ledger.reference_data import catalogue_bytes, import_catalogue_file, load_catalogue

CATALOGUE = load_catalogue()


def test_only_sourced_codes_are_marked_confirmed() -> None:
    confirmed = {occupation.code for occupation in CATALOGUE.occupations if occupation.confirmed}
    assert confirmed == {"6-18-01-01", "4-10-01-05", "4-04-05-13", "2-02-38-01"}
    welder = CATALOGUE.find("6-18-02-04")
    assert welder is not None and welder.name == "焊工" and not welder.confirmed


def test_found_by_code_name_and_trade() -> None:
    lathe = CATALOGUE.find("6-18-01-01")
    assert lathe is not None
    assert CATALOGUE.find_by_name("车工") == CATALOGUE.find_by_name(" 车 工") == lathe
    assert CATALOGUE.find_by_name("数控车工") == lathe
    assert CATALOGUE.find("6-18-01-99") is None
    assert CATALOGUE.find_by_name("焊接工") is None
    assert lathe.standard == "6-18-01-01"


def test_a_trade_of_two_occupations_needs_more() -> None:
    both = Catalogue(
        "t",
        (
            Occupation("6-01-01-01", "甲工", "6-01-01-01", ("修理工", "甲一工")),
            Occupation("6-01-01-02", "乙工", "6-01-01-02", ("修理工",)),
        ),
    )
    with pytest.raises(Refused) as refusal:
        both.find_by_name("修理工")
    assert refusal.value.code == "OCCUPATION_AMBIGUOUS"
    assert both.find_by_name("修理工", "甲一工") == both.occupations[0]


def test_the_file_is_canonical_and_its_digest_is_that_of_its_bytes() -> None:
    raw = catalogue_bytes()
    assert format_catalogue(parse_catalogue(raw)) == raw
    assert CATALOGUE.digest == hashlib.sha256(raw).digest()
    lines = raw.splitlines(keepends=True)
    swapped = b"".join([lines[0], lines[2], lines[1], *lines[3:]])
    twice = b"".join([*lines[:2], *lines[1:]])
    for other in (raw + b" ", raw.replace(b"true", b"1"), swapped, twice, b"{}", b"null", b"\x00", b"[" * 50_000):
        with pytest.raises(Malformed):
            parse_catalogue(other)


@pytest.mark.parametrize("code", ["6-18-1-01", "9-18-01-01", "６-18-01-01", "6-18-01-01 ", "", "6-18-01-0١"])
def test_codes_have_one_form(code: str) -> None:
    with pytest.raises(Malformed):
        Occupation(code, "车工", "x")


def test_import_keeps_lineages_and_joins_rows() -> None:
    raw = import_catalogue(
        [
            ("6-18-01-09", "车工", "数控车工、普通车工"),
            ("4-10-01-05", "养老护理员", ""),
            ("6-18-01-09", "车工", "卧车工,普通车工"),
        ],
        "2031",
        base=CATALOGUE,
    )
    made = parse_catalogue(raw)
    moved = made.find("6-18-01-09")
    assert moved is not None and moved.lineage == "6-18-01-01" and moved.confirmed
    assert moved.trades == ("数控车工", "普通车工", "卧车工")
    assert raw == import_catalogue(
        [("4-10-01-05", "养老护理员", ""), ("６-18-01-09", "车 工", "数控车工、普通车工、卧车工")],
        "2031",
        base=CATALOGUE,
    )


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("6-18-01", "车工", "")], "CATALOGUE_CODE"),
        ([("6-18-01-01", "", "")], "CATALOGUE_NAME"),
        ([("6-18-01-01", "车\u202e工", "")], "CATALOGUE_NAME"),
        ([("6-18-01-01", "车工", ""), ("6-18-01-01", "焊接工", "")], "CATALOGUE_DUPLICATE"),
        ([("6-18-01-01", "车工", ""), ("6-18-01-02", "车工", "")], "CATALOGUE_NAME_CONFLICT"),
    ],
)
def test_import_refuses_with_the_row(rows: list[tuple[str, str, str]], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        import_catalogue(rows, "t")
    assert (refusal.value.code, refusal.value.field) == (code, f"row {len(rows)}")


def test_import_of_files(tmp_path: Path) -> None:
    expected = import_catalogue([("6-18-01-01", "车工", "数控车工")], "t")
    text = tmp_path / "list.csv"
    text.write_bytes("\ufeff工种,职业名称,职业编码\n数控车工,车工,6-18-01-01\n".encode())
    book = Workbook()
    book.active.append(["6-18-01-01", "车工", "数控车工"])
    book.save(tmp_path / "list.xlsx")
    assert import_catalogue_file(text, "t") == import_catalogue_file(tmp_path / "list.xlsx", "t") == expected
    for raw in (b"", b"PK\x03\x04broken", b"\xff\xfe\x00", b'"'):
        text.write_bytes(raw)
        with pytest.raises(Malformed):
            import_catalogue_file(text, "t")
    with pytest.raises(Unavailable):
        import_catalogue_file(tmp_path / "none.csv", "t")

from __future__ import annotations

import datetime as dt
import io
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuer.roster.forms import ROSTER
from ledger.errors import Refused
from ledger.sheets import container, csvtext, read, worker
from ledger.sheets.csvtext import decode
from ledger.sheets.inert import inert
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Odd, Sheet


def read_roster_bytes(raw: bytes, name: str) -> Sheet:
    return read_sheet_bytes(raw, name, ROSTER)


TITLES = [
    "姓名",
    "证件类型",
    "证件号码",
    "所在单位",
    "职业名称",
    "工种名称",
    "职业技能等级",
    "证书编号",
    "发证日期",
    "评价机构",
    "发证机构",
]
LINE = [
    "例安",
    "居民身份证",
    "000000199001010018",
    "示例公司",
    "车工",
    "数控车工",
    "3",
    "Y000051990001253000001",
    "2025-11-20",
    "甲",
    "乙",
]


def workbook(*rows: Sequence[Any], change: Callable[[Any], object] = lambda book: None) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    change(book)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def repack(
    raw: bytes, *, add: dict[str, bytes] | None = None, edit: Callable[[str, bytes], bytes] | None = None
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, edit(name, old.read(name)) if edit else old.read(name))
        for name, part in (add or {}).items():
            new.writestr(name, part)
    return made.getvalue()


def csv_text(*rows: Sequence[str], separator: str = ",") -> str:
    return "".join(separator.join(row) + "\r\n" for row in rows)


def code_of(raw: bytes, name: str = "roster.xlsx") -> str:
    with pytest.raises(Refused) as refusal:
        read_roster_bytes(raw, name)
    assert refusal.value.field == "file"
    return refusal.value.code


GOOD = workbook(TITLES, LINE)


def test_a_workbook() -> None:
    sheet = read_roster_bytes(GOOD, "roster.xlsx")
    assert (sheet.kind, sheet.name, sheet.header.row, sheet.notes) == ("xlsx", "Sheet", 1, ())
    assert sheet.header.places["issue_date"] == 8 and sheet.header.complete
    assert [(row.number, list(row.cells)) for row in sheet.rows] == [(2, LINE)]


def test_columns_in_any_order_below_title_rows_with_blank_rows_between() -> None:
    raw = workbook(["2025 年上报数据"], [], list(reversed(TITLES)), [], list(reversed(LINE)))
    sheet = read_roster_bytes(raw, "r.xlsx")
    assert sheet.header.row == 3 and sheet.header.places["name"] == 10
    assert [row.number for row in sheet.rows] == [5]


def test_dates_numbers_and_truth_values_keep_their_kind() -> None:
    def mac(book: Any) -> None:
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904

    values = [dt.date(2025, 11, 20), dt.datetime(2025, 11, 20, 8, 30), 3, True, 3.5]
    for change in (lambda book: None, mac):
        sheet = read_roster_bytes(workbook(TITLES, [*LINE, *values], change=change), "r.xlsx")
        day = dt.date(2025, 11, 20)
        assert sheet.rows[0].cells[11:] == (day, day, 3.0, True, 3.5)
        assert sheet.date1904 == (change is mac)


def test_formulas_errors_and_merged_cells_are_marked_and_their_values_not_used() -> None:
    def spoil(book: Any) -> None:
        page = book.active
        page["C2"], page["D2"] = "=1+1", "#N/A"
        page["D2"].data_type = "e"
        page.append(LINE)
        page.append(LINE)
        page.merge_cells("E3:E4")
        page.merge_cells("A1:B1")

    sheet = read_roster_bytes(workbook(TITLES, LINE, change=spoil), "r.xlsx")
    kinds = {
        (row.number, at): cell.kind for row in sheet.rows for at, cell in enumerate(row.cells) if isinstance(cell, Odd)
    }
    assert kinds == {(2, 2): "formula", (2, 3): "error", (3, 4): "merged", (4, 4): "merged"}


def test_hidden_rows_are_read_and_told_hidden_sheets_are_not_read() -> None:
    def hide(book: Any) -> None:
        book.active.row_dimensions[2].hidden = True
        other = book.create_sheet("其他")
        other.append(TITLES)
        other.sheet_state = "hidden"

    sheet = read_roster_bytes(workbook(TITLES, LINE, change=hide), "r.xlsx")
    assert len(sheet.rows) == 1
    assert [note.code for note in sheet.notes] == ["SHEETS_HIDDEN", "ROWS_HIDDEN"]


def test_the_sheet_with_the_header_is_found_and_two_are_one_too_many() -> None:
    def more(book: Any) -> None:
        book.create_sheet("说明", 0).append(["请按模板填写"])

    def twice(book: Any) -> None:
        book.create_sheet("副本").append(TITLES)

    assert read_roster_bytes(workbook(TITLES, LINE, change=more), "r.xlsx").name == "Sheet"
    assert code_of(workbook(TITLES, LINE, change=twice)) == "SHEET_AMBIGUOUS"
    assert code_of(workbook(["a", "b"], ["1", "2"])) == "HEADER_NOT_FOUND"
    assert code_of(workbook()) == "HEADER_NOT_FOUND"


def test_containers_that_are_not_plain_workbooks() -> None:
    doctype = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    cases = {
        "FILE_MACRO": repack(GOOD, add={"xl/vbaProject.bin": b"x"}),
        "FILE_EXTERNAL": repack(GOOD, add={"xl/externalLinks/externalLink1.xml": b"<x/>"}),
        "FILE_EMBEDDED": repack(GOOD, add={"xl/embeddings/oleObject1.obj": b"x"}),
        "FILE_PATHS": repack(GOOD, add={"../evil.xml": b"<x/>"}),
        "FILE_XML": repack(GOOD, add={"xl/extra.xml": doctype}),
        "FILE_BOMB": repack(GOOD, add={"xl/bomb.xml": b"\0" * 40_000_000}),
        "FILE_MEMBERS": repack(GOOD, add={f"xl/media/{at}.png": b"" for at in range(201)}),
        "FILE_NOT_WORKBOOK": repack(GOOD, edit=lambda name, part: part)[:0] or _zip({"a.txt": b"x"}),
    }
    for code, raw in cases.items():
        assert code_of(raw) == code, code
    utf16 = repack(GOOD, add={"xl/extra.xml": "<x/>".encode("utf-16")})
    assert code_of(utf16) == "FILE_XML"
    assert code_of(GOOD, "roster.xlsm") == "FILE_MACRO"


def _zip(parts: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part)
    return made.getvalue()


def test_overlapping_repeated_and_encrypted_members() -> None:
    archive = zipfile.ZipFile(io.BytesIO(GOOD))
    archive.infolist()[1].header_offset = archive.infolist()[0].header_offset + 10
    with pytest.raises(Refused, match="FILE_BOMB"):
        container.check_container(archive)
    archive = zipfile.ZipFile(io.BytesIO(GOOD))
    archive.infolist()[0].flag_bits |= 1
    with pytest.raises(Refused, match="FILE_ENCRYPTED"):
        container.check_container(archive)
    archive = zipfile.ZipFile(io.BytesIO(GOOD))
    archive.infolist()[0].filename = archive.infolist()[1].filename
    with pytest.raises(Refused, match="FILE_PATHS"):
        container.check_container(archive)


def test_a_directory_that_is_too_large_is_not_read() -> None:
    """46 bytes an entry: a few megabytes of them would be gigabytes of Python's own records."""
    member = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    for count, code in ((20_000, "FILE_MEMBERS"), (300, "FILE_MEMBERS")):
        directory = member * count
        sizes = len(directory).to_bytes(4, "little") + bytes(6)
        entries = (count & 0xFFFF).to_bytes(2, "little") * 2
        raw = b"PK\x03\x04" + directory + b"PK\x05\x06" + bytes(4) + entries + sizes
        assert code_of(raw) == code
        if count > 1_000:
            with pytest.raises(Refused, match="FILE_MEMBERS"):
                container.open_archive(raw)
            wide = b"PK\x06\x06" + bytes(36) + len(directory).to_bytes(8, "little") + bytes(8)
            end = b"PK\x05\x06" + bytes(4) + entries + b"\xff" * 8 + bytes(2)
            with pytest.raises(Refused, match="FILE_MEMBERS"):
                container.open_archive(raw + wide + b"PK\x06\x07" + bytes(16) + end)
    for damaged in (b"PK\x03\x04", GOOD[:-1], GOOD[:-23] + b"PK\x05\x06", b"PK\x06\x07" + bytes(16) + GOOD[-22:]):
        with pytest.raises(Refused, match="FILE_DAMAGED"):
            container.open_archive(damaged)
    assert container.open_archive(GOOD + b"").namelist()


def test_a_declaration_that_does_not_end_is_refused() -> None:
    far = b"<?xml version='1.0'" + b" " * 2_000 + b"encoding='cp037'?><x/>"
    assert code_of(repack(GOOD, add={"xl/extra.xml": far})) == "FILE_XML"
    near = b"<?xml version='1.0'" + b" " * 500 + b"encoding='cp037'?><x/>"
    assert code_of(repack(GOOD, add={"xl/extra.xml": near})) == "FILE_XML"


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\t=1", "＝1", "＋1", "－1", "＠a", "  =1", " \u200b=1", "\ufeff=1"]
)
def test_no_text_starts_a_formula(text: str) -> None:
    assert inert(text).startswith("'") and inert(inert(text)) == inert(text)


def test_ordinary_texts_stay() -> None:
    for text in ("例小明", "a=1", " 例", "3-4", "", "'x"):
        assert inert(text) == text


def test_a_cell_far_away_costs_nothing() -> None:
    def far(name: str, part: bytes) -> bytes:
        if not name.endswith("sheet1.xml"):
            return part
        return part.replace(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')

    assert code_of(repack(GOOD, edit=far)) == "FILE_TOO_WIDE"


def test_other_kinds_of_file_by_their_content() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    assert code_of(ole, "r.xls") == "FILE_OLE"
    assert code_of(ole + "EncryptedPackage".encode("utf-16-le")) == "FILE_ENCRYPTED"
    assert code_of(b"") == code_of(b" \r\n ") == "FILE_EMPTY"
    assert code_of(b"%PDF-1.7") == code_of(b"<html><table>", "r.xls") == "FILE_KIND"
    assert code_of(b"PK\x03\x04 broken") == "FILE_DAMAGED"
    assert code_of(GOOD[: len(GOOD) // 2]) == "FILE_DAMAGED"
    text = csv_text(TITLES, LINE).encode()
    assert [note.code for note in read_roster_bytes(text, "r.xlsx").notes] == ["FILE_KIND_MISMATCH"]
    assert [note.code for note in read_roster_bytes(GOOD, "r.csv").notes] == ["FILE_KIND_MISMATCH"]


def test_a_worker_that_dies_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    for output in (b"", b"{}", b"[1,", b'{"sheet":"a"}\n[1,[["x"]]]', b'{"refused":["A"]}'):
        monkeypatch.setattr(read, "_run_worker", lambda raw, form, most_rows, output=output: output)
        assert code_of(GOOD) == "FILE_LIMITS"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_workbooks_only_ever_raise_refusals(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        list(worker.read_workbook(bytes(raw), ROSTER))
    except Refused as refusal:
        assert refusal.field == "file"


ENCODINGS = [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8 (BOM)"), ("gbk", "GBK"), ("gb18030", "GBK"), ("utf-16", "UTF-16")]


@pytest.mark.parametrize(("codec", "label"), ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_in_every_encoding_and_separator(codec: str, label: str, separator: str) -> None:
    raw = csv_text(["名单"], TITLES, LINE, [], LINE, separator=separator).encode(codec)
    sheet = read_roster_bytes(raw, "r.csv")
    assert (sheet.encoding, sheet.separator, sheet.header.row) == (label, separator, 2)
    assert [(row.number, list(row.cells)) for row in sheet.rows] == [(3, LINE), (5, LINE)]
    assert bool(sheet.notes) == (label in ("GBK", "UTF-16"))


def test_gb18030_four_byte_characters() -> None:
    rare = "例\U00020bb7\u4dae"
    sheet = read_roster_bytes(csv_text(TITLES, [rare, *LINE[1:]]).encode("gb18030"), "r.csv")
    assert (sheet.encoding, sheet.rows[0].cells[0]) == ("GB 18030", rare)


def test_thirty_thousand_characters_survive_every_encoding() -> None:
    text = "".join(chr(at) for at in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), *range(0x20000, 0x20800)))
    assert len(text) > 29_000
    for codec in ("utf-8", "utf-8-sig", "gb18030", "utf-16"):
        assert decode(("姓名" + text).encode(codec))[0] == "姓名" + text


def test_csv_that_cannot_be_read_says_where() -> None:
    good = csv_text(TITLES, LINE)
    mixed = good.encode() + csv_text(LINE).encode("gbk")
    with pytest.raises(Refused) as refusal:
        read_roster_bytes(mixed, "r.csv")
    assert refusal.value.code == "CSV_ENCODING" and "3" in refusal.value.text.zh
    assert code_of(good.encode() + b"\x00", "r.csv") == code_of(good.encode("utf-16-le"), "r.csv") == "CSV_NUL"
    with pytest.raises(Refused) as refusal:
        read_roster_bytes((good + '"例安,1\r\n' + good).encode(), "r.csv")
    assert refusal.value.code == "CSV_QUOTES" and "第 3 行" in refusal.value.text.zh
    assert code_of((good + "x" * 1_000_000).encode(), "r.csv") == "CSV_CELL"
    assert code_of((good + "," * 100 + "x").encode(), "r.csv") == "FILE_TOO_WIDE"
    assert code_of(b"a,b\n1,2\n", "r.csv") == "HEADER_NOT_FOUND"


def test_line_ends_inside_and_between_cells() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = ",".join(TITLES) + end + ",".join(["例\u2028安", '"两\n行"', *LINE[2:]]) + end
        sheet = read_roster_bytes(text.encode(), "r.csv")
        assert [row.cells[:2] for row in sheet.rows] == [("例\u2028安", "两\n行")]


def test_missing_repeated_and_unknown_columns_are_told() -> None:
    titles = ["姓名*", "证件号码（必填）", "证书\n编号", "职业", "等级", "发证日期", "备注", "职业名称"]
    header = read_roster_bytes(workbook(titles, ["x"] * 8), "r.xlsx").header
    found = {(problem.code, problem.column, problem.severity) for problem in header.problems}
    assert ("COLUMN_DUPLICATE", "职业名称", "error") in found and not header.complete
    assert ("COLUMN_UNKNOWN", "备注", "note") in found
    assert ("COLUMN_MISSING", "所在单位", "note") in found
    partial = read_roster_bytes(workbook(["姓名", "证件号码", "等级"], ["x"] * 3), "r.xlsx").header
    assert ("COLUMN_MISSING", "证书编号", "error") in {(p.code, p.column, p.severity) for p in partial.problems}


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_BYTES", 100)
    assert code_of(GOOD) == "FILE_TOO_LARGE"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    if raw.startswith(b"PK"):
        return
    for start in (b"", csv_text(TITLES).encode(), csv_text(TITLES).encode("gbk")):
        try:
            read_roster_bytes(start + raw, "r.csv")
        except Refused as refusal:
            assert refusal.field == "file"


def test_a_sheet_that_needs_too_much_memory_ends_the_worker_only() -> None:
    def tall(name: str, part: bytes) -> bytes:
        if not name.endswith("sheet1.xml"):
            return part
        return part.replace(b"</sheetData>", b'<row r="1048576"><c r="BL1048576"><v>1</v></c></row></sheetData>')

    assert code_of(repack(GOOD, edit=tall)) == "FILE_LIMITS"


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_rows_that_nobody_wants_are_not_read(kind: str) -> None:
    rows = [TITLES, *([LINE] * 20)]
    raw = csv_text(*rows).encode() + b'"never closed' if kind == "csv" else workbook(*rows)
    sheet = read_sheet_bytes(raw, f"r.{kind}", ROSTER, 5)
    assert [row.number for row in sheet.rows] == [2, 3, 4, 5, 6]
    if kind == "xlsx":
        assert len(read._run_worker(raw, ROSTER, 5).splitlines()) == 1 + 5


def test_what_few_rows_may_hold_is_bounded() -> None:
    drawn = random.Random(4)
    long = ["".join(map(chr, drawn.choices(range(0x4E00, 0x9000), k=500))) for _ in range(30)]
    raw = workbook(TITLES, *([*LINE, *drawn.choices(long, k=40)] for _ in range(30)))
    assert len(read_roster_bytes(raw, "r.xlsx").rows) == 30
    with pytest.raises(Refused) as refusal:
        read_sheet_bytes(raw, "r.xlsx", ROSTER, 100)
    assert refusal.value.code == "FILE_LIMITS"
    assert worker.most_output(501) == 501 * 4096 and worker.most_output(10**9) == worker.MAX_OUTPUT


def test_blank_rows_do_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvtext, "LAST_ROW", 50)
    good = csv_text(TITLES, LINE).encode()
    assert len(read_roster_bytes(good + b"\n" * 48, "r.csv").rows) == 1
    assert code_of(good + b"\n" * 49, "r.csv") == "FILE_TOO_LONG"


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (b"," * 8_000_000, "FILE_TOO_WIDE"),
        (b'xy,"\n",' * 500_000, "FILE_TOO_WIDE"),
    ],
)
def test_a_csv_is_not_held_in_memory_a_second_time(tail: bytes, code: str) -> None:
    raw = csv_text(TITLES, LINE).encode() + tail
    tracemalloc.start()
    try:
        assert code_of(raw, "r.csv") == code
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    finally:
        tracemalloc.stop()

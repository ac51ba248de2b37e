"""A pack's sources, parameters and tables as sheets of a workbook, for people who do not program.

    one sheet a table      id·TABLE  source  valid_from  valid_to  sample  [result  reason]  if COLUMN …  then OUTPUT …
    sources                id·sources  document  clause  date  link  sample
    params                 id·params  value  source  sample

Rows whose first cell begins with # are for people: types, and names in both languages. What reading changes is the
rows, and the names of those that have gone; everything else of the pack stays, except that comments in the files that
change are not kept.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from openpyxl import Workbook

from ledger.errors import Refused
from ledger.records.grades import Ladder
from ledger.sheets.form import Form
from ledger.sheets.inert import append_texts, book_bytes
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Odd, Sheet, SheetRow
from ledger.text import Text
from verifier.eligibility.authoring.notation import days_of, read_cell, read_value, write_cell, write_value
from verifier.eligibility.authoring.toml_text import format_toml
from verifier.eligibility.kinds import Kind, ValueType
from verifier.eligibility.pack import Pack
from verifier.eligibility.people import folded
from verifier.eligibility.sentences import row_label
from verifier.eligibility.tables import Outcome, Row, Table, cell_of
from verifier.hiring.sheets import cell_text

_MADE: Final = "# Made from a workbook by cert-verifier packs unsheet.\n"
_FIXED: Final = ("source", "valid_from", "valid_to", "sample")
_DECIDING: Final = ("result", "reason")
_SOURCES: Final = ("document", "clause", "date", "link", "sample")
_PARAMS: Final = ("value", "source", "sample")
_NO_SHEET: Final = Text(
    "工作簿里没有 {name} 这张表，或表头被改过", "no sheet {name} in the workbook, or its header was changed"
)
_NO_PARAM: Final = Text("没有这个参数；新参数须写在 pack.toml", "no such parameter: new ones go to pack.toml")
_TWICE: Final = Text("编号 {id} 出现两次", "the id {id} is there twice")
_FORMULA: Final = Text("公式、合并或出错的单元格", "a formula, merged or faulty cell")


def write_workbook(pack: Pack, ladder: Ladder) -> bytes:
    """The workbook of a pack."""
    book = Workbook(write_only=True)
    about = book.create_sheet("about")
    about.column_dimensions["A"].width, about.column_dimensions["B"].width = 24, 90
    for line in _about(pack):
        append_texts(about, line)
    for name, lines in (("sources", _source_lines(pack)), ("params", _param_lines(pack, ladder))):
        _write(book, name, lines)
    for table in pack.tables:
        _write(book, table.id, _table_lines(table, pack, ladder))
    return book_bytes(book)


def read_workbook(raw: bytes, pack: Pack, ladder: Ladder) -> dict[str, bytes]:
    """The files of the pack with what the workbook says. Blocks. They are not loaded here: `load_pack` judges them.

    Raises Refused FILE_*, NO_SHEET, NOTATION, REPEATED with the sheet and row; Unavailable.
    """
    head = tomllib.loads(pack.files["pack.toml"].decode())
    head["sources"] = dict(_read_sources(raw))
    if pack.parameters:
        head["params"] = dict(_read_params(raw, pack, ladder))
    body = tomllib.loads(pack.files["tables.toml"].decode())
    for at, table in enumerate(body["tables"]):
        checked = next(each for each in pack.tables if each.id == table["id"])
        rows = list(_read_rows(raw, table, checked, pack, ladder))
        body["tables"][at] = {**{key: value for key, value in table.items() if key != "rows"}, "rows": rows}
    files = dict(pack.files)
    files["pack.toml"] = (_MADE + format_toml(head)).encode()
    files["tables.toml"] = (_MADE + format_toml(body)).encode()
    return files | _without_names_of_gone(pack, body)


def _without_names_of_gone(pack: Pack, body: Mapping[str, Any]) -> dict[str, bytes]:
    """The sentences anew, where rows have gone that had a name: a name that nothing bears is refused."""
    before = {row_label(table.id, row.id) for table in pack.tables for row in table.rows}
    gone = before - {row_label(table["id"], row["id"]) for table in body["tables"] for row in table["rows"]}
    sentences = tomllib.loads(pack.files["sentences.toml"].decode())
    if not gone & sentences.get("labels", {}).keys():
        return {}
    sentences["labels"] = {name: text for name, text in sentences["labels"].items() if name not in gone}
    return {"sentences.toml": (_MADE + format_toml(sentences)).encode()}


def _about(pack: Pack) -> Iterator[tuple[str, str]]:
    yield "id", pack.id
    yield "规则 / rules", pack.title.both()
    yield "SHA-256", pack.digest.hex()
    yield from _HELP


_HELP: Final = (
    ("单元格写法", "how cells are written"),
    ("空", "any value"),
    ("三级, 四级", "one of these (grades by name: a bare number could be two things)"),
    (">= 12   <= 23   12..23", "numbers, both ends included"),
    ("< 2025-01-01   > 2024-12-31", "dates before, after; >= and <= include the day"),
    ("not 三级", "anything else"),
    ("+ a, b - c", "sets: with these and without those"),
    ("absent", "known not to exist"),
    ("12.50", "money in yuan"),
    ("# …", "rows whose first cell begins with # are not read"),
)


def _write(book: Any, name: str, lines: Iterator[list[str]]) -> None:
    page = book.create_sheet(name[:31])
    for line in lines:
        append_texts(page, line)


def _table_lines(table: Table, pack: Pack, ladder: Ladder) -> Iterator[list[str]]:
    deciding = table.id == pack.decides
    columns, outputs = table.columns[1:], list(table.outputs)
    fixed = [*_FIXED, *(_DECIDING if deciding else ())]
    yield [f"id·{table.id}", *fixed, *(f"if {name}" for name in columns), *(f"then {name}" for name in outputs)]
    kinds = [_kind(type_) for type_ in (*table.types[1:], *table.outputs.values())]
    yield ["# type", "source", "date", "date", "yes/no", *(("result", "reason") if deciding else ()), *kinds]
    names = [*columns, *(f"tables.{table.id}.{name}" for name in outputs)]
    yield ["#", *[""] * len(fixed), *(pack.labels[name].both() if name in pack.labels else name for name in names)]
    for row in table.rows:
        yield _row_line(row, table, ladder, deciding=deciding)


def _row_line(row: Row, table: Table, ladder: Ladder, *, deciding: bool) -> list[str]:
    first, last = days_of(row.cells[0])
    said = [row.id, row.source, first.isoformat() if first else "", last.isoformat() if last else ""]
    said.append("yes" if row.sample else "")
    if deciding:
        said += ["" if row.outcome is Outcome.ELIGIBLE else row.outcome.value, row.reason]
    said += [write_cell(cell, type_, ladder) for cell, type_ in zip(row.cells[1:], table.types[1:], strict=True)]
    return said + [write_value(row.outputs[name], type_, ladder) for name, type_ in table.outputs.items()]


def _kind(type_: ValueType) -> str:
    words = f" {'|'.join(type_.values)}" if type_.values else ""
    span = f" {type_.low}..{type_.high}" if type_.kind in (Kind.INT, Kind.MONEY) else ""
    return f"{type_.kind.value}{words}{span}"


def _source_lines(pack: Pack) -> Iterator[list[str]]:
    yield ["id·sources", *_SOURCES]
    raw = tomllib.loads(pack.files["pack.toml"].decode())["sources"]
    for key, each in raw.items():
        sample = "yes" if each.get("sample") else ""
        yield [key, each["document"], each["clause"], each["date"].isoformat(), each.get("link", ""), sample]


def _param_lines(pack: Pack, ladder: Ladder) -> Iterator[list[str]]:
    yield ["id·params", *_PARAMS]
    yield ["# money in yuan", "", "", ""]
    for name, each in pack.parameters.items():
        value = write_value(each.value, each.type, ladder)
        yield [name.removeprefix("params."), value, each.source, "yes" if each.sample else ""]


def _read_sources(raw: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, said, place in _rows(raw, "sources", _SOURCES):
        day = _date(said["date"], place)
        source: dict[str, Any] = {"document": said["document"], "clause": said["clause"], "date": day}
        source |= {"link": said["link"]} if said["link"] else {}
        yield key, source | _sample(said)


def _read_params(raw: bytes, pack: Pack, ladder: Ladder) -> Iterator[tuple[str, dict[str, Any]]]:
    was = tomllib.loads(pack.files["pack.toml"].decode())["params"]
    for key, said, place in _rows(raw, "params", _PARAMS):
        about = pack.parameters.get(f"params.{key}")
        if about is None:
            raise Refused("NOTATION", place, _NO_PARAM)
        plain = ValueType(about.type.kind)
        value = _placed(place, lambda s=said, p=plain: read_value(s["value"], p, ladder))
        left = {name: each for name, each in was[key].items() if name not in ("value", "source", "sample")}
        yield key, {**left, "value": value, "source": said["source"]} | _sample(said)


def _read_rows(
    raw: bytes, table: Mapping[str, Any], checked: Table, pack: Pack, ladder: Ladder
) -> Iterator[dict[str, Any]]:
    deciding = checked.id == pack.decides
    titles = (
        *_FIXED, *(_DECIDING if deciding else ()), *(f"if {n}" for n in checked.columns[1:]),
        *(f"then {n}" for n in checked.outputs),
    )  # fmt: skip
    old = {row["id"]: row for row in table["rows"]}
    every = table.get("every", {})
    for key, said, place in _rows(raw, checked.id, titles):
        was = old.get(key, {})
        row: dict[str, Any] = {"id": key, "source": said["source"]}
        row |= {name: _date(said[name], place) for name in ("valid_from", "valid_to") if said[name]}
        row |= {name: said[name] for name in _DECIDING if deciding and said[name] and said[name] != "eligible"}
        row |= _sample(said)
        when = {}
        for name, type_ in zip(checked.columns[1:], checked.types[1:], strict=True):
            value = _placed(place, lambda s=said[f"if {name}"], t=type_: read_cell(s, t, ladder))
            before = was.get("when", {}).get(name, every.get(name) if was else None)
            if _same(value, before, type_, place):
                value = was.get("when", {}).get(name)
            elif _same(value, every.get(name), type_, place):
                continue
            elif value is None and name in every:
                value = "any"
            if value is not None:
                when[name] = value
        then = {}
        for name, type_ in checked.outputs.items():
            text, plain = said[f"then {name}"], ValueType(type_.kind)
            then[name] = _placed(place, lambda s=text, t=plain: read_value(s, t, ladder))
        row |= ({"when": when} if when else {}) | ({"then": then} if then else {})
        yield row


def _same(one: Any, other: Any, type_: ValueType, place: str) -> bool:
    """Whether two cells test the same, however they are written."""
    if one is None or other is None or other == "any":
        return one is None and (other is None or other == "any")
    a, b = cell_of(one, type_, place), cell_of(other, type_, place)
    return a is not None and b is not None and a.said == b.said


def _rows(raw: bytes, name: str, titles: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], str]]:
    """The rows of one sheet: id, cells by title, and where they stand."""
    sheet = _sheet(raw, name, titles)
    seen = set[str]()
    for row in sheet.rows:
        said = {title: _text(row, at, f"{name}:{row.number}") for title, at in sheet.header.places.items()}
        key = said.pop("id").strip()
        if key.startswith("#"):
            continue
        if key in seen:
            raise Refused("REPEATED", f"{name}:{row.number}", _TWICE.format(id=key[:40]))
        seen.add(key)
        yield key, said, f"{name}:{row.number}"


def _sheet(raw: bytes, name: str, titles: tuple[str, ...]) -> Sheet:
    columns = {"id": (folded(f"id·{name}"),)} | {title: (folded(title),) for title in titles}
    form = Form("pack-table", columns, required=tuple(columns), listed=tuple(columns), least=len(columns))
    try:
        return read_sheet_bytes(raw, "pack.xlsx", form)
    except Refused as refused:
        if refused.code == "HEADER_NOT_FOUND":
            raise Refused("NO_SHEET", name, _NO_SHEET.format(name=name)) from refused
        raise


def _text(row: SheetRow, at: int, place: str) -> str:
    cell = row.cell(at)
    if isinstance(cell, Odd):
        raise Refused("NOTATION", place, _FORMULA)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and not cell.is_integer():
        return f"{cell:.2f}"
    text = cell_text(cell).strip()
    return text.removeprefix("'") if text[:2] in ("'+", "'-", "'=") else text


def _placed(place: str, read: Any) -> Any:
    """What `read` gives; a refusal says where."""
    try:
        return read()
    except Refused as refused:
        raise Refused(refused.code, place, refused.text) from refused


def _date(text: str, place: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Refused("NOTATION", place, Text("应为日期 yyyy-mm-dd", "must be a date yyyy-mm-dd"))


def _sample(said: Mapping[str, str]) -> dict[str, Any]:
    return {"sample": True} if said["sample"].lower() in ("yes", "true", "是", "1") else {}

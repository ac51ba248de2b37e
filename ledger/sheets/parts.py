"""The two small XML parts that say which sheet is which: xl/workbook.xml and its relationships."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from xml.parsers import expat

from ledger.sheets.container import refused

_MAX_PART = 1024 * 1024
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"


def sheet_parts(parts: Mapping[str, bytes]) -> dict[str, str]:
    """Sheet name -> part name, for the sheets whose part is there. Refused FILE_XML when the parts are damaged."""
    targets = {
        relation["Id"]: posixpath.normpath(posixpath.join("/xl", relation["Target"])).lstrip("/")
        for relation in _elements(parts.get(_RELATIONS, b""), "Relationship")
        if {"Id", "Target"} <= relation.keys() and relation.get("TargetMode") != "External"
    }
    found = {}
    for sheet in _elements(parts.get(_WORKBOOK, b""), "sheet"):
        relation_id = next((value for key, value in sheet.items() if re.fullmatch(r"[\w.-]+:id", key)), "")
        if targets.get(relation_id) in parts and "name" in sheet:
            found[sheet["name"]] = targets[relation_id]
    return found


def uses_1904(parts: Mapping[str, bytes]) -> bool:
    """Whether serial dates count from 1904-01-01 (old Mac workbooks)."""
    return any(pr.get("date1904") in ("1", "true") for pr in _elements(parts.get(_WORKBOOK, b""), "workbookPr"))


def _elements(raw: bytes, wanted: str) -> Iterator[dict[str, str]]:
    found: list[dict[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == wanted:
            found.append(attributes)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(raw[:_MAX_PART], True)
    except expat.ExpatError:
        raise refused("FILE_XML", "工作簿目录已损坏", "the workbook's own list of sheets is damaged")
    yield from found

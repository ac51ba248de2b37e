"""Reading the tables of a pack: columns, rows and outputs typed; each comes after the tables that it reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from verifier.eligibility.cells import plain_value
from verifier.eligibility.derived import source_of
from verifier.eligibility.kinds import Kind, ValueType, value_type
from verifier.eligibility.reader import CODE, Node, bad, unknown
from verifier.eligibility.tables import AS_OF, MAX_ROWS, Hit, Outcome, Row, Table, cell_of, check_rows, days_cell

MAX_TABLES: Final = 20
MAX_COLUMNS: Final = 30
_ROW: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_OUTPUTS: Final = (Kind.INT, Kind.MONEY, Kind.GRADE, Kind.BOOL, Kind.TEXT)


def read_tables(
    root: Node,
    types: dict[str, ValueType],
    facts_of: dict[str, frozenset[str]],
    sources: frozenset[str],
    valid: tuple[int, int],
    decides: str,
) -> tuple[tuple[Table, ...], dict[str, str]]:
    """The tables in the order in which they are worked out, and the reasons of the deciding one's columns.

    `types` and `facts_of` grow by their outputs.

    Raises BadPack; CYCLE where tables read each other.
    """
    waiting: dict[str, tuple[Node, dict[str, Any], dict[str, Kind]]] = {}
    for node in root.rows("tables", MAX_TABLES):
        id_ = node.name("id")
        if id_ in waiting:
            raise bad("REPEATED", node.at("id"), "编号重复", "an id twice")
        waiting[id_] = (node, node.entries("columns"), _outputs(node))
    promised = {f"tables.{id_}.{name}": id_ for id_, (_, _, outputs) in waiting.items() for name in outputs}
    if decides not in waiting:
        raise unknown("UNKNOWN_NAME", "pack.toml: decides", decides, waiting)
    done: list[Table] = []
    reasons = {name: str(code) for name, code in waiting[decides][1].items()}
    while waiting:
        ready = next(
            (id_ for id_, (_, columns, _) in waiting.items() if not any(promised.get(c) in waiting for c in columns)),
            None,
        )
        if ready is None:
            circle = ", ".join(waiting)
            raise bad(
                "CYCLE", root.at("tables"), "表互相引用：{circle}", "tables read each other: {circle}", circle=circle
            )
        node, columns, outputs = waiting.pop(ready)
        table = _table(node, ready, columns, outputs, types, sources, decides=ready == decides)
        check_rows(table, node.place, valid)
        needs = frozenset[str]().union(*(facts_of[column] for column in table.columns))
        for name, type_ in table.outputs.items():
            types[f"tables.{ready}.{name}"] = type_
            facts_of[f"tables.{ready}.{name}"] = needs
        done.append(table)
    return tuple(done), reasons


def _outputs(node: Node) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    outputs = node.node("outputs", optional=True)
    for name in outputs.names:
        kind = outputs.choice(name, Kind)
        if kind not in _OUTPUTS:
            raise bad("TYPE", outputs.at(name), "输出不能是这种类型", "an output cannot be of this type")
        found[name] = kind
    return found


def _table(
    node: Node,
    id_: str,
    columns: dict[str, Any],
    outputs: dict[str, Kind],
    types: Mapping[str, ValueType],
    sources: frozenset[str],
    *,
    decides: bool,
) -> Table:
    hit, complete = node.choice("hit", Hit), node.flag("complete", False)
    every = node.entries("every") if node.has("every") else {}
    for column in every:
        if column not in columns:
            raise unknown("UNKNOWN_KEY", node.at(f"every.{column[:80]}"), column, columns)
    reason = "" if decides else node.name("reason", CODE)
    for column, marker in columns.items():
        if column not in types or column == AS_OF:
            raise unknown("UNKNOWN_NAME", node.at(f"columns.{column[:80]}"), column, types)
        if not (type(marker) is str and CODE.fullmatch(marker) if decides else marker is True):
            raise bad("COLUMN", node.at(f"columns.{column}"), "应为理由代码", "must be a reason code")
    if len(columns) > MAX_COLUMNS:
        raise bad("TOO_MANY", node.at("columns"), "最多 {most} 列", "at most {most} columns", most=MAX_COLUMNS)
    names = (AS_OF, *columns)
    kinds = tuple(types[name] for name in names)
    rows, seen = [], set[str]()
    for each in node.rows("rows", MAX_ROWS):
        row = _row(each, every, names, kinds, outputs, sources, decides=decides)
        if row.id in seen:
            raise bad("REPEATED", each.at("id"), "编号重复", "an id twice")
        seen.add(row.id)
        rows.append(row)
    if not rows:
        raise bad("MISSING", node.at("rows"), "没有行", "no rows")
    node.end()
    typed = {name: _bounds(name, kind, rows) for name, kind in outputs.items()}
    return Table(id_, hit, names, kinds, tuple(rows), typed, reason, complete)


def _row(
    node: Node,
    every: Mapping[str, Any],
    names: tuple[str, ...],
    kinds: tuple[ValueType, ...],
    outputs: Mapping[str, Kind],
    sources: frozenset[str],
    *,
    decides: bool,
) -> Row:
    id_ = node.name("id", _ROW)
    when, then = node.node("when", optional=True), node.node("then", optional=True)
    first, last = node.day("valid_from", None), node.day("valid_to", None)
    cells = [days_cell(first, last, node.place)]
    for name, type_ in zip(names[1:], kinds[1:], strict=True):
        raw = when.take(name, every.get(name))
        cells.append(None if raw is None else cell_of(raw, type_, f"{node.place}: {name}"))
    when.end()
    values: dict[str, int | str] = {}
    for name, kind in outputs.items():
        low = 0 if kind in (Kind.INT, Kind.MONEY) else None
        values[name] = plain_value(then.take(name), value_type(kind, (), low), then.at(name))
    then.end()
    outcome = node.choice("result", Outcome, "eligible")
    reason = node.name("reason", CODE) if outcome is not Outcome.ELIGIBLE else ""
    if outcome is not Outcome.ELIGIBLE and not decides:
        raise bad("UNKNOWN_KEY", node.at("result"), "只有作决定的表有结果", "only the deciding table has results")
    row = Row(id_, tuple(cells), values, source_of(node, sources), outcome, reason, node.flag("sample", False))
    node.end()
    return row


def _bounds(name: str, kind: Kind, rows: list[Row]) -> ValueType:
    """The type of an output, as wide as its rows; absent where no row matches."""
    if kind is Kind.TEXT:
        return value_type(kind, optional=True)
    values = [int(row.outputs[name]) for row in rows]
    return value_type(kind, (), min(values), max(values), optional=True)

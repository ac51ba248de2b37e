"""Constraints between amounts that a pack declares and that must hold before it loads. Pure.

[[constraints]]
id = "chief-not-below-special"
table = "grade"            # of one row for each value of `by`
by = "appointed_grade"
lines = ["base", "skill"]  # their sum must not fall as `by` rises
assume = { "overlaps.post" = 30, "as_of.month_days" = 30 }     # optional: what else the lines read
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from verifier.eligibility.amounts import Amount
from verifier.eligibility.cells import NumberCell
from verifier.eligibility.kinds import Value
from verifier.eligibility.pack import Parameter
from verifier.eligibility.reader import Node, bad, unknown
from verifier.eligibility.tables import Row, Table


def read_constraints(
    root: Node, tables: tuple[Table, ...], amount: Amount | None, parameters: Mapping[str, Parameter]
) -> None:
    """Checks each. Raises BadPack: CONSTRAINT where one is broken."""
    by_id = {table.id: table for table in tables}
    for node in root.rows("constraints", 40):
        node.text("id")
        name = node.name("table")
        if name not in by_id:
            raise unknown("UNKNOWN_NAME", node.at("table"), name, by_id)
        table, by = by_id[name], node.text("by")
        if by not in table.columns:
            raise unknown("UNKNOWN_NAME", node.at("by"), by, table.columns)
        wanted = node.words("lines")
        lines = {line.id: line for line in amount.lines} if amount else {}
        for each in wanted:
            if each not in lines:
                raise unknown("UNKNOWN_NAME", node.at("lines"), each, lines)
        assumed = node.entries("assume") if node.has("assume") else {}
        for each, value in assumed.items():
            if type(value) is not int:
                raise bad("TYPE", node.at(f"assume.{each[:80]}"), "应为整数", "must be an integer")
        node.end()
        constants: dict[str, Value] = {key: parameter.value for key, parameter in parameters.items()}
        constants |= assumed
        steps = []
        for row in table.rows:
            values = constants | {f"tables.{name}.{key}": value for key, value in row.outputs.items()}
            parts = [lines[each] for each in wanted]
            if any(each not in values for line in parts for each in line.names):
                raise bad("CONSTRAINT", node.at("lines"), "还取决于别的值", "depends on other values too")
            sums = [line.value(values) for line in parts]
            if None in sums:
                raise bad("CONSTRAINT", node.at("lines"), "{row} 不能整除", "{row} is not even", row=row.id)
            steps.append((_point(row, table.columns.index(by), node), sum(each or 0 for each in sums), row.id))
        steps.sort()
        for (_, low, lower), (_, high, higher) in pairwise(steps):
            if high < low:
                raise bad(
                    "CONSTRAINT",
                    node.place,
                    "{higher}（{high} 分）低于 {lower}（{low} 分）",
                    "{higher} ({high} fen) is below {lower} ({low} fen)",
                    higher=higher,
                    high=high,
                    lower=lower,
                    low=low,
                )


def _point(row: Row, at: int, node: Node) -> int:
    cell = row.cells[at]
    if not isinstance(cell, NumberCell) or len(cell.spans) != 1:
        raise bad("CONSTRAINT", node.at("by"), "{row} 不是单一取值", "{row} is not of one value", row=row.id)
    return cell.spans[0][0]

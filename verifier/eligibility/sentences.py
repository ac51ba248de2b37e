"""The words of a pack: a reason for every "no", a label for everything that is shown, in both languages. Pure.

[reasons.MONTHS]                 why not; placeholders {value} and {wanted} are filled by the explanation
[labels."windows.apply"]         a name for a column or an output that has none
[labels."tables.subsidy"]        optional: a name for a table; [labels."subsidy.L3"] for a row of it
[words."title.assistant"]        a name for a value of a text output
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.text import Text
from verifier.eligibility.derived import Derived
from verifier.eligibility.kinds import Kind
from verifier.eligibility.pack import Input, Parameter, Recovery
from verifier.eligibility.reader import ANY, CODE, Node, bad
from verifier.eligibility.tables import AS_OF, Outcome, Table
from verifier.eligibility.wording import NAMES, REASONS

_FIELDS: Final = frozenset({"value", "wanted"})


@dataclass(frozen=True, slots=True)
class Sentences:
    reasons: Mapping[str, Text]
    columns: Mapping[str, str]  # column of the deciding table -> reason code
    labels: Mapping[str, Text]
    words: Mapping[str, Text]


def read_sentences(
    root: Node,
    tables: tuple[Table, ...],
    deciding: Table,
    inputs: Mapping[str, Input],
    parameters: Mapping[str, Parameter],
    recovery: Recovery | None,
    derived: tuple[Derived, ...],
    columns: Mapping[str, str],
) -> Sentences:
    """Raises BadPack: NO_SENTENCE for a reason without words, NO_LABEL for a name without one."""
    reasons = {name: _pair(node) for name, node in root.nodes("reasons", CODE)}
    labels = {name: _pair(node) for name, node in root.nodes("labels", ANY)}
    words = {name: _pair(node) for name, node in root.nodes("words", ANY)}
    root.end()
    used = {row.reason for row in deciding.rows if row.outcome is not Outcome.ELIGIBLE} | set(columns.values())
    used |= {table.reason for table in tables if table.reason} | ({recovery.reason} if recovery else set())
    for code in sorted(used):
        if code not in reasons and code not in REASONS:
            raise bad("NO_SENTENCE", root.at(f"reasons.{code}"), "理由没有说明文字", "a reason without words")
    for code, text in reasons.items():
        if code not in used:
            raise bad("UNUSED", root.at(f"reasons.{code}"), "没有用到", "nothing uses it")
        if not (_fillable(text.zh) and _fillable(text.en)):
            zh, en = "只能用 {{value}} 和 {{wanted}}", "only {{value}} and {{wanted}} can be used"
            raise bad("PLACEHOLDER", root.at(f"reasons.{code}"), zh, en)
    known = {name: each.text for name, each in inputs.items()} | {n: p.text for n, p in parameters.items()} | NAMES
    known |= labels
    shown = {column for table in tables for column in table.columns if column != AS_OF}
    shown |= {f"tables.{table.id}.{name}" for table in tables for name in table.outputs}
    shown |= {each.name for each in derived if each.span is not None}
    for name in sorted(shown):
        if name not in known:
            raise bad("NO_LABEL", root.at(f"labels.{name}"), "没有名称", "has no label")
    rows = {row_label(table.id, row.id) for table in tables for row in table.rows}
    rows |= {table_label(table.id) for table in tables}
    for name in labels:
        if name not in shown and name not in rows:
            raise bad("UNUSED", root.at(f"labels.{name}"), "没有用到", "nothing uses it")
    _check_words(root, tables, words)
    return Sentences(REASONS | reasons, columns, known, words)


def table_label(table: str) -> str:
    """Under which name the label of a table stands."""
    return f"tables.{table}"


def row_label(table: str, row: str) -> str:
    """Under which name the label of a row stands."""
    return f"{table}.{row}"


def _check_words(root: Node, tables: tuple[Table, ...], words: Mapping[str, Text]) -> None:
    needed = {
        f"tables.{table.id}.{name}.{row.outputs[name]}"
        for table in tables
        for name, type_ in table.outputs.items()
        if type_.kind is Kind.TEXT
        for row in table.rows
    }
    for name in sorted(needed ^ set(words)):
        code, zh, en = ("NO_LABEL", "没有名称", "has no label") if name in needed else ("UNUSED", "没有用到", "unused")
        raise bad(code, root.at(f"words.{name}"), zh, en)


def _fillable(side: str) -> bool:
    """Whether a sentence has no placeholder but the two that an explanation fills in, and those plainly."""
    try:
        parts = list(string.Formatter().parse(side))
    except ValueError:
        return False
    return all(field is None or (field in _FIELDS and not spec and not turned) for _, field, spec, turned in parts)


def _pair(node: Node) -> Text:
    text = node.pair()
    node.end()
    return text

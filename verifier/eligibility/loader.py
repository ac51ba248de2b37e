"""The files of a pack into a `Pack`, refusing everything that cannot be right. Pure: {file name: bytes} in, value out.

    load_pack(files) -> Pack          or raises BadPack(code, "file: table/row: key", text)

    pack.toml       who, when, where from; facts, parameters, derived values, amount, claims
    tables.toml     decision tables and constraints between amounts
    sentences.toml  reasons and labels, zh and en
    cases.toml      worked cases (read by `verifier.eligibility.cases`)

The format is written down in docs/packs.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ledger.errors import Malformed
from ledger.records.dates import LAST_DAY
from ledger.records.pack import MAX_SLOTS, ClaimTerms
from ledger.text import Text
from verifier.eligibility.amounts import read_amount
from verifier.eligibility.cells import plain_value
from verifier.eligibility.constraints import read_constraints
from verifier.eligibility.derived import HISTORY, read_derived
from verifier.eligibility.formulas import GROUPS, Edge
from verifier.eligibility.kinds import INT_MAX, MONEY_MAX, Kind, ValueType, value_type
from verifier.eligibility.pack import (
    LABEL,
    Input,
    Needs,
    Pack,
    PackKind,
    Parameter,
    Recovery,
    Source,
    format_pack,
)
from verifier.eligibility.reader import CODE, NAME, BadPack, Node, bad, read_toml, unknown
from verifier.eligibility.records import CERTIFICATE_TYPES
from verifier.eligibility.sentences import read_sentences
from verifier.eligibility.tables import AS_OF, AS_OF_TYPE
from verifier.eligibility.writing import read_tables

FILES: Final = ("pack.toml", "tables.toml", "sentences.toml", "cases.toml")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,47}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}")
_REGION: Final = re.compile(r"CN|[1-9][0-9]{5}")
_CLOCK: Final = {
    AS_OF: AS_OF_TYPE,
    "as_of.year": value_type(Kind.INT, (), 1900, 2999),
    "as_of.month": value_type(Kind.INT, (), 1, 12),
    "as_of.month_days": value_type(Kind.INT, (), 28, 31),
}


def load_pack(files: Mapping[str, bytes]) -> Pack:
    """The pack that these files are. Raises BadPack at the first thing that is wrong."""
    for name in (*files, *FILES):
        if name not in FILES:
            raise unknown("UNKNOWN_FILE", name[:80], name, FILES)
        if name not in files:
            raise bad("MISSING", name, "缺少此文件", "this file is missing")
    format_pack(files)
    root = read_toml("pack.toml", files["pack.toml"])
    if root.text("format") != LABEL:
        raise bad("FORMAT", root.at("format"), "应为 {f}", "must be {f}", f=LABEL)
    id_, version, kind = root.name("id", _ID), root.name("version", _VERSION), root.choice("kind", PackKind)
    region, title = root.name("region", _REGION), root.pair()
    sample, needs = root.flag("sample"), root.choice("certificate", Needs)
    first, last = _valid(root.node("valid"))
    sources = {key: _source(node) for key, node in root.nodes("sources", re.compile(r"[a-z0-9][a-z0-9_-]{0,31}"))}
    keys = frozenset(sources)
    inputs = {name: _input(node) for name, node in root.nodes("inputs")}
    if root.flag("history", False):
        inputs[HISTORY] = Input(Text("以往已领取或已预留的待遇", "benefits received or reserved before"), _HISTORY)
    inputs = dict(sorted(inputs.items()))  # in this order they are written into decisions
    parameters = {f"params.{name}": _parameter(f"params.{name}", node, keys) for name, node in root.nodes("params")}
    types = _CLOCK | CERTIFICATE_TYPES | {name: each.type for name, each in inputs.items()}
    types |= {name: each.type for name, each in parameters.items()}
    derived = tuple(read_derived(root, types, keys, GROUPS))
    types |= {each.name: each.type for each in derived}
    if any(HISTORY in each.needs for each in derived) is not (HISTORY in inputs):
        raise bad("HISTORY", root.at("history"), "history 与计数、排除不符", "history = true goes with counters")
    facts_of = {name: frozenset({name}) if name in inputs else frozenset() for name in types}
    for each in derived:
        facts_of[each.name] = frozenset().union(*(facts_of[name] for name in each.needs))

    tables_root = read_toml("tables.toml", files["tables.toml"])
    valid = (first, LAST_DAY if last is None else last)
    decides = root.name("decides")
    tables, columns = read_tables(tables_root, types, facts_of, keys, valid, decides)
    amount = read_amount(root.node("amount"), types) if root.has("amount") else None
    read_constraints(tables_root, tables, amount, parameters)
    tables_root.end()

    claim = _claim(root.node("claim")) if root.has("claim") else None
    recovery = _recovery(root.node("recovery"), types) if root.has("recovery") else None
    root.end()
    deciding = next(table for table in tables if table.id == decides)
    if amount is not None and (deciding.hit.value == "collect"):
        raise bad("COLLECT", root.at("amount"), "逐行收集的表不给出金额", "a collecting table gives no amount")
    sentences = read_sentences(
        read_toml("sentences.toml", files["sentences.toml"]), tables, deciding, inputs, parameters, recovery, derived,
        columns,
    )  # fmt: skip
    return Pack(
        id_, version, kind, region, title, first, last, sample, needs, sources, inputs, parameters, derived, tables,
        decides, amount, claim, recovery, sentences.reasons, sentences.columns, sentences.labels, sentences.words,
        types, facts_of, dict(files),
    )  # fmt: skip


_HISTORY: Final = ValueType(Kind.HISTORY)


def _valid(node: Node) -> tuple[int, int | None]:
    first, last = node.day("from"), node.day("to", None)
    if last is not None and node.choice("last_day", Edge) is Edge.EXCLUSIVE:
        last -= 1
    node.end()
    if last is not None and last < first:
        raise bad("EMPTY", node.place, "结束早于开始", "ends before it begins")
    return first, last


def _source(node: Node) -> Source:
    source = Source(
        node.text("document", long=True), node.text("clause", long=True), node.day("date"),
        node.text("link", "", long=True), node.flag("sample", False),
    )  # fmt: skip
    node.end()
    return source


def _input(node: Node) -> Input:
    text, labels = node.pair(), dict[str, Text]()
    type_, labels = _type(node, labels)
    if type_.kind in (Kind.TEXT, Kind.HISTORY):
        raise bad("TYPE", node.at("type"), "事实不能是这种类型", "a fact cannot be of this type")
    node.end()
    return Input(text, type_, labels)


def _type(node: Node, labels: dict[str, Text]) -> tuple[ValueType, dict[str, Text]]:
    kind, optional = node.choice("type", Kind), node.flag("optional", False)
    if kind in (Kind.ENUM, Kind.SET):
        for word, each in node.nodes("values"):
            labels[word] = each.pair()
            each.end()
        if not labels:
            raise bad("MISSING", node.at("values"), "没有列出取值", "no values are listed")
        return value_type(kind, tuple(labels), optional=optional), labels
    if kind in (Kind.INT, Kind.MONEY):
        most = MONEY_MAX if kind is Kind.MONEY else INT_MAX
        low = node.number("min", low=0, high=most)
        high = node.number("max", low=low, high=most)
        return value_type(kind, (), low, high, optional=optional), labels
    return value_type(kind, optional=optional), labels


def _parameter(name: str, node: Node, sources: frozenset[str]) -> Parameter:
    text, kind = node.pair(), node.choice("type", Kind)
    if kind in (Kind.TEXT, Kind.SET, Kind.HISTORY, Kind.ENUM):
        raise bad("TYPE", node.at("type"), "参数不能是这种类型", "a parameter cannot be of this type")
    low = 0 if kind in (Kind.INT, Kind.MONEY) else None
    value = plain_value(node.take("value"), value_type(kind, (), low), node.at("value"))
    source = node.text("source")
    if source not in sources:
        raise unknown("UNKNOWN_SOURCE", node.at("source"), source, sources)
    sample = node.flag("sample", False)
    node.end()
    assert type(value) in (int, bool)
    return Parameter(name, text, value_type(kind, (), int(value), int(value)), value, source, sample)


def _claim(node: Node) -> ClaimTerms:
    """In the words of the statement that publishes the pack (`ledger.records.pack`)."""
    scheme, groups = node.text("scheme"), node.words("groups", ())
    by_trade, lower_grades = node.flag("by_trade"), node.flag("lower_grades")
    slots = node.number("slots", low=0, high=MAX_SLOTS)
    node.end()
    try:
        return ClaimTerms(scheme, groups, by_trade, lower_grades, slots)
    except Malformed as error:
        raise BadPack("CLAIM", node.place, Text("不是可用的申领条款", str(error)))


def _recovery(node: Node, types: Mapping[str, ValueType]) -> Recovery:
    when, reason = node.name("when", NAME), node.name("reason", CODE)
    if when not in types or types[when].kind is not Kind.BOOL:
        raise unknown("UNKNOWN_NAME", node.at("when"), when, [n for n, t in types.items() if t.kind is Kind.BOOL])
    node.end()
    return Recovery(when, reason)

"""Worked cases beside the rules: run them, and say which rows none of them touches. Pure.

    [defaults.certificate]                       values of every certificate that does not give its own
    [defaults.facts]
    [[cases]]
    id = "A1"
    note = { zh = "…", en = "…" }
    as_of = 2024-03-10
    certificates = [{ key = "a", grade = 4, issue_date = 2023-03-10 }]      the first is the one applied with
    facts = { months_insured = 14 }                                          omit = ["name"] leaves a default out
    expect = { result = "eligible", amount = 200000, rows = ["L3"], reasons = [], missing = [], outputs = ["x"] }

`status = "revoked"` (any verdict code) makes it a certificate that does not count. `key` is a label; history names it
too. What `expect` leaves out is not compared; but a "no" must state its reasons, and a "yes" its amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from ledger.errors import Malformed, Refused
from ledger.records.dates import format_day
from ledger.text import Text
from verifier.eligibility.certificate import reason_of
from verifier.eligibility.decision import Decision, Rejected
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.pack import Pack
from verifier.eligibility.reader import BadPack, Node, bad, read_toml
from verifier.eligibility.records import APPOINTMENT, CERTIFICATE, CertificateRecord
from verifier.eligibility.tables import Outcome
from verifier.verdict import Code

MAX_CASES: Final = 400


@dataclass(frozen=True, slots=True)
class Case:
    """One worked case: what goes in, and what has to come out."""

    id: str
    note: Text
    as_of: int
    records: tuple[CertificateRecord, ...]
    rejected: tuple[Rejected, ...]
    facts: Mapping[str, Any]
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came out, and where it differs: `what: expected, found`."""

    case: Case
    decision: Decision
    differences: tuple[str, ...]


def read_cases(pack: Pack) -> tuple[Case, ...]:
    """The cases of a pack. Raises BadPack."""
    root = read_toml("cases.toml", pack.files["cases.toml"])
    defaults = root.node("defaults", optional=True)
    certificate = defaults.entries("certificate") if defaults.has("certificate") else {}
    facts = defaults.entries("facts") if defaults.has("facts") else {}
    defaults.end()
    cases = tuple(_case(node, certificate, facts, pack) for node in root.rows("cases", MAX_CASES))
    root.end()
    if len({case.id for case in cases}) != len(cases):
        raise bad("REPEATED", "cases.toml: cases", "编号重复", "an id twice")
    return cases


def run_cases(pack: Pack) -> tuple[CaseResult, ...]:
    """Every case of a pack, decided. Raises BadPack for a case that cannot be read."""
    return tuple(run_case(pack, case) for case in read_cases(pack))


def run_case(pack: Pack, case: Case) -> CaseResult:
    """One case, decided under this pack (which may be another version than the one it stands in)."""
    try:
        facts = read_facts(case.facts, pack)
    except Refused as error:
        raise BadPack(error.code, f"cases.toml: cases/{case.id}: {error.field}", error.text)
    decision = rehearse(case.records, facts, pack, case.as_of, case.rejected)
    return CaseResult(case, decision, tuple(_differences(case.expect, decision)))


def untouched_rows(pack: Pack, results: tuple[CaseResult, ...]) -> tuple[str, ...]:
    """The rows, as `table/row`, that fired in no case."""
    touched = {rule.partition("/")[2] for result in results for rule in result.decision.rules}
    every = [f"{table.id}/{row.id}" for table in pack.tables for row in table.rows]
    return tuple(row for row in every if row not in touched)


def case_key(label: str) -> bytes:
    """The cert key that a label of a case stands for."""
    return sha256(b"certledger/case\n" + label.encode()).digest()


def _case(node: Node, certificate: Mapping[str, Any], facts: Mapping[str, Any], pack: Pack) -> Case:
    id_, as_of = node.text("id"), node.day("as_of")
    note_node = node.node("note")
    note = note_node.pair()
    note_node.end()
    records, rejected, applied_with = list[CertificateRecord](), list[Rejected](), True
    shown = node.take("certificates", [])
    if type(shown) is not list or not all(type(raw) is dict for raw in shown):
        raise bad("TYPE", node.at("certificates"), "应为表的数组", "must be an array of tables")
    for at, raw in enumerate(shown):
        each = Node({**certificate, **raw}, f"{node.place}: certificates[{at}]")
        status = each.text("status", "")
        if status:
            if status not in set(Code):
                raise bad("CHOICE", each.at("status"), "不是核验结果代码", "not a verdict code")
            rejected.append(Rejected(status, reason_of(Code(status))))
            applied_with &= at > 0
            continue
        try:
            records.append(_record(each))
        except Malformed as error:
            raise BadPack("CERTIFICATE", each.place, Text("不是可用的证书", str(error)))
    given = dict(facts)
    for name in node.words("omit", ()):
        given.pop(name, None)
    given |= node.entries("facts") if node.has("facts") else {}
    if type(given.get("history")) is list:
        given["history"] = [_claim(each) for each in given["history"]]
    expect = node.entries("expect")
    wanted = Node(expect, node.at("expect"))
    result = wanted.choice("result", Outcome)
    for name in ("amount", "reasons", "rows", "missing", "outputs", "lines", "nearest", "windows", "sample"):
        wanted.take(name, None)
    wanted.end()
    if result is not Outcome.ELIGIBLE and not ({"reasons", "missing"} & expect.keys()):
        raise bad("MISSING", node.at("expect"), "应写明理由", "must state the reasons")
    if pack.amount is not None and result is Outcome.ELIGIBLE and "amount" not in expect:
        raise bad("MISSING", node.at("expect"), "应写明金额", "must state the amount")
    node.end()
    return Case(id_, note, as_of, tuple(records) if applied_with else (), tuple(rejected), given, expect)


def _record(node: Node) -> CertificateRecord:
    """A made-up certificate; what it does not say is ordinary: linked, and the highest of its holder."""
    grade = node.number("grade", low=2, high=8)
    occupation, post = node.text("occupation", "6-18-01-01"), node.node("post") if node.has("post") else None
    kind = APPOINTMENT if grade > 6 else CERTIFICATE
    record = CertificateRecord(
        cert_key=case_key(node.text("key", "a")),
        kind=kind,
        occupation=occupation,
        lineage=node.text("lineage", occupation),
        trade=node.text("trade", ""),
        grade=grade,
        issue_day=node.day("issue_date"),
        filing=node.text("filing", "Y000051001064"),
        route=node.text("route", "exam" if kind == CERTIFICATE else "appointment"),
        audience=node.text("audience", "own_staff" if kind == CERTIFICATE else ""),
        linked=node.flag("linked", True),
        track_highest=node.number("track_highest", grade if kind == CERTIFICATE else 6, low=0, high=6),
    )
    if post is not None:
        span = post.number("grade", low=7, high=8), post.day("from"), post.day("to", 0)
        post.end()
        record = replace(record, posts=(span,))
    node.end()
    return record


def _claim(raw: Any) -> Any:
    if type(raw) is dict and type(raw.get("certificate", "")) is str:
        return {**raw, "certificate": case_key(raw.get("certificate", "other")).hex()}
    return raw


def _differences(expect: Mapping[str, Any], decision: Decision) -> list[str]:
    found: dict[str, Any] = {
        "result": decision.result.value,
        "amount": decision.amount,
        "reasons": list(decision.reasons),
        "rows": [rule.rpartition("/")[2] for rule in decision.rules],
        "missing": list(decision.missing),
        "outputs": [value for each in decision.fired for _, value in each.outputs],
        "lines": dict(decision.lines),
        "nearest": decision.nearest,
        "windows": {name: format_day(last) for name, _, last in decision.windows},
        "sample": decision.sample,
    }
    different = []
    for name, wanted in expect.items():
        if found[name] != wanted:
            different.append(f"{name}: {wanted!r}, {found[name]!r}")
    return different

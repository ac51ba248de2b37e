"""Writes what docs/ takes from the code: `python -m tests.support.make_docs`. Tests compare.

refusals.md   the codes, their texts, and who decides
states.md     the fold's table: which statement changes what, and its refusals in their order, read from the rules
formats.md    only the hex blocks (from tests/vectors) and the table of QR sizes
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias

from ledger.errors import Refused
from ledger.printing.qr import make_symbol
from ledger.records import kinds, status, track
from ledger.records.authority import RECORD_KEY_CAP
from ledger.records.claim_state import ClaimState
from ledger.records.kinds import Kind, Reason
from ledger.records.qr import Code, format_code, format_fragment
from ledger.records.refusals import Refusal, text_of
from ledger.records.rules.claims import MAX_DECIDING_DAYS, MAX_RESERVED_DAYS, settled
from ledger.records.transitions import TABLE as TRANSITIONS
from ledger.records.transitions import Act
from tests.support.builders import TRADE, make_body
from tests.support.claims import PAYER_NUMBER
from tests.support.make_vectors import BASE, LONG_NAME, VECTORS

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTS = ("formats.md", "states.md", "refusals.md")
WIDTH = 128  # hex digits in a line
Rows: TypeAlias = Iterator[tuple[str, ...]]
CODED = (
    kinds.CertificateStatus,
    kinds.FilingStatus,
    kinds.KeyStatus,
    kinds.Reason,
    kinds.Route,
    kinds.Audience,
    kinds.IssuerKind,
    kinds.ClaimStatus,
)

RULE_NAMES = ("signers", "authority", "certificates", "claims", "life", "sweeps")
ACTS = {Kind.SUSPEND: Act.SUSPEND, Kind.RESTORE: Act.RESTORE, Kind.REVOKE: Act.REVOKE}
CHANGES = {
    Kind.GENESIS: "the authority: keys and threshold under which its later statements are checked",
    Kind.AUTHORITY_CHANGE: "keys and threshold of the authority; its entry in the map",
    Kind.LOG_KEY: "the log's keys from its next checkpoint on, or its successor: nothing is taken in after that",
    Kind.FILING: "a new filing, active, its keys live and unused",
    Kind.FILING_CHANGE: "the filing's terms; keys that were filed keep their status and use count",
    Kind.FILING_STATUS: "the filing's status; every certificate issued on the effective day or later",
    Kind.LATE_PERMIT: "the permit is found by its leaf hash; no map entry",
    Kind.KEY_STATUS: "the key's status; every certificate that a compromised key issued or corrected since",
    Kind.CATALOGUE: "the version is taken; no map entry",
    Kind.LADDER: "the version is taken; no map entry",
    Kind.ISSUE: "a certificate, in force; the summary of every member of its track; the key's use count",
    Kind.APPOINT: "a post, in force; the summary of its track; the key's use count",
    Kind.END_APPOINTMENT: "the post has ended; the summary of its track",
    Kind.CORRECT: "commitments, and track when it moves; the summaries of both tracks; the key's use count",
    Kind.SUSPEND: "the certificates it names; the summaries of their tracks",
    Kind.RESTORE: "the certificates it names; the summaries of their tracks",
    Kind.REVOKE: "the certificates it names; the summaries of their tracks",
    Kind.REISSUE: "a certificate in place of another, which is replaced and names it; the summary of its track",
    Kind.PACK: "the pack is found by its digest, and its version is taken; no map entry",
    Kind.CLAIM: "a claim, reserved; its nullifiers name it",
    Kind.PAY: "the claim is paid",
    Kind.RELEASE: "the claim is released: its nullifiers are free",
    Kind.CLAW_BACK: "the claim is clawed back, its nullifiers are free; for fraud it is forfeited, and they stay taken",
}


def refusal_table() -> Rows:
    """Every code, who decides it, and its text."""
    fold = {code for rule in status.RULES.values() for code, _ in refusals_of(rule.__name__)} | {Refusal.MALFORMED}
    yield "code", "decided by", "中文", "English"
    for code in Refusal:
        yield f"`{code}`", "fold" if code in fold else "admission", text_of(code).zh, text_of(code).en


RULE_MODULES = (status, track, *(importlib.import_module(f"ledger.records.rules.{name}") for name in RULE_NAMES))


def refusals_of(function: str) -> list[tuple[Refusal, str]]:
    """The refusals of a function of the fold and of what it calls there, in the order of the source."""
    functions: dict[str, ast.FunctionDef] = {}
    for module in RULE_MODULES:
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        functions |= {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def calls(node: ast.AST) -> list[tuple[Refusal, str]]:
        found: list[tuple[Refusal, str]] = []
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
                if child.func.id == "refuse":
                    code, field = child.args
                    assert isinstance(code, ast.Attribute) and isinstance(field, ast.Constant)
                    found.append((Refusal[code.attr], field.value))
                elif child.func.id == "after":
                    found += _cells(child)
                elif child.func.id in functions:
                    found += calls(functions[child.func.id])
            found += calls(child) if not (isinstance(child, ast.Call) and _is_refuse(child)) else []
        return found

    return list(dict.fromkeys(calls(functions[function])))


def _cells(call: ast.Call) -> list[tuple[Refusal, str]]:
    """The refusals of an act in the table of transitions; those of every ruling where the act is a variable."""
    act, _, field = call.args
    assert isinstance(field, ast.Constant)
    acts = [Act[act.attr]] if isinstance(act, ast.Attribute) else [Act.SUSPEND, Act.RESTORE, Act.REVOKE]
    cells = [cell for one in acts for cell in TRANSITIONS[one] if isinstance(cell, Refusal)]
    return [(cell, field.value) for cell in dict.fromkeys(cells)]


def _is_refuse(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "refuse"


def kind_table() -> Rows:
    """Every kind of statement, what it changes, and its refusals."""
    assert set(CHANGES) == set(status.RULES), "say in CHANGES what the new rule changes"
    yield "no.", "kind", "changes", "refused with"
    for kind in Kind:
        name = kind.name.lower().replace("_", "-")
        if kind in status.RULES:
            names = dict.fromkeys(code for code, _ in refusals_of(status.RULES[kind].__name__))
            codes = " · ".join(f"`{code}`" for code in names)
            yield str(kind.value), name, CHANGES[kind], codes
        else:
            yield str(kind.value), name, "not part of this version", "`MALFORMED`"


def rule_table() -> Rows:
    """The rules of an issue in their order."""
    yield "code", "field of the answer"
    for code, field in refusals_of(status.RULES[Kind.ISSUE].__name__):
        yield f"`{code}`", field


def transition_table() -> Rows:
    """What each act makes of a certificate in each status."""
    yield "act", *(one.name.lower().replace("_", " ") for one in kinds.CertificateStatus)
    for act, cells in TRANSITIONS.items():
        yield act.value, *(_cell(cell) for cell in cells)


def _cell(cell: object) -> str:
    if cell is None:
        return "–"
    return f"`{cell}`" if isinstance(cell, Refusal) else kinds.CertificateStatus(cell).name.lower().replace("_", " ")


def claim_table() -> Rows:
    """What each act makes of a claim in each status; a reservation that is over has a column of its own."""
    reserved = ClaimState(
        kinds.ClaimStatus.RESERVED, PAYER_NUMBER, bytes(32), bytes(32), 1, 0, bytes(32), 0, bytes(32), 0
    )
    columns = [(_word(one), replace(reserved, status=one), 1) for one in kinds.ClaimStatus]
    columns.insert(1, ("over", reserved, 2))
    yield "act", *(name for name, _, _ in columns)
    acts = (
        (Kind.PAY, None),
        (Kind.RELEASE, Reason.OTHER),
        (Kind.CLAW_BACK, Reason.OTHER),
        (Kind.CLAW_BACK, Reason.FRAUD),
    )
    for kind, reason in acts:
        cells = []
        for _, state, day in columns:
            try:
                cells.append(_word(settled(state, kind, reason, day)))
            except Refused as refusal:
                cells.append(f"`{refusal.code}`")
        yield _word(kind).replace(" ", "-") + (" for fraud" if reason is Reason.FRAUD else ""), *cells


def _word(member: IntEnum) -> str:
    return member.name.lower().replace("_", " ")


def alone_table() -> Rows:
    """The kinds that stand alone in their batch."""
    yield "kind", "alone in its batch"
    for kind in Kind:
        if kind in status.RULES:
            alone = "yes" if kind in status.ALONE else "when over a range" if kind in ACTS else "no"
            yield kind.name.lower().replace("_", "-"), alone


def value_table() -> Rows:
    """The coded lists."""
    yield "list", "values"
    for coded in CODED:
        names = (f"{member.value} {member.name.lower().replace('_', ' ')}" for member in coded)
        yield coded.__name__, " · ".join(names)


def limit_table() -> Rows:
    """The numbers in the fold."""
    yield "limit", "value"
    yield "days from issue date to batch without a late permit", str(status.MAX_LAG_DAYS)
    yield "certificates of a track", str(status.MAX_TRACK)
    yield "posts of a track that are not over", str(status.MAX_POSTS)
    yield "certificates a record key may sign, unless the filing says less", str(RECORD_KEY_CAP)
    yield "days a claim may be reserved", str(MAX_RESERVED_DAYS)
    yield "days after a pack's last day in which it may still be claimed under", str(MAX_DECIDING_DAYS)


def filled(text: str) -> str:
    """A document with its tables and hex blocks as the code and the vectors give them."""

    def table(match: re.Match[str]) -> str:
        head, *rows = TABLES[match[1]]()
        lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
        lines.insert(1, "|" + "---|" * len(head))
        return "\n".join([f"<!-- table {match[1]} -->", *lines, "<!-- /table -->"])

    def block(match: re.Match[str]) -> str:
        value = str(_look_up(match[1], match[2].split(".")))
        lines = [value[at : at + WIDTH] for at in range(0, len(value), WIDTH)]
        return "\n".join([f"<!-- {match[1]} {match[2]} -->", "```text", *lines, "```"])

    text = re.sub(r"<!-- table (\w+) -->\n.*?<!-- /table -->", table, text, flags=re.DOTALL)
    return re.sub(r"<!-- (\w+\.json) (\S+) -->\n```text\n.*?```", block, text, flags=re.DOTALL)


def _look_up(name: str, path: list[str]) -> Any:
    vectors = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return reduce(lambda value, key: value[int(key)] if isinstance(value, list) else value[key], path, vectors)


def size_table() -> Rows:
    """Measured sizes of codes: bytes of the fragment, characters of the text, QR version at error correction M."""
    yield "certificate", "fragment, bytes", "text, characters", "QR version"
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("link only", {}, -1),
        ("2-character name", {"name": "李四"}, 70_000),
        ("3-character name, trade of 4", {"trade": TRADE}, 70_000),
        ("30-character name", {"name": LONG_NAME}, 70_000),
        ("30-character name, trade of 4, index of ten million", {"name": LONG_NAME, "trade": TRADE}, 10_000_000),
        ("50-character name, trade of 16", {"name": "例" * 50, "trade": TRADE * 4}, 10_000_000),
    ]
    for what, changes, index in cases:
        certificate = make_body().certificate("size", **changes)
        fragment = b"" if index < 0 else format_fragment(certificate.statement, certificate.face, index)
        text = format_code(Code(BASE, certificate.secret, fragment))
        version = make_symbol(text, max_version=40).version
        yield what, str(len(fragment)), str(len(text)), str(version)


TABLES = {
    "refusals": refusal_table,
    "kinds": kind_table,
    "rules": rule_table,
    "values": value_table,
    "transitions": transition_table,
    "claims": claim_table,
    "alone": alone_table,
    "limits": limit_table,
    "sizes": size_table,
}


def main() -> None:
    for name in DOCUMENTS:
        path = DOCS / name
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""A pack to begin with: one source, one fact, one table with one row, and two cases. Pure.

It loads, its cases hold, and it is marked as a sample.
"""

from __future__ import annotations

from typing import Final

from verifier.eligibility.pack import PackKind

_PACK: Final = """format = "certledger/pack/v1"
id = "{id}"
version = "1"
kind = "{kind}"
region = "CN"
zh = "{id}"
en = "{id}"
sample = true              # until every figure is confirmed
certificate = "required"   # required, optional or none
decides = "{table}"

[valid]
from = {today}

[sources.doc]
document = "文号和标题 / number and title"
clause = "条款 / clause"
date = {today}
sample = true

[inputs.months]
type = "int"
min = 0
max = 720
zh = "月数"
en = "months"
{amount}"""
_AMOUNT: Final = """
[amount]
period = "{period}"
most = 10000000            # fen: beyond it a person decides

[[amount.lines]]
id = "amount"
of = ["tables.{table}.amount"]
zh = "金额"
en = "amount"
"""
_TABLES: Final = """[[tables]]
id = "{table}"
hit = "unique"
{outputs}
[tables.columns]
"cert.grade" = "GRADE"
months = "MONTHS"

[[tables.rows]]
id = "L3"
source = "doc"
when = {{ "cert.grade" = 4, months = {{ from = 12 }} }}
{then}"""
_SENTENCES: Final = """[reasons.GRADE]
zh = "等级不符：{{value}}"
en = "not for {{value}}"

[reasons.MONTHS]
zh = "月数 {{value}}，要求{{wanted}}"
en = "{{value}} months; wanted: {{wanted}}"
{label}"""
_LABEL: Final = """
[labels."tables.{table}.amount"]
zh = "标准"
en = "amount"
"""
_CASES: Final = """[defaults.certificate]
occupation = "6-18-01-01"

[[cases]]
id = "yes"
note = {{ zh = "三级，12 个月", en = "level III, 12 months" }}
as_of = {today}
certificates = [{{ grade = 4, issue_date = {today} }}]
facts = {{ months = 12 }}
expect = {{ result = "eligible"{amount}, rows = ["L3"] }}

[[cases]]
id = "no"
note = {{ zh = "11 个月", en = "11 months" }}
as_of = {today}
certificates = [{{ grade = 4, issue_date = {today} }}]
facts = {{ months = 11 }}
expect = {{ result = "not_eligible", reasons = ["MONTHS"] }}
"""
_NO_MONEY: Final = (PackKind.TITLE, PackKind.APPLICATION, PackKind.POINTS)
_TABLE: Final = "rules"


def skeleton(pack_id: str, kind: PackKind, today: str) -> dict[str, bytes]:
    """The files of a new pack that holds from `today` (yyyy-mm-dd) on."""
    money = kind not in _NO_MONEY
    period = "month" if kind in (PackKind.WAGE_TABLE, PackKind.ALLOWANCE) else "once"
    names = {"id": pack_id, "kind": kind.value, "today": today, "table": _TABLE}
    files = {
        "pack.toml": _PACK.format(**names, amount=_AMOUNT.format(period=period, table=_TABLE) if money else ""),
        "tables.toml": _TABLES.format(
            **names,
            outputs='outputs.amount = "money"\n' if money else "",
            then="then = { amount = 100000 }    # fen\n" if money else "",
        ),
        "sentences.toml": _SENTENCES.format(label=_LABEL.format(table=_TABLE) if money else ""),
        "cases.toml": _CASES.format(**names, amount=", amount = 100000" if money else ""),
    }
    return {name: text.encode() for name, text in files.items()}

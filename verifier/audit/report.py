"""What an audit says: one value, `report.json` (schema in docs/auditing.md), and the same as text for a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from ledger.errors import Unavailable
from ledger.log_folder import log_address
from ledger.records.dates import format_day
from ledger.records.kinds import CertificateStatus, Kind
from ledger.text import Text
from verifier.audit import pass_rates
from verifier.audit.detect import LIMITS
from verifier.audit.openings import OpeningsResult
from verifier.audit.run import Audit
from verifier.audit.statistics import MAX_LAG, Body, Statistics
from verifier.violation import ClocksDiffer

SCHEMA: Final = "certledger/audit-report/v1"
RESULTS: Final = {
    "sound": Text("日志完好", "The log is sound"),
    "broken": Text("日志有误", "The log broke a rule"),
    "undecided": Text("未能判定", "Could not be decided"),
}
_REMEDY: Final = Text(
    "请检查 {at} 能否连通：地址（ledger_url）、服务、网络和代理。恢复后从停下处继续",
    "Look whether {at} can be reached: the address (ledger_url), the service, the network, a proxy. The audit then "
    "goes on where it stopped",
)
_CLOCKS: Final = Text(
    "请核对本机时钟，以及 {at} 的日志的时钟", "Check the clock of this machine, and that of the log at {at}"
)
PROVES: Final = (
    Text(
        "从第 0 条起逐条重放：树、哈希链、状态表和每个封印都由本方重新计算，每个签名都经验证，每条都在备案范围之内",
        "Every entry from 0 on was replayed: tree, hash chain, state map and every seal were computed again here, every"
        " signature was checked, and every statement is inside its body's filing",
    ),
    Text(
        "曾见过的全部检查点（任何来源）都与这份副本比对过，彼此相容",
        "All checkpoints ever seen, from any source, were held against this copy, and so against each other",
    ),
)


def build_report(
    audit: Audit, now_ms: int, *, seconds: float = 0.0, started_at: int = 0, openings: OpeningsResult | None = None
) -> dict[str, Any]:
    """The report as JSON values. `seconds` and `started_at` (entries held before) are those of this run."""
    replica, numbers = audit.replica, audit.replica.numbers
    verified = replica.verified
    alarms = audit.alarms()
    done = replica.size - started_at
    problem, remedy = audit.findings.unavailable, remedy_of(audit)
    sittings = replica.sittings
    limits = LIMITS if sittings is None else (pass_rates.BELIEVED, *LIMITS[1:])
    return {
        "schema": SCHEMA,
        "generated": _moment(now_ms),
        "result": audit.result,
        "first_bad_index": audit.findings.first_bad_index,
        "problem": None if problem is None else (problem.what if isinstance(problem, Unavailable) else problem).both(),
        "remedy": None if remedy is None else {"zh": remedy.zh, "en": remedy.en},
        "log": {
            "url": audit.settings.ledger_url,
            "origin": audit.pins.origin,
            "log_keys": [key.format_vkey() for key in audit.pins.keys],
            "genesis": audit.pins.genesis.hex(),
        },
        "verified": None
        if verified is None
        else {"size": verified.size, "root": verified.root.hex(), "signed": _moment(verified.time_ms)},
        "replayed": replica.size,
        "run": {
            "entries": done,
            "seconds": round(seconds, 3),
            "entries_per_second": round(done / seconds) if seconds > 0 and done else None,
        },
        "heads": {
            "seen": audit.heads.count(),
            "forks": len(audit.heads.forks()),
            "unreached": [head.size for head in audit.findings.unreached],
            "sources": audit.heads.sources(),
        },
        "evidence": audit.evidence_files(),
        "statistics": _statistics(numbers),
        "openings": None
        if openings is None
        else {
            "checked": openings.checked,
            "unreadable": openings.unreadable,
            "unread": openings.unread,
            "alarms": len(openings.alarms),
        },
        "pass_rates": None if sittings is None else pass_rates.as_json(sittings, audit.rates()),
        "alarms": [alarm.as_json() for alarm in alarms],
        "limits": [{"zh": text.zh, "en": text.en} for text in limits],
    }


def remedy_of(audit: Audit) -> Text | None:
    """What to do while the log cannot be read, and at which address; None where it can."""
    problem = audit.findings.unavailable
    if problem is None:
        return None
    text = _CLOCKS if isinstance(problem, ClocksDiffer) else _REMEDY
    return text.format(at=log_address(audit.settings.ledger_url))


def format_report(report: dict[str, Any]) -> bytes:
    return json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n"


def report_text(report: dict[str, Any]) -> str:
    """The report for a terminal, both languages on each line."""
    result, verified, run = RESULTS[report["result"]], report["verified"], report["run"]
    numbers = report["statistics"]
    lines = [f"{result.both()}  {report['log']['origin']}"]
    if report["first_bad_index"] is not None:
        lines.append(f"  第一条有误的序号 / first bad index: {report['first_bad_index']}")
    if report["problem"]:
        lines.append(f"  暂时无法取得日志 / the log cannot be read now: {report['problem']}")
        lines += [f"  {report['remedy'][lang]}" for lang in ("zh", "en")]
    if verified is not None:
        lines.append(f"  已验证 / verified: {verified['size']:,} entries, root {verified['root']}")
        lines.append(f"  检查点签署时间 / checkpoint signed: {verified['signed']}")
    if run["entries_per_second"] is not None:
        rate = f"{run['entries']:,} in {run['seconds']:,.1f} s, {run['entries_per_second']:,}/s"
        lines.append(f"  本次重放 / replayed in this run: {rate}")
    lines.append(
        f"  证书 / certificates: {numbers['certificates']:,}, 机构 / bodies: {len(numbers['bodies'])},"
        f" 批次 / batches: {numbers['seals']:,}"
    )
    heads = report["heads"]
    lines.append(f"  比对的检查点 / heads compared: {heads['seen']}, 不相容 / that do not fit: {heads['forks']}")
    if report["openings"] is not None:
        opened = report["openings"]
        lines.append(
            f"  核对的开示 / openings checked: {opened['checked']}, 无法读取 / unreadable: {opened['unreadable']}"
        )
    if report["pass_rates"] is not None:
        rates = report["pass_rates"]
        share = f"{100 * rates['certificates'] / rates['sat']:.1f}%" if rates["sat"] else "–"
        lines.append(
            f"  考试人数表 / sheet of sittings: {rates['sittings']:,}, 参加 / sat: {rates['sat']:,},"
            f" 证书 / certificates: {rates['certificates']:,} ({share})"
        )
    for one in report["alarms"]:
        lines.append(f"  [{one['severity']}] {one['code']}: {one['zh']} / {one['en']}")
        if one["entries"]:
            more = " …" if one["entries_total"] > len(one["entries"]) else ""
            lines.append(f"      序号 / entries: {', '.join(map(str, one['entries']))}{more}")
    if not report["alarms"]:
        lines.append("  没有报警 / no alarms")
    return "\n".join(lines) + "\n"


def _statistics(numbers: Statistics) -> dict[str, Any]:
    return {
        "entries": numbers.size,
        "seals": numbers.seals,
        "certificates": numbers.certificates,
        "first_batch": _moment(numbers.first_ms) if numbers.seals else None,
        "last_batch": _moment(numbers.last_ms) if numbers.seals else None,
        "kinds": {Kind(kind).name.lower(): count for kind, count in sorted(numbers.kinds.items())},
        "statuses": {
            CertificateStatus(status).name.lower(): count for status, count in sorted(numbers.statuses.items()) if count
        },
        "growth": [
            {"day": format_day(day), "statements": one.statements, "certificates": one.certificates}
            for day, one in sorted(numbers.days.items())
        ],
        "lag": [
            {"days": lag, "certificates": count, "or_more": lag == MAX_LAG}
            for lag, count in sorted(numbers.lags.items())
        ],
        "grades": [{"grade": grade, "certificates": count} for grade, count in sorted(numbers.grades.items())],
        "bodies": [_body(number, body) for number, body in sorted(numbers.bodies.items())],
        "rushes": [
            {"track": one.track, "certificates": one.certificates, "days": one.days, "first": one.first,
             "last": one.last}
            for one in sorted(numbers.rushes, key=lambda one: one.first)
        ],
    }  # fmt: skip


def _body(number: str, body: Body) -> dict[str, Any]:
    cells = []
    for cell, count in sorted(body.cells.items()):
        occupation, _, grade = cell.partition("/")
        cells.append({"occupation": occupation, "grade": int(grade), "certificates": count})
    late = sum(count for lag, count in body.lags.items() if lag > 30)
    return {
        "filing": number,
        "name": body.name,
        "filed": format_day(body.filed_day),
        "certificates": body.certificates,
        "later_than_30_days": late,
        "cells": cells,
    }


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

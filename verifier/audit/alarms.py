"""What an audit may find: one table of codes with severity and wording, and an alarm as a value. Pure.

`error`    the log broke a rule, or does not show what it signed; the audit fails
`warning`  allowed, but somebody should ask why; facts behind the thresholds: docs/auditing.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ledger.text import Text

MAX_ENTRIES: Final = 20  # indexes named in one alarm; the count tells how many there are


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class AlarmCode(StrEnum):
    """Stable: programs act on these."""

    INCONSISTENCY = "inconsistency"
    SEAL_MISMATCH = "seal_mismatch"
    SCOPE_VIOLATION = "scope_violation"
    RULE_BROKEN = "rule_broken"
    OTHER_GENESIS = "other_genesis"
    NOT_AS_SIGNED = "not_as_signed"
    HEAD_UNREACHED = "head_unreached"
    NO_QUORUM = "no_quorum"
    BURST_AFTER_FILING = "burst_after_filing"
    DAILY_SPIKE = "daily_spike"
    LAG_OUTLIER = "lag_outlier"
    ROUTE_OUTLIER = "route_outlier"
    CONCENTRATION = "concentration"
    TRACK_RUSH = "track_rush"
    OPENING_MISMATCH = "opening_mismatch"
    NUMBER_FORM = "number_form"
    NUMBER_TWICE = "number_twice"
    MANY_OCCUPATIONS = "many_occupations"
    TWO_PLACES = "two_places"
    MORE_THAN_SAT = "more_than_sat"
    SITTING_UNLISTED = "sitting_unlisted"
    ALL_PASSED = "all_passed"
    PASS_RATE_OUTLIER = "pass_rate_outlier"  # noqa: S105  # an examination's


_E, _W = Severity.ERROR, Severity.WARNING
CATALOGUE: Final[Mapping[AlarmCode, tuple[Severity, Text]]] = {
    AlarmCode.INCONSISTENCY: (
        _E,
        Text(
            "日志签署了两段互不相容的历史：{reason}",
            "The log signed two histories that do not fit: {reason}",
        ),
    ),
    AlarmCode.SEAL_MISMATCH: (
        _E,
        Text(
            "第 {index} 条封印与重新计算的结果不符：{reason}",
            "The seal at index {index} is not what the entries before it give: {reason}",
        ),
    ),
    AlarmCode.SCOPE_VIOLATION: (
        _E,
        Text(
            "第 {index} 条超出机构备案范围：{reason}",
            "Entry {index} is outside its body's filed scope: {reason}",
        ),
    ),
    AlarmCode.RULE_BROKEN: (
        _E,
        Text("第 {index} 条违反日志规则：{reason}", "Entry {index} breaks a rule of the log: {reason}"),
    ),
    AlarmCode.OTHER_GENESIS: (
        _E,
        Text(
            "第 0 条不是所固定的创世条目：请先核对 --genesis 是否抄错，或是否为另一日志的；无误则日志换掉了开头",
            "Entry 0 is not the pinned genesis: first compare the pin, which may be mistyped or another log's; if it is"
            " right, the log has another beginning than the one that was published",
        ),
    ),
    AlarmCode.NOT_AS_SIGNED: (
        _E,
        Text(
            "所取得的内容与日志签名不符（可能出自中间环节）：{reason}",
            "What was served is not what the log signed (perhaps the doing of whoever stands between): {reason}",
        ),
    ),
    AlarmCode.HEAD_UNREACHED: (
        _W,
        Text(
            "在别处见到日志签署的更大检查点（大小 {size}），但日志没有给出这些条目",
            "A larger checkpoint of the log was seen elsewhere (size {size}), but the log does not show its entries",
        ),
    ),
    AlarmCode.NO_QUORUM: (
        _W,
        Text(
            "最新检查点的见证签名达不到策略要求",
            "The newest checkpoint does not carry the cosignatures that the policy asks for",
        ),
    ),
    AlarmCode.BURST_AFTER_FILING: (
        _W,
        Text(
            "机构 {subject} 备案后 {days} 天内登记了 {count} 份证书（阈值 {limit}）",
            "Body {subject} logged {count} certificates within {days} days of its filing (threshold {limit})",
        ),
    ),
    AlarmCode.DAILY_SPIKE: (
        _W,
        Text(
            "机构 {subject} 在 {day} 登记了 {count} 份证书，是其日中位数 {median} 的 {factor} 倍以上",
            "Body {subject} logged {count} certificates on {day}, over {factor} times its median day of {median}",
        ),
    ),
    AlarmCode.LAG_OUTLIER: (
        _W,
        Text(
            "机构 {subject} 有 {share}% 的证书（{count} 份）在发证日期 {days} 天以后才登记",
            "Body {subject} logged {share}% of its certificates ({count}) more than {days} days after their issue date",
        ),
    ),
    AlarmCode.ROUTE_OUTLIER: (
        _W,
        Text(
            "机构 {subject} 有 {share}% 的证书（{count} 份）不经考试取得（竞赛、直接认定、破格或换证）",
            "Body {subject} gave {share}% of its certificates ({count}) without an examination"
            " (competition, direct, exceptional or conversion)",
        ),
    ),
    AlarmCode.CONCENTRATION: (
        _W,
        Text(
            "机构 {subject} 一家占最近 {days} 天全部证书的 {share}%（{count} 份）",
            "Body {subject} alone accounts for {share}% of all certificates ({count}) of the last {days} days",
        ),
    ),
    AlarmCode.TRACK_RUSH: (
        _W,
        Text(
            "同一职业轨迹 {subject} 在 {days} 天内取得 {count} 份证书",
            "One track ({subject}) got {count} certificates within {days} days",
        ),
    ),
    AlarmCode.OPENING_MISMATCH: (
        _E,
        Text("第 {index} 条的证面与所给开示不符", "The face of entry {index} is not what the given opening says"),
    ),
    AlarmCode.NUMBER_FORM: (
        _E,
        Text(
            "第 {index} 条的证书编号不符合规则或与其内容不一致：{reason}",
            "The certificate number of entry {index} is not well formed or contradicts the certificate: {reason}",
        ),
    ),
    AlarmCode.NUMBER_TWICE: (
        _E,
        Text("第 {index} 条与第 {other} 条的证书编号相同", "Entries {index} and {other} have one certificate number"),
    ),
    AlarmCode.MANY_OCCUPATIONS: (
        _W,
        Text(
            "同一人取得 {count} 个不同职业的证书（阈值 {limit}）",
            "One person holds certificates in {count} different occupations (threshold {limit})",
        ),
    ),
    AlarmCode.TWO_PLACES: (
        _W,
        Text(
            "同一人于 {day} 在两家机构参加评价", "One person was assessed by two different bodies on {day}"
        ),
    ),
    AlarmCode.MORE_THAN_SAT: (
        _W,
        Text(
            "机构 {filing} {period} 的 {occupation} {level}级评价，人数表上有 {sat} 人参加，日志中却有 {count} 份证书",
            "Body {filing} has {count} certificates of {occupation}, level {level}, assessed in {period}, when by the"
            " sheet of sittings {sat} sat",
        ),
    ),
    AlarmCode.SITTING_UNLISTED: (
        _W,
        Text(
            "机构 {subject} 有 {count} 份证书的评价日期在人数表中没有对应的考试",
            "Body {subject} has {count} certificates assessed on days for which the sheet lists no such sitting",
        ),
    ),
    AlarmCode.ALL_PASSED: (
        _W,
        Text(
            "机构 {filing} {period} 的 {occupation} {level}级评价，{sat} 人参加，全部通过",
            "All {sat} candidates of body {filing} passed: {occupation}, level {level}, {period}",
        ),
    ),
    AlarmCode.PASS_RATE_OUTLIER: (
        _W,
        Text(
            "机构 {filing} 的 {occupation} {level}级，{sat} 人参加，通过率 {rate}%；"
            "其他 {others} 家机构的中位数为 {reference}%",
            "Body {filing} passed {rate}% of {sat} candidates in {occupation}, level {level};"
            " the median of {others} other bodies is {reference}%",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding. `subject` (a filing number, a track, a head; never a person) makes it the same alarm next time."""

    code: AlarmCode
    subject: str
    text: Text
    entries: tuple[int, ...] = ()  # the first MAX_ENTRIES indexes concerned, rising
    total: int = 0  # how many entries are concerned

    @property
    def severity(self) -> Severity:
        return CATALOGUE[self.code][0]

    def as_json(self) -> dict[str, Any]:
        return {
            "code": str(self.code),
            "severity": str(self.severity),
            "subject": self.subject,
            "zh": self.text.zh,
            "en": self.text.en,
            "entries": list(self.entries),
            "entries_total": self.total,
        }


def alarm(code: AlarmCode, subject: str, entries: Sequence[int] = (), total: int | None = None, **words: Any) -> Alarm:
    """An alarm in the words of the catalogue. `words` fill its placeholders, with `subject` among them."""
    text = CATALOGUE[code][1].format(subject=subject, **words)
    shown = tuple(sorted(set(entries)))[:MAX_ENTRIES]
    return Alarm(code, subject, text, shown, len(set(entries)) if total is None else total)


def worst(alarms: Sequence[Alarm]) -> Severity | None:
    """The gravest severity among them."""
    order = (Severity.ERROR, Severity.WARNING)
    return next((level for level in order if any(one.severity is level for one in alarms)), None)

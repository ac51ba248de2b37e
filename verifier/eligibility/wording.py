"""Words of the engine, not of a pack: names of what it reads, its own reasons, how tests are said. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.text import Text
from verifier.eligibility.cells import Cell, Test
from verifier.eligibility.formulas import EARLY, INSIDE, LATE
from verifier.eligibility.tables import Outcome
from verifier.messages import say_day_number

NAMES: Final[dict[str, Text]] = {
    "as_of": Text("判定日", "the day asked about"),
    "as_of.year": Text("判定日的年份", "the year of that day"),
    "as_of.month": Text("判定日的月份", "the month of that day"),
    "as_of.month_days": Text("当月天数", "days of that month"),
    "cert.kind": Text("证书或岗位聘任", "certificate or post"),
    "cert.occupation": Text("证书的职业编码", "occupation code of the certificate"),
    "cert.lineage": Text("证书的职业", "occupation of the certificate"),
    "cert.trade": Text("证书的工种", "trade of the certificate"),
    "cert.grade": Text("证书等级", "grade of the certificate"),
    "cert.level": Text("证书的国家等级", "national level of the certificate"),
    "cert.issue_date": Text("发证日期", "issue date"),
    "cert.route": Text("取得方式", "how it was obtained"),
    "cert.audience": Text("评价对象", "who was assessed"),
    "cert.filing": Text("评价机构备案号", "filing number of the body"),
    "cert.highest": Text("本人在该职业的最高有效等级", "the holder's highest grade in force in this occupation"),
    "cert.holds_higher": Text("本人已持有该职业更高等级", "the holder has a higher grade in this occupation"),
    "cert.post_grade": Text("现聘任的技师岗位", "technical post held now"),
    "others.occupations": Text("另持有证书的其他职业数", "further occupations with a certificate"),
}

REASONS: Final[dict[str, Text]] = {
    "NOT_IN_FORCE": Text("该政策在判定日不适用", "these rules do not hold on that day"),
    "NO_CERTIFICATE": Text("需要出示证书", "a certificate has to be shown"),
    "NOT_YET_ISSUED": Text("证书在判定日尚未颁发", "the certificate was not issued yet on that day"),
    "EVIDENCE_OLD": Text(
        "证书的核验早于判定日，请重新核验", "the certificate was checked before that day; check it again"
    ),
    "STATUS": Text("证书不是有效状态", "the certificate is not in force"),
    "NOT_GENUINE": Text("出示的内容不是真实的证书", "what was shown is not a genuine certificate"),
    "NOT_PROVEN": Text(
        "现在无法核实证书，请稍后重新核验", "the certificate cannot be proven now; check it again later"
    ),
    "OUT_OF_SCOPE": Text("发证机构发证时未备案该职业或等级", "the body was not accredited for it when it was issued"),
    "NO_VALUE": Text("缺少计算金额所需的值", "a value that the amount needs does not exist"),
    "AMOUNT": Text("金额超出规定范围，须人工核对", "the amount is out of its range; a person has to check"),
    "OWED_BACK": Text("结算后应退回款项", "the settlement leaves money to be returned"),
}

RESULTS: Final[dict[Outcome, Text]] = {
    Outcome.ELIGIBLE: Text("符合条件", "eligible"),
    Outcome.NOT_ELIGIBLE: Text("不符合条件", "not eligible"),
    Outcome.NEEDS_INFORMATION: Text("还缺信息，暂不能判定", "needs information before it can be decided"),
    Outcome.REVIEW: Text("须由人工审核", "a person has to review it"),
}

VALUES: Final[dict[str, dict[str, Text]]] = {
    "cert.kind": {
        "certificate": Text("职业技能等级证书", "skill-grade certificate"),
        "appointment": Text("技师岗位聘任", "post as technician"),
    },
    "cert.route": {
        "exam": Text("考核", "examination"),
        "step_up": Text("晋级评价", "step-up assessment"),
        "initial": Text("定级评价", "first grading"),
        "direct": Text("直接认定", "direct recognition"),
        "competition": Text("以赛代评", "competition"),
        "exceptional": Text("破格晋升", "exceptional promotion"),
        "conversion": Text("证书换发", "conversion"),
        "appointment": Text("评聘", "appointment"),
    },
    "cert.audience": {
        "own_staff": Text("本单位职工", "own staff"),
        "own_students": Text("本校学生", "own students"),
        "public": Text("社会人员", "the public"),
    },
}

SPANS: Final[dict[str, Text]] = {
    EARLY: Text("尚未开始", "not begun"),
    INSIDE: Text("在期限内", "open"),
    LATE: Text("已过期限", "over"),
}

TABLE: Final = Text("表 {n}", "table {n}")  # where the pack has no name for it
ROW: Final = Text("第 {n} 行", "row {n}")
YES: Final = Text("是", "yes")
NO: Final = Text("否", "no")
UNKNOWN_TEXT: Final = Text("未知", "not known")
ABSENT_TEXT: Final = Text("无", "none")
ADVICE: Final = Text(
    "本结果为参考意见，可要求人工复核。", "This is advice with its reasons; you may ask for a person to review it."
)
SAMPLE: Final = Text(
    "依据中有未经证实的示例数据，不得作为办理依据。", "It rests on sample data that is not confirmed: do not act on it."
)
UNPUBLISHED: Final = Text(
    "规则包未在登记日志上发布，不能据此办理。", "The pack is not published on the log: nothing can be paid on it."
)
REHEARSAL: Final = Text("按假设的证书推算，不是正式判定。", "Worked out for a supposed certificate; it does not count.")

_TESTS: Final[dict[Test, Text]] = {
    Test.IS: Text("{v}", "{v}"),
    Test.NOT: Text("不是 {v}", "not {v}"),
    Test.IN: Text("{v} 之一", "one of {v}"),
    Test.NOT_IN: Text("不是 {v}", "none of {v}"),
    Test.FROM: Text("不低于 {v}", "at least {v}"),
    Test.TO: Text("不超过 {v}", "at most {v}"),
    Test.BEFORE: Text("早于 {v}", "before {v}"),
    Test.AFTER: Text("晚于 {v}", "after {v}"),
    Test.HAS: Text("含 {v}", "with {v}"),
    Test.LACKS: Text("不含 {v}", "without {v}"),
    Test.ABSENT: Text("无", "none"),
}
_DATED: Final = {Test.FROM: Text("不早于 {v}", "not before {v}"), Test.TO: Text("不晚于 {v}", "not after {v}")}


def day_text(day: int) -> Text:
    """A day number as it is said everywhere."""
    return Text(say_day_number(day, "zh"), say_day_number(day, "en"))


def say_cell(cell: Cell, say: Callable[[int | str], Text], *, dated: bool = False) -> Text:
    """What a cell asks for, in words; `say` puts one value into words, `dated` says that they are dates."""
    parts = []
    for test, values in cell.said:
        said = [say(value) for value in values]
        template = _DATED[test] if dated and test in _DATED else _TESTS[test]
        zh, en = "、".join(each.zh for each in said), ", ".join(each.en for each in said)
        parts.append((template.zh.format(v=zh), template.en.format(v=en)))
    return Text("，".join(zh for zh, _ in parts), " and ".join(en for _, en in parts))

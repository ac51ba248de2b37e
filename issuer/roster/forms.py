"""The sheets that a body fills in, by their columns: the reporting sheet (docs/operating.md) and those of the acts.

A column is found under any of its spellings, in any order. The first spelling is the title that problems name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.sheets.form import Form

_NUMBER: Final = ("证书编号", "证书编码", "证书号码", "证书号", "certificatenumber", "number")
_NAME: Final = ("姓名", "考生姓名", "名字", "name")
_DOCUMENT_TYPE: Final = ("证件类型", "证件种类", "身份证件类型", "idtype", "documenttype")
_DOCUMENT_NUMBER: Final = (
    "证件号码", "证件号", "身份证号", "身份证号码", "身份证件号码", "公民身份号码", "idnumber", "documentnumber",
)  # fmt: skip
_COUNTRY: Final = ("国籍", "国家或地区", "签发国家", "country")
_OCCUPATION: Final = ("职业名称", "职业", "职业工种名称", "认定职业", "occupation")
_OCCUPATION_CODE: Final = ("职业编码", "职业代码", "occupationcode")
_TRADE: Final = ("工种名称", "工种", "职业方向", "工种/职业方向", "工种(职业方向)", "trade")
_EMPLOYER: Final = ("所在单位", "工作单位", "单位名称", "单位", "employer")
_PHOTO: Final = ("照片", "照片文件", "photo")
_REASON: Final = ("原因", "事由", "理由", "reason")
_NOTE: Final = ("备注", "说明", "note", "remark")
_EFFECTIVE: Final = ("生效日期", "生效日", "日期", "effectivedate", "date")


_ROSTER: Final[Mapping[str, tuple[str, ...]]] = {
    "name": _NAME,
    "document_type": _DOCUMENT_TYPE,
    "document_number": _DOCUMENT_NUMBER,
    "employer": _EMPLOYER,
    "occupation": _OCCUPATION,
    "trade": _TRADE,
    "grade": ("职业技能等级", "技能等级", "等级", "认定等级", "证书等级", "级别", "grade", "level"),
    "number": _NUMBER,
    "issue_date": ("发证日期", "证书版面发证日期", "颁发日期", "发证时间", "issuedate"),
    "assessor": ("评价机构", "评价机构名称", "认定机构", "assessmentbody"),
    "issuing_body": ("发证机构", "发证机构名称", "发证单位", "issuingbody"),
    "assessment_date": ("评价日期", "考核日期", "认定日期", "考试日期", "assessmentdate"),
    "occupation_code": _OCCUPATION_CODE,
    "country": _COUNTRY,
    "route": ("认定分类", "评价方式", "认定方式", "route"),
    "photo": _PHOTO,
    "theory_score": ("理论成绩", "理论知识成绩", "理论", "theoryscore"),
    "practical_score": ("技能成绩", "实操成绩", "操作技能成绩", "技能", "practicalscore"),
    "review_score": ("综合评审成绩", "综合评审", "reviewscore"),
}
_POSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": _NAME,
    "document_type": _DOCUMENT_TYPE,
    "document_number": _DOCUMENT_NUMBER,
    "country": _COUNTRY,
    "employer": _EMPLOYER,
    "occupation": _OCCUPATION,
    "occupation_code": _OCCUPATION_CODE,
    "trade": _TRADE,
    "grade": ("岗位", "聘任岗位", "等级", "post", "grade"),
    "number": _NUMBER,
    "issue_date": ("文件日期", "聘任日期", "发文日期", "documentdate", "issuedate"),
    "first_day": ("聘期开始", "开始日期", "起始日期", "firstday", "from"),
    "last_day": ("聘期结束", "结束日期", "截止日期", "lastday", "until"),
    "basis": ("聘任文件", "文件依据", "依据", "basis"),
    "prerequisite": ("前置证书编号", "原证书编号", "高级技师证书编号", "prerequisite"),
    "photo": _PHOTO,
    "note": _NOTE,
}

ROSTER: Final = Form(
    "roster",
    _ROSTER,
    required=("name", "document_number", "occupation", "grade", "number", "issue_date"),
    listed=tuple(_ROSTER)[:11],
    least=3,
)
RULINGS: Final = Form(
    "rulings",
    {"number": _NUMBER, "reason": _REASON, "effective_date": _EFFECTIVE, "note": _NOTE},
    required=("number", "reason"),
    listed=("number", "reason"),
    least=2,
)
CORRECTIONS: Final = Form(
    "corrections",
    {
        "number": _NUMBER,
        "name": ("新姓名", *_NAME, "newname"),
        "document_type": ("新证件类型", *_DOCUMENT_TYPE),
        "document_number": ("新证件号码", *_DOCUMENT_NUMBER, "newidnumber"),
        "country": _COUNTRY,
        "reason": _REASON,
        "effective_date": _EFFECTIVE,
        "note": _NOTE,
    },
    required=("number", "reason"),
    listed=("number", "reason"),
    least=2,
)
REISSUES: Final = Form(
    "reissues",
    {"number": _NUMBER, "note": _NOTE, "reason": _REASON},
    required=("number",),
    listed=("number",),
    least=1,
)
POSTS: Final = Form(
    "posts",
    _POSTS,
    required=("name", "document_number", "occupation", "grade", "number", "issue_date", "first_day", "basis"),
    listed=("name", "document_number", "occupation", "grade", "number", "issue_date", "first_day", "basis"),
    least=3,
)
ENDS: Final = Form(
    "ends",
    {
        "number": _NUMBER,
        "effective_date": ("离岗日期", "聘期结束", "结束日期", *_EFFECTIVE, "lastday"),
        "reason": _REASON,
        "note": _NOTE,
    },
    required=("number", "effective_date"),
    listed=("number", "effective_date"),
    least=2,
)
REPORTING_SHEET: Final = ROSTER.listed


def column_title(name: str) -> str:
    """The title of a field in the reporting sheet, used in every problem."""
    return ROSTER.title(name)

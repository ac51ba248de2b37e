"""Words for the coded reasons, in both languages: pages, sheets and the people who sign all use these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.records.kinds import Reason
from ledger.text import Text

_TEXTS: Final[Mapping[Reason, Text]] = {
    Reason.UNDER_REVIEW: Text("核查中", "under review"),
    Reason.ISSUED_IN_ERROR: Text("发证有误", "issued in error"),
    Reason.FRAUD: Text("弄虚作假", "obtained by fraud"),
    Reason.IRREGULAR_ASSESSMENT: Text("考核评价违规", "irregular assessment"),
    Reason.OUT_OF_SCOPE: Text("超出备案范围", "outside the filed scope"),
    Reason.HOLDER_REQUEST: Text("本人申请", "at the holder's request"),
    Reason.AUTHORITY_DECISION: Text("主管部门决定", "decided by the authority"),
    Reason.CLEARED: Text("核查无误", "reviewed and cleared"),
    Reason.DECIDED_IN_ERROR: Text("原处理有误", "decided in error before"),
    Reason.NAME_CHANGED: Text("姓名变更", "the holder's name has changed"),
    Reason.DATA_ERROR: Text("登记信息有误", "an error in the data"),
    Reason.LOST_OR_LEAKED: Text("证书遗失或二维码泄露", "paper lost or code leaked"),
    Reason.POST_ENDED: Text("聘期结束", "the post has ended"),
    Reason.OTHER: Text("其他", "other"),
}


def reason_text(reason: Reason) -> Text:
    return _TEXTS[reason]

"""Every reason for which a statement is refused: a stable code, and what to tell the person who has to act."""

from __future__ import annotations

from enum import StrEnum

from ledger.errors import Refused
from ledger.text import Text


class Refusal(StrEnum):
    """Codes of the fold and of admission; the same list is in docs/refusals.md (a test compares them)."""

    MALFORMED = "MALFORMED"
    SIGNATURE = "SIGNATURE"
    GENESIS_PLACE = "GENESIS_PLACE"
    ORIGIN = "ORIGIN"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    KEY_NOT_LIVE = "KEY_NOT_LIVE"
    FILING_UNKNOWN = "FILING_UNKNOWN"
    FILING_EXISTS = "FILING_EXISTS"
    FILING_NOT_ACTIVE = "FILING_NOT_ACTIVE"
    VERSION_EXISTS = "VERSION_EXISTS"
    SCHEME_COUNTS = "SCHEME_COUNTS"
    REQUESTER = "REQUESTER"
    SCOPE_WINDOW = "SCOPE_WINDOW"
    SCOPE_ROW = "SCOPE_ROW"
    ASSESSED_AFTER_ISSUE = "ASSESSED_AFTER_ISSUE"
    ISSUED_IN_FUTURE = "ISSUED_IN_FUTURE"
    ISSUED_TOO_LATE = "ISSUED_TOO_LATE"
    NAME = "NAME"
    NUMBER = "NUMBER"
    NUMBER_TAKEN = "NUMBER_TAKEN"
    CERT_KEY_TAKEN = "CERT_KEY_TAKEN"
    DUPLICATE_GRADE = "DUPLICATE_GRADE"
    TRACK_UNKNOWN = "TRACK_UNKNOWN"
    TRACK_FULL = "TRACK_FULL"
    CAP_REACHED = "CAP_REACHED"
    OPENING_MISSING = "OPENING_MISSING"
    OPENING_UNWANTED = "OPENING_UNWANTED"
    OPENING_FACE = "OPENING_FACE"
    OPENING_REST = "OPENING_REST"
    OPENING_DOCUMENT = "OPENING_DOCUMENT"
    ENVELOPE = "ENVELOPE"
    PERSON_UNLINKED = "PERSON_UNLINKED"
    REQUEST_KEY_TAKEN = "REQUEST_KEY_TAKEN"
    LOG_CLOSED = "LOG_CLOSED"
    AUTHORITY_NEEDED = "AUTHORITY_NEEDED"
    NOT_ISSUER = "NOT_ISSUER"
    CERT_UNKNOWN = "CERT_UNKNOWN"
    ALREADY_SUSPENDED = "ALREADY_SUSPENDED"
    ALREADY_REVOKED = "ALREADY_REVOKED"
    NOTHING_TO_RESTORE = "NOTHING_TO_RESTORE"
    NOT_IN_FORCE = "NOT_IN_FORCE"
    FINAL = "FINAL"
    NOTHING_CHANGES = "NOTHING_CHANGES"
    EFFECTIVE_IN_FUTURE = "EFFECTIVE_IN_FUTURE"
    LOG_KEYS_NOT_HELD = "LOG_KEYS_NOT_HELD"
    KEYS_DROPPED = "KEYS_DROPPED"
    REISSUE_DIFFERS = "REISSUE_DIFFERS"
    GRANT = "GRANT"
    PREREQUISITE = "PREREQUISITE"
    NO_APPOINTMENT = "NO_APPOINTMENT"
    PERMIT_UNKNOWN = "PERMIT_UNKNOWN"
    PERMIT_OTHER = "PERMIT_OTHER"
    CORRECT_BOTH = "CORRECT_BOTH"
    STANDS_ALONE = "STANDS_ALONE"
    REPEATED = "REPEATED"
    NOT_EMPLOYER = "NOT_EMPLOYER"
    NOT_PAYER = "NOT_PAYER"
    PAYER_WINDOW = "PAYER_WINDOW"
    PAYER_SCHEME = "PAYER_SCHEME"
    PACK_UNKNOWN = "PACK_UNKNOWN"
    PACK_WINDOW = "PACK_WINDOW"
    CLAIM_WIDTH = "CLAIM_WIDTH"
    CLAIM_YEAR = "CLAIM_YEAR"
    CLAIM_DAY = "CLAIM_DAY"
    ALREADY_CLAIMED = "ALREADY_CLAIMED"
    CLAIM_UNKNOWN = "CLAIM_UNKNOWN"
    CLAIM_NOT_RESERVED = "CLAIM_NOT_RESERVED"
    CLAIM_EXPIRED = "CLAIM_EXPIRED"
    CLAIM_NOT_PAID = "CLAIM_NOT_PAID"
    OPENING_CLAIM = "OPENING_CLAIM"
    CLAIM_OUTDATED = "CLAIM_OUTDATED"
    NOT_HOLDER = "NOT_HOLDER"
    TRIES_USED = "TRIES_USED"
    NUMBER_UNANSWERED = "NUMBER_UNANSWERED"


_TEXTS: dict[Refusal, Text] = {
    Refusal.MALFORMED: Text(
        "语句格式不正确，请升级签发程序后重试", "The statement is not well-formed; update the issuing program"
    ),
    Refusal.SIGNATURE: Text("签名与内容不符", "The signature does not match the content"),
    Refusal.GENESIS_PLACE: Text("创世语句只能是第 0 条", "A genesis can only be entry 0"),
    Refusal.ORIGIN: Text("该语句属于另一日志", "The statement belongs to another log"),
    Refusal.KEY_UNKNOWN: Text("备案中没有这把签名密钥", "The filing does not list this signing key"),
    Refusal.KEY_NOT_LIVE: Text("签名密钥不在使用期内", "The signing key is not live at this time"),
    Refusal.FILING_UNKNOWN: Text("未查到该备案号", "No such filing on this log"),
    Refusal.FILING_EXISTS: Text("该备案号已登记，请用备案变更", "This filing exists; use a filing change"),
    Refusal.FILING_NOT_ACTIVE: Text("备案已暂停或取消", "The filing is suspended or cancelled"),
    Refusal.VERSION_EXISTS: Text("该版本已公布", "This version is published already"),
    Refusal.SCHEME_COUNTS: Text(
        "该项目的等级已按另一方式计算，请另立项目", "This scheme counts grades in another way; name a new scheme"
    ),
    Refusal.REQUESTER: Text("请求密钥不属于该备案", "The request key does not belong to this filing"),
    Refusal.SCOPE_WINDOW: Text("发证日期不在备案有效期内", "The issue date is outside the filing's window"),
    Refusal.SCOPE_ROW: Text(
        "备案范围不含该职业、工种、等级或对象",
        "The filing does not cover this occupation, trade, grade or audience",
    ),
    Refusal.ASSESSED_AFTER_ISSUE: Text("评价日期晚于发证日期", "The assessment date is after the issue date"),
    Refusal.ISSUED_IN_FUTURE: Text("发证日期在登记日期之后", "The issue date is in the future"),
    Refusal.ISSUED_TOO_LATE: Text(
        "发证日期早于登记日 60 天以上，须先取得补录许可",
        "The issue date is more than 60 days back; a late permit is needed first",
    ),
    Refusal.NAME: Text("姓名不是规范写法", "The name is not in its normal form"),
    Refusal.NUMBER: Text("证书编号与备案、年份或等级不符", "The number does not agree with filing, year or grade"),
    Refusal.NUMBER_TAKEN: Text("证书编号已被使用", "This certificate number is already taken"),
    Refusal.CERT_KEY_TAKEN: Text("该证书密钥已登记", "This cert key is on the log already"),
    Refusal.DUPLICATE_GRADE: Text(
        "此人在该职业工种已有同等级有效证书",
        "This person already holds a certificate of this grade in this occupation and trade",
    ),
    Refusal.TRACK_UNKNOWN: Text(
        "轨迹编号不是为此人此职业分配的，请先申请轨迹",
        "The track is not the one drawn for this person and occupation; request it first",
    ),
    Refusal.TRACK_FULL: Text(
        "该轨迹已达上限：证书 64 张，其中未结束的岗位 16 个",
        "This track has reached its limit of 64 certificates, or of 16 posts that are not over",
    ),
    Refusal.CAP_REACHED: Text("该密钥签发数量已达上限，请更换密钥", "This key has signed its maximum; rotate it"),
    Refusal.OPENING_MISSING: Text("缺少开封材料", "The openings are missing"),
    Refusal.OPENING_UNWANTED: Text(
        "此语句不涉及个人信息，请勿附开封材料", "This statement says nothing about a person; send no openings with it"
    ),
    Refusal.OPENING_FACE: Text("编号或姓名与已签内容不符", "Number or name do not match what was signed"),
    Refusal.OPENING_REST: Text("附加材料摘要与已签内容不符", "The field digests do not match what was signed"),
    Refusal.OPENING_DOCUMENT: Text("证件信息与已签内容不符", "The ID document does not match what was signed"),
    Refusal.PERSON_UNLINKED: Text(
        "没有证件号码的人员暂不能登记", "People without an ID number cannot be logged in this version"
    ),
    Refusal.REQUEST_KEY_TAKEN: Text(
        "请求密钥已属于另一备案，请为每个备案单独生成", "Another filing has this request key; make one for each filing"
    ),
    Refusal.LOG_CLOSED: Text("本日志已关闭，请提交到后继日志", "This log is closed; submit to its successor"),
    Refusal.AUTHORITY_NEEDED: Text("须由主管部门签署", "Only the authority may state this"),
    Refusal.NOT_ISSUER: Text("该证书不是本机构签发的", "Another body issued this certificate"),
    Refusal.CERT_UNKNOWN: Text("日志中没有这张证书", "The log has no such certificate"),
    Refusal.ALREADY_SUSPENDED: Text("证书已处于暂停状态", "The certificate is suspended already"),
    Refusal.ALREADY_REVOKED: Text("证书已撤销", "The certificate is revoked already"),
    Refusal.NOTHING_TO_RESTORE: Text("证书有效，无需恢复", "The certificate is in force; there is nothing to restore"),
    Refusal.NOT_IN_FORCE: Text("证书当前不是有效状态", "The certificate is not in force"),
    Refusal.FINAL: Text("证书已作废、换发或结束，不能再变更", "The certificate is void, replaced or ended for good"),
    Refusal.NOTHING_CHANGES: Text("此语句不改变任何内容", "The statement would change nothing"),
    Refusal.EFFECTIVE_IN_FUTURE: Text("生效日期或位置晚于登记时", "The effective day or index lies in the future"),
    Refusal.LOG_KEYS_NOT_HELD: Text(
        "账本打不开这对日志密钥的私钥，改用后将无法签名：请把 next-keys 生成的密钥文件放入其目录"
        "（口令须与其他密钥相同），或更正语句中的公钥",
        "The ledger cannot open the private keys of this pair, and could sign nothing after it: put the key file that "
        "next-keys made into its folder (under the passphrase of its other keys), or correct the public keys in the "
        "statement",
    ),
    Refusal.KEYS_DROPPED: Text(
        "新条款须列出先前备案的全部密钥", "The new terms must list every key that was filed before"
    ),
    Refusal.REISSUE_DIFFERS: Text(
        "换发证书的内容须与原证书一致", "A reissue says the same as the certificate it replaces"
    ),
    Refusal.GRANT: Text("备案未授权评聘该等级", "The filing does not grant appointing this grade"),
    Refusal.PREREQUISITE: Text(
        "缺少评聘所需的有效高级技师证书", "The certificate that the post builds on is missing or not in force"
    ),
    Refusal.NO_APPOINTMENT: Text("该证书不是评聘岗位", "This is no appointment"),
    Refusal.PERMIT_UNKNOWN: Text("日志中没有所引用的补录许可", "The log has no such late permit"),
    Refusal.PERMIT_OTHER: Text("补录许可不包含该证书", "The late permit does not cover this certificate"),
    Refusal.CORRECT_BOTH: Text(
        "同时更改姓名和证件须由主管部门签署", "A change of both name and ID document needs the authority"
    ),
    Refusal.REPEATED: Text(
        "同一语句早已入账，其后已被解除，不会再次生效；请改原因或日期后重新签署",
        "This very statement is in the log and was undone since; it acts once: sign it with another reason or day",
    ),
    Refusal.STANDS_ALONE: Text("此语句须单独成批", "This statement must be alone in its batch"),
    Refusal.NOT_EMPLOYER: Text(
        "只有用人单位可以公布自己的薪酬规则包", "Only an employer may publish a pack, for its own wage table"
    ),
    Refusal.NOT_PAYER: Text("该备案不是待遇支付机构", "This filing is not that of a payer"),
    Refusal.PAYER_WINDOW: Text("支付机构备案不在有效期内", "The payer's filing is outside its window"),
    Refusal.PAYER_SCHEME: Text("备案不含该待遇项目", "The payer is not filed for this scheme"),
    Refusal.PACK_UNKNOWN: Text(
        "主管部门未公布该规则包，或规则包不含申领条款", "The authority has published no such pack with terms of claims"
    ),
    Refusal.PACK_WINDOW: Text("规则包不在有效期内", "The pack is outside its window"),
    Refusal.CLAIM_WIDTH: Text("申领标记数量与规则包不符", "The number of nullifiers is not that of the pack"),
    Refusal.CLAIM_YEAR: Text("待遇年度须为本年或上一年", "The year of the benefit is this one or the one before"),
    Refusal.CLAIM_DAY: Text("预留期限须在今日起 90 天内", "A reservation lasts from today on, and at most 90 days"),
    Refusal.ALREADY_CLAIMED: Text("该待遇已被申领", "This benefit is claimed already"),
    Refusal.CLAIM_UNKNOWN: Text("没有这笔申领", "The payer has no such claim"),
    Refusal.CLAIM_NOT_RESERVED: Text("该笔申领不在预留状态", "The claim is not reserved"),
    Refusal.CLAIM_EXPIRED: Text("预留已到期，请重新申领", "The reservation is over; reserve anew"),
    Refusal.CLAIM_NOT_PAID: Text("该笔申领没有支付，无可追回", "The claim is not paid; there is nothing to claw back"),
    Refusal.OPENING_CLAIM: Text(
        "申领附件与已签内容不符，请重新查询后申领", "What came with the claim does not match it; ask and sign again"
    ),
    Refusal.CLAIM_OUTDATED: Text(
        "证书情况已有变化，请重新查询后申领", "The certificate has changed since it was asked about; ask and sign again"
    ),
    Refusal.NOT_HOLDER: Text("证书与证件不是同一人", "The certificate is not this person's"),
    Refusal.TRIES_USED: Text("今日核对次数已用完，请明天再试", "No tries are left for this certificate today"),
    Refusal.NUMBER_UNANSWERED: Text(
        "账本目前无法由该编号和姓名指到证书，请改用证书密钥，或稍后再试",
        "The ledger cannot lead from this number and name to the certificate now: use its cert key, or ask again later",
    ),
    Refusal.ENVELOPE: Text("信封大小或定位符不正确", "An envelope has the wrong size or locator"),
}


def text_of(code: Refusal) -> Text:
    return _TEXTS[code]


def refuse(code: Refusal, field: str) -> Refused:
    """The exception to raise; `field` names what to look at and never carries a value."""
    return Refused(code.value, field, _TEXTS[code])

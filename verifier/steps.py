"""What each numbered step of the check can say, in both languages: the findings that a verdict lists. Pure.

Constants, built once, because a busy page makes a hundred thousand of them a minute.
"""

from __future__ import annotations

from typing import Final

from ledger.text import Text
from verifier.verdict import Finding, Outcome

ORDER: Final = (
    "host",
    "readable",
    "carried",
    "signature",
    "logged",
    "scope",
    "status",
    "current",
    "freshness",
    "correction",
)


def _finding(step: str, outcome: Outcome, zh: str, en: str) -> Finding:
    assert step in ORDER
    return Finding(step, outcome, Text(zh, en))


_PASS, _FAIL, _UNKNOWN, _SKIPPED = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.SKIPPED

HOST: Final = _finding("host", _PASS, "指向官方网址", "Leads to the official address")
HOST_NONE: Final = _finding("host", _SKIPPED, "持证人文件不含网址", "A holder's file has no address")
HOST_OTHER: Final = _finding("host", _FAIL, "指向其他网址", "Leads to another address")
HOST_ASKED: Final = _finding("host", _SKIPPED, "按编号和姓名查询", "Asked for by number and name")

READABLE: Final = _finding("readable", _PASS, "格式正确", "Well-formed")
UNREADABLE: Final = _finding("readable", _FAIL, "没有读到本系统的证书内容", "Nothing of ours could be read")

CARRIED: Final = _finding("carried", _PASS, "自带内容前后一致", "What it carries holds together")
CARRIED_NONE: Final = _finding("carried", _SKIPPED, "仅为链接，不带证书内容", "A bare link carries no certificate")
CARRIED_ASKED: Final = _finding("carried", _SKIPPED, "没有扫描二维码", "No code was scanned")
CARRIED_WRONG: Final = _finding(
    "carried", _FAIL, "自带内容互相矛盾或已被改动", "What it carries contradicts itself or was altered"
)
CARRIED_UNPROVEN: Final = _finding(
    "carried",
    _UNKNOWN,
    "文件中的证明由本机不认识的日志密钥签署，未予采用；请用 refresh 更新该文件",
    "The proof in the file is under log keys that are not known here and was not used; refresh the file",
)

PRINT_OTHER: Final = _finding(
    "carried", _FAIL, "文件上的文字与二维码中签名的内容不一致", "The words on the page are not those signed in its code"
)

SIGNATURE: Final = _finding("signature", _PASS, "发证机构的签名真实", "The issuer's signature is genuine")
SIGNATURE_WRONG: Final = _finding(
    "signature", _FAIL, "不是该机构备案密钥的签名", "Not signed by a key that this body has filed"
)
SIGNATURE_UNFILED: Final = _finding(
    "signature",
    _UNKNOWN,
    "登记中没有该机构，无从核对签名",
    "No such body is filed, so nothing can be checked against it",
)
SIGNATURE_NO_KEY: Final = _finding(
    "signature", _UNKNOWN, "没有登记数据，无从核对签名密钥", "The signing key cannot be looked up without the register"
)
SIGNATURE_NOTHING: Final = _finding("signature", _SKIPPED, "没有可核对的签名", "There is no signature to check")
REGISTER_DAMAGED: Final = _finding(
    "signature", _UNKNOWN, "本机登记副本有误，需要修复", "This verifier's own copy of the register is damaged"
)

LOGGED: Final = _finding("logged", _PASS, "与登记日志逐字节一致", "The register holds exactly this, byte for byte")
LOGGED_BY_BUNDLE: Final = _finding(
    "logged", _PASS, "持证人文件证明其已登记", "The holder's file proves that it is in the register"
)
LOGGED_BY_PROOF: Final = _finding(
    "logged", _PASS, "账本给出的证明表明其已登记", "The ledger's proof shows that it is in the register"
)
LOGGED_BY_KIT: Final = _finding(
    "logged",
    _UNKNOWN,
    "离线包不能证明已登记，只表明未将其列为失效",
    "A kit cannot show that this is in the register, only that no list of it names it",
)
LOGGED_SOMEWHERE: Final = _finding(
    "logged",
    _UNKNOWN,
    "该机构在多个日志备案，离线不能确定登记在哪一个，请联网核验",
    "The body is filed in several logs, and offline nothing shows in which it was entered; check online",
)
LOGGED_AFTER_KIT: Final = _finding(
    "logged", _UNKNOWN, "登记晚于离线包，状态未知", "Entered after the kit was made; its status is not known"
)
CORRECTION_UNPROVEN: Final = _finding(
    "logged",
    _UNKNOWN,
    "文件中的姓名或编号并非登记日志现有的，其来历无法核对",
    "Name or number in the file are not those in the register, and where they came from cannot be checked",
)
LOGGED_REFUTED: Final = _finding(
    "logged", _UNKNOWN, "账本给出的证明不成立，请报告", "The proof that the ledger gave does not hold; report this"
)
LOGGED_NOT: Final = _finding("logged", _FAIL, "登记日志中没有这条记录", "The register has no such record")
LOGGED_UNKNOWN: Final = _finding(
    "logged", _UNKNOWN, "登记数据较旧，可能尚未包含这条记录", "The register at hand may be older than this record"
)
LOGGED_TWICE: Final = _finding(
    "logged",
    _UNKNOWN,
    "另一登记日志中也有同一编码的记录，请报告",
    "Another log has a record under the same code too; report this",
)
LOGGED_OTHER: Final = _finding("logged", _FAIL, "与登记日志中的记录不同", "Differs from the record in the register")
PRINT_NOT_LOGGED: Final = _finding(
    "logged", _FAIL, "文件上的文字与登记记录不一致", "The words on the page are not those in the register"
)
INDEX_NOT: Final = _finding(
    "logged", _FAIL, "没有编号与姓名同时相符的记录", "No record has both this number and this name"
)
INDEX_WRONG: Final = _finding(
    "logged",
    _UNKNOWN,
    "账本索引给出的信息与登记记录不符，请报告",
    "What the ledger's index says is not what the register holds; report this",
)
INDEX_NO_ANSWER: Final = _finding(
    "logged",
    _UNKNOWN,
    "账本无法按该编号和姓名作答（例如换发的证书已作废）：请扫描证书上的二维码",
    "The ledger has no answer to this number and name (a certificate reissued under it became void, say): scan the "
    "certificate's code",
)
INDEX_UNASKED: Final = _finding(
    "logged",
    _UNKNOWN,
    "本站所信任的登记日志中有不供本站按编号和姓名查询的：请扫描证书上的二维码",
    "One of the logs that this site believes takes no look-ups from it: scan the certificate's code",
)
INDEX_FOR_GOOD: Final = (INDEX_NO_ANSWER, INDEX_UNASKED)  # asking again brings nothing else
LOGGED_FORK: Final = _finding(
    "logged", _FAIL, "同一日志出现两份不同历史，请立即报告", "The log has signed two histories; report this at once"
)

SCOPE: Final = _finding("scope", _PASS, "发证时已备案该职业和等级", "Accredited for this at the issue date")
SCOPE_CHANGED: Final = _finding(
    "scope",
    _UNKNOWN,
    "备案条款已变更，发证时的条款不在离线包中",
    "The filing has changed since; its terms then are not in the kit",
)
SCOPE_NOT: Final = _finding("scope", _FAIL, "发证时未备案该职业或等级", "Not accredited for this at the issue date")

STATUS: Final = _finding("status", _PASS, "登记状态为有效", "In force in the register")
STATUS_CORRECTED: Final = _finding("status", _PASS, "登记状态为有效，信息已更正", "In force, with corrected details")
STATUS_NOT: Final = _finding("status", _FAIL, "登记状态不是有效", "Not in force in the register")

STATUS_BY_KIT: Final = _finding("status", _PASS, "离线包未列为失效", "No list of the kit says otherwise")
STATUS_CORRECTED_LATER: Final = _finding(
    "status",
    _UNKNOWN,
    "登记信息已更正，纸面内容可能有误，请联网核验",
    "Details were corrected since; the print may be wrong, so check online",
)
STATUS_KEY_STOLEN: Final = _finding(
    "status",
    _UNKNOWN,
    "签发密钥已失密，离线不能证明登记在此之前，请联网核验",
    "The issuing key was compromised; offline nothing shows that it was entered before, so check online",
)

CURRENT_HIGHER: Final = _finding(
    "current", _PASS, "已取得更高等级，请联网查看", "A higher grade has been earned since; check online for which"
)
CURRENT_BY_KIT: Final = _finding("current", _PASS, "离线包中没有更高等级", "The kit knows of no higher grade")
CURRENT: Final = _finding("current", _PASS, "已查明该职业当前等级", "The current grade in this occupation is known")
CURRENT_NONE: Final = _finding(
    "current",
    _SKIPPED,
    "未关联本人其他证书，不判断当前等级",
    "Not linked to other certificates; no current grade claimed",
)

POST_UNFOUNDED: Final = _finding(
    "current",
    _UNKNOWN,
    "岗位所依据的高级技师证书现在不是有效状态",
    "The senior technician's certificate that the post builds on is not in force now",
)

FRESH: Final = _finding("freshness", _PASS, "登记数据为最新", "The register's data is recent")
FRESH_NOT: Final = _finding("freshness", _UNKNOWN, "登记数据不是最新", "The register's data is not recent")
FRESH_HALTED: Final = _finding(
    "freshness", _FAIL, "登记日志出现异常，已停止更新", "The log broke its rules; updates have stopped"
)
FRESH_STOPPED: Final = _finding(
    "freshness",
    _UNKNOWN,
    "本机的登记副本因故障停止更新",
    "This verifier's own copy stopped following because of a fault of its own",
)

QUORUM_MISSING: Final = _finding(
    "freshness", _UNKNOWN, "见证人签署不足，可能不是当前状态", "Too few witnesses stand behind this; it may be old"
)
AUDITOR_MISSING: Final = _finding(
    "freshness",
    _UNKNOWN,
    "没有状态审计员为此签署，本机也未重新核算",
    "No map auditor has vouched for this, and it was not recomputed here",
)
OVERTAKEN: Final = _finding(
    "freshness",
    _UNKNOWN,
    "该登记日志已关闭，后继日志的数据暂缺",
    "This log is closed, and its successor's data is missing",
)
OTHERS_UNKNOWN: Final = _finding(
    "freshness",
    _UNKNOWN,
    "所信任的其他登记日志对此有何记载，无从得知",
    "What the other logs that are believed here say of it is not known",
)
KIT_FRESH: Final = _finding("freshness", _PASS, "离线包在有效期内", "The offline kit is within its age limit")
KIT_OLD: Final = _finding(
    "freshness", _UNKNOWN, "离线包已过期或本机时钟有误", "The kit is too old, or this clock is wrong"
)
KIT_HALTED: Final = _finding(
    "freshness",
    _UNKNOWN,
    "离线包的制作者已停止跟随该登记日志",
    "The kit's maker has stopped following this log",
)
HISTORIC: Final = _finding(
    "freshness", _PASS, "所查为历史状态，截至所示时间", "The state of an earlier time, as of the time shown"
)

OUTDATED: Final = _finding(
    "correction",
    _UNKNOWN,
    "所核验的二维码或文件中的个人信息，不是登记现在认定的",
    "The personal details in what was checked are not the ones that the register stands by now",
)

_SKIPPED_TEXT: Final = Text("前一步已有结论，未再进行", "Not needed after an earlier step")
_USUAL: Final = tuple(step for step in ORDER if step != OUTDATED.step)
_REST: Final = {step: Finding(step, _SKIPPED, _SKIPPED_TEXT) for step in ORDER}


def complete(done: list[Finding]) -> tuple[Finding, ...]:
    """The findings in the order of the steps, each step once; those that were not done are marked as skipped. Whether
    what was checked is of before a correction is told only where it is."""
    by_step = {finding.step: finding for finding in done}
    assert len(by_step) == len(done), "each step ends once"
    order = ORDER if OUTDATED.step in by_step else _USUAL
    return tuple(by_step.get(step, _REST[step]) for step in order)

"""What a person is about to sign, in both languages, nothing left out. Parsing let no control character in."""

from __future__ import annotations

from hashlib import sha256

from ledger.errors import Malformed
from ledger.records.authority import FiledKey, Filing, Genesis, Published
from ledger.records.dates import format_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, Range, Ruling, Whom
from ledger.records.pack import ClaimTerms, Pack
from ledger.records.permit import LatePermit
from ledger.records.reasons import reason_text
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.statements import Body
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.reference_data import load_ladder
from ledger.text import Text

_RULINGS = {
    Kind.SUSPEND: Text("暂停", "suspend"),
    Kind.RESTORE: Text("恢复", "restore"),
    Kind.REVOKE: Text("撤销", "revoke"),
}


def describe(body: Body) -> str:
    """What a person is about to sign, in both languages, nothing left out. Parsing let no control character in."""
    match body:
        case Genesis():
            lines = [
                f"创世 genesis {body.origin}：{body.threshold} / {len(body.keys)} 签名有效 signatures needed",
                f"  日期 day: {format_day(body.day)}",
            ]
            lines += [f"  密钥 key {key.hex()}" for key in body.keys]
        case Filing():
            lines = [
                f"{'备案变更 filing change' if body.change else '备案 filing'} {body.number}",
                f"  机构 body: {body.name} {body.latin_name}（{body.kind.name.lower()}）",
                f"  有效期 window: {format_day(body.first_day)} – {format_day(body.last_day)}",
            ]
            for row in body.rows:
                trade = f"（{row.trade}）" if row.trade else "（全部工种 every trade）"
                since = format_day(row.first_day)
                grades = _grades(row.grades)
                lines.append(f"  {row.occupation}{trade} {grades} {row.audience.name.lower()} 自 from {since}")
            lines += [f"  签发密钥 record key {_key_line(key)}" for key in body.record_keys]
            lines += [f"  请求密钥 request key {_key_line(key)}" for key in body.request_keys]
            lines.append(f"  每把密钥上限 cap per key: {body.cap}")
            lines.append(f"  可评聘 may appoint: {_grades(body.grants) or '无 none'}")
            if body.is_payer:
                lines.append(f"  可支付 may pay: {'、'.join(body.schemes)}")
        case Published():
            since = format_day(body.first_day)
            lines = [f"{body.kind.name.lower()} {body.version} 自 from {since} sha256 {body.digest.hex()}"]
        case Pack():
            until = f"– {format_day(body.last_day)}" if body.last_day else "起 on"
            lines = [
                f"规则包 pack {body.pack_id} {body.version} {format_day(body.first_day)} {until}",
                f"  sha256 {body.digest.hex()}",
                *(_terms(body.terms) if body.terms else ["  不含申领条款 no terms of claims"]),
            ]
        case FilingStanding():
            lines = [
                f"备案 filing {body.number}: {body.status.name.lower()}",
                _because(body.reason, body.effective_day),
            ]
        case KeyStanding():
            lines = [f"备案 filing {body.number} 密钥 key {body.public.hex()}: {body.status.name.lower()}"]
            if body.void_from is not None:
                lines.append(f"  第 {body.void_from} 条起作废 void from index {body.void_from} on")
            lines.append(f"  日期 day: {format_day(body.day)}")
        case LatePermit():
            lines = [
                f"补录许可 late permit {body.number}: {body.count} 张 certificates",
                f"  发证日期 issue dates: {format_day(body.first_day)} – {format_day(body.last_day)}",
                f"  原因 reason: {reason_text(body.reason).both()}",
                f"  根哈希 root: {body.root.hex()}",
            ]
        case AuthorityChange():
            lines = [
                f"更换主管部门密钥 authority change：{body.threshold} / {len(body.keys)} 签名有效 signatures needed",
                f"  日期 day: {format_day(body.day)}",
            ]
            lines += [f"  密钥 key {key.hex()}" for key in body.keys]
        case LogKey():
            if body.successor:
                lines = [f"关闭日志 close the log; 后继 successor: {body.successor}"]
            else:
                lines = [
                    "更换日志密钥 new keys of the log",
                    f"  Ed25519 {body.ed25519.hex()}",
                    f"  ML-DSA-44 SHA-256 {sha256(body.ml_dsa_44).hexdigest()}",
                ]
            lines.append(f"  日期 day: {format_day(body.day)}")
        case Ruling():
            lines = [f"{_RULINGS[body.kind].both()}: {_whom(body.whom)}", _because(body.reason, body.effective_day)]
            if not isinstance(body.whom, Range):
                lines += [f"  {key.hex()}" for key in body.whom.cert_keys]
        case Correct():
            lines = [f"更正 correct {body.cert_key.hex()}", _because(body.reason, body.effective_day)]
            lines.append(f"  face {body.face.hex()} rest {body.rest.hex()}")
            if body.track_id:
                lines.append(f"  移至轨迹 moves to track {body.track_id.hex()}")
        case _:
            raise Malformed(Text("不是主管部门的提案", "not a proposal of the authority"))
    return "\n".join(lines)


def _because(reason: Reason, day: int) -> str:
    return f"  原因 reason: {reason_text(reason).both()}; 生效 effective: {format_day(day)}"


def _terms(terms: ClaimTerms) -> list[str]:
    return [
        f"  项目 scheme: {terms.scheme}",
        f"  互斥组（一证一次）groups, one certificate once: {'、'.join(terms.groups) or '无 none'}",
        f"  同等级一次 a grade once: {'每工种 in each trade' if terms.by_trade else '全职业方向 in the lineage'}",
        f"  已领高等级不再领低等级 lower grades are used up: {'是 yes' if terms.lower_grades else '否 no'}",
        f"  每人每年次数 claims a year: {terms.slots or '不限 no limit'}",
    ]


def _whom(whom: Whom) -> str:
    if isinstance(whom, Range):
        return f"备案 filing {whom.number}, 第 {whom.first}–{whom.last} 条 indexes {whom.first}–{whom.last}"
    return f"{len(whom.cert_keys)} 张 certificates"


def _grades(ordinals: tuple[int, ...]) -> str:
    return "、".join(load_ladder().by_ordinal(ordinal).text.zh for ordinal in ordinals)


def _key_line(key: FiledKey) -> str:
    until = f"– {format_day(key.last_day)}" if key.last_day else "起 on"
    return f"{key.public.hex()} {format_day(key.first_day)} {until}"

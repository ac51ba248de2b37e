"""Of which logs it is known what grade and post somebody has. Pure.

A track is one person's certificates in one log, and nothing public links two of them. Where several logs are believed,
whatever rests on the highest grade or the post says of which it is known, and how to know more: show the certificates
that the person has in the others. Those that are shown are put together (`verifier.eligibility.records`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.text import Text
from verifier.eligibility.decision import Decision
from verifier.eligibility.pack import Pack
from verifier.eligibility.records import held_on, highest_known

TRACK: Final = frozenset({"cert.highest", "cert.holds_higher", "cert.post_grade"})
_ONE: Final = Text(
    "最高等级和所聘岗位仅就登记日志 {logs} 而言，不含本人在其他登记日志中的证书；如有，请一并出示后重新判定",
    "the highest grade and the post are known as far as the log {logs} goes, without what the person has in other "
    "logs: if there are such certificates, show them too and decide again",
)
_SEVERAL: Final = Text(
    "最高等级和所聘岗位由登记日志 {logs} 的证书合并得出；日志不证明它们属于同一人，请核对每张证书的姓名和证件。"
    "在其他登记日志中如还有证书，请一并出示",
    "the highest grade and the post are put together from certificates of the logs {logs}. No log proves that they are "
    "one person's: compare name and ID on each. If there are certificates in other logs, show them too",
)


def resting(pack: Pack) -> frozenset[str]:
    """The names of a pack whose values rest on the highest grade or the post, by whatever way."""
    names = set(TRACK)
    for each in pack.derived:  # each after what it reads
        names |= {each.name} if names.intersection(each.needs) else set()
    for table in pack.tables:
        if names.intersection(table.columns):
            names |= {f"tables.{table.id}.{name}" for name in table.outputs}
    return frozenset(names)


def logs_of(decision: Decision) -> tuple[str, ...]:
    """Origins of the logs whose certificates say which grade and post the person has; empty where one log is believed
    alone, or where nothing is known of it."""
    records = held_on(decision.certificates, decision.as_of)
    if not records or records[0].alone or not highest_known(records):
        return ()
    same = {record.cert_key for record in records if record.lineage == records[0].lineage}
    return tuple(sorted({proof.origin for proof in decision.evidence if proof.cert_key in same}))


def rests_on(decision: Decision, pack: Pack) -> tuple[str, ...]:
    """`logs_of` a decision under a pack that asks for the highest grade or the post; empty under any other."""
    names = resting(pack)
    read = {name for table in pack.tables for name in table.columns}
    read |= {name for line in pack.amount.lines for name in line.names} if pack.amount else set()
    return logs_of(decision) if names & read else ()


def known_of_text(logs: Sequence[str]) -> Text:
    """What a person is told, and what to do. `logs`: one or more origins."""
    said = _ONE if len(logs) == 1 else _SEVERAL
    return Text(said.zh.format(logs="、".join(logs)), said.en.format(logs=", ".join(logs)))

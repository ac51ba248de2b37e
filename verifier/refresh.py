"""Putting newer evidence into a holder's file. Pure.

    refreshed(item, evidence, trust, now) -> bundle or staple      or raises Unverified, Refused

    1 the file holds together as it is; where the log's keys of that time are not known here, its proof is worth
      nothing, and the file has to hold together with the new evidence instead
    2 the new evidence is the current answer about the same certificate, holds, and has the witness quorum
    3 it is not older than what the file has: neither size nor time goes back, and one size has one root
    4 it goes on from there: the same statement, and no fewer events

What a file loses by it: nothing. Of a staple, again only the Ed25519 lines are kept where they are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ledger.errors import Refused, Unverified
from ledger.records.bundle import Bundle
from ledger.records.evidence import Evidence
from ledger.records.staple import Staple, compact
from ledger.text import Text
from verifier.carried import open_carried, verify_carried
from verifier.former import UnknownKeys
from verifier.proven import Proven, open_evidence
from verifier.trust import Trust

_OLDER: Final = Text(
    "取得的证明比文件中的旧，文件未更改", "The new proof is older than the file's; nothing was changed"
)
_FORKED: Final = Text(
    "同一日志出现两份不同历史，请保留文件并立即报告",
    "The log has signed two histories; keep the file and report this at once",
)
_UNWITNESSED: Final = Text(
    "新的证明缺少见证人签署，文件未更改", "The new proof is short of its witnesses; nothing was changed"
)


def refreshed(item: Bundle | Staple, evidence: Evidence, trust: Trust, now_ms: int) -> Bundle | Staple:
    """The same file with newer evidence. Raises Unverified; Refused OLDER, FORKED, UNWITNESSED."""
    carried = open_carried(item)
    assert carried is not None, "a bundle or a staple carries its statement"
    try:
        old = verify_carried(item, carried, trust, now_ms)  # 1
    except UnknownKeys:
        old = None
    new = open_evidence(evidence, trust, now_ms)  # 2
    if evidence.cert_key != item.evidence.cert_key or not new.state.is_current:
        raise Unverified(Text("账本给出的证明与所询问的不同", "evidence of something else than was asked for"))
    if not new.witnessed:
        raise Refused("UNWITNESSED", "evidence", _UNWITNESSED)
    if old is not None:
        _check_later(old, new)
    elif evidence.issued is None or evidence.issued.entry != item.entry:
        raise Unverified(
            Text(
                "日志中没有该证书的这条语句，或另有一条",
                "the log holds no such statement, or another one, for this certificate",
            )
        )
    else:
        verify_carried(replace(item, evidence=evidence), carried, trust, now_ms)  # 1
    if isinstance(item, Bundle):
        return replace(item, evidence=evidence)
    return replace(item, evidence=stapled(evidence, trust, now_ms))


def newest_refreshed(
    item: Bundle | Staple, answers: Sequence[tuple[Evidence, Proven]], trust: Trust, now_ms: int
) -> tuple[Bundle | Staple, Proven]:
    """`refreshed` with the first of these answers that is not older than the file, and what that answer proves: one
    that an auditor vouches for may be under a head of before. Raises as `refreshed` for the last one."""
    *better, (last, proven) = answers
    for evidence, vouched in better:
        try:
            return refreshed(item, evidence, trust, now_ms), vouched
        except Refused as refusal:
            if refusal.code != "OLDER":
                raise
    return refreshed(item, last, trust, now_ms), proven


def stapled(evidence: Evidence, trust: Trust, now_ms: int) -> Evidence:
    """Evidence for a staple: with its Ed25519 lines alone, if they are as good to this trust as all of them."""
    small, whole = compact(evidence), open_evidence(evidence, trust, now_ms)
    try:
        proven = open_evidence(small, trust, now_ms, stapled=True)
    except Unverified:
        return evidence
    return small if (proven.witnessed, proven.audited) == (whole.witnessed, whole.audited) else evidence


def _check_later(old: Proven, new: Proven) -> None:
    before, after = old.state.opened, new.state.opened
    if after.checkpoint.size == before.checkpoint.size and after.checkpoint.root != before.checkpoint.root:  # 3
        raise Refused("FORKED", "evidence", _FORKED)
    if after.checkpoint.size < before.checkpoint.size or after.time_s < before.time_s:
        raise Refused("OLDER", "evidence", _OLDER)
    was, now = old.state.state, new.state.state
    assert was is not None, "a bundle is of a certificate that was issued"
    if now is None or now.issue_leaf != was.issue_leaf or now.event_count < was.event_count:  # 4
        raise Refused("FORKED", "evidence", _FORKED)

"""Judging a ledger's answer as a stranger would: by pinned keys and the bytes we hold ourselves, nothing else.

    1 one answer for each statement sent
    2 the checkpoint opens under the pinned origin and every pinned log key, and its last leaf is a seal that covers
      all before it (rule R1), with its inclusion
    3 it is fresh by this computer's clock
    4 each logged statement: our own leaf hash is included at the index named; no index twice
    5 batch times: a statement after the previous seal carries this seal's time, an earlier one an earlier time

A refusal proves nothing and needs no proof: it is kept as what the ledger said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from issuer.config import LogTrust
from ledger.errors import Refused, Unverified
from ledger.records.log_proof import LogProof, Sealed, open_sealed, verify_place
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash
from ledger.wire import Logged, Receipt

CLOCK_S: Final = 600  # how far the log's signing time and our clock may differ


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement's verified place in the log. Made by `verify_receipt`, or read back from our own journal."""

    proof: LogProof
    time: int  # of its batch, ms


def verify_receipt(
    entries: Sequence[bytes], receipt: Receipt, trust: LogTrust, now_ms: int
) -> tuple[Placed | Refused, ...]:
    """The answers in order of `entries`, every place proven. Raises Unverified (or Malformed) for the whole receipt."""
    if len(receipt.answers) != len(entries):  # 1
        raise Unverified(Text("回执：答复数与语句数不同", "receipt: another number of answers than statements"))
    sealed = open_sealed(receipt.checkpoint, receipt.seal, receipt.seal_inclusion, trust.origin, trust.keys)  # 2
    if abs(sealed.opened.time_s * 1000 - now_ms) > CLOCK_S * 1000:  # 3
        raise Unverified(
            Text(
                f"回执：签署时间与本机时钟相差超过 {CLOCK_S} 秒，请检查本机时钟",
                f"receipt: signed more than {CLOCK_S} s from this computer's clock; is the clock right?",
            )
        )
    places = [answer.index for answer in receipt.answers if isinstance(answer, Logged)]
    if len(set(places)) != len(places) and len(set(entries)) == len(entries):  # 4
        raise Unverified(Text("回执：同一序号有两条语句", "receipt: two statements at one index"))
    return tuple(
        _place(entry, answer, receipt, sealed) if isinstance(answer, Logged) else answer
        for entry, answer in zip(entries, receipt.answers, strict=True)
    )


def verify_logged(entry: bytes, receipt: Receipt, trust: LogTrust, now_ms: int) -> Placed:
    """The proven place of one statement that must be in the log. Raises Unverified when the receipt says otherwise."""
    (answer,) = verify_receipt([entry], receipt, trust, now_ms)
    if isinstance(answer, Refused):
        raise Unverified(
            Text(
                "回执：所问的是日志中的位置，得到的却是拒绝",
                "receipt: a refusal where a place in the log was asked for",
            )
        )
    return answer


def _place(entry: bytes, answer: Logged, receipt: Receipt, sealed: Sealed) -> Placed:
    verify_place(leaf_hash(entry), answer.index, answer.inclusion, sealed)  # 4
    seal = sealed.seal
    of_this_batch = answer.index > seal.previous  # 5
    if of_this_batch != (answer.time == seal.time) or answer.time > seal.time or answer.time <= 0:
        raise Unverified(Text("回执：批次时间与封印矛盾", "receipt: a batch time that the seal contradicts"))
    proof = LogProof(answer.index, answer.inclusion, receipt.checkpoint, receipt.seal, receipt.seal_inclusion)
    return Placed(proof, answer.time)

"""Proof files judged by this verifier's trust: a C2SP tlog-proof, or an RFC 9942 receipt by the log. Pure.

    1 log        the file names a log that is believed here
    2 statement  its bytes: the proof's own `extra`, or what the verifier has at that place
    3 place      under the pinned keys they stand at this index of a tree of this size

Both prove that a statement is in the log, and nothing of what became of the certificate since. A tlog-proof also
bears a time and its witnesses; of a receipt only the root is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ledger.errors import Unavailable, Unverified
from ledger.records.receipt import MAX_RECEIPT, ReceiptOf, open_receipt, parse_receipt
from ledger.records.seal import is_seal
from ledger.records.statements import Statement, parse_statement
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import parse_note
from ledger.tlog.proof import HEADER, TlogProof, parse_tlog_proof, verify_tlog_proof
from verifier.former import check_until, keys_of
from verifier.proven import open_note
from verifier.trust import Trust

_PROOF_START: Final = HEADER.encode()
_RECEIPT_START: Final = b"\xd2"  # tag 18

PlaceProof: TypeAlias = TlogProof | ReceiptOf


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement in the log, proven. `time_ms` and `witnessed` are None for a receipt, which says neither."""

    origin: str
    index: int
    size: int
    entry: bytes
    time_ms: int | None
    witnessed: bool | None  # the policy's quorum stands behind the checkpoint, or it asks for none

    @property
    def leaf_hash(self) -> bytes:
        return leaf_hash(self.entry)

    @property
    def statement(self) -> Statement | None:
        """None: a seal."""
        return None if is_seal(self.entry) else parse_statement(self.entry)


def is_place_proof(raw: bytes) -> bool:
    """Whether a file is meant to be one of the two."""
    return raw.startswith(_PROOF_START) or (raw[:1] == _RECEIPT_START and len(raw) <= MAX_RECEIPT)


def parse_place_proof(raw: bytes) -> PlaceProof:
    """Raises Malformed."""
    return parse_tlog_proof(raw) if raw.startswith(_PROOF_START) else parse_receipt(raw)


def trust_of(proof: PlaceProof, trusts: Sequence[Trust]) -> Trust:
    """Step 1: the trust for the log that the file names; it chooses among pinned logs and is believed for nothing.
    Raises Unverified."""
    origin = proof.origin if isinstance(proof, ReceiptOf) else parse_note(proof.checkpoint).text.partition("\n")[0]
    trust = next((trust for trust in trusts if trust.origin == origin), None)
    if trust is None:
        raise Unverified(Text("该证明所涉日志不在设置中", "a proof about a log that these settings do not name"))
    return trust


def verify_place_of(proof: PlaceProof, raw: bytes, entry: bytes | None, trust: Trust, now_ms: int) -> Placed:
    """Steps 2 and 3. `raw`: the bytes of the file; `entry`: what stands at its index in the log, where that is known.

    Raises Unverified when it does not hold; Unavailable when the statement or the receipt key is not at hand.
    """
    own = proof.extra if isinstance(proof, TlogProof) else None
    if own is not None and entry is not None and own != entry:
        raise Unverified(Text("日志在此位置另有一条语句", "the log holds another statement at this place"))
    statement = own or entry  # 2
    if statement is None:
        raise Unavailable(
            Text(
                "文件中和本机副本中都没有该语句：请先运行 sync，或附上语句",
                "the statement is neither in the file nor in this verifier's copy of the log: run sync first, or give "
                "the statement too",
            )
        )
    if isinstance(proof, ReceiptOf):
        if not trust.receipt_key:
            raise Unavailable(
                Text(
                    f"没有为 {trust.origin} 设置 receipt_key：见账本的 trust.json",
                    f"no receipt_key is set for {trust.origin}: it is in the ledger's trust.json",
                )
            )
        open_receipt(raw, statement, trust.origin, trust.receipt_key)  # 3
        return Placed(trust.origin, proof.index, proof.size, statement, None, None)
    keys, until_ms = keys_of(proof.checkpoint, trust.origin, trust.keys, trust.former)  # 3, a file may be of before
    verify_tlog_proof(proof, statement, trust.origin, keys)
    latest_ms = now_ms + trust.max_skew_ms
    latest_ms = latest_ms if until_ms is None else min(latest_ms, until_ms)
    opened, witnessed = open_note(proof.checkpoint, replace(trust, keys=tuple(keys), former=()), latest_ms // 1000)
    check_until(opened.log_time_s, until_ms)
    return Placed(trust.origin, proof.index, opened.checkpoint.size, statement, opened.time_s * 1000, witnessed)

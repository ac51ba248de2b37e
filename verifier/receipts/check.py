"""What a receipt is worth to this verifier, years later and without a network. Pure.

    1 signature   holds under the key that the receipt names, and the receipt is not from the future   else tampered
    2 signer      that key is one that the reader knows, or not
    3 evidence    opens under the log's pinned keys, of today or before, by what was signed until the receipt's moment
                                                            else tampered; keys not known here: unavailable
    4 verdict     the same `verify` as ever, at the receipt's moment, over that evidence and what was asked
    5 agreement   it comes to the code that the receipt says, or says that it cannot tell              else tampered

Whether the address in a code was official at its moment, a known signer has seen; for a stranger the reader's own
addresses count, and another one is wrong_domain. Addresses change, and a receipt is no forgery for it.
An answer is green only where somebody besides the log vouches for its state: a map auditor in the evidence, or the
replica of a verifier whose key the reader knows. An answer without evidence (an altered code, a foreign one, no answer)
rests on the signature of the verifier alone, so under an unknown key it tells nothing.
By a stranger's receipt a reader of several logs knows what one of them says. That it does not have the certificate, or
has other bytes, is no answer then. That it is in force there is not green: another log may have taken it over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records.envelope import FaceContent
from ledger.records.evidence import parse_evidence
from ledger.records.qr import Code as QrCode
from ledger.records.qr import ForeignLink, parse_code
from ledger.text import Text
from ledger.tlog.note import parse_note
from verifier import steps
from verifier.carried import Item
from verifier.former import UnknownKeys
from verifier.proven import open_evidence
from verifier.receipts.receipt import Receipt
from verifier.register import Register, register_of
from verifier.several import Answer, counting, together
from verifier.trust import Trust, check_base
from verifier.verdict import GREEN, SHOWS_NOTHING, Code, Source, Verdict, detail_keys, without_item
from verifier.verify import Evidence, verify

# Answers that a receipt may hold without evidence: they show nothing of a certificate.
UNPROVEN: Final = (SHOWS_NOTHING - {Code.SHARE_ENDED}) | {Code.STALE, Code.ISSUER_OUT_OF_SCOPE}
_CANNOT_TELL: Final = (Code.OFFLINE_SIGNATURE_OK, Code.STALE, Code.UNAVAILABLE, Code.WRONG_DOMAIN)


@dataclass(frozen=True, slots=True)
class Checked:
    """A receipt's worth. `verdict` is about the receipt's moment."""

    receipt: Receipt
    verdict: Verdict
    known: bool  # signed by a key that the reader knows
    proven: bool  # the log's own proof leads to the verdict


def check_receipt(receipt: Receipt, trusts: Sequence[Trust], known_keys: Collection[bytes], now_ms: int) -> Checked:
    """Total: whatever the receipt says, there is an answer."""
    at = receipt.checked_at_ms
    altered = Checked(receipt, without_item(Code.TAMPERED, at), known=False, proven=False)
    try:
        receipt.verify_signature()  # 1
    except Unverified:
        return altered
    if at > now_ms + max(trust.max_skew_ms for trust in trusts):
        return altered
    known = receipt.public in known_keys  # 2
    if not receipt.evidence:
        code = _unproven_code(receipt)
        if code is None:
            return altered
        verdict = _said(receipt, code) if known else without_item(Code.UNAVAILABLE, at)
        return Checked(receipt, verdict, known, proven=False)
    try:
        verdict = recomputed(receipt, trusts, vouched=known)  # 3, 4
    except UnknownKeys:
        return Checked(receipt, without_item(Code.UNAVAILABLE, at), known, proven=False)
    except (Malformed, Unverified):
        return altered
    if verdict.code.value != receipt.code and verdict.code not in _CANNOT_TELL:  # 5
        return altered
    return Checked(receipt, verdict, known, proven=verdict.code.value == receipt.code)


def recomputed(receipt: Receipt, trusts: Sequence[Trust], *, vouched: bool) -> Verdict:
    """What the evidence in a receipt comes to at its moment. Raises Malformed or Unverified when it does not hold, or
    is of a log that is not pinned."""
    evidence = parse_evidence(receipt.evidence)
    trust = _trust_of(evidence.checkpoint, trusts)
    proven = open_evidence(evidence, trust, receipt.checked_at_ms, carried=True)
    item = _item(receipt, trust, seen=vouched)
    register = register_of(proven, Source.EVIDENCE, vouched=proven.audited or vouched)
    face = FaceContent(receipt.face, b"") if receipt.face else None
    judged, at = Evidence(item, register, face, offline=True), receipt.checked_at_ms
    if vouched or len(trusts) == 1 or item is None or isinstance(item, ForeignLink):
        return verify(judged, trust, at)
    return _of_one_among(judged, item, register, trust, trusts, at)


def _of_one_among(
    judged: Evidence, item: Item, register: Register, trust: Trust, trusts: Sequence[Trust], at: int
) -> Verdict:
    """As of several logs of which only that of `trust` has answered."""
    answers = [Answer(one, register if one is trust else None) for one in trusts]
    counted = counting(item, answers)
    judging = zip(counted.answers, counted.items, strict=True)
    verdicts = [verify(replace(judged, item=one, register=by.register), by.trust, at) for by, one in judging]
    verdict = together(item, counted, verdicts)
    if verdict.code not in GREEN:
        return verdict
    verdict = verify(replace(judged, register=replace(register, vouched=False)), trust, at)
    others = [finding for finding in verdict.findings if finding.step != steps.OTHERS_UNKNOWN.step]
    return replace(verdict, findings=steps.complete([*others, steps.OTHERS_UNKNOWN]))


def _item(receipt: Receipt, trust: Trust, *, seen: bool) -> QrCode | ForeignLink | None:
    """`seen`: somebody who is known found its address official."""
    bases = trust.bases
    try:
        if seen:
            base = receipt.asked.partition("/c/")[0]
            check_base(base)
            bases = (*bases, base)
        return parse_code(receipt.asked, bases)
    except Malformed:
        return None


def _trust_of(note: bytes, trusts: Sequence[Trust]) -> Trust:
    origin = parse_note(note).text.partition("\n")[0]
    trust = next((trust for trust in trusts if trust.origin == origin), None)
    if trust is None:
        raise Unverified(Text("该回执所涉日志不在设置中", "a receipt about a log that these settings do not name"))
    return trust


def _unproven_code(receipt: Receipt) -> Code | None:
    try:
        code = Code(receipt.code)
    except ValueError:
        return None
    return code if code in UNPROVEN else None


def _said(receipt: Receipt, code: Code) -> Verdict:
    """The verdict in a receipt of a known verifier that has no evidence."""
    said = receipt.verdict.get("detail")
    told = {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}
    try:
        keys = detail_keys(code, told.get("cause"))
        detail = {name: value for name, value in told.items() if name in keys}
        as_of = receipt.verdict.get("as_of")
        as_of_ms = None if as_of is None else round(datetime.fromisoformat(str(as_of)).timestamp() * 1000)
        return Verdict(code, receipt.checked_at_ms, as_of_ms, Source.CODE, None, None, (), None, detail)
    except (AssertionError, ValueError):
        return without_item(Code.UNAVAILABLE, receipt.checked_at_ms)

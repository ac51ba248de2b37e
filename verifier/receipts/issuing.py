"""Makes receipts: the check, the proof behind its answer, and the signature, in this order.

    1 judge      as for a page, now
    2 evidence   out of the replica that the answer rests on, and the opening of number and name that count now
    3 agree      a reader with that evidence comes to the same code (`recomputed`); the replica may have gone on
                 between 1 and 2, so both are done again a few times
    4 sign

A crash leaves nothing: receipts are given away and not kept here.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening
from ledger.records.cose import Signer
from ledger.records.evidence import parse_evidence
from ledger.records.qr import MAX_TEXT, ForeignLink, format_code
from ledger.records.qr import Code as QrCode
from ledger.records.secret import cert_key_of
from ledger.records.staple import Staple
from ledger.records.state import parse_certificate_state
from ledger.text import Text
from verifier.carried import Item, Keyed, Numbered
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import Messages
from verifier.receipts.check import UNPROVEN, recomputed
from verifier.receipts.receipt import Receipt, sign_receipt, without_photo
from verifier.verdict import Verdict

_ATTEMPTS: Final = 4
_NONE: Final = Text(
    "这项核验不能出具回执，请改用证书上的链接或二维码",
    "No receipt can be made of this check; use the link or QR code of the certificate",
)
_CLOSED: Final = Text(
    "登记日志 {log} 已关闭，其证明不再续签，回执无法独立证明证书的现状。请保存本次核验的页面或接口应答；"
    "如需回执，请签发机构把该证书原样登记到后继日志 {successor}",
    "The log {log} is closed and its proofs are renewed no more, so a receipt could not show how the certificate "
    "stands now. Keep the page or the API's answer of this check; for a receipt, ask the issuing body to enter the "
    "same certificate in the log that follows, {successor}",
)


class Receipts:
    """Gives receipts of one verifier, whose official address is `base`."""

    def __init__(self, lookup: Lookup, messages: Messages, signer: Signer, base: str) -> None:
        self.public = signer.public
        self._lookup = lookup
        self._messages = messages
        self._signer = signer
        self._base = base

    async def of_text(self, text: str) -> Receipt:
        """A receipt of checking a link or the text of a QR code. Raises Malformed for what no receipt can quote,
        Refused, Unavailable."""
        plain = text.strip()
        if not plain or len(plain) > MAX_TEXT or not _is_utf8(plain):
            raise Malformed(
                Text(
                    "请给出链接或二维码文字，最多 2048 个字符",
                    "a link or the text of a QR code, of at most 2048 characters",
                )
            )
        item = self._lookup.read_text(plain)
        asked = format_code(item, form="u") if isinstance(item, QrCode) and "/" not in plain else plain
        return await self._issue(item, asked)

    async def of_file(self, data: bytes) -> Receipt:
        """A receipt of checking a picture, a PDF or a holder's file. Raises Refused, Unavailable."""
        item, pages = await self._lookup.read_file(data)
        asked = ""
        if isinstance(item, QrCode):
            asked = format_code(item, form="u")
        elif isinstance(item, Bundle | Staple):
            asked = QrCode(self._base, item.secret).link
        return await self._issue(item, asked, pages, sha256(data).digest())

    async def _issue(
        self, item: Item | ForeignLink | None, asked: str, pages: tuple[str, ...] = (), digest: bytes = b""
    ) -> Receipt:
        for _ in range(_ATTEMPTS):
            verdict = (await self._lookup.judge(item, pages)).verdict  # 1
            said = without_photo(self._messages.as_json(verdict))
            plain = Receipt(self._base, asked, digest, verdict.checked_at_ms, said, None, b"", self.public)
            proven = await self._proven(plain, item, verdict)  # 2, 3
            if proven is not None:
                return sign_receipt(proven, self._signer)  # 4
            if verdict.code in UNPROVEN and verdict.proof is None:
                return sign_receipt(plain, self._signer)
        log = self._log_of(verdict)
        closed = log.successor and not log.usable
        said_why = _CLOSED.format(log=log.trust.origin, successor=log.successor) if closed else _NONE
        raise Refused("NO_RECEIPT", "text", said_why)

    async def _proven(self, plain: Receipt, item: Item | ForeignLink | None, verdict: Verdict) -> Receipt | None:
        """The receipt with the evidence that leads to its code; None where there is none."""
        if item is None or isinstance(item, ForeignLink | Numbered | Keyed):
            return None
        key = cert_key_of(item.secret)
        log = self._log_of(verdict)
        try:
            raw = await log.evidence(key)
            face = await _face(log, item.secret, raw)
            receipt = replace(plain, evidence=raw, face=face)
            came_to = recomputed(receipt, [log.trust], vouched=True)
        except (Unavailable, Malformed, Unverified):
            return None
        same_size = verdict.proof is None or (came_to.proof is not None and came_to.proof.size == verdict.proof.size)
        if came_to.code is not verdict.code or not same_size:
            return None
        shown = came_to.certificate is not None and came_to.certificate.personal_available
        return receipt if shown else replace(receipt, face=None)

    def _log_of(self, verdict: Verdict) -> KnownLog:
        origin = verdict.proof.origin if verdict.proof else ""
        return next((log for log in self._lookup.logs if log.trust.origin == origin), self._lookup.logs[0])


async def _face(log: KnownLog, secret: bytes, raw: bytes) -> FaceOpening | None:
    state = parse_evidence(raw).state
    content = await log.face(secret, parse_certificate_state(state)) if state else None
    return content.opening if content else None


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)

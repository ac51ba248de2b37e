"""What proves that a certificate is this person's, and what its envelopes then give.

    1 what      a code or bundle of ours, of a certificate that a believed log has; a number that moved on with a
                reissue is its new code's
    2 code      the holder code opens the rest envelope of the commitments that count
    3 face      the secret opens the face envelope
    4 person    the name typed is the one in it, and the ledger says that the ID number ends so. Tries are counted once
                the holder code was right: it has 128 bits, so nobody guesses it. The ledger counts for itself, five
                matches a day whoever asks: by those of a verdict page somebody who scanned the code can use up the
                person's too, who then claims with the bundle or the day after
    5 openings  every opening leads to what was signed

A bundle holds all of it, so that only 1, 2, 3 and 5 are left. Whatever of 2 to 4 is wrong, the answer is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.bundle import Bundle
from ledger.records.commitments import Field, FieldOpening
from ledger.records.envelope import open_face, open_rest
from ledger.records.kinds import CertificateStatus
from ledger.records.names import normalise_name
from ledger.records.secret import SECRET_CHARS, cert_key_of, correction_locator, locator_of, parse_secret
from ledger.text import Text
from verifier.holders.held import Held
from verifier.known_log import KnownLog, Ledger
from verifier.register import Logged

ANSWER_S: Final = 8.0  # to wait for the ledger
TAIL_CHARS: Final = 4
_GAPS: Final = str.maketrans("", "", " \t\r\n-·　")
_WRONG: Final = Text(
    "这些内容不属于同一张证书，或证书未登记。请核对二维码、姓名、证件号码后四位和持证人码；每张证书一天内最多核对 5 次",
    "These do not belong to one registered certificate. Check the code, the name, the last four characters of the ID "
    "number and the holder code; five tries a day for each certificate",
)
_REISSUED: Final = Text(
    "该证书已换发，旧持证人码已作废：请使用新证书领取",
    "This certificate was reissued and its old code has ended: claim the new one",
)
_CODE: Final = Text(
    "持证人码应为领取凭条上的 26 位字母和数字", "The holder code is the 26 letters and digits on the claim slip"
)
_TAIL: Final = Text("请填写证件号码最后四位", "Give the last four characters of the ID number")
_NO_ENVELOPE: Final = Text(
    "暂时取不到登记的个人信息，请稍后再试", "The registered personal data cannot be fetched now; try again later"
)
_NO_MATCH: Final = Text(
    "暂时无法核对证件号码，请稍后再试", "The ID number cannot be matched right now; try again later"
)

Counted = Callable[[bytes], Awaitable[bool]]  # takes one of a certificate's tries of today; False when none is left


class Register(Protocol):
    """Where certificates are found (`verifier.lookup.Lookup`)."""

    async def holding(self, cert_key: bytes) -> tuple[KnownLog, Logged] | None: ...


@dataclass(frozen=True, slots=True)
class Slip:
    """What a person types beside the code: as typed, in their normal form."""

    secret: bytes
    name: str
    tail: str
    holder_code: bytes


def read_slip(secret: bytes, name: str, tail: str, holder_code: str) -> Slip:
    """Raises Refused for what cannot be right whatever the certificate: no answer about any."""
    normal, _ = normalise_name(name)
    tail = tail.translate(_GAPS).upper()
    if len(tail) != TAIL_CHARS or not (tail.isascii() and tail.isalnum()):
        raise Refused("CLAIM_TAIL", "tail", _TAIL)
    code = holder_code.translate(_GAPS).upper()
    try:
        if len(code) != SECRET_CHARS:
            raise Malformed("holder code")
        return Slip(secret, normal, tail, parse_secret(code))
    except Malformed:
        raise Refused("CLAIM_CODE", "code", _CODE)


async def claim_by_slip(slip: Slip, register: Register, counted: Counted) -> Held:
    """Raises Refused CLAIM_WRONG, CLAIM_REISSUED; Unavailable."""
    cert_key = cert_key_of(slip.secret)
    log, logged = await _found(cert_key, register)  # 1
    held = await fetch_held(slip.secret, slip.holder_code, log, logged)  # 2, 3, 5
    if not await counted(cert_key):  # 4
        raise _wrong()
    if held.face.name != slip.name or not await _matches(log, cert_key, slip.tail):
        raise _wrong()
    return _in_force(held, logged)


async def claim_by_bundle(bundle: Bundle, register: Register) -> Held:
    """`bundle` is read, not verified. Raises Refused, Unavailable."""
    log, logged = await _found(cert_key_of(bundle.secret), register)  # 1
    held = await fetch_held(bundle.secret, bundle.holder_code, log, logged)  # 2, 3, 5
    document = next((opening for opening in bundle.openings if opening.field is Field.ID_DOCUMENT), None)
    if document is not None and document.digest() == held.digests[Field.ID_DOCUMENT - 1]:
        held = replace(held, openings=(document, *held.openings))
    return _in_force(held, logged)


async def fetch_held(
    secret: bytes, holder_code: bytes, log: KnownLog, logged: Logged, document: FieldOpening | None = None
) -> Held:
    """Both envelopes of the commitments that count now, opened and checked; with the ID document's opening, where the
    holder brought it and it still counts. Raises Refused CLAIM_WRONG when the holder code is another's, Unavailable."""
    state, ledger = logged.state, log.ledger
    if ledger is None:
        raise Unavailable(_NO_ENVELOPE, public=True)
    issued, leaf = state.issue_index, state.commitment_leaf
    locator = locator_of(secret) if leaf == state.issue_leaf else correction_locator(secret, leaf)
    try:
        async with asyncio.timeout(ANSWER_S):
            rest, face = await asyncio.gather(*(ledger.envelope(issued, locator, slot) for slot in ("rest", "face")))
    except (TimeoutError, Unavailable) as error:
        raise Unavailable(_NO_ENVELOPE, public=True) from error
    if rest is None or face is None:
        raise Unavailable(_NO_ENVELOPE, public=True)
    try:
        opened = open_rest(holder_code, leaf, rest)  # 2
    except Unavailable:
        raise _wrong()
    try:
        shown = open_face(secret, leaf, face)  # 3
        openings = opened.openings
        if document is not None and document.digest() == opened.digests[Field.ID_DOCUMENT - 1]:
            openings = (document, *openings)
        held = Held(secret, holder_code, shown.opening, opened.digests, openings, leaf)
        signed = logged.correction or logged.issued
        held.check(signed.face, signed.rest)  # 5
    except (Unavailable, Unverified, Malformed) as error:
        raise Unavailable(_NO_ENVELOPE, public=True) from error
    return held


async def _found(cert_key: bytes, register: Register) -> tuple[KnownLog, Logged]:
    found = await register.holding(cert_key)
    if found is None:
        raise _wrong()
    return found


async def _matches(log: KnownLog, cert_key: bytes, tail: str) -> bool:
    """Raises Unavailable when the ledger cannot say."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await cast("Ledger", log.ledger).match(cert_key, tail)
    except Refused as refusal:
        if refusal.code == "TRIES_USED":
            return False
        raise Unavailable(_NO_MATCH, public=True) from refusal
    except (TimeoutError, Unavailable, Unverified) as error:
        raise Unavailable(_NO_MATCH, public=True) from error


def _in_force(held: Held, logged: Logged) -> Held:
    """A holder code ends with a reissue; whatever else became of the certificate, its holder may see it."""
    if logged.state.status is CertificateStatus.REPLACED:
        raise Refused("CLAIM_REISSUED", "code", _REISSUED)
    return held


def _wrong() -> Refused:
    return Refused("CLAIM_WRONG", "", _WRONG)

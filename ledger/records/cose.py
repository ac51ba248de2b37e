"""COSE_Sign1 and COSE_Sign (RFC 9052 4.1-4.4) exactly as the log uses them: a page, so that it can be read.

One protected header, one spelling. For a statement of one signer (tag 18):

    protected = {1: -8, 3: 60, 4: kid, 15: {1: issuer id, 2: subject}}       15 = CWT claims (RFC 9597)

For statements of the authority (tag 98) the body header is `{3: 60, 15: {1: issuer id, 2: subject}}` and each
signature carries `{1: -8, 4: kid}`; signatures are sorted by kid, one per key. The unprotected headers are empty.
`kid` = SHA-256(public key)[:8]. Algorithm -8 is EdDSA; content format 60 is application/cbor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

import cbor2
import msgspec

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.tlog.keys import KID_BYTES
from ledger.tlog.keys import kid as key_id

ALG_EDDSA: Final = -8
CONTENT_CBOR: Final = 60
_SIGN1: Final = b"\xd2"  # tag 18
SIGN: Final = b"\xd8\x62"  # tag 98
_SIGNER: Final = b"\xa2\x01\x27\x04\x48"  # {1: -8, 4: ...}: the header of a signature, up to the 8 bytes of its kid
_SIGNATURE1: Final = b"\x84\x6aSignature1"  # the array of what one signer signs, up to the protected header
_MAX_SIGNATURES: Final = 16
_SINGLE_TYPES: Final = (bytes, dict, bytes, bytes)
_SINGLE_KEYS: Final = {1, 3, 4, 15}
_CLAIMS: Final = {1, 2}
SUBJECT: Final = 43  # characters of a cert key as subject
_REMEMBERED: Final = 128  # bytes before it, at most: what is kept of what others send stays small


class Signer(Protocol):
    """A private key that signs bytes: in a file here, in a module elsewhere."""

    @property
    def public(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


# Frozen structs, made for every entry that is read: a frozen dataclass takes ten times as long to make.
class Signature(msgspec.Struct, frozen=True):
    """One signature of a COSE_Sign message."""

    kid: bytes  # 8 bytes
    signature: bytes  # 64 bytes


class Envelope(msgspec.Struct, frozen=True):
    """What both message types have in common, read from bytes but with nothing verified yet."""

    issuer: str
    subject: str
    protected: bytes
    payload: bytes
    signatures: tuple[Signature, ...]  # one for COSE_Sign1
    single: bool  # COSE_Sign1 rather than COSE_Sign

    def to_be_signed(self, kid: bytes) -> bytes:
        """The exact bytes that the key named `kid` signs (RFC 9052 4.4)."""
        if self.single:
            return _to_be_signed(self.protected, self.payload)
        return _structure(["Signature", self.protected, _signer_header(kid), b"", self.payload])


def sign_one(payload: bytes, issuer: str, subject: str, signer: Signer) -> bytes:
    """A COSE_Sign1 message over `payload`. Ed25519 is deterministic, so the same input gives the same bytes."""
    kid = key_id(signer.public)
    protected = canonical.encode({1: ALG_EDDSA, 3: CONTENT_CBOR, 4: kid, 15: {1: issuer, 2: subject}})
    signature = signer.sign(_to_be_signed(protected, payload))
    return format_one(protected, payload, signature)


def format_one(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    """The COSE_Sign1 bytes of parts that exist already (a QR code carries them separately)."""
    return _SIGN1 + cbor2.dumps([protected, {}, payload, signature])


def body_header(issuer: str, subject: str) -> bytes:
    """The protected body header of a COSE_Sign message: fixed before anybody signs."""
    return canonical.encode({3: CONTENT_CBOR, 15: {1: issuer, 2: subject}})


def sign_part(protected: bytes, payload: bytes, signer: Signer) -> Signature:
    """One person's signature over a proposal; `combine` joins them."""
    kid = key_id(signer.public)
    return Signature(kid, signer.sign(_structure(["Signature", protected, _signer_header(kid), b"", payload])))


def combine(protected: bytes, payload: bytes, signatures: tuple[Signature, ...]) -> bytes:
    """The COSE_Sign message with its signatures in order of kid.

    Raises Malformed when a key signed twice, or nobody signed.
    """
    ordered = sorted(signatures, key=lambda part: part.kid)
    if not ordered or len({part.kid for part in ordered}) != len(ordered):
        raise Malformed("COSE_Sign: needs at least one signature and one per key")
    parts = [[_signer_header(part.kid), {}, part.signature] for part in ordered]
    return SIGN + cbor2.dumps([protected, {}, payload, parts])


def parse(raw: bytes) -> Envelope:
    """Read either message; raises Malformed unless it is in the one spelling this module writes."""
    if len(raw) > canonical.MAX_BYTES:
        raise Malformed("statement of more than 8192 bytes")
    if raw[:1] == _SIGN1:
        parted = part(raw)
        if parted is not None:
            protected, payload, signature = parted
            issuer, subject, kid = _parse_single_header(protected)
            return Envelope(issuer, subject, protected, payload, (_signature(kid, signature),), True)
        # Spelled out rather than matched with a pattern, which costs several times as much: it is done for every entry.
        parts = canonical.decode(raw[1:])
        if type(parts) is list and tuple(map(type, parts)) == _SINGLE_TYPES and not parts[1]:
            protected, _, payload, signature = parts
            issuer, subject, kid = _parse_single_header(protected)
            return Envelope(issuer, subject, protected, payload, (_signature(kid, signature),), True)
    elif raw[:2] == SIGN:
        match canonical.decode(raw[2:]):
            case [bytes(protected), {**unprotected}, bytes(payload), [*parts]] if not unprotected:
                issuer, subject = _parse_body_header(protected)
                signatures = tuple(_parse_part(part) for part in parts)
                kids = [part.kid for part in signatures]
                if not 1 <= len(kids) <= _MAX_SIGNATURES or kids != sorted(set(kids)):
                    raise Malformed("COSE_Sign: signatures not sorted by kid, or two of one key")
                return Envelope(issuer, subject, protected, payload, signatures, single=False)
    raise Malformed("neither COSE_Sign1 nor COSE_Sign of this profile")


def part(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Protected header, payload and signature of a COSE_Sign1 of the lengths that nearly all have; None for any other,
    which the decoder judges. The heads found here are the shortest for their lengths, and the array ends with its
    bytes: so this is the one encoding, whatever stands in the strings.
    """
    if raw[:3] != b"\xd2\x84\x58" or len(raw) < 100 or raw[3] < 24:
        return None
    end = 4 + raw[3]
    before = raw[end : end + 2]
    if before == b"\xa0\x58":
        at, least = end + 3, 24
    elif before == b"\xa0\x59":
        at, least = end + 4, 256
    else:
        return None
    length = int.from_bytes(raw[end + 2 : at], "big")
    stop = at + length
    if length < least or len(raw) != stop + 66 or raw[stop : stop + 2] != b"\x58\x40":
        return None
    return raw[4:end], raw[at:stop], raw[stop + 2 :]


def signed_part(raw: bytes) -> bytes:
    """What the signature of a message that `part` has taken apart is over, put together from its bytes."""
    end = 4 + raw[3]
    return _SIGNATURE1 + raw[2:end] + b"\x40" + raw[end + 1 : -66]


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """["Signature1", protected, h'', payload], put together."""
    return _SIGNATURE1 + canonical.encode_bytes(protected) + b"\x40" + canonical.encode_bytes(payload)


def _structure(parts: list[str | bytes]) -> bytes:
    return cbor2.dumps(parts)


def _signer_header(kid: bytes) -> bytes:
    return canonical.encode({1: ALG_EDDSA, 4: kid})


def _signature(kid: bytes, signature: bytes) -> Signature:
    if len(kid) != 8 or len(signature) != 64:
        raise Malformed("COSE: kid is 8 bytes and an Ed25519 signature 64")
    return Signature(kid, signature)


def _parse_single_header(protected: bytes) -> tuple[str, str, bytes]:
    """Issuer, subject and kid. Of one key's certificates all bytes before the subject are the same, and are read once:
    what is the one spelling with one ASCII subject of this length is it with every other."""
    before, last = protected[:-SUBJECT], protected[-SUBJECT:]
    if last.isascii():
        try:
            issuer, kid = read_header(before)
        except Malformed:
            pass  # another length: lists and ranges are rare
        else:
            return issuer, last.decode(), kid
    return _read_single_header(protected)


@lru_cache(1024)
def read_header(before: bytes) -> tuple[str, bytes]:
    """Issuer and kid of the header of one signer that goes on with any ASCII subject of SUBJECT bytes, as each cert key
    is. Raises Malformed."""
    if len(before) > _REMEMBERED:
        raise Malformed("COSE_Sign1: a header that is not remembered")
    blank = "A" * SUBJECT
    issuer, subject, kid = _read_single_header(before + blank.encode())
    if subject != blank or len(kid) != KID_BYTES:
        raise Malformed("COSE_Sign1: the header ends with another subject, or names no key")
    return issuer, kid


def _read_single_header(protected: bytes) -> tuple[str, str, bytes]:
    header = canonical.decode(protected)
    if type(header) is dict and header.keys() == _SINGLE_KEYS:
        kid, claims = header[4], header[15]
        fixed = (header[1], header[3], type(kid), type(claims)) == (ALG_EDDSA, CONTENT_CBOR, bytes, dict)
        if fixed and claims.keys() == _CLAIMS and type(claims[1]) is str and type(claims[2]) is str:
            return claims[1], claims[2], kid
    raise Malformed("COSE_Sign1: protected header is not exactly {1: -8, 3: 60, 4: kid, 15: {1, 2}}")


def _parse_body_header(protected: bytes) -> tuple[str, str]:
    match canonical.decode(protected):
        case {3: 60, 15: {1: str(issuer), 2: str(subject), **more}, **rest} if not more and not rest:
            return issuer, subject
    raise Malformed("COSE_Sign: protected header is not exactly {3: 60, 15: {1, 2}}")


def _parse_part(part: object) -> Signature:
    match part:
        case [bytes(protected), {**unprotected}, bytes(signature)] if not unprotected:
            kid = protected[len(_SIGNER) :]
            if protected[: len(_SIGNER)] == _SIGNER and len(kid) == 8:
                return _signature(kid, signature)
    raise Malformed("COSE_Sign: a signature is not [{1: -8, 4: kid}, {}, signature]")

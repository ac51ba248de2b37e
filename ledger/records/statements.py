"""From the bytes of an entry to a typed statement, and back: the one door into the domain.

`parse_statement` accepts exactly the bytes that the builders below write, and verifies no signature: who may
have signed depends on the state of the log, which only the fold knows (status.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from ledger.errors import Malformed, Unverified
from ledger.records import canonical, cose
from ledger.records.appointment import CertificateBody, parse_appoint
from ledger.records.authority import Filing, Genesis, Published, parse_filing, parse_genesis, parse_published
from ledger.records.claim import Claim, ClaimAct, parse_claim, parse_claim_act
from ledger.records.issue import Issue, parse_issue, read_issue
from ledger.records.kinds import Kind
from ledger.records.life import Correct, EndAppointment, Ruling, parse_correct, parse_end_appointment, parse_ruling
from ledger.records.pack import Pack, parse_pack
from ledger.records.permit import LatePermit, parse_late_permit
from ledger.records.rotation import AuthorityChange, LogKey, parse_authority_change, parse_log_key
from ledger.records.secret import parse_subject
from ledger.records.supervision import FilingStanding, KeyStanding, parse_filing_standing, parse_key_standing
from ledger.tlog.keys import kid as key_id
from ledger.tlog.keys import verify_ed25519
from ledger.tlog.merkle import leaf_hash

AuthorityBody: TypeAlias = (
    Genesis
    | AuthorityChange
    | LogKey
    | Filing
    | FilingStanding
    | LatePermit
    | KeyStanding
    | Published
    | Ruling
    | Correct
    | Pack
)
IssuerBody: TypeAlias = CertificateBody | EndAppointment | Ruling | Correct | KeyStanding | Pack | Claim | ClaimAct
Body: TypeAlias = AuthorityBody | IssuerBody


class Statement(msgspec.Struct, frozen=True):
    """A well-formed signed statement whose signatures are still to be checked."""

    entry: bytes  # the exact bytes that become the leaf
    kind: Kind
    body: Body
    envelope: cose.Envelope
    # Worked out here, whatever was given, because they are asked for again and again.
    leaf_hash: bytes = b""
    identity: bytes = (
        b""  # what makes a retry the same statement: SHA-256 of the bytes, or for tag 98 of what is signed
    )

    def __post_init__(self) -> None:
        envelope = self.envelope
        signed = self.entry if envelope.single else envelope.protected + envelope.payload
        force_setattr(self, "leaf_hash", leaf_hash(self.entry))
        force_setattr(self, "identity", sha256(signed).digest())

    @property
    def kid(self) -> bytes:
        """The signing key's id of a statement with one signer."""
        return self.envelope.signatures[0].kid

    def verify_signature(self, public: bytes) -> None:
        """Raises Unverified unless the one signature is by `public`."""
        part = self.envelope.signatures[0]
        verify_ed25519(public, self.envelope.to_be_signed(part.kid), part.signature)

    def verify_threshold(self, keys: Mapping[bytes, bytes], threshold: int) -> None:
        """Check a statement of the authority: `keys` maps kid to public key.

        Every signature must be by one of the keys and hold, and there must be at least `threshold` of them;
        kids are distinct by parsing, so a key counts once. Under an authority-change each key that joins signs
        too, and does not count. Raises Unverified.
        """
        joining = {}
        if isinstance(self.body, AuthorityChange):
            joining = {key_id(public): public for public in self.body.keys if public not in keys.values()}
        counted = 0
        for part in self.envelope.signatures:
            public = keys.get(part.kid) or joining.pop(part.kid, None)
            if public is None:
                raise Unverified("signed by a key that is not the authority's")
            verify_ed25519(public, self.envelope.to_be_signed(part.kid), part.signature)
            counted += part.kid in keys
        if counted < threshold:
            raise Unverified(f"fewer than {threshold} authority signatures")
        if joining:
            raise Unverified("a key that joins the authority did not sign")


def issue_entry(body: CertificateBody, signer: cose.Signer) -> bytes:
    """The signed bytes of a certificate, ready for the log."""
    return cose.sign_one(body.payload(), body.filing_number, body.subject, signer)


def issuer_entry(
    body: Ruling | Correct | EndAppointment | KeyStanding | Pack | Claim | ClaimAct, signer: cose.Signer
) -> bytes:
    """The signed bytes of what an issuer states about its own certificates or keys, and a payer about its claims."""
    return cose.sign_one(canonical.encode(body.as_map()), body.issuer, body.subject, signer)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A statement of the authority before anybody signed: the exact bytes that each person signs."""

    protected: bytes
    payload: bytes

    @property
    def identity(self) -> bytes:
        return sha256(self.protected + self.payload).digest()

    def signed(self, signatures: tuple[cose.Signature, ...]) -> bytes:
        return cose.combine(self.protected, self.payload, signatures)


def propose(origin: str, body: AuthorityBody) -> Proposal:
    """Fix the bytes of an authority statement on the log named `origin`."""
    return Proposal(cose.body_header(origin, body.subject), canonical.encode(body.as_map()))


def parse_proposal(protected: bytes, payload: bytes) -> tuple[str, Body]:
    """Origin and content of a proposal, for the person who is asked to sign it."""
    blank = cose.Signature(bytes(8), bytes(64))
    statement = parse_statement(cose.combine(protected, payload, (blank,)))
    return statement.envelope.issuer, statement.body


def parse_statement(entry: bytes) -> Statement:
    """Read one entry. Raises Malformed unless it is in the one spelling of a known kind."""
    envelope = cose.parse(entry)
    if envelope.single:
        issue = read_issue(envelope.issuer, envelope.subject, envelope.payload)
        if issue is not None:
            return Statement(entry, issue.kind, issue, envelope)
    fields = canonical.decode(envelope.payload)
    if not isinstance(fields, dict):
        raise Malformed("statement: payload is not a map")
    try:
        kind = Kind(fields.get(1, 0))
    except ValueError as error:
        raise Malformed("statement: unknown kind") from error
    parse = (_BY_ISSUER if envelope.single else _BY_AUTHORITY).get(kind)
    if parse is None:
        raise Malformed("statement: this kind is not known to this version, or is signed in the wrong form")
    body = parse(envelope, fields)
    if not isinstance(body, Issue) and envelope.subject != body.subject:  # an issue's cert key is read from there
        raise Malformed("statement: subject does not match the content")
    if isinstance(body, Genesis) and envelope.issuer != body.origin:
        raise Malformed("genesis: issuer id is the origin")
    if isinstance(body, KeyStanding) and envelope.single and (envelope.issuer, body.void_from) != (body.number, None):
        raise Malformed("key-status: by the body whose key it is, and from this statement on")
    return Statement(entry, kind, body, envelope)


_Parse: TypeAlias = Callable[[cose.Envelope, dict[int, Any]], Body]


def _issue(envelope: cose.Envelope, fields: dict[int, Any]) -> Body:
    return parse_issue(envelope.issuer, parse_subject(envelope.subject), fields)


def _ruling(envelope: cose.Envelope, fields: dict[int, Any]) -> Body:
    return parse_ruling(envelope.issuer if envelope.single else "", envelope.subject, fields)


def _correct(envelope: cose.Envelope, fields: dict[int, Any]) -> Body:
    return parse_correct(envelope.issuer if envelope.single else "", envelope.subject, fields)


def _pack(envelope: cose.Envelope, fields: dict[int, Any]) -> Body:
    return parse_pack(envelope.issuer if envelope.single else "", fields)


def _claim_act(envelope: cose.Envelope, fields: dict[int, Any]) -> Body:
    return parse_claim_act(envelope.issuer, envelope.subject, fields)


_BY_ISSUER: Final[Mapping[Kind, _Parse]] = {
    Kind.ISSUE: _issue,
    Kind.REISSUE: _issue,
    Kind.APPOINT: lambda e, fields: parse_appoint(e.issuer, parse_subject(e.subject), fields),
    Kind.END_APPOINTMENT: lambda e, fields: parse_end_appointment(e.issuer, e.subject, fields),
    Kind.CORRECT: _correct,
    Kind.SUSPEND: _ruling,
    Kind.RESTORE: _ruling,
    Kind.REVOKE: _ruling,
    Kind.KEY_STATUS: lambda _, fields: parse_key_standing(fields),
    Kind.PACK: _pack,
    Kind.CLAIM: lambda e, fields: parse_claim(e.issuer, e.subject, fields),
    Kind.PAY: _claim_act,
    Kind.RELEASE: _claim_act,
    Kind.CLAW_BACK: _claim_act,
}
_BY_AUTHORITY: Final[Mapping[Kind, _Parse]] = {
    Kind.GENESIS: lambda _, fields: parse_genesis(fields),
    Kind.AUTHORITY_CHANGE: lambda _, fields: parse_authority_change(fields),
    Kind.LOG_KEY: lambda _, fields: parse_log_key(fields),
    Kind.FILING: lambda _, fields: parse_filing(fields),
    Kind.FILING_CHANGE: lambda _, fields: parse_filing(fields),
    Kind.FILING_STATUS: lambda _, fields: parse_filing_standing(fields),
    Kind.LATE_PERMIT: lambda _, fields: parse_late_permit(fields),
    Kind.KEY_STATUS: lambda _, fields: parse_key_standing(fields),
    Kind.CATALOGUE: lambda _, fields: parse_published(Kind.CATALOGUE, fields),
    Kind.LADDER: lambda _, fields: parse_published(Kind.LADDER, fields),
    Kind.PACK: _pack,
    Kind.CORRECT: _correct,
    Kind.SUSPEND: _ruling,
    Kind.RESTORE: _ruling,
    Kind.REVOKE: _ruling,
}

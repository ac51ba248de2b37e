"""From the bytes of an entry to a typed statement, and back: the one door into the domain.

`parse_statement` accepts exactly the bytes that the builders below write, and verifies no signature: who may
have signed depends on the state of the log, which only the fold knows (status.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger.errors import Malformed, Unverified
from ledger.records import canonical, cose
from ledger.records.authority import Filing, Genesis, Published, parse_filing, parse_genesis, parse_published
from ledger.records.issue import Issue, parse_issue
from ledger.records.kinds import Kind
from ledger.records.secret import parse_subject, subject_of
from ledger.tlog.keys import verify_ed25519
from ledger.tlog.merkle import leaf_hash

Body: TypeAlias = Genesis | Filing | Published | Issue


@dataclass(frozen=True, slots=True)
class Statement:
    """A well-formed signed statement whose signatures are still to be checked."""

    entry: bytes  # the exact bytes that become the leaf
    kind: Kind
    body: Body
    envelope: cose.Envelope

    @property
    def identity(self) -> bytes:
        """What makes a retry the same statement: SHA-256 of the bytes, or of protected ‖ payload for tag 98."""
        if self.envelope.single:
            return sha256(self.entry).digest()
        return sha256(self.envelope.protected + self.envelope.payload).digest()

    @property
    def leaf_hash(self) -> bytes:
        return leaf_hash(self.entry)

    @property
    def kid(self) -> bytes:
        """The signing key's id of a statement with one signer."""
        return self.envelope.signatures[0].kid

    def verify_signature(self, public: bytes) -> None:
        """Raises Unverified unless the one signature is by `public`."""
        part = self.envelope.signatures[0]
        verify_ed25519(public, self.envelope.to_be_signed(part.kid), part.signature)

    def verify_threshold(self, keys: dict[bytes, bytes], threshold: int) -> None:
        """Check a statement of the authority: `keys` maps kid to public key.

        Every signature must be by one of the keys and hold, and there must be at least `threshold` of them;
        kids are distinct by parsing, so a key counts once. Raises Unverified.
        """
        for part in self.envelope.signatures:
            public = keys.get(part.kid)
            if public is None:
                raise Unverified("signed by a key that is not the authority's")
            verify_ed25519(public, self.envelope.to_be_signed(part.kid), part.signature)
        if len(self.envelope.signatures) < threshold:
            raise Unverified(f"fewer than {threshold} authority signatures")


def issue_entry(issue: Issue, signer: cose.Signer) -> bytes:
    """The signed bytes of a certificate, ready for the log."""
    return cose.sign_one(issue.payload(), issue.filing_number, subject_of(issue.cert_key), signer)


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


def propose(origin: str, body: Genesis | Filing | Published) -> Proposal:
    """Fix the bytes of an authority statement on the log named `origin`."""
    return Proposal(cose.body_header(origin, _subject(body)), canonical.encode(body.as_map()))


def parse_proposal(protected: bytes, payload: bytes) -> tuple[str, Body]:
    """Origin and content of a proposal, for the person who is asked to sign it."""
    blank = cose.Signature(bytes(8), bytes(64))
    statement = parse_statement(cose.combine(protected, payload, (blank,)))
    return statement.envelope.issuer, statement.body


def parse_statement(entry: bytes) -> Statement:
    """Read one entry. Raises Malformed unless it is in the one spelling of a known kind."""
    envelope = cose.parse(entry)
    fields = canonical.decode(envelope.payload)
    if not isinstance(fields, dict):
        raise Malformed("statement: payload is not a map")
    try:
        kind = Kind(fields.get(1, 0))
    except ValueError as error:
        raise Malformed("statement: unknown kind") from error
    body: Body
    if kind is Kind.ISSUE and envelope.single:
        body = parse_issue(envelope.issuer, parse_subject(envelope.subject), fields)
    elif kind is Kind.GENESIS and not envelope.single:
        body = parse_genesis(fields)
    elif kind is Kind.FILING and not envelope.single:
        body = parse_filing(fields)
    elif kind in (Kind.CATALOGUE, Kind.LADDER) and not envelope.single:
        body = parse_published(kind, fields)
    else:
        raise Malformed("statement: this kind is not known to this version, or is signed in the wrong form")
    if not isinstance(body, Issue) and envelope.subject != _subject(body):
        raise Malformed("statement: subject does not match the content")
    if isinstance(body, Genesis) and envelope.issuer != body.origin:
        raise Malformed("genesis: issuer id is the origin")
    return Statement(entry, kind, body, envelope)


def _subject(body: Genesis | Filing | Published) -> str:
    if isinstance(body, Filing):
        return body.number
    if isinstance(body, Genesis):
        return "genesis"
    return body.kind.name.lower()

"""Statements as they cross from one process of this program to another: flat values for marshal.

    packed = pack(entries, keys)              in the process that reads: form, and signatures under keys that are known
    reads = unpack(entries, keys, packed)     in the other, of the same; raises nothing: the far end is this program

What reading an entry comes to takes longer to pickle than the signature takes to check. So nothing of a certificate
crosses that the entry says itself: only that it is in its one spelling, where its header ends, whether its signature
holds, and its cert key. Its parts are put together in the other process without being checked a second time. Whatever
has another form is rare, and is parsed again there.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from ledger.errors import Malformed, Unverified
from ledger.records import cose
from ledger.records.cose import Envelope, Signature
from ledger.records.issue import TAIL, head_of, put_together, read_head
from ledger.records.kinds import Kind
from ledger.records.seal import is_seal
from ledger.records.secret import read_subject
from ledger.records.statements import Statement, parse_statement
from ledger.records.view import Authentic, authenticate_record, authenticated_elsewhere
from ledger.tlog.keys import verify_ed25519

Sight: TypeAlias = Authentic | Statement | str | None  # a text is what is wrong with an entry, None a seal
_CERT_KEY: Final = 32


def read(entry: bytes, keys: Mapping[bytes, bytes]) -> Sight:
    """What an entry is. Its signature is checked when it has one signer and `keys` (kid -> public key) has the key;
    a statement without, or whose signature does not hold under it, comes back as a `Statement`."""
    if is_seal(entry):
        return None
    try:
        statement = parse_statement(entry)
    except Malformed as error:
        return str(error)
    public = keys.get(statement.kid) if statement.envelope.single else None
    if public is None:
        return statement
    try:
        return authenticate_record(statement, public)
    except (Malformed, Unverified):
        return statement


def pack(entries: Sequence[bytes], keys: Mapping[bytes, bytes]) -> bytes:
    """What `read` makes of each entry: a number where it is a certificate of the usual form, whose cert key is the next
    of those that end the answer; whether its signature holds, for other statements."""
    cert_keys: list[bytes] = []
    rows: list[Any] = []
    for entry in entries:
        found = _certificate(entry, keys)
        if found is None:
            sight = read(entry, keys)
            rows.append(isinstance(sight, Authentic) if isinstance(sight, Authentic | Statement) else sight)
        else:
            end, cert_key = found
            rows.append(end)
            cert_keys.append(cert_key)
    return marshal.dumps((rows, b"".join(cert_keys)))


def _certificate(entry: bytes, keys: Mapping[bytes, bytes]) -> tuple[int, bytes] | None:
    """Where the header of a certificate's entry ends, negative when no signature was found to hold, and its cert key.
    None for what `read` has to judge, nonsense included."""
    parted = cose.part(entry)
    if parted is None:
        return None
    protected, payload, signature = parted
    head = head_of(payload)
    if head is None:
        return None
    try:
        _, kid = cose.read_header(protected[: -cose.SUBJECT])
        read_head(head)
        cert_key = read_subject(protected[-cose.SUBJECT :])
    except Malformed:
        return None
    end = 4 + len(protected)
    public = keys.get(kid)
    if public is None:
        return -end, cert_key
    try:
        verify_ed25519(public, cose.signed_part(entry), signature)
    except (Malformed, Unverified):
        return -end, cert_key
    return end, cert_key


def unpack(entries: Sequence[bytes], keys: Mapping[bytes, bytes], packed: bytes) -> list[Sight]:
    """What `read` would make of each entry, out of what `pack` made of them with the same keys."""
    rows, cert_keys = marshal.loads(packed)  # noqa: S302  # from our own process
    sights: list[Sight] = []
    at = 0
    for entry, row in zip(entries, rows, strict=True):
        if type(row) is int:
            statement, kid = _put_together(entry, abs(row), cert_keys[at : at + _CERT_KEY])
            at += _CERT_KEY
            sights.append(authenticated_elsewhere(statement, keys[kid]) if row > 0 else statement)
        elif type(row) is bool:
            statement = parse_statement(entry)
            sights.append(authenticated_elsewhere(statement, keys[statement.kid]) if row else statement)
        else:
            sights.append(row)
    return sights


def _put_together(entry: bytes, end: int, cert_key: bytes) -> tuple[Statement, bytes]:
    """The statement of a certificate whose header ends at `end`, and the id of the key that it names."""
    protected = entry[4:end]
    issuer, kid = cose.read_header(protected[: -cose.SUBJECT])
    payload = entry[end + (3 if entry[end + 1] == 0x58 else 4) : -66]
    issue = put_together(read_head(payload[:-TAIL]), issuer, cert_key, payload[-TAIL:])
    signatures = (Signature(kid, entry[-64:]),)
    subject = protected[-cose.SUBJECT :].decode()
    envelope = Envelope(issuer, subject, protected, payload, signatures, True)
    return Statement(entry, Kind.ISSUE, issue, envelope), kid

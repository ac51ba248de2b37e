"""pycose, a COSE implementation that is not ours, reads our statements and finds every signature good."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

pytest.importorskip("pycose", reason="pycose is not installed: pip install -r requirements-dev.lock")

from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import CoseKey, OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message, SignMessage

from ledger.records import canonical
from ledger.records.authority import Published
from ledger.records.kinds import Kind
from ledger.records.receipt import ReceiptOf, format_receipt, sign_root
from ledger.records.secret import subject_of
from ledger.tlog.keys import kid
from tests.support import slow_tree
from tests.support.builders import DAY, ORIGIN, TRADE, key, make_authority, make_body, octets

BODY, AUTHORITY = make_body(), make_authority()
CERTIFICATES = [
    BODY.certificate("a"),
    BODY.certificate("b", grade=2, trade=TRADE),
    BODY.certificate("c", person_unlinked=True, name="阿卜杜拉·买买提"),
]
AUTHORITY_STATEMENTS = [
    AUTHORITY.sign(AUTHORITY.genesis),
    AUTHORITY.sign(BODY.filing, by=(0, 1, 2)),
    AUTHORITY.sign(Published(Kind.LADDER, "2022", octets("ladder"), DAY), by=(1, 2)),
]


def decode(raw: bytes) -> Any:
    """As CoseMessage.decode, which fails with cbor2 6: that gives tuples inside a tag, pycose 1.1 wants lists."""

    def thawed(value: Any) -> Any:
        if isinstance(value, tuple):
            return [thawed(item) for item in value]
        return dict(value) if not isinstance(value, (bytes, str, int)) else value

    tag = cbor2.loads(raw)
    kinds = {Sign1Message.cbor_tag: Sign1Message, SignMessage.cbor_tag: SignMessage}
    return kinds[tag.tag].from_cose_obj(thawed(tag.value), allow_unknown_attributes=True)


def okp(public: bytes) -> CoseKey:
    return OKPKey(crv=Ed25519, x=public)


def changed(raw: bytes) -> bytes:
    """The message with one bit of its payload turned; still well-formed CBOR for pycose."""
    at = raw.index(b"\x0b\x50")  # key 11 and the track id's head
    return raw[: at + 5] + bytes([raw[at + 5] ^ 1]) + raw[at + 6 :]


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_certificates_are_cose_sign1(certificate: Any) -> None:
    message = decode(certificate.statement.entry)
    assert isinstance(message, Sign1Message)
    assert message.phdr[Algorithm] is EdDSA
    assert message.phdr[KID] == kid(BODY.record.public)
    assert message.phdr[ContentType] == 60
    assert message.uhdr == {}
    claims = next(
        value for label, value in message.phdr.items() if label == 15 or getattr(label, "identifier", 0) == 15
    )
    assert dict(claims) == {1: certificate.issue.filing_number, 2: subject_of(certificate.issue.cert_key)}
    assert canonical.decode(message.payload) == certificate.issue.as_map()
    message.key = okp(BODY.record.public)
    assert message.verify_signature() is True


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_pycose_refuses_what_we_refuse(certificate: Any) -> None:
    message = decode(changed(certificate.statement.entry))
    message.key = okp(BODY.record.public)
    assert message.verify_signature() is False
    message = decode(certificate.statement.entry)
    message.key = okp(key("somebody else").public)
    assert message.verify_signature() is False


@pytest.mark.parametrize("statement", AUTHORITY_STATEMENTS)
def test_authority_statements_are_cose_sign(statement: Any) -> None:
    message = decode(statement.entry)
    assert isinstance(message, SignMessage)
    assert message.payload == statement.envelope.payload
    publics = {kid(person.public): person.public for person in AUTHORITY.people}
    assert len(message.signers) == len(statement.envelope.signatures)
    for signer in message.signers:
        assert signer.phdr[Algorithm] is EdDSA and signer.uhdr == {}
        signer.key = okp(publics[signer.phdr[KID]])
        assert signer.verify_signature() is True
        signer.key = okp(key("somebody else").public)
        assert signer.verify_signature() is False


def test_pycose_signs_the_same_bytes() -> None:
    """From the same header, payload and seed pycose's own encoder writes our entry, byte for byte."""
    for certificate in CERTIFICATES:
        envelope = certificate.statement.envelope
        message = decode(certificate.statement.entry)
        again = Sign1Message(phdr=dict(message.phdr), uhdr={}, payload=envelope.payload)
        again.key = OKPKey(crv=Ed25519, x=BODY.record.public, d=octets("key record "))
        assert again.encode() == certificate.statement.entry


def test_receipts_are_cose_sign1_over_the_root() -> None:
    """RFC 9942: the payload is detached, and is the root that entry and path lead to."""
    log, leaves = key("receipt"), [slow_tree.leaf(certificate.statement.entry) for certificate in CERTIFICATES]
    root, path = slow_tree.root(leaves), tuple(slow_tree.inclusion(1, leaves))
    raw = format_receipt(ReceiptOf(ORIGIN, kid(log.public), 3, 1, path, sign_root(ORIGIN, root, log)))
    tag = cbor2.loads(raw)
    protected, unprotected, payload, signature = tag.value
    assert payload is None and cbor2.loads(unprotected[396][-1][0]) == [3, 1, list(path)]
    message = decode(b"\xd2" + cbor2.dumps([protected, {}, root, signature]))
    message.key = okp(log.public)
    assert message.phdr[Algorithm] is EdDSA and message.phdr[KID] == kid(log.public)
    assert message.verify_signature() is True
    message = decode(b"\xd2" + cbor2.dumps([protected, {}, bytes(32), signature]))
    message.key = okp(log.public)
    assert message.verify_signature() is False

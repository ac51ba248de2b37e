from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.records import canonical, cose
from ledger.tlog.keys import kid, verify_ed25519
from tests.support.builders import key

ISSUER, SUBJECT = "Y000051000001", "subject"
SIGNER = key("cose")


def one(**changes: object) -> list[object]:
    """The four parts of a COSE_Sign1 message, with some replaced."""
    parts = cbor2.loads(cose.sign_one(b"payload", ISSUER, SUBJECT, SIGNER)[1:])
    return [changes.get(name, part) for name, part in zip(("protected", "open", "payload", "sig"), parts, strict=True)]


def several(count: int) -> list[cose.Signature]:
    protected = cose.body_header("origin", "filing")
    return [cose.sign_part(protected, b"payload", key(f"person {at}")) for at in range(count)]


@given(st.binary(max_size=200), st.text("abc-123", max_size=20), st.text("例中文", max_size=10))
def test_sign_one_and_parse_are_inverses(payload: bytes, issuer: str, subject: str) -> None:
    raw = cose.sign_one(payload, issuer, subject, SIGNER)
    envelope = cose.parse(raw)
    assert (envelope.issuer, envelope.subject, envelope.payload, envelope.single) == (issuer, subject, payload, True)
    (part,) = envelope.signatures
    assert part.kid == kid(SIGNER.public)
    verify_ed25519(SIGNER.public, envelope.to_be_signed(part.kid), part.signature)
    assert cose.format_one(envelope.protected, envelope.payload, part.signature) == raw
    assert cose.sign_one(payload, issuer, subject, SIGNER) == raw


def test_the_bytes_that_are_signed_are_those_of_rfc_9052() -> None:
    envelope = cose.parse(cose.sign_one(b"payload", ISSUER, SUBJECT, SIGNER))
    structure = ["Signature1", envelope.protected, b"", b"payload"]
    assert envelope.to_be_signed(b"ignored!") == cbor2.dumps(structure)
    header = {1: -8, 3: 60, 4: kid(SIGNER.public), 15: {1: ISSUER, 2: SUBJECT}}
    assert cbor2.loads(envelope.protected) == header

    parts = several(2)
    body = cose.body_header("origin", "filing")
    envelope = cose.parse(cose.combine(body, b"payload", tuple(parts)))
    structure = ["Signature", body, cbor2.dumps({1: -8, 4: parts[0].kid}), b"", b"payload"]
    assert envelope.to_be_signed(parts[0].kid) == cbor2.dumps(structure)


@settings(max_examples=60)
@given(st.permutations(range(5)), st.integers(1, 5))
def test_combining_in_any_order_gives_the_same_bytes(order: list[int], count: int) -> None:
    parts = several(count)
    protected = cose.body_header("origin", "filing")
    raw = cose.combine(protected, b"payload", tuple(parts))
    assert cose.combine(protected, b"payload", tuple(parts[at] for at in order if at < count)) == raw
    envelope = cose.parse(raw)
    assert not envelope.single
    assert [part.kid for part in envelope.signatures] == sorted(part.kid for part in parts)
    assert set(envelope.signatures) == set(parts)


def test_a_key_that_signs_twice_cannot_be_combined() -> None:
    part = several(1)[0]
    protected = cose.body_header("origin", "filing")
    for parts in ((part, part), (part, cose.Signature(part.kid, bytes(64))), ()):
        with pytest.raises(Malformed):
            cose.combine(protected, b"payload", parts)


KID = kid(SIGNER.public)
GOOD = {1: -8, 3: 60, 4: KID, 15: {1: ISSUER, 2: SUBJECT}}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {1: -8, 3: 60, 4: KID},
        {**GOOD, 1: -19},
        {**GOOD, 1: -7},
        {**GOOD, 1: 8},
        {**GOOD, 3: 61},
        {**GOOD, 3: "application/cbor"},
        {**GOOD, 4: KID[:7]},
        {**GOOD, 4: KID + b"\0"},
        {**GOOD, 4: ISSUER},
        {**GOOD, 2: [4]},
        {**GOOD, 16: 1},
        {**GOOD, 15: {1: ISSUER}},
        {**GOOD, 15: {2: SUBJECT}},
        {**GOOD, 15: {1: ISSUER, 2: SUBJECT, 6: 1}},
        {**GOOD, 15: {1: ISSUER.encode(), 2: SUBJECT}},
        {**GOOD, 15: [ISSUER, SUBJECT]},
        {key_: value for key_, value in GOOD.items() if key_ != 1},
        {key_: value for key_, value in GOOD.items() if key_ != 3},
        [GOOD],
    ],
)
def test_a_protected_header_with_anything_else_in_it_is_malformed(header: object) -> None:
    with pytest.raises(Malformed):
        cose.parse(b"\xd2" + cbor2.dumps(one(protected=cbor2.dumps(header))))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xd2",
        cbor2.dumps(one()),
        b"\xd3" + cbor2.dumps(one()),
        b"\xd2\xd2" + cbor2.dumps(one()),
        b"\xd8\x12" + cbor2.dumps(one()),
        b"\xd8\x62" + cbor2.dumps(one()),
        b"\xd2" + cbor2.dumps(one()) + b"\0",
        b"\xd2" + cbor2.dumps(one()[:3]),
        b"\xd2" + cbor2.dumps([*one(), 0]),
        b"\xd2" + cbor2.dumps(one(open={4: KID})),
        b"\xd2" + cbor2.dumps(one(open=[])),
        b"\xd2" + cbor2.dumps(one(open=b"")),
        b"\xd2" + cbor2.dumps(one(payload=None)),
        b"\xd2" + cbor2.dumps(one(payload="payload")),
        b"\xd2" + cbor2.dumps(one(protected=cbor2.loads(one()[0]))),
        b"\xd2" + cbor2.dumps(one(protected=b"")),
        b"\xd2" + cbor2.dumps(one(protected=cbor2.dumps(dict(reversed(GOOD.items()))))),
        b"\xd2" + cbor2.dumps(one(sig=bytes(63))),
        b"\xd2" + cbor2.dumps(one(sig=bytes(65))),
        b"\xd2" + cbor2.dumps(one(sig=b"")),
        b"\xd2" + cbor2.dumps(one(payload=bytes(canonical.MAX_BYTES))),
    ],
)
def test_another_shape_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        cose.parse(raw)


def test_signature_lists_of_another_shape_are_malformed() -> None:
    parts = sorted(several(17), key=lambda part: part.kid)
    protected = cose.body_header("origin", "filing")
    listed = [[cbor2.dumps({1: -8, 4: part.kid}), {}, part.signature] for part in parts]

    def message(signatures: object, body: bytes = protected) -> bytes:
        return b"\xd8\x62" + cbor2.dumps([body, {}, b"payload", signatures])

    assert len(cose.parse(message(listed[:16])).signatures) == 16
    broken = [
        message([]),
        message(listed),
        message([listed[1], listed[0]]),
        message([listed[0], listed[0]]),
        message([listed[0], [*listed[0][:2], listed[1][2]]]),
        message({}),
        message([listed[0][:2]]),
        message([[listed[0][0], {1: 1}, listed[0][2]]]),
        message([[b"", {}, listed[0][2]]]),
        message([[cbor2.dumps({1: -8}), {}, listed[0][2]]]),
        message([[cbor2.dumps({1: -7, 4: parts[0].kid}), {}, listed[0][2]]]),
        message([[cbor2.dumps({1: -8, 4: parts[0].kid, 15: {}}), {}, listed[0][2]]]),
        message([[cbor2.dumps({1: -8, 4: b"short"}), {}, listed[0][2]]]),
        message([[listed[0][0], {}, bytes(63)]]),
        message(listed[:1], cbor2.dumps(GOOD)),
        message(listed[:1], cbor2.dumps({3: 60})),
        message(listed[:1], cbor2.dumps({3: 60, 15: {1: "origin", 2: "filing", 3: 0}})),
    ]
    for raw in broken:
        with pytest.raises(Malformed):
            cose.parse(raw)


def test_a_signature_does_not_carry_over_to_the_other_message_type() -> None:
    body = cose.body_header("origin", "filing")
    part = cose.sign_part(body, b"payload", SIGNER)
    single = cose.parse(cose.sign_one(b"payload", ISSUER, SUBJECT, SIGNER))
    with pytest.raises(Unverified):
        verify_ed25519(SIGNER.public, single.to_be_signed(part.kid), part.signature)
    joined = cose.parse(cose.combine(body, b"payload", (single.signatures[0],)))
    with pytest.raises(Unverified):
        verify_ed25519(SIGNER.public, joined.to_be_signed(part.kid), single.signatures[0].signature)


@pytest.mark.parametrize("length", [42, 43, 44, 86])
@given(st.data())
@settings(max_examples=30)
def test_a_header_that_is_remembered_reads_as_one_read_whole(length: int, data: st.DataObject) -> None:
    """Also where the bytes before the last 43 were seen in another header, and where the end is no ASCII subject."""
    ascii_text = st.text(st.characters(max_codepoint=127), min_size=length, max_size=length)
    wide = st.text("例é", min_size=length // 3, max_size=length // 2)
    for _ in range(2):
        subject, issuer = data.draw(ascii_text | wide), data.draw(st.sampled_from([ISSUER, "例", "A" * 43, "x" * 200]))
        envelope = cose.parse(cose.sign_one(b"payload", issuer, subject, SIGNER))
        assert (envelope.issuer, envelope.subject) == (issuer, subject)
        assert envelope.signatures[0].kid == kid(SIGNER.public)


def test_what_follows_a_remembered_header_is_still_read() -> None:
    cose.parse(cose.sign_one(b"payload", ISSUER, "s" * 43, SIGNER))
    good = one()[0]
    assert isinstance(good, bytes)
    known = cbor2.loads(cose.sign_one(b"payload", ISSUER, "s" * 43, SIGNER)[1:])[0]
    for bad in (known[:-1], known + b"s", known[:-1] + b"\xff", known[:-44] + b"\x2c" + known[-43:], known[:-43]):
        with pytest.raises(Malformed):
            cose.parse(cose.format_one(bad, b"payload", bytes(64)))


def test_the_header_of_a_signature_has_one_spelling() -> None:
    body, header = cose.body_header("log", "x"), bytes.fromhex("a201270448") + bytes(8)

    def message(header: bytes) -> bytes:
        return b"\xd8\x62" + cbor2.dumps([body, {}, b"payload", [[header, {}, bytes(64)]]])

    assert cose.parse(message(header)).signatures == (cose.Signature(bytes(8), bytes(64)),)
    for other in (
        b"",
        header[:-1],
        header + b"\0",
        canonical.encode({1: -7, 4: bytes(8)}),
        canonical.encode({1: -8, 4: bytes(9)}),
        canonical.encode({1: -8, 4: bytes(7)}),
        canonical.encode({1: -8, 5: bytes(8)}),
        canonical.encode({1: -8}),
        canonical.encode({1: -8, 4: bytes(8), 5: 1}),
        bytes.fromhex("a2044800000000000000000127"),
        bytes.fromhex("a20127045808") + bytes(8),
    ):
        with pytest.raises(Malformed):
            cose.parse(message(other))


@given(st.integers(0, 300), st.integers(0, 700))
def test_strings_of_every_length_are_parted_as_the_decoder_parts_them(header: int, payload: int) -> None:
    raw = cose.format_one(bytes(header), bytes(payload), bytes(64))
    parted = cose.part(raw)
    assert parted in (None, (bytes(header), bytes(payload), bytes(64)))
    assert (parted is not None) == (24 <= header < 256 and payload >= 24)
    for changed in (raw + b"\0", raw[:-1], raw[1:], b"\xd1" + raw[1:]):
        assert cose.part(changed) is None


@pytest.mark.parametrize("payload", [24, 200, 255, 256, 600])
def test_a_longer_head_than_needed_is_left_to_the_decoder(payload: int) -> None:
    """The same strings behind heads that are not the shortest."""
    header, inner = bytes(30), bytes(payload)
    for head in (b"\x59" + payload.to_bytes(2, "big"), b"\x5a" + payload.to_bytes(4, "big")):
        raw = b"\xd2\x84\x58\x1e" + header + b"\xa0" + head + inner + b"\x58\x40" + bytes(64)
        assert (cose.part(raw) is None) == (head[0] == 0x5A or payload < 256)
        if cose.part(raw) is None:
            with pytest.raises(Malformed):
                cose.parse(raw)

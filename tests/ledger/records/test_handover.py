"""What crosses between processes is what was sent, field for field, and what is no certificate in its one spelling is
found out as it is without crossing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.records import cose
from ledger.records.handover import Sight, pack, read, unpack
from ledger.records.kinds import Audience, Kind, Route
from ledger.records.secret import subject_of
from ledger.records.statements import issue_entry, parse_statement
from ledger.records.view import Authentic, authenticate_record
from ledger.tlog.keys import KID_BYTES
from tests.support.builders import make_authority, make_body
from tests.support.life_builders import ruling

BODY = make_body()
KEYS = {parse_statement(BODY.certificate("one").statement.entry).kid: BODY.record.public}
ENTRY = BODY.certificate("one").statement.entry
HEADER = 4 + ENTRY[3]  # where its header ends


def crossed(*entries: bytes, keys: dict[bytes, bytes] = KEYS) -> list[Sight]:
    return unpack(entries, keys, pack(entries, keys))


def facts(sight: Sight) -> object:
    """Everything about a sight that can be compared."""
    if isinstance(sight, Authentic):
        return sight.statement, sight.statement.leaf_hash, sight.publics, sight.threshold
    return sight


@given(st.sampled_from(Route), st.sampled_from(Audience), st.integers(0, 30_000), st.sampled_from(["", "钳工"]))
@settings(max_examples=60, deadline=None)
def test_a_certificate_crosses_with_and_without_its_signature(
    route: Route, audience: Audience, day: int, trade: str
) -> None:
    issue = replace(BODY.certificate("one").issue, route=route, audience=audience, issue_day=day, assessment_day=day)
    statement = parse_statement(issue_entry(replace(issue, trade=trade), BODY.record))
    assert crossed(statement.entry, keys={}) == [statement]
    (came,) = crossed(statement.entry)
    assert isinstance(came, Authentic)
    assert facts(came) == (statement, statement.leaf_hash, (BODY.record.public,), 1)
    assert came.statement.identity == statement.identity
    assert type(came.statement.body.route) is Route  # type: ignore[union-attr]


def test_other_statements_cross_with_what_is_known_of_their_signature() -> None:
    rulings = [ruling(BODY, kind, BODY.certificate("one")) for kind in (Kind.SUSPEND, Kind.REVOKE)]
    unlinked = parse_statement(issue_entry(replace(BODY.certificate("one").issue, person_unlinked=True), BODY.record))
    filing = make_authority().sign(BODY.filing)
    statements = [*rulings, BODY.certificate("two").statement, unlinked, filing]
    came = crossed(*(one.entry for one in statements))
    known = [facts(authenticate_record(one, BODY.record.public)) for one in statements[:-1]]
    assert [facts(one) for one in came] == [*known, filing]
    assert crossed(*(one.entry for one in statements), keys={}) == statements


def test_a_byte_that_differs_anywhere_is_seen_as_it_is_without_crossing() -> None:
    for bit in (1, 0x20, 0x80):
        damaged = [ENTRY[:at] + bytes([ENTRY[at] ^ bit]) + ENTRY[at + 1 :] for at in range(len(ENTRY))]
        assert [facts(one) for one in crossed(*damaged)] == [facts(read(one, KEYS)) for one in damaged]
        assert not any(isinstance(one, Authentic) for one in crossed(*damaged))
    shorter = [ENTRY[:at] for at in range(len(ENTRY))] + [ENTRY + b"\0"]
    assert crossed(*shorter) == [read(one, KEYS) for one in shorter]


def test_a_signed_entry_in_another_spelling_is_refused_as_it_is_without_crossing() -> None:
    """What a signature cannot give away: whoever holds the key signs what has no place in the log."""
    envelope = parse_statement(ENTRY).envelope
    subject = envelope.subject.encode()
    payload = bytearray(envelope.payload)
    for last in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=":
        protected = envelope.protected[: -cose.SUBJECT] + subject[:-1] + bytes([last])
        assert _signed_alike(protected, bytes(payload)) == (subject_like(subject, last))
    for at, value in [(0, 0xAD), (2, 13), (2, 19), (-101, 0x10), (-98, 0x51), (-83, 0x59), (len(payload) - 34, 0x21)]:
        other = payload.copy()
        other[at] = value
        _signed_alike(envelope.protected, bytes(other))
    for at in range(len(envelope.protected) - cose.SUBJECT):
        other = bytearray(envelope.protected)
        other[at] ^= 1
        if not at - KID_BYTES < 8 < at:  # a kid of nobody's is read like any other
            _signed_alike(bytes(other), bytes(payload))


def subject_like(subject: bytes, last: int) -> bool:
    """Whether a subject with this letter at its end is the one spelling of some cert key."""
    return chr(last) in "AEIMQUYcgkosw048"


def _signed_alike(protected: bytes, payload: bytes) -> bool:
    """Whether such an entry, properly signed, is a statement: the same answer on either side."""
    message = b"\x84\x6aSignature1\x58" + bytes([len(protected)]) + protected + b"\x40"
    message += b"\x58" + bytes([len(payload)]) if len(payload) < 256 else b"\x59" + len(payload).to_bytes(2, "big")
    entry = cose.format_one(protected, payload, BODY.record.sign(message + payload))
    (came,) = crossed(entry)
    assert facts(came) == facts(read(entry, KEYS))
    return not isinstance(came, str)


def test_a_subject_is_read_by_its_letters_as_by_its_bytes() -> None:
    issue = BODY.certificate("one").issue
    assert parse_statement(ENTRY).envelope.subject == subject_of(issue.cert_key) == ENTRY[HEADER - 43 : HEADER].decode()

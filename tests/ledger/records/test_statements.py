from __future__ import annotations

import itertools
import json
from dataclasses import replace
from hashlib import sha256

import cbor2
import pytest

from ledger.errors import Malformed, Unverified
from ledger.records import canonical, cose, statements
from ledger.records.authority import FiledKey, Genesis, Published
from ledger.records.kinds import Kind
from ledger.records.secret import subject_of
from ledger.records.statements import Statement, parse_proposal, parse_statement, propose
from ledger.records.status import RULES
from ledger.tlog.keys import Ed25519Signer, kid
from ledger.tlog.merkle import leaf_hash
from tests.support.builders import (
    DAY,
    ORIGIN,
    Body,
    correct,
    end,
    key,
    key_standing,
    make_authority,
    make_body,
    octets,
    ruling,
)
from tests.support.claims import PAYER_NUMBER, act, claim, make_pack, make_payer
from tests.support.make_vectors import VECTORS, vector_text

AUTHORITY = make_authority()
BODY = make_body()
PUBLISHED = Published(Kind.LADDER, "2022", octets("ladder"), DAY)


def samples(count: int) -> list[Statement]:
    """Statements of every kind that exists, mostly certificates."""
    few = [AUTHORITY.sign(AUTHORITY.genesis), AUTHORITY.sign(BODY.filing), AUTHORITY.sign(PUBLISHED, by=(0, 1, 2))]
    return few + [BODY.certificate(str(at), grade=2 + at % 5).statement for at in range(count - len(few))]


def verify(statement: Statement) -> None:
    if statement.envelope.single:
        statement.verify_signature((PAYER if statement.envelope.issuer == PAYER_NUMBER else BODY).record.public)
    else:
        statement.verify_threshold({kid(who.public): who.public for who in AUTHORITY.people}, 2)


def refused(raw: bytes) -> str:
    """How hostile bytes end: nothing but these two, whatever they are."""
    try:
        verify(parse_statement(raw))
    except (Malformed, Unverified) as error:
        return type(error).__name__
    return "accepted"


def test_parsing_gives_back_what_was_signed() -> None:
    certificate = BODY.certificate("a")
    statement = certificate.statement
    assert statement.body == certificate.issue and statement.kind is Kind.ISSUE
    assert statement.leaf_hash == leaf_hash(statement.entry)
    assert statement.kid == kid(BODY.record.public)
    for body in (AUTHORITY.genesis, BODY.filing, PUBLISHED):
        assert AUTHORITY.sign(body).body == body
    for statement in samples(4):
        verify(statement)


def test_every_prefix_of_200_statements_is_malformed() -> None:
    for statement in samples(200):
        entry = statement.entry
        assert all(refused(entry[:end]) == "Malformed" for end in range(len(entry)))


@pytest.mark.parametrize("at", range(20))
def test_every_byte_flipped_is_malformed_or_unverified(at: int) -> None:
    statement = samples(20)[at]
    entry = statement.entry
    for place in range(len(entry)):
        for bit in (0x01, 0x20, 0x80):
            assert refused(entry[:place] + bytes([entry[place] ^ bit]) + entry[place + 1 :]) != "accepted", place


@pytest.mark.parametrize("extra", [b"\0", b"\xf6", b" ", bytes(1000)])
def test_anything_behind_is_malformed(extra: bytes) -> None:
    for statement in samples(4):
        with pytest.raises(Malformed):
            parse_statement(statement.entry + extra)


def test_entries_over_8_kib_are_malformed() -> None:
    big = cose.sign_one(bytes(8192), "Y000051000001", subject_of(bytes(32)), BODY.record)
    for raw in (big, bytes(10**7), b"\xd2" * 10**6):
        with pytest.raises(Malformed):
            parse_statement(raw)


def resigned(payload: bytes, *, issuer: str = "Y000051000001", subject: str = "") -> bytes:
    return cose.sign_one(payload, issuer, subject or subject_of(bytes(32)), BODY.record)


ISSUE = BODY.certificate("a").issue


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        b"\x00",
        canonical.encode({}),
        canonical.encode({1: 0}),
        canonical.encode({1: 23}),
        canonical.encode({1: "12"}),
        canonical.encode({1: [12]}),
        canonical.encode({2: 12}),
        *(canonical.encode({1: kind}) for kind in range(1, 23)),
        cbor2.dumps(dict(reversed(ISSUE.as_map().items()))),
        cbor2.dumps({**ISSUE.as_map(), 14: True}),
        cbor2.dumps({**ISSUE.as_map(), 6: 20600.0}),
        cbor2.dumps({**ISSUE.as_map(), 3: None}),
        ISSUE.payload() + b"\0",
        b"\xbf" + ISSUE.payload()[1:] + b"\xff",
    ],
)
def test_a_good_signature_does_not_excuse_a_payload(payload: bytes) -> None:
    with pytest.raises(Malformed):
        parse_statement(resigned(payload))


@pytest.mark.parametrize("subject", ["A" * 42, "A" * 44, "A" * 42 + "B", "genesis", ISSUE.filing_number])
def test_the_subject_of_a_certificate_is_its_cert_key(subject: str) -> None:
    with pytest.raises(Malformed):
        parse_statement(resigned(ISSUE.payload(), subject=subject))
    assert parse_statement(resigned(ISSUE.payload())).body == replace(ISSUE, cert_key=bytes(32))


def test_kinds_come_in_their_own_message_type_only() -> None:
    for body in (AUTHORITY.genesis, BODY.filing, PUBLISHED):
        proposal = propose(ORIGIN, body)
        subject = parse_statement(AUTHORITY.sign(body).entry).envelope.subject
        with pytest.raises(Malformed):
            parse_statement(cose.sign_one(proposal.payload, ORIGIN, subject, AUTHORITY.people[0]))
    header = cose.body_header(ISSUE.filing_number, subject_of(ISSUE.cert_key))
    part = cose.sign_part(header, ISSUE.payload(), BODY.record)
    with pytest.raises(Malformed):
        parse_statement(cose.combine(header, ISSUE.payload(), (part,)))


OWN = BODY.certificate("own")
PAYER = make_payer()
CLAIM = claim(PAYER, OWN.issue.cert_key, (octets("nullifier"),))
BY_BODY = [
    *(BODY.sign(ruling(kind, OWN)) for kind in (Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE)),
    BODY.sign(correct(OWN)),
    BODY.sign(end(OWN)),
    BODY.sign(key_standing(BODY.record.public)),
    OWN.statement,
    BODY.reissue("new", OWN).statement,
    BODY.post("post").statement,
    BODY.sign(make_pack(terms=None)),
    CLAIM.statement,
    *(act(kind, PAYER, CLAIM) for kind in (Kind.PAY, Kind.RELEASE, Kind.CLAW_BACK)),
]


EITHER = {Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE, Kind.CORRECT, Kind.KEY_STATUS, Kind.PACK}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_the_forms_of_who_may_sign_it(kind: Kind) -> None:
    """By one body, by the authority, or by either."""
    alone = {statement.kind for statement in BY_BODY}
    assert (kind in statements._BY_ISSUER) == (kind in alone)
    assert (kind in statements._BY_AUTHORITY) == (kind in EITHER or kind not in alone)


@pytest.mark.parametrize("statement", BY_BODY, ids=lambda statement: statement.kind.name)
def test_a_statement_of_a_body_in_the_form_of_the_authority(statement: Statement) -> None:
    envelope = statement.envelope
    header = cose.body_header(envelope.issuer, envelope.subject)
    parts = tuple(cose.sign_part(header, envelope.payload, person) for person in AUTHORITY.people)
    entry = cose.combine(header, envelope.payload, parts)
    if statement.kind in EITHER:
        assert parse_statement(entry).envelope.single is False
    else:
        with pytest.raises(Malformed):
            parse_statement(entry)


def test_issuer_and_subject_of_authority_statements_follow_from_the_content() -> None:
    for body in (AUTHORITY.genesis, BODY.filing, PUBLISHED):
        payload = propose(ORIGIN, body).payload
        for issuer, subject in ((ORIGIN, "x"), (ORIGIN, ""), ("other.example", "genesis")):
            header = cose.body_header(issuer, subject)
            parts = tuple(cose.sign_part(header, payload, person) for person in AUTHORITY.people)
            with pytest.raises(Malformed):
                parse_statement(cose.combine(header, payload, parts))


def test_a_proposal_shows_what_will_be_signed_and_nothing_else() -> None:
    for body in (AUTHORITY.genesis, BODY.filing, PUBLISHED):
        proposal = propose(ORIGIN, body)
        assert parse_proposal(proposal.protected, proposal.payload) == (ORIGIN, body)
        for at in range(len(proposal.payload)):
            cut = proposal.payload[:at]
            with pytest.raises(Malformed):
                parse_proposal(proposal.protected, cut)


def test_identity_does_not_depend_on_who_of_the_authority_signed() -> None:
    signed = [AUTHORITY.sign(BODY.filing, by=by) for by in ((0, 1), (1, 2), (0, 1, 2), (2, 0))]
    assert len({statement.identity for statement in signed}) == 1
    assert len({statement.leaf_hash for statement in signed}) == 4
    assert signed[0].identity == propose(ORIGIN, BODY.filing).identity
    certificate = BODY.certificate("a").statement
    assert certificate.identity == sha256(certificate.entry).digest()


def threshold_cases() -> list[tuple[Genesis, tuple[int, ...], tuple[int, ...], bool]]:
    """Every choice of 0-3 listed and 0-2 foreign signers, against each authority of 1-5 people and its thresholds."""
    cases = []
    for people in range(1, 6):
        for threshold in range(1, people + 1):
            genesis = make_authority(people=people, threshold=threshold).genesis
            for count in range(people + 1):
                for signers in itertools.islice(itertools.combinations(range(people), count), 5):
                    for foreign in ((), (0,), (0, 1)):
                        if signers or foreign:
                            cases.append((genesis, signers, foreign, len(signers) >= threshold and not foreign))
    return cases


def test_threshold_combinations() -> None:
    cases = threshold_cases()
    assert len(cases) >= 400
    for genesis, signers, foreign, accepted in cases:
        people = make_authority(people=len(genesis.keys)).people
        proposal = propose(ORIGIN, BODY.filing)
        keys = [people[at] for at in signers] + [key(f"foreign {at}") for at in foreign]
        parts = tuple(cose.sign_part(proposal.protected, proposal.payload, who) for who in keys)
        statement = parse_statement(proposal.signed(parts))
        listed = {kid(public): public for public in genesis.keys}
        if accepted:
            statement.verify_threshold(listed, genesis.threshold)
        else:
            with pytest.raises(Unverified):
                statement.verify_threshold(listed, genesis.threshold)


def test_one_person_under_two_names_counts_once() -> None:
    """A kid is a name for a key: another name, or the same signature twice, does not make a second person."""
    proposal = propose(ORIGIN, BODY.filing)
    first, second = AUTHORITY.people[:2]
    listed = {kid(who.public): who.public for who in AUTHORITY.people}
    part = cose.sign_part(proposal.protected, proposal.payload, first)
    for alias in (kid(second.public), bytes(8)):
        statement = parse_statement(proposal.signed((part, cose.Signature(alias, part.signature))))
        with pytest.raises(Unverified):
            statement.verify_threshold(listed, 2)
    with pytest.raises(Malformed):
        proposal.signed((part, part))
    twice = cbor2.loads(proposal.signed((part,))[2:])
    twice[3] = [twice[3][0], twice[3][0]]
    with pytest.raises(Malformed):
        parse_statement(b"\xd8\x62" + cbor2.dumps(twice))


def test_a_wrong_signature_among_enough_good_ones_is_unverified() -> None:
    proposal = propose(ORIGIN, BODY.filing)
    good = [cose.sign_part(proposal.protected, proposal.payload, who) for who in AUTHORITY.people]
    bad = cose.Signature(good[2].kid, bytes(64))
    statement = parse_statement(proposal.signed((good[0], good[1], bad)))
    with pytest.raises(Unverified):
        statement.verify_threshold({kid(who.public): who.public for who in AUTHORITY.people}, 2)


def test_a_certificate_verifies_under_its_own_record_key_only() -> None:
    statement = BODY.certificate("a").statement
    statement.verify_signature(BODY.record.public)
    for other in (BODY.request.public, make_body("other").record.public, AUTHORITY.people[0].public):
        with pytest.raises(Unverified):
            statement.verify_signature(other)


def test_a_full_filing_fits_into_an_entry() -> None:
    rows = tuple(replace(BODY.filing.rows[0], occupation=f"6-18-01-{at:02}", grades=(2, 3, 4)) for at in range(100))
    keys = tuple(FiledKey(octets(f"k{at}"), DAY, DAY + 365) for at in range(32))
    filing = replace(BODY.filing, rows=rows, record_keys=keys[:16], request_keys=keys[16:], latin_name="x" * 200)
    statement = AUTHORITY.sign(filing, by=(0, 1, 2))
    assert statement.body == filing and len(statement.entry) <= canonical.MAX_BYTES


def test_statements_are_the_same_bytes_each_time() -> None:
    again: Body = make_body()
    assert again.certificate("a").statement.entry == BODY.certificate("a").statement.entry
    assert make_authority().sign(BODY.filing).entry == AUTHORITY.sign(BODY.filing).entry


def test_the_vectors_are_current_and_hold() -> None:
    written = (VECTORS / "statements.json").read_text(encoding="utf-8")
    assert written == vector_text("statements"), "run python -m tests.support.make_vectors"
    vectors = json.loads(written)
    assert {case["kind"] for case in vectors["statements"].values()} == set(RULES) - {Kind.LADDER}
    for case in vectors["statements"].values():
        statement = parse_statement(bytes.fromhex(case["entry"]))
        verify(statement)
        assert statement.leaf_hash.hex() == case["leaf_hash"] and statement.identity.hex() == case["identity"]
        assert statement.envelope.payload.hex() == case["payload"]
        for part, expected in zip(statement.envelope.signatures, case["signatures"], strict=True):
            assert statement.envelope.to_be_signed(part.kid).hex() == expected["signed"]
    for case in vectors["malformed"]:
        with pytest.raises(Malformed):
            parse_statement(bytes.fromhex(case["entry"]))
            pytest.fail(case["why"])


def test_the_keys_of_the_vectors_follow_from_their_labels() -> None:
    vectors = json.loads((VECTORS / "statements.json").read_text(encoding="utf-8"))
    signers = {
        who: [Ed25519Signer(sha256(label.encode()).digest()) for label in ([labels] if who != "authority" else labels)]
        for who, labels in vectors["key_labels"].items()
    }
    assert [one.public for one in signers["record"]] == [BODY.record.public]
    assert [one.public for one in signers["request"]] == [BODY.request.public]
    assert sorted(one.public for one in signers["authority"]) == list(AUTHORITY.genesis.keys)

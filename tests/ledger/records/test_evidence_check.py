from __future__ import annotations

import json
from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Malformed, Unverified
from ledger.records.authority import FiledKey
from ledger.records.dates import batch_day
from ledger.records.evidence import Evidence, Placed, format_evidence, parse_evidence
from ledger.records.evidence_check import (
    ProvenState,
    prove_in,
    prove_under,
    seal_under,
    verify_evidence,
    verify_stapled,
)
from ledger.records.kinds import CertificateStatus
from ledger.records.seal import Seal
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import NO_WITNESSES, parse_policy
from tests.support.builders import ORIGIN, TIME, key, make_body, octets
from tests.support.make_vectors import DAY_MS, VECTORS, authority, body, evidence_log, vector_text
from tests.support.sealed_log import AUDITOR_KEY, LOG_KEY, POLICY, SealedLog

VECTOR = json.loads((VECTORS / "evidence.json").read_text(encoding="utf-8"))
KEYS = tuple(parse_vkey(text) for text in VECTOR["log_keys"])
WITNESSES = parse_policy(VECTOR["policy"])
AUDITOR = parse_vkey(VECTOR["auditor"])
LOG = evidence_log()
P3, P5, Q = (body().certificate(label, grade=grade, person=label[0]).issue.cert_key for label, grade in (
    ("p3", 3), ("p5", 5), ("q", 4)))  # fmt: skip


def check(evidence: Evidence) -> ProvenState:
    return verify_stapled(evidence, ORIGIN, KEYS, WITNESSES, (AUDITOR,))


@pytest.mark.parametrize("case", VECTOR["holds"], ids=lambda case: case["what"])
def test_evidence_that_holds(case: dict[str, object]) -> None:
    proven = check(parse_evidence(bytes.fromhex(str(case["evidence"]))))
    state = proven.state
    assert proven.cert_key.hex() == case["cert_key"]
    assert proven.opened.checkpoint.size == case["size"] and proven.opened.time_s == case["time"]
    assert proven.opened.auditor_time_s == case["auditor_time"]
    assert (proven.seal.covered, proven.next.covered if proven.next else -1) == (case["seal"], case["next_seal"])
    assert (int(state.status) if state else 0) == case["status"]
    assert (state.value().hex() if state else "") == case["map_value"]
    assert proven.is_current == (proven.size == case["size"])


@pytest.mark.parametrize("case", VECTOR["fails"], ids=lambda case: case["what"])
def test_evidence_that_does_not(case: dict[str, object]) -> None:
    with pytest.raises((Unverified, Malformed)):
        check(parse_evidence(bytes.fromhex(str(case["evidence"]))))


def test_vectors_are_those_of_the_code() -> None:
    written = (VECTORS / "evidence.json").read_text(encoding="utf-8")
    assert written == vector_text("evidence"), "run python -m tests.support.make_vectors"


def test_what_is_proven() -> None:
    proven = check(LOG.evidence(P3))
    assert proven.state is not None and proven.state.status is CertificateStatus.IN_FORCE
    assert proven.state.summary.highest is not None and proven.state.summary.highest.grade == 5
    assert proven.issued == proven.commitments == proven.event and proven.issued is not None
    assert proven.issued.body == body().certificate("p3", grade=3, person="p").issue
    assert proven.highest is not None and proven.highest.body == body().certificate("p5", grade=5, person="p").issue
    assert proven.terms == make_body(grants=(7, 8)).filing
    assert proven.time_ms == (LOG.time // 1000 + 1) * 1000
    before = check(LOG.evidence(P3, covered=LOG.seals[0]))
    assert before.state is not None and before.state.summary.highest is not None
    assert before.state.summary.highest.grade == 3, "the higher one came later"
    assert before.time_ms == TIME + 2000 - 1, "until just before the next seal"


def test_a_reissue_under_a_key_that_is_newer_than_its_terms() -> None:
    one, ruler, log, second = body(), authority(), SealedLog(), key("second")
    first = one.certificate("a")
    log.batch([ruler.sign(ruler.genesis), ruler.sign(one.filing), first.statement])
    keys = (*one.filing.record_keys, FiledKey(second.public, one.filing.first_day))
    log.batch([ruler.sign(replace(one.filing, record_keys=keys, change=True))])
    again = one.certificate("again", person="a", replaces=first.issue.cert_key, signer=second)
    log.batch([again.statement])
    proven = check(log.evidence(again.issue.cert_key))
    assert proven.issued == again.statement and proven.terms == one.filing


def test_every_bit_of_an_answer_counts() -> None:
    """One bit flipped in every byte of two answers: nothing holds, but for what turns the auditor's line into that of
    somebody unknown, which is then missing."""
    for evidence in (LOG.evidence(P3, covered=LOG.seals[0]), LOG.evidence(octets("nobody"))):
        raw, true = format_evidence(evidence), check(evidence)
        for at in range(len(raw)):
            flipped = raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]
            try:
                proven = check(parse_evidence(flipped))
            except (Malformed, Unverified):
                continue
            if proven.state is None and proven.cert_key != true.cert_key:
                continue  # nobody has that one either; callers compare the cert key with the one they asked for
            assert proven.opened.auditor_time_s is None, f"byte {at} does not count"
            assert replace(proven, opened=true.opened) == true


def test_parts_of_two_answers_do_not_mix() -> None:
    names = [name for name in Evidence.__slots__ if name != "checkpoint"]
    answers = [LOG.evidence(key, covered=covered) for key in (P3, P5, Q, octets("x")) for covered in LOG.seals[:2]]
    answers += [LOG.evidence(key) for key in (P3, P5, Q, octets("x"))]
    truths = {format_evidence(answer) for answer in answers}
    held = 0
    for one in answers:
        for other in answers:
            for name in names:
                try:
                    mixed = replace(one, **{name: getattr(other, name)})
                    proven = check(mixed)
                except (Malformed, Unverified):
                    continue
                # What may be left out may be left out; nothing else changes and still holds.
                assert format_evidence(mixed) in truths or name in ("terms", "highest"), name
                assert proven.state is None or proven.state.encode() == one.state
                held += 1
    assert held > len(answers) * len(names)


def test_absence_of_a_thousand_unknown_keys_and_of_no_known_one() -> None:
    for at in range(1000):
        proven = check(replace(LOG.evidence(octets(f"unknown {at}")), checkpoint=_NOTE))
        assert proven.state is None
    absent = [LOG.evidence(octets(f"unknown {at}")) for at in range(50)]
    for known in (P3, P5, Q):
        for evidence in absent:
            with pytest.raises(Unverified):
                check(replace(evidence, cert_key=known))


_NOTE = LOG.checkpoint()


def test_the_policy_and_keys_are_the_callers() -> None:
    evidence = LOG.evidence(P3)
    with pytest.raises(Unverified):
        verify_stapled(evidence, "another.example/log", KEYS, WITNESSES)
    with pytest.raises(Unverified):
        verify_stapled(evidence, ORIGIN, (replace(LOG_KEY, public=octets("other key")),), WITNESSES)
    with pytest.raises(Unverified):
        verify_stapled(replace(evidence, checkpoint=LOG.checkpoint(witnesses=1)), ORIGIN, KEYS, WITNESSES)
    with pytest.raises(Unverified):
        verify_evidence(evidence, ORIGIN, KEYS, WITNESSES)  # a log key that carries no time
    alone = verify_stapled(evidence, ORIGIN, KEYS, NO_WITNESSES)
    assert alone.opened.time_s == alone.seal.time // 1000, "nobody says when, but its seal was there then"
    with pytest.raises(Unverified):
        verify_stapled(evidence, ORIGIN, KEYS, WITNESSES, latest_s=LOG.time // 1000)
    unaudited = replace(evidence, checkpoint=LOG.checkpoint(auditor=False))
    assert check(unaudited).opened.auditor_time_s is None
    assert check(evidence).opened.auditor_time_s is not None
    opened = open_cosigned(LOG.checkpoint(auditor=False), ORIGIN, KEYS, POLICY, (AUDITOR_KEY,), undated_s=1)
    with pytest.raises(Unverified):
        prove_under(evidence, opened)


def test_a_seal_that_was_checked_serves_what_has_the_same_one_byte_for_byte() -> None:
    note, (first, second) = LOG.checkpoint(), LOG.seals[:2]
    opened = open_cosigned(note, ORIGIN, KEYS, POLICY, (AUDITOR_KEY,), undated_s=1)
    older, other, later = (
        replace(LOG.evidence(key, covered=covered), checkpoint=note)
        for key, covered in ((P3, first), (Q, first), (P3, second))
    )
    sealed = seal_under(older, opened)
    for evidence in (older, other):
        assert prove_in(evidence, sealed) == prove_under(evidence, opened)
    wrong = (
        later,
        replace(older, checkpoint=LOG.checkpoint(auditor=False)),
        replace(older, seal=Placed(older.seal.entry, ())),
        replace(older, next=later.next),
        replace(older, next=None),
    )
    for evidence in wrong:
        with pytest.raises(Unverified):
            prove_in(evidence, sealed)


def test_days() -> None:
    first, second, third = LOG.seals[:3]
    day = batch_day(TIME)
    with pytest.raises(Unverified):
        check(LOG.evidence(P3, covered=first)).check_day(day)  # the second batch is of the same day
    check(LOG.evidence(P3, covered=second)).check_day(day)
    for other in (day - 1, day + 1):
        with pytest.raises(Unverified):
            check(LOG.evidence(P3, covered=second)).check_day(other)
    check(LOG.evidence(P3, covered=third)).check_day(day + 1)
    with pytest.raises(Unverified):
        check(LOG.evidence(P3, covered=third)).check_day(day)
    newest = batch_day(LOG.time)
    check(LOG.evidence(P3)).check_day(newest)
    for other in (newest - 1, newest + 1):
        with pytest.raises(Unverified):
            check(LOG.evidence(P3)).check_day(other)


def test_a_seal_of_nothing_like_its_place_is_refused() -> None:
    evidence = LOG.evidence(P3)
    seal = Seal(LOG.seals[-1], LOG.time, octets("another map"), 1, octets("chain"), LOG.seals[-2]).encode()
    with pytest.raises(Unverified):
        check(replace(evidence, seal=Placed(seal, evidence.seal.inclusion)))


def test_a_signature_under_another_key_than_the_states_is_refused() -> None:
    """A log that admitted a statement nobody signed: map, seal and checkpoint agree, the signature does not."""
    log = SealedLog()
    one = body().certificate("p3", grade=3, person="p")
    entry = one.statement.entry
    forged = renewed(one.statement, entry=entry[:-1] + bytes([entry[-1] ^ 1]))
    ruler = authority()
    log.batch([ruler.sign(ruler.genesis), ruler.sign(body().filing)])
    log.batch([forged], TIME + DAY_MS // 2)
    with pytest.raises(Unverified, match="signature"):
        check(log.evidence(one.issue.cert_key))

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.dates import FIRST_DAY, LAST_DAY
from ledger.records.kinds import Kind, Reason
from ledger.records.life import (
    MAX_LISTED,
    Correct,
    EndAppointment,
    Listed,
    Range,
    Ruling,
    parse_correct,
    parse_end_appointment,
    parse_ruling,
)
from ledger.records.secret import subject_of
from ledger.records.statements import parse_statement
from tests.support.builders import DAY, NUMBER, make_authority, make_body, octets, ruling
from tests.support.parsing import check_prefixes, check_statement, check_strict, sign_alone, sign_as_authority

AUTHORITY, BODY = make_authority(), make_body()
KEYS = st.binary(min_size=32, max_size=32)
DAYS = st.integers(FIRST_DAY, LAST_DAY)
ISSUERS = st.sampled_from(["", NUMBER])
INDEX = st.integers(0, 2**63 - 1)
WHOM = st.one_of(
    st.sets(KEYS, min_size=1, max_size=8).map(lambda keys: Listed(tuple(sorted(keys)))),
    st.tuples(INDEX, INDEX).map(lambda ends: Range(NUMBER, min(ends), max(ends))),
)
RULINGS = st.builds(
    Ruling, st.sampled_from([Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE]), WHOM, st.sampled_from(Reason), DAYS, ISSUERS
)
CORRECTS = st.builds(
    Correct,
    KEYS,
    st.sampled_from(Reason),
    DAYS,
    KEYS,
    KEYS,
    st.just(b"") | st.binary(min_size=16, max_size=16),
    ISSUERS,
)
ENDS = st.builds(EndAppointment, KEYS, st.sampled_from(Reason), DAYS, st.just(NUMBER))
A, B = sorted((octets("a"), octets("b")))
ONE = Ruling(Kind.SUSPEND, Listed((A,)), Reason.FRAUD, DAY)
MANY = replace(ONE, whom=Listed((A, B)))
SWEEP = replace(ONE, whom=Range(NUMBER, 3, 9))
CORRECT = Correct(A, Reason.NAME_CHANGED, DAY, octets("face"), octets("rest"), octets("track", 16))
END = EndAppointment(A, Reason.POST_ENDED, DAY, NUMBER)


@given(RULINGS)
def test_rulings_round_trip(body: Ruling) -> None:
    assert parse_ruling(body.issuer, body.subject, dict(body.as_map())) == body
    check_statement(BODY.sign(body), replace(body, issuer=NUMBER))
    check_statement(AUTHORITY.sign(body), replace(body, issuer=""))


@given(CORRECTS)
def test_corrections_round_trip(body: Correct) -> None:
    assert parse_correct(body.issuer, body.subject, dict(body.as_map())) == body
    assert (11 in body.as_map()) == bool(body.track_id)
    check_statement(BODY.sign(body), replace(body, issuer=NUMBER))
    check_statement(AUTHORITY.sign(body), replace(body, issuer=""))


@given(ENDS)
def test_ends_round_trip(body: EndAppointment) -> None:
    assert parse_end_appointment(body.issuer, body.subject, dict(body.as_map())) == body
    check_statement(BODY.sign(body), body)


@pytest.mark.parametrize("body", [ONE, MANY, SWEEP], ids=["one", "list", "range"])
def test_a_ruling_is_read_strictly(body: Ruling) -> None:
    check_strict(lambda fields: parse_ruling(body.issuer, body.subject, fields), body.as_map(), {2, 3})
    check_prefixes(BODY.sign(body).entry)


def test_a_correction_is_read_strictly() -> None:
    check_strict(lambda fields: parse_correct("", CORRECT.subject, fields), CORRECT.as_map(), {11})
    check_prefixes(BODY.sign(CORRECT).entry)
    with pytest.raises(Malformed):
        parse_correct("", CORRECT.subject, {**CORRECT.as_map(), 11: b""})


def test_an_end_is_read_strictly() -> None:
    check_strict(lambda fields: parse_end_appointment(NUMBER, END.subject, fields), END.as_map(), set())
    check_prefixes(BODY.sign(END).entry)


def test_a_list_of_one_has_another_spelling() -> None:
    fields = {**ONE.as_map(), 2: [A]}
    for subject in ("list", subject_of(A)):
        with pytest.raises(Malformed):
            parse_statement(sign_alone(fields, NUMBER, subject))
        with pytest.raises(Malformed):
            parse_statement(sign_as_authority(fields, AUTHORITY, subject))


@pytest.mark.parametrize(
    "keys",
    [(B, A), (A, A), (A, B[:31]), (A, 7), tuple(octets(str(at)) for at in range(3))[::-1] * 2],
    ids=["falling", "twice", "short", "a number", "many falling"],
)
def test_a_list_is_sorted_cert_keys(keys: tuple[Any, ...]) -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_alone({**ONE.as_map(), 2: list(keys)}, NUMBER, "list"))


def test_a_list_holds_200() -> None:
    keys = sorted(octets(f"cert {at}") for at in range(MAX_LISTED + 1))
    full = BODY.sign(replace(ONE, whom=Listed(tuple(keys[:MAX_LISTED]))))
    assert len(full.entry) <= 8192
    with pytest.raises(Malformed):
        Listed(tuple(keys))
    with pytest.raises(Malformed):
        Listed(())


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        (ONE, subject_of(B)),
        (ONE, "list"),
        (ONE, NUMBER),
        (MANY, subject_of(A)),
        (MANY, NUMBER),
        (SWEEP, "list"),
        (SWEEP, "S000151000999"),
        (SWEEP, subject_of(A)),
        (CORRECT, subject_of(A) + "="),
        (CORRECT, "list"),
        (END, NUMBER),
    ],
)
def test_the_subject_is_that_of_the_content(body: Any, subject: str) -> None:
    """One cert key more or fewer, a list or a range: the subject says which, in one spelling."""
    entries = [sign_alone(body.as_map(), NUMBER, subject)]
    if body is not END:
        entries.append(sign_as_authority(body.as_map(), AUTHORITY, subject))
    for entry in entries:
        try:
            read: Any = parse_statement(entry).body
        except Malformed:
            continue
        assert read.whom == Listed((B,)), "the subject itself names one certificate"


def test_an_end_is_by_the_employer_only() -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_as_authority(END.as_map(), AUTHORITY, END.subject))


def test_an_issuer_rules_over_its_own_number_and_a_range_rises() -> None:
    with pytest.raises(Malformed):
        replace(SWEEP, issuer="S000151000999")
    with pytest.raises(Malformed):
        parse_statement(sign_alone(SWEEP.as_map(), "S000151000999", NUMBER))
    for first, last in ((5, 4), (-1, 4), (0, 2**63)):
        with pytest.raises(Malformed):
            Range(NUMBER, first, last)
    with pytest.raises(Malformed):
        Range("7", 0, 1)


@pytest.mark.parametrize("kind", [Kind.ISSUE, Kind.CORRECT, Kind.CLAIM])
def test_a_ruling_is_one_of_three(kind: Kind) -> None:
    with pytest.raises(Malformed):
        ruling(kind, A)


@pytest.mark.parametrize("reason", [0, 14, 98, 100, -1])
def test_an_unknown_reason(reason: int) -> None:
    for body in (ONE, CORRECT, END):
        with pytest.raises(Malformed):
            parse_statement(sign_alone({**body.as_map(), 4: reason}, NUMBER, body.subject))


@pytest.mark.parametrize("changes", [{"face": bytes(31)}, {"rest": b""}, {"track_id": bytes(15)}, {"cert_key": b"a"}])
def test_digests_keys_and_tracks_have_their_lengths(changes: dict[str, bytes]) -> None:
    with pytest.raises(Malformed):
        replace(CORRECT, **changes)  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        replace(END, cert_key=bytes(31))

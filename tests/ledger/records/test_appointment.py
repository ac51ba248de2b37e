from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.appointment import Appoint, parse_appoint
from ledger.records.dates import LAST_DAY
from ledger.records.kinds import Kind
from ledger.records.permit import PermitProof
from ledger.records.statements import parse_statement
from tests.support.builders import DAY, NUMBER, make_authority, make_body, octets
from tests.support.parsing import check_prefixes, check_statement, check_strict, sign_alone, sign_as_authority

BODY = make_body(grants=(7, 8))
POST = replace(BODY.post("t").appoint, trade="数控车工", last_day=DAY + 9)
KEYS = st.binary(min_size=32, max_size=32)
PERMITS = st.builds(PermitProof, KEYS, st.integers(0, 2**20 - 1), st.lists(KEYS, max_size=20).map(tuple))


@st.composite
def posts(draw: st.DrawFn) -> Appoint:
    first, length = draw(st.integers(1, LAST_DAY)), draw(st.none() | st.integers(0, 4000))
    stands_on: dict[str, Any] = draw(
        st.one_of(KEYS.map(lambda key: {"prerequisite": key}), PERMITS.map(lambda proof: {"permit": proof}))
    )
    return Appoint(
        cert_key=draw(KEYS),
        filing_number=NUMBER,
        occupation=draw(st.from_regex(r"[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}", fullmatch=True)),
        trade=draw(st.text("数控车工", max_size=64)),
        grade=draw(st.sampled_from([7, 8])),
        issue_day=draw(st.integers(0, LAST_DAY)),
        first_day=first,
        last_day=0 if length is None else min(first + length, LAST_DAY),
        basis=draw(st.text("示例聘〔2026〕1号", min_size=1, max_size=64)),
        track_id=draw(st.binary(min_size=16, max_size=16)),
        face=draw(KEYS),
        rest=draw(KEYS),
        **stands_on,
    )


@given(posts())
def test_posts_round_trip(post: Appoint) -> None:
    read = post.as_map()
    assert parse_appoint(NUMBER, post.cert_key, dict(read)) == post
    assert [at in read for at in (3, 8, 15, 16)] == [
        bool(post.trade),
        bool(post.last_day),
        bool(post.prerequisite),
        post.permit is not None,
    ]
    signed = BODY.post("t", **{field.name: getattr(post, field.name) for field in fields(Appoint)}).statement
    check_statement(signed, post)


def test_a_post_is_read_strictly() -> None:
    def parse(read: dict[int, Any]) -> Appoint:
        return parse_appoint(NUMBER, POST.cert_key, read)

    check_strict(parse, POST.as_map(), {3, 8})
    permitted = replace(POST, prerequisite=b"", permit=PermitProof(octets("permit"), 1, (octets("path"),)))
    check_strict(parse, permitted.as_map(), {3, 8})
    check_prefixes(BODY.post("t").statement.entry)
    for empty in ({3: ""}, {8: 0}, {15: b""}):
        with pytest.raises(Malformed):
            parse({**POST.as_map(), **empty})


@pytest.mark.parametrize(
    "changes",
    [
        {"grade": 6},
        {"grade": 9},
        {"occupation": "6-18-01"},
        {"issue_day": -1},
        {"first_day": 0},
        {"last_day": POST.first_day - 1},
        {"trade": "数" * 65},
        {"trade": "数控\n车工"},
        {"basis": ""},
        {"basis": "x" * 65},
        {"track_id": bytes(15)},
        {"face": bytes(31)},
        {"rest": b""},
        {"cert_key": bytes(33)},
        {"prerequisite": bytes(31)},
        {"prerequisite": b""},  # neither a certificate nor a permit
        {"permit": PermitProof(bytes(32), 0, ())},  # both
    ],
    ids=str,
)
def test_what_no_post_is(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(POST, **changes)


def test_it_is_signed_by_one_body_about_one_cert_key() -> None:
    signed = BODY.post("t")
    assert signed.statement.kind is Kind.APPOINT and signed.statement.envelope.issuer == NUMBER
    with pytest.raises(Malformed):
        parse_statement(sign_as_authority(POST.as_map(), make_authority(), POST.subject))
    for subject in ("list", NUMBER, POST.subject + "="):
        with pytest.raises(Malformed):
            parse_statement(sign_alone(POST.as_map(), NUMBER, subject))


def test_its_own_dates_say_when_it_is_held() -> None:
    assert [POST.runs(day) for day in (DAY - 1, DAY, DAY + 9, DAY + 10)] == [False, True, True, False]
    assert replace(POST, last_day=0).runs(DAY + 10_000)


def test_a_post_replaces_nothing_and_always_has_a_person() -> None:
    assert POST.replaces == b"" and POST.person_unlinked is False

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.dates import FIRST_DAY, LAST_DAY
from ledger.records.rotation import AuthorityChange, LogKey, parse_authority_change, parse_log_key
from ledger.records.statements import parse_statement
from ledger.tlog.keys import ML_DSA_44_PUBLIC_BYTES
from tests.support.builders import DAY, NUMBER, make_authority, octets
from tests.support.parsing import check_prefixes, check_statement, check_strict, sign_alone, sign_as_authority

AUTHORITY = make_authority()
DAYS = st.integers(FIRST_DAY, LAST_DAY)
PEOPLE = st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=16).map(lambda keys: tuple(sorted(keys)))
CHANGES = PEOPLE.flatmap(lambda keys: st.builds(AuthorityChange, st.just(keys), st.integers(1, len(keys)), DAYS))
NEW_KEYS = st.builds(
    LogKey,
    DAYS,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=ML_DSA_44_PUBLIC_BYTES, max_size=ML_DSA_44_PUBLIC_BYTES),
)
ENDS = st.builds(
    lambda day, name: LogKey(day, successor=name), DAYS, st.from_regex(r"[a-z.]{1,40}/20[0-9]{2}", fullmatch=True)
)
CHANGE = AuthorityChange(tuple(sorted((octets("a"), octets("b")))), 2, DAY)
KEYS = LogKey(DAY, octets("ed25519"), bytes(ML_DSA_44_PUBLIC_BYTES))
END = LogKey(DAY, successor="log.test.example/2027")


@given(CHANGES)
def test_changes_round_trip(body: AuthorityChange) -> None:
    assert parse_authority_change(dict(body.as_map())) == body
    check_statement(AUTHORITY.sign(body), body)


@given(NEW_KEYS | ENDS)
def test_log_keys_round_trip(body: LogKey) -> None:
    assert parse_log_key(dict(body.as_map())) == body
    check_statement(AUTHORITY.sign(body), body)


@pytest.mark.parametrize(
    ("parse", "body"),
    [(parse_authority_change, CHANGE), (parse_log_key, KEYS), (parse_log_key, END)],
    ids=["people", "keys", "end"],
)
def test_both_are_read_strictly(parse: Any, body: Any) -> None:
    check_strict(parse, body.as_map(), set())
    check_prefixes(AUTHORITY.sign(body).entry)


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": CHANGE.keys[::-1]},
        {"keys": CHANGE.keys[:1] * 2},
        {"keys": (), "threshold": 1},
        {"keys": (bytes(31),), "threshold": 1},
        {"threshold": 0},
        {"threshold": 3},
        {"day": LAST_DAY + 1},
        {"keys": tuple(sorted(octets(str(at)) for at in range(17)))},
    ],
    ids=str,
)
def test_people_are_sorted_distinct_and_at_least_the_threshold(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(CHANGE, **changes)


@pytest.mark.parametrize(
    ("ed25519", "ml_dsa_44", "successor"),
    [
        (b"", b"", ""),
        (bytes(32), b"", ""),
        (b"", bytes(ML_DSA_44_PUBLIC_BYTES), ""),
        (bytes(31), bytes(ML_DSA_44_PUBLIC_BYTES), ""),
        (bytes(32), bytes(ML_DSA_44_PUBLIC_BYTES - 1), ""),
        (bytes(32), bytes(ML_DSA_44_PUBLIC_BYTES), "log.test.example/2027"),
        (bytes(32), b"", "log.test.example/2027"),
        (b"", b"", "a name with blanks"),
        (b"", b"", "日志"),
        (b"", b"", "a+b"),
    ],
)
def test_a_log_gets_both_keys_or_a_successor(ed25519: bytes, ml_dsa_44: bytes, successor: str) -> None:
    with pytest.raises(Malformed):
        LogKey(DAY, ed25519, ml_dsa_44, successor)


@pytest.mark.parametrize("body", [CHANGE, KEYS, END], ids=["people", "keys", "end"])
def test_they_are_the_authoritys_under_the_kinds_name(body: Any) -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_alone(body.as_map(), NUMBER, body.subject))
    for subject in ("genesis", "", "log_key", body.subject + "s"):
        with pytest.raises(Malformed):
            parse_statement(sign_as_authority(body.as_map(), AUTHORITY, subject))

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.dates import FIRST_DAY, LAST_DAY
from ledger.records.kinds import Reason
from ledger.records.permit import (
    MAX_PERMITTED,
    PERMIT_KEY,
    LatePermit,
    PermitProof,
    parse_late_permit,
    parse_permit_proof,
    permit_root,
    permitted_hash,
    prove_permitted,
    verify_permitted,
)
from ledger.records.statements import parse_statement
from tests.support import slow_tree
from tests.support.builders import DAY, NUMBER, make_authority, make_body, octets
from tests.support.parsing import check_prefixes, check_statement, check_strict, sign_alone

AUTHORITY = make_authority()
KEYS = st.binary(min_size=32, max_size=32)
DAYS = st.integers(FIRST_DAY, LAST_DAY)
PERMITS = st.builds(
    lambda days, **values: LatePermit(NUMBER, first_day=min(days), last_day=max(days), **values),
    days=st.tuples(DAYS, DAYS),
    reason=st.sampled_from(Reason),
    root=KEYS,
    count=st.integers(1, MAX_PERMITTED),
)
PERMIT = LatePermit(NUMBER, Reason.OTHER, DAY - 300, DAY - 200, octets("root"), 7)
PROOF = PermitProof(octets("permit"), 3, (octets("a"), octets("b")))


def hashes(count: int) -> list[bytes]:
    return [octets(f"permitted {at}") for at in range(count)]


@given(PERMITS)
def test_permits_round_trip(body: LatePermit) -> None:
    assert parse_late_permit(dict(body.as_map())) == body
    check_statement(AUTHORITY.sign(body), body)


def test_a_permit_is_read_strictly() -> None:
    check_strict(parse_late_permit, PERMIT.as_map(), set())
    check_prefixes(AUTHORITY.sign(PERMIT).entry)


def test_only_the_authority_permits() -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_alone(PERMIT.as_map(), NUMBER, PERMIT.subject))


@pytest.mark.parametrize(
    "changes",
    [{"number": "7"}, {"last_day": PERMIT.first_day - 1}, {"root": bytes(31)}, {"count": 0}, {"count": 2**20 + 1}],
    ids=str,
)
def test_what_no_permit_is(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(PERMIT, **changes)


@given(st.builds(PermitProof, KEYS, st.integers(0, 2**20 - 1), st.lists(KEYS, max_size=20).map(tuple)))
def test_proofs_round_trip(proof: PermitProof) -> None:
    assert parse_permit_proof(canonical.decode(canonical.encode(proof.as_value()))) == proof


@pytest.mark.parametrize(
    "value",
    [
        0,
        [],
        [bytes(31), 0, []],
        [bytes(32), -1, []],
        [bytes(32), 2**20, []],
        [bytes(32), 0, [bytes(31)]],
        [bytes(32), 0, [7]],
        [bytes(32), 0, [bytes(32)] * 21],
        [bytes(32), 0, [], 0],
        [bytes(32), "0", []],
    ],
    ids=str,
)
def test_what_no_proof_is(value: Any) -> None:
    with pytest.raises(Malformed):
        parse_permit_proof(value)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_each_statement_of_a_permit_is_proven_and_nothing_else(count: int) -> None:
    listed = hashes(count)
    assert permit_root(listed) == slow_tree.root([slow_tree.leaf(item) for item in listed])
    permit = replace(PERMIT, root=permit_root(listed), count=count)
    for at, item in enumerate(listed):
        proof = prove_permitted(listed, at, octets("permit"))
        assert proof.permit == octets("permit") and proof.position == at
        verify_permitted(permit, proof, item)
        wrong = [
            (permit, replace(proof, position=at ^ 1), item),
            (permit, proof, octets("other")),
            (replace(permit, root=octets("other")), proof, item),
            (permit, replace(proof, path=(*proof.path, bytes(32))), item),
            *((permit, replace(proof, path=proof.path[:cut]), item) for cut in range(len(proof.path))),
        ]
        for bad_permit, bad_proof, bad_item in wrong:
            with pytest.raises(Unverified):
                verify_permitted(bad_permit, bad_proof, bad_item)


def test_the_permitted_hash_is_over_filing_cert_key_and_payload_without_the_proof() -> None:
    issue = make_body().certificate("a").issue
    fields = issue.as_map()
    expected = sha256(b"certledger/permitted/v1\n" + cbor2.dumps([NUMBER, issue.cert_key, fields])).digest()
    assert permitted_hash(NUMBER, issue.cert_key, fields) == expected
    assert permitted_hash(NUMBER, issue.cert_key, replace(issue, permit=PROOF).as_map()) == expected
    assert PERMIT_KEY in replace(issue, permit=PROOF).as_map()
    others = {
        permitted_hash("S000151000999", issue.cert_key, fields),
        permitted_hash(NUMBER, octets("other"), fields),
        permitted_hash(NUMBER, issue.cert_key, {**fields, 4: 5}),
    }
    assert expected not in others and len(others) == 3

"""The proposal file: what is written is read back, and nothing else is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.proposal import MAX_PROPOSAL, format_proposal, read_proposal
from ledger.records.statements import Proposal, propose
from tests.support.builders import ORIGIN, make_body

PROPOSAL = propose(ORIGIN, make_body().filing)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_bytes_to_sign_survive_the_journey(protected: bytes, payload: bytes) -> None:
    proposal = Proposal(protected, payload)
    assert read_proposal(format_proposal(proposal)) == proposal


@pytest.mark.parametrize("member", ["format", "protected", "payload", "sha256"])
@pytest.mark.parametrize("value", [None, 1, "", "?", "AAAA", "00" * 32])
def test_every_member_is_checked(member: str, value: object) -> None:
    document = json.loads(format_proposal(PROPOSAL))
    document[member] = value
    with pytest.raises(Malformed):
        read_proposal(json.dumps(document).encode())
    del document[member]
    with pytest.raises(Malformed):
        read_proposal(json.dumps(document).encode())


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"\xff", b"{" * 9, b"[" * 50_000, b'{"format":"certledger/signature/v1"}']
)
def test_what_is_no_proposal(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_proposal(raw)


def test_a_file_has_a_limit() -> None:
    raw = format_proposal(PROPOSAL)
    assert read_proposal(raw + b" " * (MAX_PROPOSAL - len(raw))) == PROPOSAL
    with pytest.raises(Malformed):
        read_proposal(raw + b" " * (MAX_PROPOSAL - len(raw) + 1))

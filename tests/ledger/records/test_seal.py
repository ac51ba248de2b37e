from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.records.seal import CHAIN_START, Seal, extend_chain, is_seal, parse_seal, verify_seal_of
from tests.support.builders import make_authority, make_body, octets
from tests.support.make_vectors import VECTORS, vector_text

SEAL = Seal(7, 1_779_854_400_000, octets("root"), 3, octets("chain"), 4)
BYTES32 = st.binary(min_size=32, max_size=32)
SEALS = st.integers(0, 2**63).flatmap(
    lambda covered: st.builds(
        Seal,
        st.just(covered),
        st.integers(0, 2**63),
        BYTES32,
        st.integers(0, 2**63),
        BYTES32,
        st.integers(-1, covered - 1),
    )
)


@given(SEALS)
def test_encode_and_parse_are_inverses(seal: Seal) -> None:
    assert parse_seal(seal.encode()) == seal
    assert is_seal(seal.encode())


def test_the_array_is_the_one_of_the_design() -> None:
    expected = ["certledger/seal/v1", 7, SEAL.time, SEAL.map_root, 3, SEAL.chain, 4]
    assert cbor2.loads(SEAL.encode()) == expected


def test_every_prefix_is_malformed_and_every_flip_is_another_seal_or_malformed() -> None:
    raw = SEAL.encode()
    for at in range(len(raw)):
        with pytest.raises(Malformed):
            parse_seal(raw[:at])
        for bit in (1, 64, 128):
            changed = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
            try:
                assert parse_seal(changed) != SEAL
            except Malformed:
                continue
    with pytest.raises(Malformed):
        parse_seal(raw + b"\0")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "certledger/seal/v2"),
        (0, b"certledger/seal/v1"),
        (1, -1),
        (1, 4),
        (1, "7"),
        (2, -1),
        (2, 1.0),
        (3, bytes(31)),
        (3, "r"),
        (4, -1),
        (5, bytes(33)),
        (6, -2),
        (6, 7),
        (6, None),
    ],
)
def test_values_out_of_range_are_malformed(at: int, value: Any) -> None:
    parts = cbor2.loads(SEAL.encode())
    parts[at] = value
    with pytest.raises(Malformed):
        parse_seal(cbor2.dumps(parts))


def test_other_lengths_are_malformed() -> None:
    parts = cbor2.loads(SEAL.encode())
    for other in (parts[:6], [*parts, 0], {1: 1}, []):
        with pytest.raises(Malformed):
            parse_seal(cbor2.dumps(other))


def test_statements_are_not_seals_and_seals_are_not_statements() -> None:
    authority = make_authority()
    for statement in (authority.sign(authority.genesis), make_body().certificate("a").statement):
        assert not is_seal(statement.entry)
        with pytest.raises(Malformed):
            parse_seal(statement.entry)
    assert not is_seal(b"")


def test_rule_r1_the_last_leaf_covers_all_before_it() -> None:
    assert verify_seal_of(SEAL.encode(), 8) == SEAL
    for size in (0, 1, 6, 7, 9, 2**40):
        with pytest.raises(Unverified):
            verify_seal_of(SEAL.encode(), size)


def test_the_first_seal_has_no_seal_before_it() -> None:
    first = replace(SEAL, covered=0, previous=-1)
    assert parse_seal(first.encode()) == first
    with pytest.raises(Malformed):
        replace(SEAL, covered=0, previous=0)


@given(st.lists(BYTES32, max_size=12), st.integers(0, 12))
def test_the_chain_is_ten_lines_and_can_start_anywhere(leaves: list[bytes], cut: int) -> None:
    chain, expected = bytes(32), []
    for leaf in leaves:
        chain = sha256(b"certledger/chain/v1\n" + chain + leaf).digest()
        expected.append(chain)
    assert extend_chain(CHAIN_START, leaves) == expected
    head = extend_chain(CHAIN_START, leaves[:cut])
    assert head + extend_chain(head[-1] if head else CHAIN_START, leaves[cut:]) == expected


def test_a_changed_dropped_or_swapped_leaf_changes_the_head() -> None:
    leaves = [octets(str(at)) for at in range(5)]
    heads = {extend_chain(CHAIN_START, leaves)[-1]}
    heads |= {extend_chain(CHAIN_START, leaves[:at] + leaves[at + 1 :])[-1] for at in range(5)}
    heads |= {extend_chain(CHAIN_START, [*leaves[:at], octets("x"), *leaves[at + 1 :]])[-1] for at in range(5)}
    heads |= {
        extend_chain(CHAIN_START, [*leaves[:at], *leaves[at : at + 2][::-1], *leaves[at + 2 :]])[-1] for at in range(4)
    }
    assert len(heads) == 1 + 5 + 5 + 4


def test_the_vectors_are_current_and_hold() -> None:
    written = (VECTORS / "seal.json").read_text(encoding="utf-8")
    assert written == vector_text("seal"), "run python -m tests.support.make_vectors"
    vectors = json.loads(written)
    leaves = [bytes.fromhex(leaf) for leaf in vectors["leaf_hashes"]]
    assert [value.hex() for value in extend_chain(CHAIN_START, leaves)] == vectors["chain"]
    for case in vectors["seals"]:
        seal = verify_seal_of(bytes.fromhex(case["entry"]), case["covered"] + 1)
        assert (seal.time, seal.map_count, seal.previous) == (case["time"], case["map_count"], case["previous"])
        assert (seal.map_root.hex(), seal.chain.hex()) == (case["map_root"], case["chain"])
        assert seal.chain.hex() == vectors["chain"][seal.covered - 1]

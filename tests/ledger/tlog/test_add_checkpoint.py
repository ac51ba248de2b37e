"""The witness protocol's texts: one spelling each way, everything else refused, nothing verified."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog.add_checkpoint import (
    ANSWER_CEILING,
    MAX_PROOF,
    REQUEST_CEILING,
    AddCheckpoint,
    checkpoint_path,
    format_add_checkpoint,
    format_cosignatures,
    format_size,
    parse_add_checkpoint,
    parse_cosignatures,
    parse_size,
)
from ledger.tlog.note import NoteSignature

NODES = st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF).map(tuple)
SIGNATURE = NoteSignature("w.example", b"abcd", bytes(72))


@given(st.integers(0, 2**63 - 1), NODES, st.binary(min_size=1, max_size=400))
def test_a_request_comes_back_as_it_was(old: int, proof: tuple[bytes, ...], note: bytes) -> None:
    request = AddCheckpoint(old, proof, note)
    raw = format_add_checkpoint(request)
    assert parse_add_checkpoint(raw) == request
    assert format_add_checkpoint(parse_add_checkpoint(raw)) == raw


def test_a_request_looks_as_the_specification_shows() -> None:
    raw = format_add_checkpoint(AddCheckpoint(20852163, (bytes(32),), b"example.com/log\n1\n"))
    assert raw == b"old 20852163\n" + b"A" * 43 + b"=\n\nexample.com/log\n1\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"old 5\n",
        b"old 5\nnote",
        b"old 05\n\nnote",
        b"old -1\n\nnote",
        b"old 9223372036854775808\n\nnote",
        b"Old 5\n\nnote",
        b"old 5 \n\nnote",
        b"old 5\r\n\r\nnote",
        b"old 5\n\n",
        b"old 5\nAAAA\n\nnote",
        b"old 5\n" + b"A" * 43 + b"\n\nnote",
        b"old 5\n" + b"A" * 42 + b"B=\n\nnote",  # stray bits
        b"old 5\n" + (b"A" * 43 + b"=\n") * (MAX_PROOF + 1) + b"\nnote",
        "old ５\n\nnote".encode(),
        b"old 5\n\n" + b"x" * REQUEST_CEILING,
    ],
)
def test_another_request_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_add_checkpoint(raw)


def test_signature_lines_come_back() -> None:
    for count in (1, 2, 64):
        lines = (SIGNATURE,) * count
        assert parse_cosignatures(format_cosignatures(lines)) == lines


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"garbage\n",
        format_cosignatures((SIGNATURE,))[:-1],
        format_cosignatures((SIGNATURE,)) + b"\n",
        b"\n" + format_cosignatures((SIGNATURE,)),
        b"note\n\n" + format_cosignatures((SIGNATURE,)),
        format_cosignatures((SIGNATURE,) * 65),
        b"\xff\xfe\n",
        b"\xe2\x80\x94" + b"x" * ANSWER_CEILING,
    ],
)
def test_another_answer_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_cosignatures(raw)


@given(st.integers(0, 2**63 - 1))
def test_a_size_comes_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    "raw", [b"", b"5", b"5\n\n", b"05\n", b" 5\n", b"-5\n", b"5 \n", b"9" * 19 + b"\n", b"x\n", b"5\n" * 90]
)
def test_another_size_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_size(raw)


def test_requests_hold_what_the_protocol_allows() -> None:
    for old, proof, note in (
        (-1, (), b"n"),
        (2**63, (), b"n"),
        (1, (b"short",), b"n"),
        (1, (bytes(32),) * 64, b"n"),
        (1, (), b""),
    ):
        with pytest.raises(Malformed):
            AddCheckpoint(old, proof, note)


def test_the_newest_checkpoint_lies_under_the_hash_of_the_origin() -> None:
    assert checkpoint_path("log.example/a") == sha256(b"log.example/a").hexdigest() + "/checkpoint"

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.records.receipt import MAX_RECEIPT, ReceiptOf, format_receipt, open_receipt, parse_receipt, sign_root
from ledger.tlog.keys import kid
from tests.support import slow_tree
from tests.support.builders import ORIGIN, key, octets

KEY = key("receipt")
ENTRIES = [b"entry %d" % at for at in range(11)]
LEAVES = [slow_tree.leaf(entry) for entry in ENTRIES]
SIGNATURE = sign_root(ORIGIN, slow_tree.root(LEAVES), KEY)


def receipt_of(index: int) -> ReceiptOf:
    path = tuple(slow_tree.inclusion(index, LEAVES))
    return ReceiptOf(ORIGIN, kid(KEY.public), len(LEAVES), index, path, SIGNATURE)


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_one_signature_serves_every_receipt(index: int) -> None:
    raw = format_receipt(receipt_of(index))
    assert parse_receipt(raw) == receipt_of(index)
    assert open_receipt(raw, ENTRIES[index], ORIGIN, KEY.public) == receipt_of(index)


def test_the_bytes_are_those_of_the_rfc() -> None:
    """RFC 9942: vds 395 = 1, vdp 396 = {-1: [bstr]}, detached payload; the header is that of docs/formats.md 11."""
    raw = format_receipt(receipt_of(3))
    assert raw[:2] == b"\xd2\x84"
    protected, unprotected, payload, signature = cbor2.loads(raw[1:])
    assert cbor2.loads(protected) == {1: -8, 4: kid(KEY.public), 15: {1: ORIGIN, 2: "checkpoint"}, 395: 1}
    assert payload is None and signature == SIGNATURE
    (proof,) = unprotected[396][-1]
    assert list(unprotected) == [396] and list(unprotected[396]) == [-1]
    assert cbor2.loads(proof) == [11, 3, slow_tree.inclusion(3, LEAVES)]


@pytest.mark.parametrize("other", [b"another entry", ENTRIES[4], b""])
def test_another_entry_is_not_shown(other: bytes) -> None:
    with pytest.raises(Unverified):
        open_receipt(format_receipt(receipt_of(3)), other, ORIGIN, KEY.public)


def test_another_log_key_index_or_tree_is_not_shown() -> None:
    raw = format_receipt(receipt_of(3))
    with pytest.raises(Unverified):
        open_receipt(raw, ENTRIES[3], "log.other.example/1", KEY.public)
    with pytest.raises(Unverified):
        open_receipt(raw, ENTRIES[3], ORIGIN, key("other").public)
    for change in ({"index": 2}, {"size": 20}, {"size": 4}, {"inclusion": receipt_of(2).inclusion}):
        with pytest.raises(Unverified):
            open_receipt(format_receipt(replace(receipt_of(3), **change)), ENTRIES[3], ORIGIN, KEY.public)  # type: ignore[arg-type]
    elsewhere = sign_root(ORIGIN, octets("other root"), KEY)
    with pytest.raises(Unverified):
        open_receipt(format_receipt(replace(receipt_of(3), signature=elsewhere)), ENTRIES[3], ORIGIN, KEY.public)


def test_every_byte_counts_but_for_a_size_of_the_same_shape() -> None:
    raw, true = format_receipt(receipt_of(5)), receipt_of(5)
    for at in range(len(raw)):
        for bit in (1, 128):
            flipped = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
            try:
                opened = open_receipt(flipped, ENTRIES[5], ORIGIN, KEY.public)
            except (Malformed, Unverified):
                continue
            assert opened.size != true.size and replace(opened, size=true.size) == true
    for end in range(len(raw)):
        with pytest.raises(Malformed):
            parse_receipt(raw[:end])


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_other_bytes_raise_anything_else(raw: bytes) -> None:
    for tried in (raw, b"\xd2" + raw):
        with pytest.raises(Malformed):
            parse_receipt(tried)


def test_other_spellings_are_refused() -> None:
    raw = format_receipt(receipt_of(3))
    protected, unprotected, payload, signature = cbor2.loads(raw[1:])
    (proof,) = unprotected[396][-1]
    for parts in (
        [protected, {396: {-1: [proof, proof]}}, payload, signature],
        [protected, {396: {-1: [proof], -2: []}}, payload, signature],
        [protected, {396: {-1: [proof]}, 4: b""}, payload, signature],
        [protected, unprotected, b"", signature],
        [protected, unprotected, payload, signature, 0],
        [protected + b"\0", unprotected, payload, signature],
        [protected, {396: {-1: [proof + b"\0"]}}, payload, signature],
    ):
        with pytest.raises(Malformed):
            parse_receipt(b"\xd2" + cbor2.dumps(parts))
    for bad in (raw[1:], b"\xd8\x12" + raw[1:], raw + b"\0", bytes(MAX_RECEIPT + 1)):
        with pytest.raises(Malformed):
            parse_receipt(bad)
    for change in ({"size": 3}, {"index": -1}, {"kid": b""}, {"signature": b""}, {"inclusion": (b"",)}, {"origin": ""}):
        with pytest.raises(Malformed):
            replace(receipt_of(3), **change)  # type: ignore[arg-type]

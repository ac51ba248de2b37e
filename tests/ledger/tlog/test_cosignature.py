from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.tlog.checkpoint_text import Checkpoint, format_checkpoint
from ledger.tlog.cosignature import (
    cosign_ed25519,
    cosign_ml_dsa_44,
    ed25519_message,
    ml_dsa_44_message,
    open_cosignature_ed25519,
    open_cosignature_ml_dsa_44,
)
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer

HEAD = Checkpoint("example.com/behind-the-sofa", 20852163, bytes(range(32)))
TEXT = format_checkpoint(HEAD)
TIME = 1679315147
ED25519 = Ed25519Signer(b"\x03" * 32)
ML_DSA = MlDsa44Signer(b"\x04" * 32)
NAME = "witness.example.com/w1"


def test_the_ed25519_message_is_the_published_one() -> None:
    assert ed25519_message(TEXT, TIME) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    )


def test_the_ml_dsa_message_is_the_published_structure() -> None:
    assert ml_dsa_44_message(NAME, HEAD, TIME) == (
        b"subtree/v1\n\x00"
        b"\x16witness.example.com/w1"
        b"\x00\x00\x00\x00\x64\x18\x50\xcb"
        b"\x1bexample.com/behind-the-sofa"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x01\x3e\x2d\xc3" + bytes(range(32))
    )


def test_blobs_have_the_published_lengths_and_begin_with_the_time() -> None:
    for blob, length in (
        (cosign_ed25519(ED25519, TEXT, TIME), 72),
        (cosign_ml_dsa_44(ML_DSA, NAME, HEAD, TIME), 2428),
    ):
        assert (len(blob), int.from_bytes(blob[:8], "big")) == (length, TIME)


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_sign_and_open(time_s: int, size: int) -> None:
    head = Checkpoint(HEAD.origin, size, HEAD.root)
    text = format_checkpoint(head)
    assert open_cosignature_ed25519(ED25519.public, text, cosign_ed25519(ED25519, text, time_s)) == time_s
    blob = cosign_ml_dsa_44(ML_DSA, NAME, head, time_s)
    assert open_cosignature_ml_dsa_44(ML_DSA.public, NAME, text, blob) == time_s


def test_every_byte_of_a_blob_counts() -> None:
    short = cosign_ed25519(ED25519, TEXT, TIME)
    for i in range(len(short)):
        with pytest.raises(Unverified):
            open_cosignature_ed25519(ED25519.public, TEXT, short[:i] + bytes([short[i] ^ 1]) + short[i + 1 :])
    long = cosign_ml_dsa_44(ML_DSA, NAME, HEAD, TIME)
    for i in [*range(8), *range(8, len(long), 101), len(long) - 1]:
        with pytest.raises(Unverified):
            open_cosignature_ml_dsa_44(ML_DSA.public, NAME, TEXT, long[:i] + bytes([long[i] ^ 1]) + long[i + 1 :])


def test_each_field_is_signed() -> None:
    blob = cosign_ml_dsa_44(ML_DSA, NAME, HEAD, TIME)
    short = cosign_ed25519(ED25519, TEXT, TIME)
    with pytest.raises(Unverified):
        open_cosignature_ml_dsa_44(ML_DSA.public, "witness.example.com/w2", TEXT, blob)
    for other in (
        Checkpoint("example.com/other", HEAD.size, HEAD.root),
        Checkpoint(HEAD.origin, HEAD.size + 1, HEAD.root),
        Checkpoint(HEAD.origin, HEAD.size, bytes(32)),
    ):
        with pytest.raises(Unverified):
            open_cosignature_ml_dsa_44(ML_DSA.public, NAME, format_checkpoint(other), blob)
        with pytest.raises(Unverified):
            open_cosignature_ed25519(ED25519.public, format_checkpoint(other), short)


@pytest.mark.parametrize("length", [0, 7, 8, 64, 71, 73, 2427, 2429])
def test_wrong_lengths(length: int) -> None:
    with pytest.raises(Unverified):
        open_cosignature_ed25519(ED25519.public, TEXT, b"\x01" * length)
    with pytest.raises(Unverified):
        open_cosignature_ml_dsa_44(ML_DSA.public, NAME, TEXT, b"\x01" * length)


@pytest.mark.parametrize("time_s", [0, -1, 2**63])
def test_times_out_of_range_are_not_signed(time_s: int) -> None:
    with pytest.raises(Malformed):
        cosign_ed25519(ED25519, TEXT, time_s)
    with pytest.raises(Malformed):
        cosign_ml_dsa_44(ML_DSA, NAME, HEAD, time_s)


@pytest.mark.parametrize("time_s", [0, 2**63, 2**64 - 1])
def test_times_out_of_range_are_not_read(time_s: int) -> None:
    with pytest.raises(Unverified):
        open_cosignature_ed25519(ED25519.public, TEXT, time_s.to_bytes(8, "big") + bytes(64))
    with pytest.raises(Unverified):
        open_cosignature_ml_dsa_44(ML_DSA.public, NAME, TEXT, time_s.to_bytes(8, "big") + bytes(2420))


def test_only_checkpoints_are_cosigned() -> None:
    for text in ("not a checkpoint\n", TEXT + "extension\n"):
        blob = cosign_ed25519(ED25519, text, TIME)
        with pytest.raises(Malformed):
            open_cosignature_ed25519(ED25519.public, text, blob)

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.tlog.keys import (
    Ed25519Signer,
    MlDsa44Signer,
    kid,
    note_key_id,
    verify_ed25519,
    verify_ml_dsa_44,
)

# What PyNaCl 1.6.2 accepts of the 914 cases of C2SP/CCTV; `cryptography` would accept 165 more.
CCTV_ACCEPTED = {
    *(7, 29, 50, 117, 139, 161, 182, 249, 305, 411, 425, 438, 465, 473, 481, 489, 497, 511, 525, 538, 565, 573),
    *(581, 589, 597, 611, 625, 638, 665, 673, 681, 689, 697, 711, 725, 738, 765, 773, 781, 789, 797, 832, 899),
}


def test_the_acceptance_set_of_the_edge_vectors_is_pinned(vectors: Path) -> None:
    cases = json.loads((vectors / "cctv-ed25519vectors.json").read_text())
    assert len(cases) == 914
    accepted = set()
    for case in cases:
        key, signature = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"])
        try:
            verify_ed25519(key, case["msg"].encode(), signature)
            accepted.add(case["number"])
        except Unverified:
            pass
    assert accepted == CCTV_ACCEPTED


def test_rfc_8032_test_2() -> None:
    signer = Ed25519Signer(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert signer.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert signer.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
@settings(max_examples=30, deadline=None)
def test_both_algorithms_verify_what_they_sign_and_nothing_else(seed: bytes, message: bytes) -> None:
    for signer, verify in (
        (Ed25519Signer(seed), verify_ed25519),
        (MlDsa44Signer(seed), verify_ml_dsa_44),
    ):
        signature = signer.sign(message)
        verify(signer.public, message, signature)
        with pytest.raises(Unverified):
            verify(signer.public, message + b"x", signature)
        with pytest.raises(Unverified):
            verify(signer.public, message, bytes([signature[0] ^ 1]) + signature[1:])


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 64, 65, 1311, 1313, 2419, 2421, 5000])
def test_wrong_lengths_are_typed_errors(length: int) -> None:
    ed25519, ml_dsa = Ed25519Signer(bytes(32)), MlDsa44Signer(bytes(32))
    wrong = bytes(length)
    with pytest.raises(Unverified):
        verify_ed25519(ed25519.public, b"", wrong)
    with pytest.raises(Unverified):
        verify_ml_dsa_44(ml_dsa.public, b"", wrong)
    with pytest.raises(Malformed):
        verify_ed25519(wrong, b"", bytes(64))
    with pytest.raises(Malformed):
        verify_ml_dsa_44(wrong, b"", bytes(2420))
    for signer in (Ed25519Signer, MlDsa44Signer):
        with pytest.raises(Malformed):
            signer(wrong)


def test_the_border_between_signature_and_message_does_not_shift() -> None:
    signer = Ed25519Signer(bytes(32))
    signature = signer.sign(b"message")
    for at in range(1, 8):
        with pytest.raises(Unverified):
            verify_ed25519(signer.public, b"message"[at:], signature + b"message"[:at])
    with pytest.raises(Unverified):
        verify_ed25519(signer.public, signature[-1:] + b"message", signature[:-1])


def test_another_key_does_not_verify() -> None:
    signature = MlDsa44Signer(bytes(32)).sign(b"m")
    with pytest.raises(Unverified):
        verify_ml_dsa_44(MlDsa44Signer(b"\x01" * 32).public, b"m", signature)
    with pytest.raises(Unverified):
        verify_ed25519(Ed25519Signer(b"\x01" * 32).public, b"m", Ed25519Signer(bytes(32)).sign(b"m"))


def test_key_identifiers() -> None:
    public = Ed25519Signer(bytes(32)).public
    assert kid(public) == hashlib.sha256(public).digest()[:8]
    assert note_key_id("a", 1, public) == hashlib.sha256(b"a\n\x01" + public).digest()[:4]

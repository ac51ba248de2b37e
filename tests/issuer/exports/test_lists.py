from __future__ import annotations

import random

import pytest
from openvc.status.bitstring import decode_bitstring, get_status_bit
from openvc.status.token_status_list import decode_status_list, get_status

from issuer.exports.did import did_document
from issuer.exports.lists import DAYS, encode_bits, encode_tokens, list_credential, sign_list, sign_token, status_entry
from issuer.exports.multibase import base64url
from issuer.exports.standing import LIST_BITS, PURPOSES, Place
from tests.support import slow_exports
from tests.support.exporting import BASE, DID, KEYS, MAKER, SIGNER
from tests.support.slow_exports import Untrue, open_jwt, verify_proof

NOW_S = 1_780_000_000


def test_bits_as_others_read_them() -> None:
    chosen = {0, 7, 8, 12_345, LIST_BITS - 1, *random.Random(1).sample(range(LIST_BITS), 200)}
    bits = decode_bitstring(encode_bits(chosen))
    assert len(bits) * 8 == LIST_BITS, "shorter lists are refused: they show too much of who asks"
    assert {at for at in range(LIST_BITS) if get_status_bit(bits, at)} == chosen
    credential = {"credentialSubject": {"encodedList": encode_bits(chosen)}}
    assert all(slow_exports.bit(credential, at) == (at in chosen) for at in [*chosen, 1, 6, 9])
    assert encode_bits([]) == encode_bits([]) and len(encode_bits([])) < 80


def test_tokens_as_others_read_them() -> None:
    said = dict(enumerate([1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]))  # the draft's example, section 4.1
    packed = decode_status_list(encode_tokens(said))
    assert packed[:3] == b"\xc9\x44\xf9" and len(packed) == LIST_BITS // 4
    assert [get_status(packed, at, bits=2) for at in range(13)] == [*said.values(), 0]


def test_places() -> None:
    place = Place(3 * LIST_BITS + 5)
    assert (place.list, place.position) == (3, 5)
    assert status_entry(BASE, "refresh", place) == {
        "id": f"{BASE}/status/refresh-3.json#5",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "refresh",
        "statusListIndex": "5",
        "statusListCredential": f"{BASE}/status/refresh-3.json",
    }


@pytest.mark.parametrize("name", PURPOSES)
def test_a_list_is_signed_in_both_forms(name: str) -> None:
    credential = list_credential(BASE, DID, name, 0, encode_bits([5]), NOW_S)
    secured, token = sign_list(credential, MAKER.key, NOW_S)
    for at in (0, 1):
        verify_proof(secured, at, did_document(BASE, KEYS, {}))
    header, payload = open_jwt(token, SIGNER.public)
    assert header == {"alg": "EdDSA", "kid": MAKER.key.method, "typ": "vc+jwt"}
    assert payload == credential and payload["credentialSubject"]["statusPurpose"] == PURPOSES[name]
    forged = secured | {"credentialSubject": credential["credentialSubject"] | {"encodedList": encode_bits([])}}  # type: ignore[operator]
    for at in (0, 1):
        with pytest.raises(Untrue):
            verify_proof(forged, at, did_document(BASE, KEYS, {}))


def test_a_token_ends() -> None:
    header, payload = open_jwt(sign_token(BASE, 2, encode_tokens({9: 2}), MAKER.key, NOW_S), SIGNER.public)
    assert header["typ"] == "statuslist+jwt" and header["kid"] == MAKER.key.kid
    assert payload["sub"] == f"{BASE}/status/token-2.jwt"
    assert payload["exp"] - payload["iat"] == DAYS * 86_400
    assert [slow_exports.token_status(payload, at) for at in (8, 9, 10)] == [0, 2, 0]
    assert base64url(b"") == ""

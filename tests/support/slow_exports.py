"""A second reader of exports, written from the specifications: shares no code with issuer/exports.

Canonical JSON is rfc8785's, the DID document is read for the key, signatures are checked by `cryptography`. The JSON-LD
canonicaliser is the same library as ours; openvc-core and openbadgeslib judge beside this one.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pyld import jsonld

CONTEXTS = Path(__file__).parents[2] / "issuer" / "exports" / "contexts"
FILES = {
    "https://www.w3.org/ns/credentials/v2": "credentials-v2.json",
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json": "ob-v3p0-context-3.0.3.json",
}
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Untrue(Exception):
    """A signature, digest or form that does not hold."""


def verify_proof(document: dict[str, Any], at: int, did: dict[str, Any]) -> None:
    """Check the proof at this place of the array, under the keys of this DID document."""
    proof = document["proof"][at]
    bare = {name: value for name, value in document.items() if name != "proof"}
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    issuer = document["issuer"] if isinstance(document["issuer"], str) else document["issuer"]["id"]
    method = proof["verificationMethod"]
    if did["id"] != issuer or method not in did["assertionMethod"] or proof["proofPurpose"] != "assertionMethod":
        raise Untrue("not a key of the issuer")
    (key,) = [one for one in did["verificationMethod"] if one["id"] == method]
    if proof["cryptosuite"] == "eddsa-jcs-2022":
        if options["@context"] != bare["@context"]:
            raise Untrue("another context in the proof")
        canonical = rfc8785.dumps
    else:
        options["@context"] = bare["@context"]
        canonical = quads
    signed = sha256(canonical(options)).digest() + sha256(canonical(bare)).digest()
    check(multikey(key["publicKeyMultibase"]), base58(proof["proofValue"]), signed)


def quads(document: dict[str, Any]) -> bytes:
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": load}
    return jsonld.normalize(document, options).encode()


@functools.cache
def context(url: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTEXTS / FILES[url]).read_bytes())
    return found


def load(url: str, options: object) -> dict[str, Any]:
    document = context(url)
    return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": document}


def open_jwt(token: str, public: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a JWT whose signature holds."""
    head, payload, signature = token.split(".")
    check(public, unpadded(signature), f"{head}.{payload}".encode())
    header = json.loads(unpadded(head))
    if header["alg"] != "EdDSA":
        raise Untrue("another algorithm")
    return header, json.loads(unpadded(payload))


def open_sd_jwt(token: str, public: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the issuer says openly, and what the disclosures say."""
    signed, *disclosures, last = token.split("~")
    header, payload = open_jwt(signed, public)
    if last or header["typ"] != "dc+sd-jwt":
        raise Untrue("not an SD-JWT VC without key binding")
    digests, found = payload.pop("_sd"), {}
    for text in disclosures:
        if base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode() not in digests:
            raise Untrue("a disclosure that the issuer did not sign")
        _, name, value = json.loads(unpadded(text))
        if name in payload or name in found:
            raise Untrue("a claim twice")
        found[name] = value
    return payload, found


def bit(credential: dict[str, Any], position: int) -> int:
    """An entry of a bit list: the first is the highest bit."""
    encoded = credential["credentialSubject"]["encodedList"]
    bits = gzip.decompress(unpadded(encoded.removeprefix("u")))
    return bits[position // 8] >> (7 - position % 8) & 1


def token_status(payload: dict[str, Any], position: int) -> int:
    """An entry of a token list of two bits each: the first is the lowest."""
    lst = payload["status_list"]
    assert lst["bits"] == 2
    return zlib.decompress(unpadded(lst["lst"]))[position // 4] >> (2 * (position % 4)) & 3


def multikey(text: str) -> bytes:
    raw = base58(text)
    if raw[:2] != b"\xed\x01" or len(raw) != 34:
        raise Untrue("not an Ed25519 Multikey")
    return raw[2:]


def base58(text: str) -> bytes:
    if text[0] != "z":
        raise Untrue("not base58btc")
    number = 0
    for letter in text[1:]:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text[1:]) - len(text[1:].lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check(public: bytes, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Untrue("the signature does not hold") from None

"""Status lists, as credential, as JWT and as token: bytes from standings, nothing else.

    Bitstring Status List 1.0   one bit an entry, entry 0 is the FIRST (highest) bit of byte 0; gzip; base64url with u
    Token Status List           two bits an entry, entry 0 is the LOWEST two bits of byte 0; zlib; base64url

Single-bit lists only for the former: verifiers refuse others. A list holds for `DAYS` from when it was made, so that
an old copy that somebody goes on serving ends by itself.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from issuer.exports.integrity import ExportKey, secure
from issuer.exports.jcs import Json
from issuer.exports.jose import sign_jwt
from issuer.exports.multibase import base64url
from issuer.exports.standing import LIST_BITS, PURPOSES, Place
from issuer.exports.vocabulary import CREDENTIALS_V2
from issuer.exports.when import format_instant

DAYS: Final = 30
_CLOCKS_S: Final = 600  # by which readers' clocks may be behind
FRESH_S: Final = 43_200  # how long a reader of a token may keep it


def list_url(base: str, name: str, number: int) -> str:
    """The address of a bit list, which is also its id."""
    return f"{base}/status/{name}-{number}.json"


def token_url(base: str, number: int) -> str:
    return f"{base}/status/token-{number}.jwt"


def status_entry(base: str, name: str, place: Place) -> dict[str, Json]:
    """What a credential says about where its bit is."""
    url = list_url(base, name, place.list)
    return {
        "id": f"{url}#{place.position}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": PURPOSES[name],
        "statusListIndex": str(place.position),
        "statusListCredential": url,
    }


def encode_bits(positions: Iterable[int]) -> str:
    """The encodedList with these bits set."""
    bits = bytearray(LIST_BITS // 8)
    for position in positions:
        bits[position >> 3] |= 0x80 >> (position & 7)
    return "u" + base64url(gzip.compress(bytes(bits), mtime=0))


def encode_tokens(values: Mapping[int, int]) -> str:
    """The `lst` with these values of 0..3 by position; others are 0."""
    packed = bytearray(LIST_BITS // 4)
    for position, value in values.items():
        packed[position >> 2] |= value << 2 * (position & 3)
    return base64url(zlib.compress(bytes(packed), 9))


def list_credential(base: str, did: str, name: str, number: int, encoded: str, now_s: int) -> dict[str, Json]:
    """The unsigned credential of one list."""
    url = list_url(base, name, number)
    return {
        "@context": [CREDENTIALS_V2],
        "id": url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": did,
        "validFrom": format_instant(now_s - _CLOCKS_S),
        "validUntil": format_instant(now_s + DAYS * 86_400),
        "credentialSubject": {
            "id": f"{url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": PURPOSES[name],
            "encodedList": encoded,
        },
    }


def sign_list(credential: dict[str, Json], key: ExportKey, now_s: int) -> tuple[dict[str, Json], str]:
    """The list with its proofs, and the same list as a JWT (VC-JOSE-COSE 3.1.1: the credential is the payload)."""
    return secure(credential, key, format_instant(now_s)), sign_jwt("vc+jwt", key.method, credential, key.signer)


def sign_token(base: str, number: int, lst: str, key: ExportKey, now_s: int) -> str:
    """A status list token (Token Status List, section 5.1)."""
    return sign_jwt(
        "statuslist+jwt",
        key.kid,
        {
            "iss": base,
            "sub": token_url(base, number),
            "iat": now_s,
            "exp": now_s + DAYS * 86_400,
            "ttl": FRESH_S,
            "status_list": {"bits": 2, "lst": lst},
        },
        key.signer,
    )

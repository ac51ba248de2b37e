"""A certificate as SD-JWT VC (RFC 9901, draft-ietf-oauth-sd-jwt-vc): the holder shows part of it.

    header.payload.signature ~ disclosure ~ … ~ disclosure ~
    disclosure = base64url(JSON [salt, name, value]), its digest = base64url(SHA-256(disclosure)) in `_sd`

Always shown: issuer, type, status, occupation, grade, issue date. Everything about the person is behind a salted digest
of its own (16 random bytes each). Digests are in order of their text and filled up with random ones to `DIGESTS`, so
that nobody learns which fields there are. The file has every disclosure: it is the holder's, to be kept like a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from issuer.exports.facts import Facts
from issuer.exports.integrity import ExportKey
from issuer.exports.jcs import Json
from issuer.exports.jose import sign_jwt
from issuer.exports.lists import token_url
from issuer.exports.multibase import base64url
from issuer.exports.standing import Place
from ledger.records.dates import format_day, last_ms

VCT: Final = "urn:certledger:skill-certificate:1"
DIGESTS: Final = 8
_SALT: Final = 16


def sd_jwt(
    facts: Facts, base: str, place: Place, key: ExportKey, now_s: int, random_bytes: Callable[[int], bytes]
) -> str:
    """The signed credential with all its disclosures."""
    disclosures = [_disclosure(random_bytes(_SALT), name, value) for name, value in _hidden(facts).items()]
    digests = [base64url(sha256(text.encode()).digest()) for text in disclosures]
    digests += [base64url(sha256(random_bytes(32)).digest()) for _ in range(DIGESTS - len(digests))]
    payload: dict[str, Json] = {
        **_shown(facts),
        "iss": base,
        "iat": now_s,
        "vct": VCT,
        "status": {"status_list": {"idx": place.position, "uri": token_url(base, place.list)}},
        "_sd": [*sorted(digests)],
        "_sd_alg": "sha-256",
    }
    if facts.last_day:
        payload["exp"] = last_ms(facts.last_day) // 1000
    return "~".join([sign_jwt("dc+sd-jwt", key.kid, payload, key.signer), *disclosures, ""])


def _shown(facts: Facts) -> dict[str, Json]:
    grade: dict[str, Json] = {"ordinal": facts.ordinal, "name": facts.grade.zh, "name_en": facts.grade.en}
    if facts.level:
        grade["level"] = facts.level
    occupation: dict[str, Json] = {"code": facts.occupation_code, "name": facts.occupation}
    if facts.trade:
        occupation["trade"] = facts.trade
    return {
        "occupation": occupation,
        "grade": grade,
        "issue_date": format_day(facts.issue_day),
        "issuing_body": {"name": facts.body_name, "filing_number": facts.filing_number},
    }


def _hidden(facts: Facts) -> dict[str, Json]:
    kind, country, number = facts.document
    hidden: dict[str, Json] = {
        "number": facts.number,
        "name": facts.name,
        "id_document": {"type": kind, "country": country, "number": number},
        "cert_key": facts.cert_key.hex(),  # by which the ledger and every verifier prove the current state
    }
    if facts.birth_year:
        hidden["birth_year"] = facts.birth_year
    if facts.employer:
        hidden["employer"] = facts.employer
    if facts.scores:
        hidden["scores"] = [{"of": title, "score": score} for title, score in facts.scores]
    assert len(hidden) < DIGESTS, "at least one digest hides how many there are"
    return hidden


def _disclosure(salt: bytes, name: str, value: Json) -> str:
    return base64url(json.dumps([base64url(salt), name, value], ensure_ascii=False).encode())

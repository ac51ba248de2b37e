"""A certificate as an Open Badges 3.0 credential, which is a W3C verifiable credential (VC Data Model 2.0).

Two forms of the same, which differ in `credentialStatus` only:

    badge       one entry: Open Badges 3.0 (1EdTech schema) allows no more, and platforms check that schema
    credential  three entries, revocation, suspension and refresh: what VC 2.0 verifiers can tell apart

Whoever holds the file shows all of it, so it says little by itself: number, occupation, grade, dates, body. Of the
person it says what was chosen (`facts.FIELDS`), the name unless told otherwise. The ID number is left out by default
even hashed: the salt has to stand beside the hash, and the few possible numbers can be tried in seconds. The link of
the code is never in it: its secret opens the photo.

What a text is for people, it is in both languages: schema.org's name and description are plain strings here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Final
from uuid import UUID

from issuer.exports.facts import DOCUMENT, NAME, PHOTO, SCORES, Facts
from issuer.exports.jcs import Json
from issuer.exports.lists import status_entry
from issuer.exports.standing import Place
from issuer.exports.vocabulary import CREDENTIALS_V2, OPEN_BADGES
from issuer.exports.when import day_begins, day_ends
from ledger.records.documents import CITIZEN
from ledger.reference_data import load_ladder
from ledger.text import Text

BADGE, CREDENTIAL = ("standing",), ("revocation", "suspension", "refresh")  # lists that a form names

_CERTIFICATE: Final = Text("职业技能等级证书", "Certificate of Vocational Skill Level")
_POST: Final = Text("技能岗位聘任证书", "Certificate of Appointment to a Skill Post")
_ASSESSED: Final = Text(
    "按标准 {basis} 经职业技能等级认定合格。", "Assessed under standard {basis} and found to have attained the level."
)
_APPOINTED: Final = Text("依据 {basis} 聘任。", "Appointed by {basis}.")
_ATTAINED: Final = Text(
    "{occupation}（{code}）{trade}，职业技能等级：{grade}。", "Occupation {code}, skill level: {grade}."
)
_GRADE: Final = Text("职业技能等级", "Skill level")
_FRAMEWORK: Final = Text("中华人民共和国职业分类大典", "Occupational classification of the PRC")
_PROOF: Final = Text("证书账本中的证明", "Proof in the certificate ledger")
_PROOF_SAID: Final = Text(
    "现时状态和等级以此处的证明为准。", "The proof of what is so today: status and current grade."
)


def badge(
    facts: Facts,
    base: str,
    did: str,
    verify_url: str,
    place: Place,
    lists: tuple[str, ...],
    fields: Collection[str],
    salt: Callable[[bytes], str],
) -> dict[str, Json]:
    """The unsigned credential. `lists` is BADGE or CREDENTIAL; `fields` are of FIELDS; `salt` gives one for what a
    hashed identifier is about, always the same."""
    entries: list[Json] = [status_entry(base, name, place) for name in lists]
    document: dict[str, Json] = {
        "@context": [CREDENTIALS_V2, OPEN_BADGES],
        "id": _name("credential", facts.cert_key),
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": _both(_POST if facts.is_post else _CERTIFICATE),
        "issuer": {
            "id": did,
            "type": ["Profile"],
            "name": facts.body_name,
            "url": base,
            "otherIdentifier": [
                {"type": "IdentifierEntry", "identifier": facts.filing_number, "identifierType": "ext:filingNumber"}
            ],
        },
        "validFrom": day_begins(facts.first_day or facts.issue_day),
        "credentialSubject": _subject(facts, base, fields, salt),
        "evidence": [
            {
                "id": f"{verify_url}/v1/evidence/{facts.cert_key.hex()}",
                "type": ["Evidence"],
                "name": _both(_PROOF),
                "narrative": _both(_PROOF_SAID),
            }
        ],
        "credentialStatus": entries if len(entries) > 1 else entries[0],
    }
    if facts.last_day:
        document["validUntil"] = day_ends(facts.last_day)
    return document


def _subject(facts: Facts, base: str, fields: Collection[str], salt: Callable[[bytes], str]) -> dict[str, Json]:
    identifiers: list[Json] = [_identity("identifier", facts.number)]
    if NAME in fields:
        identifiers.append(_identity("name", facts.name))
    if DOCUMENT in fields:
        kind, _, number = facts.document
        salted = salt(facts.cert_key)
        hashed = "sha256$" + sha256((number + salted).encode()).hexdigest()
        known = "nationalIdentityNumber" if kind == CITIZEN else "ext:identityDocument"
        identifiers.append(_identity(known, hashed, salt=salted))
    subject: dict[str, Json] = {
        "type": ["AchievementSubject"],
        "identifier": identifiers,
        "licenseNumber": facts.number,
        "achievement": _achievement(facts, base, fields),
        "result": _results(facts, fields),
    }
    if PHOTO in fields and facts.thumbnail:
        encoded = base64.b64encode(facts.thumbnail).decode()
        subject["image"] = {"id": f"data:image/jpeg;base64,{encoded}", "type": "Image"}
    return subject


def _identity(kind: str, value: str, *, salt: str = "") -> dict[str, Json]:
    identity: dict[str, Json] = {
        "type": "IdentityObject",
        "hashed": bool(salt),
        "identityHash": value,
        "identityType": kind,
    }
    return identity | ({"salt": salt} if salt else {})


def _achievement(facts: Facts, base: str, fields: Collection[str]) -> dict[str, Json]:
    trade = f"{facts.trade} " if facts.trade else ""
    basis = (_APPOINTED if facts.is_post else _ASSESSED).format(basis=facts.basis)
    attained = Text(
        _ATTAINED.zh.format(
            occupation=facts.occupation, code=facts.occupation_code, trade=trade.strip(), grade=facts.grade.zh
        ),
        _ATTAINED.en.format(code=facts.occupation_code, grade=facts.grade.en),
    )
    descriptions: list[Json] = [
        {
            "id": _grade_id(facts),
            "type": ["ResultDescription"],
            "name": _both(_GRADE),
            "resultType": "Result",
            "allowedValue": [grade.zh_formal for grade in load_ladder().grades],
        }
    ]
    if SCORES in fields:
        descriptions += [
            {"id": _score_id(facts, title), "type": ["ResultDescription"], "name": title, "resultType": "RawScore"}
            for title, _ in facts.scores
        ]
    achievement: dict[str, Json] = {
        "id": _name("achievement", *_kind(facts)),
        "type": ["Achievement"],
        "achievementType": "ext:Appointment" if facts.is_post else "Certificate",
        "name": f"{facts.occupation} {trade}{facts.grade.zh} ({facts.grade.en})",
        "description": _both(attained),
        "criteria": {"narrative": _both(basis)},
        "inLanguage": "zh",
        "humanCode": facts.occupation_code,
        "alignment": [
            {
                "type": ["Alignment"],
                "targetName": facts.occupation,
                "targetCode": facts.occupation_code,
                "targetFramework": _both(_FRAMEWORK),
                "targetUrl": f"tag:{base.partition('//')[2].partition('/')[0].partition(':')[0]},2026:"
                f"occupation/{facts.occupation_code}",
            }
        ],
        "resultDescription": descriptions,
    }
    if facts.trade:
        achievement["specialization"] = facts.trade
    return achievement


def _results(facts: Facts, fields: Collection[str]) -> list[Json]:
    found: list[Json] = [{"type": ["Result"], "resultDescription": _grade_id(facts), "value": facts.grade.zh}]
    if SCORES in fields:
        found += [
            {"type": ["Result"], "resultDescription": _score_id(facts, title), "value": score}
            for title, score in facts.scores
        ]
    return found


def _kind(facts: Facts) -> tuple[bytes, ...]:
    """What is the same for everybody with this achievement."""
    said = (facts.filing_number, facts.occupation_code, facts.trade, str(facts.ordinal), facts.basis)
    return tuple(part.encode() for part in said)


def _grade_id(facts: Facts) -> str:
    return _name("grade", *_kind(facts))


def _score_id(facts: Facts, title: str) -> str:
    return _name("score", *_kind(facts), title.encode())


def _name(label: str, *parts: bytes) -> str:
    """A UUID that follows from what it names (RFC 9562 5.8, version 8): exported again, it is the same."""
    digest = sha256(f"certledger/export-{label}/v1\n".encode())
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62
    return UUID(int=number).urn


def _both(text: Text) -> str:
    return f"{text.zh} {text.en}"

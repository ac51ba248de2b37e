from __future__ import annotations

import json
from hashlib import sha256
from itertools import chain, combinations
from typing import Any

import pytest

from issuer.exports.badge import BADGE, CREDENTIAL, badge
from issuer.exports.facts import DEFAULT_FIELDS, FIELDS, Facts
from issuer.exports.standing import Place
from issuer.exports.vocabulary import check_terms
from tests.support.exporting import BASE, DID, MAKER, make_facts, make_post, strict_schema
from tests.support.issuer_desk import VERIFY_URL

TELLS = {"name": ["例川垚宁"], "document": [], "scores": ["91.5", "理论成绩"], "photo": ["data:image/jpeg"]}
NEVER = ("000000199401010017", "示例制造有限公司", "1994", "/c/")


def made(facts: Facts, lists: tuple[str, ...] = BADGE, fields: Any = DEFAULT_FIELDS) -> dict[str, Any]:
    return badge(facts, BASE, DID, VERIFY_URL, Place(7), lists, fields, lambda about: "00ff")


def test_the_strict_schema_takes_every_badge() -> None:
    validator = strict_schema()
    for facts in (make_facts(), make_post(), make_post(last_day=0), make_facts(trade="", thumbnail=b"", scores=())):
        for chosen in chain.from_iterable(combinations(FIELDS, count) for count in range(len(FIELDS) + 1)):
            document = made(facts, fields=chosen) | {"proof": [{"type": "DataIntegrityProof"}]}
            validator.validate(document)
            check_terms({name: value for name, value in document.items() if name != "proof"})
    broken = made(make_facts())
    del broken["credentialSubject"]["achievement"]["criteria"]
    assert not validator.is_valid(broken)


def test_the_forms_differ_in_their_status_alone() -> None:
    one, three = made(make_facts()), made(make_facts(), CREDENTIAL)
    assert not strict_schema().is_valid(three), "Open Badges 3.0 allows one entry: hence the two forms"
    assert one.pop("credentialStatus")["statusPurpose"] == "revocation"
    assert [entry["statusPurpose"] for entry in three.pop("credentialStatus")] == list(CREDENTIAL)
    assert one == three


@pytest.mark.parametrize("chosen", [(), ("name",), ("scores",), ("photo",), ("document",), FIELDS])
def test_only_what_was_chosen_is_said_of_the_person(chosen: tuple[str, ...]) -> None:
    said = json.dumps(made(make_facts(), fields=chosen), ensure_ascii=False)
    for field, texts in TELLS.items():
        assert all((text in said) == (field in chosen) for text in texts), field
    assert [text for text in NEVER if text in said] == []


def test_an_id_number_is_hashed_with_its_salt() -> None:
    identifiers = made(make_facts(), fields=("document",))["credentialSubject"]["identifier"]
    hashed = "sha256$" + sha256(b"00000019940101001700ff").hexdigest()
    assert identifiers[-1] == {
        "type": "IdentityObject",
        "hashed": True,
        "identityHash": hashed,
        "identityType": "nationalIdentityNumber",
        "salt": "00ff",
    }
    other = make_facts(document=("414", "XXX", "P1234567"))
    assert made(other, fields=("document",))["credentialSubject"]["identifier"][-1]["identityType"].startswith("ext:")
    assert "document" not in DEFAULT_FIELDS
    salt = MAKER.salt(b"certificate")
    assert salt == MAKER.salt(b"certificate") != MAKER.salt(b"another")


def test_posts_say_when_they_begin_and_end() -> None:
    post = made(make_post())
    assert post["validFrom"] == "2026-06-06T00:00:00+08:00" and post["validUntil"] == "2027-07-01T23:59:59+08:00"
    assert post["credentialSubject"]["achievement"]["achievementType"] == "ext:Appointment"
    assert "validUntil" not in made(make_facts())


def test_the_same_achievement_has_the_same_id() -> None:
    first, second = made(make_facts()), made(make_facts(cert_key=b"x" * 32, number="Y000051990001263001010"))
    assert first["id"] != second["id"]
    assert first["credentialSubject"]["achievement"] == second["credentialSubject"]["achievement"]
    ordinary = made(make_facts(trade="数控车工"))["credentialSubject"]["achievement"]
    assert ordinary["id"] != first["credentialSubject"]["achievement"]["id"]

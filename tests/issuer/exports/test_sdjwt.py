from __future__ import annotations

import json
import random

import pytest

from issuer.exports.sdjwt import DIGESTS, VCT, sd_jwt
from issuer.exports.standing import Place
from tests.support.exporting import BASE, MAKER, SIGNER, make_facts, make_post
from tests.support.slow_exports import Untrue, open_jwt, open_sd_jwt, unpadded

PERSONAL = ("例川垚宁", "000000199401010017", "Y000051990001263001009", "示例制造有限公司（样本）", "1994", "91.5")


def made(facts: object = None, seed: int = 1) -> str:
    return sd_jwt(facts or make_facts(), BASE, Place(7), MAKER.key, 1_780_000_000, random.Random(seed).randbytes)  # type: ignore[arg-type]


def test_everything_is_in_it_and_nothing_personal_is_open() -> None:
    payload, disclosed = open_sd_jwt(made(), SIGNER.public)
    assert payload["vct"] == VCT and payload["iss"] == BASE and payload["grade"]["level"] == 3
    assert payload["status"] == {"status_list": {"idx": 7, "uri": f"{BASE}/status/token-0.jwt"}}
    assert disclosed["name"] == "例川垚宁" and disclosed["id_document"]["number"] == "000000199401010017"
    assert disclosed["scores"] == [{"of": "理论成绩", "score": "88"}, {"of": "技能成绩", "score": "91.5"}]
    said = json.dumps(payload, ensure_ascii=False)
    assert [text for text in PERSONAL if text in said] == []


def test_what_the_holder_leaves_out_is_not_sent() -> None:
    signed, *disclosures, _ = made().split("~")
    (name,) = [text for text in disclosures if json.loads(unpadded(text))[1] == "name"]
    shown = f"{signed}~{name}~"
    _, disclosed = open_sd_jwt(shown, SIGNER.public)
    assert disclosed == {"name": "例川垚宁"}
    decoded = " ".join(unpadded(part).decode("utf-8", "replace") for part in (signed.split(".")[1], name))
    assert [text for text in PERSONAL if text in decoded] == ["例川垚宁"]


def test_nobody_learns_how_many_fields_there_are() -> None:
    bare = make_facts(birth_year=0, employer="", scores=())
    for facts in (make_facts(), bare):
        _, payload = open_jwt(made(facts).split("~")[0], SIGNER.public)
        assert len(set(payload["_sd"])) == DIGESTS and payload["_sd"] == sorted(payload["_sd"])
    assert set(open_sd_jwt(made(bare), SIGNER.public)[1]) == {"number", "name", "id_document", "cert_key"}


def test_a_changed_disclosure_is_refused() -> None:
    token = made()
    parts = token.split("~")
    for at in range(1, len(parts) - 1):
        forged = [*parts]
        forged[at] = forged[at][:-3] + ("AAA" if forged[at][-3:] != "AAA" else "BBB")
        with pytest.raises((Untrue, ValueError)):
            open_sd_jwt("~".join(forged), SIGNER.public)
    with pytest.raises(Untrue):
        open_sd_jwt("~".join([*parts[:2], made(seed=2).split("~")[1], *parts[2:]]), SIGNER.public)


def test_a_post_ends_by_itself() -> None:
    payload, _ = open_sd_jwt(made(make_post()), SIGNER.public)
    assert payload["exp"] == 21_001 * 86_400 - 8 * 3600 - 1 and "level" not in payload["grade"]
    assert "exp" not in open_sd_jwt(made(make_post(last_day=0)), SIGNER.public)[0]

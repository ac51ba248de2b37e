"""What a grade means, whether a holder is eligible, and a payer's screen, over real HTTP."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.records.kinds import Kind
from tests.support.eligibility_site import eligibility_site
from tests.support.receipt_office import Office, open_office
from tests.verifier.web.test_app import ask, matches
from verifier.eligibility.decision import Basis, parse_decision
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.replay import replay

GOOD = {
    "f.insured_as": "enterprise_staff", "f.months_insured": "14", "f.in_national_query": "yes", "f.paid_this": "no",
    "f.history": "无",
}  # fmt: skip


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def test_what_a_grade_means_is_shown_after_consent(office: Office, tmp_path: Path) -> None:
    secret = office.link.rpartition("/")[2]
    async with eligibility_site(office, tmp_path) as site:
        verdict = (await ask(site, "GET", f"/c/{secret}?lang=en")).text
        assert f'href="/c/{secret}/means?lang=en"' in verdict
        asked = (await ask(site, "GET", f"/c/{secret}/means?lang=en")).text
        assert "consent" in asked and "yuan" not in asked
        assert (await ask(site, "POST", f"/c/{secret}/means", data={"lang": "en"})).status == 400
        for lang, words in (
            (
                "en",
                (
                    "5,700",
                    "6,300",
                    "Sample",
                    "not published on the log",
                    "Last day to apply 27 May 2027",
                    "2,000 yuan",
                    "assistant title",
                ),
            ),
            ("zh", ("每月 5,700", "最后申领日 2027-05-27", "2,000 元", "助理级职称", "不保存任何内容")),
        ):
            shown = await ask(site, "POST", f"/c/{secret}/means", data={"consent": "yes", "lang": lang})
            assert shown.status == 200
            for word in words:
                assert word in shown.text, word
        await office.log.rule(Kind.REVOKE, office.certificate)
        await office.catch_up()
        after = (await ask(site, "POST", f"/c/{secret}/means", data={"consent": "yes", "lang": "en"})).text
        assert "nothing follows from it" in after and "5,700" not in after
        assert "/means" not in (await ask(site, "GET", f"/c/{secret}")).text


async def test_without_the_employers_table_there_is_no_band(office: Office, tmp_path: Path) -> None:
    secret = office.link.rpartition("/")[2]
    async with eligibility_site(office, tmp_path, wages="") as site:
        assert "5,700" not in (await ask(site, "POST", f"/c/{secret}/means", data={"consent": "yes"})).text


async def test_a_holder_learns_what_is_missing_and_until_when(office: Office, tmp_path: Path) -> None:
    secret = office.link.rpartition("/")[2]
    address, asked = f"/c/{secret}/eligible", {"pack": "sc-2023", "lang": "en"}
    async with eligibility_site(office, tmp_path) as site:
        form = (await ask(site, "GET", f"{address}?pack=sc-2023&lang=en")).text
        assert 'name="f.months_insured"' in form and "wage-sample" not in form
        some = {key: value for key, value in GOOD.items() if key != "f.months_insured"}
        missing = (await ask(site, "POST", address, data=asked | some)).text
        assert "Please give: months of unemployment insurance" in missing and "27 May 2027" in missing
        yes = (await ask(site, "POST", address, data=asked | GOOD)).text
        assert "✓ Eligible" in yes and "2,000 yuan once" in yes
        no = (await ask(site, "POST", address, data=asked | GOOD | {"f.months_insured": "11"})).text
        assert "✕ Not eligible" in no and "What would change it" in no and 'value="11"' in no
        odd = (await ask(site, "POST", address, data=asked | GOOD | {"f.history": "once"})).text
        assert "an earlier benefit is written" in odd and 'class="band' not in odd
        zh = (await ask(site, "POST", address, data={"pack": "sc-2023", "lang": "zh"} | GOOD)).text
        assert "符合条件" in zh
        assert (await ask(site, "POST", address, data={"pack": "sc-2032"})).status == 422
        assert (await ask(site, "GET", "/c/short/eligible")).status == 404


async def test_a_payers_screen_shows_every_condition(office: Office, tmp_path: Path) -> None:
    fields = {"pack": "sc-2023", "lang": "en", "certificates": office.link} | GOOD
    async with eligibility_site(office, tmp_path) as site:
        assert "Choose the rules" in (await ask(site, "GET", "/applications?lang=en")).text
        shown = (await ask(site, "POST", "/applications", data=fields)).text
        assert "x grade of the certificate" in shown and "+ months of unemployment insurance: 14" in shown
        (raw,) = re.findall(r'<p class="num bytes">([^<]+)</p>', shown)
        decision = parse_decision(base64.b64decode(raw))
        assert decision.basis is Basis.UNPUBLISHED and decision.amount == 200_000
        assert f"decision {sha256(base64.b64decode(raw)).hexdigest()}" in shown
        replay(base64.b64decode(raw), {pack.digest: pack for pack in shipped_packs().values()}.get)
        none = (await ask(site, "POST", "/applications", data=fields | {"certificates": ""})).text
        assert "a certificate has to be shown" in none
        training = {"pack": "apprenticeship-nt", "lang": "en"}
        assert "certificates" not in (await ask(site, "GET", "/applications?pack=apprenticeship-nt&lang=en")).text
        assert "Please give" in (await ask(site, "POST", "/applications", data=training)).text


async def test_the_api(office: Office, tmp_path: Path) -> None:
    question = {
        "pack": "sc-2023",
        "certificates": [office.link],
        "facts": {
            "insured_as": "enterprise_staff", "months_insured": 12, "in_national_query": True, "paid_this": False,
            "history": [{"scheme": "training-subsidy", "lineage": "6-18-01-01", "grade": 4, "day": "2026-05-28",
                         "certificate": "this"}],
        },
    }  # fmt: skip
    async with eligibility_site(office, tmp_path) as site:
        document = (await ask(site, "GET", "/openapi.json")).json()
        schema = document["paths"]["/v1/eligible"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        got = await ask(site, "POST", "/v1/eligible", json=question)
        assert got.status == 200
        matches(got.json(), schema)
        assert got.json()["decision"]["reasons"] == ["DOUBLE"] and got.json()["checks"] == ["valid"]
        packs = (await ask(site, "GET", "/v1/packs")).json()["packs"]
        assert {pack["id"]: pack["digest"] for pack in packs}["sc-2023"] == got.json()["decision"]["digest"]
        for body, status in (
            ({"pack": "sc-2023", "more": 1}, 400),
            ({"pack": "sc-2023", "certificates": ["x"] * 17}, 400),
            ({"pack": "sc-2023", "as_of": "soon"}, 400),
            ({"pack": "nothing"}, 422),
            ({"pack": "sc-2023", "facts": {"months": 3}}, 422),
        ):
            assert (await ask(site, "POST", "/v1/eligible", json=body)).status == status, body
        assert (await ask(site, "POST", "/v1/eligible", data={"pack": "sc-2023"})).status == 415

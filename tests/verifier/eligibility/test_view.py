"""A decision as plain values: everything by name, nothing that JSON cannot say, no fact repeated."""

from __future__ import annotations

import json
from hashlib import sha256

from ledger.reference_data import load_ladder
from tests.support.packs import case_of, decided
from verifier.eligibility.cases import run_cases
from verifier.eligibility.decision import format_decision
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.view import decision_json

LADDER = load_ladder()


def test_an_amount_with_lines_and_the_last_day_to_apply() -> None:
    pack = shipped_packs()["sc-2023"]
    decision = decided(pack, case_of(pack, "A1"))
    told = decision_json(decision, pack, LADDER)
    assert told["decision"] == sha256(format_decision(decision)).hexdigest()
    assert told["amount"] == {
        "fen": 200_000, "currency": "CNY", "period": "once", "bound": "exact",
        "lines": [{"id": "subsidy", "fen": 200_000}],
    }  # fmt: skip
    assert told["windows"] == [{"name": "windows.apply", "first_day": "2023-03-10", "last_day": "2024-03-10"}]
    assert (told["as_of"], told["rules"], told["basis"]) == ("2024-03-10", ["sc-2023/subsidy/L3"], "rehearsal")
    assert told["digest"] == pack.digest.hex() and told["nearest"] is None and told["missing"] == []


def test_why_not_and_what_is_missing() -> None:
    pack = shipped_packs()["sc-2023"]
    told = decision_json(decided(pack, case_of(pack, "A4")), pack, LADDER)
    assert (told["result"], told["reasons"], told["nearest"], told["amount"]) == (
        "not_eligible",
        ["MONTHS"],
        "L5",
        None,
    )
    told = decision_json(decided(pack, case_of(pack, "missing")), pack, LADDER, trace=False)
    assert told["missing"] == [
        {"name": "months_insured", "zh": "累计参加失业保险月数", "en": "months of unemployment insurance"}
    ]
    assert told["trace"] == []


def test_every_case_is_json_and_says_no_facts() -> None:
    keys = set()
    for pack in shipped_packs().values():
        for result in run_cases(pack):
            told = decision_json(result.decision, pack, LADDER)
            assert json.loads(json.dumps(told, allow_nan=False)) == json.loads(json.dumps(told))
            keys.add(tuple(told))
            assert "facts" not in told and "certificates" not in told
    assert len(keys) == 1, "the keys are always there"

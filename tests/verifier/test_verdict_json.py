"""A verdict as JSON: the same keys whatever it is, and one spelling of times and days."""

from __future__ import annotations

import json

import pytest

from tests.support.verdict_samples import NOW_MS, sample
from verifier.verdict import Code
from verifier.verdict_json import iso_time, to_json


@pytest.mark.parametrize("code", list(Code))
def test_json_has_the_same_keys_for_every_verdict(code: Code) -> None:
    body = to_json(sample(code))
    assert list(body) == list(to_json(sample(Code.VALID)))
    assert body["code"] == code.value and json.loads(json.dumps(body)) == body


def test_json_spells_times_and_days_one_way() -> None:
    assert iso_time(NOW_MS) == "2026-11-22T12:10:03.000Z"
    body = to_json(sample(Code.VALID))
    assert body["checked_at"] == "2026-11-22T12:10:03.000Z"
    assert body["certificate"]["issue_date"] == "2025-11-20"  # type: ignore[index]

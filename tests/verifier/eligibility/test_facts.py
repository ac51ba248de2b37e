"""Facts are read strictly: a value of the wrong form is refused, one that is not given is unknown."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ledger.errors import Malformed, Refused
from ledger.records.dates import parse_day
from tests.support.packs import small
from verifier.eligibility.facts import facts_from, read_facts
from verifier.eligibility.kinds import ABSENT, UNKNOWN

MORE = "".join(
    f'[inputs.{name}]\ntype = "{kind}"\nzh = "一"\nen = "{name}"\n{more}'
    for name, kind, more in (
        ("born", "date", ""),
        ("ended", "date", "optional = true\n"),
        ("yes", "bool", ""),
        ("paid", "money", "min = 0\nmax = 100\n"),
        ("rung", "grade", ""),
        ("kind", "enum", 'values.a = { zh = "甲", en = "a" }\nvalues.b = { zh = "乙", en = "b" }\n'),
        ("tags", "set", 'values.a = { zh = "甲", en = "a" }\nvalues.b = { zh = "乙", en = "b" }\n'),
    )
)
COUNTER = '[counters.c]\nschemes = ["x"]\nmatch = "person"\nsource = "s"\n'
PACK = small(no_pack=small().files["pack.toml"].decode().replace("[valid]", "history = true\n[valid]") + MORE + COUNTER)
CLAIM = {"scheme": "x", "lineage": "6-18-01-01", "grade": 4, "day": "2024-01-01", "certificate": "ab" * 32}


def test_what_is_not_given_is_unknown_and_what_is_optional_absent() -> None:
    values = read_facts({}, PACK).values
    assert values["ended"] is ABSENT and values["born"] is UNKNOWN and values["history"] is UNKNOWN


def test_every_kind() -> None:
    given = {
        "n": 7, "born": "2004-02-29", "ended": dt.date(2024, 2, 29), "yes": False, "paid": 100, "rung": 8, "kind": "a",
        "tags": ["b", "a"], "history": [CLAIM],
    }  # fmt: skip
    values = read_facts(given, PACK).values
    assert values["born"] == parse_day("2004-02-29") and values["ended"] == parse_day("2024-02-29")
    assert values["tags"] == frozenset("ab") and values["yes"] is False
    assert [claim.cert_key for claim in values["history"]] == [b"\xab" * 32]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("n", 101, "FACT_RANGE"), ("n", -1, "FACT_RANGE"), ("n", 7.0, "FACT_TYPE"), ("n", True, "FACT_TYPE"),
        ("n", "7", "FACT_TYPE"), ("born", "2023-02-29", "FACT_TYPE"), ("born", "29.2.2004", "FACT_TYPE"),
        ("born", 7, "FACT_TYPE"), ("born", dt.datetime(2024, 1, 1), "FACT_TYPE"), ("yes", 1, "FACT_TYPE"),
        ("yes", "true", "FACT_TYPE"), ("paid", 100.5, "FACT_TYPE"), ("rung", 9, "FACT_RANGE"),
        ("kind", "c", "FACT_TYPE"),
        ("kind", ["a"], "FACT_TYPE"), ("tags", ["c"], "FACT_TYPE"), ("tags", "a", "FACT_TYPE"),
        ("tags", [1], "FACT_TYPE"),
        ("history", {}, "FACT_TYPE"), ("history", [CLAIM] * 501, "FACT_TYPE"), ("history", [7], "FACT_TYPE"),
        ("history", [{}], "FACT_TYPE"), ("history", [CLAIM | {"shceme": "x"}], "FACT_TYPE"),
        ("history", [CLAIM | {"grade": 9}], "FACT_TYPE"), ("history", [CLAIM | {"certificate": "ab"}], "FACT_TYPE"),
        ("history", [CLAIM | {"day": None}], "FACT_TYPE"), ("history", [CLAIM | {"tags": [1]}], "FACT_TYPE"),
        ("history", [CLAIM | {"tags": 5}], "FACT_TYPE"), ("history", [{"tags": None}], "FACT_TYPE"),
        ("history", [CLAIM | {"tags": "abc"}], "FACT_TYPE"), ("history", [CLAIM | {"tags": {"a": 1}}], "FACT_TYPE"),
        ("history", [CLAIM | {"scheme": " x"}], "FACT_TYPE"), ("brn", "2004-02-29", "FACT_UNKNOWN"),
    ],
)  # fmt: skip
def test_the_wrong_form_is_refused(name: str, value: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read_facts({name: value}, PACK)
    assert caught.value.code == code and caught.value.field.startswith(name)


def test_the_nearest_name_is_told_and_those_of_other_packs_pass() -> None:
    with pytest.raises(Refused, match="nearest is born"):
        read_facts({"bron": "2004-02-29"}, PACK)
    assert read_facts({"bron": 1}, PACK, others=["bron"]).values.keys() == PACK.inputs.keys()


def test_facts_out_of_a_decision_are_those_of_the_pack() -> None:
    read = read_facts({"n": 7, "yes": True, "tags": ["a"]}, PACK)
    written = [(name, int(value) if value is True else value) for name, value in read.values.items()]
    assert facts_from(written, PACK).values == read.values  # type: ignore[arg-type]
    for wrong in (written[1:], [*written[1:], written[0]], [(n, 101 if n == "n" else v) for n, v in written],
                  [(n, 2 if n == "yes" else v) for n, v in written], [*written, ("m", 1)],
                  [(n, ABSENT if n == "n" else v) for n, v in written]):  # fmt: skip
        with pytest.raises(Malformed):
            facts_from(wrong, PACK)  # type: ignore[arg-type]

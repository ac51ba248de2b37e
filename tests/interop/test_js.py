"""Two more verifiers of evidence, in plain Python and in JavaScript, say the same as the product about everything."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ledger.tlog.note import parse_vkey
from tests.support.evidence_judges import TRUST, VECTOR, product, slow, wrong_answers
from tests.support.missing import missing

HERE = Path(__file__).parent / "js"
MUTANTS = 1000


def javascript(raws: list[bytes], points: list[bytes]) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        missing("needs Node.js (Debian: nodejs)")
    asked = {
        "trust": {**TRUST, "logKeys": TRUST["log_keys"]},
        "evidence": [raw.hex() for raw in raws],
        "points": [point.hex() for point in points],
    }
    done = subprocess.run(
        [node, HERE / "run.mjs"], input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def expected(case: dict[str, Any]) -> dict[str, Any]:
    if "step" in case:
        return {"bad": case["step"]}
    return {name: value for name, value in case.items() if name not in ("what", "evidence")}


@pytest.fixture(scope="module")
def wrong() -> list[bytes]:
    return wrong_answers(MUTANTS)


@pytest.mark.parametrize("case", VECTOR["holds"] + VECTOR["fails"], ids=lambda case: case["what"])
def test_the_slow_verifier_reads_the_vectors(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["evidence"])
    assert slow(raw) == expected(case)
    assert product(raw) == (None if "step" in case else expected(case))


def test_javascript_reads_the_vectors() -> None:
    cases = VECTOR["holds"] + VECTOR["fails"]
    told = javascript([bytes.fromhex(case["evidence"]) for case in cases], [])["told"]
    assert told == [expected(case) for case in cases]


def test_the_slow_verifier_never_disagrees(wrong: list[bytes]) -> None:
    said = [(product(raw), slow(raw)) for raw in wrong]
    different = [
        (raw.hex(), ours, theirs)
        for raw, (ours, theirs) in zip(wrong, said, strict=True)
        if (ours or {}) != ({} if "bad" in theirs else theirs)
    ]
    assert different == []
    holding = sum(ours is not None for ours, _ in said)
    assert 50 < holding < 600, "both kinds of answer are tried"
    assert {theirs.get("bad") for _, theirs in said} >= set(range(9)), "every step refuses something"


def test_javascript_never_disagrees_with_the_slow_verifier(wrong: list[bytes]) -> None:
    told = javascript(wrong, [])["told"]
    different = [
        (raw.hex(), theirs, ours)
        for raw, theirs, ours in zip(wrong, told, map(slow, wrong), strict=True)
        if ours != theirs
    ]
    assert different == []


def test_javascript_refuses_the_points_that_libsodium_refuses() -> None:
    p = 2**255 - 19
    order_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    other_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    low = [n.to_bytes(32, "little") for n in (0, 1, p - 1, p, p + 1, 2**255 - 1)]
    signed = [point[:31] + bytes([point[31] | 0x80]) for point in (*low, order_8, other_8)]
    usual = [bytes.fromhex(VECTOR["root"]) if "root" in VECTOR else parse_vkey(VECTOR["log_keys"][0]).public]
    assert javascript([], [*low, order_8, other_8, *signed, *usual])["points"] == [False] * 16 + [True]

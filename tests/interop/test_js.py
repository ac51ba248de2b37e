"""Two more verifiers of evidence, in plain Python and in JavaScript, say the same as the product about everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.evidence import format_evidence, parse_evidence
from ledger.records.evidence_check import verify_stapled
from ledger.records.state import certificate_map_key
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import parse_policy
from tests.support import slow_proofs
from tests.support.evidence_mutants import mutants
from tests.support.make_vectors import VECTORS, body, evidence_log

HERE = Path(__file__).parent / "js"
VECTOR = json.loads((VECTORS / "evidence.json").read_text(encoding="utf-8"))
TRUST = {
    "origin": VECTOR["origin"],
    "log_keys": VECTOR["log_keys"],
    "policy": VECTOR["policy"],
    "auditors": [VECTOR["auditor"]],
}
MUTANTS = 1000


def product(raw: bytes) -> dict[str, Any] | None:
    """What the product says; None when it refuses."""
    keys, policy = tuple(map(parse_vkey, TRUST["log_keys"])), parse_policy(TRUST["policy"])
    try:
        proven = verify_stapled(parse_evidence(raw), TRUST["origin"], keys, policy, (parse_vkey(VECTOR["auditor"]),))
    except (Malformed, Unverified):
        return None
    state = proven.state
    return {
        "cert_key": proven.cert_key.hex(),
        "size": proven.opened.checkpoint.size,
        "root": proven.opened.checkpoint.root.hex(),
        "time": proven.opened.time_s,
        "auditor_time": proven.opened.auditor_time_s,
        "seal": proven.seal.covered,
        "next_seal": proven.next.covered if proven.next else -1,
        "map_root": proven.seal.map_root.hex(),
        "map_key": certificate_map_key(proven.cert_key).hex(),
        "map_value": state.value().hex() if state else "",
        "status": int(state.status) if state else 0,
        "highest_grade": state.summary.highest.grade if state and state.summary.highest else 0,
    }


def slow(raw: bytes) -> dict[str, Any]:
    """What the plain Python verifier says; {"bad": step} when it refuses."""
    try:
        return slow_proofs.check(raw, TRUST)
    except slow_proofs.Bad as bad:
        return {"bad": bad.step}


def javascript(raws: list[bytes], points: list[bytes]) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        reason = "needs Node.js (Debian: nodejs)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
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
    log, one = evidence_log(), body()
    certificates = [one.certificate(label, grade=grade, person=label[0]).issue.cert_key for label, grade in (
        ("p3", 3), ("p5", 5), ("q", 4))]  # fmt: skip
    good = [log.evidence(cert) for cert in certificates]
    good += [log.evidence(cert, covered=seal) for cert in certificates for seal in log.seals[:2]]
    good.append(log.evidence(bytes(32)))
    made = list(mutants(log, good, 20_261_125, MUTANTS))
    whole = [format_evidence(one) for one in good]
    assert all(product(raw) for raw in whole)
    return [*whole, *made]


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

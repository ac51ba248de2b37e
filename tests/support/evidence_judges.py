"""Evidence put before the product and before the plain Python verifier, under the trust of the vectors."""

from __future__ import annotations

import json
from typing import Any

from ledger.errors import Malformed, Unverified
from ledger.records.evidence import format_evidence, parse_evidence
from ledger.records.evidence_check import verify_stapled
from ledger.records.state import certificate_map_key
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import parse_policy
from tests.support import slow_proofs
from tests.support.evidence_mutants import mutants
from tests.support.make_vectors import VECTORS, body, evidence_log

SEED = 20_261_125
VECTOR = json.loads((VECTORS / "evidence.json").read_text(encoding="utf-8"))
TRUST = {
    "origin": VECTOR["origin"],
    "log_keys": VECTOR["log_keys"],
    "policy": VECTOR["policy"],
    "auditors": [VECTOR["auditor"]],
}


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


def wrong_answers(count: int) -> list[bytes]:
    """Ten answers that hold, and then `count` that are made from them and mostly do not."""
    log, one = evidence_log(), body()
    certificates = [
        one.certificate(label, grade=grade, person=label[0]).issue.cert_key
        for label, grade in (("p3", 3), ("p5", 5), ("q", 4))
    ]
    good = [log.evidence(cert) for cert in certificates]
    good += [log.evidence(cert, covered=seal) for cert in certificates for seal in log.seals[:2]]
    good.append(log.evidence(bytes(32)))
    return [*map(format_evidence, good), *mutants(log, good, SEED, count)]

"""The pinned rules are checked word by word when they are built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Malformed
from ledger.reference_data import load_catalogue, load_ladder
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import ED25519, VerifierKey
from ledger.tlog.policy import NO_WITNESSES, Group, Policy, Witness, format_policy
from tests.support.witnesses import Cosigner, quorum
from verifier.former import FormerKeys
from verifier.trust import NO_QUORUM, Trust, build_trust, check_base

ORIGIN = "log.test.example"
SIGNER = CheckpointSigner(ORIGIN, Ed25519Signer(b"e" * 32), MlDsa44Signer(b"m" * 32))
VKEYS = [key.format_vkey() for key in SIGNER.vkeys]
BASES = ["https://cert.test.example", "http://127.0.0.1:8102"]


def build(**changes: object) -> Trust:
    words = {"origin": ORIGIN, "log_keys": VKEYS, "genesis": "ab" * 32, "bases": BASES} | changes
    return build_trust(**words, ladder=load_ladder(), catalogue=load_catalogue())  # type: ignore[arg-type]


def test_builds_from_text() -> None:
    trust = build(freshness_s=120, max_skew_s=5)
    assert trust.keys == SIGNER.vkeys
    assert trust.genesis == bytes.fromhex("ab" * 32)
    assert (trust.freshness_ms, trust.max_skew_ms) == (120_000, 5_000)
    assert trust.official_host == "cert.test.example"


@pytest.mark.parametrize(
    "changes",
    [
        {"log_keys": VKEYS[:1]},
        {"log_keys": [VKEYS[0], VKEYS[0]]},
        {"log_keys": [*VKEYS, VKEYS[0]]},
        {"log_keys": [VKEYS[0], "not a vkey"]},
        {"origin": "another.example"},
        {"genesis": "AB" * 32},
        {"genesis": "ab" * 31},
        {"bases": []},
        {"bases": ["https://cert.test.example/"]},
        {"freshness_s": 0},
        {"freshness_s": 10**9},
        {"max_skew_s": -1},
        {"max_skew_s": 3601},
    ],
)
def test_refuses_what_cannot_be_trusted(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        build(**changes)


def test_two_keys_of_one_type_are_not_enough() -> None:
    other = VerifierKey(ORIGIN, ED25519, Ed25519Signer(b"x" * 32).public)
    with pytest.raises(Malformed):
        replace(build(), keys=(SIGNER.vkeys[0], other))


@pytest.mark.parametrize(
    "base", ["https://a.example", "https://a.example:8443", "http://localhost:1", "http://[::1]:9"]
)
def test_bases(base: str) -> None:
    check_base(base)


@pytest.mark.parametrize(
    "base",
    [
        "http://a.example",
        "http://127.0.0.1.example",
        "https://A.example",
        "https://a.example/",
        "https://a.example/c",
        "https://a..example",
        "https://.example",
        "https://a.example.",
        "https://user@a.example",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:",
        "https://ａ.example",
        "https://例子.example",
        "a.example",
        "https://",
        "https://a.example\n",
        "",
    ],
)
def test_bases_in_any_other_spelling(base: str) -> None:
    with pytest.raises(Malformed):
        check_base(base)


def test_freshness_has_two_ends() -> None:
    trust = build(freshness_s=300, max_skew_s=60)
    now = 10**12
    assert trust.is_fresh(now, now)
    assert trust.is_fresh(now - 300_000, now)
    assert not trust.is_fresh(now - 300_001, now)
    assert trust.is_fresh(now + 60_000, now)
    assert not trust.is_fresh(now + 60_001, now)


A, B, AUDITOR = Cosigner("w.example/a"), Cosigner("w.example/b"), Cosigner("auditor.example")


def test_witnesses_and_map_auditors_are_read() -> None:
    assert (build().policy, build().map_auditors) == (NO_WITNESSES, ())
    assert build(policy=NO_QUORUM).policy == NO_WITNESSES
    policy = quorum(2, A, B)
    auditors = [AUDITOR.ed25519.format_vkey(), AUDITOR.ml_dsa.format_vkey()]
    trust = build(policy="# ours\n" + format_policy(policy), map_auditors=auditors)
    assert trust.policy == policy
    assert trust.map_auditors == (AUDITOR.ed25519, AUDITOR.ml_dsa)


def test_former_pairs_are_the_logs_own_and_nobody_elses() -> None:
    before = CheckpointSigner(ORIGIN, Ed25519Signer(b"f" * 32), MlDsa44Signer(b"n" * 32)).vkeys
    former = FormerKeys(before, 1)
    assert build(former=[former]).former == (former,) and build().former == ()
    assert build().is_fresh(1, 1), "and freshness asks for nothing of it"
    elsewhere = CheckpointSigner("log.example", Ed25519Signer(b"f" * 32), MlDsa44Signer(b"n" * 32)).vkeys
    itself = Policy((), (Witness("log", before[1]),), (Group("g", 1, ("log",)),), "g")
    for changes in (
        {"former": [former, former]},
        {"former": [FormerKeys(SIGNER.vkeys, 1)]},
        {"former": [FormerKeys(elsewhere, 1)]},
        {"former": [former], "policy": format_policy(itself)},
        {"former": [former], "map_auditors": [before[1].format_vkey()]},
    ):
        with pytest.raises(Malformed):
            build(**changes)


def test_one_party_is_not_two() -> None:
    """A log that is its own witness, or a witness counted as auditor, would vouch for itself."""
    itself = Policy((), (Witness("log", SIGNER.vkeys[1]),), (Group("g", 1, ("log",)),), "g")
    for changes in (
        {"policy": format_policy(itself)},
        {"policy": format_policy(quorum(1, A, B)), "map_auditors": [B.ed25519.format_vkey()]},
        {"map_auditors": [AUDITOR.ed25519.format_vkey()] * 2},
        {"map_auditors": [VKEYS[1]]},
        {"map_auditors": [VKEYS[0]]},  # a type that carries no time
        {"map_auditors": ["not a vkey"]},
        {"policy": ""},
        {"policy": "quorum a\n"},
    ):
        with pytest.raises(Malformed):
            build(**changes)

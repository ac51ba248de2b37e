"""The bytes of a decision: one form, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from random import Random

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.dates import parse_day
from tests.support import eligibility as drawn
from tests.support.packs import case_of, changed, small
from verifier.eligibility.cases import run_case, run_cases
from verifier.eligibility.decision import MAX_DECISION, Proof, Rejected, format_decision, parse_decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.records import CertificateRecord
from verifier.eligibility.replay import replay
from verifier.eligibility.tables import Outcome

PACK = shipped_packs()["sc-2023"]
DECISION = run_case(PACK, case_of(PACK, "A8")).decision
RAW = format_decision(DECISION)


def test_every_flipped_bit_is_refused_or_found_out() -> None:
    """A changed decision is no decision, or does not follow from its own inputs."""
    packs = {PACK.digest: PACK}
    for bit in range(0, 8 * len(RAW), 7):
        wrong = bytearray(RAW)
        wrong[bit // 8] ^= 1 << bit % 8
        try:
            again = replay(bytes(wrong), packs.get)
        except (Malformed, Unverified):
            continue
        # An input that no rule of this pack reads may change: then it is another decision that replays.
        assert format_decision(again) == bytes(wrong) != RAW
        assert (again.certificates, again.facts) != (DECISION.certificates, DECISION.facts)


def test_a_better_result_does_not_replay() -> None:
    for change in ({"result": Outcome.ELIGIBLE}, {"reasons": ("WINDOW",)}, {"nearest": "L5"}, {"sample": True}):
        with pytest.raises(Unverified, match="another decision"):
            replay(format_decision(replace(DECISION, **change)), {PACK.digest: PACK}.get)  # type: ignore[arg-type]


def test_a_pack_that_is_not_at_hand_or_is_another() -> None:
    newer = load_pack(changed("sc-2023", "tables.toml", "amount = 200000", "amount = 190000"))
    for packs in ({}, {newer.digest: newer}, {PACK.digest: newer}):
        with pytest.raises(Unverified, match="not at hand"):
            replay(RAW, packs.get)


@pytest.mark.parametrize("raw", [b"", b"\x80", canonical.encode(["certledger/decision/v2"]), RAW[:-1], RAW + b"\0"])
def test_other_bytes(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_decision(raw)
    with pytest.raises(Malformed):
        parse_decision(bytes(MAX_DECISION + 1))


def test_shuffled_and_mistyped_parts_end_as_malformed_or_unverified() -> None:
    """Whatever stands in the array: no crash, and never the old answer."""
    whole = canonical.decode(RAW, limit=MAX_DECISION)
    odd: list[canonical.Value] = [
        0,
        -1,
        "",
        "x",
        b"",
        b"\0" * 32,
        [],
        [[]],
        [0],
        [1],
        [2, ["a"]],
        [3, [[]]],
        [["a", "b"]],
    ]
    random = Random(5)
    for at in range(len(whole)):
        for value in odd:
            changed_ = list(whole)
            if changed_[at] == value:
                continue
            changed_[at] = value
            with pytest.raises((Malformed, Unverified)):
                replay(canonical.encode(changed_), {PACK.digest: PACK}.get)
        inner = whole[at]
        if isinstance(inner, list) and inner:
            changed_ = list(whole)
            changed_[at] = [*inner[:-1], random.choice(odd)]
            if changed_[at] != inner:
                with pytest.raises((Malformed, Unverified)):
                    replay(canonical.encode(changed_), {PACK.digest: PACK}.get)


def test_proofs_and_left_out_certificates_are_checked() -> None:
    good = Proof(bytes(32), "log.example", 7, bytes(32), 1, 1)
    for change in ({"size": 0}, {"root": b""}, {"cert_key": b"x"}, {"origin": 1}, {"time_ms": "1"}, {"checked_ms": -1}):
        with pytest.raises(Malformed):
            replace(good, **change)  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        Rejected("revoked", "BECAUSE")


def test_decisions_that_cannot_be() -> None:
    for change in (
        {"reasons": ()},
        {"amount": 5},
        {"result": Outcome.NEEDS_INFORMATION, "reasons": ()},
    ):
        with pytest.raises(AssertionError):
            replace(DECISION, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "digest"),
    [
        ({"n": 10}, "e655e4048bc6350b8d9f5f8634b6f61b91338a59fd7e9541ba36e1dba513fd7c"),
        ({"n": 9}, "2fe2cefee9d6f26501d2c97ef974e08ebdd9ab4a9048dce9b264979f4c844d74"),
        ({}, "8a0128dfdb2c637374096a17696d09dd1cb2c119818ddfa910f8119a63e184aa"),
    ],
)
def test_the_bytes_do_not_change_from_version_to_version(facts: dict[str, int], digest: str) -> None:
    """Of a pack that stands in the tests alone. When this fails, old decisions would not replay any more."""
    pack = small()
    decision = rehearse((), read_facts(facts, pack), pack, parse_day("2024-02-29"))
    assert sha256(format_decision(decision)).hexdigest() == digest


def test_the_bytes_with_a_certificate_of_one_log_do_not_change_either() -> None:
    """As above: worked out before records could say that other logs are believed beside theirs."""
    pack, day = small(), parse_day("2024-02-29")
    record = CertificateRecord(
        bytes(32), "certificate", "6-18-01-01", "6-18-01-01", "", 3, day - 30, "Y000051000001", "exam", "public",
        linked=True, track_highest=4, posts=((7, day, 0),),
    )  # fmt: skip
    raw = format_decision(rehearse((record,), read_facts({"n": 10}, pack), pack, day))
    assert sha256(raw).hexdigest() == "2f91a6eda7ab1d0798ef5ff404075632d74e8a1b9f03a2e392c96d944bd459ae"


def test_a_few_hundred_old_decisions_replay_under_kept_packs() -> None:
    """A slice of scripts/decisions: every case, and some that are drawn, after all packs have changed."""
    kept = {pack.digest: pack for pack in shipped_packs().values()}
    now = {name: load_pack(changed(name, "pack.toml", "format =", "# next\nformat =")) for name in shipped_packs()}
    archive = kept | {pack.digest: pack for pack in now.values()}
    count = 0
    for pack in kept.values():
        decisions = [result.decision for result in run_cases(pack)]
        for seed in range(10):
            random = Random(seed)
            facts = read_facts(drawn.facts(random, pack), pack)
            decisions.append(rehearse(drawn.records(random), facts, pack, drawn.day(random)))
        for decision in decisions:
            raw = format_decision(decision)
            assert format_decision(replay(raw, archive.get)) == raw
            with pytest.raises(Unverified):
                replay(raw, {new.digest: new for new in now.values()}.get)
            count += 1
    assert count > 400

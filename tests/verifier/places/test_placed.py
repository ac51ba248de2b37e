"""Proof files: what they prove under which pins, and that a changed byte proves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import POLICY, WITNESS, Certificate, LogBuilder, octets
from tests.support.place_proofs import RECEIPTS, proof_file, receipt_file
from verifier.former import FormerKeys
from verifier.places.placed import Placed, is_place_proof, parse_place_proof, trust_of, verify_place_of
from verifier.trust import Trust


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    yield made
    await made.store.close()


async def issued(log: LogBuilder, label: str = "one") -> Certificate:
    certificate = log.certificate(label)
    await log.issue(certificate)
    return certificate


def judged(log: LogBuilder, raw: bytes, entry: bytes | None = None, trust: Trust | None = None) -> Placed:
    proof = parse_place_proof(raw)
    trust = trust or log.trust(receipt_key=RECEIPTS.public)
    return verify_place_of(proof, raw, entry, trust_of(proof, [trust]), log.time)


async def test_a_proof_file_needs_nothing_but_the_pins(log: LogBuilder) -> None:
    one = await issued(log)
    raw = await proof_file(log, one)
    placed = judged(log, raw)
    assert (placed.origin, placed.entry, placed.size) == (log.origin, one.statement.entry, log.integrator.size)
    assert placed.statement is not None and placed.statement.entry == placed.entry
    assert placed.leaf_hash == one.statement.leaf_hash and placed.witnessed is True and placed.time_ms == log.time
    assert is_place_proof(raw)


async def test_without_its_statement_a_file_proves_what_the_own_copy_holds(log: LogBuilder) -> None:
    one = await issued(log)
    bare, receipt = await proof_file(log, one, extra=False), await receipt_file(log, one)
    for raw in (bare, receipt):
        assert is_place_proof(raw)
        with pytest.raises(Unavailable):
            judged(log, raw)
        with pytest.raises(Unverified):
            judged(log, raw, log.filing_entry())
        assert judged(log, raw, one.statement.entry).entry == one.statement.entry
    with pytest.raises(Unverified, match="another statement"):
        judged(log, await proof_file(log, one), log.filing_entry())
    said = judged(log, receipt, one.statement.entry)
    assert (said.time_ms, said.witnessed) == (None, None), "a receipt says neither"


async def test_a_receipt_counts_under_the_pinned_key_alone(log: LogBuilder) -> None:
    one = await issued(log)
    other = await receipt_file(log, one, Ed25519Signer(octets("somebody")))
    with pytest.raises(Unverified):
        judged(log, other, one.statement.entry)
    with pytest.raises(Unavailable, match="receipt_key"):
        judged(log, await receipt_file(log, one), one.statement.entry, log.trust())


async def test_the_log_s_own_word_is_told_from_a_witnessed_one(log: LogBuilder) -> None:
    one, trust = await issued(log), log.trust(policy=POLICY)
    assert judged(log, await proof_file(log, one), trust=trust).witnessed is False
    log.cosigned_by = (WITNESS,)
    assert judged(log, await proof_file(log, one), trust=trust).witnessed is True


async def test_a_log_that_is_not_pinned_is_not_believed(log: LogBuilder) -> None:
    one = await issued(log)
    for raw in (await proof_file(log, one), await receipt_file(log, one)):
        with pytest.raises(Unverified, match="do not name"):
            trust_of(parse_place_proof(raw), [])
    strangers = tuple(replace(key, public=bytes([key.public[0] ^ 1]) + key.public[1:]) for key in log.trust().keys)
    with pytest.raises(Unverified):
        judged(log, await proof_file(log, one), trust=log.trust(keys=strangers))


async def test_every_byte_of_a_proof_file_counts(log: LogBuilder) -> None:
    one = await issued(log)
    raw = await proof_file(log, one)
    for at in range(0, len(raw), 61):
        flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            placed = judged(log, flipped)
        except (Malformed, Unverified):
            continue
        assert placed.entry == one.statement.entry, "at most a line that nobody here pins has changed"


def test_other_files_are_none() -> None:
    for raw in (b"", b"c2sp.org/tlog", b"%PDF-1.7", b"\x85" * 40, b"\xd2" + bytes(5000)):
        assert not is_place_proof(raw)
    for raw in (b"c2sp.org/tlog-proof@v1\nnonsense", b"\xd2\x84"):
        assert is_place_proof(raw)
        with pytest.raises(Malformed):
            parse_place_proof(raw)


async def test_a_file_of_before_the_logs_keys_changed_counts_by_the_former_pair(log: LogBuilder) -> None:
    log.cosigned_by = (WITNESS,)
    one = await issued(log)
    raw = await proof_file(log, one)
    before, trust = log.signer.vkeys, log.trust(policy=POLICY)
    now = replace(trust, keys=replace(log, pair="second").signer.vkeys)
    with pytest.raises(Unverified):
        judged(log, raw, trust=now)
    placed = judged(log, raw, trust=replace(now, former=(FormerKeys(before, log.time + 5_000),)))
    assert placed == judged(log, raw, trust=trust) and placed.witnessed
    with pytest.raises(Unverified):
        judged(log, raw, trust=replace(now, former=(FormerKeys(before, log.time - 5_000),)))


async def test_a_witness_of_the_future_is_none(log: LogBuilder) -> None:
    log.cosigned_by = (WITNESS,)
    one = await issued(log)
    raw, trust = await proof_file(log, one), log.trust(policy=POLICY)
    early = log.time - trust.max_skew_ms - 60_000
    assert judged(log, raw, trust=trust).witnessed
    assert not verify_place_of(parse_place_proof(raw), raw, None, trust, early).witnessed

"""Evidence that stands on its own: it convicts a log that signed it, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import CertLedgerError, Malformed, Unverified
from ledger.store.hashes import Hashes
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import fold_right
from tests.support.build_log import LogBuilder, octets
from verifier.audit.evidence import BadEntryProof, Fork, format_evidence, parse_evidence, verify_evidence


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    await builder.issue(builder.certificate("a"), builder.certificate("b"))
    yield builder
    await builder.store.close()


async def fork_of(log: LogBuilder) -> Fork:
    """An older head that is not a prefix of the log as it is."""
    head = log.integrator.head
    assert head is not None
    hashes = Hashes(log.store)
    older = log.signer.sign(Checkpoint(log.origin, 3, octets("another root")), 1000)
    root, proof = fold_right(await hashes.cover(3)), await hashes.consistency(3, head.size)
    vkeys = tuple(key.format_vkey() for key in log.signer.vkeys)
    return Fork(log.origin, vkeys, older, log.checkpoint(), root, proof)


async def entry_of(log: LogBuilder, index: int) -> BadEntryProof:
    size = log.integrator.size
    (inclusion,) = await Hashes(log.store).inclusion([index], size)
    (entry,) = await log.store.entries(index, index + 1)
    vkeys = tuple(key.format_vkey() for key in log.signer.vkeys)
    return BadEntryProof(log.origin, vkeys, log.checkpoint(), index, entry, inclusion, "why")


async def test_a_fork_convicts(log: LogBuilder) -> None:
    fork = await fork_of(log)
    read = parse_evidence(format_evidence(fork))
    assert read == fork
    older, newer = verify_evidence(read, log.origin, log.signer.vkeys)
    assert (older.checkpoint.size, newer.checkpoint.size) == (3, log.integrator.size)


async def test_two_roots_of_one_size_convict(log: LogBuilder) -> None:
    head = log.integrator.head
    assert head is not None
    other = log.signer.sign(Checkpoint(log.origin, head.size, octets("x")), 1000)
    fork = Fork(log.origin, (), other, log.checkpoint(), head.root, ())
    verify_evidence(fork, log.origin, log.signer.vkeys)
    with pytest.raises(Unverified):  # the same head twice is no fork
        verify_evidence(replace(fork, older=log.checkpoint()), log.origin, log.signer.vkeys)


async def test_an_honest_growth_convicts_nobody(log: LogBuilder) -> None:
    fork = await fork_of(log)
    honest = log.signer.sign(Checkpoint(log.origin, 3, fork.prefix_root), 1000)
    with pytest.raises(Unverified):
        verify_evidence(replace(fork, older=honest), log.origin, log.signer.vkeys)


async def test_only_the_pinned_log_is_convicted(log: LogBuilder, tmp_path: Path) -> None:
    other = await LogBuilder.create(tmp_path / "other.db", seed="other")
    for evidence in (await fork_of(log), await entry_of(log, 4)):
        with pytest.raises(Unverified):
            verify_evidence(evidence, log.origin, other.signer.vkeys)
        with pytest.raises(Unverified):
            verify_evidence(evidence, "another.example", log.signer.vkeys)
    await other.store.close()


async def test_an_entry_is_shown_to_be_signed(log: LogBuilder) -> None:
    proof = await entry_of(log, 4)
    assert parse_evidence(format_evidence(proof)) == proof
    (opened,) = verify_evidence(proof, log.origin, log.signer.vkeys)
    assert opened.checkpoint.size == log.integrator.size
    for wrong in (replace(proof, index=3), replace(proof, entry=b"x"), replace(proof, inclusion=())):
        with pytest.raises(Unverified):
            verify_evidence(wrong, log.origin, log.signer.vkeys)


async def test_no_byte_of_a_fork_can_be_changed(log: LogBuilder) -> None:
    raw = format_evidence(await fork_of(log))
    vkeys = raw.index(b'"vkeys"'), raw.index(b'"kind"')  # what the file itself says of keys is not believed
    for at in [*range(0, len(raw), 53)]:
        if vkeys[0] <= at < vkeys[1]:
            continue
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(CertLedgerError):
            evidence = parse_evidence(changed)
            if evidence.origin != log.origin:
                raise Unverified("of another log")
            verify_evidence(evidence, log.origin, log.signer.vkeys)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b'{"format": 1}', b"[" * 5000, b" " * 2_000_000])
def test_garbage(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_evidence(raw)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.log_proof import LogProof, open_sealed, verify_log_proof, verify_place
from ledger.records.seal import CHAIN_START, Seal, extend_chain
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import leaf_hash
from tests.support import slow_tree

ORIGIN = "log.example/1"
SIGNER = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x11" * 32), MlDsa44Signer(b"\x12" * 32))
KEYS = SIGNER.vkeys
ENTRIES = [b"statement %d" % at for at in range(6)]
TIME_S = 1_780_000_000


def seal_of(entries: list[bytes], covered: int) -> bytes:
    chain = extend_chain(CHAIN_START, map(leaf_hash, entries))[-1]
    return Seal(covered, TIME_S * 1000, bytes(32), 0, chain, -1).encode()


def proof_of(index: int, entries: list[bytes], last: bytes, signer: CheckpointSigner = SIGNER) -> LogProof:
    leaves = [leaf_hash(entry) for entry in (*entries, last)]
    size, root = len(leaves), slow_tree.root(leaves)
    note = signer.sign(Checkpoint(signer.origin, size, root), TIME_S)
    paths = (tuple(slow_tree.inclusion(at, leaves)) for at in (index, size - 1))
    inclusion, seal_inclusion = paths
    return LogProof(index, inclusion, note, last, seal_inclusion)


SEAL = seal_of(ENTRIES, 6)


@pytest.mark.parametrize("index", range(6))
def test_a_true_proof_gives_checkpoint_and_seal(index: int) -> None:
    sealed = verify_log_proof(leaf_hash(ENTRIES[index]), proof_of(index, ENTRIES, SEAL), ORIGIN, KEYS)
    assert sealed.opened.checkpoint.size == 7 and sealed.opened.time_s == TIME_S
    assert sealed.seal.encode() == SEAL


def flip(raw: bytes, at: int = -1) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


LIES: dict[str, Callable[[LogProof], LogProof]] = {
    "another index": lambda proof: replace(proof, index=3),
    "the index of the seal": lambda proof: replace(proof, index=6),
    "beyond the log": lambda proof: replace(proof, index=7),
    "inclusion": lambda proof: replace(proof, inclusion=(flip(proof.inclusion[0]), *proof.inclusion[1:])),
    "inclusion too short": lambda proof: replace(proof, inclusion=proof.inclusion[:-1]),
    "inclusion too long": lambda proof: replace(proof, inclusion=(*proof.inclusion, bytes(32))),
    "seal": lambda proof: replace(proof, seal=flip(proof.seal)),
    "another seal": lambda proof: replace(proof, seal=seal_of(ENTRIES[:5], 6)),
    "no seal": lambda proof: replace(proof, seal=b""),
    "seal inclusion": lambda proof: replace(proof, seal_inclusion=(flip(proof.seal_inclusion[0]),)),
    "no seal inclusion": lambda proof: replace(proof, seal_inclusion=()),
    "checkpoint": lambda proof: replace(proof, checkpoint=flip(proof.checkpoint, 20)),
    "checkpoint of a fork": lambda proof: replace(
        proof, checkpoint=proof_of(2, [*ENTRIES[:5], b"other"], SEAL).checkpoint
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_part_counts(lie: str) -> None:
    proof = LIES[lie](proof_of(2, ENTRIES, SEAL))
    with pytest.raises((Unverified, Malformed)):
        verify_log_proof(leaf_hash(ENTRIES[2]), proof, ORIGIN, KEYS)


def test_another_statement_has_no_place() -> None:
    with pytest.raises(Unverified):
        verify_log_proof(leaf_hash(b"statement 9"), proof_of(2, ENTRIES, SEAL), ORIGIN, KEYS)


def test_rule_r1() -> None:
    """What the log never signs: a last leaf that is no seal, and a seal of another size."""
    for last in (b"statement 6", seal_of(ENTRIES, 5), seal_of(ENTRIES, 7)):
        with pytest.raises((Unverified, Malformed)):
            verify_log_proof(leaf_hash(ENTRIES[2]), proof_of(2, ENTRIES, last), ORIGIN, KEYS)


def test_the_seal_is_no_statement() -> None:
    proof = proof_of(2, ENTRIES, SEAL)
    sealed = open_sealed(proof.checkpoint, proof.seal, proof.seal_inclusion, ORIGIN, KEYS)
    verify_place(leaf_hash(ENTRIES[2]), 2, proof.inclusion, sealed)
    with pytest.raises(Unverified, match="at or after the seal"):
        verify_place(leaf_hash(SEAL), 6, proof.seal_inclusion, sealed)


def test_only_the_pinned_log_counts() -> None:
    proof = proof_of(2, ENTRIES, SEAL)
    leaf = leaf_hash(ENTRIES[2])
    with pytest.raises(Unverified):
        verify_log_proof(leaf, proof, "other.example/1", KEYS)
    other = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x21" * 32), MlDsa44Signer(b"\x12" * 32))
    with pytest.raises(Unverified):
        verify_log_proof(leaf, proof_of(2, ENTRIES, SEAL, other), ORIGIN, KEYS)

"""A small log in memory with seals, cosigned checkpoints and evidence, all from the slow definitions.

Deterministic: the log signs with Ed25519 only, because ML-DSA-44 signatures differ from one run to the next, and the
witnesses give the time.

    log = SealedLog(); log.batch([statement, ...])      one sealed batch; `log.time` of it
    log.evidence(cert_key)                              current; `covered=` that of an older seal
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.records.evidence import Evidence, Indexed, Placed
from ledger.records.seal import CHAIN_START, Seal, extend_chain
from ledger.records.state import CertificateState, certificate_map_key
from ledger.records.statements import Statement
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint
from ledger.tlog.cosignature import ED25519_COSIGNATURE, cosign_ed25519
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.map_proof import format_map_proof, prove
from ledger.tlog.note import ED25519, Note, NoteSignature, VerifierKey, format_note
from ledger.tlog.policy import Group, Policy, Witness
from tests.support import slow_tree
from tests.support.builders import ORIGIN, TIME, key
from tests.support.memory_log import MemoryLog
from verifier.log_end import LogEnd

LOG = key("log")
LOG_KEY = VerifierKey(ORIGIN, ED25519, LOG.public)
WITNESSES = tuple((f"witness-{at}.test.example", key(f"witness {at}")) for at in (1, 2))
WITNESS_KEYS = tuple(VerifierKey(name, ED25519_COSIGNATURE, signer.public) for name, signer in WITNESSES)
AUDITOR = ("auditor.test.example", key("auditor"))
AUDITOR_KEY = VerifierKey(AUDITOR[0], ED25519_COSIGNATURE, AUDITOR[1].public)
POLICY = Policy(
    ((LOG_KEY, ""),),
    tuple(Witness(f"w{at}", vkey, "") for at, vkey in enumerate(WITNESS_KEYS, 1)),
    (Group("both", 2, ("w1", "w2")),),
    "both",
)


class SealedLog:
    """Batches are folded at once; everything else is computed again whenever it is asked for."""

    def __init__(self) -> None:
        self.time = TIME
        self.entries: list[bytes] = []
        self.seals: list[int] = []
        self.maps: dict[int, tuple[dict[bytes, bytes], dict[bytes, CertificateState]]] = {}  # by index of the seal
        self._log = MemoryLog()
        self._statements: dict[bytes, tuple[Statement, int]] = {}  # leaf hash -> statement, index

    def batch(self, statements: Sequence[Statement], time: int | None = None) -> int:
        """Fold and seal; the index of the seal."""
        self.time = self.time + 1000 if time is None else time
        for statement in statements:
            self._log.add(statement, self.time)
            self._statements[statement.leaf_hash] = statement, len(self.entries)
            self.entries.append(statement.entry)
        leaves = self._log.leaves()
        covered, chain = len(self.entries), extend_chain(CHAIN_START, map(slow_tree.leaf, self.entries))
        previous = self.seals[-1] if self.seals else -1
        seal = Seal(covered, self.time, slow_tree.map_root(leaves), len(leaves), chain[-1], previous)
        self.maps[covered] = leaves, dict(self._log.certificates)
        self.entries.append(seal.encode())
        self.seals.append(covered)
        self._log.size += 1  # the seal's leaf
        return covered

    def checkpoint(self, size: int | None = None, *, witnesses: int = 2, auditor: bool = True) -> bytes:
        """The note of a size, by default the newest; cosigned a second after the newest batch, by the auditor later."""
        leaves = [slow_tree.leaf(entry) for entry in self.entries[:size]]
        text = format_checkpoint(Checkpoint(ORIGIN, len(leaves), slow_tree.root(leaves)))
        time_s = self.time // 1000 + 1
        lines = [NoteSignature(ORIGIN, LOG_KEY.key_id, LOG.sign(text.encode()))]
        for (name, signer), vkey in zip(WITNESSES[:witnesses], WITNESS_KEYS, strict=False):
            lines.append(NoteSignature(name, vkey.key_id, cosign_ed25519(signer, text, time_s)))
        if auditor:
            lines.append(_by_auditor(AUDITOR[1], text, time_s + 1))
        return format_note(Note(text, tuple(lines)))

    def evidence(self, cert_key: bytes, *, covered: int | None = None, note: bytes | None = None) -> Evidence:
        covered = self.seals[-1] if covered is None else covered
        leaves, states = self.maps[covered]
        place = self.seals.index(covered) + 1
        following = self._placed(self.seals[place]) if place < len(self.seals) else None
        proof = format_map_proof(prove(certificate_map_key(cert_key), sorted(leaves.items())))
        checkpoint = self.checkpoint() if note is None else note
        state = states.get(cert_key)
        if state is None:
            return Evidence(cert_key, checkpoint, self._placed(covered), following, proof, b"")
        named = [state.issue_leaf, state.commitment_leaf, state.event_leaf]
        best = state.summary.highest
        highest = None
        if best is not None and best.cert_key != cert_key:
            index = states[best.cert_key].issue_index
            highest = Indexed(self.entries[index], index, self._placed(index).inclusion)
        return Evidence(
            cert_key,
            checkpoint,
            self._placed(covered),
            following,
            proof,
            state.encode(),
            self._placed(state.issue_index),
            b"" if named[1] in named[:1] else self._statements[named[1]][0].entry,
            b"" if named[2] in named[:2] else self._statements[named[2]][0].entry,
            self._statements[state.filing_leaf][0].entry,
            highest,
        )

    def end(self) -> LogEnd:
        """What closed the log."""
        placed = self._placed(len(self.entries) - 2)
        return LogEnd(placed.entry, placed.inclusion)

    def _placed(self, index: int) -> Placed:
        leaves = [slow_tree.leaf(entry) for entry in self.entries]
        return Placed(self.entries[index], tuple(slow_tree.inclusion(index, leaves)))


def _by_auditor(signer: Ed25519Signer, text: str, time_s: int) -> NoteSignature:
    return NoteSignature(AUDITOR[0], AUDITOR_KEY.key_id, cosign_ed25519(signer, text, time_s))

"""Witnesses and map auditors for tests: they cosign whatever they are shown, at the time they are told."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.tlog.checkpoint import add_cosignatures, parse_checkpoint
from ledger.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    cosign_ed25519,
    cosign_ml_dsa_44,
)
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import NoteSignature, VerifierKey, parse_note
from ledger.tlog.policy import Group, Policy, Witness
from tests.support.builders import octets


@dataclass(frozen=True)
class Cosigner:
    """One named party with an Ed25519 and an ML-DSA-44 key."""

    name: str

    @property
    def ed25519(self) -> VerifierKey:
        return VerifierKey(self.name, ED25519_COSIGNATURE, self._ed25519.public)

    @property
    def ml_dsa(self) -> VerifierKey:
        return VerifierKey(self.name, ML_DSA_44_COSIGNATURE, self._ml_dsa.public)

    @property
    def _ed25519(self) -> Ed25519Signer:
        return Ed25519Signer(octets(f"cosigner ed {self.name}", 32))

    @property
    def _ml_dsa(self) -> MlDsa44Signer:
        return MlDsa44Signer(octets(f"cosigner ml {self.name}", 32))

    def lines(self, note: bytes, time_s: int) -> tuple[NoteSignature, NoteSignature]:
        text = parse_note(note).text
        ed = cosign_ed25519(self._ed25519, text, time_s)
        ml = cosign_ml_dsa_44(self._ml_dsa, self.name, parse_checkpoint(text), time_s)
        return (
            NoteSignature(self.name, self.ed25519.key_id, ed),
            NoteSignature(self.name, self.ml_dsa.key_id, ml),
        )


def cosigned(note: bytes, times: dict[Cosigner, int]) -> bytes:
    """`note` with the Ed25519 line of each cosigner at its time (POSIX seconds)."""
    return add_cosignatures(note, [who.lines(note, time_s)[0] for who, time_s in times.items()])


def quorum(k: int, *witnesses: Cosigner) -> Policy:
    """k of these witnesses, by their Ed25519 keys."""
    lines = tuple(Witness(witness.name, witness.ed25519) for witness in witnesses)
    return Policy((), lines, (Group("enough", k, tuple(line.name for line in lines)),), "enough")

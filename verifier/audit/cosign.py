"""The auditor as map auditor: a witness that says more. Its cosignature under its own name means

    "this tree extends every one I cosigned before, and all that is in it was replayed here: every signature holds,
    every statement was admissible, and every seal up to its end is the one that the entries give"

The rules about sizes, roots and times are the witness's own (verifier/witness/decide.py), with a state of its own.
Before them comes the judgement, which is why steps 1 to 3 of a witness are looked at twice:

    0 judge   the replica has replayed up to this checkpoint and has the same root there; it waits for that for a few
              seconds, replaying what the asking log has just signed; not yet is 503, another root or a broken rule 422

Nothing is stored between 0 and the witness's own compare-and-store. A replay that a kill takes back after it (the
replica commits many batches at a time) was still made, and comes to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ledger.keystore import Cost, create_key_file, new_key, open_key_file
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint, parse_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import NoteSignature, VerifierKey, parse_note
from verifier.witness.decide import Cosigner, Witness
from verifier.witness.state import Fork, WitnessState

KEYS_FILE: Final = "keys.json"
STATE_FILE: Final = "cosigned.db"
_ED25519, _ML_DSA = "ed25519", "ml-dsa-44"  # names in the key file, and kinds


class MapAuditor(Witness):
    """`judge(note, checkpoint)` is step 0: it returns or raises, and may block; it is called on worker threads.
    `ready()` raises Unavailable while the replay does not go on. `on_asked()`: somebody outside was answered; on a
    worker thread too."""

    def __init__(
        self,
        cosigner: Cosigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        state: WitnessState,
        now_s: Callable[[], int],
        judge: Callable[[bytes, Checkpoint], None],
        ready: Callable[[], None],
        on_fork: Callable[[Fork], None] = lambda fork: None,
        on_asked: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(cosigner, logs, state, now_s, on_fork)
        self._judge, self._ready, self._on_asked = judge, ready, on_asked

    def add(self, raw: bytes) -> tuple[NoteSignature, ...]:
        """As a witness's, after step 0. Only who was answered has asked: nobody else can keep the auditor from its own
        turn."""
        lines = self._decide(raw)
        self._on_asked()
        return lines

    def _decide(self, raw: bytes) -> tuple[NoteSignature, ...]:
        note = parse_add_checkpoint(raw).note
        checkpoint = parse_checkpoint(parse_note(note).text)
        if checkpoint.origin in self.logs:
            self._judge(note, checkpoint)  # 0
        return super().add(raw)

    def check_ready(self) -> None:
        super().check_ready()
        self._ready()

    def add_own(self, old: int, proof: Sequence[bytes], note: bytes) -> None:
        """Cosign a checkpoint that the replica itself has come to: the same decision, asked from within."""
        self._decide(format_add_checkpoint(AddCheckpoint(old, tuple(proof), note)))


def create_keys(
    folder: Path, name: str, origin: str, passphrase: bytes, *, created_day: int, cost: Cost,
    random_bytes: Callable[[int], bytes],
) -> Cosigner:  # fmt: skip
    """Draw the auditor's two keys and begin its memory of what it cosigned. Refuses to replace either."""
    keys = {
        kind: new_key(kind, name[:100], created_day=created_day, random_bytes=random_bytes)
        for kind in (_ED25519, _ML_DSA)
    }
    create_key_file(folder / KEYS_FILE, keys, passphrase, cost=cost)
    WitnessState.create(folder / STATE_FILE)
    state = WitnessState(folder / STATE_FILE)
    try:
        state.add_log(origin)
    finally:
        state.close()
    return Cosigner(name, Ed25519Signer(keys[_ED25519].secret), MlDsa44Signer(keys[_ML_DSA].secret))


def open_cosigner(folder: Path, name: str, passphrase: bytes) -> Cosigner:
    """Unlock the auditor's keys. Raises as `open_key_file`."""
    file = open_key_file(folder / KEYS_FILE, passphrase)
    ed25519, ml_dsa = (file.key(kind, kind).secret for kind in (_ED25519, _ML_DSA))
    return Cosigner(name, Ed25519Signer(ed25519), MlDsa44Signer(ml_dsa))

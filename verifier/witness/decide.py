"""Whether to cosign a checkpoint (C2SP tlog-witness, add-checkpoint): one decision, in numbered steps.

    1 form        the body is a request, its note a checkpoint without extension lines            else Malformed   400
    2 log         the origin is one of ours                                                       else UnknownLog  404
    3 signature   a key of that log signed it, and no line of such a key is false                 else Unverified  403
    4 order       the old size is not larger than the checkpoint's                                else Malformed   400
    5 known       the old size is that of the newest tree we cosigned                             else OtherSize   409
    6 growth      same size: same root; empty tree: its one root; old 0: no proof; otherwise the
                  proof leads from our root to the checkpoint's                                   else Refused     422
    7 clock       not earlier than the newest cosignature we gave for this log                    else Unavailable 503
    8 sign        both cosignatures, in memory only: a crash here leaves nothing behind
    9 store       compare-and-store on what 5 and 6 looked at, durable before 10; when somebody else was faster, from 5
                  again: nothing that was signed in 8 has left this process
   10 answer      a crash between 9 and 10 loses the answer, not the promise: the log hears the new size (409) and asks
                  again from there, which step 6 allows for the same root only

So for one log no two roots of one size ever leave, sizes never fall, and times never go back. A checkpoint that the log
signed beside another one of the same size is kept as a proof against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.text import Text
from ledger.tlog.add_checkpoint import AddCheckpoint, parse_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, add_cosignatures, parse_checkpoint
from ledger.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    cosign_ed25519,
    cosign_ml_dsa_44,
)
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import EMPTY_ROOT, verify_consistency
from ledger.tlog.note import Note, NoteSignature, VerifierKey, format_note, open_note, parse_note
from verifier.witness.state import Fork, Seen, WitnessState

ATTEMPTS: Final = 8  # to store while others store too
_UNKNOWN: Final = Text("本见证人不见证该日志", "This witness does not know the log")
_OTHER_SIZE: Final = Text("旧大小与本见证人所见不同", "The old size is not the one this witness has seen")
_OTHER_ROOT: Final = Text("同一大小出现另一个根哈希", "Another root for a size that was cosigned")
_NOT_EMPTY: Final = Text("空树的根哈希不正确", "The empty tree has another root")
_NEEDLESS: Final = Text("旧大小为 0 时不应附证明", "No proof belongs to an old size of 0")
_NO_GROWTH: Final = Text("一致性证明不成立", "The consistency proof does not hold")


class UnknownLog(Refused):
    """Not a log of this witness."""

    def __init__(self) -> None:
        super().__init__("UNKNOWN_LOG", "origin", _UNKNOWN)


class OtherSize(Refused):
    """The request starts from another size than `size`, that of the newest tree cosigned here."""

    def __init__(self, size: int) -> None:
        super().__init__("OTHER_SIZE", "old", _OTHER_SIZE)
        self.size = size


class Cosigner:
    """The witness's two keys under one name."""

    __slots__ = ("_ed25519", "_ml_dsa", "name", "vkeys")

    def __init__(self, name: str, ed25519: Ed25519Signer, ml_dsa: MlDsa44Signer) -> None:
        self.name = name
        self.vkeys = (
            VerifierKey(name, ED25519_COSIGNATURE, ed25519.public),
            VerifierKey(name, ML_DSA_44_COSIGNATURE, ml_dsa.public),
        )
        self._ed25519 = ed25519
        self._ml_dsa = ml_dsa

    def cosign(self, text: str, time_s: int) -> tuple[NoteSignature, ...]:
        """An Ed25519 and an ML-DSA-44 line for the checkpoint `text` at `time_s` (POSIX seconds)."""
        blobs = (
            cosign_ed25519(self._ed25519, text, time_s),
            cosign_ml_dsa_44(self._ml_dsa, self.name, parse_checkpoint(text), time_s),
        )
        return tuple(NoteSignature(key.name, key.key_id, blob) for key, blob in zip(self.vkeys, blobs, strict=True))


class Witness:
    """Decides for a fixed set of logs (origin -> keys) over one state. Threads may call it at the same time."""

    def __init__(
        self,
        cosigner: Cosigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        state: WitnessState,
        now_s: Callable[[], int],
        on_fork: Callable[[Fork], None] = lambda fork: None,
    ) -> None:
        self.cosigner = cosigner
        self.logs = {origin: tuple(keys) for origin, keys in logs.items()}
        self._hashes = {sha256(origin.encode()).hexdigest(): origin for origin in logs}
        self._state = state
        self._now_s = now_s
        self._on_fork = on_fork

    def add(self, raw: bytes) -> tuple[NoteSignature, ...]:
        """The cosignature lines for one add-checkpoint body. Raises as the module says."""
        request = parse_add_checkpoint(raw)  # 1
        text = parse_note(request.note).text
        checkpoint = parse_checkpoint(text)
        keys = self.logs.get(checkpoint.origin)
        if keys is None:
            raise UnknownLog  # 2
        signed = _with_lines_of(request.note, keys)  # 3
        if request.old > checkpoint.size:
            raise Malformed("the old size is larger than the checkpoint's")  # 4
        for _ in range(ATTEMPTS):
            seen = self.seen(checkpoint.origin)
            self._keep_fork(seen, checkpoint, signed)
            if request.old != seen.size:
                raise OtherSize(seen.size)  # 5
            _check_growth(seen, request, checkpoint)  # 6
            time_s = self._time_after(seen)  # 7
            lines = self.cosigner.cosign(text, time_s)  # 8
            note = add_cosignatures(signed, lines)
            if self._state.advance(checkpoint.origin, seen, Seen(checkpoint.size, checkpoint.root, time_s, note)):  # 9
                return lines  # 10
        raise Unavailable(
            Text("同一日志的并发请求过多，请重试", "too many requests for one log at once; try again"), retry_after=1
        )

    def seen(self, origin: str) -> Seen:
        """The newest tree cosigned for a log of this witness."""
        seen = self._state.seen(origin)
        if seen is None:
            raise Unavailable(
                Text("见证人的状态中没有该日志", "the witness's state does not know the log"), retry_after=60
            )
        return seen

    def shown(self, origin_hash: str) -> bytes | None:
        """For monitors: the newest checkpoint with our cosignatures, by the origin's SHA-256 in hex; None: none yet."""
        origin = self._hashes.get(origin_hash)
        return None if origin is None else self.seen(origin).note

    def check_ready(self) -> None:
        """Raises Unavailable while the state does not answer or the clock is behind a cosignature given."""
        for origin in self.logs:
            self._time_after(self.seen(origin))

    def _time_after(self, seen: Seen) -> int:
        time_s = self._now_s()
        if time_s < seen.time_s:
            raise Unavailable(
                Text(
                    "时钟早于已给出的联署：请校准时钟", "the clock is behind a cosignature that was given: set it right"
                ),
                retry_after=30,
            )
        return time_s

    def _keep_fork(self, seen: Seen, checkpoint: Checkpoint, signed: bytes) -> None:
        if seen.note is None or seen.size != checkpoint.size or seen.root == checkpoint.root:
            return
        fork = Fork(checkpoint.origin, seen.size, checkpoint.root, self._now_s(), seen.note, signed)
        self._state.keep_fork(fork)
        self._on_fork(fork)


def _with_lines_of(raw: bytes, keys: Sequence[VerifierKey]) -> bytes:
    """The note with the verified lines of `keys` only. Raises Unverified without any, or when one is false."""
    known = {(verified.key.name, verified.key.key_id) for verified in open_note(raw, keys).verified}
    note = parse_note(raw)
    return format_note(Note(note.text, tuple(s for s in note.signatures if (s.name, s.key_id) in known)))


def _check_growth(seen: Seen, request: AddCheckpoint, checkpoint: Checkpoint) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise Refused("NOT_EMPTY", "root", _NOT_EMPTY)
    if checkpoint.size == seen.size and checkpoint.root != seen.root:
        raise Refused("OTHER_ROOT", "root", _OTHER_ROOT)
    if seen.size == 0:
        if request.proof:
            raise Refused("NEEDLESS_PROOF", "proof", _NEEDLESS)
        return
    try:
        verify_consistency(seen.size, seen.root, checkpoint.size, checkpoint.root, request.proof)
    except Unverified as error:
        raise Refused("NO_GROWTH", "proof", _NO_GROWTH) from error

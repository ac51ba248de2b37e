"""Checkpoints signed by the log and opened by everybody else (C2SP tlog-checkpoint, with tlog-cosignature
0x06).

The log signs twice under its origin: Ed25519 (0x01), which every client and witness reads, and ML-DSA-44
(0x06), which stands against quantum computers and carries a time. Witnesses and map auditors add lines of their own:
where the policy has a quorum, freshness rests on their times, otherwise on the log's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ledger.errors import Malformed, Unverified
from ledger.text import Text
from ledger.tlog.checkpoint_text import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE, cosign_ml_dsa_44
from ledger.tlog.keys import ED25519_SIGNATURE_BYTES, ML_DSA_44_SIGNATURE_BYTES, Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import HASH_BYTES
from ledger.tlog.note import (
    ED25519,
    Note,
    NoteSignature,
    NoTrustedKey,
    VerifierKey,
    format_note,
    open_note,
    parse_note,
)
from ledger.tlog.policy import Policy
from ledger.tlog.spelling import MAX_DECIMAL

__all__ = [
    "Checkpoint",
    "CheckpointSigner",
    "CosignedCheckpoint",
    "OpenedCheckpoint",
    "add_cosignatures",
    "check_room",
    "format_checkpoint",
    "open_checkpoint",
    "open_cosigned",
    "parse_checkpoint",
]

_SHORT = Text("检查点的见证签名达不到策略要求", "the checkpoint is short of the witness quorum")
_OTHER_KEYS = Text(
    "检查点没有由所固定的日志密钥签署：若日志已更换密钥，请按 docs/operating.md 的 When a log changes its keys 更改设置"
    "中的 log_keys；否则不要相信它",
    "The checkpoint is signed under none of the log keys that are pinned here. If the log changed its keys, change "
    "log_keys in the settings (docs/operating.md, When a log changes its keys); otherwise do not believe it",
)
_COSIGNATURE_BYTES = {
    ED25519_COSIGNATURE: 8 + ED25519_SIGNATURE_BYTES,
    ML_DSA_44_COSIGNATURE: 8 + ML_DSA_44_SIGNATURE_BYTES,
}


class CheckpointSigner:
    """The log's two keys under one name, its origin."""

    __slots__ = ("_ed25519", "_ml_dsa", "origin", "vkeys")

    def __init__(self, origin: str, ed25519: Ed25519Signer, ml_dsa: MlDsa44Signer) -> None:
        self.origin = origin
        self.vkeys = (
            VerifierKey(origin, ED25519, ed25519.public),
            VerifierKey(origin, ML_DSA_44_COSIGNATURE, ml_dsa.public),
        )
        self._ed25519 = ed25519
        self._ml_dsa = ml_dsa

    def sign(self, checkpoint: Checkpoint, time_s: int) -> bytes:
        """The signed note, Ed25519 line first. `time_s`: POSIX seconds. Malformed for another log's
        checkpoint.
        """
        if checkpoint.origin != self.origin:
            raise Malformed("a checkpoint of another origin")
        text = format_checkpoint(checkpoint)
        blobs = (
            self._ed25519.sign(text.encode()),
            cosign_ml_dsa_44(self._ml_dsa, self.origin, checkpoint, time_s),
        )
        lines = tuple(NoteSignature(key.name, key.key_id, blob) for key, blob in zip(self.vkeys, blobs, strict=True))
        return format_note(Note(text, lines))


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that every pinned log key signed; built by `open_checkpoint` only."""

    checkpoint: Checkpoint
    time_s: int  # POSIX seconds, from the log's own timestamped signature
    note: bytes  # as received, further signatures included


@dataclass(frozen=True, slots=True)
class CosignedCheckpoint:
    """A checkpoint that every pinned log key signed and the policy's quorum cosigned; built by `open_cosigned` only."""

    checkpoint: Checkpoint
    note: bytes  # as received
    log_time_s: int  # POSIX seconds, from the log's own timestamped signature
    quorum_time_s: int | None  # newest moment at which the quorum stood behind it; None: the policy asks for none
    cosigned: Mapping[VerifierKey, int]  # of the policy's witnesses and the auditors: who, and when (POSIX seconds)
    auditor_time_s: int | None  # newest cosignature of a map auditor; None: no auditor's is there

    @property
    def time_s(self) -> int:
        """How fresh it is: the quorum's moment, or the log's where the policy has no quorum."""
        return self.log_time_s if self.quorum_time_s is None else self.quorum_time_s


def open_checkpoint(note: bytes, origin: str, keys: Sequence[VerifierKey]) -> OpenedCheckpoint:
    """Open a log's checkpoint under the pinned `origin` and log `keys`, of which at least one carries a time.

    Unverified unless every key signed and the origin is the pinned one; Malformed when the bytes are no
    checkpoint.
    """
    checkpoint, times = _open(note, origin, keys)
    return OpenedCheckpoint(checkpoint, _log_time(times, keys), note)


def open_cosigned(
    note: bytes,
    origin: str,
    log_keys: Sequence[VerifierKey],
    policy: Policy,
    auditors: Sequence[VerifierKey] = (),
    *,
    latest_s: int | None = None,
    undated_s: int | None = None,
) -> CosignedCheckpoint:
    """Open a checkpoint that the witnesses of `policy` have to stand behind. The policy's `log` lines play no part.

    1 the pinned `log_keys` all signed it, of which at least one carries a time, and it is of the pinned `origin`;
      with `undated_s` (POSIX seconds: when the caller knows the tree to have existed) none of them needs to
    2 every line of a known witness or map auditor holds; lines of others are ignored
    3 cosignatures dated after `latest_s` (POSIX seconds: now and what clocks may differ) do not count: whose clock
      runs ahead must not keep a checkpoint fresh
    4 the rest satisfies the policy's quorum

    Unverified otherwise; Malformed when the bytes are no checkpoint.
    """
    checkpoint, times = _open(note, origin, log_keys, (*policy.keys, *auditors))  # 1, 2
    cosigners = {*policy.keys, *auditors}
    cosigned = {
        key: time_s
        for key, time_s in times.items()
        if key in cosigners and time_s is not None and (latest_s is None or time_s <= latest_s)  # 3
    }
    quorum_time_s = policy.quorum_time(cosigned)
    if policy.has_quorum and quorum_time_s is None:  # 4
        raise Unverified(_SHORT)
    return CosignedCheckpoint(
        checkpoint=checkpoint,
        note=note,
        log_time_s=_log_time(times, log_keys, undated_s),
        quorum_time_s=quorum_time_s,
        cosigned=MappingProxyType(cosigned),
        auditor_time_s=max((cosigned[key] for key in auditors if key in cosigned), default=None),
    )


def add_cosignatures(note: bytes, lines: Sequence[NoteSignature]) -> bytes:
    """`note` with the cosignature `lines` after its own; of two lines of one (name, key ID) the newer time stays.

    The caller has opened every line: a note with one line that does not hold is refused by whoever knows the key.
    Malformed for a line that is no cosignature (it cannot displace the log's Ed25519 line), and past the limits of a
    note.
    """
    parsed = parse_note(note)
    kept = {(line.name, line.key_id): line for line in parsed.signatures}
    for line in lines:
        who = (line.name, line.key_id)
        held = kept.get(who, line)
        if len(line.blob) not in _COSIGNATURE_BYTES.values() or len(held.blob) != len(line.blob):
            raise Malformed("a line to add is no cosignature")
        if held.blob[:8] <= line.blob[:8]:  # u64 big-endian seconds
            kept[who] = line
    return format_note(Note(parsed.text, tuple(kept.values())))


def check_room(origin: str, cosigners: Sequence[VerifierKey]) -> None:
    """Raise Malformed when a checkpoint of this log with a line of each of `cosigners` could pass a note's limits."""
    text = format_checkpoint(Checkpoint(origin, MAX_DECIMAL, bytes(HASH_BYTES)))
    own = (ED25519_SIGNATURE_BYTES, _COSIGNATURE_BYTES[ML_DSA_44_COSIGNATURE])
    lines = [NoteSignature(origin, bytes(4), bytes(length)) for length in own]
    lines += [NoteSignature(key.name, key.key_id, bytes(_COSIGNATURE_BYTES[key.type])) for key in cosigners]
    format_note(Note(text, tuple(lines)))


def _open(
    note: bytes, origin: str, log_keys: Sequence[VerifierKey], others: Sequence[VerifierKey] = ()
) -> tuple[Checkpoint, dict[VerifierKey, int | None]]:
    try:
        opened = open_note(note, (*log_keys, *others))
    except NoTrustedKey as error:
        raise Unverified(_OTHER_KEYS) from error
    times = {verified.key: verified.time_s for verified in opened.verified}
    if not set(log_keys) <= times.keys():
        raise Unverified("a log key did not sign the checkpoint")
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise Unverified("a checkpoint of another log")
    return checkpoint, times


def _log_time(
    times: Mapping[VerifierKey, int | None], log_keys: Sequence[VerifierKey], undated_s: int | None = None
) -> int:
    dated = [time_s for key in log_keys if (time_s := times[key]) is not None]
    if not dated and undated_s is not None:
        return undated_s
    if not dated:
        raise Unverified("no log key says when the checkpoint was signed")
    return min(dated)

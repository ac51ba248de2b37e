"""Which keys sign the log's checkpoints: those of its start, or those that the authority has named since.

    cert-ledger next-keys       makes the keys and says what to propose; nothing changes yet
    a log-key statement         names them, and is refused where the next start could not sign with them: what is
                                committed cannot be taken back. The process ends, because it must not go on signing
                                with the old ones
    the next start              signs the committed head, and everything after it, with the new keys

A crash at any of these moments leaves a log that signs with the keys that its last committed state names.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from ledger.errors import CertLedgerError, Refused, Unavailable
from ledger.keystore import Cost, KeyFile, create_key_file, new_key, public_part
from ledger.records.refusals import Refusal, refuse
from ledger.records.rotation import LogKey
from ledger.records.state import AuthorityState, authority_map_key, parse_authority_state
from ledger.service.config import LedgerSettings
from ledger.store.protocol import VersionedStore
from ledger.text import Text
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import ED25519 as NOTE_ED25519
from ledger.tlog.note import VerifierKey

ED25519, ML_DSA_44 = "log-ed25519", "log-ml-dsa-44"  # names in a key file
_READ = 64  # versions of the authority's state at a time
_MISSING = Text(
    "主管部门指定的日志密钥不在本目录（{name}），请从密钥备份取回后再启动",
    "The log keys that the authority has named are not in this folder ({name}); bring them back, then start again",
)


class KeysChanged(Unavailable):
    """The authority has named other keys: this process must not sign again."""


def make_next_keys(
    folder: Path, origin: str, passphrase: bytes, *, cost: Cost, day: int, random_bytes: Callable[[int], bytes]
) -> tuple[bytes, bytes]:
    """Make the keys that a log-key statement will name; their public halves, Ed25519 and ML-DSA-44."""
    keys = {
        ED25519: new_key("ed25519", origin, created_day=day, random_bytes=random_bytes),
        ML_DSA_44: new_key("ml-dsa-44", origin, created_day=day, random_bytes=random_bytes),
    }
    publics = (Ed25519Signer(keys[ED25519].secret).public, MlDsa44Signer(keys[ML_DSA_44].secret).public)
    create_key_file(folder / file_of(publics[0]), keys, passphrase, cost=cost, random_bytes=random_bytes)
    return publics


def file_of(ed25519: bytes) -> str:
    """The file in the log's folder that holds the pair with this Ed25519 public key."""
    return f"log-keys-{sha256(ed25519).hexdigest()[:16]}.json"


def log_keys(folder: Path, settings: LedgerSettings) -> list[tuple[VerifierKey, VerifierKey]]:
    """The public halves of every pair of log keys in the folder: which of them signs now, the log decides."""
    first = settings.keys if settings.keys.is_absolute() else folder / settings.keys
    pairs = []
    for path in (first, *sorted(folder.glob("log-keys-*.json"))):
        public = {key.name: key.public for key in public_part(path)}
        ed25519, ml_dsa = public.get(ED25519), public.get(ML_DSA_44)
        if ed25519 is None or ml_dsa is None:
            raise Unavailable(Text(f"{path.name} 中没有日志密钥", f"{path.name} has no log keys"))
        pairs.append(_pair(settings.origin, ed25519, ml_dsa))
    return pairs


async def own_keys(folder: Path, settings: LedgerSettings, store: VersionedStore) -> tuple[VerifierKey, ...]:
    """Every key whose signature is this log's own word: of the pairs in its folder, that of `next-keys` too, and of
    those that its log-key statements named before the last one, whose private halves may be gone.

    A store from before a change of keys knows nothing of the later pair; the folder does.
    """
    pairs = log_keys(folder, settings)
    authority, since, found = authority_map_key(settings.origin), -1, [b""] * _READ
    while len(found) == _READ:
        read = await store.history_after(authority, since, _READ)
        found = [version.body for map_key, version in read if map_key == authority]
        since = read[-1][1].since if read else since
        named = [parse_authority_state(body).log_keys for body in found]
        pairs += [_pair(settings.origin, *keys) for keys in named if keys]
    return tuple(dict.fromkeys(key for pair in pairs for key in pair))


def _pair(origin: str, ed25519: bytes, ml_dsa: bytes) -> tuple[VerifierKey, VerifierKey]:
    return VerifierKey(origin, NOTE_ED25519, ed25519), VerifierKey(origin, ML_DSA_44_COSIGNATURE, ml_dsa)


def log_signer(
    origin: str, first: KeyFile, authority: AuthorityState | None, unlock: Callable[[str], KeyFile]
) -> CheckpointSigner:
    """The signer that the log's state asks for. `first` holds the keys of its start, and `unlock` opens a file of the
    folder. Refused without the keys."""
    named = authority.log_keys if authority is not None else ()
    return _named_signer(origin, first, named, unlock) if named else _signer(origin, first)


def check_log_key(present: CheckpointSigner, first: KeyFile, said: LogKey, unlock: Callable[[str], KeyFile]) -> None:
    """Raise Refused unless the next start can sign with the keys that a log-key statement names: one pair, of which the
    folder has both private halves under the passphrase of this start. Takes as long as unlocking a key file does."""
    if said.successor:
        return
    named = (said.ed25519, said.ml_dsa_44)
    if _publics(present) == named:
        raise refuse(Refusal.NOTHING_CHANGES, "keys")
    try:
        _named_signer(present.origin, first, named, unlock)
    except CertLedgerError as error:
        raise refuse(Refusal.LOG_KEYS_NOT_HELD, file_of(said.ed25519)) from error


def _named_signer(
    origin: str, first: KeyFile, named: tuple[bytes, ...], unlock: Callable[[str], KeyFile]
) -> CheckpointSigner:
    signer = _signer(origin, first)
    if _publics(signer) == named:
        return signer
    name = file_of(named[0])
    try:
        signer = _signer(origin, unlock(name))
    except (Unavailable, OSError) as error:
        raise Refused("LOG_KEYS", "log_keys", _MISSING.format(name=name)) from error
    if _publics(signer) != named:
        raise Refused("LOG_KEYS", "log_keys", _MISSING.format(name=name))
    return signer


def _signer(origin: str, keys: KeyFile) -> CheckpointSigner:
    ed25519 = Ed25519Signer(keys.key(ED25519, "ed25519").secret)
    return CheckpointSigner(origin, ed25519, MlDsa44Signer(keys.key(ML_DSA_44, "ml-dsa-44").secret))


def _publics(signer: CheckpointSigner) -> tuple[bytes, ...]:
    return tuple(key.public for key in signer.vkeys)

"""Which keys sign the log's checkpoints: those of its start, or those that the authority has named since.

    cert-ledger next-keys       makes the keys and says what to propose; nothing changes yet
    a log-key statement         names them: the process ends, because it must not go on signing with the old ones
    the next start              signs the committed head, and everything after it, with the new keys

A crash at any of these moments leaves a log that signs with the keys that its last committed state names.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from ledger.errors import Refused, Unavailable
from ledger.keystore import Cost, KeyFile, create_key_file, new_key
from ledger.records.state import AuthorityState
from ledger.text import Text
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer

ED25519, ML_DSA_44 = "log-ed25519", "log-ml-dsa-44"  # names in a key file
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


def log_signer(
    origin: str, first: KeyFile, authority: AuthorityState | None, unlock: Callable[[str], KeyFile]
) -> CheckpointSigner:
    """The signer that the log's state asks for. `unlock` opens a file of the folder. Refused without the keys."""
    named = authority.log_keys if authority is not None else ()
    keys = first
    if named:
        try:
            keys = unlock(file_of(named[0]))
        except (Unavailable, OSError) as error:
            raise Refused("LOG_KEYS", "log_keys", _MISSING.format(name=file_of(named[0]))) from error
    ed25519 = Ed25519Signer(keys.key(ED25519, "ed25519").secret)
    ml_dsa = MlDsa44Signer(keys.key(ML_DSA_44, "ml-dsa-44").secret)
    if named and (ed25519.public, ml_dsa.public) != named:
        raise Refused("LOG_KEYS", "log_keys", _MISSING.format(name=file_of(named[0])))
    return CheckpointSigner(origin, ed25519, ml_dsa)

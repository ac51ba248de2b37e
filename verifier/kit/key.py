"""The key of a maker of kits: one Ed25519 key beside the verifier's settings, and whose kits a folder believes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ledger.errors import Malformed
from ledger.keystore import PERSON_COST, Cost, create_key_file, new_key, open_key_file, public_part
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.note import ED25519, VerifierKey, parse_vkey
from verifier.config import VerifierSettings

KEY_FILE: Final = "kit-key.json"
_NAME: Final = "kit"  # in the key file
_KIND: Final = "ed25519"
_MAX_NAME: Final = 100  # characters of a label


def create_key(
    folder: Path, name: str, passphrase: bytes, *, created_day: int, cost: Cost = PERSON_COST
) -> VerifierKey:
    """Make the key, called `name` in the kits it signs. Raises Refused rather than replace one, Malformed for a name
    that no note key can have."""
    if len(name) > _MAX_NAME:
        raise Malformed(
            Text("离线包制作方的名称最多 100 个字符", "the name of a maker of kits has at most 100 characters")
        )
    key = new_key(_KIND, name, created_day=created_day, random_bytes=os.urandom)
    assert key.public is not None, "an Ed25519 key has a public half"
    vkey = VerifierKey(name, ED25519, key.public)
    create_key_file(folder / KEY_FILE, {_NAME: key}, passphrase, cost=cost)
    return vkey


def open_key(folder: Path, passphrase: bytes) -> tuple[str, Ed25519Signer]:
    """The maker's name and key. Raises as `open_key_file`."""
    key = open_key_file(folder / KEY_FILE, passphrase).key(_NAME, _KIND)
    return key.label, Ed25519Signer(key.secret)


def own_key(folder: Path) -> VerifierKey | None:
    """The public half of the folder's own key, if it has one."""
    if not (folder / KEY_FILE).exists():
        return None
    (part,) = public_part(folder / KEY_FILE)
    assert part.public is not None, "an Ed25519 key has a public half"
    return VerifierKey(part.label, ED25519, part.public)


def believed_makers(folder: Path, settings: VerifierSettings) -> list[VerifierKey]:
    """Whose kits count here: those of the settings, and the folder's own."""
    own = own_key(folder)
    return [*map(parse_vkey, settings.kit_keys), *([own] if own else [])]

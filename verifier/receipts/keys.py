"""The receipt key of one verifier: `receipt.keys` in its folder, made once by `cert-verifier receipt-key init`.

It signs verification receipts and the summaries of hiring lists, and nothing that makes a certificate valid.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger.keystore import SERVICE_COST, Cost, create_key_file, new_key, open_key_file, public_part, read_passphrase
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

KEY_FILE: Final = "receipt.keys"
NAME: Final = "receipts"
PASSPHRASE: Final = "CERT_VERIFIER_PASSPHRASE"  # noqa: S105  # the name of the variable
PROMPT: Final = Text("核验回执密钥的口令", "passphrase of the receipt key")


def create_receipt_key(
    folder: Path,
    passphrase: bytes,
    *,
    created_day: int,
    cost: Cost = SERVICE_COST,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """Draw the key; its public half. Raises Refused when there is one already, or the passphrase is too short."""
    key = new_key("ed25519", "verification receipts", created_day=created_day, random_bytes=random_bytes)
    create_key_file(folder / KEY_FILE, {NAME: key}, passphrase, cost=cost, random_bytes=random_bytes)
    assert key.public is not None
    return key.public


def own_public_key(folder: Path) -> bytes | None:
    """The public half, without a passphrase; None where no key was made. Raises Malformed, Unavailable."""
    path = folder / KEY_FILE
    return public_part(path)[0].public if path.exists() else None


def open_receipt_key(folder: Path, passphrase_file: Path | None = None) -> Ed25519Signer | None:
    """Unlock the key; None where no key was made. Raises as `ledger.keystore.open_key_file`."""
    if not (folder / KEY_FILE).exists():
        return None
    keys = open_key_file(folder / KEY_FILE, read_passphrase(PASSPHRASE, PROMPT, passphrase_file))
    return Ed25519Signer(keys.key(NAME, "ed25519").secret)

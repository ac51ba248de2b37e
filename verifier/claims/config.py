"""A payer's folder: settings, keys and journal, made by `init`; nothing else ever creates them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ledger.addresses import check_ledger_url
from ledger.errors import Malformed, cannot_write
from ledger.keystore import PERSON_COST, Cost, create_key_file, new_key, open_key_file
from ledger.records.authority import PAYER_LETTER, check_filing_number
from ledger.settings import described
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.note import VerifierKey, parse_vkey
from verifier.claims.journal import create_journal
from verifier.folder import check_unmade, load_made, write_settings

PASSPHRASE: Final = "CERT_PAYER_PASSPHRASE"  # noqa: S105  # the name of the variable
PROMPT: Final = Text("支付机构密钥的口令", "passphrase of the payer's keys")
SETTINGS_FILE: Final = "payer.toml"
KEYS_FILE: Final = "keys.json"
JOURNAL_FILE: Final = "claims.db"
RECORD, REQUEST = "record", "request"  # names in the key file


@dataclass(frozen=True, slots=True)
class PayerSettings:
    """One payer's filing on one log."""

    ledger_url: str = field(metadata=described(Text("账本地址", "Where the ledger answers")))
    origin: str = field(metadata=described(Text("日志名称（固定）", "Name of the log, pinned"), minimum=1, maximum=255))
    log_keys: tuple[str, ...] = field(
        metadata=described(
            Text("日志公钥（固定；Ed25519 与 ML-DSA-44）", "Keys of the log, pinned; Ed25519 and ML-DSA-44")
        )
    )
    filing_number: str = field(metadata=described(Text("支付机构备案号", "Number of the payer's filing")))

    def __post_init__(self) -> None:
        check_ledger_url(self.ledger_url, "ledger_url")
        check_filing_number(self.filing_number)
        if self.filing_number[0] != PAYER_LETTER:
            raise Malformed(Text("filing_number：支付机构备案号以 Z 开头", "filing_number: a payer's begins with Z"))
        if not self.log_keys or any(key.name != self.origin for key in self.keys()):
            raise Malformed(
                Text("log_keys：至少一个，且都以该日志的名称命名", "log_keys: at least one, each named by the origin")
            )

    def keys(self) -> tuple[VerifierKey, ...]:
        return tuple(parse_vkey(line) for line in self.log_keys)


@dataclass(frozen=True, slots=True)
class PayerKeys:
    """What signs a payer's statements, and what its requests."""

    record: Ed25519Signer
    request: Ed25519Signer


def create_folder(
    folder: Path, settings: PayerSettings, passphrase: bytes, *, created_day: int, cost: Cost = PERSON_COST
) -> PayerKeys:
    """Make a payer: keys, an empty journal, and last the settings, with which the folder counts as made.

    Raises Refused rather than replace anything, also what an interrupted `init` left behind.
    """
    check_unmade(folder / SETTINGS_FILE)
    keys = {
        name: new_key("ed25519", f"payer {name}", created_day=created_day, random_bytes=os.urandom)
        for name in (RECORD, REQUEST)
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_key_file(folder / KEYS_FILE, keys, passphrase, cost=cost)
        create_journal(folder / JOURNAL_FILE)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_settings(folder / SETTINGS_FILE, settings)
    return PayerKeys(Ed25519Signer(keys[RECORD].secret), Ed25519Signer(keys[REQUEST].secret))


def load_folder(folder: Path) -> PayerSettings:
    """Raises Refused when `init` was not run there, and with every problem of the file."""
    return load_made(PayerSettings, folder / SETTINGS_FILE, "cert-verifier claims init")


def open_keys(folder: Path, passphrase: bytes) -> PayerKeys:
    """Unlock the payer's keys. Raises as `open_key_file`."""
    file = open_key_file(folder / KEYS_FILE, passphrase)
    return PayerKeys(*(Ed25519Signer(file.key(name, "ed25519").secret) for name in (RECORD, REQUEST)))

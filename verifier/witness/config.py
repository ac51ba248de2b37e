"""A witness's folder: settings, keys and state, made by `init`; nothing else ever creates them.

`add_log` is the only other writer: it puts the log's row into the state first, then its table at the end of the
settings, which it replaces as a whole. A crash in between leaves a row that nothing asks for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ledger.durable import replace_file
from ledger.errors import Malformed, Refused, cannot_create
from ledger.keystore import PERSON_COST, Cost, create_key_file, new_key, open_key_file
from ledger.settings import described, load_settings
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.tlog.policy import LOG_TYPES
from ledger.tlog.spelling import check_name
from verifier import listening
from verifier.folder import check_unmade, load_made, write_settings
from verifier.witness.decide import Cosigner
from verifier.witness.state import WitnessState

SETTINGS_FILE: Final = "witness.toml"
KEYS_FILE: Final = "keys.json"
STATE_FILE: Final = "witness.db"
_ED25519, _ML_DSA = "ed25519", "ml-dsa-44"  # names in the key file, and kinds


@dataclass(frozen=True, slots=True)
class WitnessedLog:
    """A log this witness cosigns for. A checkpoint needs a line of one of the keys, and no false line of any."""

    origin: str = field(metadata=described(Text("日志名称", "Name of the log, as its checkpoints say")))
    vkeys: tuple[str, ...] = field(metadata=described(Text("日志公钥", "Keys of the log (vkeys)")))

    def __post_init__(self) -> None:
        keys = self.keys()
        if not 1 <= len(keys) <= 8 or any(key.name != self.origin or key.type not in LOG_TYPES for key in keys):
            raise Malformed(
                Text(
                    "所见证的日志有 1 到 8 把公钥，均为日志公钥，且以该日志的名称命名",
                    "a witnessed log has 1 to 8 keys, each a log's and named by its origin",
                )
            )

    def keys(self) -> tuple[VerifierKey, ...]:
        return tuple(parse_vkey(vkey) for vkey in self.vkeys)


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """One witness. Its name is in its keys, so that a new name is a new witness."""

    name: str = field(
        metadata=described(
            Text("见证人名称，创建后不可更改", "Name of the witness, like witness.example.org/w1; fixed at creation")
        )
    )
    host: str = field(default=listening.LOOPBACK, metadata=listening.HOST)
    port: int = field(default=8900, metadata=listening.PORT)
    behind_proxy: bool = field(default=False, metadata=listening.BEHIND_PROXY)
    tls_cert: Path | None = field(default=None, metadata=listening.TLS_CERT)
    tls_key: Path | None = field(default=None, metadata=listening.TLS_KEY)
    logs: tuple[WitnessedLog, ...] = field(
        default=(),
        metadata=described(
            Text(
                "所见证的日志；请用 cert-verifier witness add-log 添加",
                "The logs it cosigns for; add one with cert-verifier witness add-log",
            )
        ),
    )

    def __post_init__(self) -> None:
        check_name(self.name, "the name of the witness")
        listening.check_tls(self.tls_cert, self.tls_key)
        if len({log.origin for log in self.logs}) != len(self.logs):
            raise Malformed(Text("logs：日志名称重复", "logs: one origin twice"))

    def keys(self) -> Mapping[str, tuple[VerifierKey, ...]]:
        return {log.origin: log.keys() for log in self.logs}


def logs_of(vkeys: Sequence[str]) -> tuple[WitnessedLog, ...]:
    """The logs whose keys these are, in the order of their first key: a log's keys bear its origin."""
    found: dict[str, list[str]] = {}
    for vkey in vkeys:
        found.setdefault(parse_vkey(vkey).name, []).append(vkey)
    return tuple(WitnessedLog(origin, tuple(lines)) for origin, lines in found.items())


def create_folder(
    folder: Path, settings: WitnessSettings, passphrase: bytes, *, created_day: int, cost: Cost = PERSON_COST
) -> Cosigner:
    """Make a witness: keys, state, and last the settings, with which the folder counts as made.

    Raises Refused rather than replace anything, also what an interrupted `init` left behind.
    """
    check_unmade(folder / SETTINGS_FILE)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_create(folder, error) from error
    keys = {
        kind: new_key(kind, settings.name[:100], created_day=created_day, random_bytes=os.urandom)
        for kind in (_ED25519, _ML_DSA)
    }
    create_key_file(folder / KEYS_FILE, keys, passphrase, cost=cost)
    WitnessState.create(folder / STATE_FILE)
    state = WitnessState(folder / STATE_FILE)
    try:
        for log in settings.logs:
            state.add_log(log.origin)
    finally:
        state.close()
    write_settings(folder / SETTINGS_FILE, settings)
    return Cosigner(settings.name, Ed25519Signer(keys[_ED25519].secret), MlDsa44Signer(keys[_ML_DSA].secret))


def load_folder(folder: Path) -> WitnessSettings:
    """Raises Refused when `init` was not run there, and with every problem of the file."""
    return load_made(WitnessSettings, folder / SETTINGS_FILE, "cert-verifier witness init")


def open_cosigner(folder: Path, settings: WitnessSettings, passphrase: bytes) -> Cosigner:
    """Unlock the witness's keys. Raises as `open_key_file`."""
    file = open_key_file(folder / KEYS_FILE, passphrase)
    ed25519, ml_dsa = (file.key(kind, kind).secret for kind in (_ED25519, _ML_DSA))
    return Cosigner(settings.name, Ed25519Signer(ed25519), MlDsa44Signer(ml_dsa))


def open_state(folder: Path, settings: WitnessSettings) -> WitnessState:
    """The state, which must know every log of the settings: one written there by hand has no memory yet."""
    state = WitnessState(folder / STATE_FILE)
    for log in settings.logs:
        if state.seen(log.origin) is None:
            state.close()
            text = Text("见证状态中没有日志 {o}，请用 add-log 添加", "the state does not know {o}: add it with add-log")
            raise Refused("LOG_NOT_ADDED", log.origin, text.format(o=log.origin))
    return state


def add_log(folder: Path, log: WitnessedLog) -> None:
    """Cosign for one more log after the next start. Raises Refused when it is there already."""
    settings = load_folder(folder)
    if any(known.origin == log.origin for known in settings.logs):
        raise Refused("EXISTS", log.origin, Text("已在见证该日志", "This log is witnessed already"))
    path = folder / SETTINGS_FILE
    text = path.read_text("utf-8").rstrip("\n")
    origin, vkeys = (json.dumps(value, ensure_ascii=False) for value in (log.origin, log.vkeys))  # as TOML spells them
    text += f"\n\n[[logs]]\norigin = {origin}\nvkeys = {vkeys}\n"
    if load_settings(WitnessSettings, text).logs[-1] != log:
        raise AssertionError("the new settings do not say what was added")
    state = WitnessState(folder / STATE_FILE)
    try:
        state.add_log(log.origin)
    finally:
        state.close()
    replace_file(path, text.encode())

"""A witness's folder: made once, by init only; a log without memory stops the start."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.keystore import LIGHT_COST
from ledger.settings import BadSettings, format_settings, load_settings
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from tests.support.growing_log import GrowingLog
from verifier.witness import config
from verifier.witness.config import (
    KEYS_FILE,
    SETTINGS_FILE,
    STATE_FILE,
    WitnessedLog,
    WitnessSettings,
    add_log,
    create_folder,
    load_folder,
    logs_of,
    open_cosigner,
    open_state,
)
from verifier.witness.state import Seen

NAME = "witness.example/w1"
PASSPHRASE = b"a passphrase of the tests"
A, B = GrowingLog("log.example/a"), GrowingLog("log.example/b")
VKEYS_A, VKEYS_B = ([key.format_vkey() for key in log.vkeys] for log in (A, B))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "w")
    return tmp_path / "w"


def make(folder: Path, *vkeys: str) -> None:
    settings = WitnessSettings(NAME, logs=logs_of(vkeys or VKEYS_A))
    create_folder(folder, settings, PASSPHRASE, created_day=20_000, cost=LIGHT_COST)


def test_init_makes_keys_state_and_settings_for_the_owner_only(folder: Path) -> None:
    settings = load_folder(folder)
    assert settings == WitnessSettings(NAME, logs=(WitnessedLog(A.origin, tuple(VKEYS_A)),))
    assert settings.keys() == {A.origin: A.vkeys}
    cosigner = open_cosigner(folder, settings, PASSPHRASE)
    assert [key.type for key in cosigner.vkeys] == [ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE]
    assert {key.name for key in cosigner.vkeys} == {NAME}
    with pytest.raises(Unverified):
        open_cosigner(folder, settings, b"another passphrase")
    state = open_state(folder, settings)
    assert state.seen(A.origin) == Seen()
    state.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in (KEYS_FILE, STATE_FILE)} == {0o600}


def test_two_witnesses_have_different_keys(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        make(tmp_path / name)
        made.append(open_cosigner(tmp_path / name, load_folder(tmp_path / name), PASSPHRASE).vkeys)
    assert len({key.public for keys in made for key in keys}) == 4


def test_init_replaces_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for missing in (None, SETTINGS_FILE, KEYS_FILE):  # also what an interrupted init left behind
        if missing is not None:
            (folder / missing).unlink()
        with pytest.raises(Refused):
            make(folder)
        for name, content in before.items():
            assert name == missing or not (folder / name).exists() or (folder / name).read_bytes() == content
        if missing is not None:
            (folder / missing).unlink(missing_ok=True)
            (folder / missing).write_bytes(before[missing])


def test_only_init_creates(tmp_path: Path) -> None:
    for call in (load_folder, lambda folder: add_log(folder, WitnessedLog(B.origin, tuple(VKEYS_B)))):
        with pytest.raises(Refused, match="init"):
            call(tmp_path / "nowhere")
    with pytest.raises(Unavailable):
        open_state(tmp_path, WitnessSettings(NAME))
    assert list(tmp_path.iterdir()) == []


def test_a_log_added_later(folder: Path) -> None:
    path = folder / SETTINGS_FILE
    path.write_text("# a remark of the operator\n" + path.read_text("utf-8"), "utf-8")
    state = open_state(folder, load_folder(folder))
    assert state.advance(A.origin, Seen(), Seen(5, bytes(32), 9, b"note"))
    state.close()
    (log,) = logs_of(VKEYS_B)
    add_log(folder, log)
    settings = load_folder(folder)
    assert settings.keys() == {A.origin: A.vkeys, B.origin: B.vkeys}
    assert "# a remark of the operator" in path.read_text("utf-8")
    state = open_state(folder, settings)
    assert [state.seen(origin) for origin in (A.origin, B.origin)] == [Seen(5, bytes(32), 9, b"note"), Seen()]
    state.close()
    with pytest.raises(Refused, match="already"):
        add_log(folder, log)
    assert [path.name for path in folder.iterdir() if path.name.endswith((".new", ".part"))] == []


def test_a_log_is_added_to_a_witness_without_any(tmp_path: Path) -> None:
    create_folder(tmp_path, WitnessSettings(NAME), PASSPHRASE, created_day=20_000, cost=LIGHT_COST)
    origin = 'log.example/"quoted"\\'
    signer = CheckpointSigner(origin, Ed25519Signer(bytes(32)), MlDsa44Signer(bytes(32)))
    (log,) = logs_of([key.format_vkey() for key in signer.vkeys])
    add_log(tmp_path, log)
    assert load_folder(tmp_path).logs == (log,)


def test_a_crash_in_the_middle_of_adding_is_repaired_by_adding_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (log,) = logs_of(VKEYS_B)

    def fail(path: Path, content: bytes) -> None:
        path.with_name(f"{path.name}.part").write_bytes(content[:100])
        raise OSError("crash")

    monkeypatch.setattr(config, "replace_file", fail)
    with pytest.raises(OSError):
        add_log(folder, log)
    monkeypatch.undo()
    assert load_folder(folder).keys() == {A.origin: A.vkeys}
    add_log(folder, log)
    assert load_folder(folder).keys() == {A.origin: A.vkeys, B.origin: B.vkeys}


def test_a_log_written_into_the_settings_by_hand_has_no_memory(folder: Path) -> None:
    """The state could be a new one that has forgotten what was cosigned: only add-log says that nothing was."""
    text = format_settings(WitnessSettings(NAME, logs=logs_of([*VKEYS_A, *VKEYS_B])))
    (folder / SETTINGS_FILE).write_text(text, "utf-8")
    with pytest.raises(Refused, match="add-log"):
        open_state(folder, load_folder(folder))


@pytest.mark.parametrize(
    "build",
    [
        lambda: WitnessSettings("two words"),
        lambda: WitnessSettings("plus+sign"),
        lambda: WitnessSettings(NAME, tls_cert=Path("x")),
        lambda: WitnessSettings(NAME, logs=logs_of(VKEYS_A) * 2),
        lambda: WitnessedLog(A.origin, ()),
        lambda: WitnessedLog(A.origin, tuple(VKEYS_B)),
        lambda: WitnessedLog(A.origin, ("not a vkey",)),
        lambda: WitnessedLog(A.origin, (VKEYS_A[0],) * 9),
        lambda: logs_of(["not a vkey"]),
    ],
)
def test_settings_that_cannot_be_used(build: object) -> None:
    assert callable(build)
    with pytest.raises(Malformed):
        build()


def test_a_cosignature_key_is_not_a_logs(folder: Path) -> None:
    vkey = open_cosigner(folder, load_folder(folder), PASSPHRASE).vkeys[0].format_vkey()
    with pytest.raises(Malformed):
        logs_of([vkey])
    with pytest.raises(BadSettings):
        load_settings(WitnessSettings, f'name = "w"\n[[logs]]\norigin = "{NAME}"\nvkeys = ["{vkey}"]\n')

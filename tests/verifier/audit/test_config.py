"""The auditor's settings: written by init, read back equal, refused when they cannot be trusted."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from ledger.errors import CertLedgerError, Malformed, Refused
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from tests.support.auditing import settings_of
from tests.support.build_log import LogBuilder
from tests.verifier.test_former import FIRST
from verifier.audit.config import SETTINGS_FILE, AuditSettings, Thresholds, create_folder, load_folder
from verifier.former_config import FormerKeysConfig

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "auditing.md"


@pytest.fixture
async def settings(tmp_path: Path) -> AuditSettings:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.store.close()
    return settings_of(log, monitors=("http://127.0.0.1:2/w",), thresholds=Thresholds(burst_days=30))


def test_reads_back(settings: AuditSettings, tmp_path: Path) -> None:
    create_folder(tmp_path / "a", settings)
    assert load_folder(tmp_path / "a") == settings
    with pytest.raises(Refused) as caught:
        create_folder(tmp_path / "a", settings)
    assert caught.value.code == "EXISTS"
    with pytest.raises(Refused) as caught:
        load_folder(tmp_path / "b")
    assert caught.value.code == "NOT_INITIALISED"


def test_former_keys_are_read_back_and_must_be_others(settings: AuditSettings, tmp_path: Path) -> None:
    before = FormerKeysConfig(tuple(key.format_vkey() for key in FIRST.vkeys), "2026-11-26")
    with pytest.raises(Malformed):
        replace(settings.pins, former_keys=(before,))  # of another log
    log = CheckpointSigner(settings.pins.origin, Ed25519Signer(b"f" * 32), MlDsa44Signer(b"n" * 32))
    pair = FormerKeysConfig(tuple(key.format_vkey() for key in log.vkeys), "2026-11-26")
    changed = replace(settings, pins=replace(settings.pins, former_keys=(pair,)))
    create_folder(tmp_path / "a", changed)
    assert load_folder(tmp_path / "a") == changed
    assert [former.keys for former in changed.pins.build().former] == [log.vkeys]
    for wrong in ((pair, pair), (replace(pair, log_keys=settings.pins.log_keys),)):
        with pytest.raises(Malformed):
            replace(settings.pins, former_keys=wrong)


def test_untrustworthy_words_are_refused(settings: AuditSettings) -> None:
    pins = settings.pins
    for change in (
        {"origin": "other.example"},
        {"log_keys": pins.log_keys[:1]},
        {"log_keys": (pins.log_keys[0], pins.log_keys[0])},
        {"genesis": pins.genesis.upper()},
        {"genesis": "00"},
    ):
        with pytest.raises(CertLedgerError):
            replace(pins, **change)  # type: ignore[arg-type]
    assert replace(settings, ledger_url="file:///srv/log") and replace(
        settings, ledger_url="https://tiles.example/2026"
    )
    for change in (
        {"ledger_url": "ftp://x"},
        {"ledger_url": "file://x"},
        {"monitors": ("x",)},
        {"policy": "quorum"},
        {"tls_cert": Path("x")},
    ):
        with pytest.raises(Malformed):
            replace(settings, **change)  # type: ignore[arg-type]


def test_an_unknown_threshold_is_named(settings: AuditSettings, tmp_path: Path) -> None:
    create_folder(tmp_path / "a", settings)
    path = tmp_path / "a" / SETTINGS_FILE
    path.write_text(path.read_text("utf-8").replace("burst_days =", "burst_day ="), "utf-8")
    with pytest.raises(Refused, match="burst_days"):
        load_folder(tmp_path / "a")


def test_every_threshold_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    for one in fields(Thresholds):
        assert f"`{one.name}` {one.default}" in text, one.name

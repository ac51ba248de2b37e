"""A payer's folder: what its settings may say, and that nothing is replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Refused, Unverified
from ledger.keystore import LIGHT_COST
from tests.support.service_room import SIGNER
from verifier.claims.config import KEYS_FILE, PayerSettings, create_folder, load_folder, open_keys

VKEYS = tuple(key.format_vkey() for key in SIGNER.vkeys)
SETTINGS = PayerSettings("http://127.0.0.1:1", SIGNER.origin, VKEYS, "Z000051000001")


def test_a_folder_is_made_once_and_opens_with_its_passphrase(tmp_path: Path) -> None:
    made = create_folder(tmp_path / "p", SETTINGS, b"a secret of ours", created_day=20_000, cost=LIGHT_COST)
    assert load_folder(tmp_path / "p") == SETTINGS
    opened = open_keys(tmp_path / "p", b"a secret of ours")
    assert (opened.record.public, opened.request.public) == (made.record.public, made.request.public)
    assert made.record.public != made.request.public
    with pytest.raises(Unverified):
        open_keys(tmp_path / "p", b"another secret")
    with pytest.raises(Refused, match="EXISTS"):
        create_folder(tmp_path / "p", SETTINGS, b"a secret of ours", created_day=20_000, cost=LIGHT_COST)
    assert (tmp_path / "p" / KEYS_FILE).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="NOT_INITIALISED"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"filing_number": "Y000051000001"},
        {"filing_number": "Z1"},
        {"log_keys": ()},
        {"origin": "another.example/1"},
        {"log_keys": ("x",)},
    ],
)
def test_what_settings_may_not_say(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(SETTINGS, **changes)


def test_the_keys_are_the_logs() -> None:
    assert SETTINGS.keys() == SIGNER.vkeys

"""The key that signs kits, and whose kits a folder believes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledger.errors import Malformed, Refused, Unverified
from ledger.keystore import LIGHT_COST
from tests.support.kits import MAKER_KEY
from verifier.kit.key import KEY_FILE, believed_makers, create_key, open_key, own_key

PASSPHRASE = b"a passphrase of the tests"


def test_a_key_is_made_once_and_opens_under_its_passphrase(tmp_path: Path) -> None:
    assert own_key(tmp_path) is None
    vkey = create_key(tmp_path, "kit.example/1", PASSPHRASE, created_day=20_000, cost=LIGHT_COST)
    name, signer = open_key(tmp_path, PASSPHRASE)
    assert (name, signer.public) == (vkey.name, vkey.public) and own_key(tmp_path) == vkey
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unverified):
        open_key(tmp_path, b"another passphrase")
    with pytest.raises(Refused):
        create_key(tmp_path, "kit.example/2", PASSPHRASE, created_day=20_000, cost=LIGHT_COST)


@pytest.mark.parametrize("name", ["", "with space", "a+b", "x" * 101])
def test_a_name_that_no_note_can_have_makes_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(Malformed):
        create_key(tmp_path, name, PASSPHRASE, created_day=20_000, cost=LIGHT_COST)
    assert not (tmp_path / KEY_FILE).exists()


def test_believed_are_those_of_the_settings_and_the_own(tmp_path: Path) -> None:
    settings: Any = SimpleNamespace(kit_keys=(MAKER_KEY.format_vkey(),))
    assert believed_makers(tmp_path, settings) == [MAKER_KEY]
    own = create_key(tmp_path, "kit.example/1", PASSPHRASE, created_day=20_000, cost=LIGHT_COST)
    assert believed_makers(tmp_path, settings) == [MAKER_KEY, own]

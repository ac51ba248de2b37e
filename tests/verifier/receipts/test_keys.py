from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Refused, Unverified
from ledger.keystore import Cost
from tests.support.build_log import octets
from verifier.receipts.keys import KEY_FILE, PASSPHRASE, create_receipt_key, open_receipt_key, own_public_key

LIGHT = Cost(memory_kib=64, passes=1, lanes=1)


def test_made_once_locked_at_rest_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_public_key(tmp_path) is None and open_receipt_key(tmp_path) is None
    public = create_receipt_key(
        tmp_path, b"long enough", created_day=20_000, cost=LIGHT, random_bytes=lambda n: octets("drawn", n)
    )
    assert own_public_key(tmp_path) == public
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert octets("drawn") not in (tmp_path / KEY_FILE).read_bytes()
    with pytest.raises(Refused, match="key_file_exists"):
        create_receipt_key(tmp_path, b"long enough", created_day=20_000, cost=LIGHT)
    monkeypatch.setenv(PASSPHRASE, "long enough")
    signer = open_receipt_key(tmp_path)
    assert signer is not None and signer.public == public
    monkeypatch.setenv(PASSPHRASE, "another one")
    with pytest.raises(Unverified):
        open_receipt_key(tmp_path)

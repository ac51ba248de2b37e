"""`receipt-key` and `check RECEIPT`, as typed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.keystore import Cost
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from verifier.__main__ import main
from verifier.messages import load_messages
from verifier.receipts import keys
from verifier.receipts.paper import print_receipt
from verifier.receipts.receipt import format_receipt


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def set_up(office: Office, folder: Path) -> None:
    log = office.log
    vkeys = [key.format_vkey() for key in log.signer.vkeys]
    arguments = ["init", "--dir", str(folder), "--ledger", "http://127.0.0.1:9", "--origin", log.origin, "--base", BASE]
    arguments += ["--vkey", vkeys[0], "--vkey", vkeys[1], "--genesis", sha256(log.genesis_entry()).hexdigest()]
    arguments += ["--no-replica"]
    assert main(arguments) == 0


async def test_check_accepts_it_offline(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = await office.receipts.of_text(office.link)
    saved, printed = tmp_path / "receipt.json", tmp_path / "receipt.pdf"
    saved.write_bytes(format_receipt(receipt))
    printed.write_bytes(print_receipt(receipt, load_messages()))
    folder = tmp_path / "employer"
    import asyncio

    def typed() -> None:
        set_up(office, folder)
        capsys.readouterr()
        assert main(["check", "--dir", str(folder), str(saved), "--lang", "en"]) == 3  # nobody known vouches for it
        assert "signed by nobody known here" in capsys.readouterr().out
        settings = folder / "verifier.toml"
        named = settings.read_text("utf-8").replace("receipt_keys = []", f'receipt_keys = ["{SIGNER.public.hex()}"]')
        settings.write_text(named, "utf-8")
        for path in (saved, printed):
            assert main(["check", "--dir", str(folder), str(path), "--json"]) == 0
            answer = json.loads(capsys.readouterr().out)
            assert (answer["code"], answer["receipt"]["proven"], answer["receipt"]["known"]) == ("valid", True, True)
        assert main(["check", "--dir", str(folder), str(saved)]) == 0
        said = capsys.readouterr().out
        assert "核验回执" in said and "例小明" in said and "证书有效" in said
        saved.write_bytes(saved.read_bytes().replace(b'"valid"', b'"valid_upgraded"'))
        assert main(["check", "--dir", str(folder), str(saved)]) == 2
        assert main(["check", "--dir", str(folder), str(saved), "--json"]) == 2

    await asyncio.to_thread(typed)


async def test_the_key_is_made_and_shown(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    light = Cost(memory_kib=64, passes=1, lanes=1)
    made = keys.create_receipt_key
    monkeypatch.setattr("verifier.receipts.console.create_receipt_key", lambda *a, **k: made(*a, **k, cost=light))
    monkeypatch.setenv(keys.PASSPHRASE, "long enough")
    import asyncio

    def typed() -> None:
        folder = tmp_path / "verifier"
        set_up(office, folder)
        assert main(["receipt-key", "show", "--dir", str(folder)]) == 2
        capsys.readouterr()
        assert main(["receipt-key", "init", "--dir", str(folder)]) == 0
        public = capsys.readouterr().out
        assert main(["receipt-key", "show", "--dir", str(folder)]) == 0
        assert capsys.readouterr().out == public and len(public) == 65
        assert main(["receipt-key", "init", "--dir", str(folder)]) == 2

    await asyncio.to_thread(typed)

"""The operator's commands: the key for orders, and carrying them out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.erasure import read_orders
from ledger.console.operate import PASSPHRASE as VARIABLE
from ledger.errors import Malformed
from ledger.records.erasure import seal_order
from tests.support.builders import Certificate, octets
from tests.support.live_ledger import PASSPHRASE, LiveLedger, drafted, live_body


async def issued(live: LiveLedger) -> Certificate:
    body = live_body("erasure")
    await live.file(body)
    async with live.client(body) as client:
        [certificate] = await drafted(client, body, "a")
        await client.submit([certificate.submission()])
    return certificate


def test_an_order_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveLedger.create(tmp_path / "log", "erasure").start()
    try:
        certificate = asyncio.run(issued(live))
    finally:
        assert live.stop() == 0
    monkeypatch.setenv(VARIABLE, PASSPHRASE.decode())
    folder = ["--dir", str(live.folder)]
    assert main(["erasure-key", *folder]) == 0
    public = bytes.fromhex(capsys.readouterr().out.strip())
    cert_key = certificate.issue.cert_key.hex()
    order = seal_order(public, certificate.secret, octets("ephemeral")).hex()
    lines = [
        {"id": "01", "kind": "correction", "cert_key": cert_key, "field": "name", "order": "", "asked": "-"},
        {"id": "02", "kind": "erasure", "cert_key": cert_key, "field": "", "order": order, "asked": "-"},
    ]
    orders = tmp_path / "orders.jsonl"
    orders.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    assert main(["erase", *folder, str(orders)]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": "02", "rows": 4}
    assert main(["erase", *folder, str(orders)]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": "02", "rows": 0}
    lines[1]["cert_key"] = octets("another").hex()
    orders.write_text(json.dumps(lines[1]), "utf-8")
    assert main(["erase", *folder, str(orders)]) == 2
    assert "another certificate" in capsys.readouterr().err


def test_lines_that_are_none_are_refused() -> None:
    assert read_orders(b"\n\n") == []
    for wrong in (b"x", b"[]", b'{"id": "1"}', b'{"id":"1","kind":"erasure","cert_key":"00","order":"zz"}', b"\xff"):
        with pytest.raises(Malformed):
            read_orders(wrong)

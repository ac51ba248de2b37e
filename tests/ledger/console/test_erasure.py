"""The operator's commands: the key for orders, and carrying them out."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.__main__ import main
from ledger.console import erasure
from ledger.console.erasure import read_orders
from ledger.console.operate import PASSPHRASE as VARIABLE
from ledger.errors import Malformed
from ledger.records.erasure import public_of, seal_order
from ledger.records.secret import cert_key_of
from ledger.service.erasure import Erasable
from tests.support.builders import Certificate, octets
from tests.support.live_ledger import PASSPHRASE, LiveLedger, drafted, live_body

DEEP = b'{"more": ' + b"[" * 50_000


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
    good, public_of_another = lines[1], public_of(octets("another ledger"))
    bad = [
        {**good, "id": "03", "order": seal_order(public_of_another, certificate.secret, octets("ephemeral")).hex()},
        {**good, "id": "04", "cert_key": octets("another").hex()},
        {
            **good,
            "id": "05",
            "cert_key": cert_key_of(octets("no", 16)).hex(),
            "order": seal_order(public, octets("no", 16), octets("ephemeral")).hex(),
        },
    ]
    orders.write_text("\n".join(map(json.dumps, [*bad, good])), "utf-8")
    assert main(["erase", *folder, str(orders)]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"id": "02", "rows": 0}, "what cannot be carried out holds up no other"
    assert "03: 删除申请属于另一账本，或已被改动 / an order of erasure for another ledger, or altered\n" in said.err
    assert (
        "04: 删除申请所指证书与该行不符 / the order is of another certificate" in said.err
        and "05: NO_CERTIFICATE" in said.err
    )
    assert "3 orders of erasure were not carried out" in said.err


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """A ledger's folder, and a file of two orders for the one certificate it has issued."""
    live = LiveLedger.create(tmp_path / "log", "stopped").start()
    try:
        certificate = asyncio.run(issued(live))
    finally:
        assert live.stop() == 0
    monkeypatch.setenv(VARIABLE, PASSPHRASE.decode())
    assert main(["erasure-key", "--dir", str(live.folder)]) == 0
    public = bytes.fromhex(capsys.readouterr().out.strip())
    order = seal_order(public, certificate.secret, octets("ephemeral")).hex()
    line = {"kind": "erasure", "cert_key": certificate.issue.cert_key.hex(), "order": order}
    orders = tmp_path / "orders.jsonl"
    orders.write_text("\n".join(json.dumps({**line, "id": name}) for name in ("01", "02")), "utf-8")
    return live.folder, str(orders)


def test_what_is_not_confirmed_is_said_and_is_done_again(
    stopped: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, orders = stopped
    [store] = folder.glob("*.db")
    with closing(sqlite3.connect(store)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM envelope").fetchone()
        assert main(["erase", "--dir", str(folder), orders]) == 3
    said = capsys.readouterr()
    assert said.out == "", "nothing is called done"
    assert "2 orders of erasure are not done" in said.err and "2 份删除申请没有完成" in said.err
    assert "another process reads the store" in said.err and "另一进程正在读取存储" in said.err
    assert main(["erase", "--dir", str(folder), orders]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"id": "01", "rows": 0},
        {"id": "02", "rows": 0},
    ]


@pytest.mark.parametrize(
    ("damage", "status", "rows", "said"),
    [
        ("private_index SET body = x'00' WHERE purpose = 4", 0, (4, 0), ()),
        (
            "envelope SET body = x'00' WHERE slot = 1",
            1,
            (3, 0),
            ("01: 1 个正面信封打不开", "1 face envelopes did not open"),
        ),
    ],
)
def test_what_is_damaged_holds_up_nothing_and_is_said(
    stopped: tuple[Path, str],
    capsys: pytest.CaptureFixture[str],
    damage: str,
    status: int,
    rows: tuple[int, int],
    said: tuple[str, ...],
) -> None:
    folder, orders = stopped
    [store] = folder.glob("*.db")
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(f"UPDATE {damage}")
        connection.commit()
    assert main(["erase", "--dir", str(folder), orders]) == status
    told = capsys.readouterr()
    assert tuple(json.loads(line)["rows"] for line in told.out.splitlines()) == rows
    for words in said:
        assert words in told.err


def test_rows_of_claims_that_do_not_open_are_named(
    stopped: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ledger.service.erasure` finds them where there are claims."""
    folder, orders = stopped
    find = erasure.find_erasable

    async def found(*asked: Any) -> Erasable:
        return replace(await find(*asked), damaged=(b"\xab" * 32,))

    monkeypatch.setattr(erasure, "find_erasable", found)
    assert main(["erase", "--dir", str(folder), orders]) == 1
    told = capsys.readouterr().err
    assert "1 行申领记录打不开" in told and "1 rows of claims do not open" in told and "ab" * 32 in told


def test_lines_that_are_none_are_refused() -> None:
    assert read_orders(b"\n\n") == []
    for wrong in (
        b"x",
        b"[]",
        b'{"id": "1"}',
        b'{"id":"1","kind":"erasure","cert_key":"00","order":"zz"}',
        b"\xff",
        DEEP,
    ):
        with pytest.raises(Malformed):
            read_orders(wrong)

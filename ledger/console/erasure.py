"""`cert-ledger erasure-key | erase`: what holders had verifiers pass on, done by the log's operator."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.console.operate import PASSPHRASE
from ledger.console.paths import add_folder, add_owner, read_file
from ledger.errors import CertLedgerError, Damaged, Malformed, Refused, Unverified
from ledger.keystore import open_key_file, read_passphrase
from ledger.records.erasure import open_order, operator_key, public_of
from ledger.records.secret import cert_key_of
from ledger.service.config import LedgerSettings
from ledger.service.erasure import NO_CERTIFICATE, Erasable, find_erasable
from ledger.service.private_index import PrivateIndex
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store.erasing import erase_rows
from ledger.text import Text

MAX_ORDERS: Final = 4 * 1024 * 1024  # bytes of a file
_LEFT: Final = Text("{count} 份删除申请未执行", "{count} orders of erasure were not carried out")

_NAMED: Final = 20  # damaged rows
_DAMAGED: Final = Text(
    "有 {count} 行申领记录打不开，无法判断属于谁，没有删除；其余已删除。"
    "请用 fsck --keys 核对，从备份换回完好的行后以同一文件再次执行：{rows}",
    "{count} rows of claims do not open, so that nobody can tell whose they are: they stay, all else is deleted. Look "
    "at fsck --keys, put them back from a backup that has them sound, and run the same file again: {rows}",
)
_UNREAD: Final = Text(
    "{count} 个正面信封打不开：已删除，但无法找到其编号与姓名对应的查询行，该行可能仍在。"
    "请保留这份申请；若备份中有完好的信封，换回后再次执行",
    "{count} face envelopes did not open: they are deleted, but the look-up rows of their number and name could not be "
    "found, and may still be there. Keep this order; where a backup has the envelope sound, put it back and run it "
    "again",
)
_ENDED: Final = Text(
    "中止：{count} 份删除申请没有完成。已输出的各份已完成；排除原因后请以同一文件再次执行",
    "Ended early: {count} orders of erasure are not done. Those that were printed are; when what is said below is "
    "mended, run the same file again",
)


class Order(msgspec.Struct):
    """A line of `cert-verifier holder-requests`; other kinds are passed over."""

    id: str
    kind: str
    cert_key: str
    order: str = ""


def add_erasure_key(key: argparse.ArgumentParser) -> None:
    add_folder(key)
    key.set_defaults(run=_key)


def add_erase(erase: argparse.ArgumentParser) -> None:
    add_folder(erase)
    add_owner(erase)
    erase.add_argument(
        "orders", type=Path, help="cert-verifier holder-requests 的输出 / what cert-verifier holder-requests printed"
    )
    erase.set_defaults(run=_erase)


def _key(arguments: argparse.Namespace) -> int:
    print(public_of(operator_key(_index_key(arguments))).hex())
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    """Each order is a commit of its own, and its line is printed when it is confirmed; run again after a crash, this
    deletes what is left. One that is not for this
    ledger, or of no certificate of its log, is said on stderr and holds up no other: a verifier of several logs prints
    the orders for all of their operators. Nor does a row that does not open, which is said too."""
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    orders = read_orders(read_file(arguments.orders, MAX_ORDERS))
    index_key = _index_key(arguments)
    private, index = operator_key(index_key), PrivateIndex(index_key, os.urandom)

    async def carry_out(order: Order) -> tuple[Erasable, int]:
        secret = open_order(private, bytes.fromhex(order.order))
        if cert_key_of(secret).hex() != order.cert_key:
            raise Malformed(
                Text("删除申请所指证书与该行不符", "the order is of another certificate than the line says")
            )
        return await erase_rows(
            settings.store, arguments.dir, arguments.store_owner, lambda store: find_erasable(store, index, secret)
        )

    async def run() -> int:
        left, unread, damaged = 0, 0, dict[bytes, None]()
        for at, order in enumerate(orders):
            try:
                found, gone = await carry_out(order)
            except CertLedgerError as error:
                if (why := _against(error)) is None:
                    print(_ENDED.format(count=left + len(orders) - at).both(), file=sys.stderr)
                    raise
                left += 1
                print(f"{order.id}: {why}", file=sys.stderr)
            else:
                print(json.dumps({"id": order.id, "rows": gone}), flush=True)
                damaged |= dict.fromkeys(found.damaged)
                if found.unread:
                    unread += 1
                    print(f"{order.id}: {_UNREAD.format(count=found.unread).both()}", file=sys.stderr)
        if left:
            print(_LEFT.format(count=left).both(), file=sys.stderr)
        if damaged:
            rows = ", ".join(key.hex() for key in itertools.islice(damaged, _NAMED))
            print(_DAMAGED.format(count=len(damaged), rows=rows).both(), file=sys.stderr)
        return left + unread + len(damaged)

    if not orders:
        print("没有删除申请 / no orders of erasure", file=sys.stderr)
    return 1 if asyncio.run(run()) else 0


def _against(error: CertLedgerError) -> str | None:
    """What is wrong with an order; None: it is the store that failed, and would for those behind it."""
    if isinstance(error, Refused) and error.code == NO_CERTIFICATE:
        return f"{error.code}: {error.text.both()}"
    if isinstance(error, Malformed | Unverified) and not isinstance(error, Damaged):
        return error.both()
    return None


def read_orders(raw: bytes) -> list[Order]:
    """The orders of erasure among the lines of a file. Raises Malformed."""
    found: list[Order] = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            decoded: Any = msgspec.json.decode(line, type=Order) if line.strip() else None
            if decoded is not None and decoded.kind == "erasure":
                bytes.fromhex(decoded.order)
                found.append(decoded)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Malformed(
                Text(
                    f"删除申请：第 {number} 行不是 cert-verifier holder-requests 的输出",
                    f"orders: line {number} is none of cert-verifier holder-requests",
                )
            ) from None
    return found


def _index_key(arguments: argparse.Namespace) -> bytes:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    passphrase = read_passphrase(
        PASSPHRASE, Text("日志密钥的口令", "passphrase of the log's keys"), arguments.passphrase_file
    )
    return open_key_file(arguments.dir / settings.keys, passphrase).key("index", "index").secret

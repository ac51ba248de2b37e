"""`cert-verifier claims init | reserve | pay | release | claw-back | cases | list`: what a payer types.

Exit status: 0 when everything was done, 1 when something was refused, else as of every command.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused, cannot_read
from ledger.keystore import LIGHT_COST, PERSON_COST, read_passphrase
from ledger.records.dates import batch_day, parse_day
from ledger.records.documents import IdDocument
from ledger.records.kinds import Reason
from ledger.records.names import normalise_name
from ledger.records.number import diagnose_number, normal_text
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.claims.config import (
    JOURNAL_FILE,
    PASSPHRASE,
    PROMPT,
    PayerSettings,
    create_folder,
    load_folder,
    open_keys,
)
from verifier.claims.desk import Application, Outcome, Payer
from verifier.claims.journal import Journal

_COLUMNS: Final = (
    "reference", "cert_key", "document_type", "country", "number", "pack", "year", "amount_fen", "decision", "last_day",
)  # fmt: skip
_PRINTED: Final = ("certificate", "name")  # what may stand in the place of cert_key
_BY_NUMBER: Final = tuple(part for name in _COLUMNS for part in (_PRINTED if name == "cert_key" else (name,)))
_WRONG_FORM: Final = Text("有的值格式不正确", "a value in the wrong form")
_MAX_SHEET: Final = 16 * 1024 * 1024
_Work = Callable[[Payer], Awaitable[list[Outcome]]]


def add_claims(claims: argparse.ArgumentParser) -> None:
    actions = claims.add_subparsers(required=True, metavar="ACTION")

    init = actions.add_parser("init", help="初始化支付机构目录 / make a payer's folder: keys, journal, settings")
    init.add_argument("--ledger", required=True, metavar="URL", help="账本地址 / address of the ledger")
    init.add_argument("--origin", required=True, help="日志名称 / name of the log")
    init.add_argument("--vkey", required=True, action="append", help="日志公钥，两个 / log keys, give both")
    init.add_argument("--filing", required=True, metavar="NUMBER", help="支付机构备案号 / number of the payer's filing")
    init.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    init.set_defaults(run=_init)

    reserve = actions.add_parser("reserve", help="按表预留 / reserve the cases of a sheet; run again to go on")
    reserve.add_argument(
        "sheet",
        type=Path,
        metavar="CSV",
        help=f"列 / columns: {','.join(_COLUMNS)}; certificate,name 可代替 cert_key / may stand for cert_key",
    )
    reserve.set_defaults(run=_reserve)

    pay = actions.add_parser("pay", help="登记支付；有序号后方可付款 / log payments; move money only with an index")
    pay.set_defaults(run=lambda options: _act(options, lambda payer: payer.pay(options.reference)))
    release = actions.add_parser("release", help="不再支付，释放预留 / give a reservation up")
    release.set_defaults(
        run=lambda options: _act(options, lambda payer: payer.release(options.reference, _reason(options)))
    )
    back = actions.add_parser("claw-back", help="追回已付 / take a payment back; reason fraud keeps the right used up")
    back.set_defaults(
        run=lambda options: _act(options, lambda payer: payer.claw_back(options.reference, _reason(options)))
    )
    for command in (pay, release, back):
        command.add_argument("reference", nargs="+", help="案件号 / case numbers")
    for command in (release, back):
        command.add_argument("--reason", required=True, choices=[reason.name.lower() for reason in Reason])

    cases = actions.add_parser("cases", help="证书失效的申领 / claims on certificates that are out of force")
    cases.set_defaults(run=_cases)
    listed = actions.add_parser("list", help="本机流水 / what the journal has")
    listed.set_defaults(run=_list)
    for command in (init, reserve, pay, release, back, cases, listed):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the payer's folder")
        command.add_argument("--json", action="store_true")
    for command in (init, reserve, pay, release, back, cases):
        command.add_argument("--passphrase-file", type=Path)


def read_sheet(text: str) -> list[Application]:
    """The cases of a CSV with a header line. Raises Malformed naming the row, never a value."""
    reader = csv.DictReader(io.StringIO(text))
    if set(reader.fieldnames or ()) not in (set(_COLUMNS), set(_BY_NUMBER)):
        raise Malformed(
            Text(
                f"表中应恰有这些列：{', '.join(_COLUMNS)}；cert_key 可由 certificate, name 代替",
                f"the sheet has exactly these columns: {', '.join(_COLUMNS)}; or certificate, name for cert_key",
            )
        )
    found: dict[str, Application] = {}
    for number, row in enumerate(reader, 2):
        try:
            one = _application(row)
        except (Malformed, ValueError, TypeError, AttributeError) as error:
            wrong = error if isinstance(error, Malformed) else Malformed(_WRONG_FORM)
            raise Malformed(Text(f"第 {number} 行：{wrong.of('zh')}", f"row {number}: {wrong.of('en')}")) from None
        if one.reference in found:
            raise Malformed(
                Text(f"第 {number} 行：案件号与前面某行相同", f"row {number}: a reference that an earlier row has")
            )
        found[one.reference] = one
    return list(found.values())


def _application(row: dict[str, Any]) -> Application:
    pack, decision = bytes.fromhex(row["pack"]), bytes.fromhex(row["decision"])
    printed = None if "cert_key" in row else _printed(row["certificate"], row["name"])
    cert_key = bytes.fromhex(row["cert_key"]) if printed is None else b""
    digests = (pack, decision) if printed else (pack, decision, cert_key)
    if not row["reference"].strip() or any(len(digest) != 32 for digest in digests):
        raise Malformed(
            Text(
                "须有案件号，cert_key、pack、decision 各为 64 位十六进制数",
                "a reference, and cert_key, pack and decision of 64 hex digits",
            )
        )
    document = IdDocument(row["document_type"], row["country"], row["number"])
    year, amount = int(row["year"]), int(row["amount_fen"])
    last = parse_day(row["last_day"])
    return Application(row["reference"], cert_key, document, pack, year, amount, decision, last, printed)


def _printed(number: str, name: str) -> tuple[str, str]:
    """Number and name in the forms that are looked up. Raises Malformed, without repeating them."""
    if diagnose_number(number):
        raise Malformed(Text("不是证书编号", "not the number of a certificate"))
    try:
        return normal_text(number), normalise_name(name)[0]
    except Refused:
        raise Malformed(Text("不是姓名", "not a name")) from None


def _init(options: argparse.Namespace) -> int:
    settings = PayerSettings(options.ledger, options.origin, tuple(options.vkey), options.filing)
    passphrase = read_passphrase(PASSPHRASE, PROMPT, options.passphrase_file, confirm=True)
    cost = LIGHT_COST if options.light else PERSON_COST
    keys = create_folder(options.dir, settings, passphrase, created_day=batch_day(wall_ms()), cost=cost)
    public = {"record_key": keys.record.public.hex(), "request_key": keys.request.public.hex()}
    if options.json:
        print(json.dumps(public))
    else:
        print(Text("请将公钥交主管部门备案", "hand these to the authority, to be filed").both())
        print("\n".join(f"{name} {value}" for name, value in public.items()))
    return 0


def _reserve(options: argparse.Namespace) -> int:
    try:
        with options.sheet.open("rb") as file:
            raw = file.read(_MAX_SHEET + 1)
    except OSError as error:
        raise cannot_read(options.sheet, error) from error
    if len(raw) > _MAX_SHEET:
        raise Malformed(Text("表格超过 16 MiB", "a sheet of more than 16 MiB"))
    try:
        applications = read_sheet(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Malformed(
            Text(
                f"{options.sheet.name}：不是 UTF-8 编码，请另存为 UTF-8",
                f"{options.sheet.name}: not UTF-8; save it as UTF-8",
            )
        ) from None
    return _act(options, lambda payer: payer.reserve(applications))


def _act(options: argparse.Namespace, work: _Work) -> int:
    outcomes = _with_payer(options, work)
    for one in outcomes:
        refused = one.refused
        if options.json:
            told: dict[str, Any] = {"reference": one.reference, "index": one.index}
            if refused is not None:
                told |= {"code": refused.code, "zh": refused.text.zh, "en": refused.text.en}
            print(json.dumps(told, ensure_ascii=False))
        elif refused is not None:
            print(f"{one.reference}: {refused.code} {refused.text.both()}")
        else:
            print(f"{one.reference}: 已登记 logged at index {one.index}")
    return 1 if any(one.refused for one in outcomes) else 0


def _cases(options: argparse.Namespace) -> int:
    cases = _with_payer(options, lambda payer: payer.cases())
    for case in cases:
        said = case.said
        if options.json:
            told = {"reference": case.reference, "claim": said.claim.hex(), "index": said.index, "status": said.status}
            told |= {"certificate": said.certificate, "event_index": said.event_index}
            print(json.dumps(told, ensure_ascii=False))
        else:
            name = case.reference or said.claim.hex()
            print(f"{name}: {said.status}, 证书 certificate {said.certificate} (index {said.event_index})")
    if not cases and not options.json:
        print(Text("没有需要处理的申领", "no claim needs attention").both())
    return 0


def _list(options: argparse.Namespace) -> int:
    load_folder(options.dir)
    with closing(Journal(options.dir / JOURNAL_FILE)) as journal:
        for kept in journal.claims():
            acts = [
                {"kind": act.kind.name.lower(), "index": act.index, "code": act.code} for act in journal.acts(kept.leaf)
            ]
            told = {"reference": kept.reference, "claim": kept.leaf.hex(), "index": kept.index, "code": kept.code}
            if options.json:
                print(json.dumps(told | {"acts": acts}, ensure_ascii=False))
            else:
                later = ", ".join(f"{act['kind']} {act['code'] or act['index'] or '?'}" for act in acts)
                print(f"{kept.reference}: {kept.code or kept.index or '?'} {later}".rstrip())
    return 0


def _with_payer(options: argparse.Namespace, work: Callable[[Payer], Awaitable[Any]]) -> Any:
    settings = load_folder(options.dir)
    keys = open_keys(options.dir, read_passphrase(PASSPHRASE, PROMPT, options.passphrase_file))

    async def run() -> Any:
        with closing(Journal(options.dir / JOURNAL_FILE)) as journal:
            async with LedgerClient(settings.ledger_url, signer=keys.request) as ledger:
                return await work(Payer(settings, keys, journal, ledger, wall_ms, os.urandom))

    return asyncio.run(run())


def _reason(options: argparse.Namespace) -> Reason:
    return Reason[options.reason.upper()]

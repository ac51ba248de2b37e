"""`cert-ledger authority …`: the authority's people, each on his own machine, offline but for `submit`.

One writes a proposal file; each signs its exact bytes into a detached signature file after seeing what it says; a
third step combines them into a statement; `submit` sends it. A proposal is JSON with the bytes to sign, so that
nobody signs a rendering of them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import sys
import tomllib
from datetime import datetime, timedelta, timezone
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ledger.client import LedgerClient, Pending
from ledger.console.paths import read_file, write_new
from ledger.errors import Malformed, Refused
from ledger.keystore import Cost, create_key_file, new_key, open_key_file, read_passphrase
from ledger.records import canonical, cose
from ledger.records.authority import RECORD_KEY_CAP, FiledKey, Filing, FilingRow, Genesis, Published, parse_filing
from ledger.records.dates import day_of, format_day, parse_day
from ledger.records.grades import parse_grade
from ledger.records.kinds import Audience, IssuerKind, Kind
from ledger.records.statements import Body, Proposal, parse_proposal, propose
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from ledger.wire import Logged, Receipt

PASSPHRASE = "CERT_AUTHORITY_PASSPHRASE"  # noqa: S105  # the name of the variable
_PROPOSAL = "certledger/proposal/v1"
_SIGNATURE = "certledger/signature/v1"
_FILING_KEYS = frozenset(
    ["number", "name", "latin_name", "kind", "first_day", "last_day", "rows", "record_keys", "request_keys", "cap"]
)
_ROW_KEYS = frozenset(["occupation", "trade", "grades", "audience", "first_day"])
_KEY_KEYS = frozenset(["public", "first_day", "last_day"])
_ASK_TIMES = 30
_SHANGHAI = timezone(timedelta(hours=8))


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True)

    keygen = commands.add_parser("keygen", help="生成一把主管部门密钥 / make one authority key")
    keygen.add_argument("--out", type=Path, required=True)
    keygen.add_argument("--label", default="authority")
    keygen.add_argument("--passphrase-file", type=Path)
    keygen.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    keygen.set_defaults(run=_keygen)

    new = commands.add_parser("propose", help="起草提案 / write a proposal")
    new.add_argument("what", choices=["genesis", "filing", "catalogue", "ladder"])
    new.add_argument("--origin", required=True)
    new.add_argument("--key", action="append", default=[], help="genesis: 公钥 hex，每人一把 / a public key, hex")
    new.add_argument("--threshold", type=int, default=2)
    new.add_argument("--from", dest="source", type=Path, help="filing: TOML")
    new.add_argument("--out", type=Path, required=True)
    new.set_defaults(run=_propose)

    show = commands.add_parser("show", help="显示提案内容 / show what a proposal says")
    show.add_argument("proposal", type=Path)
    show.set_defaults(run=_show)

    sign = commands.add_parser("sign", help="签署提案 / sign a proposal")
    sign.add_argument("proposal", type=Path)
    sign.add_argument("--key", type=Path, required=True)
    sign.add_argument("--passphrase-file", type=Path)
    sign.add_argument("--out", type=Path, required=True)
    sign.set_defaults(run=_sign)

    combine = commands.add_parser("combine", help="合并签名 / combine signatures into a statement")
    combine.add_argument("proposal", type=Path)
    combine.add_argument("signatures", type=Path, nargs="+")
    combine.add_argument("--out", type=Path, required=True)
    combine.set_defaults(run=_combine)

    submit = commands.add_parser("submit", help="提交语句 / submit a statement")
    submit.add_argument("statement", type=Path)
    submit.add_argument("--ledger", required=True)
    submit.set_defaults(run=_submit)


def _keygen(arguments: argparse.Namespace) -> int:
    passphrase = read_passphrase(
        PASSPHRASE, Text("新密钥的口令", "passphrase of the new key"), arguments.passphrase_file, confirm=True
    )
    key = new_key("ed25519", arguments.label, created_day=_today(), random_bytes=os.urandom)
    cost = Cost(memory_kib=1024, passes=1, lanes=1) if arguments.light else Cost()
    create_key_file(arguments.out, {"authority": key}, passphrase, cost=cost)
    assert key.public is not None
    print(key.public.hex())
    return 0


def _propose(arguments: argparse.Namespace) -> int:
    proposal = propose(arguments.origin, _body(arguments))
    document = {
        "format": _PROPOSAL,
        "protected": base64.b64encode(proposal.protected).decode(),
        "payload": base64.b64encode(proposal.payload).decode(),
        "sha256": proposal.identity.hex(),
    }
    write_new(arguments.out, json.dumps(document, indent=1).encode() + b"\n")
    return _show(argparse.Namespace(proposal=arguments.out))


def _body(arguments: argparse.Namespace) -> Genesis | Filing | Published:
    match arguments.what:
        case "genesis":
            keys = tuple(sorted(_hex(key, 32) for key in arguments.key))
            return Genesis(arguments.origin, keys, arguments.threshold, _today())
        case "filing":
            if arguments.source is None:
                raise Refused("usage", "--from", Text("请用 --from 给出备案文件", "give the filing with --from"))
            try:
                return read_filing(read_file(arguments.source, 256 * 1024).decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise Malformed(f"{arguments.source.name}: not UTF-8; save it as UTF-8") from None
        case "catalogue":
            catalogue = load_catalogue()
            return Published(Kind.CATALOGUE, catalogue.version, catalogue.digest, _today())
        case _:
            ladder = load_ladder()
            return Published(Kind.LADDER, ladder.version, ladder.digest, _today())


def read_filing(text: str) -> Filing:
    """A filing from its TOML form (see docs/filing.example.toml). Raises Malformed naming what is wrong."""
    try:
        table: dict[str, Any] = tomllib.loads(text)
        ladder = load_ladder()
        _only(table, _FILING_KEYS)
        for row in table["rows"]:
            _only(row, _ROW_KEYS)
        filing = Filing(
            number=table["number"],
            name=table["name"],
            latin_name=table.get("latin_name", ""),
            kind=IssuerKind[table["kind"].upper()],
            first_day=_day(table["first_day"]),
            last_day=_day(table["last_day"]),
            rows=tuple(
                FilingRow(
                    row["occupation"],
                    row.get("trade", ""),
                    tuple(sorted(parse_grade(str(grade), ladder).ordinal for grade in row["grades"])),
                    Audience[row["audience"].upper()],
                    _day(row.get("first_day", table["first_day"])),
                )
                for row in table["rows"]
            ),
            record_keys=tuple(_filed_key(key, table) for key in table["record_keys"]),
            request_keys=tuple(_filed_key(key, table) for key in table["request_keys"]),
            cap=table.get("cap", RECORD_KEY_CAP),
        )
        return parse_filing(canonical.decode(canonical.encode(filing.as_map())))  # as every reader will read it
    except KeyError as error:
        raise Malformed(f"filing: missing or unknown {error.args[0]!r}") from error
    except (tomllib.TOMLDecodeError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(f"filing: {error}") from error


def _only(table: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        nearest = get_close_matches(unknown[0], known, 1, 0.0)
        raise Malformed(f"filing: unknown key {unknown[0]!r}; the nearest is {nearest[0]!r}")


def _show(arguments: argparse.Namespace) -> int:
    proposal = _read_proposal(arguments.proposal)
    origin, body = parse_proposal(proposal.protected, proposal.payload)
    print(f"sha256 {proposal.identity.hex()}\n日志 log: {origin}")
    print(describe(body))
    return 0


def describe(body: Body) -> str:
    """What a person is about to sign, in both languages, nothing left out. Parsing let no control character in."""
    match body:
        case Genesis():
            lines = [
                f"创世 genesis {body.origin}：{body.threshold} / {len(body.keys)} 签名有效 signatures needed",
                f"  日期 day: {format_day(body.day)}",
            ]
            lines += [f"  密钥 key {key.hex()}" for key in body.keys]
        case Filing():
            lines = [
                f"备案 filing {body.number}",
                f"  机构 body: {body.name} {body.latin_name}（{body.kind.name.lower()}）",
                f"  有效期 window: {format_day(body.first_day)} – {format_day(body.last_day)}",
            ]
            for row in body.rows:
                trade = f"（{row.trade}）" if row.trade else "（全部工种 every trade）"
                since = format_day(row.first_day)
                grades = _grades(row.grades)
                lines.append(f"  {row.occupation}{trade} {grades} {row.audience.name.lower()} 自 from {since}")
            lines += [f"  签发密钥 record key {_key_line(key)}" for key in body.record_keys]
            lines += [f"  请求密钥 request key {_key_line(key)}" for key in body.request_keys]
            lines.append(f"  每把密钥上限 cap per key: {body.cap}")
            lines.append(f"  可评聘 may appoint: {_grades(body.grants) or '无 none'}")
        case Published():
            since = format_day(body.first_day)
            lines = [f"{body.kind.name.lower()} {body.version} 自 from {since} sha256 {body.digest.hex()}"]
        case _:
            raise Malformed("not a proposal of the authority")
    return "\n".join(lines)


def _grades(ordinals: tuple[int, ...]) -> str:
    return "、".join(load_ladder().by_ordinal(ordinal).text.zh for ordinal in ordinals)


def _key_line(key: FiledKey) -> str:
    until = f"– {format_day(key.last_day)}" if key.last_day else "起 on"
    return f"{key.public.hex()} {format_day(key.first_day)} {until}"


def _sign(arguments: argparse.Namespace) -> int:
    proposal = _read_proposal(arguments.proposal)
    _show(arguments)
    passphrase = read_passphrase(PASSPHRASE, Text("密钥口令", "passphrase of the key"), arguments.passphrase_file)
    key = open_key_file(arguments.key, passphrase).key("authority", "ed25519")
    part = cose.sign_part(proposal.protected, proposal.payload, Ed25519Signer(key.secret))
    document = {
        "format": _SIGNATURE,
        "proposal": proposal.identity.hex(),
        "kid": part.kid.hex(),
        "signature": part.signature.hex(),
    }
    write_new(arguments.out, json.dumps(document, indent=1).encode() + b"\n")
    return 0


def _combine(arguments: argparse.Namespace) -> int:
    proposal = _read_proposal(arguments.proposal)
    parts = []
    for path in arguments.signatures:
        document = _read_json(path, _SIGNATURE)
        if document.get("proposal") != proposal.identity.hex():
            raise Refused("other_proposal", str(path), Text("签名属于另一份提案", "Signature of another proposal"))
        parts.append(cose.Signature(_hex(document.get("kid"), 8), _hex(document.get("signature"), 64)))
    write_new(arguments.out, proposal.signed(tuple(parts)))
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    entry = read_file(arguments.statement, 8192)

    async def send() -> int:
        async with LedgerClient(arguments.ledger) as client:
            answer = (await _published(client, entry)).answers[0]
        if isinstance(answer, Logged):
            print(f"已登记 logged at index {answer.index}")
            return 0
        raise answer

    return asyncio.run(send())


async def _published(client: LedgerClient, entry: bytes) -> Receipt:
    """The receipt, once the witnesses let the log publish it. Raises Pending when they do not for about a minute."""
    for attempt in itertools.count(1):
        try:
            return await client.submit_authority(entry)
        except Pending as pending:
            if attempt == _ASK_TIMES:
                raise
            if attempt == 1:
                print("已登记，等待见证 / logged, waiting for the witnesses", file=sys.stderr)
            await asyncio.sleep(pending.retry_after or 1)
    raise AssertionError("unreachable")


def _read_proposal(path: Path) -> Proposal:
    document = _read_json(path, _PROPOSAL)
    try:
        proposal = Proposal(
            base64.b64decode(document["protected"], validate=True),
            base64.b64decode(document["payload"], validate=True),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed("proposal: the bytes to sign are missing") from error
    if document.get("sha256") != proposal.identity.hex():
        raise Malformed("proposal: its digest does not match its bytes")
    return proposal


def _read_json(path: Path, form: str) -> dict[str, Any]:
    try:
        document = json.loads(read_file(path, 64 * 1024))
    except ValueError as error:
        raise Malformed(f"{path.name}: not JSON") from error
    if not isinstance(document, dict) or document.get("format") != form:
        raise Malformed(f"{path.name}: not of the form {form}")
    return document


def _filed_key(key: object, table: dict[str, Any]) -> FiledKey:
    if isinstance(key, str):
        return FiledKey(_hex(key, 32), _day(table["first_day"]))
    if isinstance(key, dict):
        _only(key, _KEY_KEYS)
        last = _day(key["last_day"]) if "last_day" in key else 0
        return FiledKey(_hex(key["public"], 32), _day(key["first_day"]), last)
    raise Malformed("filing: a key is hex, or a table with public and first_day")


def _hex(text: object, length: int) -> bytes:
    try:
        raw = bytes.fromhex(str(text))
    except ValueError as error:
        raise Malformed("a key or signature is written in hex") from error
    if len(raw) != length:
        raise Malformed(f"{length} bytes in hex are needed")
    return raw


def _day(value: object) -> int:
    return parse_day(str(value))


def _today() -> int:
    return day_of(datetime.now(_SHANGHAI).date())

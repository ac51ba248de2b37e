"""`cert-ledger authority …`: the authority's people, each on his own machine, offline but for `submit`.

One writes a proposal file; each signs its exact bytes into a detached signature file after seeing what it says; a
third step combines them into a statement; `submit` sends it. A proposal is JSON with the bytes to sign, so that
nobody signs a rendering of them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

from ledger.client import LedgerClient, Pending
from ledger.console.bodies import READERS, hex_bytes, read_body
from ledger.console.describe import describe
from ledger.console.paths import read_file
from ledger.durable import write_new_file
from ledger.errors import Malformed, Refused
from ledger.keystore import LIGHT_COST, PERSON_COST, create_key_file, new_key, open_key_file, read_passphrase
from ledger.records import cose
from ledger.records.authority import Genesis, Published
from ledger.records.dates import batch_day
from ledger.records.kinds import Kind
from ledger.records.proposal import MAX_PROPOSAL, format_proposal, read_proposal
from ledger.records.rotation import AuthorityChange
from ledger.records.statements import AuthorityBody, Proposal, parse_proposal, propose
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer, kid
from ledger.wall import wall_ms
from ledger.wire import Logged, Receipt

PASSPHRASE = "CERT_AUTHORITY_PASSPHRASE"  # noqa: S105  # the name of the variable
_SIGNATURE = "certledger/signature/v1"
_ASK_TIMES = 30
_MUST_SIGN = Text(
    "{key} 没有签名：如果是新加入的密钥，必须也签名，否则日志会拒绝",
    "{key} has not signed: when it joins the authority it must sign too, or the log refuses",
)

_TOO_FEW = Text(
    "创世语句需要 {wanted} 把不同密钥的签名，只有 {held} 个：请收齐后再合并",
    "this genesis asks for signatures of {wanted} different keys, and there are {held}: combine when you have them all",
)
_SIGNED = Text(
    "含 {held} 把密钥的签名；不足创世规定的人数时日志会拒绝",
    "signed by {held} keys; the log refuses it short of the number that its genesis, or the last change, names",
)
_PACKAGED = Text(
    "{what} 不读文件：创世用 --key，职业目录和等级表用程序自带的",
    "{what} reads no file: a genesis has --key, catalogue and ladder are those that come with the program",
)


def add_authority(authority: argparse.ArgumentParser) -> None:
    commands = authority.add_subparsers(dest="action", required=True)

    keygen = commands.add_parser("keygen", help="生成一把主管部门密钥 / make one authority key")
    keygen.add_argument("--out", type=Path, required=True)
    keygen.add_argument("--label", default="authority")
    keygen.add_argument("--passphrase-file", type=Path)
    keygen.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    keygen.set_defaults(run=_keygen)

    new = commands.add_parser("propose", help="起草提案 / write a proposal")
    new.add_argument("what", choices=["genesis", "catalogue", "ladder", *READERS])
    new.add_argument("--origin", required=True)
    new.add_argument("--key", action="append", default=[], help="genesis: 公钥 hex，每人一把 / a public key, hex")
    new.add_argument("--threshold", type=int, default=2)
    new.add_argument("--from", dest="source", type=Path, help="其他各类的内容 / the content of every other kind: TOML")
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
    cost = LIGHT_COST if arguments.light else PERSON_COST
    create_key_file(arguments.out, {"authority": key}, passphrase, cost=cost)
    assert key.public is not None
    print(key.public.hex())
    return 0


def _propose(arguments: argparse.Namespace) -> int:
    proposal = propose(arguments.origin, _body(arguments))
    write_new_file(arguments.out, format_proposal(proposal))
    return _show(argparse.Namespace(proposal=arguments.out))


def _body(arguments: argparse.Namespace) -> AuthorityBody:
    if arguments.source is not None and arguments.what in ("genesis", "catalogue", "ladder"):
        raise Refused("usage", "--from", _PACKAGED.format(what=arguments.what))
    match arguments.what:
        case "genesis":
            keys = tuple(sorted(hex_bytes(key, 32) for key in arguments.key))
            return Genesis(arguments.origin, keys, arguments.threshold, _today())
        case "catalogue":
            catalogue = load_catalogue()
            return Published(Kind.CATALOGUE, catalogue.version, catalogue.digest, _today())
        case "ladder":
            ladder = load_ladder()
            return Published(Kind.LADDER, ladder.version, ladder.digest, _today())
    if arguments.source is None:
        raise Refused("usage", "--from", Text("请用 --from 给出内容（TOML）", "give the content (TOML) with --from"))
    try:
        text = read_file(arguments.source, 16 * 1024 * 1024).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Malformed(
            Text(
                f"{arguments.source.name}：不是 UTF-8 编码，请另存为 UTF-8",
                f"{arguments.source.name}: not UTF-8; save it as UTF-8",
            )
        ) from None
    return read_body(arguments.what, text, _today())


def _show(arguments: argparse.Namespace) -> int:
    proposal = _read_proposal(arguments.proposal)
    origin, body = parse_proposal(proposal.protected, proposal.payload)
    print(f"sha256 {proposal.identity.hex()}\n日志 log: {origin}")
    print(describe(body))
    return 0


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
    write_new_file(arguments.out, json.dumps(document, indent=1).encode() + b"\n")
    return 0


def _combine(arguments: argparse.Namespace) -> int:
    proposal = _read_proposal(arguments.proposal)
    parts = []
    for path in arguments.signatures:
        document = _read_json(path, _SIGNATURE)
        if document.get("proposal") != proposal.identity.hex():
            raise Refused("other_proposal", str(path), Text("签名属于另一份提案", "Signature of another proposal"))
        parts.append(cose.Signature(hex_bytes(document.get("kid"), 8), hex_bytes(document.get("signature"), 64)))
    _, body = parse_proposal(proposal.protected, proposal.payload)
    held = len({part.kid for part in parts})
    if isinstance(body, Genesis) and held < body.threshold:
        raise Refused("TOO_FEW", "signatures", _TOO_FEW.format(wanted=body.threshold, held=held))
    write_new_file(arguments.out, proposal.signed(tuple(parts)))
    print(_SIGNED.format(held=held).both())
    if isinstance(body, AuthorityChange):
        signed = {part.kid for part in parts}
        for key in body.keys:
            if kid(key) not in signed:
                print(_MUST_SIGN.format(key=key.hex()).both(), file=sys.stderr)
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
    return read_proposal(read_file(path, MAX_PROPOSAL))


def _read_json(path: Path, form: str) -> dict[str, Any]:
    try:
        document = json.loads(read_file(path, 64 * 1024))
    except (ValueError, RecursionError) as error:
        raise Malformed(Text(f"{path.name}：不是 JSON", f"{path.name}: not JSON")) from error
    if not isinstance(document, dict) or document.get("format") != form:
        raise Malformed(Text(f"{path.name}：不是 {form} 格式", f"{path.name}: not of the form {form}"))
    return document


def _today() -> int:
    return batch_day(wall_ms())

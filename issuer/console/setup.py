"""`keygen` and `init`: made once, never overwritten."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from issuer.config import SETTINGS_FILE, IssuerSettings
from issuer.console.terminal import NOT_CLEAN, OK, passphrase, say, say_json
from issuer.desk import FILING, GENESIS, KEYS, PUBLIC_KEYS, RECORD_KEY, REQUEST_KEY, make_keys, public_keys
from issuer.filing import fetch_filing, fetch_genesis
from ledger.client import LedgerClient
from ledger.durable import replace_file
from ledger.errors import Refused, Unverified, cannot_create
from ledger.keystore import LIGHT_COST, PERSON_COST, public_part
from ledger.records.authority import Filing
from ledger.records.dates import batch_day, format_day
from ledger.reference_data import load_catalogue, load_ladder
from ledger.settings import format_settings
from ledger.text import Text
from ledger.tlog.note import parse_vkey
from ledger.wall import wall_ms

_UNLISTED = Text(
    "备案没有列出本机构的密钥：请将 public.json 交给主管部门",
    "the filing does not list these keys: hand in public.json",
)


def keygen(arguments: Namespace) -> int:
    public = public_keys(arguments.dir) or make_keys(
        arguments.dir,
        passphrase(arguments, confirm=True),
        label=arguments.label,
        today_day=batch_day(wall_ms()),
        random_bytes=os.urandom,
        cost=LIGHT_COST if arguments.light else PERSON_COST,
    )
    prints = {name: sha256(bytes.fromhex(key)).hexdigest() for name, key in public.items()}
    if arguments.json:
        say_json({**public, "fingerprints": prints})
        return OK
    for name, zh in (("record_key", "记录密钥（签证书）"), ("request_key", "请求密钥（连账本）")):
        say(f"{zh} / {name.replace('_', ' ')}\n  {public[name]}\n  SHA-256 {prints[name]}")
    said = Text("公钥已写入 {path}，请交给主管部门登记备案", "public keys are in {path}: hand it to the authority")
    say(said.format(path=arguments.dir / PUBLIC_KEYS).both())
    return OK


async def init(arguments: Namespace) -> int:
    path = arguments.dir / SETTINGS_FILE
    if path.exists():
        said = Text("{path} 已存在，不会被覆盖", "{path} exists and is not overwritten")
        raise Refused("settings_exist", SETTINGS_FILE, said.format(path=path))
    keys = tuple(parse_vkey(line) for line in arguments.vkey)
    async with LedgerClient(arguments.ledger) as client:
        genesis = await fetch_genesis(client, arguments.origin, keys)
        digest = sha256(genesis).hexdigest()
        if arguments.genesis is not None and arguments.genesis.lower() != digest:
            raise Unverified(
                Text("该日志的第 0 条与 --genesis 给出的不同", "entry 0 of this log is not the one named by --genesis")
            )
        settings = IssuerSettings(
            ledger_url=arguments.ledger.rstrip("/"),
            origin=arguments.origin,
            log_keys=tuple(arguments.vkey),
            genesis_sha256=digest,
            filing_number=arguments.filing,
            verify_url=arguments.verify_url.rstrip("/"),
            query_url=arguments.query_url,
            map_auditors=tuple(arguments.map_auditor),
        )
        filing, proven = await fetch_filing(client, settings.trust, settings.filing_number, genesis, wall_ms())
    try:
        arguments.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_create(arguments.dir, error) from error
    replace_file(arguments.dir / GENESIS, genesis)
    replace_file(arguments.dir / FILING, proven)
    replace_file(path, format_settings(settings).encode())  # last: with it the folder counts as set up
    listed = _lists_our_keys(arguments, filing)
    if arguments.json:
        say_json({"settings": asdict(settings), "filing": filing_value(filing), "keys_listed": listed})
        return OK if listed is not False else NOT_CLEAN
    show_filing(filing)
    pinned = Text(
        "已固定第 0 条 {digest}；请与主管部门公布的核对", "entry 0 pinned: {digest}; compare with the authority's"
    )
    say(pinned.format(digest=digest).both())
    if listed is False:
        say(_UNLISTED.both())
    return OK if listed is not False else NOT_CLEAN


def _lists_our_keys(arguments: Namespace, filing: Filing) -> bool | None:
    """Whether the filing has both of our keys; None when there is no key file yet."""
    if not (arguments.dir / KEYS).exists():
        return None
    ours = {key.name: key.public for key in public_part(arguments.dir / KEYS)}
    return ours.get(RECORD_KEY) in {key.public for key in filing.record_keys} and ours.get(REQUEST_KEY) in {
        key.public for key in filing.request_keys
    }


def filing_value(filing: Filing) -> dict[str, Any]:
    return {
        "number": filing.number,
        "name": filing.name,
        "first_day": format_day(filing.first_day),
        "last_day": format_day(filing.last_day),
        "cap": filing.cap,
        "rows": [
            {
                "occupation": row.occupation,
                "trade": row.trade,
                "grades": list(row.grades),
                "audience": row.audience.name.lower(),
                "first_day": format_day(row.first_day),
            }
            for row in filing.rows
        ],
    }


def show_filing(filing: Filing) -> None:
    """The terms as a person reads them."""
    say(f"{filing.number}  {filing.name}")
    say(f"{format_day(filing.first_day)} – {format_day(filing.last_day)}")
    catalogue, ladder = load_catalogue(), load_ladder()
    for row in filing.rows:
        occupation = catalogue.find(row.occupation)
        grades = "、".join(ladder.by_ordinal(grade).zh for grade in row.grades)
        name = occupation.name if occupation else "?"
        say(f"  {row.occupation} {name} {row.trade}  {grades}  {row.audience.name.lower()}")

"""`publish-pack`: an employer puts the digest of its own wage table on the log.

The statement has nothing random in it: the same command again is the same statement, and gets its first answer.
"""

from __future__ import annotations

import re
from argparse import Namespace
from typing import Final

from issuer.console.terminal import OK, passphrase, say, say_json
from issuer.desk import open_desk
from issuer.receipt import verify_receipt
from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused
from ledger.records.dates import parse_day
from ledger.records.pack import Pack
from ledger.records.statements import issuer_entry
from ledger.text import Text
from ledger.wall import wall_ms
from ledger.wire import BareSubmission

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DONE: Final = Text("规则包已公布，序号 {index}", "the pack is published at index {index}")


async def publish(arguments: Namespace) -> int:
    """Raises Refused (VERSION_EXISTS, NOT_EMPLOYER, …) as the ledger answers, Unverified for a receipt that lies."""
    if _DIGEST.fullmatch(arguments.digest) is None:
        raise Malformed(
            Text(
                "--digest：规则包的 SHA-256，64 位小写十六进制数",
                "--digest: the SHA-256 of the pack, 64 hex digits in lower case",
            )
        )
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    assert desk.record is not None and desk.request is not None
    pack = Pack(
        arguments.id,
        arguments.version,
        bytes.fromhex(arguments.digest),
        parse_day(arguments.first_day),
        parse_day(arguments.last_day) if arguments.last_day else 0,
        issuer=desk.settings.filing_number,
    )
    entry = issuer_entry(pack, desk.record)
    async with LedgerClient(desk.settings.ledger_url, signer=desk.request) as client:
        receipt = await client.submit([BareSubmission(entry)])
    (answer,) = verify_receipt([entry], receipt, desk.settings.trust, wall_ms())
    if isinstance(answer, Refused):
        raise answer
    if arguments.json:
        say_json({"index": answer.proof.index, "digest": arguments.digest})
    else:
        say(_DONE.format(index=answer.proof.index).both())
    return OK

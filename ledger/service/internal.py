"""The sequencer's own door for fronts, on an address that the public does not reach: what they have examined.

Beside it stands the whole ordinary application, to which fronts pass on everything else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from ledger import wire
from ledger.edge import read_body
from ledger.records.appointment import Appoint
from ledger.records.issue import Issue
from ledger.records.kinds import Kind
from ledger.records.life import Correct
from ledger.records.refusals import Refusal, refuse
from ledger.service.admission import Candidate, ClaimPart, Examined, PrivatePart
from ledger.service.examined import (
    PATH,
    CheckedItem,
    Item,
    check_examined,
    front_key,
    open_examined,
    parse_examined,
    unpack_item,
)
from ledger.service.examiners import Submitter
from ledger.service.web import LOG, Log, sequence

_KEY: Final = web.AppKey("front_key", bytes)


def add_internal(app: web.Application, index_key: bytes) -> None:
    """Let fronts that hold the index key hand in what they have examined."""
    app[_KEY] = front_key(index_key)
    app.router.add_post(PATH, post_examined)


async def post_examined(request: web.Request) -> web.Response:
    """Statements of one filing, examined by a front; the answer is that of POST /v1/statements.

    1 from a front    under the key that both hold, not older than 30 s, before the body is read, which is then the one
                      that was signed for: 401 otherwise, and nothing more is said; 503 when it would wait too long
    2 same version    FRONT_VERSION otherwise
    3 entries again   form, key, signatures, against this process's own view: what a front says about them is not asked
    4 private part    there, where the statement is about a person; what it holds only the front has seen
    5 sequence        as everything else
    """
    log = request.app[LOG]
    digest = open_examined(request.app[_KEY], request.headers, int(time.time()))  # 1
    log.sequencer.backlog.check()
    with log.intake.held() as count:
        body = await read_body(request, wire.MAX_BODY, on_bytes=count)
    check_examined(digest, body)
    number, items = parse_examined(body)  # 2
    integrator = log.sequencer.integrator
    filing = await integrator.filing(number)
    if filing is None:
        raise refuse(Refusal.FILING_UNKNOWN, "filing_number")
    assert integrator.authority is not None
    by = Submitter(filing, integrator.authority)
    return await sequence(log, len(items), lambda: _examined_again(log, items, by))  # 5


async def _examined_again(log: Log, items: Sequence[Item], by: Submitter) -> list[Examined]:
    entries = [item.entry for item in items if isinstance(item, CheckedItem)]
    checked = iter(await log.desk.authenticate(entries, by))  # 3
    found = [unpack_item(item, next(checked) if isinstance(item, CheckedItem) else None) for item in items]
    return [_with_openings(each) for each in found]  # 4


def _with_openings(examined: Examined) -> Examined:
    if isinstance(examined.outcome, Candidate):
        statement = examined.outcome.statement
        wanted: type[PrivatePart | ClaimPart | None] = type(None)
        if isinstance(statement.body, Issue | Appoint | Correct):
            wanted = PrivatePart
        elif statement.kind in (Kind.CLAIM, Kind.PAY):
            wanted = ClaimPart
        if not isinstance(examined.outcome.private, wanted):
            wrong = Refusal.OPENING_UNWANTED if wanted is type(None) else Refusal.OPENING_MISSING
            return Examined(examined.known_by, refuse(wrong, "face, document"))
    return examined

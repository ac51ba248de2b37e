"""Questions of verifiers to the private index: a number with a name, and the last four characters of an ID number.

    POST /v1/lookup   numbers with names -> what opens each face and where it is logged, or null; which have no answer
    POST /v1/match    cert key, last 4   -> yes or no, five times a day for one certificate

A look-up, by number:

    1 who asks     a verifier's token: 401 otherwise
    2 how much     its budget, and the form of every question
    3 row          of (number, name); beside each stands one that is sealed here and now for nobody, so that an unknown
                   number and another name are the same work and the same answer
    4 open         the row that was found, or that one; a damaged one is no answer to this question
    5 counts       only while the log has published the certificate, its number has not moved on, and the commitments
                   that count are still those of the row
    6 void         where a reissue became void, its number is again that of the certificate before, whose salt is not
                   here: no answer to this question, never a "no", and the others have theirs

Nothing is kept but counts, and neither journal nor errors name what was asked for.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import web

from ledger import wire
from ledger.edge import read_body
from ledger.errors import Malformed, Unverified
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS
from ledger.records.dates import batch_day
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState
from ledger.records.statements import parse_statement
from ledger.service.enquirers import Enquirers
from ledger.service.private_index import Found, PrivateIndex
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore, entry_at

_BODY: Final = 256 * 1024  # bytes
_NOBODY: Final = Found(bytes(32), bytes(16), bytes(32))
_LAST4: Final = re.compile(r"[0-9A-Z]{4}")

journal = logging.getLogger(__name__)


class Unanswered(Enum):
    """Why a number and a name that are known lead to nothing that can be shown."""

    VOID_REISSUE = "void_reissue"  # 6
    DAMAGED = "damaged"  # 4


@dataclass(slots=True)
class Enquiries:
    """What the handlers need. `published`: leaves under the checkpoint that readers see."""

    enquirers: Enquirers
    index: PrivateIndex
    store: PrivateStore
    integrator: Integrator
    published: Callable[[], int]
    now_ms: Callable[[], int]
    steady_s: Callable[[], float]

    async def find(self, questions: Sequence[wire.LookupBody]) -> list[Found | Unanswered | None]:
        """Steps 3 to 6, one answer for each question whatever becomes of the others."""
        blanks = [self.index.lookup_row(q.number, q.name, _NOBODY) for q in questions]
        rows = await self.store.index([row.hmac for row in blanks])  # 3
        found: list[Found | Unanswered | None] = []
        for question, blank in zip(questions, blanks, strict=True):
            sealed = rows.get(blank.hmac, blank.body)
            try:
                opened = self.index.open_lookup(question.number, question.name, sealed)  # 4
            except Unverified:
                journal.error("a look-up row is damaged")
                found.append(Unanswered.DAMAGED)
                continue
            state = await self.integrator.certificate(opened.cert_key)
            if state is None:
                found.append(None)
            elif await self._moved_back(state):  # 6
                found.append(Unanswered.VOID_REISSUE)
            else:
                found.append(opened if self._counts(opened, state) else None)
        return found

    async def match(self, cert_key: bytes, last4: str) -> bool:
        """Whether the document of the commitments that count ends so. An unknown certificate is the same work."""
        state = await self.integrator.certificate(cert_key)
        if state is not None:
            self.enquirers.try_match(cert_key, batch_day(self.now_ms()))
        row = self.index.match_row(bytes(32) if state is None else state.commitment_leaf, last4)
        return row.hmac in await self.store.index([row.hmac])

    async def _moved_back(self, state: CertificateState) -> bool:
        if state.status is not CertificateStatus.VOID:
            return False
        body = parse_statement(await entry_at(self.store, state.issue_index)).body
        return isinstance(body, Issue) and bool(body.replaces)

    def _counts(self, found: Found, state: CertificateState) -> bool:
        moved = state.status is CertificateStatus.REPLACED
        return not moved and found.leaf_hash == state.commitment_leaf and state.issue_index < self.published()  # 5


ENQUIRIES: Final = web.AppKey("enquiries", Enquiries)


def add_enquiries(app: web.Application, enquiries: Enquiries) -> None:
    """Serve the two routes of this module in `app`."""
    app[ENQUIRIES] = enquiries
    app.add_routes([web.post("/v1/lookup", post_lookup), web.post("/v1/match", post_match)])


async def post_lookup(request: web.Request) -> web.Response:
    asked = request.app[ENQUIRIES]
    name = asked.enquirers.named(request.headers.get("Authorization", ""))  # 1
    questions = wire.decode(await read_body(request, _BODY), wire.LookupRequest).lookups
    if not 1 <= len(questions) <= wire.MAX_LOOKUPS:  # 2
        raise Malformed(f"between 1 and {wire.MAX_LOOKUPS} look-ups in a request")
    if not all(1 <= len(q.number) <= NUMBER_CHARS and 1 <= len(q.name) <= NAME_CHARS for q in questions):
        raise Malformed("a number or a name is missing or too long")
    asked.enquirers.spend(name, len(questions), asked.steady_s())
    journal.info("look-ups", extra={"fields": {"verifier": name, "count": len(questions)}})
    answers = await asked.find(questions)
    bodies = [
        wire.FoundBody(one.cert_key, one.salt, one.leaf_hash) if isinstance(one, Found) else None for one in answers
    ]
    unanswered = [at for at, one in enumerate(answers) if isinstance(one, Unanswered)]
    return _json(wire.encode(wire.LookupAnswer(bodies, unanswered)))


async def post_match(request: web.Request) -> web.Response:
    asked = request.app[ENQUIRIES]
    name = asked.enquirers.named(request.headers.get("Authorization", ""))
    question = wire.decode(await read_body(request, _BODY), wire.MatchRequest)
    if len(question.cert_key) != 32 or _LAST4.fullmatch(question.last4) is None:
        raise Malformed("a cert key has 32 bytes, and the end of an ID number four capital letters or digits")
    asked.enquirers.spend(name, 1, asked.steady_s())
    journal.info("match", extra={"fields": {"verifier": name}})
    return _json(wire.encode(wire.MatchAnswer(await asked.match(question.cert_key, question.last4))))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")

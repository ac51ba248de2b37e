"""Questions of verifiers to the private index: a number with a name, and the last four characters of an ID number.

    POST /v1/lookup   numbers with names -> what opens each face and where it is logged, or null; which have no answer
    POST /v1/match    cert key, last 4   -> yes or no, five times a day for one certificate

A look-up, by number:

    1 who asks     a verifier's token: 401 otherwise
    2 how much     its budget, and the form of every question
    3 find         `ledger.service.lookups`

Nothing is kept but counts, and neither journal nor errors name what was asked for.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ledger import wire
from ledger.edge import read_body
from ledger.errors import Malformed
from ledger.records.dates import batch_day
from ledger.service.enquirers import Enquirers
from ledger.service.lookups import Lookups, Unanswered, check_pair
from ledger.service.private_index import Found, match_keys

_BODY: Final = 256 * 1024  # bytes
_LAST4: Final = re.compile(r"[0-9A-Z]{4}")

journal = logging.getLogger(__name__)


@dataclass(slots=True)
class Enquiries:
    """What the handlers need."""

    enquirers: Enquirers
    lookups: Lookups
    now_ms: Callable[[], int]
    steady_s: Callable[[], float]

    async def match(self, cert_key: bytes, last4: str) -> bool:
        """Whether the document of the commitments that count ends so. An unknown certificate is the same work.

        Raises Refused TRIES_USED, Unavailable, also of a log whose "no" could be that of an old copy."""
        self.lookups.published()
        state = await self.lookups.integrator.certificate(cert_key)
        day = batch_day(self.now_ms())
        if state is not None:
            self.enquirers.try_match(cert_key, day)
        leaf, issued = (bytes(32), 0) if state is None else (state.commitment_leaf, state.issue_index)
        try:
            return bool(await self.lookups.store.index(match_keys(self.lookups.index.match_hmac(leaf, last4), issued)))
        except BaseException:  # no answer, and no try
            if state is not None:
                self.enquirers.give_back(cert_key, day)
            raise


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
    for question in questions:
        check_pair(question.number, question.name)
    asked.lookups.published()  # before it is paid for
    asked.enquirers.spend(name, len(questions), asked.steady_s())
    journal.info("look-ups", extra={"fields": {"verifier": name, "count": len(questions)}})
    answers = await asked.lookups.find([(q.number, q.name) for q in questions])  # 3
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
    asked.lookups.published()
    asked.enquirers.spend(name, 1, asked.steady_s())
    journal.info("match", extra={"fields": {"verifier": name}})
    return _json(wire.encode(wire.MatchAnswer(await asked.match(question.cert_key, question.last4))))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")

"""Proof files of a certificate's entry, for whoever reads a verdict page to keep.

tlog-proof   made here, out of the own replica, under the newest checkpoint that it verified
receipt      only the log can sign one: asked of its ledger, and handed on when it holds under the pinned key for
             the statement that the replica has. There are none of a log without such a pin
end          what closed the log, for a browser to which the proof of a closed log looks old; empty while it goes on,
             and where the log that follows is not believed here
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from ledger.downloads import RECEIPT, TLOG_PROOF, Download
from ledger.edge import Rejected
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records import canonical
from ledger.records.receipt import open_receipt
from ledger.store.evidence import Standing
from ledger.text import Text
from ledger.tlog.proof import TlogProof, format_tlog_proof
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.trust import Trust
from verifier.web.answers import asked_cert_key, proof_file
from verifier.web.route import BINARY, ERRORS, PLAIN, Room, Route, Schema


class Receipts(Protocol):
    """The ledger, as far as it is asked for receipts."""

    async def receipt(self, cert_key: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Desk:
    lookup: Lookup
    ledgers: Mapping[str, Receipts]  # by origin, of the logs whose receipt key is pinned


DESK = web.AppKey("places", Desk)


def places_room(lookup: Lookup, ledgers: Sequence[tuple[Trust, Receipts | None]]) -> Room:
    """`ledgers`: of each log, the ledger that is asked for receipts."""
    signing = {trust.origin: ledger for trust, ledger in ledgers if ledger is not None and trust.receipt_key}

    def attach(app: web.Application) -> None:
        app[DESK] = Desk(lookup, signing)

    return Room((_PROOF_ROUTE, _END_ROUTE, *((_RECEIPT_ROUTE,) if signing else ())), attach)


async def tlog_proof(request: web.Request) -> web.StreamResponse:
    cert_key = asked_cert_key(request)
    _, note, found = await _standing(request.app[DESK], cert_key)
    proof = TlogProof(found.index, found.placed.inclusion, note, found.placed.entry)
    return _file(request, format_tlog_proof(proof), TLOG_PROOF, cert_key)


async def receipt(request: web.Request) -> web.StreamResponse:
    cert_key, desk = asked_cert_key(request), request.app[DESK]
    log, _, found = await _standing(desk, cert_key)
    ledger = desk.ledgers.get(log.trust.origin)
    if ledger is None:
        raise Rejected(404)
    try:
        raw = await ledger.receipt(cert_key)
        opened = open_receipt(raw, found.placed.entry, log.trust.origin, log.trust.receipt_key)
        if opened.index != found.index:
            raise Unverified("a receipt of another place")
    except (Malformed, Unverified, Refused) as error:
        raise Unavailable(
            Text("账本没有给出有效的收据，请稍后重试", "the ledger gave no receipt that holds; try again later")
        ) from error
    return _file(request, raw, RECEIPT, cert_key)


async def end(request: web.Request) -> web.StreamResponse:
    lookup = request.app[DESK].lookup
    holding = await lookup.holding(asked_cert_key(request))
    replica, found = holding[0].replica if holding else None, list[canonical.Value]()
    if replica is None or replica.verified is None:
        raise Rejected(404)
    if any(replica.successor == log.trust.origin for log in lookup.logs):
        found = (await replica.end(replica.verified.size)).as_value()
    return proof_file(request, canonical.encode(found), "application/cbor")


async def _standing(desk: Desk, cert_key: bytes) -> tuple[KnownLog, bytes, Standing]:
    """The log that counts for a certificate, its newest checkpoint, and where its statement stands. 404 without one."""
    holding = await desk.lookup.holding(cert_key)
    if holding is None or holding[0].replica is None:
        raise Rejected(404)
    found = await holding[0].replica.standing(cert_key)
    if found is None:
        raise Rejected(404)
    return holding[0], *found


def _file(request: web.Request, body: bytes, kind: Download, cert_key: bytes) -> web.Response:
    return proof_file(request, body, kind.content_type, kind.headers(cert_key))


_FAILURES: Final[dict[int, dict[str, Schema]]] = {304: {}} | dict.fromkeys((404, 503), ERRORS)
_PROOF_ROUTE: Final = Route(
    "GET",
    "/v1/evidence/{cert_key}/tlog-proof",
    tlog_proof,
    "C2SP tlog-proof of the statement that issued a certificate, which is its extra; says nothing of its state",
    {200: {TLOG_PROOF.content_type: PLAIN}} | _FAILURES,
)
_END_ROUTE: Final = Route(
    "GET",
    "/v1/evidence/{cert_key}/end",
    end,
    "What closed the certificate's log, [statement, [inclusion]]; [] while it goes on, or nobody known follows",
    {200: {"application/cbor": BINARY}} | _FAILURES,
)
_RECEIPT_ROUTE: Final = Route(
    "GET",
    "/v1/evidence/{cert_key}/receipt",
    receipt,
    "RFC 9942 COSE receipt of the same, from the log; where its receipt key is pinned",
    {200: {RECEIPT.content_type: BINARY}} | _FAILURES,
)

"""The ledger over HTTP: tiles and checkpoint for everybody, statements from filed bodies, envelopes by locator.

Public and immutable things are addressed by path alone and cached for ever; the checkpoint and every error are not
cached. No access log names a locator. Requests that write are signed with the filing's request key (RFC 9421).
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest

from ledger import wire
from ledger.edge import Intake, Rejected, protect, read_body
from ledger.edge_direct import add_direct
from ledger.edge_ready import Header
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.authority import Filing
from ledger.records.documents import IdDocument
from ledger.records.kinds import Kind
from ledger.records.refusals import Refusal, refuse
from ledger.records.repeated import UNNUMBERED
from ledger.records.seal import is_seal
from ledger.records.state import certificate_map_key, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.service.admission import Candidate, Examined
from ledger.service.answers import Answers
from ledger.service.backlog import count_statements
from ledger.service.budget import Budget
from ledger.service.desk import Desk
from ledger.service.examiners import Submitter
from ledger.service.metrics import Metrics
from ledger.service.private_index import PrivateIndex, envelope_keys
from ledger.service.publisher import Publisher
from ledger.service.requester import Requesters
from ledger.service.sequencer import Sequencer
from ledger.service.standby import ANOTHERS, Place
from ledger.service.tiles import CORS, Tiles
from ledger.store.protocol import PrivateStore, Slot, entry_at
from ledger.text import Text

_SMALL_BODY: Final = 1024 * 1024
_AUTHORITY_BODY: Final = 16 * 1024  # an entry of 8 KiB in base64
_SLOTS: Final = {"face": Slot.FACE, "rest": Slot.REST}
_LOCATOR: Final = re.compile(r"[0-9a-f]{64}")
_IDENTITY: Final = re.compile(r"[0-9a-f]{64}")
_ASK_AGAIN_S: Final = 2
_TAKEN_OVER: Final = Text("另一进程已接管该日志，请重试", "another process has taken over this log; ask again")

journal = logging.getLogger(__name__)


@dataclass(slots=True)
class Log:
    """Everything the handlers need; one per process."""

    sequencer: Sequencer
    publisher: Publisher
    answers: Answers
    store: PrivateStore
    desk: Desk
    index: PrivateIndex
    requesters: Requesters
    metrics: Metrics
    track_budget: Budget
    intake: Intake  # of bodies that are not examined yet
    strangers: Intake  # the same of those that anybody may send
    place: Place


LOG: Final = web.AppKey("log", Log)
TILES: Final = web.AppKey("tiles", Tiles)
_CHECKPOINT: Final = Header("text/plain; charset=utf-8", {**CORS, "Cache-Control": "no-cache"})


def create_app(log: Log) -> web.Application:
    """The application; the caller has started the publisher."""
    app = web.Application(client_max_size=wire.MAX_BODY)
    app[LOG], app[TILES] = log, Tiles(log.store)
    app.add_routes(
        [
            web.get("/checkpoint", get_checkpoint),
            web.get("/tile/{path:.+}", get_tile),
            web.post("/v1/statements", post_statements),
            web.get("/v1/statements/{identity}", get_statement),
            web.post("/v1/authority", post_authority),
            web.post("/v1/tracks", post_tracks),
            web.post("/v1/numbers", post_numbers),
            web.get("/v1/envelopes/{issued}/{locator}/{slot}", get_envelope),
            web.get("/v1/filings", get_filings),
            web.get("/v1/filings/{number}", get_filing),
            web.get("/livez", get_live),
            web.get("/readyz", get_ready),
            web.get("/metrics", get_metrics),
        ]
    )
    add_direct(app, "/checkpoint", "/checkpoint", lambda rest, hsts: None if rest else _ready_checkpoint(log, hsts))
    tiles = app[TILES]
    add_direct(app, "/tile/", "/tile/{path}", lambda path, hsts: tiles.ready(path, log.publisher.readable, hsts))
    protect(app, statuses={Unverified: 401})
    return app


async def get_checkpoint(request: web.Request) -> web.StreamResponse:
    return _CHECKPOINT.answer(request, _note(request.app[LOG]))


def _ready_checkpoint(log: Log, hsts: bool) -> bytes:
    """All bytes of that answer. Raises what it raises."""
    return _CHECKPOINT.whole(_note(log), hsts)


def _note(log: Log) -> bytes:
    return log.publisher.shown().note


async def get_tile(request: web.Request) -> web.StreamResponse:
    """A tile or entry bundle of the published tree."""
    return await request.app[TILES].answer(request, request.app[LOG].publisher.readable)


async def post_statements(request: web.Request) -> web.Response:
    """Statements of one filing; the answers are in their order, each on its own."""
    log = request.app[LOG]
    # A suspended body may still suspend and revoke: the fold decides.
    sender = await log.requesters.open(request, suspended=True)
    log.sequencer.backlog.check()  # and again when the body has come
    with log.intake.held() as count:
        body = await sender.read(request, wire.MAX_BODY, on_bytes=count)
    authority = log.sequencer.integrator.authority
    assert authority is not None
    by = Submitter(sender.filing, authority)
    return await sequence(log, count_statements(body), lambda: log.desk.examine(body, by))


async def get_statement(request: web.Request) -> web.Response:
    """The place to ask again: the receipt of one statement, or 202 until it is published. By its identity, and by its
    index where that is named: a certificate is not found without."""
    log, said = request.app[LOG], request.query.get("index")
    if _IDENTITY.fullmatch(request.match_info["identity"]) is None:
        raise Rejected(404)
    identity = bytes.fromhex(request.match_info["identity"])
    if said is None:
        index = (await log.store.find([identity])).get(identity)
    else:
        index = int(said) if wire.INDEX.fullmatch(said) else None
        if index is not None and not await _stands(log, identity, index):
            index = None
    if index is None:
        raise Rejected(404)
    receipt = await log.answers.receipt([index], wait=False)
    return _pending([(index, identity)]) if receipt is None else _receipt(receipt)


async def _stands(log: Log, identity: bytes, index: int) -> bool:
    """Whether the committed entry at `index` is the statement of this identity."""
    entries = await log.store.entries(index, index + 1)
    return bool(entries) and not is_seal(entries[0]) and parse_statement(entries[0]).identity == identity


async def post_authority(request: web.Request) -> web.Response:
    """One statement of the authority, of any kind that needs no openings."""
    log = request.app[LOG]
    with log.strangers.held() as count:
        body = await read_body(request, _AUTHORITY_BODY, on_bytes=count)
    entry = wire.decode(body, wire.AuthorityRequest).entry
    authority = log.sequencer.integrator.authority
    assert authority is not None

    async def examine() -> list[Examined]:
        return [_own_request_keys(log, await log.desk.examine_authority(entry, authority))]

    return await sequence(log, 1, examine)


async def post_tracks(request: web.Request) -> web.Response:
    """The track of each person and lineage. Answers alike whether or not certificates exist. Drawn only while
    statements are taken: a track out of an old copy of the store would be nobody's once the right one is back."""
    log = request.app[LOG]
    log.publisher.check_taking()
    sender = await log.requesters.open(request)
    filing, body = sender.filing, await sender.read(request, _SMALL_BODY)
    persons = wire.decode(body, wire.TracksRequest).persons
    if not 1 <= len(persons) <= wire.MAX_PERSONS:
        raise Malformed(f"between 1 and {wire.MAX_PERSONS} persons in a request")
    log.track_budget.take(filing.terms.number, len(persons), time.monotonic())
    journal.info("tracks", extra={"fields": {"filing": filing.terms.number, "persons": len(persons)}})
    integrator = log.sequencer.integrator
    fresh = integrator.places.draw(integrator.size, len(persons), log.index.random_bytes)
    rows = []
    for person, track_id in zip(persons, fresh, strict=True):
        document = IdDocument(person.document_type, person.country, person.number)
        if not 1 <= len(person.lineage) <= 64:
            raise Malformed("a lineage has 1 to 64 characters")
        rows.append(log.index.track_row(document.identity, person.lineage, track_id))
    try:
        found = await log.store.claim(rows)
    except Refused as error:  # this one is about to find out and to end (standby.py), or the server is not durable
        text = _TAKEN_OVER if error.code in ANOTHERS else error.text
        raise Unavailable(text, retry_after=_ASK_AGAIN_S, public=True) from error
    return _json(wire.encode(wire.TracksAnswer([found[row.hmac] for row in rows])))


async def post_numbers(request: web.Request) -> web.Response:
    """Which of a body's own numbers are taken."""
    log = request.app[LOG]
    sender = await log.requesters.open(request)
    filing, body = sender.filing, await sender.read(request, _SMALL_BODY)
    numbers = wire.decode(body, wire.NumbersRequest).numbers
    if len(numbers) > wire.MAX_NUMBERS or any(len(number) > 64 for number in numbers):
        raise Malformed(f"at most {wire.MAX_NUMBERS} numbers in a request")
    own = log.index.numbers_by_key(number for number in numbers if number.startswith(filing.terms.number))
    taken = {own[key] for key in await log.store.index(list(own))}
    return _json(wire.encode(wire.NumbersAnswer(sorted(taken))))


async def get_envelope(request: web.Request) -> web.Response:
    """An envelope of the certificate that was issued at an index of the log, or of a correction of it."""
    asked = request.match_info
    issued, locator, slot = asked["issued"], asked["locator"], _SLOTS.get(asked["slot"])
    if slot is None or wire.INDEX.fullmatch(issued) is None or _LOCATOR.fullmatch(locator) is None:
        raise Rejected(404)
    for place in envelope_keys(int(issued), bytes.fromhex(locator)):
        body = await request.app[LOG].store.envelope(place, slot)
        if body is not None:
            return web.Response(body=body, content_type="application/octet-stream")
    raise Rejected(404)


async def get_filings(request: web.Request) -> web.Response:
    """Every filing number with the index of the statement that filed it; its terms may have changed since."""
    named = await request.app[LOG].store.named(int(Kind.FILING))
    return _json(wire.encode({"filings": [{"number": n, "index": i} for n, i in sorted(named.items())]}))


async def get_filing(request: web.Request) -> web.Response:
    log = request.app[LOG]
    filing = await log.sequencer.integrator.filing(request.match_info["number"])
    if filing is None:
        raise Rejected(404)
    entry = await entry_at(log.store, filing.terms_index)
    return _json(wire.encode(wire.FilingAnswer(entry, filing.terms_index)))


async def get_live(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def get_ready(request: web.Request) -> web.Response:
    publisher = request.app[LOG].publisher
    publisher.check_taking()
    request.app[LOG].sequencer.check_clock()
    publisher.check_alive()
    place = request.app[LOG].place
    if place.lacks is not None:
        raise Unavailable(place.lacks, public=True)
    if not place.is_held:
        raise Unavailable(Text("日志尚未就绪", "the log is not ready"))
    return web.Response(text="ok\n")


async def get_metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=generate_latest(request.app[LOG].metrics.registry), content_type="text/plain", charset="utf-8"
    )


def _own_request_keys(log: Log, examined: Examined) -> Examined:
    """A request key names its filing, so it cannot serve two."""
    if isinstance(examined.outcome, Candidate) and isinstance(terms := examined.outcome.statement.body, Filing):
        filed = log.requesters.keys
        owners = {filed[key.kid][0] for key in terms.request_keys if key.kid in filed}
        if owners - {terms.number}:
            return Examined(examined.known_by, refuse(Refusal.REQUEST_KEY_TAKEN, "request_keys"))
    return examined


async def sequence(log: Log, count: int, examine: Callable[[], Awaitable[Sequence[Examined]]]) -> web.Response:
    """The answer to a request of about `count` submissions. Raises Unavailable, before it is examined, when it would
    wait too long; waiting for publication is no part of that."""
    with log.sequencer.backlog.through(count):
        examined = await examine()
        final = await _settled(log, examined)
    for code, number in Counter(one.code if isinstance(one, Refused) else "logged" for one in final).items():
        log.metrics.answered.labels(code).inc(number)
    receipt = await log.answers.receipt(final)
    if receipt is None:
        pending = sorted(
            (outcome, item.known_by.identity)
            for outcome, item in zip(final, examined, strict=True)
            if isinstance(outcome, int) and item.known_by is not None and not log.answers.covered(outcome)
        )
        if pending:
            return _pending(pending)
        receipt = await log.answers.receipt(final, wait=False)  # published just when nobody waited any longer
    if receipt is None:
        raise Unavailable(
            Text(
                "还没有公布检查点，而拒绝须附于检查点之下，请稍后重试",
                "nothing is published yet, and refusals come under a checkpoint; try again later",
            ),
            retry_after=_ASK_AGAIN_S,
        )
    return _receipt(receipt)


async def _settled(log: Log, examined: Sequence[Examined]) -> list[int | Refused]:
    """The outcomes of examined submissions: stored ones for what is logged already; the rest goes to the sequencer in
    order, which looks again, and so does what is logged and may have been undone since."""
    known = await _logged(log, [item for item in examined if isinstance(item.outcome, Refused)])  # 3
    accepted = [item for item in examined if isinstance(item.outcome, Candidate)]
    # What comes a second time came as it does now, its first one first. Where that is new, the sequencer is to be asked
    # anyway, and looks for the others too.
    if accepted and (first := await _logged(log, accepted[:1])):
        known |= first | await _logged(log, accepted[1:])
    answers: list[int | Refused | None] = []
    candidates: list[Candidate] = []
    for item in examined:
        logged = None if item.known_by is None else known.get(item.known_by.identity)
        if logged is not None and (isinstance(item.outcome, Refused) or item.outcome.statement.kind not in UNNUMBERED):
            answers.append(logged)
        elif isinstance(item.outcome, Refused):
            answers.append(item.outcome)
        else:
            answers.append(None)
            candidates.append(item.outcome)
    if len(candidates) < len(answers):
        log.sequencer.backlog.finished(len(answers) - len(candidates), batch=False)
    settled = iter(await log.sequencer.put(candidates) if candidates else ())
    return [next(settled) if answer is None else answer for answer in answers]


async def _logged(log: Log, examined: Sequence[Examined]) -> dict[bytes, int]:
    """Where those are that are logged already, by identity."""
    named = [item.known_by for item in examined if item.known_by is not None]
    others = [each.identity for each in named if not each.cert_key]
    found: dict[bytes, int] = await log.store.find(others) if others else {}
    keys = {each.identity: certificate_map_key(each.cert_key) for each in named if each.cert_key}
    rows = await log.store.states(list(keys.values())) if keys else {}
    for identity, key in keys.items():
        if key in rows:
            index = parse_certificate_state(rows[key].body).issue_index
            if await _stands(log, identity, index):
                found[identity] = index
    return found


def _receipt(receipt: wire.Receipt) -> web.Response:
    return _json(wire.receipt_body(receipt.answers, receipt.checkpoint, receipt.seal, receipt.seal_inclusion))


def _pending(places: Sequence[tuple[int, bytes]]) -> web.Response:
    """Logged, durable, and not published: 202 with the place to ask. The last one is the newest: it answers for all."""
    index, last = places[-1]
    response = _json(wire.pending_body([identity for _, identity in places], index, _ASK_AGAIN_S))
    response.set_status(202)
    response.headers["Location"] = wire.ask_path(last, index)
    response.headers["Retry-After"] = str(_ASK_AGAIN_S)
    return response


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")

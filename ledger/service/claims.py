"""What payers ask: which certificate somebody shows, the nullifiers of a claim, and which of their claims are on
certificates that are out of force.

POST /v1/claims/certificate, signed by a payer's request key, leads from what is printed on a certificate (number and
name) to its cert key, for the holder's document alone. A number that does not exist, another name and somebody else's
document are one answer, NOT_HOLDER; and five of those a day for one number and name, or for one certificate: TRIES_USED
then. NUMBER_UNANSWERED where the ledger cannot tell (`ledger.service.lookups`). Both are about this one case alone.

POST /v1/claims/nullifiers, signed by a payer's request key:

    a payer       filed for the scheme of a pack that the authority has published with terms of claims
    b certificate in force, or reissued as one that is
    c person      the document is that of the certificate's holder: the private index leads from it to the track. Five
                  wrong documents a day and certificate, whoever asks: TRIES_USED then
    d free        what the claim needs is not taken: ALREADY_CLAIMED otherwise, and neither where nor by whom
    e answer      the nullifiers, and a voucher for the claim that is to carry them

Nothing is kept and nothing reserved: two may hear of the same free slot, and one of them gets it. The document is
forgotten with the request. What somebody hears here tells him later, from the public log, that the right was used.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ledger import wire
from ledger.edge import Rejected
from ledger.errors import Damaged, Refused, Unavailable, Unverified
from ledger.records.appointment import CertificateBody
from ledger.records.claim_state import ClaimState
from ledger.records.dates import batch_day
from ledger.records.documents import IdDocument
from ledger.records.kinds import CertificateStatus, ClaimStatus, Kind
from ledger.records.pack import ClaimTerms, pack_name
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import CertificateState, FilingState, certificate_map_key
from ledger.records.view import Member
from ledger.service.budget import Budget, UsedUp
from ledger.service.lookups import Lookups, Unanswered, check_pair
from ledger.service.nullifiers import Holder, Nullifiers, Voucher, digest_of
from ledger.service.private_fold import LineageOf, in_force
from ledger.service.private_index import PrivateIndex
from ledger.service.requester import Requesters, Sender
from ledger.store.claims import claim_states, last_claims, published_pack
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore, Purpose, entry_at
from ledger.store.view import Behind, StoreView, certificate_of, load_view
from ledger.text import Text
from ledger.tlog.spelling import parse_decimal
from ledger.wire_holders import HolderAnswer, HolderRequest

_BODY: Final = 16 * 1024
_PAGE: Final = 500  # claims looked at for one answer about cases
_TRIES: Final = 3
_WRONG_A_DAY: Final = 5  # documents that are not the holder's, for one certificate
_ASKED_PER_S, _ASKED_BURST = 50.0, 20_000  # by one payer
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_HOLDING: Final = (ClaimStatus.RESERVED, ClaimStatus.PAID)

journal = logging.getLogger(__name__)


@dataclass(slots=True)
class ClaimsDesk:
    """Everything these handlers need; one per process."""

    lookups: Lookups
    nullifiers: Nullifiers
    requesters: Requesters
    lineage_of: LineageOf
    asked: Budget
    wrong: Budget

    @classmethod
    def open(cls, lookups: Lookups, requesters: Requesters, lineage_of: LineageOf) -> ClaimsDesk:
        return cls(
            lookups,
            Nullifiers(lookups.index),
            requesters,
            lineage_of,
            Budget(_ASKED_PER_S, _ASKED_BURST),
            Budget(_WRONG_A_DAY / 86_400, _WRONG_A_DAY),
        )

    @property
    def integrator(self) -> Integrator:
        return self.lookups.integrator

    @property
    def store(self) -> PrivateStore:
        return self.lookups.store

    @property
    def index(self) -> PrivateIndex:
        return self.lookups.index


DESK: Final = web.AppKey("claims", ClaimsDesk)


def add_claims(app: web.Application, desk: ClaimsDesk) -> None:
    app[DESK] = desk
    app.router.add_post("/v1/claims/certificate", post_certificate)
    app.router.add_post("/v1/claims/nullifiers", post_nullifiers)
    app.router.add_get("/v1/claims/cases", get_cases)
    app.router.add_get("/v1/packs/{digest}", get_pack)


async def post_certificate(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    payer = await _payer(desk, request)
    filing, body = payer.filing, await payer.read(request, _BODY)
    said = wire.decode(body, HolderRequest)
    check_pair(said.certificate, said.name)
    document = IdDocument(said.document_type, said.country, said.number)
    desk.asked.take(filing.terms.number, 1, time.monotonic())
    journal.info("certificate", extra={"fields": {"filing": filing.terms.number}})
    return _json(HolderAnswer(await find_certificate(desk, said.certificate, said.name, document)))


async def find_certificate(desk: ClaimsDesk, number: str, name: str, document: IdDocument) -> bytes:
    """The cert key behind a printed number and name, for its holder's document. Raises Refused: NOT_HOLDER, TRIES_USED
    after five of them, NUMBER_UNANSWERED."""
    # Counted by what was asked, known or not: counted by cert key, which the public log names, tries used up elsewhere
    # would tell which number and name are this one's.
    tries = desk.index.hmac(Purpose.LOOKUP, [number, name]).hex()
    with _one_try(desk, tries):
        [found] = await desk.lookups.find([(number, name)])
        if found is None:
            raise refuse(Refusal.NOT_HOLDER, "document")
        if isinstance(found, Unanswered):
            raise refuse(Refusal.NUMBER_UNANSWERED, "certificate")
        member = (await _view(desk, found.cert_key)).member(found.cert_key)
        assert member is not None, "a look-up that counts leads to a certificate"
        await _check_person(desk, document, member)
        return found.cert_key


async def post_nullifiers(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    payer = await _payer(desk, request)
    filing, body = payer.filing, await payer.read(request, _BODY)
    said = wire.decode(body, wire.NullifiersRequest)
    document = IdDocument(said.document_type, said.country, said.number)
    desk.asked.take(filing.terms.number, 1, time.monotonic())
    journal.info("nullifiers", extra={"fields": {"filing": filing.terms.number}})
    asked = wire.Asked(said.cert_key, document, said.pack, said.year)
    nullifiers, voucher = await ask(desk, filing, asked, batch_day(time.time_ns() // 1_000_000))
    return _json(wire.NullifiersAnswer(list(nullifiers), voucher))


async def ask(desk: ClaimsDesk, filing: FilingState, asked: wire.Asked, day: int) -> tuple[tuple[bytes, ...], bytes]:
    """Steps a to e for a payer on a day of the log: nullifiers and voucher. Raises Refused, Unavailable."""
    terms = await _terms(desk, filing, asked.pack)  # a
    view = await _view(desk, asked.cert_key)
    member = in_force(view, asked.cert_key, day)  # b
    with _one_try(desk, asked.cert_key.hex()):
        await _check_person(desk, asked.document, member)  # c
    first = await _first(desk, view, member[0])
    said, state = member
    holder = Holder(asked.cert_key, first, state.track_id, said.trade, state.grade, asked.document.identity)
    wanted = desk.nullifiers.wanted(terms, asked.year, holder)
    last = await last_claims(desk.integrator, wanted.all)  # d
    claims = await claim_states(desk.integrator, list(last.values()))
    chosen = wanted.choose(lambda one: one in last and claims[last[one]].takes(day), desk.nullifiers.random_bytes)
    if chosen is None:
        raise refuse(Refusal.ALREADY_CLAIMED, "nullifiers")
    number = filing.terms.number
    voucher = Voucher(number, asked.pack, asked.year, digest_of(chosen), asked.cert_key, state.track_id, wanted.higher)
    return chosen, desk.nullifiers.seal_voucher(voucher)  # e


async def get_cases(request: web.Request) -> web.Response:
    """Claims of the payer that are reserved or paid, on certificates that are not in force; `?after=INDEX` goes on
    behind a claim. A reissue in force is no case."""
    desk = request.app[DESK]
    payer = await _payer(desk, request, suspended=True)
    await payer.accept_empty()
    filing = payer.filing
    after = parse_decimal(request.query["after"], "after") if "after" in request.query else -1
    number = filing.terms.number
    rows = [row for name, row in await desk.store.signed_after(number, after, _PAGE) if name == number]
    day = batch_day(time.time_ns() // 1_000_000)
    found = await claim_states(desk.integrator, [row.cert_key for row in rows if row.kind is Kind.CLAIM])
    holding = [claim for claim in found.values() if claim.status in _HOLDING and not claim.expired(day)]
    cases = [
        wire.CaseBody(
            claim.claim_leaf,
            claim.claim_index,
            claim.status.name.lower(),
            state.status.name.lower(),
            state.event_index,
            state.event_leaf,
            state.effective_day,
        )
        for claim, state in await _certificates(desk, holding)
        if state.status is not CertificateStatus.IN_FORCE
    ]
    return _json(wire.CasesAnswer(cases, rows[-1].index if rows else max(after, 0), len(rows) == _PAGE))


async def get_pack(request: web.Request) -> web.Response:
    """The statement that published these exact bytes: the authority's, or with `?by=` that of an employer."""
    desk = request.app[DESK]
    digest, issuer = request.match_info["digest"], request.query.get("by", "")
    if _DIGEST.fullmatch(digest) is None or len(issuer) > 13 or not issuer.isprintable():
        raise Rejected(404)
    index = await desk.store.find_named(int(Kind.PACK), pack_name(bytes.fromhex(digest), issuer))
    if index is None:
        raise Rejected(404)
    return _json(wire.PackAnswer(await entry_at(desk.store, index), index))


async def _payer(desk: ClaimsDesk, request: web.Request, *, suspended: bool = False) -> Sender:
    sender = await desk.requesters.open(request, suspended=suspended)
    if not sender.filing.terms.is_payer:
        raise refuse(Refusal.NOT_PAYER, "filing_number")
    desk.lookups.published()  # an old copy of the log would say no, and know of no cases
    return sender


async def _terms(desk: ClaimsDesk, filing: FilingState, digest: bytes) -> ClaimTerms:
    pack = await published_pack(desk.integrator, digest)
    if pack is None or pack.terms is None:
        raise refuse(Refusal.PACK_UNKNOWN, "pack")
    if pack.terms.scheme not in filing.terms.schemes:
        raise refuse(Refusal.PAYER_SCHEME, "pack")
    return pack.terms


async def _settled(read: Callable[[], Awaitable[StoreView]]) -> StoreView:
    """Rows that belong together: between two reads of them a batch may be committed."""
    for _ in range(_TRIES):
        try:
            return await read()
        except Unverified as error:
            last = error
    raise Unavailable(
        Text(
            "存储：一张证书的各行互不相符，请运行 fsck", "store: rows of a certificate do not belong together; run fsck"
        )
    ) from last


async def _view(desk: ClaimsDesk, cert_key: bytes) -> StoreView:
    return await _settled(lambda: load_view(desk.integrator, [], Behind([cert_key])))


@contextmanager
def _one_try(desk: ClaimsDesk, tries: str) -> Iterator[None]:
    """Taken before anything is compared, and used up by NOT_HOLDER alone: whatever else comes of it, a store without an
    answer too, says nothing about the document. Raises Refused TRIES_USED."""
    try:
        desk.wrong.take(tries, 1, time.monotonic())
    except UsedUp as error:
        raise refuse(Refusal.TRIES_USED, "document") from error
    wrong = False
    try:
        yield
    except Refused as refusal:
        wrong = refusal.code == Refusal.NOT_HOLDER
        raise
    finally:
        if not wrong:
            desk.wrong.give_back(tries, 1)


async def _check_person(desk: ClaimsDesk, document: IdDocument, member: Member) -> None:
    """Step c, within a try."""
    hmac = desk.index.person_hmac(*document.identity, desk.lineage_of(member[0].occupation))
    if (await desk.store.index([hmac])).get(hmac) != member[1].track_id:
        raise refuse(Refusal.NOT_HOLDER, "document")


async def _first(desk: ClaimsDesk, view: StoreView, body: CertificateBody) -> bytes:
    """The cert key that a certificate had before all its reissues: it stays the same certificate."""
    while body.replaces:
        if view.member(body.replaces) is None:
            view = await _view(desk, body.replaces)
        older = view.member(body.replaces)
        assert older is not None, "a reissue replaces what is in the log"
        body = older[0]
    return body.cert_key


async def _certificates(desk: ClaimsDesk, claims: Sequence[ClaimState]) -> list[tuple[ClaimState, CertificateState]]:
    """Each claim with its certificate as it is now, or the reissue that stands for it. A claim whose link was erased
    with its person is left out."""
    hmacs = {desk.nullifiers.link_hmac(claim.claim_leaf): claim for claim in claims}
    links = await desk.store.index(list(hmacs))
    try:
        named = [(hmacs[hmac], desk.nullifiers.open_link(hmacs[hmac].claim_leaf, link)) for hmac, link in links.items()]
    except Unverified as error:  # ours, and not the payer's request
        raise Damaged(
            Text(
                "存储：从申领指向证书的行无法解开，请运行 fsck",
                "store: the row that leads from a claim to its certificate does not open; run fsck",
            )
        ) from error
    found: dict[bytes, CertificateState] = {}
    later = {cert_key for _, cert_key in named}
    while later:
        rows = await desk.integrator.proven_states([certificate_map_key(cert_key) for cert_key in later])
        fresh = {row.subject: certificate_of(row) for row in rows.values()}
        found |= fresh
        later = {state.successor for state in fresh.values() if state.status is CertificateStatus.REPLACED}
    return sorted(
        ((claim, _standing(found, cert_key)) for claim, cert_key in named), key=lambda pair: pair[0].claim_index
    )


def _standing(found: dict[bytes, CertificateState], cert_key: bytes) -> CertificateState:
    state = found[cert_key]
    while state.status is CertificateStatus.REPLACED:
        state = found[state.successor]
    return state


def _json(answer: HolderAnswer | wire.NullifiersAnswer | wire.CasesAnswer | wire.PackAnswer) -> web.Response:
    return web.Response(body=wire.encode(answer), content_type="application/json", charset="utf-8")

"""Payers, packs and claims for tests.

payer = make_payer("fund")                                a Body that is filed as a payer
authority.sign(make_pack())                               terms of the scheme SC, on the log
wanted = asked(certificate, "person")                     the question for its nullifiers
made = claim(payer, cert_key, nullifiers)                 signed, with its openings; `.submission`
made = await reserved(client, payer, wanted, day=today)   asked of a ledger, with its voucher
payer.sign(act(Kind.PAY, payer, made))                    and what becomes of it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ledger.client import LedgerClient
from ledger.records.authority import FiledKey, Filing
from ledger.records.claim import Claim, ClaimAct, DecisionOpening, HolderOpening
from ledger.records.dates import date_of
from ledger.records.documents import CITIZEN, IdDocument
from ledger.records.kinds import IssuerKind, Kind, Reason
from ledger.records.pack import ClaimTerms, Pack
from ledger.records.statements import Statement, issuer_entry, parse_statement
from ledger.tlog.merkle import leaf_hash
from ledger.wire import Asked, ClaimSubmission
from tests.support.builders import DAY, WINDOW, Body, Certificate, id_number, key, octets

PAYER_NUMBER = "Z000051000001"
SCHEME = "SC"
TERMS = ClaimTerms(SCHEME, ("SKILL",), by_trade=False, lower_grades=True, slots=3)
PACK_BYTES = b"the exact bytes of a pack"


@dataclass(frozen=True, slots=True)
class MadeClaim:
    """One signed claim with what only its payer knows."""

    statement: Statement
    holder: HolderOpening
    decision: DecisionOpening
    voucher: bytes = b""

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.statement.entry)

    @property
    def submission(self) -> ClaimSubmission:
        return ClaimSubmission(self.statement.entry, self.holder, self.voucher)


def make_payer(seed: str = "", **changes: Any) -> Body:
    """A payer that is filed for one scheme. `changes` replace fields of its Filing."""
    record, request = key("payer record " + seed), key("payer request " + seed)
    filing = Filing(
        number=PAYER_NUMBER,
        name="示例失业保险经办机构",
        kind=IssuerKind.PAYER,
        first_day=WINDOW[0],
        last_day=WINDOW[1],
        rows=(),
        record_keys=(FiledKey(record.public, WINDOW[0]),),
        request_keys=(FiledKey(request.public, WINDOW[0]),),
        schemes=(SCHEME,),
    )
    return Body(replace(filing, **changes), record, request)


def make_pack(label: bytes = PACK_BYTES, **changes: Any) -> Pack:
    pack = Pack("sc-skill", "1", sha256(label).digest(), WINDOW[0], terms=TERMS)
    return replace(pack, **changes)


def asked(certificate: Certificate, person: str, *, day: int = DAY, **changes: Any) -> Asked:
    """The question about the certificate of one of the builders' persons."""
    document = IdDocument(CITIZEN, "CHN", id_number(person))
    question = Asked(certificate.issue.cert_key, document, make_pack().digest, date_of(day).year)
    return replace(question, **changes)


def claim(
    payer: Body,
    cert_key: bytes,
    nullifiers: tuple[bytes, ...],
    *,
    label: str = "claim",
    day: int = DAY,
    amount: int = 200_000,
    **changes: Any,
) -> MadeClaim:
    """A claim reserved for thirty days. `label` decides the salts."""
    holder = HolderOpening(octets("holder salt " + label, 16), cert_key)
    decision = DecisionOpening(octets("decision salt " + label, 16), amount, octets("decision " + label))
    body = Claim(
        issuer=payer.filing.number,
        holder=holder.digest(),
        pack=make_pack().digest,
        year=date_of(day).year,
        nullifiers=nullifiers,
        decision=decision.digest(),
        last_day=day + 30,
    )
    body = replace(body, **changes)
    return MadeClaim(parse_statement(issuer_entry(body, payer.record)), holder, decision)


def act(
    kind: Kind, payer: Body, made: MadeClaim | bytes, *, day: int = DAY, reason: Reason = Reason.HOLDER_REQUEST
) -> Statement:
    """A claim paid, released or clawed back, signed."""
    leaf = made if isinstance(made, bytes) else made.leaf
    body = ClaimAct(kind, leaf, day, payer.filing.number, None if kind is Kind.PAY else reason)
    return parse_statement(issuer_entry(body, payer.record))


def payment(payer: Body, made: MadeClaim, *, day: int = DAY) -> ClaimSubmission:
    return ClaimSubmission(act(Kind.PAY, payer, made, day=day).entry, made.holder)


async def reserved(client: LedgerClient, payer: Body, question: Asked, *, day: int, label: str = "claim") -> MadeClaim:
    """Ask, and sign what the answer allows. Nothing is submitted."""
    nullifiers, voucher = await client.nullifiers(question)
    made = claim(payer, question.cert_key, nullifiers, label=label, day=day, pack=question.pack, year=question.year)
    return replace(made, voucher=voucher)

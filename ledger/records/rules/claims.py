"""Packs and claims: what a payer may reserve, and what becomes of it.

That the nullifiers are those of the certificate, and that it is in force when it is reserved and paid, only the ledger
can judge, since the log does not say which certificate a claim is about. What is here everybody replays: who claims,
under which terms, that no nullifier is taken twice, and that a claim is paid once and not after its last day.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ledger.records.claim import Claim, ClaimAct
from ledger.records.claim_state import ClaimState
from ledger.records.dates import date_of
from ledger.records.kinds import ClaimStatus, IssuerKind, Kind, Reason
from ledger.records.pack import Pack
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.signers import by_authority, by_issuer, check_active, check_not_cancelled
from ledger.records.state import FilingState
from ledger.records.view import Authentic, Change, Moment, View

MAX_RESERVED_DAYS: Final = 90  # after the day of the batch
MAX_DECIDING_DAYS: Final = 180  # after a pack's last day: who applied then is decided later


def apply_pack(view: View, authentic: Authentic, moment: Moment) -> Change:
    pack = authentic.statement.body
    assert isinstance(pack, Pack)
    if pack.issuer:
        filing, _ = by_issuer(view, authentic, pack.issuer, moment)  # 5, 6
        if filing.terms.kind is not IssuerKind.EMPLOYER:
            raise refuse(Refusal.NOT_EMPLOYER, "filing_number")
        check_active(filing)  # 8
    else:
        by_authority(view, authentic)
    if any(view.published(Kind.PACK, name) for name in pack.names):  # 11
        raise refuse(Refusal.VERSION_EXISTS, "version")
    names = list(pack.names)
    if pack.ways is not None:
        own, other = pack.ways
        if view.published(Kind.PACK, other):
            raise refuse(Refusal.SCHEME_COUNTS, "terms")
        names += [] if view.published(Kind.PACK, own) else [own]
    return Change(published=tuple((Kind.PACK, name) for name in names))


def apply_claim(view: View, authentic: Authentic, moment: Moment) -> Change:
    claim = authentic.statement.body
    assert isinstance(claim, Claim)
    filing, _ = by_issuer(view, authentic, claim.issuer, moment)  # 5, 6
    _check_payer(filing)
    check_active(filing)  # 8
    if not filing.terms.first_day <= moment.day <= filing.terms.last_day:
        raise refuse(Refusal.PAYER_WINDOW, "filing_number")
    _check_terms(view, claim, filing, moment)
    if not moment.day <= claim.last_day <= moment.day + MAX_RESERVED_DAYS:
        raise refuse(Refusal.CLAIM_DAY, "last_day")
    if any(taken(view, nullifier, moment.day) for nullifier in claim.nullifiers):  # 11
        raise refuse(Refusal.ALREADY_CLAIMED, "nullifiers")
    leaf = authentic.statement.leaf_hash
    state = ClaimState(
        status=ClaimStatus.RESERVED,
        payer=claim.issuer,
        pack=claim.pack,
        holder=claim.holder,
        last_day=claim.last_day,
        claim_index=moment.index,
        claim_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        event_day=moment.day,
    )
    return Change(claims={leaf: state}, nullifiers=dict.fromkeys(claim.nullifiers, leaf))


def apply_claim_act(view: View, authentic: Authentic, moment: Moment) -> Change:
    """Paid, released or clawed back, by the payer that reserved it."""
    act = authentic.statement.body
    assert isinstance(act, ClaimAct)
    filing, _ = by_issuer(view, authentic, act.issuer, moment)  # 5, 6
    _check_payer(filing)
    if act.kind is Kind.PAY:
        check_active(filing)  # 8
    else:
        check_not_cancelled(filing)
    if act.day > moment.day:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "day")
    claim = view.claim(act.claim)
    if claim is None or claim.payer != act.issuer:
        raise refuse(Refusal.CLAIM_UNKNOWN, "claim")
    changed = replace(
        claim,
        status=settled(claim, act.kind, act.reason, moment.day),  # 11
        event_index=moment.index,
        event_leaf=authentic.statement.leaf_hash,
        event_day=act.day,
    )
    return Change(claims={act.claim: changed})


def settled(claim: ClaimState, kind: Kind, reason: Reason | None, day: int) -> ClaimStatus:
    """The status after an act on a day of the log. Raises Refused."""
    if kind is Kind.CLAW_BACK:
        if claim.status is not ClaimStatus.PAID:
            raise refuse(Refusal.CLAIM_NOT_PAID, "claim")
        return ClaimStatus.FORFEITED if reason is Reason.FRAUD else ClaimStatus.CLAWED_BACK
    if claim.status is not ClaimStatus.RESERVED:
        raise refuse(Refusal.CLAIM_NOT_RESERVED, "claim")
    if claim.expired(day):
        raise refuse(Refusal.CLAIM_EXPIRED, "claim")
    return ClaimStatus.PAID if kind is Kind.PAY else ClaimStatus.RELEASED


def taken(view: View, nullifier: bytes, day: int) -> bool:
    """Whether a claim holds this nullifier on that day of the log."""
    leaf = view.nullifier(nullifier)
    if leaf is None:
        return False
    claim = view.claim(leaf)
    assert claim is not None, "a nullifier names a claim of the log"
    return claim.takes(day)


def _check_payer(filing: FilingState) -> None:
    if not filing.terms.is_payer:
        raise refuse(Refusal.NOT_PAYER, "filing_number")


def _check_terms(view: View, claim: Claim, filing: FilingState, moment: Moment) -> None:
    """The pack is published, with terms, and this claim is one under them."""
    pack = view.pack(claim.pack)
    if pack is None or pack.terms is None:
        raise refuse(Refusal.PACK_UNKNOWN, "pack")
    if moment.day < pack.first_day or (pack.last_day and moment.day > pack.last_day + MAX_DECIDING_DAYS):
        raise refuse(Refusal.PACK_WINDOW, "pack")
    if pack.terms.scheme not in filing.terms.schemes:
        raise refuse(Refusal.PAYER_SCHEME, "pack")
    if len(claim.nullifiers) != pack.terms.width:
        raise refuse(Refusal.CLAIM_WIDTH, "nullifiers")
    if date_of(moment.day).year - claim.year not in (0, 1):
        raise refuse(Refusal.CLAIM_YEAR, "year")

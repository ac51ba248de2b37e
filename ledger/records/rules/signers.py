"""Who signed: steps 5 and 6 of every rule, and the caps of step 12."""

from __future__ import annotations

from ledger.records.kinds import FilingStatus, KeyStatus
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import AuthorityState, FilingState, KeyUse
from ledger.records.view import Authentic, Moment, People, View

_SOME_STANDING = (FilingStatus.ACTIVE, FilingStatus.SUSPENDED)


def by_authority(view: View, authentic: Authentic) -> AuthorityState:
    """The authority, when it is who signed this. Raises Refused."""
    authority = view.authority
    if authority is None:
        raise refuse(Refusal.GENESIS_PLACE, "kind")
    check_people(authentic, authority)  # 5
    if authentic.statement.envelope.issuer != authority.origin:
        raise refuse(Refusal.ORIGIN, "issuer")
    return authority


def check_people(authentic: Authentic, people: People) -> None:
    """Raises Refused unless the signatures were checked under exactly these people's keys."""
    if (authentic.publics, authentic.threshold) != (people.keys, people.threshold):
        raise refuse(Refusal.KEY_UNKNOWN, "kid")


def by_issuer(view: View, authentic: Authentic, number: str, moment: Moment) -> tuple[FilingState, bytes]:
    """The filing and its live record key, when that is who signed this. Raises Refused."""
    filing = view.filing(number)
    if filing is None:
        raise refuse(Refusal.FILING_UNKNOWN, "filing_number")
    public = record_key_of(filing, authentic.statement.kid, moment)  # 5
    if authentic.publics != (public,):  # 6: the signature was checked under another key
        raise refuse(Refusal.KEY_UNKNOWN, "kid")
    return filing, public


def check_active(filing: FilingState) -> None:
    """Step 8 for what adds to or restores a certificate. Raises Refused."""
    if filing.status is not FilingStatus.ACTIVE:
        raise refuse(Refusal.FILING_NOT_ACTIVE, "filing_number")


def check_not_cancelled(filing: FilingState) -> None:
    """Step 8 for what only takes away: a suspended body may still suspend and revoke. Raises Refused."""
    if filing.status not in _SOME_STANDING:
        raise refuse(Refusal.FILING_NOT_ACTIVE, "filing_number")


def record_key_of(filing: FilingState, kid: bytes, moment: Moment) -> bytes:
    """Step 5: the record key named `kid`, live at this moment. Raises Refused."""
    for key, use in zip(filing.terms.record_keys, filing.record_keys, strict=True):
        if key.kid == kid:
            if use.status is not KeyStatus.LIVE or not key.covers(moment.day):
                raise refuse(Refusal.KEY_NOT_LIVE, "kid")
            return key.public
    raise refuse(Refusal.KEY_UNKNOWN, "kid")


def count_use(filing: FilingState, public: bytes) -> FilingState:
    """Step 12: one more certificate or correction signed by this key. Raises Refused at its cap."""
    keys = list(filing.record_keys)
    for at, use in enumerate(keys):
        if use.public == public:
            if use.used >= filing.terms.cap:
                raise refuse(Refusal.CAP_REACHED, "kid")
            keys[at] = KeyUse(use.public, use.status, use.used + 1, use.void_from)
    return filing.with_record_keys(tuple(keys))

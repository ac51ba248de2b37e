"""What only the authority states: genesis and rotations, filings and their changes, permits, published digests."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.records.authority import Filing, Genesis, Published
from ledger.records.kinds import FilingStatus, KeyStatus, Kind
from ledger.records.permit import LatePermit
from ledger.records.refusals import Refusal, refuse
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.rules.signers import by_authority, check_people
from ledger.records.state import AuthorityState, FilingState, KeyUse
from ledger.records.view import Authentic, Change, Moment, View


def apply_genesis(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Genesis)
    if view.authority is not None or moment.index != 0:
        raise refuse(Refusal.GENESIS_PLACE, "kind")
    check_people(authentic, body)  # 6: a genesis is signed by the very people it names
    leaf = authentic.statement.leaf_hash
    return Change(authority=AuthorityState(body.origin, body.keys, body.threshold, event_leaf=leaf))


def apply_authority_change(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, AuthorityChange)
    authority = by_authority(view, authentic)  # every key that joins has signed too: `verify_threshold`
    if (body.keys, body.threshold) == (authority.keys, authority.threshold):  # 11
        raise refuse(Refusal.NOTHING_CHANGES, "keys")
    changed = replace(authority, keys=body.keys, threshold=body.threshold)
    return Change(authority=_after(changed, authentic, moment))


def apply_log_key(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, LogKey)
    authority = by_authority(view, authentic)
    if body.successor:
        if body.successor == authority.origin:  # 11
            raise refuse(Refusal.NOTHING_CHANGES, "successor")
        return Change(authority=_after(replace(authority, successor=body.successor), authentic, moment))
    keys = (body.ed25519, body.ml_dsa_44)
    if keys == authority.log_keys:  # 11
        raise refuse(Refusal.NOTHING_CHANGES, "keys")
    return Change(authority=_after(replace(authority, log_keys=keys), authentic, moment))


def _after(authority: AuthorityState, authentic: Authentic, moment: Moment) -> AuthorityState:
    leaf, count = authentic.statement.leaf_hash, authority.event_count + 1
    return replace(authority, event_index=moment.index, event_leaf=leaf, event_count=count)


def apply_filing(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Filing)
    by_authority(view, authentic)
    if view.filing(body.number) is not None:  # 11
        raise refuse(Refusal.FILING_EXISTS, "number")
    leaf = authentic.statement.leaf_hash
    state = FilingState(
        status=FilingStatus.ACTIVE,
        terms=body,
        terms_index=moment.index,
        terms_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        event_count=1,
        status_day=body.first_day,
        status_leaf=leaf,
        record_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 0) for key in body.record_keys),
        request_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 0) for key in body.request_keys),
    )
    return Change(filings={body.number: state}, published=((Kind.FILING, body.number),))


def apply_filing_change(view: View, authentic: Authentic, moment: Moment) -> Change:
    """New terms. Keys that were filed stay listed, so that their uses and whether they were compromised are kept."""
    body = authentic.statement.body
    assert isinstance(body, Filing)
    by_authority(view, authentic)
    filing = view.filing(body.number)
    if filing is None:
        raise refuse(Refusal.FILING_UNKNOWN, "number")
    if filing.status is FilingStatus.CANCELLED:  # 11
        raise refuse(Refusal.FILING_NOT_ACTIVE, "number")
    record, request = {use.public: use for use in filing.record_keys}, {use.public: use for use in filing.request_keys}
    if not record.keys() <= {key.public for key in body.record_keys}:
        raise refuse(Refusal.KEYS_DROPPED, "record_keys")
    if not request.keys() <= {key.public for key in body.request_keys}:
        raise refuse(Refusal.KEYS_DROPPED, "request_keys")
    leaf = authentic.statement.leaf_hash
    changed = replace(
        filing,
        terms=body,
        terms_index=moment.index,
        terms_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        event_count=filing.event_count + 1,
        record_keys=tuple(record.get(key.public, KeyUse(key.public, KeyStatus.LIVE, 0)) for key in body.record_keys),
        request_keys=tuple(request.get(key.public, KeyUse(key.public, KeyStatus.LIVE, 0)) for key in body.request_keys),
    )
    return Change(filings={body.number: changed})


def apply_late_permit(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, LatePermit)
    by_authority(view, authentic)
    if view.filing(body.number) is None:
        raise refuse(Refusal.FILING_UNKNOWN, "number")
    return Change(published=((Kind.LATE_PERMIT, authentic.statement.leaf_hash.hex()),))


def apply_published(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Published)
    by_authority(view, authentic)
    if view.published(body.kind, body.version):  # 11
        raise refuse(Refusal.VERSION_EXISTS, "version")
    return Change(published=((body.kind, body.version),))

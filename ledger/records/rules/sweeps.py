"""What concerns every certificate of a filing or key at once: filing-status and key-status.

They fold eagerly: each certificate concerned, and its track, gets its new value in the statement's own batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ledger.records.appointment import CertificateBody
from ledger.records.kinds import CERTIFICATE_KINDS, CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.life import Correct
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.life import marked, recommitted
from ledger.records.rules.signers import by_authority, by_issuer, check_not_cancelled
from ledger.records.state import CertificateState, FilingState, KeyUse
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.records.track import settle
from ledger.records.transitions import Act, swept
from ledger.records.view import Authentic, Change, Moment, Signed, View
from ledger.tlog.keys import kid

END: Final = 2**63 - 1
_FILING_ACTS: Final = {
    FilingStatus.SUSPENDED: Act.FILING_SUSPENDED,
    FilingStatus.ACTIVE: Act.FILING_RESUMED,
    FilingStatus.CANCELLED: Act.FILING_CANCELLED,
}


_DECIDED: Final = {CertificateStatus.SUSPENDED: Act.SUSPEND, CertificateStatus.REVOKED: Act.REVOKE}


def concerned_by_filing(filing: FilingState, standing: FilingStanding, rows: Sequence[Signed]) -> list[bytes]:
    """The certificates whose issue date is the effective day or later; of a resumption, that of the suspension."""
    since = filing.status_day if standing.status is FilingStatus.ACTIVE else standing.effective_day
    return [row.cert_key for row in rows if row.kind in CERTIFICATE_KINDS and row.day >= since]


def concerned_by_key(standing: KeyStanding, rows: Sequence[Signed]) -> list[bytes]:
    """The certificates that a compromised key issued or corrected among these rows, each once."""
    if standing.status is not KeyStatus.COMPROMISED:
        return []
    name = kid(standing.public)
    return list(dict.fromkeys(row.cert_key for row in rows if row.kid == name and row.kind is not Kind.CLAIM))


def apply_filing_status(view: View, authentic: Authentic, moment: Moment) -> Change:
    standing = authentic.statement.body
    assert isinstance(standing, FilingStanding)
    by_authority(view, authentic)  # 5, 6
    filing = view.filing(standing.number)
    if filing is None:
        raise refuse(Refusal.FILING_UNKNOWN, "number")
    if standing.effective_day > moment.day:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "effective_day")
    if filing.status in (standing.status, FilingStatus.CANCELLED):  # 11
        raise refuse(Refusal.NOTHING_CHANGES, "status")
    act, changed = _FILING_ACTS[standing.status], {}
    for cert_key in concerned_by_filing(filing, standing, view.signed(standing.number, 0, END)):
        found = view.member(cert_key)
        assert found is not None, "what a filing signed is in the state"
        _, state = found
        status = swept(act, state.status)
        if act is Act.FILING_RESUMED and state.event_leaf != filing.status_leaf:
            status = None  # suspended for a reason of its own
        if status is not None:
            changed[cert_key] = marked(state, authentic, moment, status, standing.effective_day)
    leaf = authentic.statement.leaf_hash
    filing = replace(
        filing,
        status=standing.status,
        status_day=standing.effective_day,
        status_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        event_count=filing.event_count + 1,
    )
    return Change(filings={standing.number: filing}, certificates=settle(view, changed, {}, moment))


def apply_key_status(view: View, authentic: Authentic, moment: Moment) -> Change:
    standing = authentic.statement.body
    assert isinstance(standing, KeyStanding)
    if authentic.statement.envelope.single:
        filing, _ = by_issuer(view, authentic, standing.number, moment)  # 5, 6
        check_not_cancelled(filing)  # 8
    else:
        by_authority(view, authentic)
        found = view.filing(standing.number)
        if found is None:
            raise refuse(Refusal.FILING_UNKNOWN, "number")
        filing = found
    void_from = moment.index if standing.void_from is None else standing.void_from
    if void_from > moment.index:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "void_from")
    filing = _with_key(filing, standing, void_from if standing.status is KeyStatus.COMPROMISED else -1)
    leaf = authentic.statement.leaf_hash
    filing = replace(filing, event_index=moment.index, event_leaf=leaf, event_count=filing.event_count + 1)
    changed = _voided(view, authentic, moment, filing, standing, void_from)
    return Change(filings={standing.number: filing}, certificates=settle(view, changed, {}, moment))


def _with_key(filing: FilingState, standing: KeyStanding, void_from: int) -> FilingState:
    """The filing with the key's new status. A key gets worse, never better. Raises Refused.

    A request key signs nothing that could be void, so its state has no first void index.
    """

    def changed(uses: tuple[KeyUse, ...], since: int) -> tuple[KeyUse, ...]:
        return tuple(_worse(use, standing.status, since) if use.public == standing.public else use for use in uses)

    if not any(use.public == standing.public for use in (*filing.record_keys, *filing.request_keys)):
        raise refuse(Refusal.KEY_UNKNOWN, "public")
    return replace(
        filing, record_keys=changed(filing.record_keys, void_from), request_keys=changed(filing.request_keys, -1)
    )


def _worse(use: KeyUse, status: KeyStatus, void_from: int) -> KeyUse:
    if status is KeyStatus.RETIRED:
        if use.status is not KeyStatus.LIVE:  # 11
            raise refuse(Refusal.NOTHING_CHANGES, "status")
    elif use.status is KeyStatus.COMPROMISED and void_from >= use.void_from:
        raise refuse(Refusal.NOTHING_CHANGES, "void_from")
    return KeyUse(use.public, status, use.used, void_from)


def _voided(
    view: View, authentic: Authentic, moment: Moment, filing: FilingState, standing: KeyStanding, void_from: int
) -> dict[bytes, CertificateState]:
    """What a compromise does: certificates void, corrections undone, certificates back whose reissue was void."""
    changed: dict[bytes, CertificateState] = {}
    gone = []
    for cert_key in concerned_by_key(standing, view.signed(standing.number, void_from, END)):
        found = view.member(cert_key)
        assert found is not None, "what a filing signed is in the state"
        body, state = found
        if state.record_key == standing.public and state.issue_index >= void_from:
            status = swept(Act.KEY_VOIDED, state.status)
            if status is not None:
                changed[cert_key] = marked(state, authentic, moment, status, standing.day)
                gone.append(cert_key)
            continue
        undone = _without_void_corrections(view, body, state, filing)
        if undone != state:
            changed[cert_key] = recommitted(undone, authentic, moment, standing.day)
    for cert_key in gone:
        changed |= _brought_back(view, authentic, moment, standing, cert_key, changed)
    return changed


def _brought_back(
    view: View,
    authentic: Authentic,
    moment: Moment,
    standing: KeyStanding,
    cert_key: bytes,
    changed: dict[bytes, CertificateState],
) -> dict[bytes, CertificateState]:
    """What the void certificate had replaced; nothing when a reissue that holds has replaced it in turn.

    Of a chain of void reissues the last that is not void comes back. What was decided about the newest of them counts
    for it: a revocation never un-happens with the key that signed the reissue.
    """
    last = view.member(cert_key)
    assert last is not None and changed[cert_key].status is CertificateStatus.VOID
    body, before = last
    if before.successor:
        return {}
    while body.replaces:
        successor, cert_key = cert_key, body.replaces
        found = view.member(cert_key)
        assert found is not None, "a reissue replaces what is in the state"
        body, state = found[0], changed.get(cert_key, found[1])
        back = swept(Act.SUCCESSOR_VOIDED, state.status)
        if back is not None and state.successor == successor:
            decided = _DECIDED.get(before.status)
            back = back if decided is None else swept(decided, back)
            assert back is not None, "what is in force can be suspended and revoked"
            state = replace(state, event_count=found[1].event_count)  # an undone correction is of this same event
            return {cert_key: replace(marked(state, authentic, moment, back, standing.day), successor=b"")}
        if state.status is not CertificateStatus.VOID:
            break
    return {}


def _without_void_corrections(
    view: View, body: CertificateBody, state: CertificateState, filing: FilingState
) -> CertificateState:
    """The commitments and the track that those statements give which no compromised key signed."""
    keys = {kid(use.public): use for use in filing.record_keys}
    leaf, track_id = state.issue_leaf, body.track_id
    for index, statement in view.corrections(body.cert_key):
        correct = statement.body
        assert isinstance(correct, Correct)
        use = keys.get(statement.kid) if correct.issuer else None
        if use is None or not use.voids(index):
            leaf, track_id = statement.leaf_hash, correct.track_id or track_id
    return replace(state, commitment_leaf=leaf, track_id=track_id)

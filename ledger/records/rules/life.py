"""What changes a certificate that is there: suspend, restore, revoke, correct, end-appointment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from ledger.errors import Refused
from ledger.records.appointment import Appoint
from ledger.records.kinds import CERTIFICATE_KINDS, CertificateStatus, Kind
from ledger.records.life import Correct, EndAppointment, Range, Ruling
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.signers import by_authority, by_issuer, check_active, check_not_cancelled, count_use
from ledger.records.state import CertificateState
from ledger.records.track import check_joins, settle
from ledger.records.transitions import Act, after, swept
from ledger.records.view import Authentic, Change, Member, Moment, View

ACTS: Final = {Kind.SUSPEND: Act.SUSPEND, Kind.RESTORE: Act.RESTORE, Kind.REVOKE: Act.REVOKE}


def apply_ruling(view: View, authentic: Authentic, moment: Moment) -> Change:
    """One, a list, or a range. Of a list every certificate must allow it; a range passes by those that do not."""
    ruling = authentic.statement.body
    assert isinstance(ruling, Ruling)
    _check_signer(view, authentic, ruling, moment)  # 5, 6, 8
    if ruling.effective_day > moment.day:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "effective_day")
    act = ACTS[ruling.kind]
    changed: dict[bytes, CertificateState] = {}
    if isinstance(ruling.whom, Range):
        for cert_key in concerned_by_range(view, ruling.whom):
            _, state = _known(view, cert_key)
            status = swept(act, state.status)  # 11
            if status is None or not _may_restore(view, ruling, state):
                continue
            if state.status is not CertificateStatus.REVOKED or _has_place(view, cert_key, changed, moment):
                changed[cert_key] = marked(state, authentic, moment, status, ruling.effective_day)
        if not changed:
            raise refuse(Refusal.NOTHING_CHANGES, "range")
    else:
        for cert_key in ruling.whom.cert_keys:
            _, state = _known(view, cert_key)
            if ruling.issuer not in ("", state.filing_number):
                raise refuse(Refusal.NOT_ISSUER, "cert_key")
            status = after(act, state.status, "cert_key")  # 11
            if not _may_restore(view, ruling, state):
                raise refuse(Refusal.AUTHORITY_NEEDED, "cert_key")
            if state.status is CertificateStatus.REVOKED:
                _check_place(view, cert_key, changed, moment)
            changed[cert_key] = marked(state, authentic, moment, status, ruling.effective_day)
    return Change(certificates=settle(view, changed, {}, moment))


def concerned_by_range(view: View, whom: Range) -> list[bytes]:
    """The certificates of a filing whose statements stand in the range, in their order."""
    rows = view.signed(whom.number, whom.first, whom.last)
    return [row.cert_key for row in rows if row.kind in CERTIFICATE_KINDS]


def apply_correct(view: View, authentic: Authentic, moment: Moment) -> Change:
    correct = authentic.statement.body
    assert isinstance(correct, Correct)
    if correct.effective_day > moment.day:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "effective_day")
    filings = {}
    if correct.issuer:
        filing, public = by_issuer(view, authentic, correct.issuer, moment)  # 5, 6
        check_active(filing)  # 8
        filings = {correct.issuer: count_use(filing, public)}  # 12
    else:
        by_authority(view, authentic)  # 5, 6
    body, state = _known(view, correct.cert_key)
    if correct.issuer not in ("", state.filing_number):
        raise refuse(Refusal.NOT_ISSUER, "cert_key")
    status = after(Act.CORRECT, state.status, "cert_key")  # 11
    if correct.track_id not in (b"", state.track_id):  # 10
        check_joins(body, view.track(correct.track_id), moment)
    assert status is state.status, "a correction leaves the status alone"
    corrected = replace(
        recommitted(state, authentic, moment, correct.effective_day),
        commitment_leaf=authentic.statement.leaf_hash,
        track_id=correct.track_id or state.track_id,
    )
    return Change(filings=filings, certificates=settle(view, {correct.cert_key: corrected}, {}, moment))


def apply_end(view: View, authentic: Authentic, moment: Moment) -> Change:
    end = authentic.statement.body
    assert isinstance(end, EndAppointment)
    filing, _ = by_issuer(view, authentic, end.issuer, moment)  # 5, 6
    check_not_cancelled(filing)  # 8
    body, state = _known(view, end.cert_key)
    if not isinstance(body, Appoint):
        raise refuse(Refusal.NO_APPOINTMENT, "cert_key")
    if state.filing_number != end.issuer:
        raise refuse(Refusal.NOT_ISSUER, "cert_key")
    if end.effective_day > moment.day:
        raise refuse(Refusal.EFFECTIVE_IN_FUTURE, "effective_day")
    status = after(Act.END, state.status, "cert_key")  # 11
    ended = marked(state, authentic, moment, status, end.effective_day)
    return Change(certificates=settle(view, {end.cert_key: ended}, {}, moment))


def marked(
    state: CertificateState, authentic: Authentic, moment: Moment, status: CertificateStatus, day: int
) -> CertificateState:
    """The state with this statement as its own last event."""
    return replace(
        state,
        status=status,
        event_index=moment.index,
        event_leaf=authentic.statement.leaf_hash,
        effective_day=day,
        event_count=state.event_count + 1,
    )


def recommitted(state: CertificateState, authentic: Authentic, moment: Moment, day: int) -> CertificateState:
    """The state after new commitments: its last event when it is in force.

    One that is not in force keeps the event that made it so: by it everybody sees why, and the fold who may restore it.
    """
    if state.status is CertificateStatus.IN_FORCE:
        return marked(state, authentic, moment, state.status, day)
    return replace(state, event_count=state.event_count + 1)


def _check_signer(view: View, authentic: Authentic, ruling: Ruling, moment: Moment) -> None:
    if not ruling.issuer:
        by_authority(view, authentic)
        return
    filing, _ = by_issuer(view, authentic, ruling.issuer, moment)
    if ruling.kind is Kind.RESTORE:
        check_active(filing)
    else:
        check_not_cancelled(filing)


def _may_restore(view: View, ruling: Ruling, state: CertificateState) -> bool:
    """A revocation, and whatever the authority decided, only the authority takes back."""
    if ruling.kind is not Kind.RESTORE or not ruling.issuer:
        return True
    return state.status is CertificateStatus.SUSPENDED and view.entry(state.event_index).envelope.single


def _check_place(view: View, cert_key: bytes, changed: Mapping[bytes, CertificateState], moment: Moment) -> None:
    """What took the place of a revoked certificate meanwhile must not stand beside it. Raises Refused."""
    body, state = _known(view, cert_key)
    track = {key: (other, changed.get(key, now)) for key, (other, now) in view.track(state.track_id).items()}
    del track[cert_key]
    check_joins(body, track, moment)


def _has_place(view: View, cert_key: bytes, changed: Mapping[bytes, CertificateState], moment: Moment) -> bool:
    """The same for a range, which passes by what cannot stand again."""
    try:
        _check_place(view, cert_key, changed, moment)
    except Refused:
        return False
    return True


def _known(view: View, cert_key: bytes) -> Member:
    found = view.member(cert_key)
    if found is None:
        raise refuse(Refusal.CERT_UNKNOWN, "cert_key")
    return found

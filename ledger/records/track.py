"""A track: one person's certificates and posts in one occupation lineage, and the summary that all of them carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.kinds import CertificateStatus
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import Appointment, CertificateState, Highest, TrackSummary
from ledger.records.view import Member, Moment, View

MAX_TRACK: Final = 64
MAX_POSTS: Final = 16  # that are not over: each stands in the state of every member, whose size readers bound
_STANDING: Final = (CertificateStatus.IN_FORCE, CertificateStatus.SUSPENDED)


def check_joins(body: CertificateBody, members: Mapping[bytes, Member], moment: Moment) -> None:
    """Step 10: whether a certificate may stand beside these members of its track. Raises Refused."""
    if len(members) >= MAX_TRACK:
        raise refuse(Refusal.TRACK_FULL, "track_id")
    for other, state in members.values():
        if other.person_unlinked != body.person_unlinked:
            raise refuse(Refusal.TRACK_UNKNOWN, "track_id")
        if (other.grade, other.trade) == (body.grade, body.trade) and _stands(other, state, moment):
            raise refuse(Refusal.DUPLICATE_GRADE, "grade")
    if isinstance(body, Appoint):
        posts = (one for one in members.values() if isinstance(one[0], Appoint) and _stands(*one, moment))
        if sum(1 for _ in posts) >= MAX_POSTS:
            raise refuse(Refusal.TRACK_FULL, "track_id")


def settle(
    view: View, changed: dict[bytes, CertificateState], issued: Mapping[bytes, CertificateBody], moment: Moment
) -> dict[bytes, CertificateState]:
    """Every certificate whose state differs after `changed`: those, and the members of their tracks.

    `issued` has the statements of cert keys that are new. Each state that existed before gets its old value as
    `previous`. The summary of every track concerned is worked out again.
    """
    tracks: dict[bytes, dict[bytes, Member]] = {}
    for cert_key, state in changed.items():
        before = view.member(cert_key)
        body = before[0] if before else issued[cert_key]
        for track_id in (state.track_id, before[1].track_id) if before else (state.track_id,):
            if track_id not in tracks:
                tracks[track_id] = dict(view.track(track_id))
        if before and before[1].track_id != state.track_id:
            del tracks[before[1].track_id][cert_key]
        tracks[state.track_id][cert_key] = (body, state)
    settled: dict[bytes, CertificateState] = {}
    for members in tracks.values():
        summary = summarise(members, moment)
        for cert_key, (_, state) in members.items():
            if cert_key in changed:
                before = view.member(cert_key)
                settled[cert_key] = state.settled(summary, before[1].value() if before else b"")
            elif state.summary != summary:
                settled[cert_key] = state.with_summary(summary)
    return settled


def summarise(members: Mapping[bytes, Member], moment: Moment) -> TrackSummary:
    """What a track comes to: the highest grade in force, and the posts that are held or to come.

    Among equal grades the earlier certificate counts. Certificates without a linked person carry no summary, because
    "current grade" cannot be claimed for them. Posts never count as a grade. All that are not over are named, since
    which of them is held changes on days on which nothing is logged: `TrackSummary.post_on`. Undone corrections may
    bring more than MAX_POSTS together; then the lowest are left out.
    """
    grades, posts = [], []
    for cert_key, (body, state) in members.items():
        if state.status is not CertificateStatus.IN_FORCE or body.person_unlinked:
            continue
        place = (state.grade, -state.issue_index, cert_key)
        if not isinstance(body, Appoint):
            grades.append(place)
        elif body.last_day == 0 or moment.day <= body.last_day:
            posts.append(place)
    highest = None
    if grades:
        body, state = members[max(grades)[2]]
        highest = Highest(state.grade, body.trade, max(grades)[2], state.event_index)
    named = []
    for _, _, cert_key in sorted(posts, reverse=True)[:MAX_POSTS]:
        body, state = members[cert_key]
        assert isinstance(body, Appoint)
        named.append(Appointment(state.grade, cert_key, state.event_index, body.first_day, body.last_day))
    return TrackSummary(highest, tuple(named))


def summary_of_first(body: CertificateBody, moment: Moment) -> TrackSummary:
    """`summarise` of a track whose only member is issued at this moment: nearly every certificate is the first."""
    if body.person_unlinked:
        return TrackSummary()
    if not isinstance(body, Appoint):
        return TrackSummary(Highest(body.grade, body.trade, body.cert_key, moment.index))
    if body.last_day and body.last_day < moment.day:
        return TrackSummary()
    return TrackSummary(None, (Appointment(body.grade, body.cert_key, moment.index, body.first_day, body.last_day),))


def _stands(body: CertificateBody, state: CertificateState, moment: Moment) -> bool:
    over = isinstance(body, Appoint) and body.last_day != 0 and body.last_day < moment.day
    return state.status in _STANDING and not over

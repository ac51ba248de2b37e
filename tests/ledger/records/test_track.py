from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.state import Appointment, CertificateState, Highest, TrackSummary
from ledger.records.status import Member, Moment
from ledger.records.track import MAX_POSTS, MAX_TRACK, check_joins, settle, summarise, summary_of_first
from tests.support.builders import DAY, TIME, TRADE, make_body, octets
from tests.support.memory_log import MemoryLog, begin

BODY = make_body(grants=(7, 8))
NOW = Moment(99, TIME)
DAY_MS = 86_400_000


def member(
    label: str, *, status: CertificateStatus = CertificateStatus.IN_FORCE, index: int = 5, **changes: object
) -> tuple[bytes, Member]:
    """A certificate of person p with some state; the log is not asked."""
    made = BODY.certificate(label, person="p", **changes)  # type: ignore[arg-type]
    log = begin(make_body(grants=(7, 8)))
    log.add(made.statement)
    return made.issue.cert_key, (
        made.issue,
        renewed(log.state(made), status=status, issue_index=index, event_index=index),
    )


def post(
    label: str, *, grade: int = 7, status: CertificateStatus = CertificateStatus.IN_FORCE, last_day: int = 0
) -> tuple[bytes, Member]:
    _cert_key, (body, state) = member("base " + label, grade=6)
    assert isinstance(body, Issue)
    made = BODY.post(label, grade=grade, last_day=last_day, track_id=body.track_id).appoint
    return made.cert_key, (made, renewed(state, status=status, grade=grade))


def begins(made: tuple[bytes, Member], first_day: int, last_day: int, *, index: int) -> tuple[bytes, Member]:
    """The same post for other days, issued at that index."""
    cert_key, (body, state) = made
    assert isinstance(body, Appoint)
    return cert_key, (replace(body, first_day=first_day, last_day=last_day), renewed(state, issue_index=index))


class TestSummary:
    def test_nothing_in_force_comes_to_nothing(self) -> None:
        assert summarise({}, NOW) == TrackSummary()
        others = [status for status in CertificateStatus if status is not CertificateStatus.IN_FORCE]
        assert (
            summarise(dict(member(str(at), status=status, grade=2 + at) for at, status in enumerate(others)), NOW)
            == TrackSummary()
        )

    def test_the_highest_grade_speaks_and_among_equals_the_earlier(self) -> None:
        low, high = member("l", grade=3, index=2), member("h", grade=5, index=9, trade=TRADE)
        later = member("i", grade=5, index=10)
        best = Highest(5, TRADE, high[0], 9)
        assert summarise(dict((low, later, high)), NOW).highest == best
        assert summarise(dict((high, low)), NOW).highest == best

    def test_posts_are_beside_it_and_never_a_grade(self) -> None:
        base, held = member("b", grade=3), post("t")
        assert summarise(dict([held]), NOW) == TrackSummary(None, (Appointment(7, held[0], 5, DAY, 0),))
        both = summarise(dict((base, held)), NOW)
        assert both.highest is not None and both.highest.grade == 3 and len(both.posts) == 1

    @pytest.mark.parametrize(("last_day", "held"), [(0, True), (DAY - 1, False), (DAY, True), (DAY + 1, True)])
    def test_a_post_is_held_to_its_last_day(self, last_day: int, *, held: bool) -> None:
        cert_key, (body, state) = post("t")
        assert isinstance(body, Appoint)
        over = replace(body, first_day=DAY - 9, last_day=last_day)
        assert bool(summarise({cert_key: (over, state)}, NOW).posts) == held

    def test_all_posts_that_are_not_over_are_named_and_the_day_chooses(self) -> None:
        """What is logged before it begins hides nothing, and what is over gives way with nothing logged that day."""
        lower, sooner, later = post("t"), post("c", grade=8), post("d", grade=8)
        members = dict((lower, begins(sooner, DAY + 5, DAY + 9, index=4), begins(later, DAY + 3, DAY + 7, index=3)))
        summary = summarise(members, NOW)
        assert [named.cert_key for named in summary.posts] == [later[0], sooner[0], lower[0]]
        held = [summary.post_on(DAY + at) for at in (-1, 0, 2, 3, 7, 8, 9, 10)]
        assert [one and one.cert_key for one in held] == [
            None, lower[0], lower[0], later[0], later[0], sooner[0], sooner[0], lower[0],
        ]  # fmt: skip
        assert summarise(members, Moment(99, TIME + 8 * DAY_MS)).posts == summary.posts[1:]

    def test_no_more_are_named_than_readers_take(self) -> None:
        chief, lower = post("c", grade=8), post("t")
        many = {octets(str(at)): lower[1] for at in range(MAX_POSTS)}
        named = summarise({**many, chief[0]: chief[1]}, NOW).posts
        assert len(named) == MAX_POSTS and named[0].cert_key == chief[0]

    def test_nobody_unlinked_has_a_current_grade(self) -> None:
        assert summarise(dict([member("u", person_unlinked=True)]), NOW) == TrackSummary()


class TestJoining:
    def code(self, body: CertificateBody, *members: tuple[bytes, Member]) -> str:
        with pytest.raises(Refused) as caught:
            check_joins(body, dict(members), NOW)
        return caught.value.code

    def test_one_standing_certificate_of_a_grade_and_trade(self) -> None:
        made = BODY.certificate("new", person="p").issue
        for status in CertificateStatus:
            other = member("o", status=status)
            if status in (CertificateStatus.IN_FORCE, CertificateStatus.SUSPENDED):
                assert self.code(made, other) == "DUPLICATE_GRADE"
            else:
                check_joins(made, dict([other]), NOW)
        check_joins(made, dict((member("o", grade=5), member("t", trade=TRADE))), NOW)

    def test_linked_and_unlinked_never_meet(self) -> None:
        linked, unlinked = member("l", grade=3), member("u", grade=3, person_unlinked=True)
        assert self.code(BODY.certificate("n", person_unlinked=True).issue, linked) == "TRACK_UNKNOWN"
        assert self.code(BODY.certificate("n").issue, unlinked) == "TRACK_UNKNOWN"

    def test_a_track_holds_64(self) -> None:
        _cert_key, one = member("o", grade=2)
        many = {octets(str(at)): one for at in range(MAX_TRACK)}
        made = BODY.certificate("new", grade=5).issue
        assert self.code(made, *many.items()) == "TRACK_FULL"
        check_joins(made, dict(list(many.items())[1:]), NOW)

    def test_and_16_posts_that_are_not_over(self) -> None:
        _cert_key, (body, state) = post("t", last_day=DAY)
        many = {octets(str(at)): (replace(body, trade=f"工种{at}"), state) for at in range(MAX_POSTS)}  # type: ignore[type-var]
        made = BODY.post("new", grade=8).appoint
        assert self.code(made, *many.items()) == "TRACK_FULL"
        check_joins(BODY.certificate("new", grade=5).issue, many, NOW)
        check_joins(made, dict(list(many.items())[1:]), NOW)
        check_joins(made, many, Moment(99, TIME + DAY_MS))


class TestSettling:
    def two(self) -> tuple[MemoryLog, bytes, bytes]:
        log = begin(BODY)
        lower, higher = BODY.certificate("l", grade=3, person="p"), BODY.certificate("h", grade=5, person="p")
        for one in (lower, higher):
            log.add(one.statement)
        return log, lower.issue.cert_key, higher.issue.cert_key

    def test_nothing_changed_is_nothing_settled(self) -> None:
        assert settle(self.two()[0].view, {}, {}, NOW) == {}

    def test_every_member_whose_summary_differs_gets_the_new_one_and_its_old_value(self) -> None:
        log, lower, higher = self.two()
        gone = renewed(log.certificates[higher], status=CertificateStatus.REVOKED, event_index=9)
        settled = settle(log.view, {higher: gone}, {}, NOW)
        summary = TrackSummary(Highest(3, "", lower, 2))
        assert settled[higher] == renewed(gone, summary=summary, previous=log.certificates[higher].value())
        assert settled[lower] == log.certificates[lower].with_summary(summary)

    def test_a_change_that_leaves_the_summary_alone_leaves_the_others_alone(self) -> None:
        log, lower, _ = self.two()
        gone = renewed(log.certificates[lower], status=CertificateStatus.SUSPENDED)
        settled = settle(log.view, {lower: gone}, {}, NOW)
        assert set(settled) == {lower} and settled[lower].summary == log.certificates[lower].summary

    def test_both_tracks_of_one_that_moved_are_settled(self) -> None:
        log, lower, higher = self.two()
        other = BODY.certificate("o", grade=2, person="q")
        log.add(other.statement)
        moved = renewed(log.certificates[higher], track_id=other.issue.track_id)
        settled = settle(log.view, {higher: moved}, {}, NOW)
        assert set(settled) == {lower, higher, other.issue.cert_key}
        assert settled[lower].summary.highest == Highest(3, "", lower, 2)
        best = Highest(5, "", higher, 3)
        assert settled[higher].summary.highest == settled[other.issue.cert_key].summary.highest == best

    def test_several_changes_of_one_track_are_settled_together(self) -> None:
        log, lower, higher = self.two()

        def gone(cert_key: bytes) -> CertificateState:
            return renewed(log.certificates[cert_key], status=CertificateStatus.VOID)

        settled = settle(log.view, {lower: gone(lower), higher: gone(higher)}, {}, NOW)
        assert [state.summary for state in settled.values()] == [TrackSummary(), TrackSummary()]
        assert [settled[one].previous for one in (lower, higher)] == [
            log.certificates[one].value() for one in (lower, higher)
        ]

    def test_a_new_certificate_has_no_value_before(self) -> None:
        log, _lower, higher = self.two()
        made = BODY.certificate("n", grade=6, person="p")
        fresh = renewed(log.certificates[higher], grade=6, issue_index=4, event_index=4)
        settled = settle(log.view, {made.issue.cert_key: fresh}, {made.issue.cert_key: made.issue}, NOW)
        assert len(settled) == 3 and settled[made.issue.cert_key].previous == b""
        assert {state.summary.highest for state in settled.values()} == {Highest(6, "", made.issue.cert_key, 4)}


@pytest.mark.parametrize("unlinked", [False, True])
def test_the_first_of_a_track_is_summed_up_like_any_other(*, unlinked: bool) -> None:
    made = BODY.certificate("first", grade=4, trade=TRADE, person_unlinked=unlinked)
    state = begin(make_body(grants=(7, 8))).add(made.statement).certificates[made.issue.cert_key]
    moment = Moment(state.issue_index, state.issue_time)
    assert state.summary == summary_of_first(made.issue, moment)
    assert state.summary == summarise({made.issue.cert_key: (made.issue, state)}, moment)


@pytest.mark.parametrize(("last_day", "later"), [(0, 0), (0, 400), (DAY, 0), (DAY, 1), (DAY + 1, 1)])
def test_so_is_a_post_without_a_certificate_beside_it(last_day: int, later: int) -> None:
    cert_key, (made, state) = post("alone", last_day=last_day)
    moment = Moment(state.issue_index, TIME + later * DAY_MS)
    summary = summary_of_first(made, moment)
    assert summary == summarise({cert_key: (made, state)}, moment)
    assert (not summary.posts) == (last_day == DAY and later == 1)

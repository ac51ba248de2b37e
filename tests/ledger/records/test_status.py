from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Unverified
from ledger.records import status
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis, Published
from ledger.records.kinds import Audience, CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.refusals import Refusal
from ledger.records.rotation import LogKey
from ledger.records.state import Highest, KeyUse, TrackSummary
from ledger.records.statements import parse_statement
from ledger.records.status import (
    MAX_LAG_DAYS,
    MAX_TRACK,
    Authentic,
    Moment,
    apply,
    authenticate_authority,
    authenticate_record,
)
from ledger.records.transitions import TABLE
from tests.support import slow_tree
from tests.support.builders import (
    DAY,
    NUMBER,
    OCCUPATION,
    TIME,
    TRADE,
    WINDOW,
    Certificate,
    key,
    make_authority,
    make_body,
    octets,
)
from tests.support.make_docs import refusals_of
from tests.support.make_vectors import VECTORS, vector_text
from tests.support.memory_log import MemoryLog, begin, refusal, snapshot

AUTHORITY = make_authority()
BODY = make_body()
DAY_MS = 86_400_000
MIDNIGHT = DAY * DAY_MS - 8 * 3_600_000  # ms: DAY begins in Asia/Shanghai
PUBLISHED = Published(Kind.CATALOGUE, "2022", octets("catalogue"), DAY)


def certificates(log: MemoryLog, *made: Certificate) -> list[Any]:
    return [log.certificate(one.issue.cert_key) for one in made]


class TestAuthority:
    def test_genesis_is_entry_0_and_only_that(self) -> None:
        log = MemoryLog()
        genesis = AUTHORITY.sign(AUTHORITY.genesis)
        authority = log.add(genesis).authority
        assert authority is not None and not authority.in_map
        assert (authority.keys, authority.threshold) == (AUTHORITY.genesis.keys, AUTHORITY.genesis.threshold)
        assert (authority.origin, authority.event_leaf) == (AUTHORITY.origin, genesis.leaf_hash)
        assert refusal(log, AUTHORITY.sign(AUTHORITY.genesis)) is Refusal.GENESIS_PLACE
        late = MemoryLog()
        late.size = 1
        assert refusal(late, AUTHORITY.sign(AUTHORITY.genesis)) is Refusal.GENESIS_PLACE

    def test_nothing_of_the_authority_comes_before_genesis(self) -> None:
        for body in (BODY.filing, PUBLISHED):
            authentic = authenticate_authority(AUTHORITY.sign(body), AUTHORITY.genesis)
            assert refusal(MemoryLog(), authentic) is Refusal.GENESIS_PLACE

    def test_genesis_is_signed_by_the_people_it_names(self) -> None:
        strangers = make_authority("strangers")
        signed = strangers.sign(AUTHORITY.genesis)
        with pytest.raises(Unverified):
            authenticate_authority(signed, AUTHORITY.genesis)
        assert refusal(MemoryLog(), authenticate_authority(signed, strangers.genesis)) is Refusal.KEY_UNKNOWN

    def test_genesis_needs_its_own_threshold(self) -> None:
        signed = AUTHORITY.sign(AUTHORITY.genesis, by=(0,))
        with pytest.raises(Unverified):
            authenticate_authority(signed, AUTHORITY.genesis)
        lax = replace(AUTHORITY.genesis, threshold=1)
        assert refusal(MemoryLog(), authenticate_authority(signed, lax)) is Refusal.KEY_UNKNOWN

    def test_a_filing_opens_with_its_keys_live_and_nothing_used(self) -> None:
        log = begin()
        state = log.filing(NUMBER)
        assert state is not None and state.terms == BODY.filing and state.status is FilingStatus.ACTIVE
        assert (state.terms_index, state.event_index, state.event_count) == (1, 1, 1)
        assert state.terms_leaf == state.event_leaf == AUTHORITY.sign(BODY.filing).leaf_hash
        assert state.record_keys == (KeyUse(BODY.record.public, KeyStatus.LIVE, 0),)
        assert state.request_keys == (KeyUse(BODY.request.public, KeyStatus.LIVE, 0),)

    def test_a_filing_number_is_filed_once(self) -> None:
        other = replace(BODY.filing, name="另一家公司")
        assert refusal(begin(), AUTHORITY.sign(other)) is Refusal.FILING_EXISTS

    @pytest.mark.parametrize("kind", [Kind.CATALOGUE, Kind.LADDER])
    def test_a_version_is_published_once(self, kind: Kind) -> None:
        log = begin()
        published = replace(PUBLISHED, kind=kind)
        assert log.add(AUTHORITY.sign(published)).published == ((kind, "2022"),)
        assert refusal(log, AUTHORITY.sign(replace(published, digest=octets("x")))) is Refusal.VERSION_EXISTS
        log.add(AUTHORITY.sign(replace(published, version="2023")))
        log.add(AUTHORITY.sign(replace(published, kind=Kind.LADDER if kind is Kind.CATALOGUE else Kind.CATALOGUE)))

    def test_a_statement_of_another_log_is_refused(self) -> None:
        for body in (BODY.filing, PUBLISHED):
            log = MemoryLog()
            log.add(AUTHORITY.sign(AUTHORITY.genesis))
            assert refusal(log, AUTHORITY.sign(body, origin="other.example/2026")) is Refusal.ORIGIN

    def test_a_foreign_authority_is_refused(self) -> None:
        strangers = make_authority("strangers")
        log = MemoryLog()
        log.add(AUTHORITY.sign(AUTHORITY.genesis))
        for body in (BODY.filing, PUBLISHED):
            signed = strangers.sign(body)
            with pytest.raises(Unverified):
                log.authenticate(signed)
            assert refusal(log, authenticate_authority(signed, strangers.genesis)) is Refusal.KEY_UNKNOWN

    def test_a_lower_threshold_elsewhere_does_not_help_here(self) -> None:
        log = MemoryLog()
        log.add(AUTHORITY.sign(AUTHORITY.genesis))
        single = AUTHORITY.sign(BODY.filing, by=(0,))
        with pytest.raises(Unverified):
            log.authenticate(single)
        lax = authenticate_authority(single, replace(AUTHORITY.genesis, threshold=1))
        assert refusal(log, lax) is Refusal.KEY_UNKNOWN
        one_person = authenticate_record(single, AUTHORITY.people[0].public)
        assert refusal(log, one_person) is Refusal.KEY_UNKNOWN

    def test_a_closed_log_takes_nothing_in(self) -> None:
        log = begin()
        log.add(AUTHORITY.sign(LogKey(DAY, successor="log.test.example/2027")))
        for statement in (BODY.certificate("a").statement, AUTHORITY.sign(PUBLISHED)):
            assert refusal(log, statement) is Refusal.LOG_CLOSED


class TestAuthentic:
    def test_it_cannot_be_made_by_hand(self) -> None:
        statement = BODY.certificate("a").statement
        for token in (None, object(), True, statement):
            with pytest.raises(AssertionError):
                Authentic(statement, (BODY.record.public,), 1, token)

    def test_a_bad_signature_makes_none(self) -> None:
        forged = BODY.certificate("a", signer=key("forger")).statement
        with pytest.raises(Unverified):
            authenticate_record(forged, BODY.record.public)

    def test_one_checked_under_another_key_is_refused(self) -> None:
        """The signature holds, but under a key that the filing does not list: kid decides what is asked for."""
        forger = key("forger")
        forged = BODY.certificate("a", signer=forger).statement
        assert refusal(begin(), authenticate_record(forged, forger.public)) is Refusal.KEY_UNKNOWN
        part = forged.envelope.signatures[0]
        renamed = renewed(part, kid=BODY.filing.record_keys[0].kid)
        posing = renewed(forged, envelope=renewed(forged.envelope, signatures=(renamed,)))
        assert refusal(begin(), authenticate_record(posing, forger.public)) is Refusal.KEY_UNKNOWN

    def test_the_authority_cannot_sign_a_certificate(self) -> None:
        person = AUTHORITY.people[0]
        alone = make_authority()
        statement = BODY.certificate("a", signer=person).statement
        authority = Genesis(alone.origin, (person.public,), 1, DAY)
        assert refusal(begin(), authenticate_authority(statement, authority)) is Refusal.KEY_UNKNOWN


class TestIssue:
    def test_a_certificate_starts_in_force_with_everything_said_of_it(self) -> None:
        log, made = begin(), BODY.certificate("a", grade=4)
        change = log.add(made.statement)
        state = log.certificate(made.issue.cert_key)
        assert state is not None
        assert (state.status, state.kind, state.grade) == (CertificateStatus.IN_FORCE, Kind.ISSUE, 4)
        assert (state.filing_number, state.record_key) == (NUMBER, BODY.record.public)
        assert state.filing_leaf == AUTHORITY.sign(BODY.filing).leaf_hash
        assert state.issue_leaf == state.event_leaf == state.commitment_leaf == made.statement.leaf_hash
        assert (state.issue_index, state.event_index, state.issue_time, state.event_count) == (2, 2, TIME, 1)
        assert (state.effective_day, state.previous, state.successor) == (DAY, b"", b"")
        assert state.track_id == made.issue.track_id
        assert state.summary == TrackSummary(Highest(4, "", made.issue.cert_key, 2))
        assert change.issued == (made.issue.cert_key, made.issue)
        assert log.filings[NUMBER].record_keys[0].used == 1

    def test_an_unknown_filing(self) -> None:
        stranger = make_body("other", number="S000151000999").certificate("a")
        authentic = authenticate_record(stranger.statement, key("record other").public)
        assert refusal(begin(), authentic) is Refusal.FILING_UNKNOWN

    def test_a_key_of_another_filing_or_use(self) -> None:
        other = make_body("other", number="S000151000999")
        for signer in (other.record, BODY.request, AUTHORITY.people[0]):
            made = BODY.certificate("a", signer=signer)
            authentic = authenticate_record(made.statement, signer.public)
            assert refusal(begin(BODY, other), authentic) is Refusal.KEY_UNKNOWN

    @pytest.mark.parametrize("status_", [KeyStatus.RETIRED, KeyStatus.COMPROMISED])
    def test_a_key_that_is_not_live(self, status_: KeyStatus) -> None:
        log = begin()
        use = renewed(log.filings[NUMBER].record_keys[0], status=status_)
        log.filings[NUMBER] = renewed(log.filings[NUMBER], record_keys=(use,))
        assert refusal(log, BODY.certificate("a").statement) is Refusal.KEY_NOT_LIVE

    @pytest.mark.parametrize("status_", [FilingStatus.SUSPENDED, FilingStatus.CANCELLED])
    def test_a_filing_that_is_not_active(self, status_: FilingStatus) -> None:
        log = begin()
        log.filings[NUMBER] = renewed(log.filings[NUMBER], status=status_)
        assert refusal(log, BODY.certificate("a").statement) is Refusal.FILING_NOT_ACTIVE

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"occupation": "6-18-01-02"}, Refusal.SCOPE_ROW),
            ({"audience": Audience.PUBLIC}, Refusal.SCOPE_ROW),
            ({"grade": 6}, Refusal.SCOPE_ROW),
            ({"trade": "其他工种"}, Refusal.SCOPE_ROW),
            ({"trade": ""}, Refusal.SCOPE_ROW),
            ({"assessment_day": DAY + 1}, Refusal.ASSESSED_AFTER_ISSUE),
            ({"assessment_day": DAY}, None),
            ({}, None),
        ],
    )
    def test_the_row_covers_occupation_trade_grade_and_audience(
        self, changes: dict[str, Any], code: Refusal | None
    ) -> None:
        row = FilingRow(OCCUPATION, TRADE, (2, 3, 4, 5), Audience.OWN_STAFF, WINDOW[0])
        body = make_body(rows=(row,))
        made = body.certificate("a", **{"trade": TRADE, **changes})
        log = begin(body)
        if code is None:
            log.add(made.statement)
        else:
            assert refusal(log, made.statement) is code

    @pytest.mark.parametrize(
        ("day", "code"),
        [
            (DAY - 31, Refusal.SCOPE_WINDOW),
            (DAY - 30, None),
            (DAY - 10, None),
            (DAY - 9, Refusal.SCOPE_WINDOW),
        ],
    )
    def test_the_filings_first_and_last_day_count(self, day: int, code: Refusal | None) -> None:
        row = replace(BODY.filing.rows[0], first_day=DAY - 100)
        body = make_body(first_day=DAY - 30, last_day=DAY - 10, rows=(row,))
        log, made = begin(body), body.certificate("a", day=day)
        if code is None:
            log.add(made.statement)
        else:
            assert refusal(log, made.statement) is code

    def test_a_row_counts_from_its_first_day(self) -> None:
        body = make_body(rows=(replace(BODY.filing.rows[0], first_day=DAY),))
        log = begin(body)
        assert refusal(log, body.certificate("a", day=DAY - 1).statement) is Refusal.SCOPE_ROW
        log.add(body.certificate("b", day=DAY).statement)

    @pytest.mark.parametrize(
        ("time", "code"),
        [
            (MIDNIGHT - 1, Refusal.ISSUED_IN_FUTURE),  # 23:59:59.999 of the day before, in Shanghai
            (MIDNIGHT, None),
            (MIDNIGHT + DAY_MS - 1, None),
            (MIDNIGHT + MAX_LAG_DAYS * DAY_MS, None),
            (MIDNIGHT + (MAX_LAG_DAYS + 1) * DAY_MS - 1, None),
            (MIDNIGHT + (MAX_LAG_DAYS + 1) * DAY_MS, Refusal.ISSUED_TOO_LATE),
        ],
    )
    def test_the_batch_day_is_that_of_shanghai(self, time: int, code: Refusal | None) -> None:
        log, made = begin(), BODY.certificate("a", day=DAY)
        if code is None:
            log.add(made.statement, time)
        else:
            assert refusal(log, made.statement, time) is code

    @pytest.mark.parametrize(
        ("time", "code"),
        [
            (MIDNIGHT - DAY_MS - 1, Refusal.KEY_NOT_LIVE),
            (MIDNIGHT - DAY_MS, None),
            (MIDNIGHT + 2 * DAY_MS - 1, None),
            (MIDNIGHT + 2 * DAY_MS, Refusal.KEY_NOT_LIVE),
        ],
    )
    def test_a_key_signs_in_its_window_of_log_time(self, time: int, code: Refusal | None) -> None:
        body = make_body(record_keys=(FiledKey(BODY.record.public, DAY - 1, DAY + 1),))
        body = replace(body, record=BODY.record)
        log, made = begin(body), body.certificate("a", day=DAY - 5)
        if code is None:
            log.add(made.statement, time)
        else:
            assert refusal(log, made.statement, time) is code

    def test_a_cert_key_is_used_once(self) -> None:
        log, made = begin(), BODY.certificate("a")
        log.add(made.statement)
        assert refusal(log, made.statement) is Refusal.CERT_KEY_TAKEN
        again = BODY.certificate("a", grade=5, track=octets("elsewhere", 16))
        assert refusal(log, again.statement) is Refusal.CERT_KEY_TAKEN

    def test_the_cap_counts_per_key_and_refuses_the_next(self) -> None:
        second = key("second")
        keys = (FiledKey(BODY.record.public, WINDOW[0]), FiledKey(second.public, WINDOW[0]))
        body = replace(make_body(record_keys=keys, cap=2), record=BODY.record)
        log = begin(body)
        log.add(body.certificate("a").statement)
        log.add(body.certificate("b").statement)
        assert refusal(log, body.certificate("c").statement) is Refusal.CAP_REACHED
        log.add(body.certificate("c", signer=second).statement)
        assert [use.used for use in log.filings[NUMBER].record_keys] == [2, 1]

    def test_every_check_comes_in_the_order_of_the_design(self) -> None:
        """One certificate that breaks every rule, mended rule by rule: the codes come in order."""
        row = FilingRow(OCCUPATION, TRADE, (4,), Audience.OWN_STAFF, DAY - 200)
        late_key = FiledKey(BODY.record.public, DAY + 1)
        body = replace(make_body(rows=(row,), cap=1, record_keys=(late_key,)), record=BODY.record)
        log = begin(body)
        key_ok = replace(body.filing, record_keys=(FiledKey(BODY.record.public, WINDOW[0]),))

        def state(terms: Filing, filing_status: FilingStatus, used: int = 1) -> None:
            log.filings[NUMBER] = renewed(
                log.filings[NUMBER],
                terms=terms,
                status=filing_status,
                record_keys=(KeyUse(BODY.record.public, KeyStatus.LIVE, used),),
            )

        found = []
        bad: dict[str, Any] = {"day": WINDOW[1] + 1, "grade": 5, "trade": "", "assessment_day": WINDOW[1] + 2}

        def attempt(**changes: Any) -> None:
            made = body.certificate("bad", **changes)
            found.append(refusal(log, authenticate_record(made.statement, BODY.record.public)))

        state(body.filing, FilingStatus.SUSPENDED)
        attempt(**bad)
        state(key_ok, FilingStatus.SUSPENDED)
        attempt(**bad)
        state(key_ok, FilingStatus.ACTIVE)
        attempt(**bad)
        bad |= {"day": DAY + 1}
        attempt(**bad)
        bad |= {"grade": 4, "trade": TRADE}
        attempt(**bad)
        bad |= {"assessment_day": DAY}
        attempt(**bad)
        bad |= {"day": DAY - 61, "assessment_day": DAY - 61}
        attempt(**bad)
        good = {"day": DAY, "grade": 4, "trade": TRADE}
        state(key_ok, FilingStatus.ACTIVE, used=0)
        log.add(body.certificate("bad", person="p", **good).statement)
        attempt(person="p", **good)
        made = body.certificate("other", person="p", **good)
        found.append(refusal(log, made.statement))
        found.append(refusal(log, body.certificate("third", **good).statement))
        assert found == [
            Refusal.KEY_NOT_LIVE,
            Refusal.FILING_NOT_ACTIVE,
            Refusal.SCOPE_WINDOW,
            Refusal.SCOPE_ROW,
            Refusal.ASSESSED_AFTER_ISSUE,
            Refusal.ISSUED_IN_FUTURE,
            Refusal.ISSUED_TOO_LATE,
            Refusal.CERT_KEY_TAKEN,
            Refusal.DUPLICATE_GRADE,
            Refusal.CAP_REACHED,
        ]

    def test_a_kind_without_a_rule_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        log, made = begin(), BODY.certificate("a")
        monkeypatch.setattr(status, "RULES", {})
        assert refusal(log, made.statement) is Refusal.MALFORMED


class TestTrack:
    def test_an_upgrade_reaches_every_member_and_chains_the_values(self) -> None:
        log = begin()
        made = [BODY.certificate(f"g{grade}", grade=grade, person="p") for grade in (2, 3, 4)]
        values: list[list[bytes]] = []
        for one in made:
            change = log.add(one.statement)
            values.append([state.value() for state in certificates(log, *made) if state])
            assert set(change.certificates) == {other.issue.cert_key for other in made[: len(values)]}
        states = certificates(log, *made)
        best = Highest(4, "", made[2].issue.cert_key, 4)
        assert all(state.summary == TrackSummary(best) for state in states)
        assert [state.previous for state in states] == [values[1][0], values[1][1], b""]
        assert all(state.status is CertificateStatus.IN_FORCE for state in states)
        assert [state.event_count for state in states] == [1, 1, 1]
        assert [state.event_index for state in states] == [2, 3, 4]

    def test_a_lower_grade_joins_without_touching_the_others(self) -> None:
        log = begin()
        high, low = BODY.certificate("h", grade=5, person="p"), BODY.certificate("l", grade=3, person="p")
        log.add(high.statement)
        before = certificates(log, high)
        change = log.add(low.statement)
        assert set(change.certificates) == {low.issue.cert_key}
        assert certificates(log, high) == before
        assert certificates(log, low)[0].summary == before[0].summary

    def test_among_equal_grades_the_earlier_certificate_speaks_for_the_track(self) -> None:
        log = begin()
        first = BODY.certificate("a", grade=4, person="p", trade=TRADE)
        second = BODY.certificate("b", grade=4, person="p", trade="其他工种")
        log.add(first.statement)
        log.add(second.statement)
        best = TrackSummary(Highest(4, TRADE, first.issue.cert_key, 2))
        assert [state.summary for state in certificates(log, first, second)] == [best, best]
        third = BODY.certificate("c", grade=5, person="p", trade="其他工种")
        log.add(third.statement)
        best = TrackSummary(Highest(5, "其他工种", third.issue.cert_key, 4))
        assert [state.summary for state in certificates(log, first, second, third)] == [best] * 3

    def test_skipping_grades_is_legal(self) -> None:
        log = begin()
        log.add(BODY.certificate("a", grade=2, person="p").statement)
        log.add(BODY.certificate("b", grade=6, person="p").statement)

    def test_other_tracks_stay_as_they_are(self) -> None:
        log = begin()
        log.add(BODY.certificate("a", grade=2, person="p").statement)
        change = log.add(BODY.certificate("b", grade=6, person="q").statement)
        assert len(change.certificates) == 1

    def test_the_same_grade_and_trade_twice_is_refused(self) -> None:
        log = begin()
        log.add(BODY.certificate("a", grade=4, person="p").statement)
        assert refusal(log, BODY.certificate("b", grade=4, person="p").statement) is Refusal.DUPLICATE_GRADE
        log.add(BODY.certificate("c", grade=4, person="p", trade=TRADE).statement)

    @pytest.mark.parametrize("status_", CertificateStatus)
    def test_only_standing_certificates_block_their_grade_or_carry_the_summary(
        self, status_: CertificateStatus
    ) -> None:
        log = begin()
        first = BODY.certificate("a", grade=4, person="p")
        log.add(first.statement)
        cert_key = first.issue.cert_key
        gone = renewed(log.certificates[cert_key], status=status_)
        log.certificates[cert_key] = gone
        log.view._put(cert_key, (first.issue, gone))
        lower = BODY.certificate("l", grade=2, person="p")
        log.add(lower.statement)
        in_force = status_ is CertificateStatus.IN_FORCE
        best = Highest(4, "", cert_key, 2) if in_force else Highest(2, "", lower.issue.cert_key, 3)
        assert [state.summary.highest for state in certificates(log, first, lower)] == [best, best]
        again = BODY.certificate("b", grade=4, person="p").statement
        if status_ in (CertificateStatus.IN_FORCE, CertificateStatus.SUSPENDED):
            assert refusal(log, again) is Refusal.DUPLICATE_GRADE
        else:
            log.add(again)

    def test_persons_without_a_number_get_no_current_grade(self) -> None:
        log = begin()
        first = BODY.certificate("a", grade=3, person="p", person_unlinked=True)
        second = BODY.certificate("b", grade=4, person="p", person_unlinked=True)
        log.add(first.statement)
        log.add(second.statement)
        assert [state.summary for state in certificates(log, first, second)] == [TrackSummary(), TrackSummary()]
        assert certificates(log, first)[0].previous == b""
        again = BODY.certificate("c", grade=4, person="p", person_unlinked=True)
        assert refusal(log, again.statement) is Refusal.DUPLICATE_GRADE

    @pytest.mark.parametrize("unlinked", [True, False])
    def test_linked_and_unlinked_certificates_never_share_a_track(self, *, unlinked: bool) -> None:
        log = begin()
        log.add(BODY.certificate("a", grade=3, person="p", person_unlinked=unlinked).statement)
        other = BODY.certificate("b", grade=4, person="p", person_unlinked=not unlinked)
        assert refusal(log, other.statement) is Refusal.TRACK_UNKNOWN

    def test_a_track_holds_64(self) -> None:
        log = begin()
        for at in range(MAX_TRACK):
            log.add(BODY.certificate(str(at), grade=2 + at % 5, person="p", trade=f"工种{at}").statement)
        assert len(log.track(octets("track p", 16))) == 64
        assert refusal(log, BODY.certificate("x", grade=2, person="p").statement) is Refusal.TRACK_FULL

    def test_two_bodies_can_serve_one_track(self) -> None:
        other = make_body("other", number="S000151000999")
        log = begin(BODY, other)
        first, second = BODY.certificate("a", grade=3, person="p"), other.certificate("b", grade=4, person="p")
        log.add(first.statement)
        log.add(second.statement)
        best = TrackSummary(Highest(4, "", second.issue.cert_key, 4))
        assert [state.summary for state in certificates(log, first, second)] == [best, best]
        assert [state.filing_number for state in certificates(log, first, second)] == [NUMBER, "S000151000999"]


def test_apply_reads_the_view_and_writes_nothing() -> None:
    log = begin()
    log.add(BODY.certificate("a", grade=3, person="p").statement)
    before = snapshot(log)
    made = BODY.certificate("b", grade=4, person="p")
    change = apply(log.view, log.authenticate(made.statement), Moment(log.size, TIME))
    assert len(change.certificates) == 2
    assert snapshot(log) == before


def test_every_refusal_of_every_rule_is_tested() -> None:
    """Each code that a rule can answer with is one that a test of this room asserts.

    The cells of the table of transitions are all asserted by test_transitions.py.
    """
    room = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in (*room.glob("*.py"), *room.glob("rules/*.py")))
    in_table = {cell for cells in TABLE.values() for cell in cells if isinstance(cell, Refusal)}
    for kind, rule in status.RULES.items():
        codes = {code for code, _ in refusals_of(rule.__name__)} - in_table
        assert codes, kind
        assert [code.name for code in sorted(codes) if f"Refusal.{code.name}" not in tests] == []
    assert "is Refusal.LOG_CLOSED" in tests and "is Refusal.MALFORMED" in tests


def test_the_vectors_are_current_and_hold() -> None:
    written = (VECTORS / "fold.json").read_text(encoding="utf-8")
    assert written == vector_text("fold"), "run python -m tests.support.make_vectors"
    vectors = json.loads(written)
    codes, _ = fold_again(vectors["steps"])
    assert len(codes) == 12
    codes, _ = fold_again(vectors["claims"])
    assert len(codes) == 6
    codes, moves = fold_again(vectors["life"])
    assert len(codes) == 21
    cells = {(before, cell) for cells in TABLE.values() for before, cell in zip(CertificateStatus, cells, strict=True)}
    assert moves >= {(before, after) for before, after in cells if isinstance(after, CertificateStatus)} - {
        (CertificateStatus.IN_FORCE, CertificateStatus.IN_FORCE),
        (CertificateStatus.SUSPENDED, CertificateStatus.SUSPENDED),
    }


# The first byte of each kind of state: an array of so many.
STATES = {0x8D: b"filing", 0x93: b"cert", 0x89: b"authority", 0x8B: b"claim", 0x82: b"nullifier"}


def fold_again(steps: list[dict[str, Any]]) -> tuple[set[str], set[tuple[CertificateStatus, CertificateStatus]]]:
    """Fold the entries of a vector and compare; the refusals met, and from which status to which certificates went."""
    log, codes, moves = MemoryLog(), set(), set()
    for step in steps:
        statement = parse_statement(bytes.fromhex(step["entry"]))
        assert log.size == step["index"]
        if "refused" in step:
            assert refusal(log, statement, step["time"]).value == step["refused"], step["what"]
            codes.add(step["refused"])
            continue
        before = dict(log.certificates)
        change = log.add(statement, step["time"])
        moves |= {(before[at].status, now.status) for at, now in change.certificates.items() if at in before}
        leaves = log.leaves()
        assert slow_tree.map_root(leaves).hex() == step["map_root"], step["what"]
        for place, encoded in step["states"].items():
            raw = bytes.fromhex(encoded)
            prefix = STATES[raw[0]]
            assert leaves[bytes.fromhex(place)] == sha256(b"certledger/" + prefix + b"-state/v1\n" + raw).digest()
    return codes, moves

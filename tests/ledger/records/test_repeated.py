"""What was undone since does not count as done: the log says so instead of giving the old answer."""

from __future__ import annotations

from ledger.records.kinds import FilingStatus, Kind, Reason
from ledger.records.repeated import acts_again
from ledger.records.statements import Statement
from ledger.records.status import Moment
from tests.support.builders import TIME, correct, filing_standing, make_authority, make_body, ruling
from tests.support.memory_log import MemoryLog, begin

AUTHORITY = make_authority()
BODY = make_body(grants=(7, 8))


def again(log: MemoryLog, statement: Statement) -> bool:
    return acts_again(log.view, log.authenticate(statement), Moment(log.size, TIME))


def test_a_ruling_that_was_undone_would_act_again() -> None:
    log, made = begin(BODY), BODY.certificate("a")
    log.add(made.statement)
    suspend, restore = BODY.sign(ruling(Kind.SUSPEND, made)), BODY.sign(ruling(Kind.RESTORE, made))
    log.add(suspend)
    assert not again(log, suspend), "sent twice, as retries are"
    log.add(restore)
    assert again(log, suspend) and not again(log, restore)
    log.add(BODY.sign(ruling(Kind.REVOKE, made)))
    assert not again(log, suspend), "what came since forbids it"
    assert again(log, AUTHORITY.sign(ruling(Kind.RESTORE, made))), "a revocation can be taken back, by the authority"


def test_of_a_list_one_that_was_undone_is_enough() -> None:
    log, one, two = begin(BODY), BODY.certificate("a"), BODY.certificate("b")
    for made in (one, two):
        log.add(made.statement)
    both = BODY.sign(ruling(Kind.SUSPEND, one, two))
    log.add(both)
    log.add(BODY.sign(ruling(Kind.RESTORE, one)))
    assert again(log, both), "one is in force, whoever sent the list must not hear that it is suspended"
    log.add(BODY.sign(ruling(Kind.SUSPEND, one, reason=Reason.OTHER)))
    assert not again(log, both)


def test_a_filing_that_was_resumed_is_not_suspended_by_the_old_statement() -> None:
    log = begin(BODY)
    suspended, active = (
        AUTHORITY.sign(filing_standing(status)) for status in (FilingStatus.SUSPENDED, FilingStatus.ACTIVE)
    )
    log.add(suspended)
    assert not again(log, suspended)
    log.add(active)
    assert again(log, suspended)


def test_everything_else_gives_its_stored_answer() -> None:
    log, made = begin(BODY), BODY.certificate("a")
    log.add(made.statement)
    first, second = BODY.sign(correct(made, "first")), BODY.sign(correct(made, "second"))
    log.add(first)
    log.add(second)
    for statement in (made.statement, first, second):
        assert not again(log, statement)

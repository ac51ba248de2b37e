from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused
from ledger.records.authority import FiledKey
from ledger.records.kinds import FilingStatus, KeyStatus, Kind
from ledger.records.refusals import Refusal
from ledger.records.rules.signers import check_active, check_not_cancelled, count_use, record_key_of
from ledger.records.statements import Statement
from ledger.records.status import Moment, authenticate_record
from tests.support.builders import (
    DAY,
    NUMBER,
    SECOND,
    TIME,
    WINDOW,
    correct,
    end,
    key_standing,
    make_body,
    octets,
    ruling,
    two_keys,
)
from tests.support.memory_log import begin, refusal

BODY = two_keys()
FILING = begin(BODY).filings[NUMBER]
NOW = Moment(9, TIME)
NAMED = octets("certificate")


def code(call: object, *arguments: object) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code, caught.value.field


def test_the_key_that_a_statement_names_is_live_in_its_window() -> None:
    first, second = BODY.filing.record_keys
    assert record_key_of(FILING, second.kid, NOW) == SECOND.public
    assert code(record_key_of, FILING, b"whatever", NOW) == ("KEY_UNKNOWN", "kid")
    for window in (FiledKey(first.public, DAY + 1), FiledKey(first.public, WINDOW[0], DAY - 1)):
        terms = replace(BODY.filing, record_keys=(window, second))
        assert code(record_key_of, renewed(FILING, terms=terms), first.kid, NOW) == ("KEY_NOT_LIVE", "kid")
    for status in (KeyStatus.RETIRED, KeyStatus.COMPROMISED):
        uses = (renewed(FILING.record_keys[0], status=status), FILING.record_keys[1])
        filing = renewed(FILING, record_keys=uses)
        assert code(record_key_of, filing, first.kid, NOW) == ("KEY_NOT_LIVE", "kid")
        assert record_key_of(filing, second.kid, NOW) == SECOND.public


def test_a_use_counts_for_its_key_up_to_the_cap() -> None:
    capped = renewed(FILING, terms=replace(FILING.terms, cap=1))
    once = count_use(capped, SECOND.public)
    assert [use.used for use in once.record_keys] == [0, 1]
    assert code(count_use, once, SECOND.public) == ("CAP_REACHED", "kid")
    assert [use.used for use in count_use(once, BODY.record.public).record_keys] == [1, 1]


@pytest.mark.parametrize("status", FilingStatus)
def test_a_suspended_body_only_takes_away_and_a_cancelled_one_states_nothing(status: FilingStatus) -> None:
    filing = renewed(FILING, status=status)
    if status is FilingStatus.ACTIVE:
        check_active(filing)
    else:
        assert code(check_active, filing) == ("FILING_NOT_ACTIVE", "filing_number")
    if status is FilingStatus.CANCELLED:
        assert code(check_not_cancelled, filing) == ("FILING_NOT_ACTIVE", "filing_number")
    else:
        check_not_cancelled(filing)


@pytest.mark.parametrize(
    "statement",
    [
        BODY.sign(ruling(Kind.SUSPEND, NAMED)),
        BODY.sign(correct(NAMED)),
        BODY.sign(end(NAMED)),
        BODY.sign(key_standing(BODY.record.public, KeyStatus.RETIRED)),
        BODY.post("p").statement,
        BODY.reissue("r", BODY.certificate("a")).statement,
    ],
    ids=lambda statement: statement.kind.name,
)
def test_every_statement_of_a_body_is_by_a_live_record_key_of_its_own_filing(statement: Statement) -> None:
    authentic = authenticate_record(statement, BODY.record.public)
    other = make_body("other", number="S000151000999")
    assert refusal(begin(other), authentic) is Refusal.FILING_UNKNOWN
    assert refusal(begin(make_body("other")), authentic) is Refusal.KEY_UNKNOWN
    log = begin(BODY)
    log.add(BODY.sign(key_standing(BODY.record.public, KeyStatus.RETIRED), signer=SECOND))
    assert refusal(log, authentic) is Refusal.KEY_NOT_LIVE
    part = renewed(statement.envelope.signatures[0], kid=BODY.filing.record_keys[1].kid)
    posing = renewed(statement, envelope=renewed(statement.envelope, signatures=(part,)))
    assert refusal(begin(BODY), authenticate_record(posing, BODY.record.public)) is Refusal.KEY_UNKNOWN

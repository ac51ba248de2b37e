"""What crosses between processes is what was sent, field for field."""

from __future__ import annotations

import marshal
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.records.handover import pack, unpack
from ledger.records.kinds import Audience, Kind, Route
from ledger.records.statements import Statement, issue_entry, parse_statement
from ledger.records.view import Authentic, authenticate_record
from tests.support.builders import make_body
from tests.support.life_builders import ruling

BODY = make_body()


def crossed(read: Authentic | Statement) -> Authentic | Statement:
    statement = read.statement if isinstance(read, Authentic) else read
    return unpack(statement.entry, marshal.loads(marshal.dumps(pack(read))))


@given(st.sampled_from(Route), st.sampled_from(Audience), st.integers(0, 30_000))
@settings(max_examples=60, deadline=None)
def test_a_certificate_crosses_with_and_without_its_signature(route: Route, audience: Audience, day: int) -> None:
    issue = replace(BODY.certificate("one").issue, route=route, audience=audience, issue_day=day, assessment_day=day)
    statement = parse_statement(issue_entry(issue, BODY.record))
    assert crossed(statement) == statement
    came = crossed(authenticate_record(statement, BODY.record.public))
    assert isinstance(came, Authentic)
    assert (came.statement, came.publics, came.threshold) == (statement, (BODY.record.public,), 1)


def test_what_is_no_certificate_is_parsed_again_and_has_to_be_judged_again() -> None:
    statement = ruling(BODY, Kind.SUSPEND, BODY.certificate("one"))
    assert crossed(authenticate_record(statement, BODY.record.public)) == statement

from __future__ import annotations

from itertools import product

import pytest

from ledger.errors import Refused
from ledger.records.kinds import CertificateStatus, FilingStatus, Kind
from ledger.records.refusals import Refusal
from ledger.records.statements import Statement
from ledger.records.transitions import TABLE, Act, after, swept
from tests.support.builders import (
    SECOND,
    Certificate,
    Post,
    correct,
    end,
    filing_standing,
    key_standing,
    make_authority,
    ruling,
    two_keys,
)
from tests.support.memory_log import MemoryLog, begin, refusal

AUTHORITY = make_authority()
BODY = two_keys(grants=(7, 8))  # its first key signs the certificate in question, SECOND everything else
S = CertificateStatus
# No statement reaches these: posts are never reissued, certificates never end, and only what is replaced, or void
# since, has a reissue.
UNREACHABLE = {
    (Act.END, S.REPLACED),
    (Act.REPLACE, S.ENDED),
    *((Act.SUCCESSOR_VOIDED, status) for status in (S.IN_FORCE, S.SUSPENDED, S.REVOKED, S.ENDED)),
}


def reach(log: MemoryLog, status: CertificateStatus, act: Act) -> Certificate | Post:
    """A certificate, or a post where the act or the status is one of posts, in this status; by statements only."""
    base = BODY.certificate("base", grade=6, person="p", signer=SECOND)
    made: Certificate | Post = BODY.certificate("made", grade=4, person="p")
    if act is Act.END or status is S.ENDED:
        log.add(base.statement)
        made = BODY.post("made", on=base)
    log.add(made.statement)
    match status:
        case S.SUSPENDED if act is not Act.FILING_RESUMED:
            log.add(BODY.sign(ruling(Kind.SUSPEND, made), signer=SECOND))
        case S.REVOKED:
            log.add(BODY.sign(ruling(Kind.REVOKE, made), signer=SECOND))
        case S.REPLACED:
            assert isinstance(made, Certificate)
            log.add(BODY.reissue("new", made, signer=SECOND).statement)
        case S.VOID if act is Act.SUCCESSOR_VOIDED:
            assert isinstance(made, Certificate)
            log.add(BODY.reissue("new", made, signer=SECOND).statement)
            log.add(AUTHORITY.sign(key_standing(BODY.record.public, void_from=log.state(made).issue_index)))
        case S.VOID:
            log.add(AUTHORITY.sign(key_standing(BODY.record.public, void_from=log.state(made).issue_index)))
        case S.ENDED:
            log.add(BODY.sign(end(made), signer=SECOND))
    if act is Act.FILING_RESUMED:
        log.add(AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED)))
        if status is S.IN_FORCE:
            log.add(AUTHORITY.sign(ruling(Kind.RESTORE, made)))
    assert log.state(made).status is status
    return made


def statement(log: MemoryLog, act: Act, made: Certificate | Post) -> Statement:
    """What does this act to `made`."""
    issued = log.state(made).issue_index
    match act:
        case Act.SUSPEND | Act.RESTORE | Act.REVOKE:
            return AUTHORITY.sign(ruling(Kind[act.name], made))
        case Act.CORRECT:
            return AUTHORITY.sign(correct(made))
        case Act.REPLACE:
            assert isinstance(made, Certificate)
            return BODY.reissue("newer", made, signer=SECOND).statement
        case Act.END:
            return BODY.sign(end(made), signer=SECOND)
        case Act.FILING_SUSPENDED:
            return AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED))
        case Act.FILING_RESUMED:
            return AUTHORITY.sign(filing_standing(FilingStatus.ACTIVE))
        case Act.FILING_CANCELLED:
            return AUTHORITY.sign(filing_standing(FilingStatus.CANCELLED))
        case Act.KEY_VOIDED:
            again = log.state(made).status is S.VOID  # a compromise from an earlier index still
            return AUTHORITY.sign(key_standing(BODY.record.public, void_from=issued - again))
        case Act.SUCCESSOR_VOIDED:
            return AUTHORITY.sign(key_standing(SECOND.public, void_from=issued + 1))
    raise AssertionError(act)


@pytest.mark.parametrize(("act", "status"), [cell for cell in product(Act, S) if cell not in UNREACHABLE])
def test_each_cell_is_what_a_real_statement_does(act: Act, status: CertificateStatus) -> None:
    log = begin(BODY)
    made = reach(log, status, act)
    cell = TABLE[act][list(S).index(status)]
    signed = statement(log, act, made)
    if isinstance(cell, Refusal):
        assert refusal(log, signed) is cell
        return
    before = log.state(made)
    log.add(signed)
    now = log.state(made)
    assert now.status is (status if cell is None else cell)
    if cell is None:
        assert (now.event_index, now.event_count) == (before.event_index, before.event_count)
    else:
        assert now.event_count == before.event_count + 1
        kept = act is Act.CORRECT and status is not S.IN_FORCE
        assert now.event_leaf == (before.event_leaf if kept else signed.leaf_hash)


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(Act)
    assert all(len(cells) == len(S) for cells in TABLE.values())
    assert all((act, status) in set(product(Act, S)) for act, status in UNREACHABLE)


def test_a_statement_that_names_a_certificate_gets_a_status_or_a_refusal() -> None:
    assert after(Act.SUSPEND, S.IN_FORCE, "cert_key") is S.SUSPENDED
    with pytest.raises(Refused) as caught:
        after(Act.SUSPEND, S.VOID, "cert_key")
    assert (caught.value.code, caught.value.field) == ("FINAL", "cert_key")
    with pytest.raises(AssertionError):
        after(Act.FILING_SUSPENDED, S.VOID, "cert_key")


def test_what_sweeps_over_many_passes_by_instead() -> None:
    assert swept(Act.REVOKE, S.ENDED) is S.REVOKED
    assert swept(Act.REVOKE, S.VOID) is None
    assert swept(Act.FILING_RESUMED, S.IN_FORCE) is None

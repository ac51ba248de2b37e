"""One history through every transition of ledger/records/transitions.py, for the vectors of the fold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from ledger.records.authority import FiledKey
from ledger.records.kinds import FilingStatus, KeyStatus, Kind
from ledger.records.life import Range
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.statements import Statement
from ledger.tlog.keys import ML_DSA_44_PUBLIC_BYTES
from tests.support.builders import (
    DAY,
    SECOND,
    WINDOW,
    correct,
    end,
    filing_standing,
    key,
    key_standing,
    late,
    make_authority,
    make_body,
    octets,
    ruling,
    sign_together,
    two_keys,
)
from tests.support.memory_log import MemoryLog

Step: TypeAlias = tuple[str, Statement]
_RULER: Final = make_authority()
_BODY: Final = two_keys(grants=(7, 8))
_OTHER: Final = make_body("other", number="S000151000999")
_ELSEWHERE: Final = octets("elsewhere", 16)


def life_history(log: MemoryLog) -> Iterator[Step]:
    """What happens, and the statement. The caller folds each into `log` before it asks for the next."""
    yield "genesis", _RULER.sign(_RULER.genesis)
    yield "a filing with two record keys that may appoint", _RULER.sign(_BODY.filing)
    yield "another filing", _RULER.sign(_OTHER.filing)
    yield from _rulings(log)
    yield from _posts()
    yield from _reissues_and_permits()
    yield from _filings()
    yield from _compromise(log)
    yield from _rotations()


def _rulings(log: MemoryLog) -> Iterator[Step]:
    made = _BODY.certificate("c", grade=5, person="p")
    lower = _BODY.certificate("l", grade=3, person="p")
    yield "ordinal 5 of person p", made.statement
    yield "ordinal 3 of p", lower.statement
    yield "nothing to restore", _RULER.sign(ruling(Kind.RESTORE, made))
    yield "another body's certificate", _OTHER.sign(ruling(Kind.SUSPEND, made))
    yield "effective tomorrow", _BODY.sign(ruling(Kind.SUSPEND, made, day=DAY + 1))
    yield "suspended by its body: ordinal 3 is current", _BODY.sign(ruling(Kind.SUSPEND, made))
    yield "suspended again", _RULER.sign(ruling(Kind.SUSPEND, made))
    yield "not reissued while suspended", _BODY.reissue("c'", made).statement
    yield "corrected while suspended: its event stays", _BODY.sign(correct(made, "one"))
    yield "restored by the body that suspended it", _BODY.sign(ruling(Kind.RESTORE, made))
    yield "corrected, and moved to another track", _BODY.sign(correct(made, "two", track=_ELSEWHERE))
    yield "moved back by the authority", _RULER.sign(correct(made, "three", track=made.issue.track_id))
    yield "suspended by the authority", _RULER.sign(ruling(Kind.SUSPEND, made))
    yield "its body cannot restore that", _BODY.sign(ruling(Kind.RESTORE, made, day=DAY - 1))
    yield "revoked: ordinal 3 is current again", _BODY.sign(ruling(Kind.REVOKE, made))
    yield "revoked twice", _RULER.sign(ruling(Kind.REVOKE, made))
    yield "a revocation restored by the authority", _RULER.sign(ruling(Kind.RESTORE, made))
    yield "revoked while in force", _RULER.sign(ruling(Kind.REVOKE, made, day=DAY - 1))
    twin = _BODY.certificate("twin", grade=5, person="p")
    yield "another of that grade takes its place", twin.statement
    yield "so the revoked one cannot come back", _RULER.sign(ruling(Kind.RESTORE, made, day=DAY - 1))
    some = [_BODY.certificate(label) for label in ("s1", "s2", "s3")]
    first = log.size
    for one in some:
        yield "one of three", one.statement
    yield "two of them suspended by one list", _BODY.sign(ruling(Kind.SUSPEND, *some[:2]))
    yield "a list of which one refuses", _BODY.sign(ruling(Kind.SUSPEND, *some[1:]))
    yield "all three revoked by a range", _BODY.sign(ruling(Kind.REVOKE, Range(_BODY.filing.number, first, first + 2)))
    yield "a range that changes nothing", _BODY.sign(ruling(Kind.REVOKE, Range(_BODY.filing.number, first, first + 2)))


def _posts() -> Iterator[Step]:
    base = _BODY.certificate("base", grade=6, person="t")
    yield "ordinal 6 of person t", base.statement
    post, second = _BODY.post("t1", on=base), _BODY.post("t2", on=base, last_day=DAY + 90)
    yield "a post on it", post.statement
    yield "a second post of that grade", second.statement
    yield "a certificate is no post", _BODY.sign(end(base))
    yield "the post has ended", _BODY.sign(end(post))
    yield "an end is final", _RULER.sign(ruling(Kind.SUSPEND, post))
    yield "an ended post is revoked", _RULER.sign(ruling(Kind.REVOKE, post))
    yield "now a second one may be held", second.statement
    yield "it is suspended", _BODY.sign(ruling(Kind.SUSPEND, second))
    yield "and ends suspended", _BODY.sign(end(second))
    yield "no post without a certificate in the track", _BODY.post("t3", person="nobody").statement
    yield "a post that stays", _BODY.post("t4", grade=8, on=base).statement
    other = _BODY.certificate("base of posts", grade=6, person="tt")
    yield "ordinal 6 of person tt", other.statement
    later = _BODY.post("t6", grade=8, on=other, first_day=DAY + 200, last_day=DAY + 400)
    yield "a post that runs", _BODY.post("t5", on=other).statement
    yield "a higher one that begins later stands beside it", later.statement


def _reissues_and_permits() -> Iterator[Step]:
    old = _BODY.certificate("r0", person="r", signer=SECOND)
    new = _BODY.reissue("r1", old)
    yield "a certificate to reissue", old.statement
    yield "a reissue of another grade", _BODY.reissue("r1", old, grade=5, level=2).statement
    yield "its reissue", new.statement
    yield "the old one is not reissued again", _BODY.reissue("r2", old).statement
    permit, (made, other) = late(_RULER, _BODY, "late 1", "late 2", day=DAY - 100)
    yield "too late without its permit", _BODY.certificate("late 1", day=DAY - 100).statement
    yield "its permit is not there yet", made.statement
    yield "a late permit for two", permit
    yield "the first of them", made.statement
    proof = other.issue.permit
    yield "one that is not in it", _BODY.certificate("late 3", day=DAY - 100, permit=proof).statement
    yield "the second of them", other.statement


def _filings() -> Iterator[Step]:
    early, late_one, own = (
        _OTHER.certificate(label, day=day) for label, day in (("d1", DAY - 20), ("d2", DAY - 5), ("d3", DAY - 4))
    )
    for one in (early, late_one, own):
        yield "a certificate of the other body", one.statement
    number = _OTHER.filing.number
    yield "one suspended by its body", _OTHER.sign(ruling(Kind.SUSPEND, own))
    suspended = filing_standing(FilingStatus.SUSPENDED, day=DAY - 10, number=number)
    yield "the filing suspended, effective ten days ago", _RULER.sign(suspended)
    yield "a suspended body issues nothing", _OTHER.certificate("d4").statement
    yield "nor restores", _OTHER.sign(ruling(Kind.RESTORE, own))
    resumed = filing_standing(FilingStatus.ACTIVE, number=number)
    yield "resumed: what the suspension suspended is back", _RULER.sign(resumed)
    cancelled = filing_standing(FilingStatus.CANCELLED, day=DAY - 10, number=number)
    yield "cancelled, effective ten days ago", _RULER.sign(cancelled)
    yield "cancelled for good", _RULER.sign(replace(resumed, effective_day=DAY - 1))
    yield "not even revoked by it", _OTHER.sign(ruling(Kind.REVOKE, early))


def _compromise(log: MemoryLog) -> Iterator[Step]:
    first = log.size
    fates = ("in force", "suspended", "revoked", "replaced")
    made = [_BODY.certificate("k " + fate) for fate in fates]
    for fate, one in zip(fates, made, strict=True):
        yield f"a certificate of the first key that will be {fate}", one.statement
    yield "one of them suspended", _BODY.sign(ruling(Kind.SUSPEND, made[1]), signer=SECOND)
    yield "one revoked", _BODY.sign(ruling(Kind.REVOKE, made[2]), signer=SECOND)
    yield "one reissued by the second key", _BODY.reissue("k new", made[3], signer=SECOND).statement
    base = _BODY.certificate("k base", grade=6, person="k", signer=SECOND)
    post = _BODY.post("k post", on=base)
    yield "a certificate of the second key", base.statement
    yield "a post on it by the first", post.statement
    yield "the post has ended", _BODY.sign(end(post), signer=SECOND)
    yield "the second key's certificate corrected by the first", _BODY.sign(correct(base, "k", track=_ELSEWHERE))
    old = _BODY.certificate("k old", signer=SECOND)
    yield "another of the second key", old.statement
    yield "reissued by the first", _BODY.reissue("k thief", old).statement
    yield "a key that is not filed", _RULER.sign(key_standing(octets("stranger"), void_from=first))
    yield "an index that is still to come", _RULER.sign(key_standing(_BODY.record.public, void_from=10_000))
    voided = _RULER.sign(key_standing(_BODY.record.public, void_from=first))
    yield "the first key compromised since its first of these", voided
    yield "it signs no more", _BODY.certificate("k after").statement
    yield "a later index says nothing new", _RULER.sign(key_standing(_BODY.record.public, void_from=first + 1))
    yield "the second key retired", _BODY.sign(key_standing(SECOND.public, KeyStatus.RETIRED), signer=SECOND)


def _rotations() -> Iterator[Step]:
    third, joins = key("third"), key("joins")
    keys = (*_BODY.filing.record_keys, FiledKey(third.public, WINDOW[0]))
    yield "new terms that drop a key", _RULER.sign(replace(_BODY.filing, record_keys=keys[1:], change=True))
    yield "new terms with a third key", _RULER.sign(replace(_BODY.filing, record_keys=keys, change=True))
    yield "signed by it", _BODY.certificate("third", signer=third).statement
    people = tuple(sorted((*(person.public for person in _RULER.people[:2]), joins.public)))
    change = AuthorityChange(people, 2, DAY)
    yield "one of the authority leaves, one joins", sign_together(change, [*_RULER.people[:2], joins])
    signers = [_RULER.people[0], joins]
    yield "the same again", sign_together(replace(change, day=DAY + 1), signers)
    ml_dsa = (octets("ml-dsa", 64) * 21)[:ML_DSA_44_PUBLIC_BYTES]
    yield "the log's new keys", sign_together(LogKey(DAY, octets("log key"), ml_dsa), signers)
    yield "the log is closed", sign_together(LogKey(DAY, successor="log.test.example/2027"), signers)
    yield "nothing more", _BODY.certificate("after the end", signer=third).statement

"""One item, several logs: which of their answers count, and what they come to together. Pure.

A verifier may believe many logs (one per year or region). Each has pins of its own and answers for itself:

    1 follow     a closed log whose successor is believed here too: what it says holds as of its successor, also on a
                 day behind its end, and a certificate that was taken over there byte for byte is its successor's
    2 bundle     a holder's file is judged by the log whose checkpoint it carries, and by those that hold the same bytes
    3 found      one log has the certificate: that log's verdict alone, whatever state the others are in
    4 twice      several have it. Those with the very bytes of the code count, else the one that logged it first:
                 a cert key is public once it is logged, so what came later may be a copy made by anybody who is filed.
                 The same bytes in several logs: the least favourable verdict. Always said in the findings
    5 nowhere    no log has it, or other bytes than the code carries. A "no" needs every log: with one of them not up to
                 date it is `stale` or `unavailable`, because the certificate may be there. Only a log that knows the
                 very key and finds its signature wrong says `tampered` alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records.bundle import Bundle
from ledger.records.qr import Code as QrCode
from ledger.records.staple import Staple
from ledger.tlog.note import parse_note
from verifier import steps
from verifier.carried import Carried, Item, Keyed, Numbered, open_carried
from verifier.register import Register
from verifier.trust import Trust
from verifier.verdict import Code, Verdict

# From the least favourable on: of two verdicts about the same bytes, the earlier one counts.
_GRAVITY: Final = (
    Code.TAMPERED, Code.REVOKED, Code.ENDED, Code.SUSPENDED, Code.ISSUER_OUT_OF_SCOPE, Code.NOT_FOUND,
    Code.UNAVAILABLE, Code.STALE,
    Code.OFFLINE_SIGNATURE_OK, Code.OFFLINE_BUNDLE_OK, Code.VALID_CORRECTED, Code.VALID_UPGRADED, Code.VALID,
)  # fmt: skip
# What a log that is not up to date can say about an item that it does not have; the most telling first.
_OPEN: Final = (Code.OFFLINE_SIGNATURE_OK, Code.STALE, Code.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one log says about an item, under the pins of that log."""

    trust: Trust
    register: Register | None  # None: nothing verified
    refuted: bool = False  # a ledger gave a proof that does not hold
    successor: str = ""  # origin of the log that follows; this one is closed

    @property
    def has(self) -> bool:
        return self.register is not None and self.register.logged is not None

    @property
    def entry(self) -> bytes:
        """The statement that issued the certificate here."""
        assert self.register is not None and self.register.logged is not None
        return self.register.logged.statement.entry

    @property
    def index(self) -> int:
        """Where it stands here."""
        assert self.register is not None and self.register.logged is not None
        return self.register.logged.state.issue_index

    @property
    def logged_ms(self) -> int:
        assert self.register is not None and self.register.logged is not None
        return self.register.logged.state.issue_time


@dataclass(frozen=True, slots=True)
class Counting:
    """The answers that have to be judged, each with the item as that log can judge it."""

    answers: tuple[Answer, ...]
    items: tuple[Item, ...]
    twice: bool = False  # the certificate is in other logs than it should be
    nowhere: bool = False  # no log has it, or none has what the code carries


def counting(item: Item, answers: Sequence[Answer]) -> Counting:
    """Which answers count for this item. There is at least one."""
    if len(answers) == 1:
        return Counting(tuple(answers), (item,))
    followed = [_followed(answer, answers) for answer in answers]  # 1
    if isinstance(item, Bundle | Staple):
        return _of_bundle(item, followed)  # 2
    carried = _carried(item)
    having = [answer for answer in followed if answer.has and not _taken_over(answer, followed)]
    exact = [answer for answer in having if carried is not None and answer.entry == carried.statement.entry]
    if not having or (carried is not None and not exact):  # 5
        return Counting(tuple(followed), (item,) * len(followed), nowhere=True)
    first = min(exact or having, key=lambda answer: answer.logged_ms)
    same = [answer for answer in having if answer.entry == first.entry]  # 3, 4
    return Counting(tuple(same), _items(item, carried, same, followed), twice=len(having) > 1)


def together(item: Item, counted: Counting, verdicts: Sequence[Verdict]) -> Verdict:
    """What the verdicts of the counting answers, in their order, come to."""
    if len(verdicts) == 1 and not counted.twice:
        return verdicts[0]
    if counted.nowhere:
        return _nowhere(item, counted.answers, verdicts)
    verdict = least_favourable(verdicts)
    if not counted.twice:
        return verdict
    others = [finding for finding in verdict.findings if finding.step != steps.LOGGED_TWICE.step]
    return replace(verdict, findings=steps.complete([*others, steps.LOGGED_TWICE]))


def least_favourable(verdicts: Sequence[Verdict]) -> Verdict:
    """Of verdicts about the same certificate."""
    return min(verdicts, key=lambda verdict: _GRAVITY.index(verdict.code))


def _items(
    item: QrCode | Numbered | Keyed, carried: Carried | None, chosen: Sequence[Answer], followed: Sequence[Answer]
) -> tuple[Item, ...]:
    """A code says where its certificate stands in one log; once that was found to be so, the others are asked as for a
    bare link."""
    if carried is None or isinstance(item, Numbered | Keyed):
        return (item,) * len(chosen)
    bare = QrCode(item.base, item.secret)
    places = [answer.index for answer in followed if answer.has and answer.entry == carried.statement.entry]
    stands = carried.index in places
    return tuple(bare if stands and answer.index != carried.index else item for answer in chosen)


def _of_bundle(item: Bundle | Staple, followed: Sequence[Answer]) -> Counting:
    """Its own log, and those that hold the same bytes: they are asked as for a bare link."""
    origin = origin_of(item)
    own = next((answer for answer in followed if answer.trust.origin == origin), None)
    if own is None:
        return Counting((followed[0],), (item,))  # of a log that nobody here believes
    others = [answer for answer in followed if answer.has and answer is not own]
    same = [answer for answer in others if answer.entry == item.entry]
    heirs = [answer for answer in _heirs(own, followed) if answer in same]
    bare = QrCode(own.trust.bases[0], item.secret)
    return Counting((own, *same), (item, *[bare] * len(same)), twice=len(heirs) < len(others))


def _nowhere(item: Item, answers: Sequence[Answer], verdicts: Sequence[Verdict]) -> Verdict:  # 5
    carried = _carried(item)
    knowing = list[Verdict]()
    for answer, verdict in zip(answers, verdicts, strict=True):
        key = _key_of(answer, carried) if carried else None
        if carried is None or key is None:
            continue
        if verdict.code is Code.TAMPERED and not _is_signed(carried, key):
            return verdict
        knowing.append(verdict)
    undecided = [verdict for verdict in verdicts if verdict.code in _OPEN]
    if undecided:
        return min(undecided, key=lambda verdict: _OPEN.index(verdict.code))
    altered = [v for answer, v in zip(answers, verdicts, strict=True) if answer.has]
    if altered:
        return altered[0]
    filed = [v for answer, v in zip(answers, verdicts, strict=True) if answer.register and answer.register.filing]
    return (knowing or filed or list(verdicts))[0]


def _followed(answer: Answer, answers: Sequence[Answer], seen: frozenset[str] = frozenset()) -> Answer:
    """A closed log's answer as of its successor, where that is believed here too."""
    heir = next((other for other in answers if other.trust.origin == answer.successor), None)
    register, origin = answer.register, answer.trust.origin
    if heir is None or register is None or answer.successor in seen:
        return answer
    later = _followed(heir, answers, seen | {origin}).register
    if later is None:
        return replace(answer, register=replace(register, overtaken=True))
    if register.historic:  # its moment is that of its successors already
        return replace(answer, register=replace(register, overtaken=later.overtaken or not later.vouched))
    return replace(
        answer,
        register=replace(
            register,
            time_ms=later.time_ms,
            witnessed=later.witnessed,
            overtaken=later.overtaken,
            halted=register.halted or later.halted,
            lag=register.lag if register.halted else later.lag,
        ),
    )


def _heirs(answer: Answer, answers: Sequence[Answer]) -> list[Answer]:
    """The logs that took over from a closed one, as far as they are believed here."""
    by_origin, found = {other.trust.origin: other for other in answers}, list[Answer]()
    heir = by_origin.get(answer.successor)
    while heir is not None and heir is not answer and heir not in found:
        found.append(heir)
        heir = by_origin.get(heir.successor)
    return found


def _taken_over(answer: Answer, answers: Sequence[Answer]) -> bool:
    return any(heir.has and heir.entry == answer.entry for heir in _heirs(answer, answers))


def origin_of(item: Bundle | Staple) -> str:
    """What the carried checkpoint calls its log. It chooses among pinned logs and is believed for nothing."""
    try:
        return parse_note(item.evidence.checkpoint).text.partition("\n")[0]
    except Malformed:
        return ""


def _carried(item: Item) -> Carried | None:
    """What the item carries; None for a bare link, and for what `verify` will call altered."""
    try:
        return open_carried(item)
    except Malformed:
        return None


def _key_of(answer: Answer, carried: Carried) -> bytes | None:
    """The key that the carried certificate names, where its body has filed it here."""
    filing = answer.register.filing if answer.register else None
    if filing is None or filing.terms.number != carried.issue.filing_number:
        return None
    key = filing.terms.record_key(carried.statement.kid)
    return None if key is None else key.public


def _is_signed(carried: Carried, key: bytes) -> bool:
    """Whether it is the body's own word: a record of other bytes here may be a copy then, and its own lie elsewhere."""
    try:
        carried.statement.verify_signature(key)
    except Unverified:
        return False
    return True

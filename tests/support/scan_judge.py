"""What verifiers may answer about a certificate while it is revoked and every program is ended and started again. Pure.

A verifier is a folder: it is the same one over all restarts. An answer is green (GREEN), a denial (`suspended`,
`revoked`), or could not tell (`stale`, `unavailable`, `offline_signature_ok`), which says nothing and is only counted;
so is `not_found` from a verifier over a replica that never said anything else of the certificate: it comes later.
`judge` finds, of one certificate, the answers that break one of these:

    1 true     An answer that shows a size says what the log says of its first so many entries: green while in force,
               the denial of that moment otherwise. Only a denial may be newer: a refusal stands as soon as a replica
               has taken it in, also before a checkpoint that it shows has it.
    2 newest   One that shows no size, and each of a verifier without a replica, which asks the log every time, says
               what the log may have said meanwhile: nothing from before what had been acknowledged when it was asked,
               nothing that had not been sent when it was answered. So it is never green after the acknowledgement.
    3 again    After a verifier's first denial none of its answers is green, whatever was restarted, unless the log
               restored the certificate in between: at a size that the denial did not show and the green one does, or,
               where one of them does not show the size that it is of, by a statement that was not acknowledged yet when
               the denial was asked.
    4 back     No answer out of a replica or a holder's file shows fewer entries than the same verifier had shown out of
               its replica, of whatever certificate, when it was asked. So once it has shown a head with the
               revocation, no file that is older, and no restart, makes it green.
    5 late     None is green that was asked more than the freshness limit after the last end was acknowledged.

`turned` says whether a verifier's last answer is how the log ends: that each gets there is the other half.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.records.kinds import Kind
from verifier.verdict import GREEN, Code

IN_FORCE: Final = "in force"
AFTER: Final = {Kind.SUSPEND: Code.SUSPENDED.value, Kind.REVOKE: Code.REVOKED.value, Kind.RESTORE: IN_FORCE}
COULD_NOT_TELL: Final = frozenset({Code.STALE, Code.UNAVAILABLE, Code.OFFLINE_SIGNATURE_OK})


@dataclass(eq=False, slots=True)
class Act:
    """One statement about certificates. Moments are seconds of one clock; `index` is known once it was acknowledged."""

    kind: Kind
    entry: bytes = b""
    by_authority: bool = False
    sent: float | None = None
    acked: float | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`size`: entries under the head that it shows, None where it shows none. `floor`: the most that this verifier had
    shown out of its replica when it was asked. `proof`: it has no replica, and asked the log."""

    verifier: str
    code: str
    asked: float
    answered: float
    size: int | None = None
    floor: int = 0
    proof: bool = False

    @property
    def says(self) -> str | None:
        """What it says of the certificate; None: it could not tell."""
        if self.code in COULD_NOT_TELL:
            return None
        return IN_FORCE if self.code in GREEN else self.code


def judge(acts: Sequence[Act], answers: Iterable[Answer], limit_s: float) -> list[tuple[str, Answer]]:
    """Each violation: the rule, and the answer that breaks it. `acts` in the order in which they were sent, every one
    acknowledged by now; of a verifier's answers each was asked after the one before was answered."""
    found: list[tuple[str, Answer]] = []
    denials: dict[str, Answer] = {}
    heard: set[str] = set()
    last = acts[-1] if acts else None
    ended = last.acked if last is not None and AFTER[last.kind] != IN_FORCE else None
    for answer in answers:
        says = answer.says
        if says is None or (says == Code.NOT_FOUND and not answer.proof and answer.verifier not in heard):
            continue
        heard.add(answer.verifier)
        if answer.size is not None and says not in _at_size(acts, answer):  # 1
            found.append(("true", answer))
        if (answer.size is None or answer.proof) and says not in _meanwhile(acts, answer):  # 2
            found.append(("newest", answer))
        if answer.size is not None and answer.size < answer.floor:  # 4
            found.append(("back", answer))
        if says != IN_FORCE:
            denials.setdefault(answer.verifier, answer)
            continue
        denial = denials.get(answer.verifier)
        if denial is not None and not _restored_between(acts, denial, answer):  # 3
            found.append(("again", answer))
        else:
            denials.pop(answer.verifier, None)
        if ended is not None and answer.asked > ended + limit_s:  # 5
            found.append(("late", answer))
    return found


def turned(acts: Sequence[Act], last: Answer | None) -> bool:
    """Whether a verifier's last answer is how the log ends."""
    return last is not None and last.says == (AFTER[acts[-1].kind] if acts else IN_FORCE)


def _at_size(acts: Sequence[Act], answer: Answer) -> set[str]:
    assert answer.size is not None
    least = _under(acts, answer.size)
    newer = {_after(acts, count) for count in range(least + 1, _sent(acts, answer) + 1)} - {IN_FORCE}
    return newer | {_after(acts, least)}


def _under(acts: Sequence[Act], size: int) -> int:
    return sum(act.index is not None and act.index < size for act in acts)


def _meanwhile(acts: Sequence[Act], answer: Answer) -> set[str]:
    least = sum(act.acked is not None and act.acked < answer.asked for act in acts)
    return {_after(acts, count) for count in range(least, _sent(acts, answer) + 1)}


def _sent(acts: Sequence[Act], answer: Answer) -> int:
    return sum(act.sent is not None and act.sent <= answer.answered for act in acts)


def _after(acts: Sequence[Act], count: int) -> str:
    return AFTER[acts[count - 1].kind] if count else IN_FORCE


def _restored_between(acts: Sequence[Act], denial: Answer, green: Answer) -> bool:
    restores = [act for act in acts if act.kind is Kind.RESTORE and act.sent is not None]
    if denial.size is not None and green.size is not None and denial.says == _after(acts, _under(acts, denial.size)):
        return any(act.index is not None and denial.size <= act.index < green.size for act in restores)
    sent = acts[: _sent(acts, green)]
    return any(act in sent and (act.acked is None or act.acked >= denial.asked) for act in restores)

"""Answers the rows of a list, a few at a time, so that pages are served in between.

1 rows that cannot be asked as they stand are answered without asking
2 a row that asks what an earlier one asked gets its answer
3 links, codes and pictures: the check of every page and of the API. A log that let its time pass answers nothing for a
  moment (`verifier.patience`), in which a list would be over: what it left is asked once more behind that
4 numbers with names: the ledger's index, many at a time; without one, `unavailable`
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ledger.errors import Malformed, Unavailable
from ledger.records.cose import Signer
from verifier import steps
from verifier.hiring.rows import COLUMNS, Answer, answered, asks_nothing, columns_of, pair_of, say
from verifier.hiring.sheets import MAX_ROWS, HiringList, Question, asked_texts
from verifier.hiring.summary import Summary, Under, result_digest, summarise
from verifier.lookup import Lookup
from verifier.messages import Messages
from verifier.patience import ALONE_MS
from verifier.verdict import Code, Verdict, without_item

AT_ONCE: Final = 8  # checks between two turns of the loop: about 5 ms
PICTURES_AT_ONCE: Final = 2
PAIRS_AT_ONCE: Final = 100
PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0)  # for a ledger that takes only so many look-ups a second
IN_VAIN_S: Final = 120.0  # for rows of one list that then have no answer all the same: other lists wait, too
_EXPLAINED: Final = COLUMNS.index("hiring_explained")


class LookupByName(Protocol):
    """Looks numbers up together with names, both in their normal form; a verdict each, in order."""

    async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class RowResult:
    """What goes back for one row."""

    row: int
    code: str
    columns: tuple[str, ...]
    cert_key: str = ""  # of the certificate that was answered about; not written to the sheet


@dataclass(frozen=True, slots=True)
class ListResult:
    """All rows answered, and the summary of it."""

    rows: Mapping[int, RowResult]
    summary: Summary


@dataclass(slots=True)
class _Waiting:
    """What a list may still wait in vain."""

    left_s: float


class ListChecker:
    """Checks lists for one verifier."""

    def __init__(
        self,
        lookup: Lookup,
        messages: Messages,
        base: str,
        now_ms: Callable[[], int],
        signer: Signer | None = None,
        names: LookupByName | None = None,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
        in_vain_s: float = IN_VAIN_S,
        again_s: float = ALONE_MS / 1000,
    ) -> None:
        self._lookup = lookup
        self._messages = messages
        self._base = base
        self._now_ms = now_ms
        self._signer = signer
        self._names = names
        self._pauses_s, self._in_vain_s, self._again_s = pauses_s, in_vain_s, again_s

    async def check(
        self,
        asked: HiringList,
        lang: str,
        progress: Callable[[int], None] = lambda done: None,
        changed: Mapping[str, str] | None = None,
        max_pairs: int = MAX_ROWS,
        scan_ms: int | None = None,
    ) -> ListResult:
        """Answer every row. `progress` hears how many are done; `changed` maps cert keys (hex) to what to say of a
        certificate that is watched; numbers with names beyond `max_pairs` are not looked up, and pictures that are
        left after `scan_ms` are not read."""
        found: dict[int, RowResult] = {}
        first: dict[tuple[str, str, str], int] = {}
        repeated: list[tuple[Question, int]] = []
        plain: list[Question] = []
        pairs: list[Question] = []
        for question in asked.questions:
            nothing = asks_nothing(question, self._now_ms())  # 1
            key = question.link, question.number, question.name
            if nothing is not None:
                found[question.row] = self._result(nothing, lang, changed)
            elif question.picture is None and key in first:  # 2
                repeated.append((question, first[key]))
            else:
                first.setdefault(key, question.row)
                (plain if question.link or question.picture is not None else pairs).append(question)
        progress(len(found))
        at_once = AT_ONCE if asked.pictures is None else PICTURES_AT_ONCE
        began_ms = self._now_ms()
        for start in range(0, len(plain), at_once):  # 3
            some = plain[start : start + at_once]
            late = asked.pictures is not None and scan_ms is not None and self._now_ms() - began_ms >= scan_ms
            if late:
                answers = [self._unasked(question, "hiring_more_pictures") for question in some]
            else:
                answers = await asyncio.gather(*(self._judge(asked, question) for question in some))
            found.update((answer.question.row, self._result(answer, lang, changed)) for answer in answers)
            progress(len(found))
            await asyncio.sleep(0)
        await self._ask_again(asked, plain, found, lang, changed)
        waiting = _Waiting(self._in_vain_s)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):  # 4
            some = pairs[start : start + PAIRS_AT_ONCE]
            answers = await self._by_names(some[: max(0, max_pairs - start)], waiting)
            answers += [self._unasked(question, "hiring_more_names") for question in some[len(answers) :]]
            found.update((answer.question.row, self._result(answer, lang, changed)) for answer in answers)
            progress(len(found))
            await asyncio.sleep(0)
        found.update((question.row, self._same(question.row, found[row], lang)) for question, row in repeated)
        progress(len(found))
        return ListResult(found, self._summary(asked, found))

    async def _ask_again(
        self,
        asked: HiringList,
        plain: Sequence[Question],
        found: dict[int, RowResult],
        lang: str,
        changed: Mapping[str, str] | None,
    ) -> None:
        """The links that one of several logs has left."""
        left = [one for one in plain if one.link and found[one.row].code == Code.UNAVAILABLE]
        if not left or len(self._lookup.logs) == 1:
            return
        await asyncio.sleep(self._again_s)
        for start in range(0, len(left), AT_ONCE):
            answers = await asyncio.gather(*(self._judge(asked, one) for one in left[start : start + AT_ONCE]))
            found.update((answer.question.row, self._result(answer, lang, changed)) for answer in answers)
            await asyncio.sleep(0)

    async def _judge(self, asked: HiringList, question: Question) -> Answer:
        try:
            if question.picture is not None:
                assert asked.pictures is not None, "a picture comes out of an archive"
                data = await asyncio.to_thread(asked.pictures.read, question.picture)
                verdict = await self._lookup.by_file(data)
            else:
                verdict = await self._lookup.by_text(question.link)
        except Malformed:
            verdict = without_item(Code.UNREADABLE, self._now_ms())
        except Unavailable:
            verdict = without_item(Code.UNAVAILABLE, self._now_ms())
        return answered(question, verdict)

    async def _by_names(self, questions: Sequence[Question], waiting: _Waiting) -> list[Answer]:
        if self._names is None:
            return [self._unasked(question, "hiring_no_names") for question in questions]
        clock = asyncio.get_running_loop().time
        pairs, began = [pair_of(question) for question in questions], clock()
        verdicts = await self._names.by_numbers(pairs)
        for pause in self._pauses_s:
            again = [at for at, verdict in enumerate(verdicts) if _may_change(verdict)]
            if not again or pause > waiting.left_s:
                break
            await asyncio.sleep(pause)
            for at, verdict in zip(again, await self._names.by_numbers([pairs[at] for at in again]), strict=True):
                verdicts[at] = verdict
        if any(map(_may_change, verdicts)):
            waiting.left_s -= clock() - began
        return [Answer(question, verdict) for question, verdict in zip(questions, verdicts, strict=True)]

    def _unasked(self, question: Question, why: str) -> Answer:
        return Answer(question, without_item(Code.UNAVAILABLE, self._now_ms()), (why,))

    def _result(self, answer: Answer, lang: str, changed: Mapping[str, str] | None) -> RowResult:
        columns = columns_of(answer, self._messages, lang)
        key = answer.verdict.proof.cert_key if answer.verdict.proof else ""
        if changed and key in changed:
            columns = _explained(columns, changed[key])
        return RowResult(answer.question.row, answer.code.value, columns, key)

    def _same(self, row: int, earlier: RowResult, lang: str) -> RowResult:
        said = say(self._messages.labels["hiring_same"].format(row=earlier.row), lang)
        return RowResult(row, earlier.code, _explained(earlier.columns, said), earlier.cert_key)

    def _summary(self, asked: HiringList, found: Mapping[int, RowResult]) -> Summary:
        header = asked.sheet.header
        lines = [(row.number, asked_texts(row, header), found[row.number].columns) for row in asked.sheet.rows]
        logs = [
            Under(log.trust.origin, verified.size, verified.root, verified.time_ms)
            for log in self._lookup.logs
            if log.replica is not None and (verified := log.replica.verified) is not None
        ]
        codes = [result.code for result in found.values()]
        return summarise(codes, result_digest(lines), logs, self._base, self._now_ms(), self._signer)


def _may_change(verdict: Verdict) -> bool:
    """Whether a pause may bring an answer; where a ledger has none to give or is not asked, it does not."""
    return verdict.code is Code.UNAVAILABLE and not any(why in verdict.findings for why in steps.INDEX_FOR_GOOD)


def _explained(columns: tuple[str, ...], more: str) -> tuple[str, ...]:
    changed = list(columns)
    changed[_EXPLAINED] = f"{columns[_EXPLAINED]}；{more}"
    return tuple(changed)

"""Runs over sheets of people, a few certificates at a time, so that pages are served in between.

    1 nothing    a person without link and number shows no certificate; what cannot be asked is answered without asking
    2 links      the check of every page
    3 numbers    with names: many at a time
    4 twice      a certificate that an earlier person of the sheet showed is left to a person to decide
    5 decide     facts that could not be read are told, and nothing is decided without them

A payroll of a day that is over reads the certificates as they stood at its end (`verifier.eligibility.earlier`).

Nothing is kept: certificates, facts and decisions are gone with the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ledger.errors import Refused
from ledger.records.dates import batch_day
from ledger.text import Text
from verifier.eligibility.certificate import rejected
from verifier.eligibility.earlier import TRACK_VOID, earlier_day
from verifier.eligibility.gathering import Gathered, Gatherer
from verifier.eligibility.offices import decide_person
from verifier.eligibility.pack import Pack
from verifier.eligibility.people import Person
from verifier.eligibility.published import PublishedPack
from verifier.eligibility.results import Answered
from verifier.hiring.checking import AT_ONCE, PAIRS_AT_ONCE
from verifier.hiring.rows import NOT_COMPARED, Answer, answered, asks_nothing, pair_of, whose
from verifier.hiring.sheets import Question
from verifier.verdict import VALID_FAMILY, Code

_TWICE: Final = Text(
    "与第 {row} 行是同一张证书，请人工处理", "the same certificate as in row {row}: a person has to decide"
)
_DECIDED_AT_ONCE: Final = 20


class Runner:
    """Decides sheets of people for one verifier."""

    def __init__(self, gatherer: Gatherer, now_ms: Callable[[], int]) -> None:
        self._gatherer = gatherer
        self._now_ms = now_ms

    async def run(
        self,
        people: Sequence[Person],
        pack: Pack,
        as_of: int,
        progress: Callable[[int], None] = lambda done: None,
        employer: str = "",
    ) -> list[Answered]:
        """An answer for each person, in order. `progress` hears how many rows are checked; `employer`: filing of whose
        wage table the pack is. Raises Refused for a day that the log does not have."""
        day = earlier_day(pack, as_of, batch_day(self._now_ms()))
        known = await self._gatherer.pack(pack, employer)
        checked: dict[int, tuple[Answer, Gathered]] = {}
        links, pairs = list[Question](), list[Question]()
        for person in people:
            for question in person.questions:
                nothing = asks_nothing(question, self._now_ms())  # 1
                if not question.link and not question.number and question.odd is None:
                    continue
                if nothing is not None:
                    checked[question.row] = nothing, Gathered(nothing.verdict, None, rejected(nothing.verdict))
                else:
                    (links if question.link else pairs).append(question)
        for start in range(0, len(links), AT_ONCE):  # 2
            some = links[start : start + AT_ONCE]
            for question, gathered in zip(some, await self._of_links(some, day), strict=True):
                checked[question.row] = _compared(question, gathered)
            progress(len(checked))
            await asyncio.sleep(0)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):  # 3
            some = pairs[start : start + PAIRS_AT_ONCE]
            found = await self._gatherer.of_pairs([pair_of(question) for question in some], day)
            for question, gathered in zip(some, found, strict=True):
                notes = _notes(gathered) if self._gatherer.by_number else ("hiring_no_names",)
                checked[question.row] = Answer(question, gathered.verdict, notes), gathered
            progress(len(checked))
            await asyncio.sleep(0)
        done, shown = list[Answered](), dict[bytes, int]()
        for person in people:
            done.append(self._decided(person, checked, shown, pack, known, as_of))  # 4, 5
            if len(done) % _DECIDED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return done

    async def _of_links(self, some: Sequence[Question], day: int | None) -> list[Gathered]:
        """Of an earlier day one after the other: whoever asks for a map that is being rebuilt takes a place in a short
        queue, and what finds none is `unavailable`."""
        asked = (
            self._gatherer.of_text(question.link, faces=bool(question.name or question.number), day=day)
            for question in some
        )
        return await asyncio.gather(*asked) if day is None else [await each for each in asked]

    def _decided(
        self,
        person: Person,
        checked: dict[int, tuple[Answer, Gathered]],
        shown: dict[bytes, int],
        pack: Pack,
        known: Pack | PublishedPack,
        as_of: int,
    ) -> Answered:
        found = [checked[question.row] for question in person.questions if question.row in checked]
        checks, gathered = tuple(answer for answer, _ in found), [each for _, each in found]
        problems = list(person.problems)
        for answer, each in found:
            if each.certificate is not None:
                row = shown.setdefault(each.certificate.record.cert_key, answer.question.row)
                problems += [_TWICE.format(row=row)] if row != answer.question.row else []
        if problems:
            return Answered(person, checks, None, tuple(problems))
        try:
            return Answered(person, checks, decide_person(gathered, person.facts, known, as_of))
        except Refused as refused:
            label = (
                pack.inputs[refused.field].text if refused.field in pack.inputs else Text(refused.field, refused.field)
            )
            said = Text(f"{label.zh}：{refused.text.zh}", f"{label.en}: {refused.text.en}")
            return Answered(person, checks, None, (said,))


def _compared(question: Question, gathered: Gathered) -> tuple[Answer, Gathered]:
    """A certificate that is registered under another name or number than the row says does not count for it. Whose it
    is, is what is registered now."""
    now = gathered.now or gathered.verdict
    answer = answered(question, now)
    if NOT_COMPARED in answer.notes and gathered.certificate is not None:  # in force then, whatever it is now
        answer = replace(answer, verdict=whose(now))
    if answer.verdict is now:
        return replace(answer, verdict=gathered.verdict, notes=(*answer.notes, *_notes(gathered))), gathered
    return answer, Gathered(answer.verdict, None, rejected(answer.verdict))


def _notes(gathered: Gathered) -> tuple[str, ...]:
    """What a payroll of an earlier day is told besides: keys of the catalogue."""
    now = gathered.now
    if now is None or now is gathered.verdict:
        return ()
    found = [] if now.code in VALID_FAMILY else ["eligibility_since_not_valid"]
    found += [] if gathered.track else [TRACK_VOID]
    return (*found, *(["eligibility_not_logged_then"] if gathered.verdict.code is Code.NOT_FOUND else []))

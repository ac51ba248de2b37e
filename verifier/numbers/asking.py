"""Looks a number up together with a name, and matches an ID tail: the ledger's index says which certificate, the
verifier's own register proves it.

    by_numbers(pairs)            a verdict each, whatever becomes of the others; unknown number and other name are the
                                 same not_found
    tail_of_secret, tail_of      yes, no, or why it cannot be said

Of several logs all that can be are asked, at the same time. Their indexes name a certificate and nothing more: what
becomes of it is judged over all logs, as its link would be. A "no" needs every log: with one of them silent it is
`unavailable`, and where one takes no look-ups from here, or has no answer to this pair, it is so for good, which a
finding says. Nothing that is asked for is kept or logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

from ledger.errors import CertLedgerError, Refused, Unavailable, Unverified
from ledger.records.commitments import FaceOpening
from ledger.records.kinds import CertificateStatus
from ledger.records.secret import cert_key_of, parse_secret
from ledger.text import Text
from ledger.wire import MAX_LOOKUPS, FoundBody, LookupAnswer
from verifier import steps
from verifier.carried import Numbered
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.neighbour import Neighbour
from verifier.register import Logged
from verifier.several import least_favourable
from verifier.verdict import Code, Finding, Source, Verdict, without_item
from verifier.verify import Evidence, verify

_log = logging.getLogger("verifier")
WAIT_S: Final = 5.0  # for one answer of a ledger's index
ALONE_S: Final = 15.0  # for which a ledger that let that pass is asked nothing
TRIES_USED: Final = "TRIES_USED"  # the ledger's code


class Index(Protocol):
    """A ledger that takes our token."""

    async def lookup(self, pairs: Sequence[tuple[str, str]]) -> LookupAnswer: ...

    async def match(self, cert_key: bytes, last4: str) -> bool: ...


class Tail(StrEnum):
    """Whether a holder's ID number ends as typed."""

    SAME = "same"
    OTHER = "other"
    NO_TRIES = "no_tries"  # five were made today
    UNKNOWN = "unknown"  # no ledger answered


@dataclass(frozen=True, slots=True)
class Asked:
    """One log and its ledger's index."""

    log: KnownLog
    index: Index


@dataclass(slots=True)
class _Heard:
    """What the indexes said of one number and name."""

    found: list[tuple[Asked, FoundBody]] = field(default_factory=list)
    silent: bool = False  # one of them did not answer
    unanswered: bool = False  # one of them has no answer to this question


class Numbers:
    """Asks every log of `lookup` that has an index here. Numbers and names come in their normal form. `wait_s`: for one
    answer of one of several; a ledger that let it pass is left alone for `alone_s`."""

    def __init__(
        self,
        asked: Sequence[Asked],
        lookup: Lookup,
        now_ms: Callable[[], int],
        *,
        wait_s: float = WAIT_S,
        alone_s: float = ALONE_S,
    ) -> None:
        assert asked, "at least one ledger whose index may be asked"
        self._asked = tuple(asked)
        self._lookup = lookup
        self._now_ms = now_ms
        self._ledgers = {
            # Where nobody else could answer, the client's own deadlines will do. A refusal that comes at once is no
            # silence: a list asks again in a moment where a ledger takes only so many look-ups a second.
            one.log.trust.origin: Neighbour(
                Text("账本", "the ledger"), now_ms, wait_s=wait_s if len(lookup.logs) > 1 else None, late_s=wait_s / 2,
                alone_ms=round(alone_s * 1000),
            )
            for one in self._asked
        }  # fmt: skip
        self._refused: set[str] = set()  # logs whose ledgers do not take our token; each is told once
        indexed = [asked.log for asked in self._asked]
        self._all_asked = all(log in indexed for log in lookup.logs)

    async def by_number(self, number: str, name: str) -> Verdict:
        return (await self.by_numbers([(number, name)]))[0]

    async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """One verdict for each pair, in order, however many."""
        heard = await self._ask(pairs)
        return [await self._verdict(pair, each) for pair, each in zip(pairs, heard, strict=True)]

    async def tail_of_secret(self, secret_text: str, last4: str) -> Tail:
        """Of the certificate with this secret; the holder of a code has it. Raises Malformed."""
        return await self._tail(cert_key_of(parse_secret(secret_text)), last4)

    async def tail_of(self, number: str, name: str, last4: str) -> Tail:
        """Of the certificate with this number and name."""
        [heard] = await self._ask([(number, name)])
        found = await self._counting((number, name), heard)
        if not found:
            return Tail.UNKNOWN if heard.silent or heard.unanswered or not self._all_asked else Tail.OTHER
        return await self._tail(found[0].cert_key, last4)

    async def _ask(self, pairs: Sequence[tuple[str, str]]) -> list[_Heard]:
        heard = [_Heard() for _ in pairs]
        said = await asyncio.gather(*(self._ask_one(asked, pairs) for asked in self._asked))
        for asked, answers in zip(self._asked, said, strict=True):
            answered = 0
            for answer in answers:
                for at, found in enumerate(answer.found):
                    each = heard[answered + at]
                    if found is not None:
                        each.found.append((asked, found))
                    each.unanswered |= at in answer.unanswered
                answered += len(answer.found)
            for each in heard[answered:]:
                each.silent = True
        return heard

    async def _counting(self, pair: tuple[str, str], heard: _Heard) -> list[FoundBody]:
        """What was found, each once, but for what a log says of a certificate that counts elsewhere and has moved on
        there: its number went to a new one, or its name was corrected. Our own register tells, not what an index lacks.
        """
        if len(self._lookup.logs) == 1:
            return [found for _, found in heard.found]
        named: dict[tuple[bytes, bytes], tuple[FoundBody, list[KnownLog]]] = {}
        for asked, found in heard.found:
            named.setdefault((found.cert_key, found.salt), (found, []))[1].append(asked.log)
        kept = []
        for found, by in named.values():
            held = await self._lookup.holding(found.cert_key)
            if held is None or held[0] in by or not _moved_on(held[1], FaceOpening(found.salt, *pair)):
                kept.append(found)
        return kept

    async def _ask_one(self, asked: Asked, pairs: Sequence[tuple[str, str]]) -> list[LookupAnswer]:
        """What one index says of the first pairs, until it fails."""
        ledger, answers = self._ledgers[asked.log.trust.origin], list[LookupAnswer]()
        for start in range(0, len(pairs), MAX_LOOKUPS):
            try:
                answers.append(await ledger.ask(partial(asked.index.lookup, pairs[start : start + MAX_LOOKUPS])))
            except CertLedgerError as error:
                self._tell(asked, error)
                break
            self._refused.discard(asked.log.trust.origin)
        return answers

    async def _verdict(self, pair: tuple[str, str], heard: _Heard) -> Verdict:
        found = await self._counting(pair, heard)
        if not found:
            if heard.silent:
                return self._unavailable()
            if heard.unanswered or not self._all_asked:
                return self._unavailable(steps.INDEX_NO_ANSWER if heard.unanswered else steps.INDEX_UNASKED)
            return verify(Evidence(Numbered(*pair)), self._asked[0].log.trust, self._now_ms())
        verdicts = []
        for one in found:
            item = Numbered(*pair, one.cert_key, FaceOpening(one.salt, *pair))
            try:
                verdicts.append((await self._lookup.judge(item)).verdict)
            except Unavailable:
                verdicts.append(self._unavailable())
        return least_favourable(verdicts)

    def _unavailable(self, *why: Finding) -> Verdict:
        return without_item(Code.UNAVAILABLE, self._now_ms(), source=Source.INDEX, findings=why)

    async def _tail(self, cert_key: bytes, last4: str) -> Tail:
        """Several logs are believed: those whose answer counts are asked; another one may hold a copy by anybody, with
        any document."""
        outcome, holding = Tail.UNKNOWN, self._asked
        if len(self._lookup.logs) > 1:
            counted = await self._lookup.counted(cert_key)
            holding = tuple(asked for asked in self._asked if asked.log in counted)
        for asked in holding:
            try:
                if await self._ledgers[asked.log.trust.origin].ask(partial(asked.index.match, cert_key, last4)):
                    return Tail.SAME
                outcome = Tail.OTHER
            except Refused as refused:
                return Tail.NO_TRIES if refused.code == TRIES_USED else Tail.UNKNOWN
            except CertLedgerError as error:
                self._tell(asked, error)
                return Tail.UNKNOWN
        return outcome

    def _tell(self, asked: Asked, error: CertLedgerError) -> None:
        """A ledger that does not take our token is for this site's operator to mend, who hears it here alone."""
        origin = asked.log.trust.origin
        if isinstance(error, Unverified) and origin not in self._refused:
            self._refused.add(origin)
            _log.error("the ledger of %s does not take our token, and answers no look-ups", origin)


def _moved_on(logged: Logged, opening: FaceOpening) -> bool:
    return logged.state.status is CertificateStatus.REPLACED or opening.digest() != logged.face

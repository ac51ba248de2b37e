"""Looks a number up together with a name, and matches an ID tail: the ledger's index says which certificate, the
verifier's own register proves it.

    by_numbers(pairs)            a verdict each, whatever becomes of the others; unknown number and other name are the
                                 same not_found
    tail_of_secret, tail_of      yes, no, or why it cannot be said

Of several logs all are asked. A "no" needs every one of them: with one of them silent it is `unavailable`, and where a
ledger has no answer to this pair it is so for good, which a finding says. Nothing that is asked for is kept or logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from ledger.errors import CertLedgerError, Refused, Unavailable, Unverified
from ledger.records.commitments import FaceOpening
from ledger.records.secret import cert_key_of, parse_secret
from ledger.wire import MAX_LOOKUPS, FoundBody, LookupAnswer
from verifier import steps
from verifier.carried import Numbered
from verifier.known_log import KnownLog
from verifier.several import least_favourable
from verifier.verdict import Code, Source, Verdict, without_item
from verifier.verify import Evidence, verify

_log = logging.getLogger("verifier")
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


Counted = Callable[[bytes], Awaitable[Collection[KnownLog]]]


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
    """Asks every log that has an index. Numbers and names come in their normal form. `counted`: where several logs are
    believed, those whose answer counts for a certificate; another one may hold a copy by anybody, with any document."""

    def __init__(self, asked: Sequence[Asked], now_ms: Callable[[], int], counted: Counted | None = None) -> None:
        assert asked, "at least one ledger whose index may be asked"
        self._asked = tuple(asked)
        self._now_ms = now_ms
        self._counted = counted
        self._refused: set[str] = set()  # logs whose ledgers do not take our token; each is told once

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
        if not heard.found:
            return Tail.UNKNOWN if heard.silent or heard.unanswered else Tail.OTHER
        return await self._tail(heard.found[0][1].cert_key, last4)

    async def _ask(self, pairs: Sequence[tuple[str, str]]) -> list[_Heard]:
        heard = [_Heard() for _ in pairs]
        for asked in self._asked:
            for start in range(0, len(pairs), MAX_LOOKUPS):
                some = heard[start : start + MAX_LOOKUPS]
                try:
                    answer = await asked.index.lookup(pairs[start : start + MAX_LOOKUPS])
                except CertLedgerError as error:
                    self._tell(asked, error)
                    for each in heard[start:]:
                        each.silent = True
                    break
                self._refused.discard(asked.log.trust.origin)
                for at, (each, found) in enumerate(zip(some, answer.found, strict=True)):
                    each.unanswered |= at in answer.unanswered
                    if found is not None:
                        each.found.append((asked, found))
        return heard

    async def _verdict(self, pair: tuple[str, str], heard: _Heard) -> Verdict:
        if not heard.found:
            if heard.silent or heard.unanswered:
                why = (steps.INDEX_NO_ANSWER,) if heard.unanswered else ()
                return without_item(Code.UNAVAILABLE, self._now_ms(), source=Source.INDEX, findings=why)
            return verify(Evidence(Numbered(*pair)), self._asked[0].log.trust, self._now_ms())
        verdicts = []
        for asked, one in heard.found:
            item = Numbered(*pair, one.cert_key, FaceOpening(one.salt, *pair))
            try:
                answer = await asked.log.answer(item)
            except Unavailable:
                verdicts.append(without_item(Code.UNAVAILABLE, self._now_ms(), source=Source.INDEX))
                continue
            evidence = Evidence(item, answer.register, refuted=answer.refuted)
            verdicts.append(verify(evidence, asked.log.trust, self._now_ms()))
        return least_favourable(verdicts)

    async def _tail(self, cert_key: bytes, last4: str) -> Tail:
        outcome, holding = Tail.UNKNOWN, self._asked
        if self._counted is not None:
            counted = await self._counted(cert_key)
            holding = tuple(asked for asked in self._asked if asked.log in counted)
        for asked in holding:
            try:
                if await asked.index.match(cert_key, last4):
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

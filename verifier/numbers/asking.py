"""Looks a number up together with a name, and matches an ID tail: the ledger's index says which certificate, the
verifier's own register proves it.

    by_numbers(pairs)            a verdict each; unknown number and other name are the same not_found
    tail_of_secret, tail_of      yes, no, or why it cannot be said

Of several logs all are asked. A "no" needs every one of them: with one of them silent it is `unavailable`. Nothing that
is asked for is kept or logged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from ledger.errors import CertLedgerError, Refused
from ledger.records.commitments import FaceOpening
from ledger.records.secret import cert_key_of, parse_secret
from ledger.wire import MAX_LOOKUPS, FoundBody
from verifier.carried import Numbered
from verifier.known_log import KnownLog
from verifier.several import least_favourable
from verifier.verdict import Code, Source, Verdict, without_item
from verifier.verify import Evidence, verify

TRIES_USED: Final = "TRIES_USED"  # the ledger's code


class Index(Protocol):
    """A ledger that takes our token."""

    async def lookup(self, pairs: Sequence[tuple[str, str]]) -> list[FoundBody | None]: ...

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


class Numbers:
    """Asks every log that has an index. Numbers and names come in their normal form."""

    def __init__(self, asked: Sequence[Asked], now_ms: Callable[[], int]) -> None:
        assert asked, "at least one ledger whose index may be asked"
        self._asked = tuple(asked)
        self._now_ms = now_ms

    async def by_number(self, number: str, name: str) -> Verdict:
        return (await self.by_numbers([(number, name)]))[0]

    async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """One verdict for each pair, in order, however many."""
        found, silent = await self._found(pairs)
        return [await self._verdict(pair, each, silent) for pair, each in zip(pairs, found, strict=True)]

    async def tail_of_secret(self, secret_text: str, last4: str) -> Tail:
        """Of the certificate with this secret; the holder of a code has it. Raises Malformed."""
        return await self._tail(cert_key_of(parse_secret(secret_text)), last4)

    async def tail_of(self, number: str, name: str, last4: str) -> Tail:
        """Of the certificate with this number and name."""
        [found], silent = await self._found([(number, name)])
        if not found:
            return Tail.UNKNOWN if silent else Tail.OTHER
        return await self._tail(found[0][1].cert_key, last4)

    async def _found(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[tuple[Asked, FoundBody]]], bool]:
        """For each pair what the indexes have, and whether one of them did not answer."""
        found: list[list[tuple[Asked, FoundBody]]] = [[] for _ in pairs]
        silent = False
        for asked in self._asked:
            try:
                for start in range(0, len(pairs), MAX_LOOKUPS):
                    answers = await asked.index.lookup(pairs[start : start + MAX_LOOKUPS])
                    for at, answer in enumerate(answers, start):
                        if answer is not None:
                            found[at].append((asked, answer))
            except CertLedgerError:
                silent = True
        return found, silent

    async def _verdict(self, pair: tuple[str, str], found: Sequence[tuple[Asked, FoundBody]], silent: bool) -> Verdict:
        if not found:
            if silent:
                return without_item(Code.UNAVAILABLE, self._now_ms(), source=Source.INDEX)
            return verify(Evidence(Numbered(*pair)), self._asked[0].log.trust, self._now_ms())
        verdicts = []
        for asked, one in found:
            item = Numbered(*pair, one.cert_key, FaceOpening(one.salt, *pair))
            answer = await asked.log.answer(item)
            evidence = Evidence(item, answer.register, refuted=answer.refuted)
            verdicts.append(verify(evidence, asked.log.trust, self._now_ms()))
        return least_favourable(verdicts)

    async def _tail(self, cert_key: bytes, last4: str) -> Tail:
        holding = [asked for asked in self._asked if await asked.log.holds(cert_key)]
        outcome = Tail.UNKNOWN
        for asked in holding or self._asked:
            try:
                if await asked.index.match(cert_key, last4):
                    return Tail.SAME
                outcome = Tail.OTHER
            except Refused as refused:
                return Tail.NO_TRIES if refused.code == TRIES_USED else Tail.UNKNOWN
            except CertLedgerError:
                return Tail.UNKNOWN
        return outcome

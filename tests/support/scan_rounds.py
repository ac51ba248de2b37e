"""Revoke, end every program, start it again, scan: rounds of certificates against real processes, from one seed.

    async with Rounds.open(folder, seed, people=105) as rounds:       `few=True`: without witnesses and what they need
        await rounds.round(100, kept=5)
    rounds.counts, rounds.violations

One round, numbered:

    1 issued     by the product's HTTP, and scanned valid at both verifiers; every holder keeps a bundle of now
    2 revoked    one by one, in lists, over ranges, by the body or the authority, for drawn reasons; some are suspended
                 and restored before. Meanwhile, at a drawn moment, every program is ended, some by SIGKILL
    3 started    all of them, in a drawn order, and scanned before the others are there. What had no answer is sent
                 again until it has one
    4 turned     every verifier says of each certificate what the log says
    5 restarted  every program is ended once more and started again, and every certificate is scanned at every verifier,
                 with the bundle of before too, and some of earlier rounds

The verifier over a replica is scanned all the time, by page, API and bundle, also while programs end and start. What is
a violation is `scan_judge`'s to say.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import aiohttp

from ledger.client import LedgerClient
from ledger.errors import Unavailable, Unverified
from ledger.records.bundle import format_bundle
from ledger.records.evidence import parse_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Range, Ruling, Whom
from ledger.records.secret import format_secret
from ledger.records.statements import issuer_entry
from ledger.wire import MAX_SUBMISSIONS, BareSubmission, Logged
from tests.support.builders import Body, Certificate
from tests.support.live_ledger import distinct, drafted, live_body, today
from tests.support.live_verifier import LiveVerifier
from tests.support.scan_judge import IN_FORCE, Act, Answer, judge, turned
from tests.support.scan_programs import Programs
from verifier.trust import FRESHNESS_S, SKEW_S
from verifier.verdict import Code

Chain: TypeAlias = list[list[Act]]  # requests, each after the one before was answered
LIMIT_S: Final = float(FRESHNESS_S + SKEW_S)
_GO_ON_S: Final = 1800.0  # until programs that have all of them again must have answered, however busy the machine
_ANSWER_S: Final = 60.0
_ACT_S: Final = (
    0.02  # of sending for each certificate, before the programs end: some before the first, some after the last
)
_PAUSE_S: Final = 0.2  # before those are scanned again that have not turned
_SCANS_PER_S: Final = 5
_CLIENTS: Final = 4
_AT_ONCE: Final = 8  # scans of different certificates
_OLD: Final = 40
_WAYS: Final = ("one by one", "one by one", "in a list", "over a range", "by turns")
_BY_AUTHORITY: Final = 0.3
_REASONS: Final = (Reason.ISSUED_IN_ERROR, Reason.FRAUD, Reason.IRREGULAR_ASSESSMENT, Reason.OUT_OF_SCOPE, Reason.OTHER)
_PAGE: Final = re.compile(rb'<div id="own"[^>]* data-code="(\w+)"[^>]* data-size="(\d+)"')
_FORMS: Final = ("page", "text", "bundle")


@dataclass(eq=False)
class Held:
    """One certificate on its way, and all answers about it, each verifier's one after the other."""

    certificate: Certificate
    index: int
    link: str
    bundle: bytes
    acts: list[Act] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def has_turned(self, verifier: str, since: float) -> bool:
        """Whether it says what the log says, in an answer asked after `since`."""
        told = (one for one in reversed(self.answers) if one.verifier == verifier and one.says and one.asked > since)
        return turned(self.acts, next(told, None))


@dataclass
class Rounds:
    programs: Programs
    body: Body
    labels: list[str]
    draw: random.Random
    session: aiohttp.ClientSession
    counts: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)  # the same in words
    turn_s: float = 0.0  # the longest from an acknowledgement until a verifier said so, restarts included
    old: list[Held] = field(default_factory=list)  # of earlier rounds
    _floor: int = 0  # the largest size that the verifier over a replica has shown out of it

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, seed: int, people: int, **how: Any) -> AsyncIterator[Self]:
        draw, name = random.Random(seed), f"scans{seed}"
        programs = await Programs.create(folder, name, **how)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
            rounds = cls(programs, live_body(name), distinct(name, people), draw, session)
            try:
                await programs.start(draw)
                await rounds._file()
                yield rounds
            finally:
                await programs.end(draw, killed=1.0)

    # ---- one round --------------------------------------------------------------------------------------------------

    async def round(self, count: int, *, kept: int) -> None:
        """`count` sequences, and `kept` certificates that stay in force. What was wrong is in `violations`."""
        held = await self._issue(count + kept)  # 1
        again = held + self.draw.sample(self.old, min(_OLD, len(self.old)))
        watching = asyncio.create_task(self._watch(again))
        try:
            await self._turn(held)
            chains = self._chains(held[:count])
            sending = asyncio.create_task(self._send_all(chains, once=True))  # 2
            await asyncio.sleep(self.draw.uniform(0.0, _ACT_S * count))
            await self.programs.end(self.draw)
            await sending
            acts = [act for chain in chains for request in chain for act in request]
            self.counts["acknowledged before the end"] += sum(act.acked is not None for act in acts)
            self.counts["unanswered at the end"] += sum(act.sent is not None and act.acked is None for act in acts)
            await self.programs.start(self.draw)  # 3
            await self._send_all(chains, once=False)
            await self._turn(held)  # 4
            await self.programs.end(self.draw)  # 5
            await self.programs.start(self.draw)
            await self._turn(again)
            for form in ("page", "bundle"):
                await self._scan_all(again, form)
            if self.programs.light:
                await self._light_bundle(self.programs.light, self.draw.choice(held[:count]))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        self._judge(again)
        self.counts += Counter({"sequences": count, "kept in force": kept, "statements": len(acts)})
        self.old += held[:count]

    async def _file(self) -> None:
        async with asyncio.timeout(_GO_ON_S):
            while True:
                try:
                    await self.programs.live.file(self.body)
                    return
                except Unavailable:  # its witnesses do not answer yet
                    await asyncio.sleep(0.1)

    async def _issue(self, count: int) -> list[Held]:
        labels, self.labels = self.labels[:count], self.labels[count:]
        assert len(labels) == count, "no people are left"
        held: list[Held] = []
        async with self.programs.live.client(self.body) as client:
            for at in range(0, count, MAX_SUBMISSIONS):
                made = await drafted(client, self.body, *labels[at : at + MAX_SUBMISSIONS])
                receipt = await client.submit([one.submission() for one in made])
                for one, answer in zip(made, receipt.answers, strict=True):
                    assert isinstance(answer, Logged), answer
                    evidence = parse_evidence(await client.evidence(one.issue.cert_key))
                    link = f"{self.programs.verifier.url}/c/{format_secret(one.secret)}"
                    held.append(Held(one, answer.index, link, format_bundle(one.bundle(evidence))))
        return held

    def _judge(self, held: Sequence[Held]) -> None:
        for one in held:
            found = judge(one.acts, one.answers, LIMIT_S)
            self.violations += Counter(rule for rule, _ in found)
            acts = [(act.kind.name.lower(), act.index) for act in one.acts]
            self.found += [f"{rule}: {answer} where the log says {acts}" for rule, answer in found]
            denials = {a.verifier: a for a in reversed(one.answers) if a.says not in (None, IN_FORCE)}
            one.answers = sorted(denials.values(), key=lambda answer: answer.asked)  # the first of each, for later

    # ---- what is stated ---------------------------------------------------------------------------------------------

    def _chains(self, held: Sequence[Held]) -> list[Chain]:
        """Everything that ends these certificates, in the order of the log: requests that follow each other, and chains
        that may overtake each other."""
        chains: list[Chain] = []
        rest = list(held)
        while rest:
            way = self.draw.choice(_WAYS)
            some = [rest.pop(0) for _ in range(min(len(rest), 1 if way == "by turns" else self.draw.randint(1, 6)))]
            self.counts[f"ended {way}"] += len(some)
            authority = self.draw.random() < _BY_AUTHORITY
            if way == "by turns":
                kinds = [Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE]
                chains.append(
                    [[self._act(kind, some)] for kind in kinds[:2]] + [[self._act(kinds[2], some, authority)]]
                )
            elif way == "one by one":
                acts = [self._act(Kind.REVOKE, [one], authority) for one in some]
                chains += [[[act]] for act in acts] if authority else [[acts]]
            else:
                chains.append([[self._act(Kind.REVOKE, some, authority, over=way == "over a range")]])
        self.draw.shuffle(chains)
        return chains

    def _act(self, kind: Kind, some: Sequence[Held], by_authority: bool = False, *, over: bool = False) -> Act:
        number = self.body.filing.number
        whom: Whom = Listed(tuple(sorted(one.certificate.issue.cert_key for one in some)))
        if over:
            whom = Range(number, some[0].index, some[-1].index)
        reason = Reason.CLEARED if kind is Kind.RESTORE else self.draw.choice(_REASONS)
        ruling = Ruling(kind, whom, reason, today(), "" if by_authority else number)
        if by_authority:
            entry = self.programs.live.authority.sign(ruling).entry
        else:
            entry = issuer_entry(ruling, self.body.record)
        self.counts["statements of the authority"] += by_authority
        act = Act(kind, entry, by_authority)
        for one in some:
            one.acts.append(act)
        return act

    async def _send_all(self, chains: Sequence[Chain], *, once: bool) -> None:
        """Every request until it has its answers; with `once` a client gives up at the first that has none."""
        waiting = iter([chain for chain in chains if any(act.acked is None for act in chain[-1])])

        async def work(client: LedgerClient) -> None:
            for chain in waiting:
                for request in chain:
                    while any(act.acked is None for act in request):
                        try:
                            await self._send(client, request)
                        except (Unavailable, Unverified):
                            self.counts["requests without an answer"] += 1
                            if once:
                                return
                            await asyncio.sleep(0.1)

        async with (
            asyncio.timeout(_GO_ON_S),
            self.programs.live.client(self.body) as client,
            asyncio.TaskGroup() as all_,
        ):
            for _ in range(_CLIENTS):
                all_.create_task(work(client))

    async def _send(self, client: LedgerClient, request: Sequence[Act]) -> None:
        for act in request:
            act.sent = act.sent or time.monotonic()
        if request[0].by_authority:
            receipt = await client.submit_authority(request[0].entry)
        else:
            receipt = await client.submit([BareSubmission(act.entry) for act in request])
        for act, answer in zip(request, receipt.answers, strict=True):
            assert isinstance(answer, Logged), answer
            act.acked, act.index = time.monotonic(), answer.index

    # ---- scans ------------------------------------------------------------------------------------------------------

    async def _watch(self, held: Sequence[Held]) -> None:
        """Scan at random for ever."""
        while True:
            await self._scan(self.draw.choice(held), self.draw.choice(_FORMS))
            await asyncio.sleep(1 / _SCANS_PER_S)

    async def _scan_all(self, held: Sequence[Held], form: str) -> None:
        waiting = iter(held)

        async def work() -> None:
            for one in waiting:
                await self._scan(one, form)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def _turn(self, held: Sequence[Held]) -> None:
        """Until both verifiers say of each what the log says. Raises TimeoutError when one never does."""
        since = time.monotonic()
        async with asyncio.timeout(_GO_ON_S):
            while left := [one for one in held if not one.has_turned("replica", since)]:
                await self._scan_all(left, "text")
                await asyncio.sleep(_PAUSE_S)
            light = self.programs.light
            while light and (left := [one for one in held if not one.has_turned("light", since)]):
                await self._light(light, left)
        for one in held:
            acked = one.acts[-1].acked if one.acts else None
            if acked is not None and acked < since:
                first = next(told for told in one.answers if told.asked > acked and turned(one.acts, told))
                self.turn_s = max(self.turn_s, first.answered - acked)

    async def _scan(self, one: Held, form: str) -> None:
        """One scan by the verifier over a replica."""
        url = self.programs.verifier.url
        async with one.asking:
            floor, asked = self._floor, time.monotonic()
            try:
                if form == "page":
                    code, size = await self._page(one.link)
                else:
                    headers = {"Content-Type": "application/cbor"} if form == "bundle" else {}
                    what: dict[str, Any] = {"data": one.bundle} if form == "bundle" else {"json": {"text": one.link}}
                    async with self.session.post(f"{url}/v1/verify", headers=headers, **what) as answer:
                        answer.raise_for_status()
                        code, size = _told(await answer.json())
            except (aiohttp.ClientError, TimeoutError):
                self.counts["scans without an answer"] += 1
                return
            self._note(one, Answer("replica", code, asked, time.monotonic(), size, floor), form)
            if form != "bundle":
                self._floor = max(self._floor, size or 0)

    async def _page(self, link: str) -> tuple[str, int | None]:
        async with self.session.get(link) as answer:
            answer.raise_for_status()
            page = await answer.read()
        told = _PAGE.search(page)
        if told is not None:
            return told[1].decode(), int(told[2])
        assert b'class="band good"' not in page, "a green page that does not say what it rests on"
        return Code.UNAVAILABLE.value, None  # or stale: a page without a proof does not name its code

    async def _light(self, light: LiveVerifier, held: Sequence[Held]) -> None:
        """One list, checked by a process without a replica."""
        asked = time.monotonic()
        codes = await asyncio.to_thread(light.check_list, [one.link for one in held])
        for one, code in zip(held, codes, strict=True):
            self._note(one, Answer("light", code, asked, time.monotonic(), proof=True), "list")

    async def _light_bundle(self, light: LiveVerifier, one: Held) -> None:
        """The bundle of before, checked by a process without a replica."""
        file = light.folder / "bundle.cbor"
        file.write_bytes(one.bundle)
        asked = time.monotonic()
        code, size = _told(await asyncio.to_thread(light.check, file))
        self._note(one, Answer("light", code, asked, time.monotonic(), size, proof=True), "bundle, no replica")

    def _note(self, one: Held, answer: Answer, form: str) -> None:
        one.answers.append(answer)
        self.counts[f"scans by {form}"] += 1
        self.counts[f"{answer.verifier}: {answer.code}"] += 1


def _told(verdict: dict[str, Any]) -> tuple[str, int | None]:
    proof = verdict["proof"]
    return verdict["code"], proof["size"] if proof else None

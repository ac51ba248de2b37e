"""Payers that race each other for the same benefits over HTTP, on a real ledger process of either store.

claiming = await Claiming.begin(folder, keys=200, payers=5, store="", owner="")      certificates, filings, a pack
told = await claiming.race(copies=500, kills=0)         every copy of every claim is answered; what was reserved
told = await claiming.race(copies=500, connections=500) the same, each copy a request on a connection of its own: all
                                                        those of one certificate at once, then of the next
told = await claiming.pay(stop=100)                     a run of payments, with revocations inside of it
told = await claiming.check()                           the stopped log, replayed; raises AssertionError for what is off
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ledger.client import LedgerClient, Pending
from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.claim import Claim
from ledger.records.claim_state import ClaimState
from ledger.records.kinds import ClaimStatus, Kind
from ledger.records.refusals import Refusal
from ledger.records.seal import is_seal
from ledger.records.statements import Statement, parse_statement
from ledger.service.config import LedgerSettings
from ledger.settings import load_settings
from ledger.store.claims import claim_states, last_claims
from ledger.store.fsck import fsck
from ledger.store.integrate import Integrator
from ledger.store.opening import open_store
from ledger.store.sqlite import create_sqlite
from ledger.wire import AnySubmission, BareSubmission, Logged
from tests.support.builders import Body, Certificate, ruling
from tests.support.claims import MadeClaim, asked, claim, make_pack, make_payer, payment
from tests.support.live_ledger import MAP_DEPTH, LiveLedger, distinct, drafted, live_body, today

_ASKED_EACH: Final = 2  # vouchers of a payer for one certificate; its copies share them
_CUT: Final = 100  # statements of one request
_AT_ONCE: Final = 3  # requests of one payer
_WAIT_S: Final = 0.2


@dataclass
class Claiming:
    """One log, its payers, and everything that they were told."""

    live: LiveLedger
    body: Body
    payers: list[Body]
    certificates: dict[str, Certificate]
    random: random.Random
    reserved: dict[str, MadeClaim] = field(default_factory=dict)  # certificate's label -> the claim that won
    answers: dict[bytes, int | str] = field(default_factory=dict)  # entry -> index, or code of its refusal
    revoked: dict[str, int] = field(default_factory=dict)  # label -> index
    in_flight: int = 0  # requests that wait for their answer
    in_flight_at_most: int = 0

    @classmethod
    async def begin(
        cls, folder: Path, *, keys: int, payers: int, store: str = "", owner: str = "", seed: int = 0
    ) -> Claiming:
        chosen = {"store": store, "store_owner": owner} if store else {}
        live = LiveLedger.create(folder, "claiming", **chosen)
        live.start()
        body = live_body("claiming")
        dates: dict[str, Any] = {"first_day": today() - 9, "last_day": today() + 400}
        filed = [make_payer(f"p{at}", number=f"Z00005100{at:04}", **dates) for at in range(payers)]
        for one in (body, *filed):
            await live.file(one)
        labels = distinct("claiming", keys)
        async with live.client(body) as client:
            await client.submit_authority(live.authority.sign(make_pack()).entry)
            certificates = dict(zip(labels, await drafted(client, body, *labels), strict=True))
            submissions = [one.submission() for one in certificates.values()]
            for at in range(0, len(submissions), _CUT):
                receipt = await client.submit(submissions[at : at + _CUT])
                assert all(isinstance(answer, Logged) for answer in receipt.answers)
        return cls(live, body, filed, certificates, random.Random(seed))

    async def race(self, copies: int, *, kills: int = 0, connections: int = 0) -> dict[str, Any]:
        """`copies` claims on every certificate, dealt to the payers, all under way together. With `kills` the ledger
        is killed that often meanwhile, and whoever got no answer asks again."""
        made = [await self._made(payer, copies // len(self.payers)) for payer in self.payers]
        how = {"cut": 1, "at_once": connections // len(self.payers)} if connections else {}
        if connections:
            order = {label: at for at, label in enumerate(self.certificates)}
            for own in made:
                own.sort(key=lambda one: order[one[0]])
        tasks = [
            asyncio.create_task(self._send(payer, [one.submission for _, one in own], **how))
            for payer, own in zip(self.payers, made, strict=True)
        ]
        for _ in range(kills):
            before = len(self.answers)
            while len(self.answers) < before + 2 * _CUT and not all(task.done() for task in tasks):
                await asyncio.sleep(0.01)
            await asyncio.sleep(self.random.uniform(0, 0.1))
            assert self.live.kill() == -9
            self.live.start()
        await asyncio.gather(*tasks)
        codes: Counter[str] = Counter()
        for own in made:
            for label, one in own:
                answer = self.answers[one.statement.entry]
                codes["reserved" if isinstance(answer, int) else answer] += 1
                if isinstance(answer, int):
                    assert label not in self.reserved, f"{label} is reserved twice"
                    self.reserved[label] = one
        assert self.reserved.keys() == self.certificates.keys(), "a certificate is not reserved"
        told = {"statements": sum(map(len, made)), "answers": dict(codes), "kills": kills}
        return told | {"connections": connections, "in_flight_at_most": self.in_flight_at_most}

    async def pay(self, stop: int) -> dict[str, Any]:
        """Every payer pays what it reserved, while `stop` of the certificates are revoked or suspended."""
        stopped = self.random.sample(sorted(self.certificates), stop)
        by_payer = {payer.filing.number: payer for payer in self.payers}
        runs: dict[str, list[AnySubmission]] = {number: [] for number in by_payer}
        for one in self.reserved.values():
            number = one.statement.envelope.issuer
            runs[number].append(payment(by_payer[number], one, day=today()))
        for run in runs.values():
            self.random.shuffle(run)
        rulings = {
            label: self.body.sign(
                ruling(self.random.choice((Kind.REVOKE, Kind.SUSPEND)), self.certificates[label], day=today())
            )
            for label in stopped
        }
        stops = [BareSubmission(one.entry) for one in rulings.values()]
        await asyncio.gather(
            self._send(self.body, stops, cut=4, at_once=1),
            *(self._send(by_payer[number], run, cut=4, at_once=1) for number, run in runs.items() if run),
        )
        self.revoked = {label: _index(self.answers[one.entry]) for label, one in rulings.items()}
        codes = Counter(
            "paid" if isinstance(self.answers[one.entry], int) else str(self.answers[one.entry])
            for run in runs.values()
            for one in run
        )
        assert codes.keys() <= {"paid", Refusal.NOT_IN_FORCE.value}, codes
        return {"payments": dict(codes), "stopped": stop}

    async def check(self) -> dict[str, Any]:
        """The log as its store has it after a stop: replayed, it gives the same claims, and every promise holds."""
        settings = load_settings(LedgerSettings, self.live.folder / "ledger.toml")
        store = await open_store(settings.store, self.live.folder, private=True, read_only=True)
        again = create_sqlite(self.live.folder / "again.db", private=False)
        try:
            with ThreadPoolExecutor(2) as workers:
                problems = await fsck(store, again, workers)  # replays every entry into `again`, and compares
            assert problems == [], problems
            replayed, own = await Integrator.open(again), await Integrator.open(store)
            assert replayed.depth == MAP_DEPTH and replayed.map.root == own.map.root
            statements = {at: parse_statement(entry) for at, entry in await _entries(again, replayed.size)}
            return await self._judge(replayed, own, statements)
        finally:
            await store.close()
            await again.close()

    async def _judge(self, replayed: Integrator, own: Integrator, statements: dict[int, Statement]) -> dict[str, Any]:
        for entry, answer in self.answers.items():
            if isinstance(answer, int):
                assert statements[answer].entry == entry, "an acknowledged statement is not where it was said to be"
        claims = {one.leaf_hash: one for one in statements.values() if one.kind is Kind.CLAIM}
        leaves = list(claims)
        states = await claim_states(replayed, leaves)
        assert states == await claim_states(own, leaves)
        holding = {leaf: state for leaf, state in states.items() if state.takes(today())}
        assert holding.keys() == {one.leaf for one in self.reserved.values()}
        taken: Counter[bytes] = Counter()
        for leaf in holding:
            body = claims[leaf].body
            assert isinstance(body, Claim)
            taken.update(body.nullifiers)
        assert set(taken.values()) == {1}, "a nullifier is taken twice"
        assert await last_claims(replayed, list(taken)) == await last_claims(own, list(taken))
        self._judge_payments(states)
        return {
            "leaves": replayed.size,
            "claims_on_the_log": len(claims),
            "reserved_or_paid": len(holding),
            "nullifiers_taken": len(taken),
            "map_root": replayed.map.root.hex(),
        }

    def _judge_payments(self, states: dict[bytes, ClaimState]) -> None:
        for label, one in self.reserved.items():
            state = states[one.leaf]
            if state.status is ClaimStatus.PAID and label in self.revoked:
                assert state.event_index < self.revoked[label], "paid after the index of a revocation"

    async def _made(self, payer: Body, copies: int) -> list[tuple[str, MadeClaim]]:
        """Claims of one payer, each with a salt of its own, in an order of its own."""
        found = []
        async with self.live.client(payer) as client:
            for label, certificate in self.certificates.items():
                question = asked(certificate, label, day=today())
                vouchers = [await client.nullifiers(question) for _ in range(_ASKED_EACH)]
                for at in range(copies):
                    nullifiers, voucher = vouchers[at % _ASKED_EACH]
                    name = f"{payer.filing.number} {label} {at}"
                    one = claim(payer, question.cert_key, nullifiers, label=name, day=today())
                    found.append((label, replace(one, voucher=voucher)))
        self.random.shuffle(found)
        return found

    async def _send(
        self, by: Body, submissions: Sequence[AnySubmission], *, cut: int = _CUT, at_once: int = _AT_ONCE
    ) -> None:
        """Get an answer to each, whatever happens to the ledger meanwhile."""
        waiting = [submissions[at : at + cut] for at in range(0, len(submissions), cut)]
        waiting.reverse()

        async def work() -> None:
            async with self.live.client(by) as client:
                while waiting:
                    await self._answered(client, waiting.pop())

        await asyncio.gather(*(work() for _ in range(at_once)))

    async def _answered(self, client: LedgerClient, some: Sequence[AnySubmission]) -> None:
        while True:
            self.in_flight += 1
            self.in_flight_at_most = max(self.in_flight_at_most, self.in_flight)
            try:
                receipt = await client.submit(some)
                break
            except (Pending, Unavailable, Unverified):
                await asyncio.sleep(_WAIT_S)
            finally:
                self.in_flight -= 1
        for one, answer in zip(some, receipt.answers, strict=True):
            told = answer.code if isinstance(answer, Refused) else answer.index
            assert self.answers.setdefault(one.entry, told) == told


def _index(answer: int | str) -> int:
    assert isinstance(answer, int), answer
    return answer


async def _entries(store: Any, size: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    for at in range(0, size, 1024):
        entries = await store.entries(at, min(at + 1024, size))
        found += [(at + place, entry) for place, entry in enumerate(entries) if not is_seal(entry)]
    return found

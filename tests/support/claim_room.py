"""A running log in one process with payers and a pack on it, for tests of claims.

async with room.open(): claims = await ClaimRoom.begin(room)
made = await claims.ask(payer, asked(certificate, "person"))     nullifiers, and the claim that they allow
await claims.put(payer, made.submission)                         indexes, and codes of refusals
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from ledger.errors import Refused
from ledger.records.statements import Statement
from ledger.service.admission import Candidate
from ledger.service.claims import ClaimsDesk, ask
from ledger.service.lookups import Lookups
from ledger.service.private_index import PrivateIndex
from ledger.wire import AnySubmission, Asked, submission_body
from tests.support.builders import DAY, Body, octets
from tests.support.claims import MadeClaim, claim, make_pack, make_payer
from tests.support.service_room import AUTHORITY, EXAMINER, Room


class ClaimRoom:
    """A running log in one process with a payer and a pack on it; begin with `begin`, inside of `room.open()`."""

    def __init__(self, room: Room) -> None:
        self.room = room
        requesters: Any = None  # of HTTP
        index = PrivateIndex(octets("index"), Random(1).randbytes)  # the room's keys
        self.desk = ClaimsDesk.open(
            Lookups(index, room.store, room.sequencer.integrator, lambda: room.sequencer.integrator.size),
            requesters,
            EXAMINER.lineage_of,
        )

    @classmethod
    async def begin(cls, room: Room, *payers: Body) -> ClaimRoom:
        self = cls(room)
        filings = [AUTHORITY.sign(payer.filing) for payer in payers or (make_payer(),)]
        for statement in (*filings, AUTHORITY.sign(make_pack())):
            assert isinstance(await self.put_authority(statement), int)
        return self

    async def put_authority(self, statement: Statement) -> int | Refused:
        authority = self.room.sequencer.integrator.authority
        assert authority is not None
        examined = EXAMINER.examine_authority(statement.entry, authority)
        assert isinstance(examined.outcome, Candidate), examined.outcome
        (outcome,) = await self.room.sequencer.put([examined.outcome])
        return outcome

    async def examined(self, by: Body, *submissions: AnySubmission) -> list[Candidate | Refused]:
        integrator = self.room.sequencer.integrator
        filing = await integrator.filing(by.filing.number)
        assert filing is not None and integrator.authority is not None
        bodies = [submission_body(one) for one in submissions]
        return [each.outcome for each in EXAMINER.examine(bodies, filing, integrator.authority)]

    async def put(self, by: Body, *submissions: AnySubmission) -> list[int | str]:
        """Indexes, and the codes of refusals."""
        outcomes = await self.examined(by, *submissions)
        settled = iter(await self.room.sequencer.put([one for one in outcomes if isinstance(one, Candidate)]))
        final = [next(settled) if isinstance(one, Candidate) else one for one in outcomes]
        return [one.code if isinstance(one, Refused) else one for one in final]

    async def ask(self, payer: Body, question: Asked, *, label: str = "claim", day: int = DAY) -> MadeClaim:
        """Nullifiers, and the claim that they allow; its `voucher` is what it is submitted with."""
        filing = await self.room.sequencer.integrator.filing(payer.filing.number)
        assert filing is not None
        nullifiers, voucher = await ask(self.desk, filing, question, day)
        made = claim(payer, question.cert_key, nullifiers, label=label, day=day, pack=question.pack)
        return replace(made, voucher=voucher)

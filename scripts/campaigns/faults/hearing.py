"""A witness that keeps every checkpoint it was ever sent, and loses a request or only its answer when told."""

from __future__ import annotations

from aiohttp import web

from campaigns.faults.oracle import Oracle, Unreadable
from campaigns.faults.stores import Fault
from ledger.tlog.add_checkpoint import parse_add_checkpoint
from tests.support.fake_witness import FakeWitness


class HearingWitness(FakeWitness):
    """`fault` strikes at step "witness"."""

    fault: Fault | None = None

    def __init__(self, *how: object) -> None:
        super().__init__(*how)  # type: ignore[arg-type]
        self.notes: list[bytes] = []

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.notes.append(parse_add_checkpoint(await request.read()).note)
        if self.fault is None or not self.fault.strikes("witness"):
            return await super()._post(request)
        if self.fault.kept:
            await super()._post(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def tell(self, oracle: Oracle) -> None:
        """Everything that was heard since the last time."""
        notes, self.notes = self.notes, []
        for note in notes:
            try:
                oracle.heard(note, self.name)
            except Unreadable as error:
                oracle.unreadable.append(str(error))

"""Whether the benefits of a sheet were claimed already: asked of the log's ledger by a payer, who alone may ask.

Only what was decided as eligible is asked about, with the ID document of the row. Nothing is stated or reserved: until
the payer reserves it, somebody else can. The ledger says "already claimed", and neither when nor by whom. One that
hangs is left alone for a while instead of being waited for at each row; then what was passed over is asked once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from ledger.errors import Refused, Unavailable
from ledger.records.dates import date_of
from ledger.text import Text
from ledger.wire import Asked
from verifier.eligibility.pack import Pack
from verifier.eligibility.results import FREE, Answered
from verifier.eligibility.tables import Outcome
from verifier.neighbour import Neighbour

_LATE_S: Final = 2.5  # for a failure: the client's own deadlines are of a minute
_ALONE_MS: Final = 15_000
_NO_DOCUMENT: Final = Text("未查询：缺少证件号码或格式不对", "not asked: no ID number, or none that can be read")
_SILENT: Final = Text("暂时无法查询", "could not be asked now")


class Asking(Protocol):
    """A payer's question to the ledger: `verifier.claims.asking.Asking`."""

    async def standing(self, asked: Asked) -> Refused | None: ...


async def claimed_already(
    asking: Asking, answered: Sequence[Answered], pack: Pack, as_of: int, now_ms: Callable[[], int]
) -> dict[int, Text]:
    """By row of the person what the ledger says; a person without an eligible decision is left out."""
    ledger = Neighbour(Text("账本", "the ledger"), now_ms, wait_s=None, late_s=_LATE_S, alone_ms=_ALONE_MS)
    found: dict[int, Text] = {}
    waiting: dict[int, Asked] = {}
    for one in answered:
        decision = one.decision
        if decision is None or decision.result is not Outcome.ELIGIBLE or not decision.certificates:
            continue
        if one.person.document is None:
            found[one.person.row] = _NO_DOCUMENT
            continue
        cert_key = decision.certificates[0].cert_key
        waiting[one.person.row] = Asked(cert_key, one.person.document, pack.digest, date_of(as_of).year)
    await _ask(ledger, asking, waiting, found)
    if waiting and ledger.is_silent:
        await asyncio.sleep(_ALONE_MS / 1000)
        await _ask(ledger, asking, waiting, found)
    return found | dict.fromkeys(waiting, _SILENT)


async def _ask(ledger: Neighbour, asking: Asking, waiting: dict[int, Asked], found: dict[int, Text]) -> None:
    """Takes out of `waiting` what has its answer."""
    for row, asked in list(waiting.items()):
        with suppress(Unavailable):
            refused = await ledger.ask(partial(asking.standing, asked))
            found[row] = FREE if refused is None else refused.text
            del waiting[row]

"""One roster into the log, in groups, so that a crash at any moment loses nothing and doubles nothing.

    1 draft    secret, salts and nonces are drawn and the statement is signed, in memory
    2 durable  one journal record holds the whole group, fsynced
    3 send     the group is submitted; the same bytes are sent again until there is an answer
    4 verify   the receipt is judged as a stranger would (receipt.py)
    5 durable  one journal record holds the answers with their proofs, fsynced
    6 print    results, bundles and PDFs are written from the journal alone (results.py, papers.py)

What a crash leaves behind: before 2 nothing, and the rows are drawn anew; after 2 signed certificates that may or may
not be in the log: the next run sends the same bytes and the ledger gives the first answer; after 5 finished rows whose
papers may be missing: the next run makes those that are. A receipt that does not hold stops the batch at 4: nothing
is recorded or printed from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from issuer.config import LogTrust
from issuer.draft import Draft, RandomBytes, Terms, draw_draft, person_lineage
from issuer.issue import LogClient, Signed, sign_draft, submission_of
from issuer.journal import Journal
from issuer.photos import Photo
from issuer.receipt import verify_receipt
from issuer.roster.rows import RosterRow
from issuer.state import BatchState, format_answers, format_signed
from ledger.errors import Unavailable
from ledger.records.cose import Signer

GROUP: Final = 250  # certificates of one request, and of one fsync
ATTEMPTS: Final = 6
_LONGEST_WAIT_S: Final = 30

T = TypeVar("T")


class Step(IntEnum):
    """The numbered steps of this module, reported when one is done for a group."""

    DRAFTED = 1
    KEPT = 2
    SENT = 3
    VERIFIED = 4
    RECORDED = 5


@dataclass(frozen=True, slots=True)
class Order:
    """One row that passed every check, with what the row itself does not say."""

    row: RosterRow
    terms: Terms
    photo: Photo | None


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside that a batch touches. `now_ms` since 1970; `sleep` in seconds."""

    client: LogClient
    trust: LogTrust
    signer: Signer  # the record key
    random_bytes: RandomBytes
    now_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    watch: Callable[[Step, int], None] = lambda step, rows: None
    waiting: Callable[[Unavailable], None] = lambda error: None  # before an answer is waited for


async def run_batch(journal: Journal, state: BatchState, orders: Sequence[Order], world: World) -> None:
    """Finish what an earlier run signed, then issue `orders` (rows not signed before). `state` follows the journal.

    Raises Unavailable (try again later: nothing is lost), Unverified (the ledger's receipt does not hold), Refused
    (the ledger declines the request as a whole).
    """
    assert not any(order.row.row in state.certificates for order in orders), "a row is signed once"
    for unfinished in groups(state.unplaced()):
        await send(journal, state, unfinished, world)
    for group in groups(orders):
        certificates = [sign_draft(draft, world.signer) for draft in await draw_group(group, world)]  # 1
        world.watch(Step.DRAFTED, len(group))
        await keep_and_send(journal, state, certificates, world)


async def keep_and_send(journal: Journal, state: BatchState, signed: Sequence[Signed], world: World) -> None:
    """Steps 2 to 5 of one group that was drafted and signed."""
    journal.append(format_signed(signed))  # 2
    state.sign(signed)
    world.watch(Step.KEPT, len(signed))
    await send(journal, state, signed, world)


async def send(journal: Journal, state: BatchState, signed: Sequence[Signed], world: World) -> None:
    """Steps 3 to 5 of one group that the journal holds."""
    submissions = [submission_of(one) for one in signed]
    receipt = await ask(lambda: world.client.submit(submissions), world)  # 3
    world.watch(Step.SENT, len(signed))
    entries = [one.entry for one in signed]
    verified = verify_receipt(entries, receipt, world.trust, world.now_ms())  # 4
    answers = {one.row: answer for one, answer in zip(signed, verified, strict=True)}
    world.watch(Step.VERIFIED, len(signed))
    journal.append(format_answers(answers, receipt))  # 5
    state.answer(answers)
    world.watch(Step.RECORDED, len(signed))


async def draw_group(orders: Sequence[Order], world: World) -> list[Draft]:
    """Drafts of one group, with the tracks that the ledger gives."""
    persons = [person_lineage(order.row) for order in orders]
    tracks = await ask(lambda: world.client.tracks(persons), world)
    return [
        draw_draft(order.row, order.terms, track, order.photo, world.random_bytes)
        for order, track in zip(orders, tracks, strict=True)
    ]


async def ask(call: Callable[[], Awaitable[T]], world: World) -> T:
    """Ask until there is an answer: the ledger says how long to wait when it is busy."""
    for attempt in itertools.count(1):
        try:
            return await call()
        except Unavailable as error:
            if attempt == ATTEMPTS:
                raise
            world.waiting(error)
            wait = error.retry_after if error.retry_after is not None else 2 ** (attempt - 1)
            await world.sleep(min(wait, _LONGEST_WAIT_S))
    raise AssertionError("unreachable")


def groups(items: Sequence[T], size: int = 0) -> Iterator[Sequence[T]]:
    """Parts of at most `size`, or of what one request and one fsync hold."""
    size = size or GROUP
    for start in range(0, len(items), size):
        yield items[start : start + size]

"""Every kind of fault: how many are wanted, how many make a piece, and how a piece is run from its seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns.faults import (
    clocks,
    databases,
    disks,
    failpoints,
    fleets,
    flips,
    kills,
    restores,
    rivals,
    torn,
    witnessing,
)
from campaigns.faults.oracle import BAD
from campaigns.faults.postgres import Postgres
from campaigns.faults.stores import Sqlite

Piece = Callable[[int, int], Awaitable[Counter[str]]]  # seed, how many trials of it
Session = Callable[[Path, Any], AbstractAsyncContextManager[Piece]]
STORES = {"sqlite": Sqlite(), "postgres": Postgres()}
_BOTH = ("sqlite", "postgres")
DAMAGE = ("wrong",)  # to a log at rest: there are no clients whose journals could be judged


@dataclass(frozen=True)
class Kind:
    wanted: int  # trials of a whole campaign
    piece: int  # trials of one seed
    session: Session  # keeps what pieces share
    what: str
    stores: Sequence[str] = ("sqlite",)  # where it can be run
    judged: Sequence[str] = BAD  # of what must not be, what it would notice
    lacks: Callable[[], str] = str  # why it cannot be run here; empty when it can


def alone(run: Callable[[Path, Any, int, int], Awaitable[Counter[str]]]) -> Session:
    """Pieces that share nothing."""

    @asynccontextmanager
    async def session(room: Path, store: Any) -> AsyncIterator[Piece]:
        yield lambda seed, count: run(room, store, seed, count)

    return session


KINDS = {
    "failpoints": Kind(
        len(failpoints.TRIALS), 1, failpoints.session, "each step, lost or kept, at each tile edge", _BOTH
    ),
    "kills": Kind(2000, kills.PIECE, alone(kills.run_piece), "kill -9 at random moments under load", _BOTH),
    "full": Kind(100, 1, disks.full_session, "a disk that is full, and has room again", lacks=disks.no_full_disk),
    "eio": Kind(60, 1, alone(disks.run_eio), "EIO from one fdatasync or pwrite", lacks=disks.no_tracer),
    "torn": Kind(1, 1, alone(torn.run), "store and guard cut at every length", judged=DAMAGE),
    "clocks": Kind(len(clocks.TRIALS), 1, clocks.session, "a clock that goes back or leaps"),
    "restores": Kind(50, restores.PIECE, alone(restores.run), "an old backup, with and without its guard", _BOTH),
    "witnesses": Kind(len(witnessing.TRIALS), 1, witnessing.session, "witnesses that are down, slow or lie"),
    "flips": Kind(10_000, 250, flips.session, "one bit in a row, in the file or in the guard", _BOTH, DAMAGE),
    "rivals": Kind(30, 3, alone(rivals.run), "a second ledger while the first stands still"),
    "fleets": Kind(
        200, fleets.ROUNDS, alone(fleets.run), "two or five sequencers, stopped, killed and woken", ("postgres",)
    ),
    "commits": Kind(
        1000, databases.PIECE, alone(databases.run_commits), "the answer to a COMMIT never comes", ("postgres",)
    ),
    "backends": Kind(
        500, databases.PIECE, alone(databases.run_backends), "sessions ended by the server", ("postgres",)
    ),
    "database": Kind(
        30, databases.STOPS, alone(databases.run_database), "the server stopped at once under load", ("postgres",)
    ),
}

"""One bit flips at rest: in a row, in a file of the store, in the guard. Each is found, or changes no answer.

What finds it, in this order: the start of a log; the judge of evidence, who shares no code with the product; the
operator's check. What nothing finds must leave every answer as it was. Evidence that verifies and says something else
than before is `wrong`, and so is a kept checkpoint that verifies and is another one, and a guard that remembers
something else and lets the log sign. Rows of the ledger's own tables (look-ups, envelopes) are in no proof: what is
read from them is believed only with an opening that the log proves, so of these only the evidence has to stay as it
was.

Of two logs in turn: one whose map has mostly empty buckets, as real ones have, and one so shallow that its few
certificates have filled chunks of it. Both have a witness, without whom no checkpoint is kept.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, inside
from campaigns.faults.oracle import Unreadable
from campaigns.faults.stores import StoreKind
from ledger.errors import CertLedgerError
from ledger.records.kinds import Kind
from ledger.service.guard import check_follows, check_grown
from ledger.store.evidence import Basis, Prover
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.serving import Serving
from ledger.wire import BareSubmission
from tests.support.builders import ruling
from tests.support.live_ledger import MAP_DEPTH, today
from tests.support.slow_proofs import Bad, check

Asked: TypeAlias = tuple[bytes, int]  # cert key, size
PRIVATE = ("private_index", "envelope")
_SHARES = ("row",) * 7 + ("file",) * 2 + ("guard",)
_BATCHES = (2, 1, 2, 1)
_DEPTHS = (MAP_DEPTH, 2)  # of the map: with four buckets a batch of this size writes them all anew
_SOUND = 100  # flips after which the log is looked at as it is without any


class Flips:
    """One stopped log, damaged and mended again and again."""

    def __init__(self, template: Template, keys: list[bytes], sizes: list[int], note: bytes) -> None:
        live = template.live
        self._live, self._store, self._oracle = live, template.store, template.oracle
        self._keys, self._sizes = keys, sizes
        self._basis, self._head = Basis(sizes[-1], note, 0), self._oracle().heard(note, "the log")
        self._trust = {
            "origin": live.authority.origin,
            "log_keys": [key.format_vkey() for key in live.keys[:1]],
            "policy": "quorum none\n",
            "auditors": [],
        }

    @property
    def folder(self) -> Path:
        return self._live.folder

    async def truth(self) -> None:
        """What the sound log answers."""
        self._truth = await self._sound()
        assert None not in self._truth.values()
        assert await self._guarded() == "remembers the same"
        opened = await self._store.open(self._live.folder)
        try:
            assert self._kept(await opened.checkpoint()) == ""
        finally:
            await opened.close()

    async def _sound(self) -> dict[Asked, dict[str, Any] | None]:
        """The answers of a log that was mended, which fsck must not blame either."""
        opened = await self._store.open(self._live.folder)
        try:
            answers = await self._answers(await Integrator.open(opened), everything=True)
        finally:
            await opened.close()
        assert await self._store.check(self._live.folder) == []
        return answers

    async def run(self, seed: int, count: int) -> Counter[str]:
        draw, counts = random.Random(f"flips {seed}"), Counter[str]()
        for at in range(count):
            if at % _SOUND == 0:  # else what is "found" may be what an earlier trial left behind
                assert await self._sound() == self._truth
            where = draw.choice(_SHARES)
            if where == "guard":
                with self._store.flipped_guard(self._live.folder, draw):
                    found, label = await self._guarded(), "guard"
            else:
                damaged = self._store.flipped_row if where == "row" else self._store.flipped_file
                with damaged(self._live.folder, draw) as label:
                    try:
                        found = await self._found(label)
                    except Exception as error:  # no answer either, but not in the words that it should have
                        found = f"crash, {type(error).__name__} at {_place(error)}"
            counts.update({"flips": 1, f"{label}: {found}": 1})
            if found == "wrong":
                counts["wrong"] += 1
                print(f"seed {seed}: a flip in {label} changes an answer that verifies", flush=True)
        assert await self._sound() == self._truth
        return counts

    async def _guarded(self) -> str:
        """What the guard says to the head of the sound log, as a start asks it and as a signature does."""
        opened = await self._store.open(self._live.folder)
        try:
            guard = await self._store.open_guard(self._live.folder)
            try:
                known = await guard.known()
                if known == self._head:
                    return "remembers the same"
                await check_grown(known, self._head[0], Hashes(opened).root)
                check_follows(known, *self._head)
            finally:
                await guard.close()
        except CertLedgerError:
            return "refused"
        finally:
            await opened.close()
        return "wrong"

    def _kept(self, note: bytes | None) -> str:
        """What a start makes of the checkpoint that is kept: "" where that is of the same head as before."""
        try:
            return "" if self._oracle().heard(note or b"", "the store") == self._head else "wrong"
        except Unreadable:
            return "found by its signature"

    async def _found(self, label: str) -> str:
        """What finds the damage, "unchanged" when nothing does and nothing differs, or "wrong"."""
        try:
            opened = await self._store.open(self._live.folder)
            try:
                old = label in ("state", "state_history")
                answers = await self._answers(await Integrator.open(opened), everything=old)
                note = await opened.checkpoint()
            finally:
                await opened.close()
        except CertLedgerError:
            return "found at the start"
        if any(answer is not None and answer != self._truth[asked] for asked, answer in answers.items()):
            return "wrong"
        if None in answers.values():
            return "found by evidence"
        if kept := self._kept(note):
            return kept
        try:
            problems = await self._store.check(self._live.folder)
        except CertLedgerError:
            return "found by fsck"
        return "found by fsck" if problems else "private, evidence unchanged" if label in PRIVATE else "unchanged"

    async def _answers(self, integrator: Integrator, *, everything: bool) -> dict[Asked, dict[str, Any] | None]:
        """What evidence of every certificate proves, now and of old, or at every size there was; None: nothing."""
        prover = Prover(integrator, Hashes(integrator.store), Serving(integrator))
        answers: dict[Asked, dict[str, Any] | None] = {}
        for at, key in enumerate(self._keys):
            for size in self._sizes if everything else (self._sizes[at % len(self._sizes)],):
                try:
                    newest = size == self._sizes[-1]
                    raw = await (prover.current(key, self._basis) if newest else prover.at_size(key, size, self._basis))
                    answers[key, size] = check(raw, self._trust)
                except (CertLedgerError, Bad):
                    answers[key, size] = None
        return answers


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/ledger/" in frame.filename]
    return f"{Path(ours[-1].filename).stem}.{ours[-1].name}" if ours else "harness"


@asynccontextmanager
async def session(room: Path, store: StoreKind) -> AsyncIterator[Callable[[int, int], Awaitable[Counter[str]]]]:
    """Logs that are damaged in every piece, of two seeds in turn."""
    made = [await _made(room / f"flips-{depth}", store, depth) for depth in _DEPTHS]
    rows = [store.rows(flips.folder) for flips in made]
    empty = [table for table in rows[0] if not any(each[table] for each in rows)]
    assert not empty, f"nothing can fall into {empty}"
    yield lambda seed, count: made[seed % len(made)].run(seed, count)


async def _made(folder: Path, store: StoreKind, depth: int) -> Flips:
    """A log with certificates in force and one that was suspended, stopped."""
    clock = Clock()
    async with HearingWitness("w1") as witness:
        template = await Template.make(folder, folder.name, 12, clock, store, [witness], 1, map_depth=depth)
        live, oracle = template.live, template.oracle()
        sender, waiting = template.sender(live, oracle), iter(template.certificates)
        keys, sizes = [], []
        async with inside(live, clock):
            for count in _BATCHES:
                batch = [next(waiting) for _ in range(count)]
                assert await sender.insist(batch)
                keys += [each.issue.cert_key for each in batch]
                sizes.append(await oracle.follow(live.url))
            suspended = template.body.sign(ruling(Kind.SUSPEND, template.certificates[0], day=today()))
            async with live.client(template.body, now_s=clock.now_s) as client:
                await client.submit([BareSubmission(suspended.entry)])
            sizes.append(await oracle.follow(live.url))
            async with aiohttp.ClientSession() as http, http.get(f"{live.url}/checkpoint") as answer:
                note = await answer.read()
        sender.journal.close()
    flips = Flips(template, [*keys, next(waiting).issue.cert_key], sizes, note)
    await flips.truth()
    return flips

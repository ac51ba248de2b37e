"""Processes that examine submissions, so that admission uses the other cores and not the writer's interpreter.

Threads would not do: most of admission is Python, and under one interpreter lock it slows the sequencer to less than
half (figures in docs/performance.md). A process here holds the index keys, keeps no state, writes nothing, and ends
with the one that started it. They start with `warm_up`, or with the first request that is large enough.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from ledger.errors import Refused
from ledger.records.handover import pack, unpack
from ledger.records.state import AuthorityState, FilingState
from ledger.records.view import Authentic
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Candidate, Examined, Examiner, PrivatePart
from ledger.service.private_index import PrivateIndex
from ledger.store.protocol import EnvelopeRow, IndexRow, Purpose, Slot
from ledger.text import Text
from ledger.wire import decode_submissions

_here: list[Examiner] = []  # of a worker process: exactly one


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits, and who rules the log: what submissions are examined against."""

    filing: FilingState
    authority: AuthorityState


def start_examiners(count: int, index_key: bytes) -> ProcessPoolExecutor:
    """A pool of `count` processes for `examine_in`."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=(index_key,))


def warm_up(pool: ProcessPoolExecutor | None, count: int) -> None:
    """Start the processes now rather than with the first large request."""
    if pool is not None:
        for _ in range(count):
            pool.submit(os.getpid)


async def examine_in(pool: ProcessPoolExecutor, shares: int, body: bytes, by: Submitter) -> list[Examined]:
    """Examine the submissions of one request's body in `shares` processes at once, each its part of them.

    Raises Malformed as wire.decode_submissions, and BrokenProcessPool when one of the processes has died.
    """
    loop = asyncio.get_running_loop()
    work = [loop.run_in_executor(pool, _examine_share, body, at, shares, by) for at in range(shares)]
    examined: dict[int, Examined] = {}
    for at, packed in enumerate(await asyncio.gather(*work)):
        found = marshal.loads(packed)  # noqa: S302  # from our own process
        examined.update((at + shares * place, unpack_examined(one)) for place, one in enumerate(found))
    return [examined[at] for at in range(len(examined))]


def _examine_share(body: bytes, start: int, step: int, by: Submitter) -> bytes:
    """In a process of the pool: every `step`th submission from `start` on."""
    submissions = decode_submissions(body)[start::step]
    return marshal.dumps([pack_examined(one) for one in _here[0].examine(submissions, by.filing, by.authority)])


# How what was examined crosses over. Pickling these classes field by field took longer than the signature check.
def pack_examined(examined: Examined) -> Any:
    """Flat values for marshal."""
    outcome = examined.outcome
    if isinstance(outcome, Refused):
        return examined.identity, outcome.code, outcome.field, outcome.text.zh, outcome.text.en
    packed = pack(outcome.authentic)
    if packed == b"":
        return pickle.dumps(examined)
    part = outcome.private
    assert part is not None, "a certificate comes with its openings"
    private = (
        part.filing_number, part.number, part.name, part.number_hmac, part.person, part.person_hmac,
        _pack_row(part.match), _pack_row(part.lookup),
        [(row.locator, int(row.slot), row.body) for row in part.envelopes],
    )  # fmt: skip
    return examined.identity, outcome.statement.entry, packed, private


def unpack_examined(packed: Any) -> Examined:
    """What `pack_examined` was given, in this same program's other process."""
    if isinstance(packed, bytes):
        found = pickle.loads(packed)  # noqa: S301  # from our own process
        assert isinstance(found, Examined)
        return found
    if len(packed) == 5:
        identity, code, field, zh, en = packed
        return Examined(identity, Refused(code, field, Text(zh, en)))
    identity, entry, statement, (filing, number, name, number_hmac, person, person_hmac, match, lookup, envelopes) = (
        packed
    )
    authentic = unpack(entry, statement)
    assert isinstance(authentic, Authentic), "examined: its signature was checked"
    rows = tuple(EnvelopeRow(locator, Slot(slot), body) for locator, slot, body in envelopes)
    private = PrivatePart(
        filing, number, name, number_hmac, person, person_hmac, _unpack_row(match), _unpack_row(lookup), rows
    )
    return Examined(identity, Candidate(authentic, private))


def _pack_row(row: IndexRow) -> tuple[bytes, int, int, bytes]:
    return row.hmac, int(row.purpose), row.key_version, row.body


def _unpack_row(packed: tuple[bytes, int, int, bytes]) -> IndexRow:
    hmac, purpose, version, body = packed
    return IndexRow(hmac, Purpose(purpose), version, body)


def _begin(index_key: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then stops this one
    Thread(target=_end_with_parent, daemon=True).start()
    _here.append(Examiner(PrivateIndex(index_key, os.urandom), load_ladder(), load_catalogue()))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()  # returns when the parent is gone, kill -9 included
    os._exit(0)

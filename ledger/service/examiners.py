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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from ledger.errors import Refused
from ledger.process_pool import ProcessPool
from ledger.records.handover import pack, unpack
from ledger.records.state import AuthorityState, FilingState
from ledger.records.view import Authentic
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Candidate, ClaimPart, Examined, Examiner, PrivatePart
from ledger.service.examined import pack_item
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


def start_examiners(count: int, index_key: bytes) -> ProcessPool:
    """A pool of `count` processes for `examine_in`."""
    return ProcessPool(count, mp_context=get_context("spawn"), initializer=_begin, initargs=(index_key,))


def warm_up(pool: ProcessPool | None, count: int) -> None:
    """Start the processes now rather than with the first large request."""
    if pool is not None:
        for _ in range(count):
            pool.submit(os.getpid)


async def examine_in(pool: ProcessPool, shares: int, body: bytes, by: Submitter) -> list[Examined]:
    """Examine the submissions of one request's body in `shares` processes at once, each its part of them.

    Raises Malformed as wire.decode_submissions, and BrokenProcessPool when one of the processes has died.
    """
    return [unpack_examined(one) for one in await _in_shares(pool, shares, _examine_share, body, by)]


async def examine_for_sequencer(pool: ProcessPool, shares: int, body: bytes, by: Submitter) -> list[bytes]:
    """The same in a front: the outcomes as items for the sequencer (examined.py). Raises as `examine_in`."""
    items: list[bytes] = await _in_shares(pool, shares, _examine_share_for_sequencer, body, by)
    return items


async def authenticate_in(pool: ProcessPool, shares: int, entries: Sequence[bytes], by: Submitter) -> list[Examined]:
    """Check form and signatures of entries that a front has examined. Raises BrokenProcessPool."""
    return [unpack_examined(one) for one in await _in_shares(pool, shares, _authenticate_share, list(entries), by)]


async def _in_shares(pool: ProcessPool, shares: int, work: Callable[..., bytes], what: Any, by: Submitter) -> Any:
    """What `work` makes of each item, in order; each process takes every `shares`th."""
    loop = asyncio.get_running_loop()
    parts = await asyncio.gather(*(loop.run_in_executor(pool, work, what, at, shares, by) for at in range(shares)))
    found: list[list[Any]] = [marshal.loads(part) for part in parts]  # noqa: S302  # from our own processes
    return [found[at % shares][at // shares] for at in range(sum(map(len, found)))]


def _examine_share(body: bytes, start: int, step: int, by: Submitter) -> bytes:
    """In a process of the pool: every `step`th submission from `start` on."""
    submissions = decode_submissions(body)[start::step]
    return marshal.dumps([pack_examined(one) for one in _here[0].examine(submissions, by.filing, by.authority)])


def _examine_share_for_sequencer(body: bytes, start: int, step: int, by: Submitter) -> bytes:
    submissions = decode_submissions(body)[start::step]
    return marshal.dumps([pack_item(one) for one in _here[0].examine(submissions, by.filing, by.authority)])


def _authenticate_share(entries: Sequence[bytes], start: int, step: int, by: Submitter) -> bytes:
    examiner = _here[0]
    found = [examiner.authenticate(entry, by.filing, by.authority) for entry in entries[start::step]]
    return marshal.dumps([pack_examined(one) for one in found])


# How what was examined crosses over. Pickling these classes field by field took longer than the signature check.
def pack_examined(examined: Examined) -> Any:
    """Flat values for marshal."""
    outcome = examined.outcome
    if isinstance(outcome, Refused):
        return examined.identity, outcome.code, outcome.field, outcome.text.zh, outcome.text.en
    packed = pack(outcome.authentic)
    if packed == b"" or isinstance(outcome.private, ClaimPart):
        return pickle.dumps(examined)
    return examined.identity, outcome.statement.entry, packed, _pack_private(outcome.private)


def unpack_examined(packed: Any) -> Examined:
    """What `pack_examined` was given, in this same program's other process."""
    if isinstance(packed, bytes):
        found = pickle.loads(packed)  # noqa: S301  # from our own process
        assert isinstance(found, Examined)
        return found
    if len(packed) == 5:
        identity, code, field, zh, en = packed
        return Examined(identity, Refused(code, field, Text(zh, en)))
    identity, entry, statement, private = packed
    authentic = unpack(entry, statement)
    assert isinstance(authentic, Authentic), "examined: its signature was checked"
    return Examined(identity, Candidate(authentic, _unpack_private(private)))


def _pack_private(part: PrivatePart | None) -> Any:
    if part is None:
        return None
    return (
        part.filing_number, part.number, part.name, part.number_hmac, part.person, part.person_hmac,
        _pack_row(part.match), _pack_row(part.lookup),
        [(row.locator, int(row.slot), row.body) for row in part.envelopes],
    )  # fmt: skip


def _unpack_private(packed: Any) -> PrivatePart | None:
    if packed is None:
        return None
    filing, number, name, number_hmac, person, person_hmac, match, lookup, envelopes = packed
    rows = tuple(EnvelopeRow(locator, Slot(slot), body) for locator, slot, body in envelopes)
    return PrivatePart(
        filing, number, name, number_hmac, person, person_hmac, _unpack_row(match), _unpack_row(lookup), rows
    )


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

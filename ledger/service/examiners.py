"""Processes that examine submissions, so that admission uses the other cores and not the writer's interpreter.

Threads would not do: most of admission is Python, and under one interpreter lock it slows the sequencer to less than
half (figures in docs/performance-history.md). A process here holds the index keys, keeps no state, writes nothing, and
ends with the one that started it. They start with `warm_up`, or with the first request that is large enough.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from ledger.errors import Refused
from ledger.process_pool import ProcessPool
from ledger.records.issue import Issue
from ledger.records.state import AuthorityState, FilingState
from ledger.records.statements import parse_statement
from ledger.records.view import authenticated_elsewhere
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Candidate, ClaimPart, Examined, Examiner, KnownBy, PrivatePart
from ledger.service.cycles import look_rarely
from ledger.service.examined import RefusedItem, pack_item, refused_item, unpack_item
from ledger.service.private_index import PrivateIndex
from ledger.submissions import decode_submission, split_submissions

T = TypeVar("T")
_ITEMS: Final = msgspec.msgpack.Decoder(list[bytes])
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

    Raises Malformed as ledger.submissions, and BrokenProcessPool when one of the processes has died.
    """
    return _in_turn([_unpack(part) for part in await _in_shares(pool, shares, _examine_share, body, by)])


async def examine_for_sequencer(pool: ProcessPool, shares: int, body: bytes, by: Submitter) -> list[bytes]:
    """The same in a front: the outcomes as items for the sequencer (examined.py). Raises as `examine_in`."""
    parts = await _in_shares(pool, shares, _examine_share_for_sequencer, body, by)
    return _in_turn([_ITEMS.decode(part) for part in parts])


async def authenticate_in(pool: ProcessPool, shares: int, entries: Sequence[bytes], by: Submitter) -> list[Examined]:
    """Check form and signatures of entries that a front has examined. Raises BrokenProcessPool."""
    parts = await _in_shares(pool, shares, _authenticate_share, list(entries), by)
    return _in_turn([_unpack(part) for part in parts])


async def _in_shares(
    pool: ProcessPool, shares: int, work: Callable[..., bytes], what: Any, by: Submitter
) -> Sequence[bytes]:
    """What `work` makes of the items; each process takes every `shares`th. When it raises, no process has anything of
    it any more."""
    loop = asyncio.get_running_loop()
    running = [loop.run_in_executor(pool, work, what, at, shares, by) for at in range(shares)]
    parts = await asyncio.gather(*running, return_exceptions=True)
    for part in parts:
        if isinstance(part, BaseException):
            raise part
    return [part for part in parts if not isinstance(part, BaseException)]


def _in_turn(parts: Sequence[Sequence[T]]) -> list[T]:
    """What was shared out, in order again."""
    shares = len(parts)
    return [parts[at % shares][at // shares] for at in range(sum(map(len, parts)))]


def _examine_share(body: bytes, start: int, step: int, by: Submitter) -> bytes:
    """In a process of the pool: every `step`th submission from `start` on."""
    return _pack(_examined(body, start, step, by))


def _examine_share_for_sequencer(body: bytes, start: int, step: int, by: Submitter) -> bytes:
    return _ENCODE.encode([pack_item(one) for one in _examined(body, start, step, by)])


def _examined(body: bytes, start: int, step: int, by: Submitter) -> Iterator[Examined]:
    """One after the other from its text to its outcome: when all were decoded first, the first one was out of the
    processor's caches before it was looked at, and again before it was packed (7 of 73 us a certificate)."""
    examiner = _here[0]
    for at, raw in enumerate(split_submissions(body)):
        if at % step == start:
            yield examiner.examine_one(decode_submission(raw, at), by.filing, by.authority)


def _authenticate_share(entries: Sequence[bytes], start: int, step: int, by: Submitter) -> bytes:
    examiner = _here[0]
    return _pack(examiner.authenticate(entry, by.filing, by.authority) for entry in entries[start::step])


class _Passed(msgspec.Struct, array_like=True, tag="passed"):
    """A statement of one signer that was found in order, with the key its signature was checked under."""

    entry: bytes
    public: bytes
    private: PrivatePart | None


_Packed: TypeAlias = bytes | RefusedItem | _Passed


# Certificates are not pickled: asking their classes for one field after the other took longer than the signature check.
# Read again from the entry they cost less than any list of their fields.
def pack_examined(examined: Examined) -> _Packed:
    """One outcome, as it crosses over."""
    outcome = examined.outcome
    if isinstance(outcome, Refused):
        return refused_item(examined.known_by, outcome)
    statement, private = outcome.statement, outcome.private
    if not isinstance(statement.body, Issue) or isinstance(private, ClaimPart):
        return pickle.dumps(examined)
    return _Passed(statement.entry, outcome.authentic.publics[0], private)


def unpack_examined(packed: _Packed) -> Examined:
    """What `pack_examined` was given, in this same program's other process."""
    if isinstance(packed, _Passed):
        statement = parse_statement(packed.entry)
        authentic = authenticated_elsewhere(statement, packed.public)
        return Examined(KnownBy.of(statement), Candidate(authentic, packed.private))
    if isinstance(packed, RefusedItem):
        return unpack_item(packed, None)
    found = pickle.loads(packed)  # noqa: S301  # from our own process
    assert isinstance(found, Examined)
    return found


def _pack(found: Iterable[Examined]) -> bytes:
    return _ENCODE.encode([msgspec.Raw(_ENCODE.encode(pack_examined(one))) for one in found])


def _unpack(packed: bytes) -> list[Examined]:
    return [unpack_examined(one) for one in _DECODE.decode(packed)]


_ENCODE: Final = msgspec.msgpack.Encoder()
_GIVE_WAY: Final = 5  # added to the niceness of the service
_DECODE: Final = msgspec.msgpack.Decoder(list[_Packed])


def _begin(index_key: bytes) -> None:
    # A batch is one step after another, each of which waits for a core; what comes here waits for the batches before.
    with suppress(OSError):  # where that is forbidden they are as good
        os.nice(_GIVE_WAY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then stops this one
    Thread(target=_end_with_parent, daemon=True).start()
    _here.append(Examiner(PrivateIndex(index_key, os.urandom), load_ladder(), load_catalogue()))
    look_rarely()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()  # returns when the parent is gone, kill -9 included
    os._exit(0)

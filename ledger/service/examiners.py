"""Processes that examine submissions, so that admission uses the other cores and not the writer's interpreter.

Threads would not do: most of admission is Python, and under one interpreter lock it slows the sequencer to less than
half (figures in docs/performance.md). A process here holds the index keys, keeps no state, writes nothing, and ends
with the one that started it. They start with `warm_up`, or with the first request that is large enough.
"""

from __future__ import annotations

import copyreg
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread

from ledger.errors import Refused
from ledger.records.state import AuthorityState, FilingState
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Examined, Examiner
from ledger.service.private_index import PrivateIndex
from ledger.wire import SubmissionBody

_here: list[Examiner] = []  # of a worker process: exactly one


def start_examiners(count: int, index_key: bytes) -> ProcessPoolExecutor:
    """A pool of `count` processes for `examine_apart`."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=(index_key,))


def warm_up(pool: ProcessPoolExecutor | None, count: int) -> None:
    """Start the processes now rather than with the first large request."""
    if pool is not None:
        for _ in range(count):
            pool.submit(os.getpid)


def examine_apart(bodies: Sequence[SubmissionBody], filing: FilingState, authority: AuthorityState) -> list[Examined]:
    """Examiner.examine, in a process of the pool."""
    return _here[0].examine(bodies, filing, authority)


def _begin(index_key: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then stops this one
    Thread(target=_end_with_parent, daemon=True).start()
    _here.append(Examiner(PrivateIndex(index_key, os.urandom), load_ladder(), load_catalogue()))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()  # returns when the parent is gone, kill -9 included
    os._exit(0)


def _reduce_refusal(refusal: Refused) -> tuple[type[Refused], tuple[object, ...]]:
    return Refused, (refusal.code, refusal.field, refusal.text)


copyreg.pickle(Refused, _reduce_refusal)  # an exception remembers its message, not its parts

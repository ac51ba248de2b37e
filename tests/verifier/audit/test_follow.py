"""The processes that read ahead: made when needed, made anew when one has ended."""

from __future__ import annotations

import os
import signal
from concurrent.futures import BrokenExecutor

import pytest

from verifier.audit.follow import Readers


def test_made_when_needed_and_again_when_one_has_ended() -> None:
    readers = Readers(1)
    readers.close()  # nothing was made yet
    pool = readers.pool()
    assert readers.pool() is pool
    os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        for _ in range(100):
            pool.submit(os.getpid).result()
    again = readers.pool()
    assert again is not pool and again.submit(int).result() == 0
    readers.close()

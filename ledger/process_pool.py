"""Processes that work for this one, and that cannot keep it from ending when one of them is killed."""

from __future__ import annotations

import fcntl
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_PIPE_BYTES: Final = 1024 * 1024  # what Linux lets anybody have
_HANGS = sys.version_info < (3, 11, 7) or sys.version_info[:3] == (3, 12, 0)


class ProcessPool(ProcessPoolExecutor):
    """An executor as the standard library's.

    Ctrl-C is for this process, which ends the others: they hear none, from before their first line on.

    Before CPython 3.11.7 and 3.12.1 (gh-94777), Debian 12's included, work half-written to a process that was killed
    keeps the executor's threads, and with them the interpreter, from ever ending: nobody reads the pipe that it is
    written into, and nobody closes it. `shutdown` closes it here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A result that is larger than its pipe keeps the process that made it until this one has read it, piece by
        # piece; and for each piece this one waits for its interpreter lock.
        for pipe in (self._call_queue._writer, self._result_queue._writer):  # type: ignore[attr-defined]
            with suppress(OSError, AttributeError):  # where that is too much, or no Linux, it works as before
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # a process started in here inherits it
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if _HANGS and self._broken:
            with suppress(OSError):  # the executor's own thread may be closing it too
                self._call_queue._reader.close()  # type: ignore[attr-defined]
        super().shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the processes whatever they do, one that stands still too. What they had becomes BrokenProcessPool."""
        for process in list((self._processes or {}).values()):
            process.kill()
        if _HANGS:
            with suppress(OSError):
                self._call_queue._reader.close()  # type: ignore[attr-defined]

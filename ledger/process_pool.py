"""Processes that work for this one, and that cannot keep it from ending when one of them is killed."""

from __future__ import annotations

import fcntl
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_PIPE_BYTES: Final = 1024 * 1024  # what Linux lets anybody have
_SOON_S: Final = 1.0
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
        manager, pipe = self._inside()
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if manager is None:
            return  # it never had anything to do
        if _HANGS and self._broken:
            _let_go(manager, pipe)
        if wait:
            manager.join()

    def end(self, grace_s: float) -> None:
        """Shut down, whatever the processes do: those that have not ended after `grace_s` are killed, also one that
        stands still. What they had is cancelled or becomes BrokenProcessPool."""
        manager, pipe = self._inside()
        processes = list((self._processes or {}).values())
        super().shutdown(wait=False, cancel_futures=True)
        if manager is None:
            return
        manager.join(grace_s)
        if manager.is_alive():
            for process in processes:
                process.kill()
            _let_go(manager, pipe)
        manager.join()

    def _inside(self) -> tuple[Thread | None, Any]:
        """The executor's own thread and what it writes to, neither of which it knows any more once it is shut down."""
        own: Any = self
        return own._executor_manager_thread, own._call_queue


def _let_go(manager: Thread, pipe: Any) -> None:
    """The executor's threads end by themselves, or wait for a pipe that nobody reads. It is closed only then: they
    would otherwise close it at the same moment, and the one that came second would fail and wait for ever."""
    manager.join(_SOON_S)
    if manager.is_alive():
        with suppress(OSError):
            pipe._reader.close()

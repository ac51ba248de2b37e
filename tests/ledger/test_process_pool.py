"""A process of a pool that is killed takes nothing else with it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from ledger.process_pool import ProcessPool

ROOT = Path(__file__).parents[2]


def test_a_pool_of_which_a_process_died_in_the_middle_of_a_request_ends(tmp_path: Path) -> None:
    """More is written to it than a pipe holds, and nobody reads: the program goes on and ends all the same."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal\n"
        "from concurrent.futures.process import BrokenProcessPool\n"
        "from ledger.process_pool import ProcessPool\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPool(1)\n"
        "    pid = pool.submit(os.getpid).result()\n"
        "    os.kill(pid, signal.SIGSTOP)\n"
        "    asked = pool.submit(len, bytes(8_000_000))\n"
        "    os.kill(pid, signal.SIGKILL)\n"
        "    try:\n"
        "        asked.result()\n"
        "    except BrokenProcessPool:\n"
        "        pool.shutdown(wait=False)\n"
        "        print('went on', flush=True)\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, b"went on\n"), done.stderr.decode()


@pytest.mark.parametrize("stands", ["nobody", "idle", "asked", "half-written"])
def test_a_program_ends_whatever_its_processes_do(stands: str, tmp_path: Path) -> None:
    """One that stands still has nothing to do, has a question, or has not read all of it."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "from ledger.process_pool import ProcessPool\n"
        "if __name__ == '__main__':\n"
        "    for _ in range(6):\n"
        "        pool = ProcessPool(2)\n"
        "        pids = {pool.submit(os.getpid).result() for _ in range(9)}\n"
        f"        stands = {stands!r}\n"
        "        for pid in pids if stands != 'nobody' else ():\n"
        "            os.kill(pid, signal.SIGSTOP)\n"
        "        for size in {'asked': [9, 9, 9], 'half-written': [8_000_000] * 3}.get(stands, ()):\n"
        "            pool.submit(len, bytes(size))\n"
        "        pool.end(0.2)\n"
        "        pool.end(0.2)\n"
        "        for pid in pids:\n"
        "            try:\n"
        "                os.kill(pid, 0)\n"
        "            except ProcessLookupError:\n"
        "                continue\n"
        "            sys.exit('one is left')\n"
        "    print('ended', flush=True)\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, b"ended\n"), done.stderr.decode()


def test_ctrl_c_is_heard_by_the_parent_alone() -> None:
    """A terminal sends it to all of them; one that is still loading would end in a traceback."""
    ours = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    pool = ProcessPool(1, mp_context=get_context("spawn"))
    assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == ours and signal.SIGINT not in ours
    pool.shutdown()


def test_requests_and_results_of_hundreds_of_certificates_fit_into_their_pipes() -> None:
    most = int(Path("/proc/sys/fs/pipe-max-size").read_text("ascii"))
    ends = os.pipe()
    try:
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, min(most, 1024 * 1024))
    except PermissionError:
        pytest.skip("this user has too many large pipes already")
    finally:
        for end in ends:
            os.close(end)
    with ProcessPool(1, mp_context=get_context("spawn")) as pool:
        for pipe in (pool._call_queue._writer, pool._result_queue._writer):  # type: ignore[attr-defined]
            assert fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ) >= min(most, 1024 * 1024)


def test_where_pipes_may_not_be_larger_it_works_with_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("ledger.process_pool.fcntl.fcntl", refuse)
    with ProcessPool(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(bytes, 3_000_000).result() == bytes(3_000_000)

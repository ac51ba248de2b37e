"""Real `cert-ledger serve` processes that start fast: one parent has everything imported and forks.

with Parent() as parent:                 Parent(sabotage) runs statements in it first: a broken build
    served = parent.serve(live)          a process; nothing is waited for
    await served.ready()                 it serves; False when it ended instead
    served.kill(); served.stop()         SIGKILL, SIGTERM, by pid; each waits for the end
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.live_ledger import PASSPHRASE, ROOT, LiveLedger

START_S = 180.0
# Forks once for each line of its input, the folder of a log; says the child's pid at once and, when it has ended, how.
# What the child prints goes to the file OUT in its folder, and to ERR what it logs.
_PARENT = """
import os, sys
import ledger.service.run, ledger.console.operate
from ledger.__main__ import main
{sabotage}
def serve(folder):
    for name, number in (("serve.out", 1), ("serve.err", 2)):
        handle = os.open(folder + "/" + name, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if number == 1 else os.O_APPEND))
        os.dup2(handle, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = main(["serve", "--dir", folder])
    sys.stdout.flush()
    os._exit(code)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        serve(line.strip())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Served:
    """One process of a log. Its exit code is known when it has ended."""

    live: LiveLedger
    pid: int
    parent: Parent
    code: int | None = None

    async def ready(self) -> bool:
        """Once it says that it serves; False when it ended first."""
        async with asyncio.timeout(START_S):
            out = self.live.folder / "serve.out"
            while not (out.exists() and out.read_bytes().endswith(b"\n")):
                if self.ended():
                    return False
                await asyncio.sleep(0.005)
        return True

    def ended(self) -> bool:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # the second: it was reaped between opening and reading
            return True
        return stat.rpartition(b")")[2].split()[0] == b"Z"

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _end(self, number: signal.Signals) -> int:
        if self.code is None:
            self.send(number)
            self.code = int(self.parent.line())
        return self.code


class Parent:
    """Serves one log at a time. One that is still served when it is left (an error in between) is killed."""

    def __init__(self, sabotage: str = "") -> None:
        environ = os.environ | {"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode()}
        command = [sys.executable, "-c", _PARENT.format(sabotage=sabotage)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True)
        self._serving: Served | None = None

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._serving is not None:
            self._serving.kill()
        self._process.stdin.close()
        self._process.wait(START_S)
        self._process.stdout.close()

    def serve(self, live: LiveLedger) -> Served:
        (live.folder / "serve.out").unlink(missing_ok=True)
        assert self._process.stdin is not None
        print(live.folder, file=self._process.stdin, flush=True)
        self._serving = Served(live, int(self.line()), self)
        return self._serving

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

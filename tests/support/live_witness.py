"""A real witness process on a loopback port, in a folder of its own, with cheap key stretching.

live = LiveWitness.create(tmp_path / "w", log.vkeys)    keys, state, settings; nothing runs yet
live.start() ... live.stop() or live.kill()             SIGTERM or SIGKILL, by pid
live.start(sabotage)                                    Python statements run in the process before it serves
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger.tlog.note import VerifierKey
from tests.support.live_ledger import ROOT, START_S
from tests.support.ports import free_port

PASSPHRASE = "a passphrase of the tests"
_RUN = "import sys\nfrom verifier.__main__ import main\n{sabotage}\nsys.exit(main(sys.argv[1:]))\n"


@dataclass
class LiveWitness:
    folder: Path
    port: int
    vkeys: tuple[str, ...]
    policy: str  # asks for this one witness
    process: subprocess.Popen[str] | None = None
    stderr: str = ""
    environ: dict[str, str] = field(default_factory=lambda: {**os.environ, "CERT_WITNESS_PASSPHRASE": PASSPHRASE})

    @classmethod
    def create(cls, folder: Path, log: Sequence[VerifierKey], name: str = "witness.example/live") -> LiveWitness:
        live = cls(folder, free_port(), (), "")
        more = [argument for key in log for argument in ("--log", key.format_vkey())]
        more += ["--name", name, "--port", str(live.port), "--light", "--json"]
        said = json.loads(subprocess.check_output(live._command("", "init", *more), env=live.environ, cwd=ROOT))
        live.vkeys, live.policy = tuple(said["vkeys"]), said["policy"]
        return live

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, sabotage: str = "") -> None:
        """Returns when it listens."""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            self._command(sabotage, "serve"), env=self.environ, cwd=ROOT, text=True, stdout=pipe, stderr=pipe
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if self.url not in said:
            raise AssertionError(f"{said}{self._end()}")

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def kill(self) -> int | None:
        """SIGKILL, also when it is gone already."""
        if self.process is None:
            return None
        self.process.kill()
        return self._end()

    def wait(self) -> int:
        """Until it ends by itself."""
        return self._end()

    def _end(self) -> int:
        assert self.process is not None
        self.stderr += self.process.communicate(timeout=START_S)[1]
        status = self.process.returncode
        self.process = None
        return status

    def _command(self, sabotage: str, action: str, *more: str) -> list[str]:
        code = _RUN.format(sabotage=sabotage)
        return [sys.executable, "-c", code, "witness", action, "--dir", str(self.folder), *more]

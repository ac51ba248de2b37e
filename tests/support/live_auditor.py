"""A real auditing service on a loopback port, in a folder of its own, following a real ledger.

auditor = LiveAuditor.create(tmp_path / "auditor", live)     keys, settings, empty store; nothing runs yet
auditor.start() ... auditor.stop() or auditor.kill()         SIGTERM or SIGKILL, by pid
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.tlog.policy import Witness
from tests.support.live_ledger import ROOT, START_S, LiveLedger
from tests.support.ports import free_port

PASSPHRASE = "a passphrase of the tests"


@dataclass
class LiveAuditor:
    folder: Path
    port: int
    keys: tuple[VerifierKey, ...]
    process: subprocess.Popen[str] | None = None
    environ: dict[str, str] = field(default_factory=lambda: {**os.environ, "CERT_AUDITOR_PASSPHRASE": PASSPHRASE})

    @classmethod
    def create(cls, folder: Path, live: LiveLedger, name: str = "auditor.example/live") -> LiveAuditor:
        auditor = cls(folder, free_port(), ())
        genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
        pins = [argument for key in live.keys for argument in ("--vkey", key.format_vkey())]
        pins += ["--origin", live.authority.origin, "--genesis", genesis]
        said = subprocess.check_output(
            auditor._command("init", "--ledger", live.url, "--name", name, *pins, "--light", "--json"),
            env=auditor.environ,
            cwd=ROOT,
        )
        auditor.keys = tuple(map(parse_vkey, json.loads(said)["vkeys"]))
        settings = folder / "audit.toml"
        text = re.sub(r"(?m)^#? ?port = .*$", f"port = {auditor.port}", settings.read_text("utf-8"))
        settings.write_text(text, "utf-8")
        return auditor

    @property
    def policy_lines(self) -> tuple[Witness, ...]:
        """What the log's policy says of it, beside its quorum."""
        url = f"http://127.0.0.1:{self.port}"
        return tuple(Witness(f"auditor{at}", key, url) for at, key in enumerate(self.keys, 1))

    def start(self) -> None:
        """Returns when it listens."""
        with self.folder.with_suffix(".stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                self._command("serve"), env=self.environ, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert f":{self.port}" in said, said

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=START_S)
        return self.process.returncode

    def _command(self, action: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "verifier", "audit", action, "--dir", str(self.folder), *more]

"""A real front process beside real sequencers.

front = LiveFront.create(tmp_path / "front", leader, [leader, standby]); front.start() … front.stop()
async with front.client(body) as client: …        signs for the front's own address
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.client import LedgerClient
from ledger.keystore import LIGHT_COST, open_key_file
from ledger.service.config import LedgerSettings
from ledger.service.front_run import FRONT_FILE, FrontSettings, make_front_keys
from ledger.service.run import SETTINGS_FILE
from ledger.settings import format_settings, load_settings
from tests.support.builders import Body
from tests.support.live_ledger import PASSPHRASE, ROOT, START_S, LiveLedger
from tests.support.ports import free_port

FRONT_PASSPHRASE = b"another passphrase of the tests"


def settings_of(live: LiveLedger) -> LedgerSettings:
    return load_settings(LedgerSettings, live.folder / SETTINGS_FILE)


def internal_url(live: LiveLedger) -> str:
    return f"http://127.0.0.1:{settings_of(live).internal_port}"


@dataclass
class LiveFront:
    folder: Path
    url: str
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, folder: Path, members: Sequence[LiveLedger], url: str = "", **settings: Any) -> LiveFront:
        """A folder with a key file and settings. `url` is the address that the sequencers have as their public one."""
        folder.mkdir()
        first = settings_of(members[0])
        url = url or f"http://127.0.0.1:{free_port()}"
        chosen = FrontSettings(
            **{
                "origin": first.origin,
                "store": first.store,
                "sequencers": tuple(map(internal_url, members)),
                "public_url": url,
                "port": int(url.rpartition(":")[2]),
                "examiners": 0,
                "answer_ms": 60_000,
                "search_ms": 30_000,
                **settings,
            }
        )
        (folder / FRONT_FILE).write_text(format_settings(chosen), "utf-8")
        ledger = open_key_file(members[0].folder / first.keys, PASSPHRASE)
        make_front_keys(folder / chosen.keys, ledger, FRONT_PASSPHRASE, cost=LIGHT_COST)
        return cls(folder, url)

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr"

    def start(self) -> LiveFront:
        """Run `python -m ledger front` and wait until it says that it serves."""
        with self.stderr.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ledger", "front", "--dir", str(self.folder)],
                cwd=ROOT,
                env=os.environ | {"CERT_LEDGER_FRONT_PASSPHRASE": FRONT_PASSPHRASE.decode()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        line = self.process.stdout.readline() if self.process.stdout else b""
        if not line.endswith(b" front\n"):
            self.end(signal.SIGKILL)
            raise AssertionError(f"the front did not start: {self.stderr.read_text('utf-8')[-2000:]}")
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(START_S)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def client(self, body: Body | None = None, **changes: Any) -> LedgerClient:
        return LedgerClient(self.url, signer=body.request if body else None, **changes)

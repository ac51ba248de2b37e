"""A verifier's folder that follows or asks a real ledger: `serve` over a replica, or lists checked without one.

verifier = await LiveVerifier.create(tmp_path / "v", live)      settings, empty stores; nothing runs yet
verifier.start() ... verifier.stop() or verifier.kill()         SIGTERM or SIGKILL, by pid
verifier.start(sabotage)                                        Python statements run in the process before it serves
codes = verifier.check_list([link, ...])                        a process of its own; also of a folder without replica
"""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.live_ledger import ROOT, START_S, LiveLedger
from tests.support.ports import free_port
from verifier.config import LogConfig, VerifierSettings, create_folder
from verifier.site.opening import prepare_site

_RUN = "import sys\nfrom verifier.__main__ import main\n{sabotage}\nsys.exit(main(sys.argv[1:]))\n"
_LISTENS = "cert-verifier listens on"
_CODE_COLUMN = "结果代码"


@dataclass
class LiveVerifier:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def create(
        cls, folder: Path, live: LiveLedger, *, replica: bool = True, base: str = "", **pins: Any
    ) -> LiveVerifier:
        """`base`: the official address, if it is another one's; `pins`: policy, map_auditors, what a LogConfig has."""
        genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
        vkeys = tuple(key.format_vkey() for key in live.keys)
        log = LogConfig(live.authority.origin, vkeys, genesis, ledger_url=live.url, **pins)
        verifier = cls(folder, free_port())
        settings = VerifierSettings((base or verifier.url,), (log,), replica=replica, port=verifier.port, poll_ms=200)
        await create_folder(folder, settings)
        if replica:
            await prepare_site(settings.site_store, folder)
        return verifier

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stderr(self) -> Path:
        return self.folder.with_suffix(".stderr")

    def start(self, sabotage: str = "") -> None:
        """Returns when it listens."""
        self.stderr.touch()
        began = self.stderr.stat().st_size
        with self.stderr.open("ab") as errors:
            self.process = subprocess.Popen(
                self._command(sabotage, "serve"), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )
        until = time.monotonic() + 5 * START_S  # all the programs start at once
        while _LISTENS not in self.stderr.read_bytes()[began:].decode("utf-8", "replace"):
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"the verifier did not start: {self.stderr.read_text('utf-8')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    def check_list(self, links: Sequence[str]) -> list[str]:
        """The code of each link, by `check-list`."""
        asked, answered = self.folder.with_suffix(".asked.csv"), self.folder.with_suffix(".answered.csv")
        asked.write_text("\n".join(["链接", *links]) + "\n", "utf-8")
        answered.unlink(missing_ok=True)
        words = [str(asked), "--out", str(answered), "--unsigned", "--quiet", "--lang", "zh"]
        done = self._run("check-list", *words)
        assert done.returncode in (0, 1), done.stderr
        with answered.open(encoding="utf-8-sig", newline="") as file:
            codes = [row[_CODE_COLUMN] for row in csv.DictReader(file) if row["链接"] in set(links)]
        assert len(codes) == len(links)
        return codes

    def check(self, item: Path) -> dict[str, Any]:
        """The verdict of one file, by `check`."""
        done = self._run("check", str(item), "--json", "--quiet")
        assert done.returncode in (0, 1, 3), done.stderr
        verdict: dict[str, Any] = json.loads(done.stdout)
        return verdict

    def _run(self, action: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = self._command("", action, *words)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(START_S)

    def _command(self, sabotage: str, action: str, *words: str) -> list[str]:
        code = _RUN.format(sabotage=sabotage)
        return [sys.executable, "-c", code, action, *words, "--dir", str(self.folder)]

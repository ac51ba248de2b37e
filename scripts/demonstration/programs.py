"""The programs of a demo: run to their end, or started, waited for and ended by pid."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

_READY_S = 60.0
_OWNERS = ("AUTHORITY", "LEDGER", "ISSUER", "WITNESS", "AUDITOR", "VERIFIER", "KIT")


class Programs:
    """What runs under one demo folder. Passphrases are kept in its `secrets.json`, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, **_passphrases(folder / "secrets.json"), "PYTHONUNBUFFERED": "1"}

    def run(self, package: str, *arguments: object) -> bytes:
        """Run one program to its end; what it printed. Ends the demo when the program fails."""
        command = [sys.executable, "-m", package, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            sys.stderr.buffer.write(done.stdout)
            raise SystemExit(f"失败 / failed ({done.returncode}): cert-{package} {arguments[0]}")
        return done.stdout

    def serve(self, name: str, arguments: Sequence[object], ready: str) -> None:
        """Start a server and wait until `ready` (an address) answers 200. Ends the demo when it does not."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)], env=self.environment, stdout=log, stderr=log
            )
        self.children.append(child)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise SystemExit(f"{name} 未能启动 / did not start; see {logs / (name + '.log')}")
            try:
                with urllib.request.urlopen(ready, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise SystemExit(f"{name} 未就绪 / is not ready; see {logs / (name + '.log')}")

    def watch(self) -> int:
        """Stay until Ctrl-C, or until one of the servers ends."""
        while all(child.poll() is None for child in self.children):
            time.sleep(0.5)
        say("一个服务已停止 / a server has stopped; see " + str(self.folder / "logs"))
        return 1

    def stop(self) -> None:
        """End only what this run started, by pid."""
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _passphrases(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    kept = {f"CERT_{owner}_PASSPHRASE": secrets.token_urlsafe(18) for owner in _OWNERS} | found
    if kept != found:
        part = path.with_suffix(".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file, indent=1)
        part.replace(path)
    return kept

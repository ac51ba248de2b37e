"""cert-issuer as a person runs it, in one folder against an in-memory log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from issuer.__main__ import main
from issuer.console import acts, batches, rosters, setup
from ledger.errors import Unavailable
from ledger.text import Text
from tests.support.fake_log import FILING_NUMBER, ORIGIN, FakeLog, make_filing
from tests.support.issuer_desk import NOW_MS, PASSPHRASE, TODAY, VERIFY_URL


class Shell:
    """Runs commands in one folder; the ledger at any address is `log`, or nobody when that is None."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.log: FakeLog | None = None

    def __call__(self, command: str, *arguments: object) -> tuple[int, str, str]:
        self._capsys.readouterr()  # what a command that was killed had said
        try:
            code = main([command, "--dir", str(self.folder), *map(str, arguments)])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, command: str, *arguments: object) -> tuple[int, dict[str, Any]]:
        code, out, _ = self(command, "--json", *arguments)
        return code, json.loads(out)

    def init(self) -> tuple[int, str, str]:
        assert self.log is not None
        vkeys = [part for key in self.log.vkeys for part in ("--vkey", key.format_vkey())]
        return self(
            "init", "--ledger", "http://127.0.0.1:1", "--origin", ORIGIN, *vkeys,
            "--filing", FILING_NUMBER, "--verify-url", VERIFY_URL,
        )  # fmt: skip

    def make_ready(self, **filing: Any) -> Shell:
        """Keys, a log whose filing lists them, and the settings."""
        code, public = self.json("keygen", "--label", "test", "--light")
        assert code == 0
        record, request = (bytes.fromhex(public[name]) for name in ("record_key", "request_key"))
        window = {"first_day": TODAY - 400, "last_day": TODAY + 400} | filing
        self.log = FakeLog(make_filing(record, request, **window), NOW_MS)
        assert self.init()[0] == 0
        return self


class Nobody:
    """A ledger that answers no question."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def ask(*_: object, **__: object) -> None:
            raise Unavailable(Text("没有应答", "the ledger did not answer"))

        return ask


def make_shell(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    shell = Shell(folder, capsys)

    class Client:
        def __init__(self, base_url: str, *, signer: object = None) -> None:
            pass

        async def __aenter__(self) -> FakeLog | Nobody:
            return shell.log or Nobody()

        async def __aexit__(self, *_: object) -> None:
            return None

    for module in (acts, batches, rosters, setup):
        monkeypatch.setattr(module, "LedgerClient", Client)
        monkeypatch.setattr(module, "wall_ms", lambda: NOW_MS)
    monkeypatch.setenv("CERT_ISSUER_PASSPHRASE", PASSPHRASE.decode())
    return shell

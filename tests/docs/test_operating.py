"""The set-up of PostgreSQL in docs/operating.md, carried out word by word on a real server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.operate import PASSPHRASE
from tests.support.builders import make_authority
from tests.support.live_ledger import ROOT
from tests.support.postgres import postgres_server

GUIDE = (ROOT / "docs" / "operating.md").read_text("utf-8")
STORE = GUIDE[GUIDE.index("## The store") :].partition("\n## ")[0]


def test_the_store_section_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = postgres_server()
    here = {
        "ledger_owner": "guide_owner",
        "ledger_app": "guide_app",
        "/srv/log": f"{tmp_path}/log",
        "/backup": str(tmp_path),
        "@db.example.org/ledger": f"@127.0.0.1:{server.port}/guide",
        "DATABASE ledger": "DATABASE guide",
        "genesis.statement": f"{tmp_path}/genesis",
    }

    def mine(line: str) -> str:
        for theirs, ours in here.items():
            line = line.replace(theirs, ours)
        return line

    for line in re.findall(r"^    (CREATE .+)$", STORE, re.MULTILINE):
        server.sql(None, mine(line))
    authority = make_authority(origin="log.example.org/2026")
    (tmp_path / "genesis").write_bytes(authority.sign(authority.genesis).entry)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    commands = [shlex.split(mine(line))[1:] for line in re.findall(r"^    (cert-ledger .+)$", STORE, re.MULTILINE)]
    words = {command[0] if "--dry-run" not in command else "dry": command for command in commands}
    assert list(words) == ["init", "dry", "migrate", "backup", "restore", "migrate-store"]
    owner = words["init"][words["init"].index("--store-owner") :]
    assert main([*words["init"], "--light"]) == 0
    assert main(["fsck", "--dir", f"{tmp_path}/log"]) == 0
    assert main([*words["dry"], *owner]) == main([*words["migrate"], *owner]) == 0
    assert main(words["backup"]) == 0
    assert main([*words["restore"], *owner]) == 1, "never over a log that is there"
    # The store is lost, and restored into the default; then it moves to the server as the guide says.
    server.sql(None, "DROP DATABASE guide WITH (FORCE)")
    server.sql(None, "CREATE DATABASE guide OWNER guide_owner")
    settings = tmp_path / "log" / "ledger.toml"
    settings.write_text(re.sub(r'postgresql://[^"]+', "log.db", settings.read_text("utf-8")), "utf-8")
    assert main(words["restore"]) == 0
    assert main(words["migrate-store"]) == 0

"""An employer publishes the digest of its own wage table, on a real ledger."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from issuer.__main__ import main
from ledger.records.authority import FiledKey
from ledger.records.kinds import IssuerKind
from ledger.records.pack import Pack
from ledger.records.statements import parse_statement
from tests.support.builders import NUMBER
from tests.support.live_ledger import LiveLedger, live_body, today

DIGEST = "ab" * 32
WORDS = ("publish-pack", "--id", "wages", "--first-day", "2026-01-01", "--json")


def test_it_is_published_once_however_often_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERT_ISSUER_PASSPHRASE", "a passphrase of the tests")
    folder = ("--dir", str(tmp_path / "issuer"))
    assert main(["keygen", *folder, "--light", "--json"]) == 0
    public = json.loads(capsys.readouterr().out)
    keys = [(FiledKey(bytes.fromhex(public[name]), today() - 9),) for name in ("record_key", "request_key")]
    live = LiveLedger.create(tmp_path / "log", "packs", examiners=0)
    live.start()
    try:
        asyncio.run(live.file(live_body(kind=IssuerKind.EMPLOYER, record_keys=keys[0], request_keys=keys[1])))
        vkeys = [word for key in live.keys for word in ("--vkey", key.format_vkey())]
        init = ["init", *folder, "--ledger", live.url, "--origin", live.authority.origin, *vkeys]
        assert main([*init, "--filing", NUMBER, "--verify-url", "https://cert.example"]) == 0
        capsys.readouterr()
        told = []
        for _ in range(2):
            assert main([*WORDS, *folder, "--version", "1", "--digest", DIGEST]) == 0
            told.append(json.loads(capsys.readouterr().out))
        assert told[0] == told[1] and told[0]["digest"] == DIGEST
        assert main([*WORDS, *folder, "--version", "1", "--digest", "cd" * 32]) != 0
        assert "VERSION_EXISTS" in "".join(capsys.readouterr())
        assert main([*WORDS, *folder, "--version", "2", "--digest", "AB"]) != 0

        async def published() -> tuple[bytes, int] | None:
            async with live.client() as client:
                return await client.pack(bytes.fromhex(DIGEST), NUMBER)

        found = asyncio.run(published())
        assert found is not None and found[1] == told[0]["index"]
        body = parse_statement(found[0]).body
        assert isinstance(body, Pack) and (body.issuer, body.terms) == (NUMBER, None)
    finally:
        live.kill()

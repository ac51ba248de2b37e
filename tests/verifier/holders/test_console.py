"""What the operator sees of requests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.build_log import LogBuilder
from tests.support.builders import octets
from tests.support.holder_site import log_config
from tests.verifier.holders.test_accounts import HELD
from verifier.__main__ import main
from verifier.config import VerifierSettings, create_folder
from verifier.holders.accounts import Accounts
from verifier.holders.requests import CORRECTION, ERASURE, Requests
from verifier.site.opening import open_site, prepare_site


async def asked(folder: Path) -> None:
    log = await LogBuilder.create(folder.parent / "log.db")
    await create_folder(folder, VerifierSettings(("https://cert.example",), (log_config(log, ""),)))
    await log.store.close()
    await prepare_site("site.db", folder)
    store = await open_site("site.db", folder)
    accounts = Accounts(lambda: store, lambda: 1_000, lambda count: octets("draw", count))
    session = await accounts.session(await accounts.start(await accounts.claim(HELD, None)))
    assert session is not None
    draws = iter([octets("one", 16), octets("two", 16)])
    requests = Requests(lambda: store, lambda: 1_000, lambda _: next(draws))
    await requests.add(session, CORRECTION, HELD.cert_key, "name", b"")
    await requests.add(session, ERASURE, HELD.cert_key, "", b"order")
    await store.close()


def test_requests_are_listed_until_they_are_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "verifier"
    asyncio.run(asked(folder))
    command = ["holder-requests", "--dir", str(folder)]
    assert main(command) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["kind"]: (line["field"], bytes.fromhex(line["order"])) for line in lines} == {
        "correction": ("name", b""),
        "erasure": ("", b"order"),
    }
    assert all(line["cert_key"] == HELD.cert_key.hex() and line["asked"] == "1970-01-01T00:00:01Z" for line in lines)
    done = next(line["id"] for line in lines if line["kind"] == "erasure")
    assert main([*command, "--done", done]) == 0
    assert main([*command, "--done", done]) == 2, "once"
    assert main([*command, "--done", "x"]) == 2
    capsys.readouterr()
    assert main(command) == 0
    assert [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()] == ["correction"]

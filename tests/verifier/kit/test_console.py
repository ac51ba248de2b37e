"""`kit init`, `kit make`, `check --kit` as they are typed, over a real ledger on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from ledger.records.qr import format_code
from tests.support.build_log import BASE, FakeLedger, LogBuilder, served
from tests.support.kits import MAKER_KEY
from tests.support.live_site import now_ms
from verifier.__main__ import main
from verifier.kit.console import PASSPHRASE
from verifier.kit.format import open_kit
from verifier.kit.key import KEY_FILE, own_key


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


class Desk:
    def __init__(self, ledger: FakeLedger, url: str, folder: Path, text: str) -> None:
        self.ledger, self.log, self.url, self.folder, self.text = ledger, ledger.log, url, folder, text

    async def run(self, *words: str | Path) -> int:
        return await asyncio.to_thread(main, [*map(str, words)])

    async def init(self, folder: Path) -> None:
        words = ["init", "--dir", str(folder), "--base", BASE, "--ledger", self.url, "--origin", self.log.origin]
        words += [word for key in self.log.signer.vkeys for word in ("--vkey", key.format_vkey())]
        assert await self.run(*words, "--genesis", sha256(self.log.genesis_entry()).hexdigest()) == 0


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    log = await LogBuilder.create(tmp_path / "log.db")
    certificate = log.certificate("one")
    (index,) = await log.issue(certificate)
    ledger = FakeLedger(log, time_ms=now_ms())
    async with served(ledger) as url:
        made = Desk(ledger, url, tmp_path / "verifier", format_code(certificate.code(index)))
        await made.init(made.folder)
        yield made
    await log.store.close()


async def test_a_kit_is_made_and_judges_without_ledger_or_replica(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fair.kit"
    assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet") == 3, "there is no key yet"
    assert await desk.run("check", desk.text, "--dir", desk.folder, "--kit", out) == 2, "nobody's kits are believed"
    capsys.readouterr()
    assert await desk.run("kit", "init", "--dir", desk.folder, "--name", "kit.example/1", "--light") == 0
    vkey = capsys.readouterr().out.strip()
    assert vkey.startswith("kit.example/1+")
    assert await desk.run("kit", "init", "--dir", desk.folder, "--name", "kit.example/1", "--light") == 2
    assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet") == 0
    assert "good until" in capsys.readouterr().out and not out.with_name("fair.kit.new").exists()

    changed = tmp_path / "changed.kit"
    changed.write_bytes(out.read_bytes().replace(b"certledger/kit/v3", b"certledger/kit/v2", 1))
    capsys.readouterr()
    assert await desk.run("check", desk.text, "--dir", desk.folder, "--kit", changed) == 2
    assert "离线包是另一版本的格式" in (said := capsys.readouterr().err) and "make or fetch it anew" in said

    other = tmp_path / "laptop"  # another folder, without a replica, that believes the maker
    await desk.init(other)
    settings = other / "verifier.toml"
    settings.write_text(
        f'kit_keys = ["{vkey}"]\n' + settings.read_text("utf-8").replace("kit_keys = []\n", ""), "utf-8"
    )
    for folder in (desk.folder, other):
        assert await desk.run("check", desk.text, "--dir", folder, "--kit", out) == 0
        said = capsys.readouterr().out
        assert "离线核验有效" in said or "Valid offline" in said
        assert "是否确已登记" in said or "whether it was entered" in said
        assert "(not checked)" in said or "（未核对）" in said
        assert await desk.run("check", desk.text[:-3] + "999", "--dir", folder, "--kit", out) in (1, 2)
    written = tmp_path / "code.txt"
    written.write_text(desk.text, "utf-8")
    assert await desk.run("check", written, "--dir", other, "--kit", out, "--json") == 0
    assert '"source": "kit"' in capsys.readouterr().out

    stranger = settings.read_text("utf-8").replace(vkey, MAKER_KEY.format_vkey())
    settings.write_text(stranger, "utf-8")
    assert await desk.run("check", desk.text, "--dir", other, "--kit", out) == 1
    settings.write_text(stranger.replace(MAKER_KEY.format_vkey(), "x"), "utf-8")
    assert await desk.run("check", desk.text, "--dir", other, "--kit", out) == 2
    assert not (other / KEY_FILE).exists()


async def test_the_operator_hears_of_a_log_that_the_kit_calls_nothing_valid_of(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "fair.kit"
    assert await desk.run("kit", "init", "--dir", desk.folder, "--name", "kit.example/1", "--light") == 0
    for words in ((), ("--offline",)):
        capsys.readouterr()
        assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet", *words) == 0
        assert capsys.readouterr().err == ""
    desk.ledger.down = True
    assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet") == 3
    assert f"{desk.log.origin}: 暂时无法更新" in capsys.readouterr().err, "the kit is of what is held"
    assert await desk.run("check", desk.text, "--dir", desk.folder, "--kit", out) == 0
    desk.ledger.down = False
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(fork.certificate("another"))
    desk.ledger.altered["checkpoint"] = fork.checkpoint(now_ms())
    await fork.store.close()
    capsys.readouterr()
    assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet") == 1
    assert f"{desk.log.origin}: no longer followed" in capsys.readouterr().err
    assert await desk.run("check", desk.text, "--dir", desk.folder, "--kit", out) != 0
    assert "proven to have broken its own rules" in capsys.readouterr().out
    four_days_later = now_ms() + 4 * 86_400_000
    monkeypatch.setattr("verifier.kit.console.wall_ms", lambda: four_days_later)
    assert await desk.run("kit", "make", "--dir", desk.folder, "--out", out, "--quiet", "--offline") == 0
    told = capsys.readouterr().err
    assert f"{desk.log.origin}: its data is of" in told and "超过期限" in told


async def test_serve_offers_what_it_makes_and_browsers_are_told_whose_it_is(desk: Desk) -> None:
    assert await desk.run("kit", "init", "--dir", desk.folder, "--name", "kit.example/1", "--light") == 0
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "verifier", "serve", "--dir", str(desk.folder), "--port", "0", "--kit",
        stderr=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        url = ""
        while "listens on" not in url:
            url = (await asyncio.wait_for(process.stderr.readline(), 180)).decode()
        async with aiohttp.ClientSession(url.split()[-1]) as session, asyncio.timeout(180):
            status, raw = 503, b""
            while status == 503:
                async with session.get("/kit") as got:
                    status, raw = got.status, await got.read()
                await asyncio.sleep(0.05)
            async with session.get("/v1/trust") as got:
                told = json.loads(await got.read())
            async with session.get("/offline") as got:
                assert got.status == 200
        own = own_key(desk.folder)
        assert own is not None and told["kit_keys"] == [own.format_vkey()]
        assert open_kit(raw, [own]).logs[0].origin == desk.log.origin
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0

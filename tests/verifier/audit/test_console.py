"""The commands against a real HTTP log on loopback: exit codes, files, resuming, evidence, and the document's words."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ledger.errors import Refused
from ledger.records.bundle import format_bundle
from ledger.records.dates import format_day
from ledger.records.seal import parse_seal
from ledger.settings import format_settings
from tests.support.build_log import FILING, ISSUE_DAY, OCCUPATION, FakeLedger, LogBuilder, octets, served
from tests.support.lying_log import RawLog
from tests.support.ports import free_port
from verifier.__main__ import main
from verifier.audit.config import SETTINGS_FILE, load_folder
from verifier.audit.console import PASSPHRASE, REPORT_HTML, REPORT_HTML_EN, REPORT_JSON
from verifier.audit.report import SCHEMA

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "auditing.md").read_text("utf-8")


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    url: str
    folder: Path

    @property
    def pins(self) -> list[str]:
        keys = [part for key in self.log.signer.vkeys for part in ("--vkey", key.format_vkey())]
        return ["--origin", self.log.origin, *keys, "--genesis", sha256(self.log.genesis_entry()).hexdigest()]

    async def run(self, *arguments: str) -> int:
        try:
            return await asyncio.to_thread(main, ["audit", *arguments])
        except SystemExit as usage:
            return int(usage.code or 0)

    async def audit(self, *more: str) -> int:
        return await self.run(self.url, "--dir", str(self.folder), "--quiet", *more)

    def report(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / REPORT_JSON).read_bytes())
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(*(log.certificate(f"c{n}") for n in range(3)))
    ledger = FakeLedger(log, time_ms=time.time_ns() // 1_000_000)
    async with served(ledger) as url:
        yield Desk(log, ledger, url, tmp_path / "audit")
    await log.store.close()


async def test_sound(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert await desk.audit(*desk.pins) == 0
    assert "日志完好 / The log is sound" in capsys.readouterr().out
    report = desk.report()
    assert (report["schema"], report["result"], report["replayed"]) == (SCHEMA, "sound", desk.log.integrator.size)
    for name, word in ((REPORT_HTML, "日志完好"), (REPORT_HTML_EN, "The log is sound")):
        assert word in (desk.folder / name).read_text("utf-8")
    await desk.log.issue(desk.log.certificate("more"))
    assert await desk.audit("--json") == 0  # goes on, without pins
    again = json.loads(capsys.readouterr().out)
    assert again == desk.report() and again["run"]["entries"] == 2
    assert {path.stat().st_mode & 0o077 for path in desk.folder.iterdir()} == {0}


async def test_a_log_that_cannot_be_reached_is_named_with_what_to_do(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await desk.audit(*desk.pins) == 0 and desk.report()["remedy"] is None
    capsys.readouterr()
    address = f"127.0.0.1:{free_port()}"
    desk.url = f"http://{address}/2026"
    assert await desk.audit() == 3
    said = capsys.readouterr().out
    assert f"请检查 {address} 能否连通" in said and f"whether {address} can be reached" in said
    remedy = desk.report()["remedy"]
    assert isinstance(remedy, dict) and address in remedy["zh"] and address in remedy["en"]
    for name, lang in ((REPORT_HTML, "zh"), (REPORT_HTML_EN, "en")):
        assert remedy[lang] in (desk.folder / name).read_text("utf-8")
    for secret in ("http://user:geheim@127.0.0.1:1", "http://127.0.0.1:1/?word=geheim"):
        desk.url = secret
        assert await desk.audit() == 2
        told = capsys.readouterr()
        assert "geheim" not in told.out + told.err, "it never gets into a message"


async def test_a_log_of_another_time_is_a_matter_of_clocks(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.ledger.time_ms += 3_600_000
    assert await desk.audit(*desk.pins) == 3
    said = capsys.readouterr().out
    assert "请核对本机时钟" in said and "Check the clock of this machine" in said and "can be reached" not in said


async def test_a_broken_log_exits_with_1_and_its_evidence_holds(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert await desk.audit(*desk.pins) == 0
    fork = await LogBuilder.create(desk.folder.parent / "fork.db")
    await fork.issue(fork.certificate("there"))
    desk.ledger.log = fork
    assert await desk.audit() == 1
    (name,) = (path.name for path in (desk.folder / "evidence").iterdir())
    assert name in capsys.readouterr().out
    command = ["evidence", str(desk.folder / "evidence" / name), *desk.pins[:-2]]
    assert await desk.run(*command) == 0
    assert "two heads that do not fit" in capsys.readouterr().out
    assert await desk.run(*command[:2], "--origin", "other.example", *desk.pins[2:-2]) == 1
    others = [part for key in replace(desk.log, pair="x").signer.vkeys for part in ("--vkey", key.format_vkey())]
    assert await desk.run(*command[:4], *others) == 1
    assert await desk.run(*command[:4], *others, *desk.pins[2:-2]) == 0, "a pair of before, beside the present one"
    assert await desk.run(*command, *others[:2]) == 2
    (desk.folder / "junk").write_text("{}")
    assert await desk.run("evidence", str(desk.folder / "junk"), *desk.pins[:-2]) == 2
    assert await desk.run("evidence", str(desk.folder / "nowhere"), *desk.pins[:-2]) == 2
    await fork.store.close()


async def test_a_bad_seal_exits_with_1_and_names_the_index(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    entries = await desk.log.store.entries(0, desk.log.integrator.size)
    seal = parse_seal(entries[-1])
    entries[-1] = replace(seal, map_root=octets("x")).encode()
    raw = RawLog(desk.log, entries)

    async def checkpoint() -> bytes:
        return await raw.checkpoint()

    desk.ledger.checkpoint, desk.ledger.tile = checkpoint, raw.tile  # type: ignore[method-assign]
    assert await desk.audit(*desk.pins) == 1
    assert f"first bad index: {len(entries) - 1}" in capsys.readouterr().out
    assert desk.report()["first_bad_index"] == len(entries) - 1
    path = desk.folder / "evidence" / f"entry-{len(entries) - 1}.json"
    assert await desk.run("evidence", str(path), *desk.pins[:-2]) == 0
    assert "another map root" in capsys.readouterr().out


async def test_what_is_not_as_signed_is_asked_for_again(desk: Desk) -> None:
    desk.ledger.altered["checkpoint"] = b"nonsense"
    assert await desk.audit(*desk.pins) == 1
    assert desk.ledger.asked.count("checkpoint") == 2
    desk.ledger.altered.clear()
    assert await desk.audit() == 0


async def test_a_sheet_of_sittings(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await desk.audit(*desk.pins)
    assert "pass rates need the body's list" in json.dumps(desk.report()["limits"])
    sheet, day = tmp_path / "sittings.csv", format_day(ISSUE_DAY - 7)
    sheet.write_text(f"备案号,职业编码,等级,评价日期,参加人数\n{FILING},{OCCUPATION},三级,{day},2\n", "utf-8")
    assert await desk.audit("--sittings", str(sheet)) == 0  # a warning: not the log's fault
    assert "[warning] more_than_sat" in capsys.readouterr().out
    report = desk.report()
    assert [one["code"] for one in report["alarms"]] == ["more_than_sat"]  # type: ignore[attr-defined]
    assert "sheet of sittings" in report["limits"][0]["en"]  # type: ignore[index]
    settings = desk.folder / "audit.toml"
    settings.write_text('sittings = "../sittings.csv"\n' + settings.read_text("utf-8"), "utf-8")
    assert await desk.audit("--json") == 0  # as a service finds it, from its own folder
    assert json.loads(capsys.readouterr().out)["pass_rates"]["certificates"] == 3
    sheet.write_text(f"备案号,职业编码,等级,评价日期,参加人数\nx,{OCCUPATION},三级,{day},2\n", "utf-8")
    assert await desk.audit("--sittings", str(sheet)) == 2
    assert "第 2 行 备案号“x”" in capsys.readouterr().err
    assert await desk.audit("--sittings", str(tmp_path / "nowhere.csv")) == 3


async def test_could_not_tell(desk: Desk) -> None:
    desk.ledger.down = True
    assert await desk.audit(*desk.pins) == 3
    assert desk.report()["result"] == "undecided"


async def test_usage(desk: Desk, tmp_path: Path) -> None:
    assert await desk.audit() == 2  # no pins, no folder
    assert not desk.folder.exists()
    assert await desk.run() == 2
    assert await desk.run(desk.url) == 2
    assert await desk.audit(*desk.pins, "--nonsense") == 2
    assert await desk.audit("--origin", "x") == 2
    assert await desk.audit(*desk.pins) == 0
    other = await LogBuilder.create(tmp_path / "other.db", origin="other.example")
    stranger = Desk(other, desk.ledger, desk.url, desk.folder)
    assert await desk.audit(*stranger.pins) == 2  # the folder is of another log
    (tmp_path / "policy").write_text("quorum nobody\n")
    assert await desk.audit("--policy", str(tmp_path / "policy")) == 2
    await other.store.close()


async def test_openings_and_checkpoints_from_elsewhere(desk: Desk, tmp_path: Path) -> None:
    certificate = desk.log.certificate("with bundle")
    await desk.log.issue(certificate)
    (tmp_path / "out").mkdir()
    bundle = format_bundle(await desk.log.bundle(certificate))
    (tmp_path / "out" / "one.certbundle").write_bytes(bundle)
    (tmp_path / "elsewhere").write_bytes(desk.log.checkpoint())
    more = ("--openings", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "elsewhere"))
    assert await desk.audit(*desk.pins, *more) == 0
    assert desk.report()["openings"] == {"checked": 1, "unreadable": 0, "unread": 0, "alarms": 0}
    assert "elsewhere" in str(desk.report()["heads"])
    (tmp_path / "elsewhere").write_bytes(b"no checkpoint")
    assert await desk.audit("--checkpoint", str(tmp_path / "elsewhere")) == 2
    settings = replace(load_folder(desk.folder), openings=Path("../out"))
    (desk.folder / SETTINGS_FILE).write_text(format_settings(settings), "utf-8")
    assert await desk.audit() == 0
    assert desk.report()["openings"] == {"checked": 1, "unreadable": 0, "unread": 0, "alarms": 0}, "by the settings"


async def test_what_a_monitor_shows_is_in_the_same_report(desk: Desk, tmp_path: Path) -> None:
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(fork.certificate("there"))

    async def shown(_: web.Request) -> web.Response:
        return web.Response(body=fork.checkpoint())

    app = web.Application()
    app.router.add_get("/{hash}/checkpoint", shown)
    async with TestServer(app) as server:
        assert await desk.audit(*desk.pins, "--monitor", str(server.make_url("/"))) == 1
    assert "inconsistency" in str(desk.report()["alarms"])
    await fork.store.close()


async def test_a_service_without_its_folder_of_openings_does_not_start(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE, "of the tests")
    pins = desk.pins
    words = ("--dir", str(desk.folder), "--ledger", desk.url, "--name", "auditor.example/a1", "--light", *pins)
    assert await desk.run("init", *words) == 0
    settings = replace(load_folder(desk.folder), openings=Path("nowhere"))
    (desk.folder / SETTINGS_FILE).write_text(format_settings(settings), "utf-8")
    assert await desk.run("serve", "--dir", str(desk.folder), "--port", "0") == 3
    assert "no such folder" in capsys.readouterr().err


async def test_killed_and_run_again(desk: Desk) -> None:
    """A kill -9 in the middle leaves a folder that goes on, and the same report as an undisturbed audit's."""
    for n in range(30):
        await desk.log.issue(*(desk.log.certificate(f"k{n}-{m}") for m in range(10)))
    command = [sys.executable, "-m", "verifier", "audit", desk.url, "--dir", str(desk.folder), "--quiet", *desk.pins]
    command[1:3] = ["-c", "import verifier.audit.follow as f; f.FLUSH = 40; from verifier.__main__ import main; main()"]
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
        tiles = len(desk.ledger.asked)
        while len(desk.ledger.asked) < tiles + 2 and process.returncode is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        with suppress(ProcessLookupError):  # it may be done already
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    assert await desk.audit(*desk.pins) == 0
    killed = desk.report()
    desk.folder = desk.folder.with_name("undisturbed")
    assert await desk.audit(*desk.pins) == 0
    assert killed["statistics"] == desk.report()["statistics"] and killed["verified"] == desk.report()["verified"]


async def test_an_init_that_is_killed_before_its_last_step_has_not_made_the_folder(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setenv("CERT_AUDITOR_PASSPHRASE", "a passphrase of the tests")
    command = ["init", "--dir", str(desk.folder), "--ledger", desk.url, "--name", "auditor.example/a1", *desk.pins]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("verifier.audit.console.create_folder", killed)
        await asyncio.to_thread(main, ["audit", *command, "--light"])
    assert (desk.folder / "keys.json").exists() and not (desk.folder / "audit.toml").exists()
    with pytest.raises(Refused, match="NOT_INITIALISED"):
        load_folder(desk.folder)


async def test_init_makes_keys_and_refuses_twice(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERT_AUDITOR_PASSPHRASE", "a passphrase of the tests")
    command = ["init", "--dir", str(desk.folder), "--ledger", desk.url, "--name", "auditor.example/a1", *desk.pins]
    assert await desk.run(*command, "--light", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "auditor.example/a1" and len(made["vkeys"]) == 2
    assert load_folder(desk.folder).name == "auditor.example/a1"
    assert await desk.run(*command, "--light") == 2
    assert "This folder has been initialised already" in capsys.readouterr().err, "and not that it has keys"
    assert await desk.audit() == 0  # a single run works in the same folder


def test_the_documents_commands_exist() -> None:
    seen = 0
    for line in re.findall(r"^    (cert-verifier audit .+)$", DOCUMENT, re.MULTILINE):
        words = line.split()[2:]
        command = [
            sys.executable,
            "-m",
            "verifier",
            "audit",
            *(words[:1] if words[0] in ("init", "serve", "evidence") else []),
        ]
        done = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout, (line, option)
            seen += 1
    assert seen > 15


async def test_the_documents_first_commands_run(desk: Desk) -> None:
    """Word for word, with the real address, folder and pins in the places of the examples."""
    first, second = re.findall(r"^    (cert-verifier audit https.+)$", DOCUMENT, re.MULTILINE)
    keys = [key.format_vkey() for key in desk.log.signer.vkeys]
    real = {"https://log.example.org": desk.url, "audit-2026": str(desk.folder), "KEY1": keys[0], "KEY2": keys[1]}
    real |= {"log.example.org/2026": desk.log.origin, "HEX": desk.pins[-1]}
    for line in (first, second):
        assert await desk.run(*(real.get(word, word) for word in line.split()[2:])) == 0

"""The command line against a real HTTP ledger on loopback: what each command prints and how it exits."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from ledger.records.bundle import format_bundle
from ledger.records.qr import format_code
from ledger.records.secret import format_secret
from ledger.store.sqlite import open_sqlite
from ledger.tlog.policy import format_policy
from tests.support.build_log import BASE, Certificate, FakeLedger, LogBuilder, octets, register_of, served
from tests.support.static_log import StaticLog
from tests.support.verdict_samples import caused
from tests.support.waiting import PATIENCE_S, until_told
from tests.support.witnesses import Cosigner, quorum
from verifier import opened
from verifier.__main__ import main
from verifier.config import SETTINGS_FILE, load_folder
from verifier.console import check
from verifier.messages import load_messages
from verifier.report import Printer
from verifier.served import SERVED_FILE, is_served, mark_served
from verifier.verdict import Code, cause_of, without_item
from verifier.verify import Evidence, verify

HOUR_MS = 3_600_000
ROOT = Path(__file__).parents[2]
_SAYS_MODULES = """
import sys
from verifier.__main__ import main
status = main(sys.argv[1:])
print(*sys.modules)
sys.exit(status)
"""
NOT_FOR_A_CHECK = {"PIL", "jinja2", "openpyxl", "pypdfium2", "qrcode", "reportlab", "webauthn", "zxingcpp"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    url: str
    folder: Path
    certificate: Certificate
    text: str
    bundle: bytes

    @property
    def store(self) -> Path:
        """The one replica in the folder."""
        return self.folder / load_folder(self.folder).logs[0].place

    def init(self, folder: Path | None = None, **changes: str) -> list[str]:
        vkeys = [key.format_vkey() for key in self.log.signer.vkeys]
        genesis = changes.get("genesis", sha256(self.log.genesis_entry()).hexdigest())
        arguments = ["init", "--dir", str(folder or self.folder), "--ledger", self.url, "--origin", self.log.origin]
        arguments += ["--vkey", changes.get("vkey", vkeys[0]), "--vkey", vkeys[1]]
        return [*arguments, "--genesis", genesis, "--base", changes.get("base", BASE)]

    async def run(self, *arguments: str) -> int:
        return await asyncio.to_thread(main, arguments)

    async def check(self, item: str | Path, *more: str) -> int:
        return await self.run("check", str(item), "--dir", str(self.folder), *more)


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    """What a login shell gives; `main` may set it for its process, which here is that of the tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    certificate = log.certificate("one")
    (index,) = await log.issue(certificate)
    ledger = FakeLedger(log, time_ms=now_ms())
    async with served(ledger) as url:
        text = format_code(certificate.code(index))
        bundle = format_bundle(await log.bundle(certificate, time_ms=ledger.time_ms))
        one = Desk(log, ledger, url, tmp_path / "verifier", certificate, text, bundle)
        assert await one.run(*one.init()) == 0
        yield one
    await log.store.close()


class TestInit:
    async def test_writes_settings_that_read_back(self, desk: Desk) -> None:
        settings = load_folder(desk.folder)
        assert [(log.ledger_url, log.tiles_url) for log in settings.logs] == [(desk.url, "")]
        assert settings.trusts() == [desk.log.trust()]
        assert "Seconds after which" in (desk.folder / SETTINGS_FILE).read_text("utf-8")

    async def test_everything_is_for_the_owner_only(self, desk: Desk) -> None:
        """What was looked up here, and whose replica this is, is nobody else's business."""
        assert await desk.check(desk.text, "--quiet") == 0
        with mark_served(desk.folder):
            modes = {path.name: path.stat().st_mode & 0o777 for path in desk.folder.iterdir()}
        assert desk.folder.stat().st_mode & 0o777 == 0o700
        assert {SETTINGS_FILE, desk.store.name, SERVED_FILE} <= set(modes)
        assert set(modes.values()) == {0o600}, modes

    async def test_refuses_to_overwrite(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        before = (desk.folder / SETTINGS_FILE).read_bytes()
        assert await desk.run(*desk.init()) == 2
        assert (desk.folder / SETTINGS_FILE).read_bytes() == before
        assert "initialised already" in capsys.readouterr().err

    @pytest.mark.parametrize("wrong", [{"genesis": "00"}, {"vkey": "x"}, {"base": "http://cert.example"}])
    async def test_refuses_untrustworthy_words(self, desk: Desk, tmp_path: Path, wrong: dict[str, str]) -> None:
        assert await desk.run(*desk.init(tmp_path / "other", **wrong)) == 2
        assert not (tmp_path / "other").exists()

    async def test_takes_a_witness_policy_and_map_auditors(self, desk: Desk, tmp_path: Path) -> None:
        policy, auditor = quorum(1, Cosigner("w.example/a"), Cosigner("w.example/b")), Cosigner("auditor.example")
        file, folder = tmp_path / "policy.txt", tmp_path / "other"
        file.write_text("# 两名见证人\n" + format_policy(policy), "utf-8")
        more = ["--policy", str(file), "--map-auditor", auditor.ed25519.format_vkey()]
        assert await desk.run(*desk.init(folder), *more) == 0
        trust = load_folder(folder).trusts()[0]
        assert (trust.policy, trust.map_auditors) == (policy, (auditor.ed25519,))
        assert "\nwitness w.example/a " in (folder / SETTINGS_FILE).read_text("utf-8"), "lines that people can read"
        assert await desk.run("sync", "--dir", str(folder), "--quiet") == 3, "the ledger here has no witnesses"

    @pytest.mark.parametrize(("content", "status"), [(b"quorum all\n", 2), (b"\xff", 2), (None, 3)])
    async def test_refuses_a_policy_that_cannot_be_used(
        self, desk: Desk, tmp_path: Path, content: bytes | None, status: int
    ) -> None:
        file = tmp_path / "policy.txt"
        if content is not None:
            file.write_bytes(content)
        assert await desk.run(*desk.init(tmp_path / "other"), "--policy", str(file)) == status
        assert not (tmp_path / "other").exists()

    async def test_other_commands_need_it(self, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for command in (["sync"], ["check", desk.text], ["serve"]):
            assert await desk.run(*command, "--dir", str(tmp_path / "nowhere")) == 2
            assert "init" in capsys.readouterr().err
        assert not (tmp_path / "nowhere").exists()


class TestSync:
    async def test_brings_up_to_date(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        assert await desk.run("sync", "--dir", str(desk.folder), "--json") == 0
        out, err = capsys.readouterr()
        head = desk.log.integrator.head
        assert head is not None
        answer = json.loads(out)
        assert (answer["size"], answer["root"]) == (head.size, head.root.hex())
        assert f"{head.size}/{head.size}" in err  # the progress line
        store = open_sqlite(desk.store, private=False)
        assert await store.head() == head
        await store.close()

    async def test_ledger_down(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        desk.ledger.down = True
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 3
        told = capsys.readouterr().err
        assert f"账本 {desk.url} " in told and f"the ledger at {desk.url} answered" in told

    async def test_dishonest_log(self, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        fork = await LogBuilder.create(tmp_path / "fork.db")
        await fork.issue(fork.certificate("hidden"))
        desk.ledger.log = fork
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 1
        assert "second history" in capsys.readouterr().err
        await fork.store.close()


class TestCheck:
    async def test_link_text_and_files(self, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "one.txt").write_text(desk.text)
        (tmp_path / "bundle").write_bytes(desk.bundle)
        link = desk.text.partition("#")[0]
        for item in (desk.text, link, link[-26:], tmp_path / "one.txt", tmp_path / "bundle"):
            assert await desk.check(item, "--quiet") == 0
            out = capsys.readouterr().out
            assert out.startswith("✓ 证书有效 / Valid\n")
            assert "例小明" in out and desk.certificate.face.number in out
            assert "\x1b" not in out  # no colour away from a terminal

    async def test_waits_for_nothing_that_only_others_need(self, desk: Desk, tmp_path: Path) -> None:
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        (tmp_path / "bundle").write_bytes(desk.bundle)
        check = ["check", str(tmp_path / "bundle"), "--dir", str(desk.folder), "--offline"]
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SAYS_MODULES, *check, cwd=ROOT, stdout=-1)
        out, _ = await process.communicate()
        said, _, loaded = out.decode().rstrip().rpartition("\n")
        assert process.returncode == 0
        assert said.startswith("✓ ")
        assert not NOT_FOR_A_CHECK & {name.partition(".")[0] for name in loaded.split()}
        assert "verifier.serving" not in loaded.split()

    async def test_stdin(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        for content in (desk.bundle, desk.text.encode()):
            monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": BytesIO(content)}))
            assert await desk.check("-", "--quiet") == 0

    async def test_json(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        assert await desk.check(desk.text, "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["code"] == "valid" and answer["certificate"]["name"] == "例小明"
        assert answer["title"] == {"zh": "证书有效", "en": "Valid"}

    @pytest.mark.parametrize(("lang", "head"), [("zh", "✓ 证书有效\n"), ("en", "✓ Valid\n")])
    async def test_one_language(self, desk: Desk, capsys: pytest.CaptureFixture[str], lang: str, head: str) -> None:
        assert await desk.check(desk.text, "--lang", lang, "--quiet") == 0
        assert capsys.readouterr().out.startswith(head)

    async def test_one_letter_changed(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        last = desk.text[-20]
        changed = desk.text[:-20] + ("1" if last != "1" else "2") + desk.text[-19:]
        assert await desk.check(changed, "--quiet") == 1
        out = capsys.readouterr().out
        assert out.startswith("✕ 内容被改动 / Altered") and "例小明" not in out

    async def test_exit_codes(self, desk: Desk) -> None:
        assert await desk.check(f"{BASE}/c/{'0' * 26}", "--quiet") == 1
        assert await desk.check("https://evil.example/", "--quiet") == 1
        assert await desk.check("hello", "--quiet") == 2
        assert await desk.check("no-such-file.pdf", "--quiet") == 2
        assert await desk.check("\0", "--quiet") == 2
        with pytest.raises(SystemExit) as caught:
            await desk.run("check")
        assert caught.value.code == 2

    async def test_ledger_down_and_old_copy(self, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
        desk.ledger.time_ms = now_ms() - HOUR_MS
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        desk.ledger.down = True
        assert await desk.check(desk.text, "--quiet") == 3
        out, err = capsys.readouterr()
        assert "! 数据不是最新" in out and "answered 503" in err

    async def test_offline(
        self, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bundle").write_bytes(desk.bundle)
        assert await desk.check(desk.text, "--offline") == 3  # nothing verified yet
        assert "sync" in capsys.readouterr().out
        assert await desk.check(tmp_path / "bundle", "--offline") == 3
        assert "签名真实" in capsys.readouterr().out
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        desk.ledger.asked.clear()
        assert await desk.check(desk.text, "--offline") == 0  # recent enough
        assert desk.ledger.asked == []
        settings = desk.folder / SETTINGS_FILE
        settings.write_text(settings.read_text("utf-8").replace("freshness_s = 300", "freshness_s = 1"), "utf-8")
        monkeypatch.setattr(check, "wall_ms", lambda: now_ms() + 2_000)
        assert await desk.check(desk.text, "--offline") == 3
        out = capsys.readouterr().out
        assert "离线核验：签名真实，状态未知" in out and "本机登记副本，截至" in out and "revoked" in out

    async def test_beside_a_running_serve(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opened, "LOOK_S", None)  # waiting would be a TypeError
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        writer = open_sqlite(desk.store, private=False)  # what `serve` holds
        desk.ledger.asked.clear()
        with mark_served(desk.folder):
            assert await desk.check(desk.text, "--quiet") == 0
            assert desk.ledger.asked == ["envelope"], "the replica is followed by serve, not by us"
            assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 2
        await writer.close()

    async def test_beside_another_check(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody follows the log, so the second waits for the first and looks itself."""
        monkeypatch.setattr(opened, "WAIT_S", 120.0)
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        later = desk.log.certificate("later")
        await desk.log.issue(later)
        writer = open_sqlite(desk.store, private=False)  # what the first one holds
        second = asyncio.create_task(desk.check(format_code(later.code()), "--quiet"))
        await asyncio.sleep(0.3)
        assert not second.done()
        await writer.close()
        assert await second == 0

    async def test_many_checks_at_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opened, "WAIT_S", 120.0)
        later = desk.log.certificate("later")
        await desk.log.issue(later)
        assert await asyncio.gather(*(desk.check(format_code(later.code()), "--quiet") for _ in range(4))) == [0] * 4

    async def test_waits_no_longer_than_people_do(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opened, "WAIT_S", 0.1)
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        writer = open_sqlite(desk.store, private=False)  # a long first sync
        assert await desk.check(desk.text, "--quiet") == 0
        await writer.close()

    async def test_offline_does_not_wait(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opened, "LOOK_S", None)  # sleeping would be a TypeError
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        writer = open_sqlite(desk.store, private=False)
        assert await desk.check(desk.text, "--offline") == 0
        await writer.close()

    def test_help_says_how_to_keep_a_link_out_of_the_process_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["check", "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert "stdin" in said and "process list" in said and "进程列表" in said.replace(" ", "")

    async def test_store_of_another_log(self, desk: Desk) -> None:
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        settings = desk.folder / SETTINGS_FILE
        genesis = sha256(desk.log.genesis_entry()).hexdigest()
        settings.write_text(settings.read_text("utf-8").replace(genesis, octets("x").hex()), "utf-8")
        assert await desk.check(desk.text, "--quiet") == 1


async def start_serve(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "verifier", "serve", "--dir", str(folder), "--port", "0",
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """A `serve` of this folder in a process of its own, which ends well: its address, and what it wrote before."""
    process = await start_serve(folder)
    try:
        assert process.stderr is not None
        lines = [""]
        async with asyncio.timeout(PATIENCE_S):
            while " listens on " not in lines[-1]:
                lines.append((await process.stderr.readline()).decode())
                assert lines[-1], lines
        reading = asyncio.create_task(process.stderr.read())  # else it would wait for that some day
        yield lines[-1].rsplit(" ", 1)[1].strip(), lines
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    await reading


async def test_serve_follows_and_answers(desk: Desk) -> None:
    async with serving(desk.folder) as (url, lines):
        assert len(lines) == 2, "nothing is told before"
        async with aiohttp.ClientSession(url) as session, asyncio.timeout(2 * PATIENCE_S):
            while True:
                async with session.get("/readyz") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)
            async with session.get(f"/c/{format_secret(desk.certificate.secret)}") as answer:
                page = await answer.text()
            assert answer.status == 200 and "证书有效" in page and "例小明" not in page  # masked
            path = f"/v1/evidence/{desk.certificate.issue.cert_key.hex()}/tlog-proof"
            assert f'href="{path}"' in page
            async with session.get(path) as answer:
                file = desk.folder / "one.tlog-proof"
                file.write_bytes(await answer.read())
            assert answer.status == 200 and await desk.run("check", str(file), "--dir", str(desk.folder)) == 0
            assert is_served(desk.folder)
            later = desk.log.certificate("later")
            await desk.log.issue(later)

            async def valid() -> bool:
                async with session.post("/v1/verify", json={"text": format_code(later.code())}) as answer:
                    return (await answer.json())["code"] == "valid"

            await until_told(valid)
            second = await start_serve(desk.folder)
            _, said = await second.communicate()
            assert second.returncode == 2 and "Another serve runs in this folder" in said.decode()
    assert not is_served(desk.folder)


class TestPrinter:
    def test_every_code_that_shows_nothing(self) -> None:
        messages = load_messages()
        for code in (Code.NOT_FOUND, Code.TAMPERED, Code.UNAVAILABLE, Code.UNREADABLE):
            text = Printer(messages, None, colour=False).block(without_item(code, 0))
            wording = messages.wordings[code]
            assert text.startswith(f"{wording.mark} {wording.title.zh} / {wording.title.en}")

    def test_a_cause_brings_its_own_line_and_steps(self) -> None:
        messages = load_messages()
        for verdict in caused():
            text = Printer(messages, "en", colour=False).block(verdict)
            assert messages.line(verdict).en in text
            steps = [line for line in text.splitlines() if line.startswith(f"  {messages.labels['next'].en}: ")]
            assert len(steps) == len(messages.next_steps(verdict.code, cause_of(verdict)))
            pointless = verdict.detail["cause"] in ("halted", "stopped", "clock", "carried", "kit")
            assert ("Retry" in text) == (verdict.code is Code.STALE and not pointless)

    async def test_signed_text_cannot_drive_the_terminal(self, desk: Desk) -> None:
        hostile = desk.log.certificate("hostile", name="例\x1b[2J\u202e")
        (index,) = await desk.log.issue(hostile)
        register = await register_of(desk.log, hostile)
        verdict = verify(Evidence(hostile.code(index), register), desk.log.trust(), desk.log.time)
        assert verdict.code is Code.VALID
        text = Printer(load_messages(), None, colour=False).block(verdict)
        assert "例?[2J?" in text and "\x1b" not in text and "\u202e" not in text

    def test_colour_never_stands_alone(self) -> None:
        messages = load_messages()
        verdict = without_item(Code.TAMPERED, 0)
        plain = Printer(messages, "en", colour=False).block(verdict)
        coloured = Printer(messages, "en", colour=True).block(verdict)
        assert "\x1b[1;31m" in coloured
        assert coloured.replace("\x1b[1;31m", "").replace("\x1b[0m", "") == plain


class TestSeveralLogs:
    """Two logs in one folder, one of them read from exported files."""

    @pytest.fixture
    async def both(self, desk: Desk, tmp_path: Path) -> AsyncIterator[tuple[Desk, Certificate, StaticLog]]:
        other = await LogBuilder.create(tmp_path / "other.db", origin="log.test.example/2027", seed="b")
        certificate = other.certificate("two")
        await other.issue(certificate)
        files = await StaticLog.export(other, tmp_path / "files", time_ms=now_ms())
        words = ["add-log", "--dir", str(desk.folder), "--origin", other.origin, "--tiles", files.url]
        words += [word for key in other.signer.vkeys for word in ("--vkey", key.format_vkey())]
        assert await desk.run(*words, "--genesis", sha256(other.genesis_entry()).hexdigest()) == 0
        yield desk, certificate, files
        await other.store.close()

    async def test_check_finds_it_in_either(
        self, both: tuple[Desk, Certificate, StaticLog], capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk, certificate, files = both
        assert await desk.check(desk.text, "--quiet") == 0
        capsys.readouterr()
        assert await desk.check(format_code(certificate.code()), "--json", "--quiet") == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["proof"]["origin"] == "log.test.example/2027"
        assert answer["certificate"]["personal_available"] is False, "nobody is asked for what files do not hold"
        (files.folder / "checkpoint").rename(files.folder / "away")
        assert await desk.check(desk.text, "--quiet") == 0
        desk.ledger.down = True
        desk.ledger.time_ms = now_ms() - HOUR_MS
        assert await desk.check(f"{BASE}/c/{'0' * 26}", "--quiet") == 1, "both are recent enough here"

    async def test_sync_runs_all_and_says_what_failed(
        self, both: tuple[Desk, Certificate, StaticLog], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk, _, files = both
        desk.ledger.down = True
        capsys.readouterr()
        assert await desk.run("sync", "--dir", str(desk.folder), "--json", "--quiet") == 3
        out, err = capsys.readouterr()
        assert [json.loads(line)["origin"] for line in out.splitlines()] == ["log.test.example/2027"]
        assert desk.log.origin in err
        assert await desk.check(f"{BASE}/c/{'0' * 26}", "--quiet") == 3, "the other one has never been read"
        desk.ledger.down = False
        note = (files.folder / "checkpoint").read_bytes()
        (files.folder / "checkpoint").write_bytes(note[:-9])
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 3
        (files.folder / "checkpoint").write_bytes(note)
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 0
        fork = await LogBuilder.create(tmp_path / "fork.db")
        await fork.issue(fork.certificate("hidden"))
        desk.ledger.log = fork
        (files.folder / "checkpoint").unlink()
        assert await desk.run("sync", "--dir", str(desk.folder), "--quiet") == 1, "the gravest decides"
        await fork.store.close()

    async def test_what_needs_a_ledger_says_so(
        self, both: tuple[Desk, Certificate, StaticLog], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk, _, _ = both
        assert await desk.check(desk.text, "--light") == 2
        assert "ledger_url" in capsys.readouterr().err
        (tmp_path / "bundle").write_bytes(desk.bundle)
        desk.ledger.time_ms = now_ms()
        assert await desk.run("refresh", str(tmp_path / "bundle"), "--dir", str(desk.folder)) == 0

    async def test_a_log_written_in_by_hand_has_no_replica(
        self, both: tuple[Desk, Certificate, StaticLog], capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk, _, _ = both
        (desk.folder / load_folder(desk.folder).logs[1].place).unlink()
        assert await desk.check(desk.text, "--quiet") == 2
        said = capsys.readouterr().err
        assert "add-log" in said and "--recreate" in said
        for made in (["log.test.example/2027"], []):  # the other one is there, and a second time nothing is gone
            assert await desk.run("sync", "--recreate", "--dir", str(desk.folder), "--quiet") == 0
            assert re.findall(r"an empty replica of (\S+) ", capsys.readouterr().err) == made
        assert await desk.check(desk.text, "--quiet") == 0

    async def test_serve_begins_without_one_and_follows_it_once_it_is_there(
        self, both: tuple[Desk, Certificate, StaticLog], capsys: pytest.CaptureFixture[str]
    ) -> None:
        desk, certificate, _ = both
        lost = desk.folder / load_folder(desk.folder).logs[1].place
        lost.unlink()
        capsys.readouterr()
        async with (
            serving(desk.folder) as (url, lines),
            aiohttp.ClientSession(url) as session,
            asyncio.timeout(2 * PATIENCE_S),
        ):
            told = [json.loads(line) for line in lines if line.startswith("{")]
            assert [line["level"] for line in told if "LOG_NOT_ADDED" in line["event"]] == ["error"]

            async def valid(text: str) -> bool:
                async with session.post("/v1/verify", json={"text": text}) as answer:
                    return (await answer.json())["code"] == "valid"

            await until_told(lambda: valid(desk.text))
            async with session.get("/readyz") as answer:
                states = (await answer.json())["detail"]["logs"]
            assert answer.status == 200 and [one["synced"] for one in states] == [True, False]
            assert (states[1]["open"], states[1]["problem"]) == (False, "LOG_NOT_ADDED")
            async with session.get("/metrics") as answer:
                assert 'replica_open{origin="log.test.example/2027"} 0.0' in await answer.text()
            assert await desk.run("sync", "--recreate", "--dir", str(desk.folder), "--quiet") == 0
            assert (
                "a running serve that could not open it opens and fills it within a minute" in capsys.readouterr().err
            )
            await until_told(lambda: valid(format_code(certificate.code())))
            assert await desk.run("sync", "--recreate", "--dir", str(desk.folder), "--quiet") == 2, "both are in use"
        assert not is_served(desk.folder)

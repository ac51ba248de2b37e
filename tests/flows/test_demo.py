"""The demo as a new user runs it: real programs, real files, real HTTP, a real browser; then a second run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from issuer.printing.certificate import CertificateFace, render_certificate
from issuer.printing.slip import ClaimSlip
from ledger.printing.fonts import load_fonts
from ledger.records.bundle import parse_bundle
from ledger.records.commitments import Field
from ledger.tlog.add_checkpoint import checkpoint_path
from ledger.tlog.checkpoint import open_checkpoint, open_cosigned
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import parse_policy
from ledger.tlog.tiles import format_tile_path, new_entries_tiles, tiles_for_size
from tests.support.missing import missing
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
ROWS = 30
PYTHON = sys.executable


def free_ports() -> int:
    """A base whose ports are this process's to give."""
    for base in range(20_000 + os.getpid() % 20_000, 60_000, 5):
        try:
            for port in range(base, base + 5):
                free_port(port)
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


class DemoRun:
    """One run of `scripts/demo`'s program in `folder`; ended by pid."""

    def __init__(self, folder: Path, base: int) -> None:
        self.folder = folder
        self.base = base
        arguments = ["--dir", str(folder), "--port-base", str(base), "--rows", str(ROWS)]
        self.process = subprocess.Popen(
            [PYTHON, "-m", "demonstration", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.output: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if "ready; Ctrl-C" in line:
                return
        self.process.wait(30)
        raise AssertionError("the demo did not become ready:\n" + "".join(self.output))

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.folder / "demo.json").read_text("utf-8"))

    def stop(self) -> int:
        """Ctrl-C, and once more by somebody impatient."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        if any("停止" in line for line in self.process.stdout):
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=300)
        return self.process.returncode


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    run = DemoRun(tmp_path_factory.mktemp("demo") / "data", free_ports())
    yield run
    if run.process.poll() is None:
        run.stop()


def check(demo: DemoRun, item: str | Path, *options: str) -> tuple[int, dict[str, Any]]:
    """`cert-verifier check` as an employer with the demo's replica folder."""
    command = [PYTHON, "-m", "verifier", "check", str(item), "--dir", str(demo.folder / "verifier"), "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600, check=False)
    return done.returncode, json.loads(done.stdout)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=180) as answer:
        return answer.read()


def test_demo_json_says_what_a_script_needs(demo: DemoRun) -> None:
    document = demo.document
    assert document["ledger_url"] == f"http://127.0.0.1:{demo.base}"
    assert document["verifier_url"] == f"http://127.0.0.1:{demo.base + 1}"
    assert document["auditor_url"] == f"http://127.0.0.1:{demo.base + 4}"
    assert document["witness_urls"] == [f"http://127.0.0.1:{demo.base + more}" for more in (2, 3)]
    assert len(document["log_keys"]) == 2 and all(
        key.startswith(document["origin"] + "+") for key in document["log_keys"]
    )
    assert len(document["certificates"]) == ROWS
    for certificate in document["certificates"]:
        assert set(certificate) == {"number", "name", "url", "qr_text", "pdf", "bundle"}
        assert certificate["url"].startswith(document["verifier_url"] + "/c/")
        assert certificate["qr_text"].startswith(certificate["url"] + "#q")
        assert Path(certificate["pdf"]).is_file() and Path(certificate["bundle"]).is_file()
    numbers = [certificate["number"] for certificate in document["certificates"]]
    assert len(set(numbers)) == ROWS


def test_output_has_a_table_and_one_code(demo: DemoRun) -> None:
    text = "".join(demo.output)
    for certificate in demo.document["certificates"]:
        assert certificate["number"] in text and certificate["name"] in text and certificate["url"] in text
    assert sum("█" in line or "▀" in line or "▄" in line for line in demo.output) > 10


@pytest.mark.parametrize("form", ["url", "qr_text", "pdf", "bundle"])
def test_a_stranger_checks_every_form(demo: DemoRun, form: str) -> None:
    certificate = demo.document["certificates"][3]
    status, verdict = check(demo, certificate[form])
    assert (status, verdict["code"]) == (0, "valid")
    assert verdict["certificate"]["name"] == certificate["name"]
    assert verdict["certificate"]["number"] == certificate["number"]


def test_fresh_papers_are_enough_for_a_stranger_without_replica_and_network(demo: DemoRun, tmp_path: Path) -> None:
    """They waited for the auditor's line, which such a verifier asks for."""
    shutil.copytree(demo.folder / "verifier", tmp_path / "v", ignore=shutil.ignore_patterns("*.db*", "*.sqlite*"))
    certificate = demo.document["certificates"][5]
    for form in ("bundle", "pdf"):
        command = [PYTHON, "-m", "verifier", "check", certificate[form], "--dir", str(tmp_path / "v"), "--json"]
        done = subprocess.run(
            [*command, "--light", "--offline"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
        )
        assert (done.returncode, json.loads(done.stdout)["code"]) == (0, "offline_bundle_ok"), form


def test_an_answer_is_filed_and_a_kit_taken_along(demo: DemoRun, tmp_path: Path) -> None:
    """What an employer takes home: a receipt that `check` accepts without a network, and a kit for a job fair."""
    certificate = demo.document["certificates"][4]
    base = demo.document["verifier_url"]
    body = json.dumps({"text": certificate["url"]}).encode()
    request = urllib.request.Request(f"{base}/v1/receipts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=180) as answer:
        (tmp_path / "receipt.json").write_bytes(answer.read())
    status, verdict = check(demo, str(tmp_path / "receipt.json"), "--offline")
    assert (status, verdict["code"]) == (0, "valid")
    kit = tmp_path / "fair.kit"
    until = time.monotonic() + 300
    while not kit.exists():
        try:
            kit.write_bytes(fetch(f"{base}/kit"))
        except urllib.error.HTTPError as error:
            assert error.code == 503 and time.monotonic() < until, "the first one is being made"
            time.sleep(0.5)
    status, verdict = check(demo, certificate["qr_text"], "--kit", str(kit))
    assert (status, verdict["code"]) == (0, "offline_bundle_ok")


def test_one_changed_letter_is_refused(demo: DemoRun) -> None:
    certificate = demo.document["certificates"][0]
    text = certificate["qr_text"]
    digit = text[-30]
    changed = text[:-30] + ("1" if digit != "1" else "2") + text[-29:]
    status, verdict = check(demo, changed)
    assert status in (1, 2) and verdict["code"] in ("tampered", "unreadable")
    assert verdict.get("certificate") is None


def test_a_real_code_under_another_name_is_refused(demo: DemoRun, tmp_path: Path) -> None:
    """Somebody prints his own name above the genuine QR code of somebody else."""
    mine, other = demo.document["certificates"][:2]
    forged = tmp_path / "forged.pdf"
    face = CertificateFace(
        body_name="示例职业技能评价中心（样本）",
        name="张冒名",
        document_type="居民身份证",
        document_number="000000199001010018",
        occupation="车工",
        trade="--",
        grade="三级/高级工",
        grade_en="",
        number=mine["number"],
        issue_date="2026-11-22",
        official_host=demo.document["verifier_url"].split("//")[1],
        qr_text=other["qr_text"],
        link=other["url"],
    )
    forged.write_bytes(render_certificate(face, ClaimSlip("张冒名", mine["number"], "0" * 26), load_fonts()))
    status, verdict = check(demo, forged)
    assert (status, verdict["code"]) == (1, "tampered")
    assert verdict.get("certificate") is None


def test_a_secret_nobody_has_is_not_found(demo: DemoRun) -> None:
    status, verdict = check(demo, demo.document["verifier_url"] + "/c/00000000000000000000000000")
    assert (status, verdict["code"]) == (1, "not_found")


def test_a_number_is_looked_up_with_its_name_only(demo: DemoRun) -> None:
    one, other = demo.document["certificates"][:2]

    def look_up(number: str, name: str) -> dict[str, Any]:
        body = json.dumps({"number": number, "name": name}).encode()
        url, headers = f"{demo.document['verifier_url']}/v1/lookup", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=180) as answer:
            return json.loads(answer.read())

    found = look_up(one["number"], one["name"])
    assert found["code"] == "valid" and found["certificate"]["name"] == one["name"]
    assert one["name"] != other["name"] and look_up(one["number"], other["name"])["code"] == "not_found"


def test_offline_answers_say_what_they_cannot_know(demo: DemoRun, tmp_path: Path) -> None:
    """Without the network and with a replica from long ago, a genuine code is amber, never green."""
    folder = tmp_path / "verifier"
    shutil.copytree(demo.folder / "verifier", folder)
    settings = (folder / "verifier.toml").read_text("utf-8")
    (folder / "verifier.toml").write_text(re.sub(r"(?m)^freshness_s = \d+", "freshness_s = 1", settings), "utf-8")
    time.sleep(2.1)  # the replica's checkpoint is now older than this trust allows
    item = demo.document["certificates"][1]["qr_text"]
    command = [PYTHON, "-m", "verifier", "check", item, "--dir", str(folder), "--offline", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600, check=False)
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["code"]) == (3, "offline_signature_ok")


def test_the_page_shows_the_verdict_without_script(demo: DemoRun) -> None:
    certificate = demo.document["certificates"][0]
    page = fetch(certificate["url"]).decode()
    assert "证书有效" in page and certificate["number"][-6:] in page.replace(" ", "")
    assert certificate["name"] not in page, "the page masks the name"
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert not any(scripts) and page.count("<script") == len(re.findall(r'<script type="module" src="/static/', page))


@pytest.mark.browser
def test_a_browser_shows_it(demo: DemoRun, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("chromium is missing; scripts/setup --tests installs it")
    shot = tmp_path / "page.png"
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=360,800", f"--screenshot={shot}",
        "--virtual-time-budget=3000", demo.document["certificates"][0]["url"],
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=600, check=False)
    assert shot.is_file() and shot.stat().st_size > 5_000


def test_no_byte_an_outsider_can_fetch_tells_who(demo: DemoRun) -> None:
    """Names, ID numbers and certificate numbers of the demo are in nothing the public log serves."""
    document, ledger = demo.document, demo.document["ledger_url"]
    size = int(fetch(f"{ledger}/checkpoint").split(b"\n")[1])
    paths = ["checkpoint", "v1/filings", "metrics", "livez", "readyz"]
    paths += [format_tile_path(tile) for tile in (*tiles_for_size(size), *new_entries_tiles(0, size))]
    public = b"\n".join(fetch(f"{ledger}/{path}") for path in paths)
    assert len(public) > 250 * ROWS
    for certificate in document["certificates"]:
        bundle = parse_bundle(Path(certificate["bundle"]).read_bytes())
        document_opening = next(opening for opening in bundle.openings if opening.field is Field.ID_DOCUMENT)
        id_number = document_opening.value[2]
        for secret in (certificate["number"], certificate["name"], id_number):
            for encoding in ("utf-8", "utf-16-le", "gb18030"):
                assert secret.encode(encoding) not in public, "personal data in the public log"
            assert secret.encode().hex().encode() not in public


def test_both_witnesses_stand_behind_what_is_published(demo: DemoRun) -> None:
    document = demo.document
    policy = parse_policy((demo.folder / "policy.txt").read_text("utf-8"))
    auditors = [parse_vkey(line) for line in json.loads((demo.folder / "auditor" / "vkeys.json").read_text())["vkeys"]]
    keys = [parse_vkey(line) for line in document["log_keys"]]
    until = time.monotonic() + 300  # the auditor's line comes a moment after each renewal
    while True:
        note = fetch(document["ledger_url"] + "/checkpoint")
        opened = open_cosigned(note, document["origin"], keys, policy, auditors)
        if opened.auditor_time_s is not None or time.monotonic() > until:
            break
        time.sleep(0.2)
    assert opened.quorum_time_s is not None and opened.auditor_time_s is not None
    names = {"witness1.example/demo", "witness2.example/demo"}
    assert {key.name for key in opened.cosigned} >= names
    assert policy.quorum in (demo.folder / "verifier" / "verifier.toml").read_text("utf-8"), "the verifier asks too"
    path = checkpoint_path(document["origin"])
    for url in document["witness_urls"]:
        note = fetch(f"{url}/{path}")
        assert open_checkpoint(note, document["origin"], keys).checkpoint == opened.checkpoint


def test_a_second_run_resumes(demo: DemoRun) -> None:
    before = demo.document
    assert demo.stop() == 0
    again = DemoRun(demo.folder, demo.base)
    try:
        after = again.document
        assert after == before, "a second run issues nothing anew"
        status, verdict = check(again, after["certificates"][5]["pdf"])
        assert (status, verdict["code"]) == (0, "valid")
    finally:
        assert again.stop() == 0

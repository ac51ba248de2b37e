"""The demo: every step that real people would take, done by the real programs on loopback, resumable at any point.

    authority   three keys, two of them sign genesis, ladder, catalogue and one filing
    log         cert-ledger init, serve
    witnesses   two of them: cert-verifier witness init, serve; nothing is published that not both have cosigned
    issuer      cert-issuer keygen, init, issue: the sample roster of invented people
    verifier    cert-verifier init, serve, with a replica of its own

Everything lies under --dir; a second run finds what is there and goes on. Keys are under throw-away passphrases in
`secrets.json` beside them: a demo, not a model for keeping keys.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from issuer.printing.qr import make_symbol, to_terminal
from issuer.sample import SAMPLE_BODY, SAMPLE_FILING, write_sample_roster
from ledger.errors import CertLedgerError
from ledger.progress import display_width
from ledger.records.dates import day_of, format_day
from ledger.records.occupations import Catalogue
from ledger.reference_data import load_catalogue
from ledger.tlog.policy import Group, Policy, format_policy, parse_policy

ORIGIN = "ledger.example/demo"
ROWS = 200
_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Ports:
    ledger: int
    verifier: int
    witnesses: tuple[int, int]

    @property
    def ledger_url(self) -> str:
        return f"http://127.0.0.1:{self.ledger}"

    @property
    def verifier_url(self) -> str:
        return f"http://127.0.0.1:{self.verifier}"


class Demo:
    """One demo folder. Each step looks for its result first, so that a killed run is simply run again."""

    def __init__(self, folder: Path, ports: Ports, rows: int) -> None:
        self.folder = folder
        self.ports = ports
        self.rows = rows
        self.children: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, **self._passphrases(), "PYTHONUNBUFFERED": "1"}

    def run(self) -> None:
        self._authority()
        self._make_log()
        self._witnesses()
        self._log()
        self._issuer()
        self._verifier()
        self._report()

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

    def watch(self) -> int:
        """Stay until Ctrl-C, or until one of the servers ends."""
        while all(child.poll() is None for child in self.children):
            time.sleep(0.5)
        say("一个服务已停止 / a server has stopped; see " + str(self.folder / "logs"))
        return 1

    def _passphrases(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        programs = ("AUTHORITY", "LEDGER", "ISSUER", "WITNESS")
        missing = {f"CERT_{name}_PASSPHRASE": secrets.token_urlsafe(18) for name in programs} | found
        if missing != found:
            handle = os.open(path.with_suffix(".part"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(missing, file, indent=1)
            path.with_suffix(".part").replace(path)
        return missing

    def _authority(self) -> None:
        folder = self.folder / "authority"
        folder.mkdir(exist_ok=True)
        for person in (1, 2, 3):
            key = folder / f"key{person}.json"
            if not key.exists():
                self._ledger("authority", "keygen", "--light", "--label", f"demo {person}", "--out", key)
        keys = [argument for n in (1, 2, 3) for argument in ("--key", _public(folder / f"key{n}.json"))]
        self._statement("genesis", [*keys, "--threshold", "2"])

    def _statement(self, what: str, arguments: Sequence[object] = ()) -> Path:
        """Propose, two signatures, combine: what the authority's people do for every statement."""
        folder = self.folder / "authority"
        done = folder / f"{what}.statement"
        if not done.exists():
            for stale in folder.glob(f"{what}.*"):
                if stale.suffix != ".toml":
                    stale.unlink()
            proposal = folder / f"{what}.proposal"
            self._ledger("authority", "propose", what, "--origin", ORIGIN, *arguments, "--out", proposal)
            signatures = [folder / f"{what}.signature{person}" for person in (1, 2)]
            for person, signature in zip((1, 2), signatures, strict=True):
                self._ledger("authority", "sign", proposal, "--key", folder / f"key{person}.json", "--out", signature)
            self._ledger("authority", "combine", proposal, *signatures, "--out", done)
        return done

    def _make_log(self) -> None:
        folder = self.folder / "log"
        if not (folder / "trust.json").exists():
            shutil.rmtree(folder, ignore_errors=True)  # an init that was killed has signed nothing that left it
            genesis = self.folder / "authority" / "genesis.statement"
            self._ledger("init", "--dir", folder, "--origin", ORIGIN, "--genesis", genesis, "--light")

    def _witnesses(self) -> None:
        """Two witnesses with a folder each, and the policy that asks for both, for the log and for whoever verifies."""
        keys = [argument for key in self._pins()["log_keys"] for argument in ("--log", key)]
        policies = []
        for number, port in enumerate(self.ports.witnesses, 1):
            folder = self.folder / f"witness{number}"
            kept = folder / "policy.txt"
            if not kept.exists():
                shutil.rmtree(folder, ignore_errors=True)  # an init that was killed has cosigned nothing
                name = f"witness{number}.example/demo"
                said = self._program("verifier", "witness", "init", "--dir", folder, "--name", name, *keys, "--light")
                kept.write_bytes(said)
            _set_toml(folder / "witness.toml", port=port)
            url = f"http://127.0.0.1:{port}"
            say(f"启动见证者 / starting witness {number} at {url}")
            self._serve(f"witness{number}", ["verifier", "witness", "serve", "--dir", folder], f"{url}/readyz")
            policies.append(_at(parse_policy(kept.read_text("utf-8")), url))
        (self.folder / "log" / "policy.txt").write_text(format_policy(_all_of(policies)), "utf-8")

    def _log(self) -> None:
        folder = self.folder / "log"
        _set_toml(folder / "ledger.toml", port=self.ports.ledger, policy="policy.txt")
        say(f"启动账本 / starting the log at {self.ports.ledger_url}")
        self._serve("ledger", ["ledger", "serve", "--dir", folder], f"{self.ports.ledger_url}/readyz")
        for what in ("ladder", "catalogue"):
            self._submit(self._statement(what))

    def _issuer(self) -> None:
        folder = self.folder / "issuer"
        if not (folder / "public.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self._program("issuer", "keygen", "--dir", folder)
        public = json.loads((folder / "public.json").read_text())
        filing = self.folder / "authority" / "filing.toml"
        if not filing.exists():
            filing.write_text(_filing_toml(public, load_catalogue()), "utf-8")
        self._submit(self._statement("filing", ["--from", filing]))
        pins = self._pins()
        if not (folder / "issuer.toml").exists():
            keys = [argument for key in pins["log_keys"] for argument in ("--vkey", key)]
            self._program(
                "issuer", "init", "--dir", folder, "--ledger", self.ports.ledger_url, "--origin", ORIGIN, *keys,
                "--genesis", pins["genesis"], "--filing", SAMPLE_FILING, "--verify-url", self.ports.verifier_url,
            )  # fmt: skip
        _set_toml(folder / "issuer.toml", ledger_url=self.ports.ledger_url, verify_url=self.ports.verifier_url)
        roster = self.folder / "roster.xlsx"
        if not roster.exists():
            part = roster.with_name("roster.part.xlsx")
            write_sample_roster(part, self.rows, issue_day=_issue_day(), catalogue=load_catalogue())
            part.replace(roster)
        say(f"签发样例名单 / issuing the sample roster ({roster.name})")
        self._program("issuer", "issue", roster, "--dir", folder, "--out", self.folder / "certificates", "--yes")

    def _verifier(self) -> None:
        folder = self.folder / "verifier"
        pins = self._pins()
        if not (folder / "verifier.toml").exists():
            shutil.rmtree(folder, ignore_errors=True)
            keys = [argument for key in pins["log_keys"] for argument in ("--vkey", key)]
            self._program(
                "verifier", "init", "--dir", folder, "--ledger", self.ports.ledger_url, "--origin", ORIGIN, *keys,
                "--genesis", pins["genesis"], "--base", self.ports.verifier_url,
                "--policy", self.folder / "log" / "policy.txt",
            )  # fmt: skip
        _set_toml(folder / "verifier.toml", ledger_url=self.ports.ledger_url, port=self.ports.verifier)
        _add_base(folder / "verifier.toml", self.ports.verifier_url)
        say(f"启动核验 / starting the verifier at {self.ports.verifier_url}")
        self._serve("verifier", ["verifier", "serve", "--dir", folder], f"{self.ports.verifier_url}/readyz")

    def _report(self) -> None:
        certificates = self._certificates()
        pins = self._pins()
        document = {
            "ledger_url": self.ports.ledger_url,
            "verifier_url": self.ports.verifier_url,
            "witness_urls": [f"http://127.0.0.1:{port}" for port in self.ports.witnesses],
            "origin": ORIGIN,
            "log_keys": pins["log_keys"],
            "genesis": pins["genesis"],
            "certificates": certificates,
        }
        part = self.folder / "demo.json.part"
        part.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
        part.replace(self.folder / "demo.json")
        _print_table(certificates)
        first = certificates[0]
        print(f"\n{first['name']} {first['number']}\n{first['url']}\n")
        print(to_terminal(make_symbol(str(first["url"]))))
        check = f"cert-verifier check {first['pdf']} --dir {self.folder / 'verifier'}"
        print(f"\n试试 / try:  .venv/bin/{check}\n")
        sys.stdout.flush()
        say("就绪，按 Ctrl-C 停止 / ready; Ctrl-C stops it")

    def _certificates(self) -> list[dict[str, Any]]:
        summary = json.loads((self.folder / "certificates" / "summary.json").read_text("utf-8"))
        found = []
        for item in summary["certificates"]:
            # A run on other ports leads to the same certificates under the new address.
            url = _moved(item["url"], self.ports.verifier_url)
            qr_text = _moved(item["qr_text"], self.ports.verifier_url)
            folder = self.folder / "certificates"
            found.append(
                {
                    "number": item["number"],
                    "name": item["name"],
                    "url": url,
                    "qr_text": qr_text,
                    "pdf": str((folder / item["pdf"]).absolute()),
                    "bundle": str((folder / item["bundle"]).absolute()),
                }
            )
        return found

    def _pins(self) -> dict[str, Any]:
        pins: dict[str, Any] = json.loads((self.folder / "log" / "trust.json").read_text())
        return pins

    def _submit(self, statement: Path) -> None:
        self._ledger("authority", "submit", statement, "--ledger", self.ports.ledger_url)

    def _ledger(self, *arguments: object) -> None:
        self._program("ledger", *arguments)

    def _program(self, package: str, *arguments: object) -> bytes:
        """Run one program to its end; what it printed."""
        command = [sys.executable, "-m", package, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            sys.stderr.buffer.write(done.stdout)
            raise SystemExit(f"失败 / failed ({done.returncode}): cert-{package} {arguments[0]}")
        return done.stdout

    def _serve(self, name: str, arguments: Sequence[object], ready: str) -> None:
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path("demo-data"), help="where everything is kept")
    parser.add_argument("--port-base", type=int, default=8700, help="ledger on N, verifier N+1, witnesses N+2 and N+3")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the sample roster")
    arguments = parser.parse_args()
    if not 1024 <= arguments.port_base <= 65532:
        parser.error("--port-base: 1024 to 65532")
    (arguments.dir / "demo.json").unlink(missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    base = arguments.port_base
    demo = Demo(arguments.dir.absolute(), Ports(base, base + 1, (base + 2, base + 3)), arguments.rows)
    try:
        demo.run()
        return demo.watch()
    except KeyboardInterrupt:
        say("停止 / stopping")
        return 0
    except CertLedgerError as error:
        say(f"失败 / failed: {error}")
        return 1
    finally:
        demo.stop()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _at(policy: Policy, url: str) -> Policy:
    """A witness's own policy lines with the address where it listens."""
    return replace(policy, witnesses=tuple(replace(witness, url=url) for witness in policy.witnesses))


def _all_of(policies: Sequence[Policy]) -> Policy:
    """The policy that asks for every one of these."""
    witnesses = tuple(witness for policy in policies for witness in policy.witnesses)
    groups = tuple(group for policy in policies for group in policy.groups)
    quorum = Group("both", len(policies), tuple(policy.quorum for policy in policies))
    return Policy((), witnesses, (*groups, quorum), quorum.name)


def _public(path: Path) -> str:
    return base64_hex(json.loads(path.read_text())["keys"][0]["public"])


def base64_hex(text: str) -> str:
    """Key files hold base64; people and filings use hex."""
    import base64

    return base64.b64decode(text).hex()


def _issue_day() -> int:
    """Today in Asia/Shanghai: a sample roster is always fresh enough for the log."""
    return day_of(datetime.now(timezone(timedelta(hours=8))).date())


def _filing_toml(public: dict[str, str], catalogue: Catalogue) -> str:
    today = _issue_day()
    rows = [
        f'[[rows]]\noccupation = "{occupation.code}"\ngrades = ["五级", "四级", "三级", "二级"]\naudience = "public"\n'
        for occupation in catalogue.occupations
        if occupation.confirmed
    ]
    return "\n".join(
        [
            f'number = "{SAMPLE_FILING}"',
            f'name = "{SAMPLE_BODY}"',
            'latin_name = "Sample Skill Assessment Centre"',
            'kind = "social_body"',
            f'first_day = "{format_day(today - 365)}"',
            f'last_day = "{format_day(today + 730)}"',
            f'record_keys = ["{public["record_key"]}"]',
            f'request_keys = ["{public["request_key"]}"]',
            "",
            *rows,
        ]
    )


def _set_toml(path: Path, **values: str | int) -> None:
    """Replace top-level settings in a starter file, line by line."""
    lines = path.read_text("utf-8").splitlines()
    for name, value in values.items():
        written = f"{name} = {json.dumps(value)}"
        places = [at for at, line in enumerate(lines) if line.lstrip("# ").startswith(f"{name} =")]
        if places:
            lines[places[0]] = written
        else:
            lines.insert(0, written)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _add_base(path: Path, base: str) -> None:
    bases = tomllib.loads(path.read_text("utf-8"))["trust"]["bases"]
    if base not in bases:
        lines = path.read_text("utf-8").splitlines()
        at = next(at for at, line in enumerate(lines) if line.startswith("bases ="))
        lines[at] = f"bases = {json.dumps([base, *bases])}"
        path.write_text("\n".join(lines) + "\n", "utf-8")


def _moved(text: str, base: str) -> str:
    return base + text[text.index("/c/") :]


def _print_table(certificates: Sequence[dict[str, Any]]) -> None:
    wide = max(display_width(str(item["name"])) for item in certificates)
    for item in certificates:
        name = str(item["name"])
        print(f"{item['number']}  {name}{' ' * (wide - display_width(name))}  {item['url']}")


if __name__ == "__main__":
    sys.exit(main())

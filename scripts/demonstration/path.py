"""The demo: every step that real people would take, done by the real programs on loopback, resumable at any point.

    authority   three keys, two of them sign genesis, ladder, catalogue and one filing
    log         cert-ledger init, serve
    witnesses   two of them: cert-verifier witness init, serve; nothing is published that not both have cosigned
    auditor     cert-verifier audit init, serve: replays every statement and cosigns as map auditor; nobody waits for it
    issuer      cert-issuer keygen, init, issue: the sample roster of invented people
    verifier    cert-verifier init, serve, with a replica of its own

Everything lies under --dir; a second run finds what is there and goes on. Keys are under throw-away passphrases in
`secrets.json` beside them: a demo, not a model for keeping keys.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demonstration.programs import Programs, say
from demonstration.settings import add_base, all_of, at_address, filing_toml, issue_day, set_toml
from issuer.sample import SAMPLE_FILING, write_sample_roster
from ledger.printing.qr import make_symbol, to_terminal
from ledger.progress import display_width
from ledger.reference_data import load_catalogue
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import Witness, format_policy, parse_policy

ORIGIN = "ledger.example/demo"


@dataclass(frozen=True, slots=True)
class Ports:
    ledger: int
    verifier: int
    witnesses: tuple[int, int]
    auditor: int

    @property
    def ledger_url(self) -> str:
        return f"http://127.0.0.1:{self.ledger}"

    @property
    def auditor_url(self) -> str:
        return f"http://127.0.0.1:{self.auditor}"

    @property
    def verifier_url(self) -> str:
        return f"http://127.0.0.1:{self.verifier}"


class Demo:
    """One demo folder. Each step looks for its result first, so that a killed run is simply run again."""

    def __init__(self, programs: Programs, ports: Ports, rows: int) -> None:
        self.programs, self.folder = programs, programs.folder
        self.ports = ports
        self.rows = rows

    def run(self) -> None:
        self._authority()
        self._make_log()
        self._witnesses()
        self._log()
        self._auditor()
        self._issuer()
        self._verifier()
        self._report()

    def _authority(self) -> None:
        folder = self.folder / "authority"
        folder.mkdir(exist_ok=True)
        for person in (1, 2, 3):
            key = folder / f"key{person}.json"
            if not key.exists():
                self.programs.run("ledger", "authority", "keygen", "--light", "--label", f"demo {person}", "--out", key)
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
            self.programs.run("ledger", "authority", "propose", what, "--origin", ORIGIN, *arguments, "--out", proposal)
            signatures = [folder / f"{what}.signature{person}" for person in (1, 2)]
            for person, signature in zip((1, 2), signatures, strict=True):
                self.programs.run(
                    "ledger", "authority", "sign", proposal, "--key", folder / f"key{person}.json", "--out", signature
                )
            self.programs.run("ledger", "authority", "combine", proposal, *signatures, "--out", done)
        return done

    def _make_log(self) -> None:
        folder = self.folder / "log"
        if not (folder / "trust.json").exists():
            shutil.rmtree(folder, ignore_errors=True)  # an init that was killed has signed nothing that left it
            genesis = self.folder / "authority" / "genesis.statement"
            self.programs.run("ledger", "init", "--dir", folder, "--origin", ORIGIN, "--genesis", genesis, "--light")

    def _lookups(self, part: str) -> str:
        """The token with which the verifier looks numbers up, or the ledger's line for it."""
        kept = self.folder / "lookups.json"
        if not kept.exists():
            said = self.programs.run("ledger", "verifier-token", "demo").decode()
            token, line = re.search(r"^[0-9a-f]{64}$", said, re.MULTILINE), re.search(r'^"(.+)"$', said, re.MULTILINE)
            assert token is not None and line is not None
            kept.write_text(json.dumps({"token": token[0], "verifiers": line[1]}), "utf-8")
        found: str = json.loads(kept.read_text("utf-8"))[part]
        return found

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
                said = self.programs.run(
                    "verifier", "witness", "init", "--dir", folder, "--name", name, *keys, "--light"
                )
                kept.write_bytes(said)
            set_toml(folder / "witness.toml", port=port)
            url = f"http://127.0.0.1:{port}"
            say(f"启动见证者 / starting witness {number} at {url}")
            self.programs.serve(f"witness{number}", ["verifier", "witness", "serve", "--dir", folder], f"{url}/readyz")
            policies.append(at_address(parse_policy(kept.read_text("utf-8")), url))
        policy = all_of(policies)
        (self.folder / "policy.txt").write_text(format_policy(policy), "utf-8")  # for whoever verifies
        asked = replace(policy, witnesses=(*policy.witnesses, *self._auditor_lines()))
        (self.folder / "log" / "policy.txt").write_text(format_policy(asked), "utf-8")

    def _auditor_lines(self) -> tuple[Witness, ...]:
        """Whom the log asks besides its quorum: the map auditor, under the address where it will listen."""
        keys = [VerifierKey.parse_vkey(vkey) for vkey in self._auditor_keys()]
        return tuple(Witness(f"auditor{at}", key, self.ports.auditor_url) for at, key in enumerate(keys, 1))

    def _auditor_keys(self) -> list[str]:
        folder, pins = self.folder / "auditor", self._pins()
        kept = folder / "vkeys.json"
        if not kept.exists():
            shutil.rmtree(folder, ignore_errors=True)
            keys = [argument for key in pins["log_keys"] for argument in ("--vkey", key)]
            said = self.programs.run(
                "verifier", "audit", "init", "--dir", folder, "--ledger", self.ports.ledger_url, "--name",
                "auditor.example/demo", "--origin", ORIGIN, *keys, "--genesis", pins["genesis"], "--light", "--json",
            )  # fmt: skip
            kept.write_bytes(said)
        found: list[str] = json.loads(kept.read_bytes())["vkeys"]
        return found

    def _auditor(self) -> None:
        folder = self.folder / "auditor"
        set_toml(folder / "audit.toml", port=self.ports.auditor, ledger_url=self.ports.ledger_url)
        say(f"启动审计 / starting the auditor at {self.ports.auditor_url}")
        self.programs.serve(
            "auditor", ["verifier", "audit", "serve", "--dir", folder], f"{self.ports.auditor_url}/livez"
        )

    def _log(self) -> None:
        folder = self.folder / "log"
        set_toml(
            folder / "ledger.toml", port=self.ports.ledger, policy="policy.txt", verifiers=[self._lookups("verifiers")]
        )
        say(f"启动账本 / starting the log at {self.ports.ledger_url}")
        self.programs.serve("ledger", ["ledger", "serve", "--dir", folder], f"{self.ports.ledger_url}/readyz")
        for what in ("ladder", "catalogue"):
            self._submit(self._statement(what))

    def _issuer(self) -> None:
        folder = self.folder / "issuer"
        if not (folder / "public.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.programs.run("issuer", "keygen", "--dir", folder)
        public = json.loads((folder / "public.json").read_text())
        filing = self.folder / "authority" / "filing.toml"
        if not filing.exists():
            filing.write_text(filing_toml(public), "utf-8")
        self._submit(self._statement("filing", ["--from", filing]))
        pins = self._pins()
        if not (folder / "issuer.toml").exists():
            keys = [argument for key in pins["log_keys"] for argument in ("--vkey", key)]
            self.programs.run(
                "issuer", "init", "--dir", folder, "--ledger", self.ports.ledger_url, "--origin", ORIGIN, *keys,
                "--genesis", pins["genesis"], "--filing", SAMPLE_FILING, "--verify-url", self.ports.verifier_url,
                *(argument for key in self._auditor_keys() for argument in ("--map-auditor", key)),
            )  # fmt: skip
        set_toml(folder / "issuer.toml", ledger_url=self.ports.ledger_url, verify_url=self.ports.verifier_url)
        roster = self.folder / "roster.xlsx"
        if not roster.exists():
            part = roster.with_name("roster.part.xlsx")
            write_sample_roster(part, self.rows, issue_day=issue_day(), catalogue=load_catalogue())
            part.replace(roster)
        say(f"签发样例名单 / issuing the sample roster ({roster.name})")
        self.programs.run("issuer", "issue", roster, "--dir", folder, "--out", self.folder / "certificates", "--yes")

    def _verifier(self) -> None:
        folder = self.folder / "verifier"
        pins = self._pins()
        if not (folder / "verifier.toml").exists():
            shutil.rmtree(folder, ignore_errors=True)
            keys = [argument for key in pins["log_keys"] for argument in ("--vkey", key)]
            self.programs.run(
                "verifier", "init", "--dir", folder, "--ledger", self.ports.ledger_url, "--origin", ORIGIN, *keys,
                "--genesis", pins["genesis"], "--base", self.ports.verifier_url,
                "--policy", self.folder / "policy.txt",
                *(argument for key in self._auditor_keys() for argument in ("--map-auditor", key)),
            )  # fmt: skip
        (folder / "lookup.token").write_text(self._lookups("token"), "utf-8")
        set_toml(
            folder / "verifier.toml",
            ledger_url=self.ports.ledger_url,
            port=self.ports.verifier,
            token="lookup.token",
        )
        add_base(folder / "verifier.toml", self.ports.verifier_url)
        if not (folder / "receipt.keys").exists():
            self.programs.run("verifier", "receipt-key", "init", "--dir", folder)
        if not (folder / "kit-key.json").exists():
            self.programs.run("verifier", "kit", "init", "--dir", folder, "--name", "verify.example/kit", "--light")
        say(f"启动核验 / starting the verifier at {self.ports.verifier_url}")
        self.programs.serve(
            "verifier", ["verifier", "serve", "--dir", folder, "--kit"], f"{self.ports.verifier_url}/readyz"
        )

    def _report(self) -> None:
        certificates = self._certificates()
        pins = self._pins()
        document = {
            "ledger_url": self.ports.ledger_url,
            "verifier_url": self.ports.verifier_url,
            "auditor_url": self.ports.auditor_url,
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
        self.programs.run("ledger", "authority", "submit", statement, "--ledger", self.ports.ledger_url)


def _public(path: Path) -> str:
    """Key files hold base64; people and filings use hex."""
    return base64.b64decode(json.loads(path.read_text())["keys"][0]["public"]).hex()


def _moved(text: str, base: str) -> str:
    return base + text[text.index("/c/") :]


def _print_table(certificates: Sequence[dict[str, Any]]) -> None:
    wide = max(display_width(str(item["name"])) for item in certificates)
    for item in certificates:
        name = str(item["name"])
        print(f"{item['number']}  {name}{' ' * (wide - display_width(name))}  {item['url']}")

"""Exports for tests: made-up facts, a maker with a fixed key, and `cert-issuer export` in a folder with a web host."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from issuer.config import SETTINGS_FILE
from issuer.console import acts, exports, rosters
from issuer.exports.did import export_key
from issuer.exports.facts import Facts
from issuer.exports.files import Maker
from ledger.records.authority import FiledKey
from ledger.reference_data import load_ladder
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from tests.support.issuer_desk import NOW_MS, VERIFY_URL, sample, write_csv
from tests.support.issuer_shell import Shell, make_shell
from tests.support.shared import shared

HOST = "https://www.body.example"
BASE = f"{HOST}/certs"
DID = "did:web:www.body.example:certs"
SIGNER = Ed25519Signer(sha256(b"export key").digest())
KEYS = (FiledKey(SIGNER.public, 20_000),)
MAKER = Maker(BASE, VERIFY_URL, export_key(BASE, SIGNER), sha256(b"salt").digest(), 1_780_000_000)


def strict_schema() -> jsonschema.Draft201909Validator:
    """1EdTech's own of an Open Badge."""
    published = shared("ob3/ob_v3p0_achievementcredential_schema.json")
    return jsonschema.Draft201909Validator(json.loads(published.read_bytes()))


def make_facts(**other: Any) -> Facts:
    """A certificate of a person who does not exist, with everything that there can be."""
    said: dict[str, Any] = {
        "cert_key": sha256(b"cert key").digest(),
        "number": "Y000051990001263001009",
        "name": "例川垚宁",
        "document": ("111", "CHN", "000000199401010017"),
        "body_name": "示例职业技能评价中心（样本）",
        "filing_number": "Y000051990001",
        "occupation_code": "6-18-01-01",
        "occupation": "车工",
        "trade": "普通车工",
        "grade": load_ladder().by_ordinal(4).text,
        "ordinal": 4,
        "level": 3,
        "basis": "GZB-6-18-01-01",
        "issue_day": 20_602,
        "first_day": 0,
        "last_day": 0,
        "birth_year": 1994,
        "employer": "示例制造有限公司（样本）",
        "scores": (("理论成绩", "88"), ("技能成绩", "91.5")),
        "thumbnail": b"\xff\xd8photo",
    }
    return Facts(**(said | other))


def make_post(**other: Any) -> Facts:
    """The same person's post as 特级技师."""
    grade = Text("特级技师", "Special-grade technician")
    post = {
        "grade": grade,
        "ordinal": 7,
        "level": 0,
        "basis": "示例〔2026〕1号",
        "first_day": 20_610,
        "last_day": 21_000,
    }
    return make_facts(**(post | other))


class Exporting(Shell):
    """A body with logged certificates, `numbers` in the order of the roster. Its host serves the folder `public`."""

    out: Path
    numbers: list[str]
    public: Path

    def export(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        return self.json("export", "--out", self.out, "--public", self.public, *arguments)

    def path(self, number: str, suffix: str = ".badge.json") -> Path:
        return self.out / "exports" / (number + suffix)

    def credential(self, number: str, suffix: str = ".badge.json") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path(number, suffix).read_bytes())
        return found

    def fetch(self, url: str) -> bytes:
        assert url.startswith(HOST + "/"), url
        return (self.public / url.removeprefix(HOST + "/")).read_bytes()

    def fetch_json(self, url: str) -> Any:
        return json.loads(self.fetch(url))


def make_exporting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, rows: int = 3, now_ms: int = 0
) -> Exporting:
    shell = make_shell(folder / "desk", monkeypatch, capsys)
    shell.__class__ = Exporting
    assert isinstance(shell, Exporting)
    monkeypatch.setattr(exports, "LedgerClient", rosters.LedgerClient)
    monkeypatch.setattr(exports, "wall_ms", lambda: now_ms or NOW_MS)
    shell.make_ready()
    settings = shell.folder / SETTINGS_FILE
    settings.write_text(settings.read_text().replace('export_url = ""', f'export_url = "{BASE}"'))
    lines = sample(rows)
    shell.out, shell.public, shell.numbers = folder / "out", folder / "public", [line[7] for line in lines]
    code, said = shell.json("issue", write_csv(folder / "r.csv", lines), "--yes", "--no-pdf", "--out", shell.out)
    assert code == 0, said
    if now_ms:  # judges that know no clock but the machine's want lists of today
        assert shell.log is not None
        shell.log.now_ms = now_ms
        monkeypatch.setattr(acts, "wall_ms", lambda: now_ms)
    return shell

"""docs/exports.md is run: its commands, its table of files, its words for the lists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from issuer.config import SETTINGS_FILE
from issuer.exports.facts import FIELDS
from issuer.exports.standing import PURPOSES
from tests.support.exporting import make_exporting

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "exports.md").read_text("utf-8")


def test_the_guide_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = make_exporting(tmp_path, monkeypatch, capsys)
    (line,) = re.findall(r"^    (export_url = .+)$", GUIDE, re.MULTILINE)
    assert line in (body.folder / SETTINGS_FILE).read_text("utf-8").splitlines()
    commands = [shlex.split(said)[1:] for said in re.findall(r"^    (cert-issuer .+)$", GUIDE, re.MULTILINE)]
    assert [command[0] for command in commands] == ["export"] * 3
    here = {"/srv/issuer": str(body.folder), "2026-11": str(body.out), "NUMBER": body.numbers[0]}
    for command in commands:
        told = body(command[0], *[here.get(word, word) for word in command[1:] if word not in ("--dir", "/srv/issuer")])
        assert told[0] == 0, told
    made = {path.name for path in (body.out / "exports").iterdir()}
    named = re.findall(r"`NUMBER(\.[a-z.]+)`", GUIDE)
    assert {suffix for suffix in named if suffix != ".sd-jwt"} | {".badge.json"} == {name[22:] for name in made}
    assert (body.folder / "public" / "certs" / "did.json").exists()


def test_its_tables_name_what_there_is() -> None:
    lists = re.findall(r"^\| `(\w+)` \| (\w+) \| ", GUIDE, re.MULTILINE)
    assert dict(lists) == PURPOSES
    fields = re.findall(r"^\| `(\w+)`(?: \(default\))? \| ", GUIDE.partition("### The lists")[0], re.MULTILINE)
    assert fields == [*FIELDS, "none"]

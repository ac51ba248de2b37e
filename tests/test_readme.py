"""The README is run, not believed: its commands exist, its files are there, its words are the programs' words."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import re
from pathlib import Path

import pytest

from ledger.tlog.policy import parse_policy
from tests.support.witnesses import Cosigner
from verifier.messages import load_messages

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")


def helped(package: str, *words: str) -> str:
    """The help text of a program or command; fails when there is none."""
    before, said = os.umask(0o077), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
            importlib.import_module(f"{package}.__main__").main([*words, "--help"])
    finally:
        os.umask(before)
    assert ended.value.code == 0, (package, words)
    return said.getvalue()


def test_the_two_commands_are_in_the_first_screen() -> None:
    first = README[: README.index("## Who trusts whom")]
    for script in ("scripts/demo", "scripts/test"):
        assert f"$ {script}" in first
        assert os.access(ROOT / script, os.X_OK)


def test_ci_runs_the_readmes_test_command_and_skips_nothing_that_can_be_installed() -> None:
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("\nCI=true exec scripts/test")


@pytest.mark.parametrize(
    ("package", "words"),
    [
        *(("ledger", ("authority", word)) for word in ("keygen", "propose", "show", "sign", "combine", "submit")),
        *(("ledger", (word,)) for word in ("init", "serve", "fsck", "next-keys", "export-tiles", "catalogue")),
        *(("ledger", (word,)) for word in ("migrate", "migrate-store", "backup", "restore")),
        *(("issuer", (word,)) for word in ("keygen", "init", "check", "issue", "print", "status")),
        *(("verifier", (word,)) for word in ("init", "add-log", "serve", "sync", "check", "refresh")),
        *(("verifier", ("witness", word)) for word in ("init", "serve", "add-log", "forks")),
        *(
            ("verifier", ("claims", word))
            for word in ("init", "reserve", "pay", "release", "claw-back", "cases", "list")
        ),
        *(("verifier", ("packs", word)) for word in ("list", "check", "cases", "diff", "terms")),
        ("verifier", ("eligible",)),
        *(("verifier", ("audit", word)) for word in ("init", "serve", "evidence")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_every_command_of_the_table_has_help(package: str, words: tuple[str, ...]) -> None:
    assert helped(package, *words)
    assert words[-1] in table_of(package)


def table_of(package: str) -> str:
    """What docs/commands.md says of one program."""
    program = {"ledger": "cert-ledger", "issuer": "cert-issuer", "verifier": "cert-verifier"}[package]
    return COMMANDS[COMMANDS.index(f"## {program}: ") :].partition("\n## ")[0]


@pytest.mark.parametrize(
    "words",
    [
        ("ledger",),
        ("ledger", "authority"),
        ("issuer",),
        ("verifier",),
        *(("verifier", group) for group in ("witness", "claims", "kit", "packs", "receipt-key", "api-key")),
    ],
    ids="-".join,
)
def test_every_command_that_a_program_names_is_in_the_table(words: tuple[str, ...]) -> None:
    package, *rest = words
    named = re.findall(r"^ {4}([a-z][a-z-]+)(?: {2,}\S|$)", helped(package, *rest), re.MULTILINE)
    listed = {word for span in re.findall(r"`([^`]+)`", table_of(package)) for word in re.split(r"[ ,]+", span)}
    assert len(named) >= 2 and set(named) <= listed


def test_the_short_table_names_commands_of_the_long_one() -> None:
    table = README[README.index("## The programs") :].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `cert-(\w+)` \| (.+) \|$", table, re.MULTILINE))
    assert set(rows) == {"ledger", "issuer", "verifier"}
    for package, row in rows.items():
        words = [word for span in re.findall(r"`([^`]+)`", row) for word in span.split() if word.islower()]
        assert len(words) > 5 and all(word in table_of(package) for word in words)


def test_options_in_the_operating_guide_exist() -> None:
    seen = 0
    for line in re.findall(r"^    (cert-(?:ledger|issuer|verifier) .+)$", OPERATING, re.MULTILINE):
        program, *words = line.split("#")[0].split()
        depth = 2 if words[0] in ("authority", "witness", "claims", "kit", "packs", "receipt-key", "api-key") else 1
        text = helped(program.removeprefix("cert-"), *words[:depth])
        for option in (word for word in words if word.startswith("--")):
            assert option in text, (line, option)
            seen += 1
    assert seen > 20


def test_the_policy_of_the_guide_with_an_auditor_asks_it_beyond_the_quorum() -> None:
    start = OPERATING.index("## Witnesses of the log")
    part = OPERATING[start : OPERATING.index("### Rollback")]
    lines = re.findall(r"^    ((?:witness|group|quorum) .+)$", part, re.MULTILINE)
    keys = (Cosigner(f"{at}.example/w").ed25519.format_vkey() for at in itertools.count())
    ordered = sorted(lines, key=lambda line: ("witness", "group", "quorum").index(line.split()[0]))
    policy = parse_policy("".join(re.sub("<vkey>", lambda _: next(keys), line) + "\n" for line in ordered))
    names = {witness.name for witness in policy.witnesses}
    asked = {member for group in policy.groups for member in group.members}
    assert policy.has_quorum and names - asked == {"auditor1", "auditor2"}
    assert len({witness.url for witness in policy.witnesses if witness.name not in asked}) == 1


def test_quoted_verdicts_are_the_programs_words() -> None:
    wordings = load_messages().wordings
    for code in ("valid", "tampered"):
        for text in (wordings[code].title, wordings[code].line):
            assert text.both() in README


def test_named_files_exist() -> None:
    for path in re.findall(r"`((?:docs|scripts|issuer|tests)/[A-Za-z0-9_./]+\.[a-z]+)`", README + OPERATING):
        assert (ROOT / path).is_file(), path
    for room in ("tlog", "records", "store", "service", "console", "export"):
        assert (ROOT / "ledger" / room / "__init__.py").is_file()

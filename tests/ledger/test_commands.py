"""Commands as tables of the three programs, and what is loaded before one is called."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

import issuer.__main__
import ledger.__main__
import verifier.__main__
from ledger.commands import Command, add_commands

ROOT = Path(__file__).parents[2]
HEAVY = {"aiohttp", "asyncio", "asyncpg", "cbor2", "cryptography", "msgspec", "nacl", "prometheus_client", "sqlite3"}
PLACES = [
    *(command.place for program in (ledger, verifier) for command in program.__main__._COMMANDS if command.place),
    *issuer.__main__._COMMANDS.values(),
]


def greet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True)
    parser.set_defaults(run=greet)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="x")
    commands = (Command("greet", "to greet", f"{__name__}:greet"), Command("other", "another", "no.such.module:add"))
    add_commands(parser.add_subparsers(required=True), commands, words)
    return parser.parse_args(words)


def test_only_what_is_called_is_imported() -> None:
    assert vars(parse("greet", "--name", "other")) == {"name": "other", "run": greet}
    with pytest.raises(ModuleNotFoundError):
        parse("other")


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-h", "greet"], []):
        with pytest.raises(SystemExit):
            parse(*words)
    assert "another" in capsys.readouterr().out


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_there(place: str) -> None:
    assert callable(resolve_name(place))


@pytest.mark.parametrize("program", ["ledger", "issuer", "verifier"])
@pytest.mark.parametrize("words", [["--help"], ["nonsense"]])
def test_a_list_of_commands_loads_none_of_them(program: str, words: list[str]) -> None:
    code = (
        f"import atexit, sys; from {program}.__main__ import main; atexit.register(lambda: print(*sys.modules)); main()"
    )
    said = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == (0 if words == ["--help"] else 2)
    loaded = said.stdout.rstrip().rpartition("\n")[2].split()
    assert "ledger.errors" in loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded}

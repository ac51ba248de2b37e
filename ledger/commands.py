"""The commands of a program. What serves one is imported when it is called: `--help`, and a usage that is wrong, load
none of it, and no command waits for what only another one needs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name


@dataclass(frozen=True, slots=True)
class Command:
    """`place` is "module:function": the function gives the command's parser its arguments, and says what runs it. A
    command without it is a program of its own, which is only listed here."""

    name: str
    help: str
    place: str = ""


def add_commands(
    group: argparse._SubParsersAction[argparse.ArgumentParser], commands: Iterable[Command], words: Sequence[str]
) -> None:
    """Every command by name and help, and with its arguments the one that `words`, the command line, call."""
    called = next((word for word in words if not word.startswith("-")), None)
    for command in commands:
        parser = group.add_parser(command.name, help=command.help)
        if command.place and command.name == called:
            resolve_name(command.place)(parser)

"""The folders that `init` makes, each for one party: keys and stores first, and last the settings, with which a folder
counts as made. Until then nothing but `init` takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from ledger.durable import write_new_file
from ledger.errors import Refused
from ledger.settings import format_settings, load_settings
from ledger.text import Text

S = TypeVar("S")


def check_unmade(path: Path) -> None:
    """Raises Refused when these settings are there."""
    if path.exists():
        raise Refused("EXISTS", str(path.parent), Text("该目录已初始化", "This folder has been initialised already"))


def write_settings(path: Path, settings: object) -> None:
    """The folder is made: on the disk on return. Raises as `write_new_file`."""
    write_new_file(path, format_settings(settings).encode())


def load_made(kind: type[S], path: Path, init: str) -> S:
    """The settings of a folder that the command `init` made. Raises Refused when it was not run there, and with every
    problem of the file."""
    if not path.exists():
        text = Text("该目录尚未初始化，请先运行 {init}", "Run {init} for this folder first").format(init=init)
        raise Refused("NOT_INITIALISED", str(path.parent), text)
    return load_settings(kind, path)

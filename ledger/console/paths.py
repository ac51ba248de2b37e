"""Where things are: arguments that several commands share, and the small files that people hand to each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from ledger.errors import Malformed, cannot_read
from ledger.text import Text


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Raises Unavailable or Malformed."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(raw) > limit:
        raise Malformed(Text(f"{path.name}：超过 {limit} 字节", f"{path.name}: larger than {limit} bytes"))
    return raw


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, required=True, help="日志目录 / the log's folder")
    parser.add_argument("--passphrase-file", type=Path)


def add_owner(parser: argparse.ArgumentParser, whose: str = "store") -> None:
    parser.add_argument(
        f"--{whose}-owner",
        default="",
        metavar="URL",
        help="拥有 PostgreSQL 表的角色的地址 / address of the role that owns the tables (PostgreSQL)",
    )

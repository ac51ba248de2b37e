"""The edge of the eligibility room: packs out of folders and single files. Everything else there takes bytes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from ledger.errors import cannot_read
from verifier.eligibility.loader import FILES, load_pack
from verifier.eligibility.pack import MAX_PACK, Pack, parse_pack_files
from verifier.eligibility.reader import MAX_FILE

SHIPPED = Path(__file__).with_name("packs")


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a pack's folder, or of its canonical form in one file. Raises Unavailable, Malformed."""
    try:
        if folder.is_file():
            return parse_pack_files(_read(folder, MAX_PACK))
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        return {name: _read(folder / name, MAX_FILE) if name in FILES else b"" for name in names}
    except OSError as error:
        raise cannot_read(folder, error) from error


def open_pack(folder: Path) -> Pack:
    """The pack in a folder. Raises BadPack, Malformed, Unavailable."""
    return load_pack(read_files(folder))


@functools.cache
def shipped_packs() -> Mapping[str, Pack]:
    """The packs that come with the product, by id."""
    packs = [open_pack(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir() and not path.name.startswith("_")]
    return {pack.id: pack for pack in packs}


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most + 1)

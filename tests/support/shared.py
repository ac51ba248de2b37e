"""What others have published and this repository does not repeat: test vectors and a schema, in a folder beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.missing import missing

_FOLDER: Final = Path(__file__).resolve().parents[3] / "shared"


def shared(path: str) -> Path:
    """The only way there: a file or folder below `../shared`."""
    found = _FOLDER / path
    if not found.exists():
        missing(f"../shared/{path} is missing: it is published elsewhere and lies beside this repository, not in it")
    return found

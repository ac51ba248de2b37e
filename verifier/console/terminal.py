"""What the commands of a verifier share: lines beside the result, and files that somebody named."""

from __future__ import annotations

import sys
from pathlib import Path

from ledger.errors import cannot_read


def tell(message: str) -> None:
    """A line beside the result."""
    print(f"cert-verifier: {message}", file=sys.stderr)


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file, and one more than `most` where it has more: whoever parses them refuses those. Raises
    Unavailable."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise cannot_read(path, error) from error

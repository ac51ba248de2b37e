"""Reads a stranger's picture or PDF in a process of its own, with limits on memory and time.

Decoders are large and their input is hostile: what goes wrong in there ends there. `python -m verifier.scanning`
is that process: the file on stdin, a JSON list of QR texts on stdout, exit status 2 when nothing can be decoded.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Final

from ledger.errors import Malformed, Unavailable
from ledger.scan import MAX_FILE, read_pdf, read_picture, sniff

SECONDS: Final = 20
MEMORY: Final = 2 * 1024**3  # bytes of address space
AT_ONCE: Final = 2
_MAX_TEXTS: Final = 64
_UNDECODABLE: Final = 2
_BROKEN: Final = 1  # what Python exits with after an exception that nobody expected
_ROOT: Final = Path(__file__).resolve().parent.parent


class Scanner:
    """Runs such processes, at most two at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._free = asyncio.Semaphore(AT_ONCE)

    async def read(self, data: bytes) -> list[str]:
        """The QR texts of a picture or PDF. Raises Malformed when it cannot be decoded within
        the limits, Unavailable when the decoder does not run."""
        if len(data) > MAX_FILE:
            raise Malformed("file over 20 MB")
        async with self._free:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "verifier.scanning",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": str(_ROOT)},
                )  # fmt: skip
            except OSError as error:
                raise Unavailable("cannot start the decoder") from error
            try:
                out, _ = await asyncio.wait_for(process.communicate(data), self._seconds)
            except TimeoutError:
                raise Malformed("decoding took too long") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode == _BROKEN:
            raise Unavailable("the decoder does not run")
        if process.returncode != 0:
            raise Malformed("the file cannot be decoded")
        return [str(text) for text in json.loads(out)]


def read_texts(data: bytes) -> list[str]:
    """The QR texts of a picture or PDF; attachments are left alone. Raises Malformed."""
    texts = list(read_pdf(data).qr_texts) if sniff(data) == "pdf" else read_picture(data)
    return texts[:_MAX_TEXTS]


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        texts = read_texts(sys.stdin.buffer.read(MAX_FILE + 1))
    except (Malformed, MemoryError):
        return _UNDECODABLE
    sys.stdout.write(json.dumps(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())

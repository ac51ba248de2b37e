"""Have `ledger.scan` read a stranger's picture or PDF in a process of its own, with limits. The decoders are loaded
there and not here: who is never shown such a file does not wait for them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cbor2

from ledger.errors import Malformed, Unavailable
from ledger.text import Text

MAX_FILE: Final = 20_000_000  # bytes
MEMORY: Final = 1 << 30  # bytes of address space for one file read apart
SECONDS: Final = 10  # of processor time
_WALL: Final = 4  # times as many by the clock: this process may have to wait for its turn

_CHILD: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from ledger import scan; "
    "scan.answer_apart(int(sys.argv[2]), int(sys.argv[3]))"
)
_MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")


@dataclass(frozen=True, slots=True)
class PdfScan:
    """What a PDF carries: QR texts in page order, top to bottom, each once; embedded files (name, bytes);
    the text layer of each page as a reader sees it: empty where it is a picture only, or a scan whose recognised
    words lie unseen behind it."""

    qr_texts: tuple[str, ...]
    attachments: tuple[tuple[str, bytes], ...]
    page_texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(set(self.qr_texts)) == len(self.qr_texts), "each text once"


def sniff(data: bytes) -> Literal["pdf", "picture", "cbor-or-other"]:
    """Tell by the first bytes which reader fits. File names and content types are never asked."""
    if data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "picture"
    return "cbor-or-other"


def read_apart(data: bytes, *, memory: int = MEMORY, seconds: int = SECONDS) -> PdfScan:
    """What `scan.read_pdf` or `scan.read_picture` finds, read in a child process with at most `memory` bytes of address
    space and `seconds` of processor time. Blocks for 0.3 s and more: call it in a thread. Pictures carry no
    attachments.

    Raises Malformed as those two do, when the file is neither, and when it exceeds the limits; Unavailable when no
    answer came within four times `seconds` of wall clock.
    """
    if len(data) > MAX_FILE:
        raise Malformed("file: over 20 MB")
    if sniff(data) == "cbor-or-other":
        raise Malformed("file: neither a PDF nor a picture")
    child = [sys.executable, "-c", _CHILD, str(Path(__file__).parents[1]), str(memory), str(seconds)]
    try:
        done = subprocess.run(child, input=data, capture_output=True, timeout=_WALL * seconds, check=False)  # noqa: S603
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Unavailable(
            Text("读取文件的进程没有应答，请稍后重试", "the reader of files did not answer; try again later"),
            retry_after=seconds,
        ) from error
    if done.returncode < 0:  # ended by a signal: the processor limit, or PDFium out of memory
        raise Malformed("file: too costly to read")
    if done.returncode > 0:
        raise Unavailable(
            Text("读取文件的进程失败，请稍后重试", "the reader of files failed; try again later"), retry_after=seconds
        )
    answer = cbor2.loads(done.stdout)
    if isinstance(answer, str):
        raise Malformed(answer)
    texts, attachments, words = answer
    return PdfScan(tuple(texts), tuple((name, content) for name, content in attachments), tuple(words))

"""Print many certificates: several processes, and every PDF read back from its bytes before it is kept.

One file at a time per process: draw, write beside its place, render the region of the code from those bytes, compare,
rename into place. So a name without `.part` is always a certificate that scans; a crash leaves at most `.part` files,
and printing again overwrites them.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from issuer.printing.certificate import QR_REGION, CertificateFace, render_certificate
from issuer.printing.slip import ClaimSlip
from ledger import scan
from ledger.durable import replace_file
from ledger.errors import Malformed, Refused, Unavailable, Unverified, cannot
from ledger.printing.fonts import load_fonts
from ledger.printing.qr import DOTS_PER_INCH
from ledger.process_pool import ProcessPool
from ledger.text import Text

UNREADABLE: Final = Text(
    "印出的二维码未能读回原内容，该证书未保存", "The printed code did not read back as written; not kept"
)
UNPRINTABLE: Final = Text("证书内容无法印刷：{zh}", "The certificate cannot be printed: {en}")

Item = tuple[CertificateFace, ClaimSlip, Path, bytes]  # the last: a staple to embed

STAPLE_SUFFIX: Final = ".staple"
_IN_FLIGHT: Final = 4  # items handed to each process ahead of time; keeps memory flat for any batch


@dataclass(frozen=True, slots=True)
class Printed:
    """What became of one certificate.

    `note` is None when it was printed in full. With `kept` it warns (code QR_TOO_DENSE: printed link-only); without,
    nothing was written and `code` says why (GLYPH_MISSING, UNREADABLE, UNPRINTABLE, or another refusal's code).
    """

    path: Path
    kept: bool
    code: str = ""
    note: Text | None = None

    def __post_init__(self) -> None:
        assert bool(self.code) == (self.note is not None), "a code comes with its sentence"
        assert self.kept or self.code, "what is not kept has a reason"


def print_certificates(
    items: Iterable[Item], *, workers: int = 2, progress: Callable[[int], None] | None = None
) -> list[Printed]:
    """Print all items, in `workers` processes (1: in this one); answers come in the order of the items.

    `progress` gets the number done so far. One bad item never stops the others. Raises Unavailable when the disk or
    the font fails. Callers with workers > 1 need the usual `if __name__ == "__main__"` guard.
    """
    assert workers >= 1, "at least one process"
    done: dict[int, Printed] = {}
    try:
        finished = _one_by_one(items) if workers == 1 else _in_parallel(items, workers)
        for index, printed in finished:
            done[index] = printed
            if progress is not None:
                progress(len(done))
    except OSError as error:
        raise cannot(Text("无法写入证书文件", "a certificate could not be written"), error) from error
    except BrokenProcessPool as error:
        raise Unavailable(
            Text("打印进程被终止：请检查内存后重试", "a printing process was killed: look at the memory, and try again")
        ) from error
    return [done[index] for index in range(len(done))]


def print_one(face: CertificateFace, slip: ClaimSlip, path: Path, staple: bytes) -> Printed:
    """Print one certificate to `path`, its staple embedded. Falls back to the link alone when the full code would be
    too dense."""
    fonts = load_fonts()
    inside = ((path.stem + STAPLE_SUFFIX, staple),)
    warning: Refused | None = None
    try:
        try:
            pdf = render_certificate(face, slip, fonts, inside)
        except Refused as refused:
            if refused.code != "QR_TOO_DENSE":
                raise
            warning = refused
            face = replace(face, qr_text=face.link)
            pdf = render_certificate(face, slip, fonts, inside)
        read_back(pdf, face.qr_text)
        replace_file(path, pdf)
    except Refused as refused:
        return Printed(path, False, refused.code, refused.text)
    except Unverified:
        return Printed(path, False, "UNREADABLE", UNREADABLE)
    except Malformed as error:
        return Printed(path, False, "UNPRINTABLE", UNPRINTABLE.format(zh=error.of("zh"), en=error.of("en")))
    if warning is not None:
        return Printed(path, True, warning.code, warning.text)
    return Printed(path, True)


def read_back(pdf: bytes, expected: str) -> None:
    """Draw the code's region of page 1 at the printer's resolution and read it.

    Raises Unverified unless it holds one code that says `expected`, Malformed when the PDF cannot be drawn.
    """
    if scan.read_pdf_region(pdf, page=0, box=QR_REGION, dpi=DOTS_PER_INCH) != [expected]:
        raise Unverified("the printed code does not read back as written")


def _one_by_one(items: Iterable[Item]) -> Iterator[tuple[int, Printed]]:
    for index, item in enumerate(items):
        yield index, print_one(*item)


def _in_parallel(items: Iterable[Item], workers: int) -> Iterator[tuple[int, Printed]]:
    # spawn: the caller may run threads and an event loop, and a forked copy of PDFium's lock could stay taken.
    context = multiprocessing.get_context("spawn")
    numbered = enumerate(items)
    with ProcessPool(workers, mp_context=context, initializer=load_fonts) as pool:
        waiting: dict[Future[Printed], int] = {}
        try:
            while True:
                for index, item in itertools.islice(numbered, workers * _IN_FLIGHT - len(waiting)):
                    waiting[pool.submit(print_one, *item)] = index
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        finally:
            for future in waiting:
                future.cancel()

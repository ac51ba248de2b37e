"""What an issuer hands out, made from the journal and evidence (step 6 of batch.py), so it can be made again any time.

    results.xlsx    one line per row that was signed: number, name, link, QR text, log index, status
    certificates/   NUMBER.pdf, each read back before it is kept      bundles/  NUMBER.certbundle, for the holder
    staples/        NUMBER.staple, the proof that goes with the PDF and is inside it
    problems.xlsx   the rows to fix, when there are any               summary.json  the same for programs

All of it is personal and some of it is secret (links, holder codes): files are for the owner only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook

from issuer.config import IssuerSettings
from issuer.issue import SignedCertificate
from issuer.receipt import Placed
from issuer.register import Changes, is_correction
from issuer.state import BatchState
from ledger.durable import make_folder, replace_file, sync_folder
from ledger.errors import Refused, cannot_create, cannot_read
from ledger.records.bundle import Bundle, format_bundle
from ledger.records.envelope import holder_tag
from ledger.records.evidence import Evidence
from ledger.records.qr import MAX_FRAGMENT, Code, format_code, format_fragment
from ledger.records.secret import cert_key_of
from ledger.records.staple import Staple, compact, format_staple
from ledger.records.statements import parse_statement
from ledger.sheets.inert import append_texts, book_bytes
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash

if TYPE_CHECKING:
    from issuer.printing.sheet import Printed  # loads what draws and reads PDFs: see papers.py

CERTIFICATES, BUNDLES, STAPLES = "certificates", "bundles", "staples"
RESULTS, PROBLEMS, SUMMARY = "results.xlsx", "problems.xlsx", "summary.json"
BUNDLE_SUFFIX: Final = ".certbundle"
STAPLE_SUFFIX: Final = ".staple"
_TITLES: Final = (
    "行号 Row", "证书编号 Number", "姓名 Name", "网址 Link", "二维码内容 QR text", "日志序号 Log index",
    "状态 Status", "说明 Note",
)  # fmt: skip
_ISSUED: Final = Text("已发证", "issued")
_REFUSED: Final = Text("未发证", "refused")
_IN_USE: Final = Text(
    "{path} 中已有另一份名单的结果，请换一个文件夹", "{path} holds the results of another roster; choose another folder"
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A logged certificate with the texts that people scan. `correction` is the newest, when there is one."""

    certificate: SignedCertificate  # as issued
    placed: Placed
    link: str
    qr_text: str
    correction: SignedCertificate | None = None

    @property
    def current(self) -> SignedCertificate:
        """Whose name, document and photo are printed."""
        return self.correction or self.certificate

    @property
    def number(self) -> str:
        return self.certificate.number


def issued_of(
    certificate: SignedCertificate, placed: Placed, verify_url: str, correction: SignedCertificate | None = None
) -> Issued:
    """The link and the full QR text; the link alone where a fragment would be too long to be read, and where the
    certificate was corrected: a fragment rebuilds what was signed when it was issued, under the old name.
    """
    code = Code(verify_url, certificate.secret)
    if correction is not None:
        return Issued(certificate, placed, code.link, code.link, correction)
    fragment = format_fragment(parse_statement(certificate.entry), certificate.face, placed.proof.index)
    text = format_code(Code(verify_url, certificate.secret, fragment)) if len(fragment) <= MAX_FRAGMENT else code.link
    return Issued(certificate, placed, code.link, text)


def bundle_of(item: Issued, evidence: Evidence) -> Bundle:
    """What the holder carries: every opening as it holds now, and the proof of its state."""
    certificate, current = item.certificate, item.current
    return Bundle(
        secret=certificate.secret,
        holder_code=certificate.holder_code,
        holder_tag=holder_tag(certificate.holder_code, leaf_hash(certificate.entry)),
        face=current.face,
        digests=current.digests,
        openings=current.openings,
        evidence=evidence,
    )


def staple_of(item: Issued, evidence: Evidence) -> Staple:
    """What may go with the printed certificate: what its code says, and the proof. Nothing else."""
    return Staple(item.certificate.secret, item.current.face, compact(evidence))


def bundle_path(out: Path, number: str) -> Path:
    return out / BUNDLES / (number + BUNDLE_SUFFIX)


def all_issued(state: BatchState, settings: IssuerSettings, changes: Changes) -> list[Issued]:
    """What a batch or act issued and was not replaced since, with what corrections made of it."""
    found = []
    for certificate, placed in state.logged():
        cert_key = cert_key_of(certificate.secret)
        correction = changes.corrections.get(cert_key)
        if cert_key not in changes.successors and not (correction and is_correction(certificate)):
            found.append(issued_of(certificate, placed, settings.verify_url, correction))
    return found


def prepare_folder(out: Path) -> None:
    """Create the result folder for its owner alone. Raises Unavailable."""
    try:
        make_folder(out.parent)
        out.mkdir(mode=0o700, exist_ok=True)
        sync_folder(out.parent)
        for name in (CERTIFICATES, BUNDLES, STAPLES):
            (out / name).mkdir(mode=0o700, exist_ok=True)
        sync_folder(out)
    except OSError as error:
        raise cannot_create(out, error) from error


def check_unused(out: Path, batch_id: bytes) -> None:
    """Check that a result folder is empty of other batches, whose sheets would be overwritten.

    Raises Refused OUT_IN_USE, Unavailable.
    """
    try:
        summary = json.loads((out / SUMMARY).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_read(out / SUMMARY, error) from error
    except ValueError:
        summary = None
    if not isinstance(summary, dict) or summary.get("batch") != batch_id.hex():
        raise Refused("OUT_IN_USE", "out", _IN_USE.format(path=out))


def write_bundles(out: Path, issued: Sequence[Issued], evidence: Mapping[str, Evidence]) -> dict[str, bytes]:
    """A bundle and a staple file each; the staples by number. A file that is there with the same content is left alone.

    Raises Unavailable.
    """
    staples = {}
    for item in issued:
        number, proof = item.number, evidence[item.number]
        _write(bundle_path(out, number), format_bundle(bundle_of(item, proof)))
        staples[number] = format_staple(staple_of(item, proof))
        _write(out / STAPLES / (number + STAPLE_SUFFIX), staples[number])
    return staples


def _write(path: Path, content: bytes) -> None:
    try:
        same = path.exists() and path.read_bytes() == content
    except OSError as error:
        raise cannot_read(path, error) from error
    if not same:
        replace_file(path, content)


def write_results_sheet(path: Path, state: BatchState, issued: Sequence[Issued]) -> None:
    """results.xlsx: every cell is text, and no text can start a formula. Raises Unavailable."""
    book = Workbook(write_only=True)
    page = book.create_sheet("Results")
    lines = [
        (item.certificate.row, item.number, item.current.face.name, item.link, item.qr_text,
         item.placed.proof.index, _ISSUED.both(), "")
        for item in issued
    ]  # fmt: skip
    for row, refusal in state.refused().items():
        face, said = state.certificates[row].face, f"{refusal.code} {refusal.text.both()}"
        lines.append((row, face.number, face.name, "", "", "", _REFUSED.both(), said))  # type: ignore[arg-type]
    append_texts(page, _TITLES)
    for line in sorted(lines):
        append_texts(page, [str(value) for value in line])
    replace_file(path, book_bytes(book))


def summary_of(
    batch_id: bytes, state: BatchState, issued: Sequence[Issued], printed: Sequence[Printed], problem_count: int
) -> dict[str, Any]:
    """summary.json. Paths are relative to its folder; times are ms since 1970."""
    header = state.header
    return {
        "batch": batch_id.hex(),
        "roster": header.file_name if header else "",
        "roster_sha256": header.file_sha256.hex() if header else "",
        "filing_number": header.filing_number if header else "",
        "issued": len(issued),
        "refused": len(state.refused()),
        "unanswered": len(state.unplaced()) - len(state.refused()),
        "problems": problem_count,
        "certificates": [
            {
                "row": item.certificate.row,
                "number": item.number,
                "name": item.current.face.name,
                "url": item.link,
                "qr_text": item.qr_text,
                "pdf": f"{CERTIFICATES}/{item.number}.pdf",
                "bundle": f"{BUNDLES}/{item.number}{BUNDLE_SUFFIX}",
                "staple": f"{STAPLES}/{item.number}{STAPLE_SUFFIX}",
                "index": item.placed.proof.index,
                "time": item.placed.time,
            }
            for item in issued
        ],
        "refusals": [
            {"row": row, "number": state.certificates[row].number, **refusal_value(refusal)}
            for row, refusal in state.refused().items()
        ],
        "print_notes": [
            {"pdf": f"{CERTIFICATES}/{note.path.name}", "kept": note.kept, "code": note.code,
             "zh": note.note.zh, "en": note.note.en}
            for note in printed
            if note.note is not None
        ],
    }  # fmt: skip


def refusal_value(refusal: Refused) -> dict[str, str]:
    return {"code": refusal.code, "field": refusal.field, "zh": refusal.text.zh, "en": refusal.text.en}


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    replace_file(path, (json.dumps(summary, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)

"""What an issuer hands out, made from the journal alone (step 6 of batch.py), so it can be made again at any time.

    results.xlsx    one line per row that was signed: number, name, link, QR text, log index, status
    certificates/   NUMBER.pdf, each read back before it is kept      bundles/  NUMBER.certbundle
    problems.xlsx   the rows to fix, when there are any               summary.json  the same for programs

All of it is personal and some of it is secret (links, holder codes): files are for the owner only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from issuer.config import IssuerSettings
from issuer.issue import SignedCertificate
from issuer.printing.certificate import NO_TRADE, CertificateFace
from issuer.printing.sheet import Item, Printed, print_certificates
from issuer.printing.slip import ClaimSlip
from issuer.receipt import Placed
from issuer.roster.report import inert
from issuer.state import BatchState
from ledger.errors import Refused, Unavailable
from ledger.records.authority import Filing
from ledger.records.bundle import Bundle, format_bundle
from ledger.records.documents import TYPES
from ledger.records.envelope import holder_tag, open_face
from ledger.records.issue import Issue
from ledger.records.qr import MAX_FRAGMENT, Code, format_code, format_fragment
from ledger.records.secret import format_secret
from ledger.records.statements import parse_statement
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text

CERTIFICATES, BUNDLES = "certificates", "bundles"
RESULTS, PROBLEMS, SUMMARY = "results.xlsx", "problems.xlsx", "summary.json"
BUNDLE_SUFFIX: Final = ".certbundle"
_TITLES: Final = (
    "行号 Row", "证书编号 Number", "姓名 Name", "网址 Link", "二维码内容 QR text", "日志序号 Log index",
    "状态 Status", "说明 Note",
)  # fmt: skip
_ISSUED: Final = Text("已发证", "issued")
_REFUSED: Final = Text("未发证", "refused")


@dataclass(frozen=True, slots=True)
class Issued:
    """A logged certificate with the texts that people scan."""

    certificate: SignedCertificate
    placed: Placed
    link: str
    qr_text: str

    @property
    def number(self) -> str:
        return self.certificate.number


def issued_of(certificate: SignedCertificate, placed: Placed, verify_url: str) -> Issued:
    """The link and the full QR text; the link alone where a fragment would be too long to be read."""
    code = Code(verify_url, certificate.secret)
    fragment = format_fragment(parse_statement(certificate.entry), certificate.face, placed.proof.index)
    text = format_code(Code(verify_url, certificate.secret, fragment)) if len(fragment) <= MAX_FRAGMENT else code.link
    return Issued(certificate, placed, code.link, text)


def bundle_of(certificate: SignedCertificate, placed: Placed) -> Bundle:
    """What the holder carries: every opening, and the place in the log with its proof."""
    leaf = parse_statement(certificate.entry).leaf_hash
    return Bundle(
        secret=certificate.secret,
        holder_code=certificate.holder_code,
        holder_tag=holder_tag(certificate.holder_code, leaf),
        entry=certificate.entry,
        face=certificate.face,
        digests=certificate.digests,
        openings=certificate.openings,
        proof=placed.proof,
    )


def all_issued(state: BatchState, settings: IssuerSettings) -> list[Issued]:
    return [issued_of(certificate, placed, settings.verify_url) for certificate, placed in state.logged()]


def prepare_folder(out: Path) -> None:
    """Create the result folder for its owner alone. Raises Unavailable."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (CERTIFICATES, BUNDLES):
            (out / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create {out}: {error.strerror}") from error


def write_bundles(out: Path, issued: Sequence[Issued]) -> None:
    """One bundle file each; a file that is there with the same content is left alone. Raises Unavailable."""
    for item in issued:
        content = format_bundle(bundle_of(item.certificate, item.placed))
        path = out / BUNDLES / (item.number + BUNDLE_SUFFIX)
        try:
            if not path.exists() or path.read_bytes() != content:
                part = path.with_name(path.name + ".part")
                part.write_bytes(content)
                part.replace(path)
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from error


def print_issued(
    out: Path,
    issued: Sequence[Issued],
    filing: Filing,
    settings: IssuerSettings,
    *,
    again: bool = False,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[Printed]:
    """Print those that are not in `certificates/` yet, or all `again`. Raises Unavailable (disk, font)."""
    folder = out / CERTIFICATES
    missing = [item for item in issued if again or not (folder / f"{item.number}.pdf").exists()]
    if not missing:
        return []
    return print_certificates(
        _items(folder, missing, filing, settings), workers=min(workers, len(missing)), progress=progress
    )


def write_results_sheet(path: Path, state: BatchState, issued: Sequence[Issued]) -> None:
    """results.xlsx: every cell is text, and no text can start a formula. Raises Unavailable."""
    book = Workbook(write_only=True)
    page = book.create_sheet("Results")
    lines = [
        (item.certificate.row, item.number, item.certificate.face.name, item.link, item.qr_text,
         item.placed.proof.index, _ISSUED.both(), "")
        for item in issued
    ]  # fmt: skip
    for row, refusal in state.refused().items():
        face, said = state.certificates[row].face, f"{refusal.code} {refusal.text.both()}"
        lines.append((row, face.number, face.name, "", "", "", _REFUSED.both(), said))  # type: ignore[arg-type]
    page.append([_text_cell(page, title) for title in _TITLES])
    for line in sorted(lines):
        page.append([_text_cell(page, str(value)) for value in line])
    part = path.with_name(path.name + ".part")
    try:
        book.save(part)
        part.replace(path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error


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
                "name": item.certificate.face.name,
                "url": item.link,
                "qr_text": item.qr_text,
                "pdf": f"{CERTIFICATES}/{item.number}.pdf",
                "bundle": f"{BUNDLES}/{item.number}{BUNDLE_SUFFIX}",
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
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", "utf-8")
        part.chmod(0o600)
        part.replace(path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error


def _items(folder: Path, issued: Sequence[Issued], filing: Filing, settings: IssuerSettings) -> Iterator[Item]:
    for item in issued:
        slip = ClaimSlip(item.certificate.face.name, item.number, format_secret(item.certificate.holder_code))
        yield certificate_face(item, filing, settings), slip, folder / f"{item.number}.pdf"


def certificate_face(item: Issued, filing: Filing, settings: IssuerSettings) -> CertificateFace:
    """Everything page 1 shows, out of the signed statement, its openings and the reference files."""
    certificate = item.certificate
    statement = parse_statement(certificate.entry)
    issue = statement.body
    assert isinstance(issue, Issue)
    match certificate.openings[0].value:
        case [str(kind), str(), str(document)]:
            pass
        case _:
            raise AssertionError("the first opening is the ID document's")
    grade = load_ladder().by_ordinal(issue.grade)
    occupation = load_catalogue().find(issue.occupation)
    thumbnail = open_face(certificate.secret, statement.leaf_hash, certificate.face_envelope).thumbnail
    return CertificateFace(
        body_name=filing.name,
        name=certificate.face.name,
        document_type=TYPES[kind].zh,
        document_number=document,
        occupation=occupation.name if occupation else issue.occupation,
        trade=issue.trade or NO_TRADE,
        grade=grade.zh_formal,
        grade_en=grade.en,
        number=certificate.number,
        issue_date=issue.issue_day,
        official_host=settings.official_host,
        qr_text=item.qr_text,
        link=item.link,
        photo=thumbnail or None,
        body_query_url=settings.query_url or None,
    )


def _text_cell(page: Any, text: str) -> Any:
    cell = WriteOnlyCell(page, inert(text))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell

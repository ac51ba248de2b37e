"""The PDFs of logged certificates: what each page says, and which are still to be printed.

Apart from results.py, because drawing and reading back load reportlab, PDFium and zxing, which a batch without PDFs
does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from issuer.config import IssuerSettings
from issuer.printing.certificate import NO_TRADE, CertificateFace
from issuer.printing.sheet import Item, Printed, print_certificates
from issuer.printing.slip import ClaimSlip
from issuer.results import CERTIFICATES, Issued
from ledger.records.appointment import Appoint
from ledger.records.authority import Filing
from ledger.records.dates import format_day
from ledger.records.documents import TYPES
from ledger.records.envelope import open_face
from ledger.records.issue import Issue
from ledger.records.secret import format_secret
from ledger.records.statements import parse_statement
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash


def print_issued(
    out: Path,
    issued: Sequence[Issued],
    filing: Filing,
    settings: IssuerSettings,
    staples: Mapping[str, bytes],
    *,
    again: bool = False,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[Printed]:
    """Print those that are not in `certificates/` yet, or all `again`, each with its staple (by number) inside.

    Raises Unavailable (disk, font).
    """
    folder = out / CERTIFICATES
    missing = [item for item in issued if again or not (folder / f"{item.number}.pdf").exists()]
    if not missing:
        return []
    return print_certificates(
        _items(folder, missing, filing, settings, staples), workers=min(workers, len(missing)), progress=progress
    )


def certificate_face(item: Issued, filing: Filing, settings: IssuerSettings) -> CertificateFace:
    """Everything page 1 shows, out of the signed statement, its openings and the reference files."""
    body = parse_statement(item.certificate.entry).body
    assert isinstance(body, Issue | Appoint)
    current = item.current
    match current.openings[0].value:
        case [str(kind), str(), str(document)]:
            pass
        case _:
            raise AssertionError("the first opening is the ID document's")
    grade = load_ladder().by_ordinal(body.grade)
    occupation = load_catalogue().find(body.occupation)
    thumbnail = open_face(current.secret, leaf_hash(current.entry), current.face_envelope).thumbnail
    return CertificateFace(
        body_name=filing.name,
        name=current.face.name,
        document_type=TYPES[kind].zh,
        document_number=document,
        occupation=occupation.name if occupation else body.occupation,
        trade=body.trade or NO_TRADE,
        grade=grade.zh_formal,
        grade_en=grade.en,
        number=item.number,
        issue_date=body.issue_day,
        official_host=settings.official_host,
        qr_text=item.qr_text,
        link=item.link,
        photo=thumbnail or None,
        body_query_url=settings.query_url or None,
        post=post_term(body) if isinstance(body, Appoint) else None,
    )


def post_term(post: Appoint) -> Text:
    """From which day to which day a post is held."""
    first = format_day(post.first_day)
    if not post.last_day:
        return Text(f"自 {first} 起", f"from {first} on")
    last = format_day(post.last_day)
    return Text(f"{first} 至 {last}", f"{first} to {last}")


def _items(
    folder: Path, issued: Sequence[Issued], filing: Filing, settings: IssuerSettings, staples: Mapping[str, bytes]
) -> Iterator[Item]:
    for item in issued:
        slip = ClaimSlip(item.current.face.name, item.number, format_secret(item.certificate.holder_code))
        yield certificate_face(item, filing, settings), slip, folder / f"{item.number}.pdf", staples[item.number]

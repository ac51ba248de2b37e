"""What exports may say about one certificate, read out of its signed statement and the openings that hold now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from issuer.results import Issued
from ledger.records.appointment import Appoint
from ledger.records.authority import Filing
from ledger.records.commitments import Field
from ledger.records.envelope import open_face
from ledger.records.issue import Issue
from ledger.records.secret import cert_key_of
from ledger.records.statements import parse_statement
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash

NAME, DOCUMENT, SCORES, PHOTO = "name", "document", "scores", "photo"
FIELDS: Final = (NAME, DOCUMENT, SCORES, PHOTO)  # of the person, to be chosen
DEFAULT_FIELDS: Final = (NAME,)


@dataclass(frozen=True, slots=True)
class Facts:
    """Days are days since 1970-01-01; "", () and 0 where there is nothing to say."""

    cert_key: bytes
    number: str
    name: str
    document: tuple[str, str, str]  # type code, country, number
    body_name: str  # the assessment body, as filed
    filing_number: str
    occupation_code: str
    occupation: str
    trade: str
    grade: Text
    ordinal: int
    level: int  # national level 5..1; 0 for a post
    basis: str  # id of the standard, or the employer's document for a post
    issue_day: int
    first_day: int  # of a post
    last_day: int  # of a post; 0: open
    birth_year: int
    employer: str
    scores: tuple[tuple[str, str], ...]  # what was scored, and the score
    thumbnail: bytes  # JPEG

    @property
    def is_post(self) -> bool:
        return self.level == 0


def facts_of(item: Issued, filing: Filing) -> Facts:
    """The facts of a logged certificate of this filing."""
    body = parse_statement(item.certificate.entry).body
    assert isinstance(body, Issue | Appoint)
    current = item.current
    opened = {opening.field: opening.value for opening in current.openings}
    match opened[Field.ID_DOCUMENT]:
        case [str(kind), str(country), str(document)]:
            pass
        case _:
            raise AssertionError("every certificate names a person")
    birth_year, employer, scores = opened.get(Field.BIRTH_YEAR, 0), opened.get(Field.EMPLOYER, ""), _scores(opened)
    assert isinstance(birth_year, int) and isinstance(employer, str)
    occupation = load_catalogue().find(body.occupation)
    return Facts(
        cert_key=cert_key_of(item.certificate.secret),
        number=item.number,
        name=current.face.name,
        document=(kind, country, document),
        body_name=filing.name,
        filing_number=filing.number,
        occupation_code=body.occupation,
        occupation=occupation.name if occupation else body.occupation,
        trade=body.trade,
        grade=load_ladder().by_ordinal(body.grade).text,
        ordinal=body.grade,
        level=body.level if isinstance(body, Issue) else 0,
        basis=body.standard if isinstance(body, Issue) else body.basis,
        issue_day=body.issue_day,
        first_day=body.first_day if isinstance(body, Appoint) else 0,
        last_day=body.last_day if isinstance(body, Appoint) else 0,
        birth_year=birth_year,
        employer=employer,
        scores=scores,
        thumbnail=open_face(current.secret, leaf_hash(current.entry), current.face_envelope).thumbnail,
    )


def _scores(opened: Mapping[Field, object]) -> tuple[tuple[str, str], ...]:
    found = opened.get(Field.SCORES, [])
    assert isinstance(found, list)
    return tuple((str(title), str(score)) for title, score in found)


def listed_fields(names: str) -> tuple[str, ...] | None:
    """The fields that a comma-separated list names, in order; None when one is unknown. "none" is the empty list."""
    found = tuple(dict.fromkeys(name for name in names.split(",") if name and name != "none"))
    return None if set(found) - set(FIELDS) else found

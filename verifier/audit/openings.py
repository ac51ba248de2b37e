"""Checks that need openings: numbers, faces and persons, for the certificates whose bundles somebody hands over.

A source is a bundle file or a folder with bundles (`*.certbundle`: the result folder of an issuer). For each:

    1  the bundle's statement is the entry at its index of our own copy of the log
    2  its face opens to what the statement commits to, or the correction that our copy says is in force, and every
       disclosed field to its place of `rest`
    3  its number is well formed, and says the same filing, year and grade as the statement
    4  no other opened certificate has the same number
    5  one person (ID document) has not more occupations than the threshold, and is not in two bodies on one day

Persons live in memory as long as the check runs, and in no alarm: an alarm names entries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.records import canonical
from ledger.records.bundle import MAX_BUNDLE, Bundle, parse_bundle
from ledger.records.commitments import Field, rest_digest, verify_opening
from ledger.records.dates import format_day
from ledger.records.grades import Ladder
from ledger.records.issue import Issue
from ledger.records.life import Correct
from ledger.records.number import check_number, cross_check
from ledger.records.state import parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.tlog.merkle import leaf_hash
from verifier.audit.alarms import Alarm, AlarmCode, alarm

SUFFIX: Final = ".certbundle"


@dataclass(slots=True)
class _Person:
    occupations: set[str] = field(default_factory=set)
    days: dict[int, dict[str, int]] = field(default_factory=dict)  # assessment day -> filing -> index
    entries: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OpeningsResult:
    """How many bundles were read and what was found."""

    checked: int
    unreadable: int  # files that are no bundles
    alarms: tuple[Alarm, ...]


class OpeningsCheck:
    """Feed it bundles, then ask for the result."""

    def __init__(self, ladder: Ladder, occupations: int) -> None:
        self._ladder, self._limit = ladder, occupations
        self._numbers: dict[str, int] = {}
        self._persons: dict[bytes, _Person] = {}
        self._alarms: list[Alarm] = []
        self._checked = 0
        self.unreadable = 0

    def add(self, bundle: Bundle, logged: bytes | None, current: bytes) -> None:
        """Check one bundle against the entry at its index of our copy, and the leaf hash of its commitments there."""
        index = index_of(bundle)
        self._checked += 1
        try:
            issue = self._open(bundle, logged, current)  # 1, 2
        except (Malformed, Unverified):
            self._alarms.append(alarm(AlarmCode.OPENING_MISMATCH, str(index), (index,), index=index))
            return
        self._number(bundle.face.number, issue, index)
        document = next((one for one in bundle.openings if one.field is Field.ID_DOCUMENT), None)
        if document is not None:
            self._person(canonical.encode(document.value), issue, index)

    def result(self) -> OpeningsResult:
        found = list(self._alarms)
        for person in self._persons.values():  # 5
            count = len(person.occupations)
            if count >= self._limit:
                subject = f"entry {min(person.entries)}"
                found.append(alarm(AlarmCode.MANY_OCCUPATIONS, subject, person.entries, count=count, limit=self._limit))
            for day, bodies in sorted(person.days.items()):
                if len(bodies) > 1:
                    entries = list(bodies.values())
                    found.append(alarm(AlarmCode.TWO_PLACES, f"entry {min(entries)}", entries, day=format_day(day)))
        return OpeningsResult(self._checked, self.unreadable, tuple(found))

    def _open(self, bundle: Bundle, logged: bytes | None, current: bytes) -> Issue:
        if logged != bundle.entry:
            raise Unverified("not the entry of that index")
        issue = parse_statement(bundle.entry).body
        if not isinstance(issue, Issue):
            raise Unverified("not a certificate")
        signed: list[Issue | Correct] = [issue]
        if bundle.evidence.commitments and leaf_hash(bundle.evidence.commitments) == current:
            corrected = parse_statement(bundle.evidence.commitments).body
            signed += [corrected] if isinstance(corrected, Correct) else []
        if (bundle.face.digest(), rest_digest(bundle.digests)) not in [(body.face, body.rest) for body in signed]:
            raise Unverified("another face or rest")
        for opening in bundle.openings:
            verify_opening(opening, bundle.digests)
        return issue

    def _number(self, text: str, issue: Issue, index: int) -> None:
        try:
            number = check_number(text)
        except (Malformed, Refused) as error:  # 3
            reason = error.code if isinstance(error, Refused) else "SPELLING"
            self._alarms.append(alarm(AlarmCode.NUMBER_FORM, str(index), (index,), index=index, reason=reason))
            return
        problems = cross_check(
            number,
            filing_number=issue.filing_number,
            window=None,
            issue_day=issue.issue_day,
            grade_ordinal=issue.grade,
            ladder=self._ladder,
        )
        if problems:
            reason = ", ".join(problem.code for problem in problems)
            self._alarms.append(alarm(AlarmCode.NUMBER_FORM, str(index), (index,), index=index, reason=reason))
        other = self._numbers.setdefault(text, index)
        if other != index:  # 4
            self._alarms.append(alarm(AlarmCode.NUMBER_TWICE, str(index), (index, other), index=index, other=other))

    def _person(self, document: bytes, issue: Issue, index: int) -> None:
        person = self._persons.setdefault(sha256(document).digest(), _Person())
        person.occupations.add(issue.occupation)
        person.entries.append(index)
        person.days.setdefault(issue.assessment_day, {}).setdefault(issue.filing_number, index)


def index_of(bundle: Bundle) -> int:
    """Where the bundle says that its certificate stands. Raises Malformed."""
    return parse_certificate_state(bundle.evidence.state).issue_index


async def check_openings(
    sources: Sequence[Path],
    entry_at: Callable[[int], Awaitable[bytes | None]],
    ladder: Ladder,
    occupations: int,
    current_of: Callable[[bytes], Awaitable[bytes]],
) -> OpeningsResult:
    """Check every bundle under `sources`; `entry_at` reads our copy, `current_of` says the leaf hash of a certificate's
    commitments there (b"" for an unknown cert key). Raises Unavailable for a path that is missing."""
    check = OpeningsCheck(ladder, occupations)
    for path in _files(sources):
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BUNDLE + 1)
            bundle = parse_bundle(raw)
            index_of(bundle)
        except CertLedgerError:
            check.unreadable += 1
            continue
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        current = await current_of(bundle.evidence.cert_key)
        check.add(bundle, await entry_at(index_of(bundle)), current)
    return check.result()


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from sorted(source.rglob("*" + SUFFIX))
        elif source.exists():
            yield source
        else:
            raise Unavailable(f"no such file or folder: {source}")

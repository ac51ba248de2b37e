"""Checks that need openings: numbers, faces and persons, for the certificates whose bundles somebody hands over.

A source is a bundle file or a folder with bundles (`*.certbundle`: the result folder of an issuer). For each:

    1  the bundle's statement is the entry at its index of our own copy of the log
    2  its face opens to what the statement commits to, or the correction that our copy says is in force (or that was
       the last thing logged about it when the bundle was made), and every disclosed field to its place of `rest`
    3  its number is well formed, and says the same filing, year and grade as the statement
    4  no other opened certificate has the same number, but for those that it took the place of: a reissue keeps it
    5  one person (ID document) has not more occupations than the threshold, and is not in two bodies on one day

Persons live in memory as long as the check runs, and in no alarm: an alarm names entries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified, cannot_read
from ledger.records import canonical
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.bundle import MAX_BUNDLE, Bundle, parse_bundle
from ledger.records.commitments import Field, rest_digest, verify_opening
from ledger.records.dates import format_day
from ledger.records.grades import Ladder
from ledger.records.issue import Issue
from ledger.records.life import Correct
from ledger.records.number import check_number, cross_check
from ledger.records.state import CertificateState, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.text import Text
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
    unread: int = 0  # files whose turn has not come, of the service's folder


class OpeningsCheck:
    """Feed it bundles, then ask for the result."""

    def __init__(self, ladder: Ladder, occupations: int) -> None:
        self._ladder, self._limit = ladder, occupations
        self._numbers: dict[str, tuple[int, bytes]] = {}  # where a number was first met, and where its line began
        self._persons: dict[bytes, _Person] = {}
        self._alarms: list[Alarm] = []
        self._checked = 0
        self.unreadable = 0

    def add(self, bundle: Bundle, logged: bytes | None, current: bytes, first: bytes = b"") -> None:
        """Check one bundle against the entry at its index of our copy, and the leaf hash of its commitments there.
        `first` is the cert key of the certificate that its line of reissues began with; b"": of itself."""
        index = index_of(bundle)
        self._checked += 1
        try:
            body = self._open(bundle, logged, current)  # 1, 2
        except (Malformed, Unverified):
            self._alarms.append(alarm(AlarmCode.OPENING_MISMATCH, str(index), (index,), index=index))
            return
        self._number(bundle.face.number, body, index, first or body.cert_key)
        document = next((one for one in bundle.openings if one.field is Field.ID_DOCUMENT), None)
        if document is not None:
            self._person(canonical.encode(document.value), body, index)

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

    def _open(self, bundle: Bundle, logged: bytes | None, current: bytes) -> CertificateBody:
        if logged != bundle.entry:
            raise Unverified("not the entry of that index")
        made = parse_statement(bundle.entry).body
        if not isinstance(made, Issue | Appoint):
            raise Unverified("not a certificate")
        signed: list[CertificateBody | Correct] = [made]
        if bundle.evidence.commitments and leaf_hash(bundle.evidence.commitments) == current:
            corrected = parse_statement(bundle.evidence.commitments).body
            if isinstance(corrected, Correct) and corrected.cert_key == made.cert_key:
                signed.append(corrected)
        if (bundle.face.digest(), rest_digest(bundle.digests)) not in [(body.face, body.rest) for body in signed]:
            raise Unverified("another face or rest")
        for opening in bundle.openings:
            verify_opening(opening, bundle.digests)
        return made

    def _number(self, text: str, body: CertificateBody, index: int, first: bytes) -> None:
        try:
            number = check_number(text)
        except (Malformed, Refused) as error:  # 3
            reason = error.code if isinstance(error, Refused) else "SPELLING"
            self._alarms.append(alarm(AlarmCode.NUMBER_FORM, str(index), (index,), index=index, reason=reason))
            return
        problems = cross_check(
            number,
            filing_number=body.filing_number,
            window=None,
            issue_day=body.issue_day,
            grade_ordinal=body.grade,
            ladder=self._ladder,
        )
        if problems:
            reason = ", ".join(problem.code for problem in problems)
            self._alarms.append(alarm(AlarmCode.NUMBER_FORM, str(index), (index,), index=index, reason=reason))
        other, began = self._numbers.setdefault(text, (index, first))
        if began != first:  # 4
            self._alarms.append(alarm(AlarmCode.NUMBER_TWICE, str(index), (index, other), index=index, other=other))

    def _person(self, document: bytes, body: CertificateBody, index: int) -> None:
        person = self._persons.setdefault(sha256(document).digest(), _Person())
        person.occupations.add(body.occupation)
        person.entries.append(index)
        if isinstance(body, Issue):  # for a post nobody had to be anywhere on a day
            person.days.setdefault(body.assessment_day, {}).setdefault(body.filing_number, index)


def index_of(bundle: Bundle) -> int:
    """Where the bundle says that its certificate stands. Raises Malformed."""
    return parse_certificate_state(bundle.evidence.state).issue_index


EntryAt = Callable[[int], Awaitable[bytes | None]]  # an entry of our own copy
StateOf = Callable[[bytes], Awaitable[CertificateState | None]]  # and what it says of a cert key


async def check_openings(
    sources: Sequence[Path], entry_at: EntryAt, state_of: StateOf, ladder: Ladder, occupations: int
) -> OpeningsResult:
    """Check every bundle under `sources` against our copy of the log. Raises Unavailable for a path that is missing."""
    check = OpeningsCheck(ladder, occupations)
    for path in _files(sources):
        bundle = read_bundle(path)
        if bundle is None:
            check.unreadable += 1
        else:
            await check_bundle(check, bundle, entry_at, state_of)
    return check.result()


async def check_bundle(check: OpeningsCheck, bundle: Bundle, entry_at: EntryAt, state_of: StateOf) -> None:
    """Add one bundle, with what our copy of the log says of its certificate."""
    logged, state = await entry_at(index_of(bundle)), await state_of(bundle.evidence.cert_key)
    current = b"" if state is None else state.commitment_leaf
    then, correction = parse_certificate_state(bundle.evidence.state), bundle.evidence.commitments
    if correction and await entry_at(then.event_index) == correction:
        current = leaf_hash(correction)  # corrected again since: what was signed then stays true of then
    check.add(bundle, logged, current, await _first_of(logged, entry_at, state_of))


def read_bundle(path: Path) -> Bundle | None:
    """The bundle in a file, None when it holds none. Raises Unavailable when it cannot be read."""
    try:
        if path.exists() and not path.is_file():  # of a pipe nobody knows when it says something
            return None
        with path.open("rb") as file:
            raw = file.read(MAX_BUNDLE + 1)
        bundle = parse_bundle(raw)
        index_of(bundle)
    except CertLedgerError:
        return None
    except OSError as error:
        raise cannot_read(path, error) from error
    return bundle


async def _first_of(logged: bytes | None, entry_at: EntryAt, state_of: StateOf) -> bytes:
    """The cert key that a certificate's line of reissues began with; b"" when the entry is no certificate. A reissue
    stands after what it replaces, as our replay has seen, so the line ends."""
    key = b""
    while logged is not None:
        try:
            body = parse_statement(logged).body
        except Malformed:
            break
        if not isinstance(body, Issue | Appoint):
            break
        key = body.cert_key
        replaced = await state_of(body.replaces) if body.replaces else None
        logged = None if replaced is None else await entry_at(replaced.issue_index)
    return key


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from sorted(source.rglob("*" + SUFFIX))
        elif source.exists():
            yield source
        else:
            raise Unavailable(Text(f"没有这个文件或目录：{source}", f"no such file or folder: {source}"))

"""The bytes of an offline kit, signed by its maker. Pure.

    file = CBOR ["certledger/kit/v3", body, note]             note: a signed note of the maker's Ed25519 key over
                                                              "certledger/kit/v3\\n" and base64 of SHA-256(body)
    body = CBOR [made, limit, [address], [[ordinal, zh, en]], [[occupation, name]], [log]]
    log  = [origin, checkpoint, seal, [inclusion of the seal], as of, end, halt, [filing], width, [list × 5]]
    end  = [entry, [inclusion]] of the statement that closed the log; [] while it goes on
    filing = [number, name, status, first day, last day, changed, [row], [grant], [key]]
    key  = [public key, first day, last day, status, void from]

Each log is good for `limit` from its own moment; a closed one from that of its successor, where the kit has that too.
The lists are index sets (`index_set`): revoked (void and replaced too), suspended, ended, corrected, superseded. They
are what the maker's own replica held at the checkpoint's seal; whoever believes the kit believes the maker in that.
The first four hold marks, the first `width` bits of the hash of the issuing statement: nobody signs the place that a
code names, so whoever holds a revoked certificate could name another. The last holds places: there is nothing to gain.
`judge` checks what a reader can: when the checkpoint was signed and cosigned.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Any, Final, Protocol

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.authority import FilingRow
from ledger.records.commitments import parse_hashes
from ledger.records.evidence import check_path
from ledger.records.kinds import Audience, FilingStatus, KeyStatus
from ledger.text import Text
from ledger.tlog.keys import kid
from ledger.tlog.note import (
    ED25519,
    NOTE_CEILING,
    Note,
    NoteSignature,
    VerifierKey,
    format_note,
    open_note,
)
from verifier.kit.index_set import IndexSet, parse_index_set
from verifier.log_end import LogEnd, parse_end
from verifier.trust import check_base

LABEL: Final = "certledger/kit/v3"
_FAMILY: Final = "certledger/kit/"
MAX_KIT: Final = 16 * 1024 * 1024
LISTS: Final = ("revoked", "suspended", "ended", "corrected", "superseded")
PLACED: Final = "superseded"  # the list of places; the others are of marks
MIN_WIDTH: Final = 32  # bits of a mark: certificates of other logs are looked for too, and should not be found
MAX_WIDTH: Final = 48  # exact in every reader's numbers
MAX_LOGS: Final = 256  # one for each province and year
_OTHER_VERSION: Final = Text(
    "离线包是另一版本的格式：请更新离线包（kit make，或在有网络时重新取用）",
    "the kit is of another version of its format: make or fetch it anew",
)


class Signer(Protocol):
    @property
    def public(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class KitKey:
    """A record key and what became of it."""

    public: bytes
    first_day: int
    last_day: int  # 0: open
    status: KeyStatus
    void_from: int = -1  # what it issued at this index or later is void; -1: nothing

    def as_value(self) -> list[canonical.Value]:
        return [self.public, self.first_day, self.last_day, int(self.status), self.void_from]


@dataclass(frozen=True, slots=True)
class KitFiling:
    """A body: its present terms, as far as a check needs them."""

    number: str
    name: str
    status: FilingStatus
    first_day: int
    last_day: int
    changed: bool  # the terms are not the first: they do not reach back
    rows: tuple[FilingRow, ...]
    grants: tuple[int, ...]
    keys: tuple[KitKey, ...]

    def key(self, key_id: bytes) -> KitKey | None:
        return next((key for key in self.keys if kid(key.public) == key_id), None)

    def allows(self, issue: CertificateBody) -> bool:
        """Whether the present terms cover it at its issue date, as `check_scope` and `check_grant` say."""
        if not self.first_day <= issue.issue_day <= self.last_day:
            return False
        rows = [
            row for row in self.rows if row.occupation == issue.occupation and row.trade in ("", issue.trade)
        ]  # fmt: skip
        if isinstance(issue, Appoint):
            return issue.grade in self.grants and bool(rows)
        return any(
            issue.grade in row.grades and row.audience == issue.audience and row.first_day <= issue.issue_day
            for row in rows
        )

    def as_value(self) -> list[canonical.Value]:
        return [
            self.number, self.name, int(self.status), self.first_day, self.last_day, int(self.changed),
            [row.as_value() for row in self.rows], list(self.grants), [key.as_value() for key in self.keys],
        ]  # fmt: skip


class Halt(IntEnum):
    """Whether the maker still follows the log. Of one that it does not, what the kit has is old for good."""

    NONE = 0
    STOPPED = 1  # by a fault of the maker's own
    PROVEN = 2  # the log has broken its rules


@dataclass(frozen=True, slots=True)
class KitLog:
    """One log at one checkpoint."""

    origin: str
    checkpoint: bytes  # signed note with the Ed25519 lines of the log and its cosigners
    seal: bytes
    inclusion: tuple[bytes, ...]  # of the seal
    as_of_ms: int  # how fresh the checkpoint is, for its maker
    end: LogEnd | None  # of a closed log
    halt: Halt
    filings: tuple[KitFiling, ...]  # rising by number
    width: int  # bits of a mark
    lists: dict[str, IndexSet] = field(hash=False)  # LISTS

    def __post_init__(self) -> None:
        numbers = [filing.number for filing in self.filings]
        if numbers != sorted(set(numbers)) or tuple(self.lists) != LISTS:
            raise Malformed("kit: filings rise by number, and there are five lists")
        if not 0 < len(self.checkpoint) <= NOTE_CEILING or not 0 < len(self.seal) <= 256 or self.as_of_ms < 0:
            raise Malformed("kit: checkpoint, seal or time out of range")
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise Malformed("kit: marks of 32 to 48 bits")
        check_path(self.inclusion)

    def names(self, name: str, leaf: bytes) -> bool:
        """Whether a list of marks has the certificate whose issuing statement has this leaf hash."""
        return mark_of(leaf) >> (MAX_WIDTH - self.width) in self.lists[name]

    def lists_it(self, leaf: bytes) -> bool:
        """Whether any of them has: then the certificate is of this log."""
        return any(self.names(name, leaf) for name in LISTS if name != PLACED)

    def filing(self, number: str) -> KitFiling | None:
        return next((filing for filing in self.filings if filing.number == number), None)

    def as_value(self) -> list[canonical.Value]:
        filings: list[canonical.Value] = [filing.as_value() for filing in self.filings]
        lists: list[canonical.Value] = [self.lists[name].as_value() for name in LISTS]
        end: list[canonical.Value] = [] if self.end is None else self.end.as_value()
        return [
            self.origin, self.checkpoint, self.seal, list(self.inclusion), self.as_of_ms, end, int(self.halt), filings,
            self.width, lists,
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kit:
    """Everything in a kit. Times are ms since 1970."""

    made_ms: int
    limit_ms: int  # for how long from its own moment a log makes anything green
    bases: tuple[str, ...]  # official addresses
    grades: tuple[tuple[int, str, str], ...]  # ordinal, zh, en
    occupations: tuple[tuple[str, str], ...]  # code, name: those that the filings name
    logs: tuple[KitLog, ...]

    def __post_init__(self) -> None:
        if self.made_ms < 0 or self.limit_ms <= 0 or not 1 <= len(self.logs) <= MAX_LOGS or not self.bases:
            raise Malformed(f"kit: a time and a limit, 1 to {MAX_LOGS} logs, and an address")
        if len({log.origin for log in self.logs}) != len(self.logs):
            raise Malformed("kit: one log twice")
        for base in self.bases:
            check_base(base)

    def body(self) -> bytes:
        return canonical.encode(
            [
                self.made_ms,
                self.limit_ms,
                list(self.bases),
                [list(grade) for grade in self.grades],
                [list(occupation) for occupation in self.occupations],
                [log.as_value() for log in self.logs],
            ]
        )


def mark_of(leaf: bytes) -> int:
    """The longest mark of a leaf hash; a shorter one is the top of it."""
    return int.from_bytes(leaf[: MAX_WIDTH // 8], "big")


def sign_kit(kit: Kit, name: str, signer: Signer) -> bytes:
    """The kit's file under the maker's key called `name`. Raises Malformed when it is larger than 16 MiB."""
    body, key = kit.body(), VerifierKey(name, ED25519, signer.public)
    text = _text(body)
    note = format_note(Note(text, (NoteSignature(key.name, key.key_id, signer.sign(text.encode())),)))
    raw = canonical.encode([LABEL, body, note])
    if len(raw) > MAX_KIT:
        raise Malformed(Text("离线包：超过 16 MiB", "kit: larger than 16 MiB"))
    return raw


def open_kit(raw: bytes, makers: Sequence[VerifierKey]) -> Kit:
    """Read a kit that one of the `makers` signed. Raises Malformed, or Unverified for another's or a changed one."""
    match canonical.decode(raw, limit=MAX_KIT):
        case [str(label), bytes(body), bytes(note)] if label == LABEL:
            if open_note(note, makers).text != _text(body):
                raise Malformed("kit: the signature is over another body")
            return parse_body(body)
        case [str(label), bytes(), bytes()] if label.startswith(_FAMILY):
            raise Malformed(_OTHER_VERSION)
    raise Malformed(Text("不是离线包", "not a kit"))


def parse_body(raw: bytes) -> Kit:
    """Raises Malformed unless it is the one spelling of a kit's body."""
    match canonical.decode(raw, limit=MAX_KIT):
        case [int(made), int(limit), [*bases], [*grades], [*occupations], [*logs]]:
            return Kit(
                made,
                limit,
                tuple(_texts(bases)),
                tuple(map(_grade, grades)),
                tuple(map(_occupation, occupations)),
                tuple(map(_log, logs)),
            )
    raise Malformed("kit: not a body of this version")


def _text(body: bytes) -> str:
    return f"{LABEL}\n{base64.b64encode(sha256(body).digest()).decode()}\n"


def _texts(values: Sequence[object]) -> list[str]:
    found = [value for value in values if isinstance(value, str)]
    if len(found) != len(values):
        raise Malformed("kit: texts")
    return found


def _grade(value: Any) -> tuple[int, str, str]:
    match value:
        case [int(ordinal), str(zh), str(en)] if 1 <= ordinal <= 8:
            return ordinal, zh, en
    raise Malformed("kit: a grade is [ordinal, zh, en]")


def _occupation(value: Any) -> tuple[str, str]:
    match value:
        case [str(code), str(name)]:
            return code, name
    raise Malformed("kit: an occupation is [code, name]")


def _log(value: Any) -> KitLog:
    match value:
        case [
            str(origin), bytes(note), bytes(seal), [*path], int(as_of), [*end], int(halt), [*filings], int(width),
            [*lists],
        ] if len(lists) == len(LISTS) and halt in list(Halt):  # fmt: skip
            sets = dict(zip(LISTS, map(parse_index_set, lists), strict=True))
            return KitLog(
                origin, note, seal, parse_hashes(path), as_of, parse_end(end) if end else None, Halt(halt),
                tuple(map(_filing, filings)), width, sets,
            )  # fmt: skip
    raise Malformed("kit: a log has ten parts and five lists")


def _filing(value: Any) -> KitFiling:
    match value:
        case [str(number), str(name), int(status), int(first), int(last), int(changed), [*rows], [*grants], [*keys]]:
            if status in list(FilingStatus) and changed in (0, 1) and all(type(grant) is int for grant in grants):
                return KitFiling(
                    number, name, FilingStatus(status), first, last, changed == 1, tuple(map(_row, rows)),
                    tuple(grants), tuple(map(_key, keys)),
                )  # fmt: skip
    raise Malformed("kit: a filing has nine parts")


def _row(value: Any) -> FilingRow:
    match value:
        case [str(occupation), str(trade), [*grades], int(audience), int(first)]:
            if audience in list(Audience) and all(type(grade) is int for grade in grades):
                return FilingRow(occupation, trade, tuple(grades), Audience(audience), first)
    raise Malformed("kit: a row is [occupation, trade, [grades], audience, first day]")


def _key(value: Any) -> KitKey:
    match value:
        case [bytes(public), int(first), int(last), int(status), int(void_from)] if len(public) == 32:
            if status in list(KeyStatus) and void_from >= -1:
                return KitKey(public, first, last, KeyStatus(status), void_from)
    raise Malformed("kit: a key has five parts")

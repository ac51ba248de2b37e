"""A pack: one published set of rules as a value that has been checked as a whole. Pure; files come in as bytes.

Its canonical form is `format_pack`: deterministic CBOR of the exact bytes of its files, so that what people reviewed is
what is published; `digest` is the SHA-256 of that, and goes on the log. A changed comment is another pack.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.pack import ClaimTerms
from ledger.text import Text
from verifier.eligibility.amounts import Amount
from verifier.eligibility.derived import Derived
from verifier.eligibility.kinds import Value, ValueType
from verifier.eligibility.tables import Table

LABEL: Final = "certledger/pack/v1"
MAX_PACK: Final = 1024 * 1024  # bytes of the canonical form


class PackKind(StrEnum):
    """What the rules are about."""

    SUBSIDY = "subsidy"
    WAGE_TABLE = "wage_table"
    TITLE = "title_equivalence"
    TAX = "tax_deduction"
    TRAINING = "training_settlement"
    ALLOWANCE = "allowance"
    POINTS = "points"
    APPLICATION = "application"


class Needs(StrEnum):
    """Whether a decision is about a certificate."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule stands: the document with its number, the clause, its date, and where it was read."""

    document: str
    clause: str
    day: int
    link: str
    sample: bool  # not confirmed


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named constant with its source."""

    name: str  # params.x
    text: Text
    type: ValueType
    value: int | str
    source: str
    sample: bool


@dataclass(frozen=True, slots=True)
class Input:
    """A fact about the person or case that somebody gives."""

    text: Text
    type: ValueType
    labels: Mapping[str, Text] = field(default_factory=dict)  # of an enum's or set's values


@dataclass(frozen=True, slots=True)
class Recovery:
    """What becomes of a benefit already received when its certificate is no longer in force."""

    when: str  # a bool fact: it was received
    reason: str


@dataclass(frozen=True)
class Pack:
    """All of it. Days are inclusive; `last_day` None: open. Only `verifier.eligibility.loader` builds one."""

    id: str
    version: str
    kind: PackKind
    region: str
    title: Text
    first_day: int
    last_day: int | None
    sample: bool
    certificate: Needs
    sources: Mapping[str, Source]
    inputs: Mapping[str, Input]
    parameters: Mapping[str, Parameter]
    derived: tuple[Derived, ...]
    tables: tuple[Table, ...]  # each after those it reads
    decides: str  # id of the table that decides
    amount: Amount | None
    claim: ClaimTerms | None  # what a payment uses up: for the claims, the engine does not read it
    recovery: Recovery | None
    reasons: Mapping[str, Text]
    column_reasons: Mapping[str, str]  # of the deciding table
    labels: Mapping[str, Text]  # names for people: columns, outputs, rows as `table.row`
    words: Mapping[str, Text]  # `output.value` of text and enum outputs
    types: Mapping[str, ValueType]  # every name that a cell or an amount can read
    facts_of: Mapping[str, frozenset[str]]  # name -> the facts that it depends on
    files: Mapping[str, bytes]

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes."""
        return sha256(format_pack(self.files)).digest()

    @functools.cached_property
    def table(self) -> Table:
        """The table that decides."""
        return next(table for table in self.tables if table.id == self.decides)

    @functools.cached_property
    def constants(self) -> Mapping[str, Value]:
        return {name: parameter.value for name, parameter in self.parameters.items()}

    def in_force(self, day: int) -> bool:
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)


def format_pack(files: Mapping[str, bytes]) -> bytes:
    """The canonical form of a pack's files: `["certledger/pack/v1", [name, bytes], …]`, sorted by name."""
    return canonical.encode([LABEL, *([name, files[name]] for name in sorted(files))])


def parse_pack_files(raw: bytes) -> dict[str, bytes]:
    """The files of a canonical form. Raises Malformed for any other bytes."""
    value = canonical.decode(raw, limit=MAX_PACK)
    if type(value) is not list or value[:1] != [LABEL]:
        raise Malformed("not a pack")
    if not all(type(each) is list and tuple(map(type, each)) == (str, bytes) for each in value[1:]):
        raise Malformed("not a pack")
    files = dict(value[1:])
    if format_pack(files) != raw:
        raise Malformed("not the canonical form of a pack")
    return files

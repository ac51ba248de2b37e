"""Late permits: the only way in for certificates that reach the log more than 60 days after their issue date.

The authority signs the root of an RFC 6962 tree over the statements that it lets in, before they are signed:

    permitted hash = SHA-256("certledger/permitted/v1\\n" ‖ CBOR [filing number, cert key, payload without key 16])
    late-permit    1 kind = 7, 2 filing number, 3 reason, 4 first issue day, 5 last issue day, 6 root, 7 count

The statement then carries its proof in payload key 16: [leaf hash of the permit's entry, position, [hashes]].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.authority import check_filing_number
from ledger.records.dates import check_day
from ledger.records.kinds import Kind, Reason
from ledger.tlog.merkle import Frontier, fold_right, inclusion_nodes, leaf_hash, verify_inclusion

PERMIT_KEY: Final = 16  # of the payloads of issue and appoint
MAX_PERMITTED: Final = 1 << 20  # statements under one permit
_MAX_PATH: Final = 20


@dataclass(frozen=True, slots=True)
class PermitProof:
    """Where in which permit a statement stands."""

    permit: bytes  # leaf hash of the late-permit's entry
    position: int
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.permit) != 32 or any(len(item) != 32 for item in self.path):
            raise Malformed("permit proof: hashes have 32 bytes")
        if not 0 <= self.position < MAX_PERMITTED or len(self.path) > _MAX_PATH:
            raise Malformed("permit proof: position or path out of range")

    def as_value(self) -> list[canonical.Value]:
        return [self.permit, self.position, list(self.path)]


@dataclass(frozen=True, slots=True)
class LatePermit:
    """What the authority lets in late: statements of one filing with issue days of one stretch."""

    number: str  # of the filing
    reason: Reason
    first_day: int  # of issue, inclusive
    last_day: int
    root: bytes
    count: int

    def __post_init__(self) -> None:
        check_filing_number(self.number)
        if check_day(self.last_day) < check_day(self.first_day) or len(self.root) != 32:
            raise Malformed("late permit: days in order and a root of 32 bytes")
        if not 1 <= self.count <= MAX_PERMITTED:
            raise Malformed("late permit: between 1 and 1,048,576 statements")

    @property
    def subject(self) -> str:
        return self.number

    def as_map(self) -> dict[int, canonical.Value]:
        return {
            1: int(Kind.LATE_PERMIT),
            2: self.number,
            3: int(self.reason),
            4: self.first_day,
            5: self.last_day,
            6: self.root,
            7: self.count,
        }


def permitted_hash(filing_number: str, cert_key: bytes, fields: Mapping[int, canonical.Value]) -> bytes:
    """What a permit's tree holds of one statement, 32 bytes. `fields`: its payload map, with or without key 16."""
    plain = {key: value for key, value in fields.items() if key != PERMIT_KEY}
    return sha256(b"certledger/permitted/v1\n" + canonical.encode([filing_number, cert_key, plain])).digest()


def permit_root(hashes: Sequence[bytes]) -> bytes:
    """The root that the authority signs, over at least one permitted hash in their order."""
    return Frontier.empty().append([leaf_hash(item) for item in hashes])[0].root()


def prove_permitted(hashes: Sequence[bytes], position: int, permit: bytes) -> PermitProof:
    """The proof that the statement at `position` is among those of the permit with this leaf hash."""
    _, known = Frontier.empty().append([leaf_hash(item) for item in hashes])
    nodes = inclusion_nodes(position, len(hashes))
    return PermitProof(permit, position, tuple(fold_right([known[part] for part in node]) for node in nodes))


def verify_permitted(permit: LatePermit, proof: PermitProof, permitted: bytes) -> None:
    """Check that a statement with this permitted hash is one of the permit's. Raises Unverified."""
    if proof.position >= permit.count:
        raise Unverified("the position is not in the permit")
    verify_inclusion(leaf_hash(permitted), proof.position, permit.count, proof.path, permit.root)


def parse_permit_proof(value: object) -> PermitProof:
    """Read [permit, position, [hashes]] as decoded from canonical CBOR. Raises Malformed."""
    match value:
        case [bytes(permit), int(position), [*path]]:
            hashes = tuple(item for item in path if isinstance(item, bytes))
            if len(hashes) == len(path):
                return PermitProof(permit, position, hashes)
    raise Malformed("permit proof: [leaf hash, position, [hashes]]")


def parse_late_permit(fields: dict[int, Any]) -> LatePermit:
    match fields:
        case {2: str(number), 3: int(reason), 4: int(first), 5: int(last), 6: bytes(root), 7: int(count), **more} if (
            set(more) == {1}
        ):
            if reason in list(Reason):
                return LatePermit(number, Reason(reason), first, last, root, count)
    raise Malformed("late permit: a field is missing, unknown or of the wrong type")

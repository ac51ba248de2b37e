"""The operator's check of the number rows: by them a number is given once.

A number is in no entry, only under commitments, so nobody can compute from the log which row belongs to which
certificate. What the log does prove: every row leads to a certificate that no reissue replaced, and no two lead to the
same one. A certificate without a row is counted, not blamed: nothing says which row is whose. A row whose HMAC alone
was changed passes, though its number is free again: only somebody who knows the number could tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.records.issue import Issue
from ledger.records.kinds import CERTIFICATE_KINDS, Kind
from ledger.records.state import certificate_map_key, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.store.copying import Copyable
from ledger.store.protocol import Purpose, VersionedStore, entry_at
from ledger.text import Text

_READ: Final = 1024  # rows a read
_LIMIT: Final = 100  # problems reported
_ROWS: Final = "SELECT hmac, body FROM private_index WHERE purpose = $1 AND hmac > $2 ORDER BY hmac LIMIT $3"


@dataclass(frozen=True, slots=True)
class NumberRows:
    """What a check has found."""

    problems: list[Text]
    missing: int  # certificates whose number has no row


async def check_numbers(store: Copyable, replayed: VersionedStore) -> NumberRows:
    """Check the number rows of a ledger's store; `replayed` is the sound replay that fsck has made of it.

    Holds a few bits for each leaf. Raises Unavailable when either does not answer.
    """
    head = await replayed.head()
    holders = await _holders(replayed, head.size if head else 0)
    problems: list[Text] = []
    found, after = bytearray(len(holders)), b""
    while rows := await store.page(_ROWS, int(Purpose.NUMBER), after, _READ):
        after = rows[-1][0]
        for _, body in rows:
            index = int.from_bytes(body, "big")
            if len(body) != 8 or not index < 8 * len(holders) or not _has(holders, index):
                problems.append(
                    Text(
                        f"有编号行指向 {body.hex()[:32]}，那里没有持有编号的证书",
                        f"a number row leads to {body.hex()[:32]}, where no certificate holds a number",
                    )
                )
            elif _has(found, index):
                problems.append(
                    Text(f"第 {index} 条：有两个编号行指向它", f"entry {index}: two number rows lead to it")
                )
            else:
                _put(found, index)
        problems = problems[:_LIMIT]
    return NumberRows(problems, _count(holders) - _count(found))


async def _holders(replayed: VersionedStore, size: int) -> bytearray:
    """The indexes of the certificates to which a number leads: all but those that a reissue took it from."""
    certificates, replaced = bytearray(size // 8 + 1), bytearray(size // 8 + 1)
    at = ("", -1)
    while rows := await replayed.signed_after(*at, _READ):
        at = (rows[-1][0], rows[-1][1].index)
        taken: list[bytes] = []
        for _, row in rows:
            if row.kind in CERTIFICATE_KINDS:
                _put(certificates, row.index)
            if row.kind is Kind.REISSUE:
                taken.append(await _replaced_by(replayed, row.index))
        for state in (await replayed.states(taken)).values():
            _put(replaced, parse_certificate_state(state.body).issue_index)
    return bytearray(one & ~other for one, other in zip(certificates, replaced, strict=True))


async def _replaced_by(replayed: VersionedStore, index: int) -> bytes:
    """The map key of the certificate whose place the reissue at `index` took."""
    body = parse_statement(await entry_at(replayed, index)).body
    assert isinstance(body, Issue), "a replayed reissue"
    return certificate_map_key(body.replaces)


def _put(bits: bytearray, index: int) -> None:
    bits[index >> 3] |= 1 << (index & 7)


def _has(bits: bytearray, index: int) -> bool:
    return bool(bits[index >> 3] >> (index & 7) & 1)


def _count(bits: bytearray) -> int:
    return sum(byte.bit_count() for byte in bits)

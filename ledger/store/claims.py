"""What claims need of a store: packs by digest, claims by leaf hash, nullifiers with the claims that took them last.

States are taken as the sealed map proves them, also where a batch does not change them: a row that says of another
claim that it was released would otherwise free what is taken, and nothing else in the batch would notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.errors import Damaged
from ledger.records.claim import Claim, ClaimAct
from ledger.records.claim_state import (
    ClaimState,
    claim_map_key,
    nullifier_map_key,
    nullifier_value,
    parse_claim_state,
    parse_nullifier,
)
from ledger.records.kinds import Kind
from ledger.records.pack import Pack, pack_name
from ledger.records.statements import Statement, parse_statement
from ledger.store.protocol import StateRow, Store
from ledger.text import Text


class Source(Protocol):
    """The committed log that claims are read from."""

    @property
    def store(self) -> Store: ...
    async def proven_entry(self, index: int) -> bytes: ...
    async def proven_states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]: ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What was read: only what the log has."""

    packs: Mapping[bytes, Pack]  # digest -> what the authority published
    claims: Mapping[bytes, ClaimState]  # leaf hash
    nullifiers: Mapping[bytes, bytes]  # -> leaf hash of the claim that took it last


async def load_claims(source: Source, statements: Sequence[Statement], also: Iterable[bytes] = ()) -> Claims:
    """What these statements may touch, and `also` these nullifiers. Raises Damaged when rows do not fit together."""
    packs: dict[bytes, Pack] = {}
    nullifiers, leaves = list(also), []
    for statement in statements:
        body = statement.body
        if isinstance(body, Claim):
            nullifiers += body.nullifiers
            if body.pack not in packs and (pack := await published_pack(source, body.pack)) is not None:
                packs[body.pack] = pack
        elif isinstance(body, ClaimAct):
            leaves.append(body.claim)
    taken = await last_claims(source, nullifiers)
    return Claims(packs, await claim_states(source, [*leaves, *taken.values()]), taken)


async def published_pack(source: Source, digest: bytes, issuer: str = "") -> Pack | None:
    """The pack with this digest that the authority, or else this employer, has published."""
    index = await source.store.find_named(int(Kind.PACK), pack_name(digest, issuer))
    if index is None:
        return None
    body = parse_statement(await source.proven_entry(index)).body
    if not isinstance(body, Pack) or (body.digest, body.issuer) != (digest, issuer):
        raise Damaged(
            Text(
                "存储：规则包的名称指向另一语句，请运行 fsck",
                "store: a pack's name leads to another statement; run fsck",
            )
        )
    return body


async def last_claims(source: Source, nullifiers: Sequence[bytes]) -> dict[bytes, bytes]:
    """Which claim took each nullifier last; those that none took are left out."""
    keys = {nullifier_map_key(nullifier): nullifier for nullifier in nullifiers}
    rows = await source.proven_states(list(keys))
    if any(nullifier_value(row.body) != row.value for row in rows.values()):
        raise Damaged(
            Text(
                "存储：申领标记的状态与其值不符，请运行 fsck",
                "store: a nullifier's state is not that of its value; run fsck",
            )
        )
    return {keys[key]: parse_nullifier(row.body) for key, row in rows.items()}


async def claim_states(source: Source, leaves: Sequence[bytes]) -> dict[bytes, ClaimState]:
    """Claims by leaf hash; those that the log does not have are left out."""
    keys = {claim_map_key(leaf): leaf for leaf in leaves}
    rows = await source.proven_states(list(keys))
    states = {keys[key]: parse_claim_state(row.body) for key, row in rows.items()}
    if any(states[keys[key]].value() != row.value for key, row in rows.items()):
        raise Damaged(
            Text("存储：申领的状态与其值不符，请运行 fsck", "store: a claim's state is not that of its value; run fsck")
        )
    return states

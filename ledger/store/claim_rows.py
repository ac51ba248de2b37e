"""The operator's check of the rows that keep a benefit from being claimed twice, and of those that lead from a claim to
its certificate.

    nullifiers   the log says all of it: each has one row, which names the claim that took it last; no other is there
    links        HMACs and ciphertext: without the index key nobody can say whose they are. There are at most as many as
                 claims, and their bodies have one length; `ledger.service.claim_links` opens them where the key is at
                 hand. Erasing a person deletes links, so that a missing one is counted and not blamed
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from ledger.records.claim import Claim
from ledger.records.claim_state import nullifier_map_key, parse_nullifier
from ledger.records.kinds import Kind
from ledger.records.statements import parse_statement
from ledger.store.copying import Copyable
from ledger.store.protocol import Purpose, Store, VersionedStore, entry_at
from ledger.text import Text

LINK_BYTES: Final = 12 + 32 + 16  # nonce, cert key, tag
_READ: Final = 1024  # rows a read
_LIMIT: Final = 100  # problems reported
_ROWS: Final = "SELECT hmac, body FROM private_index WHERE purpose = $1 AND hmac > $2 ORDER BY hmac LIMIT $3"
_ONE: Final = "SELECT body FROM private_index WHERE purpose = $1 AND hmac = $2"


@dataclass(frozen=True, slots=True)
class ClaimRows:
    """What a check has found."""

    problems: list[Text]
    unlinked: int  # claims from which no row leads to a certificate


@dataclass(frozen=True, slots=True)
class LoggedClaim:
    """One claim of the log."""

    index: int
    leaf: bytes
    body: Claim


async def check_claim_rows(store: Copyable, replayed: VersionedStore) -> ClaimRows:
    """Check these rows of a ledger's store; `replayed` is the sound replay that fsck has made of it.

    Raises Unavailable when either does not answer.
    """
    problems, claims, taken = list[Text](), 0, 0
    async for some in claims_of(replayed):
        claims += len(some)
        last = await _last(replayed, [one for claim in some for one in claim.body.nullifiers])
        rows = await store.index(list(last))
        for claim in some:
            own = [one for one in claim.body.nullifiers if last.get(one) == claim.leaf]
            taken += len(own)  # each nullifier is counted once, with the claim that took it last
            problems += [
                Text(
                    f"第 {claim.index} 条的申领：其申领标记 {one.hex()} 没有行",
                    f"claim at index {claim.index}: its nullifier {one.hex()} has no row",
                )
                for one in own
                if one not in rows
            ]
        problems = problems[:_LIMIT]
    found, more = await _check_taken(store, replayed)
    problems = (problems + more)[:_LIMIT]
    if not problems and found != taken:
        problems.append(await _of_another_purpose(store, replayed))
    links, more = await _check_lengths(store)
    problems += more
    if links > claims:
        problems.append(
            Text(
                f"从申领指向证书的行有 {links} 个，而日志有 {claims} 笔申领",
                f"{links} link rows lead from claims to certificates, and the log has {claims} claims",
            )
        )
    return ClaimRows(problems[:_LIMIT], max(0, claims - links))


async def claims_of(replayed: Store) -> AsyncIterator[list[LoggedClaim]]:
    """All claims of a log, payer by payer in the order of the log, some at a time."""
    at = ("", -1)
    while rows := await replayed.signed_after(*at, _READ):
        at = (rows[-1][0], rows[-1][1].index)
        some = []
        for _, row in rows:
            if row.kind is Kind.CLAIM:
                statement = parse_statement(await entry_at(replayed, row.index))
                assert isinstance(statement.body, Claim), "a replayed claim"
                some.append(LoggedClaim(row.index, statement.leaf_hash, statement.body))
        if some:
            yield some


async def _check_taken(store: Copyable, replayed: VersionedStore) -> tuple[int, list[Text]]:
    """How many rows of nullifiers are as the log says, and what is wrong with the others."""
    good, after, problems = 0, b"", list[Text]()
    while rows := await store.page(_ROWS, int(Purpose.CLAIM), after, _READ):
        after = rows[-1][0]
        last = await _last(replayed, [hmac for hmac, _ in rows])
        for hmac, body in rows:
            if hmac not in last:
                problems.append(
                    Text(
                        f"申领标记行 {hmac.hex()}：日志中没有申领占用它",
                        f"nullifier row {hmac.hex()}: no claim of the log has taken it",
                    )
                )
            elif last[hmac] != body:
                said, wanted = bytes(body).hex()[:64], last[hmac].hex()
                problems.append(
                    Text(
                        f"申领标记行 {hmac.hex()}：所指申领为 {said}，日志为 {wanted}",
                        f"nullifier row {hmac.hex()}: names claim {said}; the log says {wanted}",
                    )
                )
            else:
                good += 1
        problems = problems[:_LIMIT]
    return good, problems


async def _check_lengths(store: Copyable) -> tuple[int, list[Text]]:
    count, after, problems = 0, b"", list[Text]()
    while rows := await store.page(_ROWS, int(Purpose.LINK), after, _READ):
        after = rows[-1][0]
        count += len(rows)
        problems += [
            Text(f"指向行 {hmac.hex()}：{len(body)} 字节", f"link row {hmac.hex()}: {len(body)} bytes")
            for hmac, body in rows
            if len(body) != LINK_BYTES
        ]
        problems = problems[:_LIMIT]
    return count, problems


async def _of_another_purpose(store: Copyable, replayed: VersionedStore) -> Text:
    """The first nullifier that has its row under another purpose: it is there, and was not found as one."""
    async for some in claims_of(replayed):
        for claim in some:
            for one in claim.body.nullifiers:
                if not await store.page(_ONE, int(Purpose.CLAIM), one):
                    return Text(
                        f"申领标记行 {one.hex()}（第 {claim.index} 条的申领）：用途不符",
                        f"nullifier row {one.hex()} (claim at index {claim.index}): of another purpose",
                    )
    raise AssertionError("rows and nullifiers of the log differ in number, and in nothing else")


async def _last(replayed: VersionedStore, nullifiers: list[bytes]) -> dict[bytes, bytes]:
    """Which claim took each of these last, as the replay has it."""
    keys = {nullifier_map_key(one): one for one in nullifiers if len(one) == 32}
    states = await replayed.states(list(keys))
    return {keys[key]: parse_nullifier(row.body) for key, row in states.items()}

"""Reading a log again from its bytes: what a replica does with each new batch, and fsck with all of them.

One sealed stretch at a time. The numbers are the steps:

    1 the stretch ends with its only seal, which covers exactly what is before it (rule R1)
    2 every other entry is a statement in its one spelling
    3 every signature holds, under the key that the state before it lists
    4 the fold accepts every statement, at the seal's time
    5 the seal computed from our own chain and state map equals the log's seal, byte for byte

Any failure raises Unverified and names the first bad index. Nothing is committed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.authority import Genesis
from ledger.records.issue import Issue
from ledger.records.seal import is_seal, parse_seal, verify_seal_of
from ledger.records.statements import Statement, parse_statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.store.integrate import Batch, Integrator, Prepared

_CHUNK = 128  # signatures checked in one hand-over to a worker thread


async def replay_stretch(integrator: Integrator, entries: Sequence[bytes], workers: Executor) -> Prepared:
    """Check one sealed stretch that follows the integrator's head. Raises Unverified; commit is the caller's."""
    start = integrator.size
    last = start + len(entries) - 1
    try:
        seal = verify_seal_of(entries[-1], last + 1)  # 1
    except Malformed as error:
        raise Unverified(f"entry {last}: {error}") from error
    statements = await asyncio.get_running_loop().run_in_executor(workers, _parse, start, entries[:-1])  # 2
    keys = await _keys(integrator, statements)
    checked = await _authenticate(statements, keys, workers)  # 3
    try:
        batch = await integrator.begin(statements, seal.time)
    except Refused as refusal:
        raise Unverified(f"entry {last}: {refusal}") from refusal
    for at, statement in enumerate(statements):
        try:
            batch.add(checked[at] or _authenticate_here(batch, statement))  # 3, 4
        except (Refused, Unverified) as error:
            raise Unverified(f"entry {start + at}: {error}") from error
    prepared = await batch.finish()
    if prepared.seal != entries[-1]:  # 5
        ours, theirs = parse_seal(prepared.seal), parse_seal(entries[-1])
        what = "map root" if ours.map_root != theirs.map_root else "chain, key count or previous seal"
        raise Unverified(f"entry {last}: the seal states another {what} than its log has")
    return prepared


def split_sealed(entries: Sequence[bytes]) -> tuple[list[Sequence[bytes]], Sequence[bytes]]:
    """Cut entries into sealed stretches, and what is left behind the last seal."""
    stretches, begin = [], 0
    for at, entry in enumerate(entries):
        if is_seal(entry):
            stretches.append(entries[begin : at + 1])
            begin = at + 1
    return stretches, entries[begin:]


def _parse(start: int, entries: Sequence[bytes]) -> list[Statement]:
    if not entries:
        raise Unverified(f"entry {start}: a seal that covers nothing new")
    statements = []
    for at, entry in enumerate(entries):
        try:
            statements.append(parse_statement(entry))
        except Malformed as error:
            raise Unverified(f"entry {start + at}: {error}") from error
    return statements


async def _keys(integrator: Integrator, statements: Sequence[Statement]) -> list[bytes | None]:
    """The record key each issue names, where its filing is committed already."""
    keys: list[bytes | None] = []
    for statement in statements:
        key = None
        if isinstance(statement.body, Issue):
            filing = await integrator.filing(statement.body.filing_number)
            key = filing.terms.record_key(statement.kid) if filing else None
        keys.append(key.public if key else None)
    return keys


async def _authenticate(
    statements: Sequence[Statement], keys: Sequence[bytes | None], workers: Executor
) -> list[Authentic | None]:
    loop = asyncio.get_running_loop()
    parts = await asyncio.gather(
        *(
            loop.run_in_executor(workers, _check, statements[at : at + _CHUNK], keys[at : at + _CHUNK])
            for at in range(0, len(statements), _CHUNK)
        )
    )
    return [checked for part in parts for checked in part]


def _check(statements: Sequence[Statement], keys: Sequence[bytes | None]) -> list[Authentic | None]:
    checked: list[Authentic | None] = []
    for statement, key in zip(statements, keys, strict=True):
        try:
            checked.append(authenticate_record(statement, key) if key else None)
        except Unverified:
            checked.append(None)  # found again, with its index, when the batch is folded
    return checked


def _authenticate_here(batch: Batch, statement: Statement) -> Authentic:
    """Statements of the authority, and those under a filing of the same batch."""
    body = statement.body
    if isinstance(body, Issue):
        filing = batch.filing(body.filing_number)
        key = filing.terms.record_key(statement.kid) if filing else None
        if key is None:
            raise Unverified("signed by a key that no filing lists")
        return authenticate_record(statement, key.public)
    authority = batch.authority or (body if isinstance(body, Genesis) else None)
    if authority is None:
        raise Unverified("the log does not begin with a genesis")
    return authenticate_authority(statement, authority)

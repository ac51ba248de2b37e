"""Reading a log again from its bytes: what a replica does with each new batch, and fsck with all of them.

One sealed stretch at a time. The numbers are the steps:

    1 seal        the stretch ends with its only seal, which covers exactly what is before it (rule R1)
    2 form        every other entry is a statement in its one spelling
    3 new         no statement is on the log already: an old one cannot be played again to undo a newer one
    4 signatures  every one holds, under a key of its filing or by enough of the authority
    5 fold        every statement is admissible where it stands, at the seal's time
    6 equal       the seal computed from our own chain and state map equals the log's, byte for byte

Any failure raises BadEntry with the first bad index: what stands before a bad statement is folded before it is
reported. Nothing is committed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.authority import Filing, Genesis
from ledger.records.dates import batch_day
from ledger.records.seal import is_seal, parse_seal, verify_seal_of
from ledger.records.statements import Statement, parse_statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.view import People
from ledger.store.integrate import Batch, Integrator, Prepared

T = TypeVar("T")
_PIECE: Final = 256  # statements of one task on the worker threads
_FOLD_SLICE: Final = 100  # statements folded before others on the loop may run


class BadEntry(Unverified):
    """An entry that has no place in this log. `index` is the first one, `reason` says why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"entry {index}: {reason}")
        self.index = index
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Signers:
    """Under whose keys the statements of a stretch should be signed.

    What changes these keys stands alone in its batch, but for a genesis and for filings, which only add.
    """

    authority: People | None
    filings: dict[str, Filing]


async def replay_stretch(integrator: Integrator, entries: Sequence[bytes], workers: Executor) -> Prepared:
    """Check one sealed stretch that follows the integrator's head. Raises BadEntry; commit is the caller's."""
    start = integrator.size
    last = start + len(entries) - 1
    if len(entries) < 2:
        raise BadEntry(last, "a seal that covers nothing new")
    try:
        seal = verify_seal_of(entries[-1], last + 1)  # 1
        batch_day(seal.time)
    except (Malformed, Unverified) as error:
        raise BadEntry(last, str(error)) from error
    pieces = [
        (entries[at : min(at + _PIECE, len(entries) - 1)], start + at) for at in range(0, len(entries) - 1, _PIECE)
    ]
    statements, bad = _before_bad(await _on_workers(workers, _parse, pieces))  # 2
    repeated = await _first_repeated(integrator, statements)  # 3
    if repeated is not None:
        bad, statements = BadEntry(start + repeated, "it is on the log already"), statements[:repeated]
    signers = await _signers(integrator, statements)
    jobs = [(statements[at : at + _PIECE], signers, start + at) for at in range(0, len(statements), _PIECE)]
    authentic, unsigned = _before_bad(await _on_workers(workers, _authenticate, jobs))  # 4
    bad = unsigned or bad
    try:
        batch = await integrator.begin(statements[: len(authentic)], seal.time)
    except Refused as refusal:
        raise bad or BadEntry(last, str(refusal)) from refusal
    await _fold(batch, authentic)  # 5
    if bad is not None:
        raise bad
    prepared = await batch.finish()
    if prepared.seal != entries[-1]:  # 6
        ours = parse_seal(prepared.seal)
        what = "map root" if ours.map_root != seal.map_root else "chain, key count or previous seal"
        raise BadEntry(last, f"the seal states another {what} than its log has")
    return prepared


def split_sealed(entries: Sequence[bytes]) -> tuple[list[Sequence[bytes]], Sequence[bytes]]:
    """Cut entries into sealed stretches, and what is left behind the last seal."""
    stretches, begin = [], 0
    for at, entry in enumerate(entries):
        if is_seal(entry):
            stretches.append(entries[begin : at + 1])
            begin = at + 1
    return stretches, entries[begin:]


async def _on_workers(workers: Executor, work: Callable[..., list[T]], pieces: Sequence[tuple[Any, ...]]) -> list[T]:
    """The pieces' results in order."""
    loop = asyncio.get_running_loop()
    running = [loop.run_in_executor(workers, work, *piece) for piece in pieces]
    return [item for results in await asyncio.gather(*running) for item in results]


def _before_bad(results: Sequence[T | BadEntry]) -> tuple[list[T], BadEntry | None]:
    """What comes before the first bad entry, and that entry."""
    good: list[T] = []
    for result in results:
        if isinstance(result, BadEntry):
            return good, result
        good.append(result)
    return good, None


def _parse(entries: Sequence[bytes], start: int) -> list[Statement | BadEntry]:
    """The statements of a piece, up to one that is none."""
    results: list[Statement | BadEntry] = []
    for index, entry in enumerate(entries, start):
        try:
            results.append(parse_statement(entry))
        except Malformed as error:
            return [*results, BadEntry(index, str(error))]
    return results


async def _first_repeated(integrator: Integrator, statements: Sequence[Statement]) -> int | None:
    """The place of the first statement that the log or the stretch has before."""
    identities = [statement.identity for statement in statements]
    seen = set(await integrator.store.find(identities))
    for at, identity in enumerate(identities):
        if identity in seen:
            return at
        seen.add(identity)
    return None


async def _signers(integrator: Integrator, statements: Sequence[Statement]) -> _Signers:
    """The authority and filings of the log before this stretch, and those that the stretch itself brings."""
    authority: People | None = integrator.authority
    filings: dict[str, Filing] = {}
    for statement in statements:
        body, issuer = statement.body, statement.envelope.issuer
        if isinstance(body, Genesis):
            authority = authority or body
            continue
        filed = body if isinstance(body, Filing) and not body.change else None
        number = filed.number if filed else issuer if statement.envelope.single else ""
        if number and number not in filings:
            state = await integrator.filing(number)
            if state is not None:
                filings[number] = state.terms
            elif filed is not None:
                filings[number] = filed
    return _Signers(authority, filings)


def _authenticate(statements: Sequence[Statement], signers: _Signers, start: int) -> list[Authentic | BadEntry]:
    """On a worker thread, where libsodium lets go of the interpreter lock: a piece, up to a bad signature."""
    authentic: list[Authentic | BadEntry] = []
    for index, statement in enumerate(statements, start):
        try:
            if statement.envelope.single:
                filing = signers.filings.get(statement.envelope.issuer)
                key = filing.record_key(statement.kid) if filing else None
                if key is None:
                    raise Unverified("signed by a key that no filing lists")
                authentic.append(authenticate_record(statement, key.public))
            elif signers.authority is None:
                raise Unverified("the log does not begin with a genesis")
            else:
                authentic.append(authenticate_authority(statement, signers.authority))
        except (Malformed, Unverified) as error:
            return [*authentic, BadEntry(index, str(error))]
    return authentic


async def _fold(batch: Batch, authentic: Sequence[Authentic]) -> None:
    for at, one in enumerate(authentic):
        index = batch.moment().index
        try:
            batch.add(one)
        except Refused as refusal:
            raise BadEntry(index, f"not admissible: {refusal.code}") from refusal
        if at % _FOLD_SLICE == _FOLD_SLICE - 1:
            await asyncio.sleep(0)

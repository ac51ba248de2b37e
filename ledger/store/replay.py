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
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.authority import Filing, Genesis
from ledger.records.dates import batch_day
from ledger.records.issue import Issue
from ledger.records.kinds import CERTIFICATE_KINDS
from ledger.records.seal import is_seal, parse_seal, verify_seal_of
from ledger.records.statements import Statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.view import People
from ledger.store.batch import Batch, Prepared
from ledger.store.integrate import Integrator
from ledger.store.reading import BadEntry, Read, read_entries

__all__ = ["BadEntry", "replay_stretch", "split_sealed"]

_PIECE: Final = 256  # statements of one task on the worker threads
_FOLD_SLICE: Final = 100  # statements folded before others on the loop may run


@dataclass(frozen=True, slots=True)
class _Signers:
    """Under whose keys the statements of a stretch should be signed.

    What changes these keys stands alone in its batch, but for a genesis and for filings, which only add.
    """

    authority: People | None
    filings: dict[str, Filing]

    def record_key(self, statement: Statement) -> bytes:
        """The key that a statement with one signer names, out of its filing. Raises Unverified."""
        filing = self.filings.get(statement.envelope.issuer)
        key = filing.record_key(statement.kid) if filing else None
        if key is None:
            raise Unverified("signed by a key that no filing lists")
        return key.public


async def replay_stretch(
    integrator: Integrator, entries: Sequence[bytes], workers: Executor, reads: Sequence[Read] | None = None
) -> Prepared:
    """Check one sealed stretch that follows the integrator's head. Raises BadEntry; commit is the caller's.

    `reads`: what was read of `entries` beforehand (`reading`), perhaps on other cores.
    """
    start = integrator.size
    last = start + len(entries) - 1
    if len(entries) < 2:
        raise BadEntry(last, "a seal that covers nothing new")
    try:
        seal = verify_seal_of(entries[-1], last + 1)  # 1
        batch_day(seal.time)
    except (Malformed, Unverified) as error:
        raise BadEntry(last, str(error)) from error
    if reads is None:
        reads = await read_entries(workers, entries, start, integrator.record_keys)
    good, bad = _until_bad(reads[:-1], start)  # 2
    statements = [read.statement if isinstance(read, Authentic) else read for read in good]
    repeated = await _first_repeated(integrator, statements)  # 3
    if repeated is not None:
        bad = BadEntry(start + repeated, "it is on the log already")
        good, statements = good[:repeated], statements[:repeated]
    signers = await _signers(integrator, statements)
    authentic, unsigned = await _authenticate(workers, good, signers, start)  # 4
    first = unsigned or bad
    try:
        batch = await integrator.begin([one.statement for one in authentic], seal.time)
    except Refused as refusal:
        raise first or BadEntry(last, str(refusal)) from refusal
    await _fold(batch, authentic)  # 5
    if first is not None:  # what stands before it was admissible: this is the first bad entry
        raise first
    prepared = await batch.finish(sealed_root=seal.map_root)
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


def _until_bad(reads: Sequence[Read], start: int) -> tuple[list[Authentic | Statement], BadEntry | None]:
    """What is read before the first malformed entry, and that one."""
    good: list[Authentic | Statement] = []
    for index, read in enumerate(reads, start):
        if isinstance(read, BadEntry):
            return good, read
        if read is None:
            return good, BadEntry(index, "a seal inside a batch")
        good.append(read)
    return good, None


async def _first_repeated(integrator: Integrator, statements: Sequence[Statement]) -> int | None:
    """The place of the first statement that the log or the stretch has before. Certificates are left to the fold."""
    asked = {at: one.identity for at, one in enumerate(statements) if one.kind not in CERTIFICATE_KINDS}
    seen = set(await integrator.store.find(list(asked.values())))
    for at, identity in asked.items():
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
        if isinstance(body, Issue) and issuer in filings:
            continue  # as nearly always
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


async def _authenticate(
    workers: Executor, reads: Sequence[Authentic | Statement], signers: _Signers, start: int
) -> tuple[list[Authentic], BadEntry | None]:
    """The statements before the first whose signature does not hold, and that one. What was not checked while reading,
    or under another key than the filing lists, is checked on worker threads."""
    loop = asyncio.get_running_loop()
    pieces = [reads[at : at + _PIECE] for at in range(0, len(reads), _PIECE)]
    running = [
        loop.run_in_executor(workers, _authenticate_piece, piece, signers, start + at * _PIECE)
        if any(isinstance(read, Statement) for read in piece)
        else _authenticate_piece(piece, signers, start + at * _PIECE)
        for at, piece in enumerate(pieces)
    ]
    authentic: list[Authentic] = []
    for result in running:
        done, bad = await result if isinstance(result, asyncio.Future) else result
        authentic += done
        if bad is not None:
            await asyncio.gather(*(one for one in running if isinstance(one, asyncio.Future)))
            return authentic, bad
    return authentic, None


def _authenticate_piece(
    reads: Sequence[Authentic | Statement], signers: _Signers, start: int
) -> tuple[list[Authentic], BadEntry | None]:
    authentic: list[Authentic] = []
    keys: dict[tuple[str, bytes], tuple[bytes]] = {}
    for index, read in enumerate(reads, start):
        statement = read.statement if isinstance(read, Authentic) else read
        envelope = statement.envelope
        try:
            if envelope.single:
                who = envelope.issuer, envelope.signatures[0].kid
                publics = keys.get(who) or keys.setdefault(who, (signers.record_key(statement),))
                known = isinstance(read, Authentic) and read.publics == publics
                authentic.append(read if known else authenticate_record(statement, *publics))  # type: ignore[arg-type]
            elif signers.authority is None:
                raise Unverified("the log does not begin with a genesis")
            else:
                authentic.append(authenticate_authority(statement, signers.authority))
        except (Malformed, Unverified) as error:
            return authentic, BadEntry(index, str(error))
    return authentic, None


async def _fold(batch: Batch, authentic: Sequence[Authentic]) -> None:
    start = batch.moment().index
    for at, one in enumerate(authentic):
        try:
            batch.add(one)
        except Refused as refusal:
            raise BadEntry(start + at, f"not admissible: {refusal.code}") from refusal
        if at % _FOLD_SLICE == _FOLD_SLICE - 1:
            await asyncio.sleep(0)

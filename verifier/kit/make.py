"""Makes an offline kit out of a verified replica.

    1 the newest checkpoint that the replica has verified, and the seal that ends it
    2 every state in the map at that seal, bucket by bucket: each body is that of its value
    3 the map's root over all of them is the one in the seal, so that none is missing and none is another
    4 the seal's inclusion under the checkpoint

A replica that has halted goes in with its last good data, marked: what was revoked there stays so, nothing is green by
it. Without it a body that is filed in another log too, with the same key, could show what this log had revoked. A log
that cannot be read now, or whose store does not hash to its seal, stays as the kit before had it. Nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.records import canonical
from ledger.records.authority import Filing
from ledger.records.kinds import CertificateStatus
from ledger.records.seal import parse_seal
from ledger.records.state import CertificateState, FilingState, parse_certificate_state, parse_filing_state
from ledger.records.state import certificate_value as value_of
from ledger.records.statements import parse_statement
from ledger.store.growth import bucket_range
from ledger.store.hashes import Hashes
from ledger.store.protocol import VersionedStore, entry_at
from ledger.text import Text
from ledger.tlog.checkpoint import parse_checkpoint
from ledger.tlog.map_tree import MapTree
from ledger.tlog.note import Note, format_note, parse_note
from verifier.kit.format import LISTS, MAX_WIDTH, MIN_WIDTH, PLACED, Halt, Kit, KitFiling, KitKey, KitLog, mark_of
from verifier.kit.index_set import IndexSet
from verifier.replica import Replica
from verifier.trust import Trust

Source = tuple[Replica | None, Trust]  # None: it is not open
DEPTH: Final = 10  # buckets: 1,024, so that a million states are read a thousand at a time
_ED25519_LINE: Final = 72  # bytes of the longest signature that every browser can check
_CERTIFICATE_PARTS, _FILING_PARTS = 0x93, 0x8D  # first byte of a state's CBOR array: of 19 parts, of 13
_ATTEMPTS: Final = 20
_log = logging.getLogger("verifier")
_LIST_OF: Final = {
    CertificateStatus.REVOKED: "revoked",
    CertificateStatus.VOID: "revoked",
    CertificateStatus.REPLACED: "revoked",
    CertificateStatus.SUSPENDED: "suspended",
    CertificateStatus.ENDED: "ended",
}


@dataclass
class Sorted:
    """What the states of one log come to."""

    lists: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in LISTS})
    filings: list[FilingState] = field(default_factory=list)
    marks: array[int] = field(default_factory=lambda: array("Q"))  # of every certificate, the longest ones

    def take(self, state: CertificateState) -> None:
        mark, name = mark_of(state.issue_leaf), _LIST_OF.get(state.status)
        self.marks.append(mark)
        if name is not None:
            self.lists[name].append(mark)
        if state.commitment_leaf != state.issue_leaf:
            self.lists["corrected"].append(mark)
        if state.summary.highest is not None and state.summary.highest.grade > state.grade:
            self.lists[PLACED].append(state.issue_index)

    def width(self) -> int:
        """The fewest bits of a mark that no listed certificate shares with another of the log: so none is found on a
        list that is not on it."""
        marks, width = sorted(self.marks), MIN_WIDTH
        for name in LISTS:
            if name != PLACED:
                for mark in self.lists[name]:
                    at = bisect_left(marks, mark)
                    near = (*marks[max(at - 1, 0) : at], *marks[at + 1 : at + 2])
                    width = max([width, *(MAX_WIDTH + 1 - (mark ^ other).bit_length() for other in near)])
        return min(width, MAX_WIDTH)

    def sets(self, width: int) -> dict[str, IndexSet]:
        short = MAX_WIDTH - width
        return {
            name: IndexSet.of(found if name == PLACED else (mark >> short for mark in found))
            for name, found in self.lists.items()
        }


async def make_kit(
    sources: Sequence[Source],
    made_ms: int,
    limit_ms: int,
    progress: Callable[[int], None] = lambda states: None,
    before: Kit | None = None,
) -> Kit:
    """A kit of these logs, each good for `limit_ms` from its checkpoint. `progress` hears how many states were read;
    out of the kit `before` comes what cannot be read now. Raises for a log that is in neither: Unavailable before
    anything is verified, Unverified when its store is damaged."""
    logs = []
    for replica, trust in sources:
        try:
            logs.append(await _make_log(replica, trust, progress))
        except (Malformed, Unverified, Unavailable) as error:
            last = next((log for log in before.logs if log.origin == trust.origin), None) if before else None
            _log.warning("kit: %s cannot be read (%s): %s", trust.origin, "left as it was" if last else "no kit", error)
            if last is None:
                raise
            logs.append(replace(last, halt=_halt(replica) or last.halt))
    trust = sources[0][1]
    codes = sorted({row.occupation for log in logs for filing in log.filings for row in filing.rows})
    names = [(code, found.name) for code in codes if (found := trust.catalogue.find(code)) is not None]
    return Kit(
        made_ms,
        limit_ms,
        trust.bases,
        tuple((grade.ordinal, grade.text.zh, grade.text.en) for grade in trust.ladder.grades),
        tuple(names),
        tuple(logs),
    )


async def _make_log(replica: Replica | None, trust: Trust, progress: Callable[[int], None]) -> KitLog:
    if replica is None:
        raise Unavailable(Text("还没有副本：请先运行 sync", "there is no replica yet: run sync first"))
    note, size, as_of_ms = await _basis(replica)  # 1
    store = cast("VersionedStore", replica.integrator.store)
    seal_entry = await entry_at(store, size - 1)
    seal = parse_seal(seal_entry)
    verified = replica.verified
    ended = replica.successor and verified is not None and verified.size == size  # it may have gone on meanwhile
    end = await replica.end(size) if ended else None
    found = await read_states(store, seal.covered, seal.map_root, seal.map_count, progress)
    (path,) = await Hashes(store).inclusion([seal.covered], size)  # 4
    width = found.width()
    filings = tuple(sorted((_kit_filing(state) for state in found.filings), key=lambda filing: filing.number))
    return KitLog(
        trust.origin, _short(note), seal_entry, path, as_of_ms, end, _halt(replica), filings, width, found.sets(width)
    )  # fmt: skip


def _halt(replica: Replica | None) -> Halt:
    if replica is None or replica.halted is None:
        return Halt.NONE
    return Halt.PROVEN if replica.halted.proven else Halt.STOPPED


async def _basis(replica: Replica) -> tuple[bytes, int, int]:
    """The kept checkpoint with its size and time. Between two reads the replica may have gone on: look again."""
    for _ in range(_ATTEMPTS):
        note, verified = await replica.integrator.store.checkpoint(), replica.verified
        if note is None or verified is None:
            raise Unavailable(Text("尚未核验任何内容：请先运行 sync", "nothing is verified yet: run sync first"))
        if parse_checkpoint(parse_note(note).text).size == verified.size:
            return note, verified.size, verified.time_ms
    raise Unavailable(Text("副本变化过快，未能读取，请重试", "the replica is changing too fast to be read; try again"))


async def read_states(
    store: VersionedStore, at: int, map_root: bytes, map_count: int, progress: Callable[[int], None]
) -> Sorted:
    """All states at the seal with index `at`, sorted into lists. Raises Unverified."""
    found, tree, count = Sorted(), MapTree(DEPTH), 0
    for bucket in range(1 << DEPTH):
        (leaves,) = await store.leaves_as_of([bucket_range(bucket, DEPTH)], at)
        if not leaves:
            continue
        count += len(leaves)
        tree.overwrite({bucket: leaves}, count)
        rows = await store.states([key for key, _ in leaves])
        for key, value in leaves:
            row = rows.get(key)
            if row is not None and row.value == value:
                body = row.body
            else:
                version = await store.state_as_of(key, at)
                body = b"" if version is None else version.body
            await _sort(store, found, value, body)  # 2
        progress(count)
        await asyncio.sleep(0)  # a verifier that serves goes on answering
    if (tree.root, count) != (map_root, map_count):  # 3
        raise Unverified(
            Text(
                "存储中的状态与封印的状态图不符，请运行 fsck",
                "the store's states do not hash to the sealed map; run fsck",
            )
        )
    return found


async def _sort(store: VersionedStore, found: Sorted, value: bytes, body: bytes) -> None:
    if body[:1] == bytes([_CERTIFICATE_PARTS]):
        if value_of(body) != value:
            raise Unverified(
                Text("存储中的状态与状态图不同，请运行 fsck", "the store has another state than the map; run fsck")
            )
        found.take(parse_certificate_state(body))
    elif body[:1] == bytes([_FILING_PARTS]):
        index = canonical.decode(body, limit=64 * 1024)[3]
        terms = parse_statement(await entry_at(store, index)).body
        if not isinstance(terms, Filing):
            raise Unverified(
                Text(
                    "存储中的语句不是该备案的内容，请运行 fsck",
                    "the store has another statement than the filing's terms; run fsck",
                )
            )
        state = parse_filing_state(body, terms)
        if state.value() != value:
            raise Unverified(
                Text("存储中的状态与状态图不同，请运行 fsck", "the store has another state than the map; run fsck")
            )
        found.filings.append(state)


def _kit_filing(state: FilingState) -> KitFiling:
    terms = state.terms
    keys = tuple(
        KitKey(key.public, key.first_day, key.last_day, use.status, use.void_from)
        for key, use in zip(terms.record_keys, state.record_keys, strict=True)
    )
    return KitFiling(
        terms.number, terms.name, state.status, terms.first_day, terms.last_day, terms.change, terms.rows,
        terms.grants, keys,
    )  # fmt: skip


def _short(note: bytes) -> bytes:
    """The note with the lines that every browser can check."""
    parsed = parse_note(note)
    kept = tuple(line for line in parsed.signatures if len(line.blob) <= _ED25519_LINE)
    return format_note(Note(parsed.text, kept))

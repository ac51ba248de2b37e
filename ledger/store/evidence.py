"""Makes evidence (records/evidence.py) out of a store, always under the published checkpoint.

The current answer comes from memory (the serving map, remembered tree hashes) and a few point reads, and is kept until
another head is published. Older ones come from rebuilt maps (history.py), and so does the current one while the serving
map is of another head. Nothing here signs, and nothing here is
believed by whoever reads it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from ledger.errors import Malformed, Unavailable
from ledger.records import canonical
from ledger.records.evidence import Indexed, Placed, format_seals, format_shown, join_answer
from ledger.records.issue import Issue
from ledger.records.seal import Seal, parse_seal
from ledger.records.state import CertificateState, bound_certificate_state, certificate_map_key, filing_map_key
from ledger.records.statements import parse_statement
from ledger.store.growth import bucket_range
from ledger.store.hashes import Hashes
from ledger.store.history import History
from ledger.store.integrate import Integrator
from ledger.store.protocol import VersionedStore, entry_at
from ledger.store.serving import Serving
from ledger.text import Text
from ledger.tlog.map_proof import Leaf, format_map_proof
from ledger.tlog.map_slots import SlottedMap
from ledger.tlog.merkle import leaf_hash

_KEPT_SEALS: Final = 64
KEPT: Final = 8192  # of the published head: what answers show of a certificate, about 2.5 KiB each
_KEPT_TERMS: Final = 256
_TERMS_INDEX, _TERMS_LEAF = 3, 4  # places in the array of a filing's state


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer is made under: the published head."""

    size: int
    note: bytes  # its checkpoint as it was last signed and cosigned
    time_ms: int  # how fresh that is: what "today" means for a question by date


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate's issuing statement in the tree of a published head."""

    index: int
    placed: Placed


class Prover:
    """Answers about one log, whose integrator has a VersionedStore. `serving` follows what is published; `pause` is
    that of History. To be closed before the store is."""

    def __init__(self, integrator: Integrator, hashes: Hashes, serving: Serving, *, pause: int = 0) -> None:
        self._store, self._hashes, self._serving = cast("VersionedStore", integrator.store), hashes, serving
        self._history = History(integrator, pause=pause)
        self._size = 0  # of the head that the kept answers are about
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()  # by cert key
        self._newest: tuple[bytes, Seal] | None = None
        self._older: OrderedDict[tuple[int, int], bytes] = OrderedDict()  # seal, and size of the head
        self._note = b"", b""  # the last checkpoint, and its CBOR
        self._terms: OrderedDict[bytes, bytes] = OrderedDict()  # leaf hash of a filing -> entry

    async def close(self) -> None:
        """End the making of older maps, which goes on without whoever asked for it."""
        await self._history.close()

    async def current(self, cert_key: bytes, basis: Basis) -> bytes:
        """The answer at the head's own seal."""
        kept = self.remembered(cert_key, basis)
        if kept is not None:
            return kept
        seals, seal = await self._newest_seal(basis)
        tree = self._serving.kept_map() if self._serving.size == basis.size else await self._history.map_at(seal)
        shown = await self._shown(cert_key, basis.size, tree, seal.covered)
        if self._size == basis.size:
            self._kept[cert_key] = shown
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return join_answer(cert_key, self._encoded(basis.note), seals, shown)

    def remembered(self, cert_key: bytes, basis: Basis) -> bytes | None:
        """The answer at the head's own seal, if it was made before under a head of this size."""
        if self._size != basis.size or self._newest is None:
            return None
        shown = self._kept.get(cert_key)
        return None if shown is None else join_answer(cert_key, self._encoded(basis.note), self._newest[0], shown)

    def at_once(self, cert_key: bytes, basis: Basis) -> bytes | None:
        """What `current` gives, without waiting: remembered, or made now from what is in this process and a store that
        reads at once. None where something has to be waited for. Raises as `current`."""
        if not self._store.reads_at_once or self._serving.size != basis.size:  # older maps are rebuilt in pieces
            return self.remembered(cert_key, basis)
        asking = self.current(cert_key, basis)
        try:
            asking.send(None)
        except StopIteration as made:
            return cast("bytes", made.value)
        asking.close()  # it waits after all: whoever may wait asks again
        return None

    async def at_size(self, cert_key: bytes, size: int, basis: Basis) -> bytes:
        """The answer as of the first `size` leaves, which a seal must end. Raises Refused NO_SUCH_SIZE."""
        return await self._at(cert_key, await self._history.seal_at_size(size, basis.size), basis)

    async def at_day(self, cert_key: bytes, day: int, basis: Basis) -> bytes:
        """The answer as of the end of a day (days since 1970, Asia/Shanghai). Raises Refused NOT_YET, TOO_EARLY."""
        _, newest = await self._newest_seal(basis)
        return await self._at(cert_key, await self._history.seal_of_day(day, newest, basis.time_ms), basis)

    async def standing(self, cert_key: bytes, basis: Basis) -> Standing | None:
        """Where the statement stands that issued a certificate; None when the published log has none."""
        version = await self._store.state_as_of(certificate_map_key(cert_key), basis.size - 1)
        if version is None:
            return None
        index = bound_certificate_state(version.body, version.value).issue_index
        return Standing(index, (await self._placed([index], basis.size))[0])

    def _encoded(self, note: bytes) -> bytes:
        if self._note[0] != note:
            self._note = note, canonical.encode(note)
        return self._note[1]

    async def _at(self, cert_key: bytes, seal: Seal, basis: Basis) -> bytes:
        if seal.covered >= basis.size - 1:
            return await self.current(cert_key, basis)
        tree = await self._history.map_at(seal)
        seals = await self._older_seals(seal, basis)
        shown = await self._shown(cert_key, basis.size, tree, seal.covered)
        return join_answer(cert_key, self._encoded(basis.note), seals, shown)

    async def _older_seals(self, seal: Seal, basis: Basis) -> bytes:
        """An older seal and the one behind it in the tree of the head: every answer as of a day has the same two."""
        key = seal.covered, basis.size
        seals = self._older.get(key)
        if seals is None:
            following = await self._store.seal_from(seal.covered + 1)
            if following is None:
                raise Unavailable(
                    Text(
                        "存储：找不到较早封印之后的封印，请运行 fsck",
                        "store: the seal after an older one is not found; run fsck",
                    )
                )
            seals = self._older[key] = format_seals(*await self._placed([seal.covered, following], basis.size))
            while len(self._older) > _KEPT_SEALS:
                self._older.popitem(last=False)
        return seals

    async def _shown(self, cert_key: bytes, size: int, tree: SlottedMap, at: int) -> bytes:
        """What the map sealed at the index `at`, which is `tree`, says of a certificate, in the log of `size`."""
        map_key = certificate_map_key(cert_key)
        bucket = tree.landing_bucket(map_key)
        leaves: Sequence[Leaf] = ()
        version = None
        if bucket is not None:
            leaves, version = await self._store.bucket_as_of(*bucket_range(bucket, tree.depth), map_key, at)
        try:
            proof = format_map_proof(tree.prove(map_key, leaves))
        except Malformed as error:
            raise Unavailable(
                Text(
                    "存储的状态与封印的状态表不符，请运行 fsck", "stored states do not hash to the sealed map; run fsck"
                )
            ) from error
        if version is None:
            return format_shown(proof)
        state = bound_certificate_state(version.body, version.value)
        best = state.summary.highest
        indexes = [state.issue_index]
        if best is not None and best.cert_key != cert_key:
            indexes.append(await self._issue_index(best.cert_key, at))
        issued, *highest = await self._placed(indexes, size)
        commitments, event = await self._named(cert_key, state, at)
        return format_shown(
            proof,
            version.body,
            issued,
            commitments,
            event,
            await self._filing(state),
            Indexed(highest[0].entry, indexes[1], highest[0].inclusion) if highest else None,
        )

    async def _named(self, cert_key: bytes, state: CertificateState, at: int) -> tuple[bytes, bytes]:
        """The statements with the current commitments and of the last event, where they are not the issue."""
        known = {state.issue_leaf: b""}
        if state.event_leaf != state.issue_leaf:
            known[state.event_leaf] = await entry_at(self._store, state.event_index)
        if state.commitment_leaf not in known:
            for index in reversed([index for index in await self._store.events(cert_key) if index < at]):
                entry = await entry_at(self._store, index)
                if leaf_hash(entry) == state.commitment_leaf:
                    return entry, known[state.event_leaf]
            raise Unavailable(
                Text("找不到含承诺值的语句，请运行 fsck", "the statement with the commitments is not found; run fsck")
            )
        same = state.commitment_leaf == state.event_leaf
        return known[state.commitment_leaf], b"" if same else known[state.event_leaf]

    async def _issue_index(self, cert_key: bytes, at: int) -> int:
        version = await self._store.state_as_of(certificate_map_key(cert_key), at)
        if version is None:
            raise Unavailable(
                Text(
                    "状态表中没有另一证书所指的证书，请运行 fsck",
                    "a certificate that another one names is not in the map; run fsck",
                )
            )
        return bound_certificate_state(version.body, version.value).issue_index

    async def _filing(self, state: CertificateState) -> bytes:
        """The filing statement under which a certificate was issued: the filing's state at that time points to it."""
        entry = self._terms.get(state.filing_leaf)
        if entry is None:
            entry = await self._find_filing(state)
            self._terms[state.filing_leaf] = entry
            if len(self._terms) > _KEPT_TERMS:
                self._terms.popitem(last=False)
        return entry

    async def _find_filing(self, state: CertificateState) -> bytes:
        """A change of terms stands alone in its batch, so that those at the end of the issue's batch are the ones; a
        reissue keeps those of what it replaced."""
        index, before = state.issue_index, state.issue_index + 1
        while index < before:
            before = index
            seal = await self._store.seal_from(index)
            version = None
            if seal is not None:
                version = await self._store.state_as_of(filing_map_key(state.filing_number), seal)
            if seal is None or version is None:
                break
            fields = canonical.decode(version.body, limit=64 * 1024)
            if fields[_TERMS_LEAF] == state.filing_leaf:
                index = int(fields[_TERMS_INDEX])
                return await entry_at(self._store, index)
            body = parse_statement(await entry_at(self._store, index)).body
            if isinstance(body, Issue) and body.replaces:
                index = await self._issue_index(body.replaces, seal)
        raise Unavailable(Text("找不到备案条款，请运行 fsck", "the terms of the filing are not found; run fsck"))

    async def _placed(self, indexes: Sequence[int], size: int) -> list[Placed]:
        entries = [await entry_at(self._store, index) for index in indexes]
        paths = await self._hashes.inclusion(indexes, size)
        return [Placed(entry, path) for entry, path in zip(entries, paths, strict=True)]

    async def _newest_seal(self, basis: Basis) -> tuple[bytes, Seal]:
        if self._size == basis.size and self._newest is not None:
            return self._newest
        (placed,) = await self._placed([basis.size - 1], basis.size)
        newest = format_seals(placed, None), parse_seal(placed.entry)
        if self._size < basis.size:  # another head was published: nothing of the one before is asked for again
            self._size, self._newest = basis.size, newest
            self._kept.clear()
        return newest

"""The state that the statements of one batch may touch, read from a store beforehand: the View that the fold reads.

    view = await load_view(integrator state, statements)     every read happens here
    apply(view, authentic, moment) → view.take(…)            and nothing but dictionaries after it

What is loaded: filings and keys named by the statements, the certificates they name or sweep over, all members of
those certificates' tracks, and the earlier statements that a restore, a compromise or a late permit asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ledger.errors import Damaged
from ledger.records.appointment import Appoint
from ledger.records.authority import Filing, Published
from ledger.records.claim_state import ClaimState
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus, KeyStatus, Kind
from ledger.records.life import Correct, EndAppointment, Listed, Range, Ruling
from ledger.records.pack import Pack
from ledger.records.permit import LatePermit
from ledger.records.rules.sweeps import END, concerned_by_filing, concerned_by_key
from ledger.records.state import (
    AuthorityState,
    CertificateState,
    FilingState,
    bound_certificate_state,
    certificate_map_key,
)
from ledger.records.statements import Statement, parse_statement
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.records.view import Change, Member, Moment, Signed, signed_row
from ledger.store.claims import Claims, load_claims
from ledger.store.growth import StoredLeaves
from ledger.store.protocol import StateRow, Store
from ledger.store.track_places import TrackPlaces
from ledger.text import Text


class Source(Protocol):
    """The committed log that a view is read from."""

    @property
    def store(self) -> Store: ...
    @property
    def authority(self) -> AuthorityState | None: ...
    @property
    def places(self) -> TrackPlaces: ...
    async def filing(self, number: str) -> FilingState | None: ...
    async def proven_entry(self, index: int) -> bytes: ...
    async def proven_states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]: ...


@dataclass(frozen=True, slots=True)
class Behind:
    """What a batch is judged by beside its statements' own words: the ledger knows it, the log does not say it."""

    cert_keys: Sequence[bytes] = ()  # of the certificates that claims are about
    nullifiers: Sequence[bytes] = ()


class StoreView:
    """Implements ledger.records.view.View. `take` keeps what a folded statement changed."""

    def __init__(self, authority: AuthorityState | None) -> None:
        self.authority = authority
        self.filings: dict[str, FilingState] = {}
        self.map_keys: dict[bytes, bytes] = {}  # cert key -> map key, of those that were asked for
        self._members: dict[bytes, Member] = {}
        self._tracks: dict[bytes, dict[bytes, Member]] = {}
        self._signed: dict[str, list[Signed]] = {}
        self._corrections: dict[bytes, list[tuple[int, Statement]]] = {}
        self._entries: dict[int, Statement] = {}
        self._permits: dict[bytes, LatePermit] = {}
        self._names: dict[Kind, set[str]] = {}
        self._packs: dict[bytes, Pack] = {}
        self._claims: dict[bytes, ClaimState] = {}
        self._nullifiers: dict[bytes, bytes] = {}

    def filing(self, number: str) -> FilingState | None:
        return self.filings.get(number)

    def member(self, cert_key: bytes) -> Member | None:
        return self._members.get(cert_key)

    def track(self, track_id: bytes) -> Mapping[bytes, Member]:
        return self._tracks.get(track_id, {})

    def signed(self, number: str, first: int, last: int) -> Sequence[Signed]:
        return [row for row in self._signed.get(number, ()) if first <= row.index <= last]

    def corrections(self, cert_key: bytes) -> Sequence[tuple[int, Statement]]:
        return self._corrections.get(cert_key, ())

    def entry(self, index: int) -> Statement:
        return self._entries[index]

    def permit(self, leaf: bytes) -> LatePermit | None:
        return self._permits.get(leaf)

    def published(self, kind: Kind, name: str) -> bool:
        return name in self._names.get(kind, ())

    def pack(self, digest: bytes) -> Pack | None:
        return self._packs.get(digest)

    def claim(self, leaf: bytes) -> ClaimState | None:
        return self._claims.get(leaf)

    def nullifier(self, nullifier: bytes) -> bytes | None:
        return self._nullifiers.get(nullifier)

    def take(self, change: Change, statement: Statement, moment: Moment) -> tuple[str, Signed] | None:
        """Make `change` the state, for the next statement of the batch; the row by which it is found again."""
        if change.authority is not None:
            self.authority = change.authority
        self.filings.update(change.filings)
        for cert_key, state in change.certificates.items():
            before = self._members.get(cert_key)
            if before is None:
                assert change.issued is not None and change.issued[0] == cert_key
                body = change.issued[1]
            else:
                body = before[0]
                del self._tracks[before[1].track_id][cert_key]
            self._put(cert_key, (body, state))
        found = signed_row(statement, moment.index)
        if found is not None:
            self._signed.setdefault(found[0], []).append(found[1])
        self._entries[moment.index] = statement
        if not isinstance(statement.body, Issue):
            self._take_rare(change, statement, moment)
        return found

    def _take_rare(self, change: Change, statement: Statement, moment: Moment) -> None:
        """What no certificate changes."""
        body = statement.body
        for kind, name in change.published:
            self._names.setdefault(kind, set()).add(name)
        self._claims.update(change.claims)
        self._nullifiers.update(change.nullifiers)
        if isinstance(body, Pack) and not body.issuer:
            self._packs[body.digest] = body
        if isinstance(body, LatePermit):
            self._permits[statement.leaf_hash] = body
        if isinstance(body, Correct):
            self._corrections.setdefault(body.cert_key, []).append((moment.index, statement))

    def _put(self, cert_key: bytes, member: Member) -> None:
        self._members[cert_key] = member
        self._tracks.setdefault(member[1].track_id, {})[cert_key] = member


_ALONE: Final = Behind()


async def load_view(
    source: Source, statements: Sequence[Statement], behind: Behind = _ALONE, leaves: StoredLeaves | None = None
) -> StoreView:
    """Read what these statements may touch. Raises Unverified when stored rows do not belong together.

    `leaves`: of a batch, which needs what lies beside its certificates in the map anyway; that tells which of them
    there are, for most are new.
    """
    loader = _Loader(source, StoreView(source.authority), leaves)
    rare = [statement for statement in statements if not isinstance(statement.body, Issue)]
    await loader.filings(statements, rare)
    swept = await loader.signed(rare)
    await loader.members([*_named_keys(statements), *swept, *behind.cert_keys], _named_tracks(statements))
    await loader.successors(behind.cert_keys)
    await loader.earlier(rare, swept)
    await loader.permits(statements)
    for kind in {s.body.kind for s in rare if isinstance(s.body, Published)}:
        loader.view._names[kind] = set(await source.store.named(int(kind)))
    await loader.pack_names(rare)
    loader.keep(await load_claims(source, rare, behind.nullifiers))
    return loader.view


def certificate_of(row: StateRow) -> CertificateState:
    """The state in a row. Raises Damaged unless its value is the digest of its body."""
    return bound_certificate_state(row.body, row.value)


class _Loader:
    def __init__(self, source: Source, view: StoreView, leaves: StoredLeaves | None) -> None:
        self._source, self._leaves = source, leaves
        self._store = source.store
        self.view = view

    async def filings(self, statements: Sequence[Statement], rare: Sequence[Statement]) -> None:
        signers = {statement.envelope.issuer for statement in statements if statement.envelope.single}
        for number in sorted(signers | _filing_numbers(rare)):
            state = await self._source.filing(number)
            if state is not None:
                self.view.filings[number] = state

    async def signed(self, statements: Sequence[Statement]) -> list[bytes]:
        """The rows that statements sweep over, and the cert keys among them that are concerned."""
        keys: list[bytes] = []
        for statement in statements:
            body = statement.body
            if isinstance(body, Ruling) and isinstance(body.whom, Range):
                rows = await self._store.signed(body.whom.number, body.whom.first, body.whom.last)
                keys += [row.cert_key for row in rows]
                self.view._signed[body.whom.number] = rows
            elif isinstance(body, FilingStanding) and body.number in self.view.filings:
                rows = await self._store.signed(body.number, 0, END)
                keys += concerned_by_filing(self.view.filings[body.number], body, rows)
                self.view._signed[body.number] = rows
            elif isinstance(body, KeyStanding) and body.void_from is not None:
                rows = await self._store.signed(body.number, body.void_from, END)
                keys += concerned_by_key(body, rows)
                self.view._signed[body.number] = rows
        return keys

    async def members(self, cert_keys: Iterable[bytes], track_ids: set[bytes]) -> None:
        """These certificates with their whole tracks, and the members of these tracks."""
        wanted = [key for key in dict.fromkeys(cert_keys) if key not in self.view._members]
        named = {key: certificate_map_key(key) for key in wanted}
        self.view.map_keys.update(named)
        # Both questions at once: where they go to a server, each takes its time.
        rows, found = await asyncio.gather(self._states(list(named.values())), self._tracks(track_ids))
        found += await self._tracks({certificate_of(row).track_id for row in rows.values()} - track_ids)
        for row in found:
            state = certificate_of(row)
            body = (await self._statement(state.issue_index, state.issue_leaf)).body
            assert isinstance(body, Issue | Appoint), "an issue leaf is that of a certificate"
            self.view._put(row.subject, (body, state))
        for row in rows.values():
            if row.subject not in self.view._members:
                raise Damaged(
                    Text("存储：有证书不在其轨迹中，请运行 fsck", "store: a certificate is not in its track; run fsck")
                )

    async def _states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        if self._leaves is not None:
            await self._leaves.read(map_keys)
            map_keys = self._leaves.present(map_keys)
        return await self._store.states(map_keys) if map_keys else {}

    async def _tracks(self, track_ids: set[bytes]) -> list[StateRow]:
        """The members of those tracks that were not read yet."""
        fresh = sorted(track_ids - self.view._tracks.keys())
        return await self._store.tracks(self._source.places.of(fresh)) if fresh else []

    async def successors(self, cert_keys: Sequence[bytes]) -> None:
        """The certificates that took the place of these: a correction may have moved them to other tracks."""
        later = list(cert_keys)
        while later:
            found = [self.view.member(cert_key) for cert_key in later]
            later = [m[1].successor for m in found if m and m[1].status is CertificateStatus.REPLACED]
            await self.members(later, set())

    async def pack_names(self, statements: Sequence[Statement]) -> None:
        """Which of their names are taken: one by one, as there may be many packs."""
        packs = [s.body for s in statements if isinstance(s.body, Pack)]
        for name in {name for pack in packs for name in (*pack.names, *(pack.ways or ()))}:
            if await self._store.find_named(int(Kind.PACK), name) is not None:
                self.view._names.setdefault(Kind.PACK, set()).add(name)

    def keep(self, claims: Claims) -> None:
        self.view._packs.update(claims.packs)
        self.view._claims.update(claims.claims)
        self.view._nullifiers.update(claims.nullifiers)

    async def earlier(self, statements: Sequence[Statement], swept: Sequence[bytes]) -> None:
        """What a restore and a compromise ask of the past."""
        for statement in statements:
            body = statement.body
            if isinstance(body, Ruling) and body.kind is Kind.RESTORE:
                for cert_key in body.whom.cert_keys if isinstance(body.whom, Listed) else swept:
                    member = self.view.member(cert_key)
                    if member is not None:
                        await self._keep_entry(member[1].event_index, member[1].event_leaf)
            elif isinstance(body, KeyStanding) and body.status is KeyStatus.COMPROMISED:
                await self._before_compromise(swept)

    async def _before_compromise(self, swept: Sequence[bytes]) -> None:
        """Corrections, the tracks that certificates go back to without them, and all that was replaced before."""
        tracks: set[bytes] = set()
        for cert_key in swept:
            member = self.view.member(cert_key)
            if member is None:
                raise Damaged(
                    Text(
                        "存储：已签署的证书不在状态中，请运行 fsck",
                        "store: a signed certificate is not in the state; run fsck",
                    )
                )
            tracks.add(member[0].track_id)
            if member[1].commitment_leaf == member[1].issue_leaf:
                continue
            for index in await self._store.events(cert_key):
                earlier = parse_statement(await self._source.proven_entry(index))
                if isinstance(earlier.body, Correct):
                    self.view._corrections.setdefault(cert_key, []).append((index, earlier))
                    tracks.add(earlier.body.track_id)
        await self.members([], tracks - {b""})
        later = list(swept)
        while later:
            found = [self.view.member(cert_key) for cert_key in later]
            later = [member[0].replaces for member in found if member is not None and member[0].replaces]
            await self.members(later, set())

    async def permits(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            body = statement.body
            if not isinstance(body, _CERTIFICATES) or body.permit is None:
                continue
            index = await self._store.find_named(int(Kind.LATE_PERMIT), body.permit.permit.hex())
            if index is not None:
                permit = parse_statement(await self._source.proven_entry(index))
                if permit.leaf_hash == body.permit.permit and isinstance(permit.body, LatePermit):
                    self.view._permits[permit.leaf_hash] = permit.body

    async def _keep_entry(self, index: int, leaf: bytes) -> None:
        self.view._entries[index] = await self._statement(index, leaf)

    async def _statement(self, index: int, leaf: bytes) -> Statement:
        """The statement at `index`, which must be the one that a state names by its leaf hash."""
        entries = await self._store.entries(index, index + 1)
        if not entries:
            raise Damaged(Text("存储：缺少条目，请运行 fsck", "store: an entry is missing; run fsck"))
        statement = parse_statement(entries[0])
        if statement.leaf_hash != leaf:
            raise Damaged(
                Text(
                    "存储：有一条目不是状态所指的那条，请运行 fsck",
                    "store: an entry is not the one that a state names; run fsck",
                )
            )
        return statement


def _filing_numbers(statements: Sequence[Statement]) -> set[str]:
    bodies = [statement.body for statement in statements]
    return {body.number for body in bodies if isinstance(body, Filing | FilingStanding | KeyStanding | LatePermit)}


def _named_keys(statements: Sequence[Statement]) -> list[bytes]:
    keys: list[bytes] = []
    for statement in statements:
        body = statement.body
        if isinstance(body, Issue):  # nearly every one: the patterns cost more
            keys.append(body.cert_key)
            keys.append(body.replaces)
            continue
        match body:
            case Appoint() as body:
                keys += [body.cert_key, body.prerequisite]
            case Correct() | EndAppointment() as body:
                keys.append(body.cert_key)
            case Ruling(whom=Listed() as whom):
                keys += whom.cert_keys
    return [key for key in keys if key]


def _named_tracks(statements: Sequence[Statement]) -> set[bytes]:
    bodies = [statement.body for statement in statements]
    return {body.track_id for body in bodies if isinstance(body, _IN_TRACKS) and body.track_id}


_CERTIFICATES: Final = (Issue, Appoint)  # written as a union where it is asked, it is made each time
_IN_TRACKS: Final = (Issue, Appoint, Correct)

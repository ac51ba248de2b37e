"""Steps 9 and 10 of admission for one batch: what only the ledger's private index knows about number and person.

    issue, appoint   the number is free; the track is the one drawn for this person and lineage
    reissue          the number is that of the certificate it replaces, and moves with it
    correct          the number stays; the track is the person's; a change of name and of person together needs the
                     authority, because one and the other could be anybody
    claim, pay       the certificate is in force right here, between what stands before and behind in the batch: no
                     payment has an index after that of a suspension or revocation. Of a claim the track is still that
                     of the voucher, and no higher grade is taken; a payment's opening is that of its claim. A reissue
                     in force stands for the certificate that it replaced

A number whose reissue became void (its key was compromised) is again that of the certificate which that replaced: it
came back with the same statement, and the row is written anew with the next reissue.

Nothing here is kept: `rows` is what the batch writes, and the openings are forgotten with the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ledger.errors import Unavailable, Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.claim import Claim, ClaimAct
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.life import Correct
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.claims import taken
from ledger.records.state import CertificateState, certificate_map_key, parse_certificate_state
from ledger.records.statements import Body, parse_statement
from ledger.records.transitions import Act, after
from ledger.records.view import Member, View
from ledger.service.admission import Candidate, ClaimPart, PrivatePart
from ledger.service.nullifiers import Nullifiers
from ledger.service.private_index import (
    PrivateIndex,
    envelope_keys,
    lookup_keys,
    lookup_row,
    match_row,
    number_row,
    place_of,
)
from ledger.store.batch import Batch
from ledger.store.protocol import EnvelopeRow, IndexRow, PrivateRows, PrivateStore, Slot, StateRow, entry_at
from ledger.store.view import Behind
from ledger.text import Text

LineageOf: TypeAlias = Callable[[str], str]


class PrivateFold:
    """The private index as the statements of one batch see it, one after the other."""

    def __init__(self, index: PrivateIndex, lineage_of: LineageOf, *, numbers_apart: bool) -> None:
        """`lineage_of` names the lineage of an occupation code; `numbers_apart`: the store holds rows of numbers from
        before step 0009."""
        self._index, self._lineage_of, self._nullifiers = index, lineage_of, Nullifiers(index)
        self._numbers_apart = numbers_apart
        self._known: dict[bytes, bytes] = {}  # key -> body, of rows of numbers, persons and look-ups
        self._new: list[IndexRow] = []
        self._renewed: dict[bytes, IndexRow] = {}
        self._envelopes: list[EnvelopeRow] = []

    async def load(self, store: PrivateStore, candidates: Sequence[Candidate]) -> None:
        """Read the rows that these are judged by, as far as they tell by themselves."""
        wanted: list[bytes] = []
        for candidate in candidates:
            part, body = candidate.private, candidate.statement.body
            if isinstance(body, Claim):
                wanted += body.nullifiers
            if not isinstance(part, PrivatePart):
                continue
            wanted += (*self._number_keys(part), part.person_hmac)
            if _named(candidate) is not None:
                wanted += lookup_keys(part.number_keys, part.lookup_hmac)
        self._known.update(await store.index(wanted))

    async def load_named(self, store: PrivateStore, candidates: Sequence[Candidate], batch: Batch) -> None:
        """Read what only the certificates tell that they name: those are in the log already."""
        named = [
            (candidate.statement.body, part, member)
            for candidate in candidates
            if isinstance(part := candidate.private, PrivatePart)
            and (key := _named(candidate)) is not None
            and (member := batch.member(key)) is not None
        ]
        persons = [self._person_of(part, member) for body, part, member in named if isinstance(body, Correct)]
        if persons:
            self._known.update(await store.index(persons))
        for _, part, member in named:
            await self._give_back(store, part, member[1])

    @property
    def rows(self) -> PrivateRows:
        return PrivateRows(self._new, list(self._renewed.values()), self._envelopes)

    def check(self, candidate: Candidate, batch: Batch) -> None:
        """Raises Refused unless number and track, or the claim's certificate, are right for this statement."""
        part, body = candidate.private, candidate.statement.body
        if part is None:
            return
        if isinstance(part, ClaimPart):
            _check_claim(part, body, batch)
            return
        if isinstance(body, Correct):
            self._check_correct(part, body, batch)
            return
        assert isinstance(body, CertificateBody)
        replaced = self._replaced(body, batch)
        if self._index_of(part) != (replaced and replaced.issue_index):  # 9
            if replaced is not None:
                after(Act.REPLACE, replaced.status, "replaces")  # the fold's answer, where the number has moved on
            raise refuse(Refusal.NUMBER_TAKEN, "number")
        if self._known.get(part.person_hmac) != body.track_id:  # 10
            raise refuse(Refusal.TRACK_UNKNOWN, "track_id")

    def take(self, candidate: Candidate, index: int) -> None:
        """Keep the rows of a statement that was folded at `index`."""
        part, body = candidate.private, candidate.statement.body
        if part is None:
            return
        if isinstance(part, ClaimPart):
            if isinstance(body, Claim):
                leaf = candidate.statement.leaf_hash
                self._new.append(self._nullifiers.link_row(leaf, part.holder.cert_key))
                for nullifier in body.nullifiers:
                    self._take_nullifier(self._nullifiers.taken_row(nullifier, leaf))
            return
        if isinstance(body, CertificateBody) and not body.replaces:
            number, key = number_row(part.number_keys[0], index), lookup_keys(part.number_keys, part.lookup_hmac)[0]
            self._new += (number, match_row(part.match_hmac, index), lookup_row(key, part.lookup))
            self._known[number.hmac] = number.body
            self._take_envelopes(part, index)
            return
        if isinstance(body, Issue):
            self._renew(number_row(self._number_place(part), index))
        issued = self._index_of(part)
        assert issued is not None, "a number that was checked leads to its certificate"
        self._new.append(match_row(part.match_hmac, issued))
        self._renew(lookup_row(self._lookup_place(part), part.lookup))
        self._take_envelopes(part, issued)

    def _take_envelopes(self, part: PrivatePart, issued: int) -> None:
        """`issued`: the issue index of the state by which they are looked for; of a reissue that is its own."""
        place, _ = envelope_keys(issued, part.locator)
        self._envelopes += (
            EnvelopeRow(place, Slot.FACE, part.face_envelope),
            EnvelopeRow(place, Slot.REST, part.rest_envelope),
        )

    def _take_nullifier(self, row: IndexRow) -> None:
        """One that was never taken must be new to the database too; one that is free again has its row."""
        if row.hmac in self._known:
            self._renew(row)
        else:
            self._new.append(row)
            self._known[row.hmac] = row.body

    def _renew(self, row: IndexRow) -> None:
        self._renewed[row.hmac] = row
        self._known[row.hmac] = row.body

    async def _give_back(self, store: PrivateStore, part: PrivatePart, state: CertificateState) -> None:
        """Let a number lead past void reissues, where it leads to none that `state` could be meant by. A compromise
        stands alone in its batch, so that what is void is committed."""
        index = self._index_of(part)
        while index is not None and index > state.issue_index:
            body = parse_statement(await entry_at(store, index)).body
            if not isinstance(body, Issue) or not body.replaces:
                return
            keys = certificate_map_key(body.cert_key), certificate_map_key(body.replaces)
            own, replaced = [parse_certificate_state(row.body) for row in await _rows(store, keys)]
            if own.status is not CertificateStatus.VOID:
                return
            index = replaced.issue_index
        if index is not None:
            self._known[self._number_place(part)] = index.to_bytes(8, "big")

    def _check_correct(self, part: PrivatePart, correct: Correct, batch: Batch) -> None:
        member = batch.member(correct.cert_key)
        if member is None:
            raise refuse(Refusal.CERT_UNKNOWN, "cert_key")
        state = member[1]
        if state.filing_number != part.filing_number:
            raise refuse(Refusal.NOT_ISSUER, "cert_key")
        if self._index_of(part) != state.issue_index:  # 9: a number is never corrected
            raise refuse(Refusal.NUMBER, "number")
        track_id = correct.track_id or state.track_id
        if self._known.get(self._person_of(part, member)) != track_id:  # 10
            raise refuse(Refusal.TRACK_UNKNOWN, "track_id")
        if correct.issuer and track_id != state.track_id and not self._same_name(part, correct.cert_key, state):
            raise refuse(Refusal.CORRECT_BOTH, "name, document")

    def _person_of(self, part: PrivatePart, member: Member) -> bytes:
        """The HMAC of the person that a correction names, in the lineage of the certificate."""
        return self._index.person_hmac(*part.person, self._lineage_of(member[0].occupation))

    def _index_of(self, part: PrivatePart) -> int | None:
        """The log index of the certificate that has this number, if one has."""
        row = self._known.get(self._number_place(part))
        return None if row is None else int.from_bytes(row, "big")

    def _number_keys(self, part: PrivatePart) -> Sequence[bytes]:
        """Where the row of its number can be in this store."""
        return part.number_keys if self._numbers_apart else part.number_keys[:1]

    def _number_place(self, part: PrivatePart) -> bytes:
        """Where that row lies, or will lie."""
        return place_of(self._number_keys(part), self._known)

    def _lookup_place(self, part: PrivatePart) -> bytes:
        """Where the look-up row of a certificate that is in the log lies, or will lie."""
        return place_of(lookup_keys(part.number_keys, part.lookup_hmac), self._known)

    def _replaced(self, body: Issue | Appoint, batch: Batch) -> CertificateState | None:
        """The state of the certificate that a reissue replaces."""
        if not body.replaces:
            return None
        member = batch.member(body.replaces)
        if member is None:
            raise refuse(Refusal.CERT_UNKNOWN, "replaces")
        return member[1]

    def _same_name(self, part: PrivatePart, cert_key: bytes, state: CertificateState) -> bool:
        """Whether the name that the correction gives is the certificate's now: not another, nor one of before."""
        sealed = self._known.get(self._lookup_place(part))
        if sealed is None:
            return False
        try:
            found = self._index.open_lookup(part.number, part.name, sealed)
        except Unverified:
            return False
        return (found.cert_key, found.leaf_hash) == (cert_key, state.commitment_leaf)


def behind(candidates: Sequence[Candidate]) -> Behind:
    """What these are judged by that their statements do not say."""
    parts = [candidate.private for candidate in candidates if isinstance(candidate.private, ClaimPart)]
    return Behind([part.holder.cert_key for part in parts], [one for part in parts for one in part.barred])


def _check_claim(part: ClaimPart, body: Body, batch: Batch) -> None:
    view, moment = batch.view, batch.moment()
    if isinstance(body, ClaimAct):
        claim = view.claim(body.claim)
        if claim is None:
            return  # the fold says so
        if claim.holder != part.holder.digest():
            raise refuse(Refusal.OPENING_CLAIM, "holder")
    member = in_force(view, part.holder.cert_key, moment.day)
    if isinstance(body, Claim):
        if member[1].track_id != part.track_id:
            raise refuse(Refusal.CLAIM_OUTDATED, "track_id")
        if any(taken(view, nullifier, moment.day) for nullifier in part.barred):
            raise refuse(Refusal.ALREADY_CLAIMED, "nullifiers")


def in_force(view: View, cert_key: bytes, day: int) -> Member:
    """The certificate under this key, or the reissue that stands for it, when it is in force. Raises Refused."""
    member = view.member(cert_key)
    while member is not None and member[1].status is CertificateStatus.REPLACED:
        member = view.member(member[1].successor)
    if member is None:
        raise refuse(Refusal.CERT_UNKNOWN, "cert_key")
    body, state = member
    if state.status is not CertificateStatus.IN_FORCE or (isinstance(body, Appoint) and not body.runs(day)):
        raise refuse(Refusal.NOT_IN_FORCE, "cert_key")
    return member


def _named(candidate: Candidate) -> bytes | None:
    """The cert key whose number a statement takes along or leaves as it is."""
    body = candidate.statement.body
    if isinstance(body, Correct):
        return body.cert_key
    return body.replaces if isinstance(body, Issue) and body.replaces else None


async def _rows(store: PrivateStore, map_keys: Sequence[bytes]) -> list[StateRow]:
    """The rows of certificates that are in the log, in this order. Raises Unavailable when one is missing."""
    found = await store.states(map_keys)
    if not found.keys() >= set(map_keys):
        raise Unavailable(
            Text(
                "存储：日志中的一张证书没有状态，请运行 fsck", "store: a certificate in the log has no state; run fsck"
            )
        )
    return [found[key] for key in map_keys]

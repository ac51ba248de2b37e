"""One log as a verifier knows it: its pins, its replica or whoever gives proofs, and who is asked for personal data.

Whatever a check asks of one log is asked here; what the answers of several come to is `verifier.several`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.dates import last_ms
from ledger.records.envelope import FaceContent
from ledger.records.evidence import parse_evidence
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState
from ledger.records.statements import Statement, parse_statement
from ledger.records.status import authenticate_record
from ledger.store.batch import Prepared
from ledger.store.integrate import Integrator
from ledger.store.protocol import entry_at
from ledger.text import Text
from verifier.carried import Item, certificate_body, key_of, open_carried
from verifier.causes import Cause
from verifier.envelopes import ENVELOPE_S, Envelopes, EnvelopeSource
from verifier.links import Links
from verifier.proven import Opener
from verifier.register import FiledTerms, Logged, Register, register_of
from verifier.replica import Replica, Verified
from verifier.several import Answer
from verifier.trust import Trust
from verifier.verdict import Source
from verifier.violation import ClocksDiffer, Unwitnessed
from verifier.vouched import CosignedProofs, vouched_evidence

_KEPT: Final = 4096  # certificates
_READINGS: Final = 20  # of one certificate: a batch may come between two reads
BEFORE: Final = "TOO_EARLY"  # of a day on which this log had not begun; a size says nothing of that
_NO_MOMENT: Final = frozenset({BEFORE, "NO_SUCH_SIZE", "NOT_YET"})  # what a ledger may refuse for


class Ledger(EnvelopeSource, Protocol):
    """The ledger, as far as a claim asks it something."""

    async def match(self, cert_key: bytes, last4: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class AsOf:
    """A question about an earlier moment: the first `size` leaves, or the end of a day. One of the two."""

    size: int | None = None
    day: int | None = None


@dataclass(slots=True)
class _Known:
    """What a replica says of a certificate, and the answer that was last made of it."""

    logged: Logged
    filing: FiledTerms | None
    under: Verified | None = None
    register: Register | None = None


class KnownLog:
    """One log. `replica` is set once it is open; before, it has no answer. With `proofs` it has none and asks for
    evidence instead. Without `envelopes` personal data is unavailable."""

    def __init__(
        self,
        trust: Trust,
        now_ms: Callable[[], int],
        envelopes: EnvelopeSource | None = None,
        *,
        replica: Replica | None = None,
        proofs: CosignedProofs | None = None,
        envelope_s: float = ENVELOPE_S,
    ) -> None:
        self.trust = trust
        self.replica = replica
        self.unopened = ""  # what keeps the replica from being opened, for operators
        self.ledger = envelopes
        self._now_ms = now_ms
        self._envelopes = Envelopes(envelopes, now_ms, envelope_s)
        self._proofs = proofs
        self._opener = Opener(trust)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()  # cert key -> what no batch has changed since
        self._watched: Integrator | None = None  # which tells of its batches
        self.links = Links(trust)

    async def answer(self, item: Item, as_of: AsOf | None = None, until_ms: int | None = None) -> Answer:
        """What this log says about an item now, or about an earlier moment; `until_ms`: its last map stood until that
        one (`succession`). Raises Unavailable when the own store is damaged; Refused when there was no such moment."""
        if self._proofs is None and as_of is None:
            return Answer(self.trust, await self._register(item), successor=self.successor)
        try:
            register = await self._by_evidence(key_of(item), AsOf() if as_of is None or until_ms else as_of)
        except (Malformed, Unverified):
            return Answer(self.trust, None, refuted=True)
        if until_ms is None or register is None:
            return Answer(self.trust, register)
        return Answer(self.trust, replace(register, time_ms=until_ms, historic=True), successor=self.successor)

    async def face(self, secret: bytes, state: CertificateState) -> FaceContent | None:
        """What the envelope of the current commitments opens to, or None: missing, unreadable, or no answer in time."""
        return await self._envelopes.face(secret, state)

    async def holds(self, cert_key: bytes) -> bool:
        """Whether the replica has such a certificate."""
        return self.replica is not None and await self.replica.integrator.certificate(cert_key) is not None

    async def entry(self, index: int) -> bytes | None:
        """What the replica holds at a place that it has verified. Raises Unavailable."""
        replica = self.replica
        if replica is None or replica.verified is None or index >= replica.verified.size:
            return None
        return await entry_at(replica.integrator.store, index)

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        """The proof of a certificate's state out of the own replica, for others. Raises Unavailable, Refused."""
        if self.replica is None:
            raise Unavailable(Text("还没有副本：请先运行 sync", "there is no replica yet: run sync first"))
        return await self.replica.evidence(cert_key, size=size, day=day)

    @property
    def successor(self) -> str:
        """The origin of the log that follows this one, once the replica has verified its end."""
        return "" if self.replica is None else self.replica.successor

    @property
    def stands(self) -> Verified | None:
        """What the replica has verified; None before that, and once it has halted."""
        return None if self.replica is None or self.replica.halted is not None else self.replica.verified

    @property
    def usable(self) -> bool:
        """Whether it can say that a certificate is valid."""
        replica = self.replica
        if replica is None or replica.verified is None or replica.halted is not None:
            return False
        return self.trust.is_fresh(replica.verified.time_ms, self._now_ms())

    def condition(self) -> dict[str, str | int | bool]:
        """How it stands, for operators. Holds no identifiers but the log's own name."""
        replica, found = self.replica, {"origin": self.trust.origin}
        verified = replica.verified if replica else None
        if replica is None or verified is None:
            if self.unopened:
                found["problem"] = self.unopened
            target = (replica.target if replica else None) or 0
            return {**found, "open": replica is not None, "synced": False, "target": target}
        if replica.problem is not None:
            found["problem"] = type(replica.problem).__name__
        if self.successor:
            found["successor"] = self.successor
        return {
            **found,
            "synced": True,
            "fresh": self.trust.is_fresh(verified.time_ms, self._now_ms()),
            "halted": replica.halted is not None,
            "size": verified.size,
            "age_s": (self._now_ms() - verified.time_ms) // 1000,
        }

    async def _by_evidence(self, cert_key: bytes, asked: AsOf) -> Register | None:
        """What a proof says, from a ledger or out of the own replica. Raises Unverified or Malformed when it does not
        hold; Refused when there was no such moment."""
        replica = self.replica if self._proofs is None else None
        proofs = self._proofs or replica
        if proofs is None:
            return None
        try:
            raw = await proofs.evidence(cert_key, size=asked.size, day=asked.day)
        except (Unavailable, Refused) as failure:  # whoever refuses for anything else stands before the ledger
            if isinstance(failure, Refused) and failure.code in _NO_MOMENT:
                raise
            return None
        evidence = parse_evidence(raw)
        proven = self._opener.open(evidence, self._now_ms())
        if self._proofs is not None and evidence.cert_key == cert_key:
            newest, moment = (evidence, proven), {"size": asked.size, "day": asked.day}
            _, found = await vouched_evidence(newest, self._proofs, self.trust, self._now_ms(), **moment)
            if asked != AsOf() or self.trust.is_fresh(found.state.time_ms, self._now_ms()):
                proven = found  # a line of long ago is none: then the newest says that it lacks one
        state, time_ms = proven.state, None
        if state.cert_key != cert_key or (asked == AsOf() and not state.is_current):
            raise Unverified("evidence of something else than was asked for")
        if asked.size is not None:
            if state.size != asked.size:
                raise Unverified("evidence of another size than was asked for")
            time_ms = state.seal.time
        if asked.day is not None:
            state.check_day(asked.day)
            time_ms = min(last_ms(asked.day), state.time_ms)
        source = Source.EVIDENCE if replica is None else Source.REPLICA
        vouched = None if replica is None else replica.halted is None
        return register_of(proven, source, time_ms=time_ms, vouched=vouched)

    async def _register(self, item: Item) -> Register | None:
        replica = self.replica
        if replica is None or replica.verified is None:
            return None
        verified, halted = replica.verified, replica.halted is not None
        lag = self._lag(replica, verified.time_ms)
        try:
            known = await self._certificate(replica, key_of(item))
            # What is taken in, but not under a verified checkpoint yet, is not there.
            if known is None or known.logged.state.issue_index >= verified.size:
                filing = await self._carried_filing(replica, item)
                return Register(verified.size, verified.root, verified.time_ms, None, filing, halted, lag=lag)
            # Nor is anybody in force by it: what the verified checkpoint says is said. A refusal stands at once.
            if replica.integrator.size > verified.size and known.logged.state.status is CertificateStatus.IN_FORCE:
                proven = await self._by_evidence(key_of(item), AsOf())
                return None if proven is None else replace(proven, halted=halted, lag=lag)
        except (Malformed, Unverified) as error:
            raise Unavailable(Text("副本的存储已损坏", "the replica's store is damaged")) from error
        last = known.register
        if known.under is not verified or last is None or (last.halted, last.lag) != (halted, lag):
            size, root, time_ms = verified.size, verified.root, verified.time_ms
            last = Register(size, root, time_ms, known.logged, known.filing, halted, lag=lag)
            known.under, known.register = verified, last
        return last

    def _lag(self, replica: Replica, time_ms: int) -> Cause:
        """Why a replica has nothing newer than `time_ms`; of one that is up to date, nothing that counts."""
        if replica.halted is not None:
            return Cause.HALTED if replica.halted.proven else Cause.STOPPED
        if self.trust.is_fresh(time_ms, self._now_ms()):
            return Cause.UNREACHED
        problem = replica.problem
        if isinstance(problem, Unwitnessed):
            return Cause.QUORUM
        if isinstance(problem, ClocksDiffer):
            return Cause.CLOCK
        if problem is not None or not replica.answered:
            return Cause.UNREACHED
        # It answers with what we have: no newer cosignatures, or nothing at all.
        return Cause.QUORUM if self.trust.policy.has_quorum else Cause.QUIET

    async def _certificate(self, replica: Replica, cert_key: bytes) -> _Known | None:
        integrator = replica.integrator
        if integrator is not self._watched:
            self._known.clear()
            self._watched = integrator
            integrator.watchers.append(self._changed)
        known = self._known.get(cert_key)
        if known is not None:
            self._known.move_to_end(cert_key)
            return known
        for _ in range(_READINGS):
            size, found = integrator.size, None
            state = await integrator.certificate(cert_key)
            if state is not None:
                found = _Known(await read_logged(integrator, state), await _filed(replica, state.filing_number))
            if replica.integrator is integrator and integrator.size == size:  # else some of it is older than the rest
                if found is not None:
                    self._known[cert_key] = found  # only what exists: guesses cannot fill this
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
                return found
        raise Unavailable(
            Text("副本变化过快，未能读取，请重试", "the replica is changing too fast to be read; try again")
        )

    def _changed(self, prepared: Prepared) -> None:
        """A batch was committed: forget each certificate whose state it changed, and those of a body with other terms.
        All else that was read of a certificate are entries, which never change."""
        for row in prepared.stored.states:
            self._known.pop(row.subject, None)
        for number, filing in prepared.filings.items():
            terms = FiledTerms(filing.terms, filing.terms_leaf)
            theirs = [key for key, known in self._known.items() if known.logged.state.filing_number == number]
            for key in theirs:
                if self._known[key].filing != terms:
                    del self._known[key]

    async def _carried_filing(self, replica: Replica, item: Item) -> FiledTerms | None:
        try:
            carried = open_carried(item)
        except Malformed:
            return None  # `verify` comes to the same end and says so
        return await _filed(replica, carried.issue.filing_number) if carried else None


async def _filed(replica: Replica, number: str) -> FiledTerms | None:
    filing = await replica.integrator.filing(number)
    return None if filing is None else FiledTerms(filing.terms, filing.terms_leaf)


async def read_logged(integrator: Integrator, state: CertificateState) -> Logged:
    """The statements that a state names. Raises Malformed or Unverified when the store does not have them."""
    statement = await _statement(integrator, state.issue_index)
    body, highest, other = certificate_body(statement), state.summary.highest, None
    if highest is not None and highest.cert_key != body.cert_key:
        best = await integrator.certificate(highest.cert_key)
        other = None if best is None else certificate_body(await _statement(integrator, best.issue_index))
    event = None if state.event_leaf == state.issue_leaf else await _statement(integrator, state.event_index)
    commitments = None
    if state.commitment_leaf != state.issue_leaf:
        for index in reversed(await integrator.store.events(body.cert_key)):
            commitments = await _statement(integrator, index)
            if commitments.leaf_hash == state.commitment_leaf:
                break
    return Logged(authenticate_record(statement, state.record_key), state, other, commitments, event)


async def _statement(integrator: Integrator, index: int) -> Statement:
    entries = await integrator.store.entries(index, index + 1)
    if not entries:
        raise Malformed("an entry is missing")
    return parse_statement(entries[0])

"""A ledger in memory for the issuer's tests: a real tree, real seals and checkpoints, so that receipts really verify.

Rules are few: the same bytes get the first answer; a number, or a person's grade, is taken once; what is done to a
certificate fits its status. The state map holds the certificates, each the only one of its track. `filed` is what it
shows as the filing. `losses` makes the next calls fail before or after the work is done; `silent` makes questions for
evidence fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from msgspec.structs import replace as renewed

from ledger.client import Pending
from ledger.errors import Refused, Unavailable
from ledger.records import cose
from ledger.records.appointment import Appoint
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.commitments import rest_digest, verify_opening
from ledger.records.evidence import Evidence, Placed, format_evidence
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, CertificateStatus, IssuerKind, Kind
from ledger.records.life import Correct, EndAppointment, Range, Ruling
from ledger.records.refusals import Refusal, refuse
from ledger.records.seal import CHAIN_START, Seal, extend_chain
from ledger.records.state import CertificateState, TrackSummary, certificate_map_key
from ledger.records.statements import AuthorityBody, Statement, parse_statement, propose
from ledger.records.transitions import Act, after, swept
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.map import format_map_proof, map_root, prove
from ledger.tlog.merkle import Frontier, leaf_hash, prove_inclusion
from ledger.tlog.note import VerifierKey
from ledger.tlog.tiles import format_entries, parse_tile_path
from ledger.wire import BareSubmission, Logged, PersonLineage, Receipt, Submission
from tests.support.witnesses import Cosigner
from tests.support.witnesses import cosigned as with_lines

AUDITOR = Cosigner("auditor.example/fake")
ORIGIN = "fake.example/log"
FILING_NUMBER = "Y000051990001"
BODY = "示例职业技能评价中心（样本）"
ACTS = {Kind.SUSPEND: Act.SUSPEND, Kind.RESTORE: Act.RESTORE, Kind.REVOKE: Act.REVOKE}
AUTHORITY = tuple(Ed25519Signer(bytes([seed]) * 32) for seed in (1, 2, 3))


def make_filing(
    record: bytes,
    request: bytes,
    *,
    first_day: int,
    last_day: int,
    rows: tuple[FilingRow, ...] | None = None,
    number: str = FILING_NUMBER,
    grants: tuple[int, ...] = (),
) -> Filing:
    """A filing of the sample's confirmed occupations, grades 五级 to 二级, for the public."""
    codes = ("2-02-38-01", "4-04-05-13", "4-10-01-05", "6-18-01-01")
    rows = rows or tuple(FilingRow(code, "", (2, 3, 4, 5), Audience.PUBLIC, first_day) for code in codes)
    keys = (FiledKey(record, first_day),), (FiledKey(request, first_day),)
    return Filing(number, BODY, IssuerKind.SOCIAL_BODY, first_day, last_day, rows, *keys, grants=grants)


def authority_entry(
    body: AuthorityBody, origin: str = ORIGIN, signers: Sequence[Ed25519Signer] = AUTHORITY[:2]
) -> bytes:
    proposal = propose(origin, body)
    parts = tuple(cose.sign_part(proposal.protected, proposal.payload, key) for key in signers)
    return proposal.signed(parts)


@dataclass
class FakeLog:
    """`now_ms` is the log's clock and may be moved by a test."""

    filing_terms: Filing
    now_ms: int
    entries: list[bytes] = field(default_factory=list)
    asked_for_lines: int = 0
    line_after: int = 0
    losses: list[str] = field(default_factory=list)  # "before" or "after", one for each call of submit
    submits: int = 0
    refuse_numbers: set[str] = field(default_factory=set)
    silent: bool = False
    proven: int = 0  # answers about evidence

    def __post_init__(self) -> None:
        self._signer = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x11" * 32), MlDsa44Signer(b"\x12" * 32))
        self.vkeys = self._signer.vkeys
        self._frontier = Frontier.empty()
        self._states: dict[bytes, CertificateState] = {}
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._chain = CHAIN_START
        self._seal_at, self._time = -1, 0
        self._answers: dict[bytes, tuple[int, int]] = {}  # identity -> index, batch time
        self._tracks: dict[PersonLineage, bytes] = {}
        self.numbers: set[str] = set()
        self.status: dict[bytes, CertificateStatus] = {}
        self._grades: set[tuple[bytes, int, str]] = set()
        keys = tuple(sorted(key.public for key in AUTHORITY))
        self.genesis = authority_entry(Genesis(ORIGIN, keys, 2, self.filing_terms.first_day))
        self.filed = authority_entry(self.filing_terms)
        self._append([self.genesis, self.filed])
        for at, entry in enumerate((self.genesis, self.filed)):
            self._answers[parse_statement(entry).identity] = (at, self._time)

    async def checkpoint(self) -> bytes:
        checkpoint = Checkpoint(ORIGIN, len(self.entries), self._frontier.root())
        return self._signer.sign(checkpoint, self.now_ms // 1000)

    async def tile(self, path: str) -> bytes:
        tile = parse_tile_path(path)
        start = tile.index * 256
        return format_entries(self.entries[start : start + tile.width])

    async def filing(self, number: str) -> tuple[bytes, int]:
        if number != self.filing_terms.number:
            raise Refused("not_found", "path", refuse(Refusal.FILING_UNKNOWN, "path").text)
        return self.filed, next((at for at, entry in enumerate(self.entries) if entry == self.filed), 1)

    async def tracks(self, persons: Sequence[PersonLineage]) -> list[bytes]:
        assert len(persons) <= 1000
        return [self._tracks.setdefault(person, sha256(repr(person).encode()).digest()[:16]) for person in persons]

    async def taken_numbers(self, numbers: Sequence[str]) -> set[str]:
        assert len(numbers) <= 5000
        return self.numbers & set(numbers)

    async def submit(self, submissions: Sequence[Submission | BareSubmission]) -> Receipt:
        assert 0 < len(submissions) <= 500
        self.submits += 1
        loss = self.losses.pop(0) if self.losses else ""
        if loss == "before":
            raise Unavailable(Text("没有应答", "no answer"), retry_after=1)
        outcomes = self._admit(submissions)
        if loss == "after":
            raise Unavailable(Text("没有应答", "the answer was lost"), retry_after=1)
        if loss == "pending":
            raise Pending((), 0, 1)
        return await self._receipt(outcomes)

    async def statement(self, identity: bytes) -> Receipt | None:
        return await self._receipt([self._answers[identity]]) if identity in self._answers else None

    def add_authority(self, body: AuthorityBody, signers: Sequence[Ed25519Signer] = AUTHORITY[:2]) -> bytes:
        """A statement of the authority, in the log; its bytes. A filing takes the place of the one before."""
        entry = authority_entry(body, signers=signers)
        self._append([entry])
        self._answers[parse_statement(entry).identity] = (len(self.entries) - 2, self._time)
        if isinstance(body, Filing):
            self.filing_terms, self.filed = body, entry
        return entry

    async def _receipt(self, outcomes: Sequence[tuple[int, int] | Refused]) -> Receipt:
        size = len(self.entries)
        answers = tuple(
            outcome
            if isinstance(outcome, Refused)
            else Logged(outcome[0], outcome[1], prove_inclusion(outcome[0], size, self._read))
            for outcome in outcomes
        )
        path = prove_inclusion(size - 1, size, self._read)
        return Receipt(answers, await self.checkpoint(), self.entries[-1], path)

    async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = ()) -> bytes:
        """`cosigned`: with the auditor's line, once `line_after` such questions were asked."""
        if self.silent:
            raise Unavailable(Text("没有应答", "no answer"), retry_after=1)
        self.proven += not cosigned
        self.asked_for_lines += bool(cosigned)
        size, leaves, state = len(self.entries), self._leaves(), self._states.get(cert_key)
        proof = format_map_proof(prove(certificate_map_key(cert_key), leaves))
        seal = Placed(self.entries[-1], prove_inclusion(size - 1, size, self._read))
        note = await self.checkpoint()
        if cosigned and self.asked_for_lines > self.line_after:
            note = with_lines(note, {AUDITOR: self.now_ms // 1000})
        if state is None:
            return format_evidence(Evidence(cert_key, note, seal, None, proof, b""))
        issued = Placed(self.entries[state.issue_index], prove_inclusion(state.issue_index, size, self._read))
        known = {leaf_hash(entry): entry for entry in self.entries}
        commitments = known[state.commitment_leaf] if state.commitment_leaf != state.issue_leaf else b""
        event = known[state.event_leaf] if state.event_leaf not in (state.issue_leaf, state.commitment_leaf) else b""
        said = (state.encode(), issued, commitments, event, known[state.filing_leaf])
        return format_evidence(Evidence(cert_key, note, seal, None, proof, *said))

    def _leaves(self) -> list[tuple[bytes, bytes]]:
        return sorted((certificate_map_key(key), state.value()) for key, state in self._states.items())

    def _fold(self, statement: Statement, index: int) -> None:
        """Status and commitments; nothing about tracks."""
        body = statement.body
        if isinstance(body, Issue | Appoint):
            self._states[body.cert_key] = self._state(statement, body, index)
        for cert_key, state in self._states.items():
            status = self.status[cert_key]
            corrects = isinstance(body, Correct) and body.cert_key == cert_key
            if corrects or status is not state.status:
                leaf = statement.leaf_hash
                self._states[cert_key] = renewed(
                    state,
                    status=status,
                    event_index=index,
                    event_leaf=leaf,
                    event_count=state.event_count + 1,
                    commitment_leaf=leaf if corrects else state.commitment_leaf,
                )

    def _state(self, statement: Statement, issue: Issue | Appoint, index: int) -> CertificateState:
        leaf = statement.leaf_hash
        return CertificateState(
            status=CertificateStatus.IN_FORCE,
            kind=statement.kind,
            grade=issue.grade,
            filing_number=issue.filing_number,
            record_key=self.filing_terms.record_keys[0].public,
            filing_leaf=leaf_hash(self.filed),
            issue_index=index,
            issue_leaf=leaf,
            issue_time=self._time,
            commitment_leaf=leaf,
            event_index=index,
            event_leaf=leaf,
            effective_day=issue.issue_day,
            event_count=1,
            previous=b"",
            successor=b"",
            track_id=issue.track_id,
            summary=TrackSummary(),
        )

    def issues(self) -> list[Issue]:
        """Every certificate on the log, in order."""
        bodies = [parse_statement(entry).body for entry in self.entries if entry[:1] == b"\xd2"]
        return [body for body in bodies if isinstance(body, Issue)]

    def _admit(self, submissions: Sequence[Submission | BareSubmission]) -> list[tuple[int, int] | Refused]:
        fresh: list[bytes] = []
        outcomes: list[bytes | Refused] = []
        for submission in submissions:
            statement = parse_statement(submission.entry)
            identity = statement.identity
            if identity not in self._answers:
                try:
                    self._take(statement, submission)
                except Refused as refusal:
                    outcomes.append(refusal)
                    continue
                time = max(self.now_ms, self._time + 1)
                self._answers[identity] = (len(self.entries) + len(fresh), time)
                fresh.append(submission.entry)
            outcomes.append(identity)
        if fresh:
            self._append(fresh)
        return [outcome if isinstance(outcome, Refused) else self._answers[outcome] for outcome in outcomes]

    def _take(self, statement: Statement, submission: Submission | BareSubmission) -> None:
        body = statement.body
        if statement.envelope.single:
            statement.verify_signature(self.filing_terms.record_keys[0].public)
        if isinstance(submission, BareSubmission):
            if isinstance(body, Ruling | EndAppointment):
                self._rule(body)
            return
        assert isinstance(body, Issue | Appoint | Correct)
        assert submission.face.digest() == body.face and rest_digest(submission.digests) == body.rest
        verify_opening(submission.document, submission.digests)
        if isinstance(body, Correct):
            self.status[body.cert_key] = after(Act.CORRECT, self.status[body.cert_key], "cert_key")
            return
        assert body.track_id in self._tracks.values()
        if isinstance(body, Issue) and body.replaces:
            self.status[body.replaces] = after(Act.REPLACE, self.status[body.replaces], "replaces")
        else:
            person = (body.track_id, body.grade, body.trade)
            if submission.face.number in self.numbers | self.refuse_numbers:
                raise refuse(Refusal.NUMBER_TAKEN, "number")
            if person in self._grades:
                raise refuse(Refusal.DUPLICATE_GRADE, "grade")
            self._grades.add(person)
        self.numbers.add(submission.face.number)
        self.status[body.cert_key] = CertificateStatus.IN_FORCE

    def _rule(self, body: Ruling | EndAppointment) -> None:
        if isinstance(body, EndAppointment):
            self.status[body.cert_key] = after(Act.END, self.status[body.cert_key], "cert_key")
        elif isinstance(body.whom, Range):
            for cert_key, status in self.status.items():
                self.status[cert_key] = swept(ACTS[body.kind], status) or status
        else:
            new = {key: after(ACTS[body.kind], self.status[key], "cert_key") for key in body.whom.cert_keys}
            self.status |= new

    def _append(self, entries: list[bytes]) -> None:
        self._time = max(self.now_ms, self._time + 1)
        hashes = [leaf_hash(entry) for entry in entries]
        self._chain = extend_chain(self._chain, hashes)[-1]
        at = len(self.entries) + len(entries)
        for index, entry in enumerate(entries, len(self.entries)):
            statement = parse_statement(entry)
            self._fold(statement, index)
        leaves = self._leaves()
        seal = Seal(at, self._time, map_root(leaves), len(leaves), self._chain, self._seal_at).encode()
        hashes.append(leaf_hash(seal))
        self._chain = extend_chain(self._chain, hashes[-1:])[-1]
        self._frontier, completed = self._frontier.append(hashes)
        self._hashes |= completed
        self.entries += [*entries, seal]
        self._seal_at = at

    def _read(self, subtrees: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self._hashes[subtree] for subtree in subtrees]

"""Random histories of a whole log: hypothesis draws them, the product and a slow twin live them side by side.

Each rule puts one statement into the next batch; `seal` closes the batch. Then the ledger's store and a replica, which
reads the log back from its bytes, must hold exactly what `slow_life` says: same refusals, same entries, same seal, same
states byte for byte, same roots. Both stores are closed and opened again whenever a rule says so.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import cbor2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ledger.errors import Refused, Unverified
from ledger.records.appointment import Appoint
from ledger.records.authority import FiledKey, Filing, FilingRow, Published
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, FilingStatus, KeyStatus, Kind, Reason, Route
from ledger.records.life import Correct, EndAppointment, Listed, Range, Ruling
from ledger.records.permit import LatePermit, permit_root, permitted_hash, prove_permitted
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.statements import AuthorityBody, Statement, issue_entry, issuer_entry, parse_statement, propose
from ledger.records.cose import sign_part
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.store.integrate import Batch, Integrator
from ledger.store.replay import replay_stretch
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.tlog.keys import ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES, Ed25519Signer
from tests.support import slow_tree
from tests.support.builders import DAY, OCCUPATION, ORIGIN, TIME, WINDOW, key, octets
from tests.support.slow_life import IN_FORCE, SlowLife

T = TypeVar("T")
DEPTH = 4
DAY_MS = 86_400_000
EVERYTHING = [(bytes(32), b"\xff" * 32)]
NUMBERS = ("Y000051000001", "S000151000002")
PERSONS = ("p", "q", "r")
TRADES = ("", "数控车工")
RAM = Path("/dev/shm")

picks = st.integers(0, 2**16)
bodies = st.sampled_from((0, 0, 1))
signers = st.sampled_from((0, 0, 0, 1))
by_whom = st.sampled_from(("issuer", "issuer", "authority"))
days_ago = st.sampled_from((0, 0, 0, 3, 45, -1))
pauses = st.sampled_from((1, 1000, 3_600_000, DAY_MS, 20 * DAY_MS))


class History(RuleBasedStateMachine):
    """One log from its genesis on."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.room = Path(tempfile.mkdtemp(prefix="history-", dir=RAM if RAM.is_dir() else None))
        self.workers = ThreadPoolExecutor(1)
        self.life = SlowLife()
        self.time = TIME
        self.pending: list[bytes] = []
        self.made: list[Issue | Appoint] = []  # every certificate that was ever put forward
        self.count = 0
        self.people = [key(f"authority {at}") for at in range(3)]
        self.refused: dict[str, int] = {}
        self.agree = True
        self.stores = [self._create(name) for name in ("ledger", "replica")]
        self.logs = [self.run(Integrator.open(store)) for store in self.stores]

    def _create(self, name: str) -> Any:
        store = create_sqlite(self.room / name, private=False)
        self.run(store.put_meta({"map_depth": bytes([DEPTH])}))
        return store

    def run(self, work: Awaitable[T]) -> T:
        async def main() -> T:
            return await work

        return self.runner.run(main())

    def teardown(self) -> None:
        try:
            if self.life.entries and self.agree:
                self.seal(1)
                self.open_again(0)
                self.open_again(1)
                self._check_heads()
        finally:
            for store in self.stores:
                store.close_now()
            self.workers.shutdown()
            self.runner.close()
            shutil.rmtree(self.room)

    # ---- what is put forward ------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        from ledger.records.authority import Genesis

        keys = tuple(sorted(person.public for person in self.people))
        self.authority(Genesis(ORIGIN, keys, 2, WINDOW[0]))
        for at in range(2):
            self.authority(self.filing(at))
        self.seal(1)

    def filing(self, at: int, **changes: Any) -> Filing:
        keys = [[FiledKey(key(f"{what} {at} {n}").public, WINDOW[0]) for n in range(2)] for what in ("record", "ask")]
        row = FilingRow(OCCUPATION, "", (2, 3, 4, 5, 6), Audience.OWN_STAFF, WINDOW[0])
        from ledger.records.kinds import IssuerKind

        filing = Filing(
            NUMBERS[at], "示例机构", IssuerKind.EMPLOYER, WINDOW[0], WINDOW[1], (row,), tuple(keys[0]),
            tuple(keys[1]), cap=12, grants=(7, 8),
        )  # fmt: skip
        return replace(filing, **changes)

    def put(self, entry: bytes, *, alone: bool = False) -> None:
        """Into the next batch; what must stand alone gets a batch of its own, unless something is waiting."""
        self.pending.append(entry)
        if alone or len(self.pending) > 7:
            self.seal(1)

    def authority(self, body: AuthorityBody, *, by: Sequence[Ed25519Signer] = (), alone: bool = False) -> None:
        proposal = propose(ORIGIN, body)
        people = by or self.people[:2]
        parts = tuple(sign_part(proposal.protected, proposal.payload, person) for person in people)
        self.put(proposal.signed(parts), alone=alone)

    def issuer(self, body: Any, at: int, signer: int, *, alone: bool = False) -> None:
        self.put(issuer_entry(body, key(f"record {at} {signer}")), alone=alone)

    def certificate(self, body: Issue | Appoint, at: int, signer: int) -> None:
        self.made.append(body)
        self.put(issue_entry(body, key(f"record {at} {signer}")))

    def fresh(self, what: str, size: int = 32) -> bytes:
        self.count += 1
        return octets(f"{what} {self.count}", size)

    def track(self, person: str) -> bytes:
        return octets("track " + person, 16)

    @property
    def today(self) -> int:
        from ledger.records.dates import batch_day

        return batch_day(self.time)

    def chosen(self, pick: int) -> Issue | Appoint:
        return self.made[pick % len(self.made)]

    def body_of(self, made: Issue | Appoint, pick: int) -> int:
        """Mostly the body that issued it."""
        own = NUMBERS.index(made.filing_number)
        return 1 - own if pick % 11 == 0 else own

    def an_issue(self, at: int, person: str, grade: int, ago: int, **changes: Any) -> Issue:
        day = self.today - ago
        issue = Issue(
            self.fresh("cert"), NUMBERS[at], OCCUPATION, "", grade, 7 - grade, day, day - 5, Route.EXAM, "std",
            Audience.OWN_STAFF, self.track(person), self.fresh("face"), self.fresh("rest"),
        )  # fmt: skip
        return replace(issue, **changes)

    @rule(at=bodies, signer=signers, person=st.sampled_from(PERSONS), grade=st.integers(2, 6), ago=days_ago, pick=picks)
    def issue(self, at: int, signer: int, person: str, grade: int, ago: int, pick: int) -> None:
        changes: dict[str, Any] = {"trade": TRADES[pick % 5 == 0]}
        if pick % 13 == 0:
            changes["audience"] = Audience.PUBLIC
        if pick % 17 == 0:
            changes |= {"person_unlinked": True, "track_id": self.track("unlinked")}
        self.certificate(self.an_issue(at, person, grade, ago, **changes), at, signer)

    @rule(at=bodies, person=st.sampled_from(PERSONS), grade=st.integers(5, 6))
    def race(self, at: int, person: str, grade: int) -> None:
        """Two issuers, one person, one batch: one track, and of one grade only one certificate."""
        for body in (at, 1 - at):
            self.certificate(self.an_issue(body, person, grade, 0), body, 0)

    @rule(at=bodies, person=st.sampled_from(PERSONS), top=st.booleans(), pick=picks, ago=days_ago)
    def top_and_post(self, at: int, person: str, top: bool, pick: int, ago: int) -> None:
        """A post, and mostly the certificate that it builds on before it."""
        if top:
            self.certificate(self.an_issue(at, person, 6, ago), at, 0)
        wanted = [made for made in self.made if made.track_id == self.track(person) and made.grade >= 6]
        prerequisite = wanted[pick % len(wanted)].cert_key if wanted else octets("nothing")
        last = (0, self.today, self.today + 25)[pick % 3]
        post = Appoint(
            self.fresh("cert"), NUMBERS[at], OCCUPATION, "", 7 + pick % 2, self.today - ago, self.today - 9, last,
            "任命〔2026〕1号", self.track(person), self.fresh("face"), self.fresh("rest"), prerequisite,
        )  # fmt: skip
        self.certificate(post, at, 0)

    @rule(at=bodies, signer=signers, person=st.sampled_from(PERSONS), ago=st.sampled_from((61, 90, 200)), pick=picks)
    def late(self, at: int, signer: int, person: str, ago: int, pick: int) -> None:
        """Too late; let in by a permit; and by a permit that is for something else."""
        issues = [self.an_issue(at, person, 2 + (pick + n) % 5, ago) for n in range(1 + pick % 4)]
        hashes = [permitted_hash(NUMBERS[at], one.cert_key, one.as_map()) for one in issues]
        wrong = pick % 7
        first = issues[0].issue_day + (wrong == 1)
        permit = LatePermit(
            NUMBERS[1 - at] if wrong == 2 else NUMBERS[at], Reason.OTHER, first, self.today, permit_root(hashes),
            len(hashes),
        )  # fmt: skip
        if wrong != 3:
            self.authority(permit)
            leaf = slow_tree.leaf(self.pending[-1]) if self.pending else slow_tree.leaf(self.life.entries[-2])
        else:
            leaf = octets("no permit")
        for place, one in enumerate(issues):
            proof = None if wrong == 4 else prove_permitted(hashes, (place + (wrong == 5)) % len(hashes), leaf)
            self.certificate(replace(one, permit=proof), at, signer)

    @precondition(lambda self: self.made)
    @rule(pick=picks, signer=signers)
    def reissue(self, pick: int, signer: int) -> None:
        old = self.chosen(pick)
        if isinstance(old, Appoint):
            return
        at = self.body_of(old, pick)
        track = self.track(PERSONS[pick % 3]) if pick % 7 == 0 else self.now(old, "track", old.track_id)
        grade = 2 if pick % 19 == 0 else old.grade
        new = replace(
            old, cert_key=self.fresh("cert"), filing_number=NUMBERS[at], replaces=old.cert_key, permit=None,
            track_id=track, grade=grade, level=7 - grade, face=self.fresh("face"), rest=self.fresh("rest"),
        )  # fmt: skip
        self.certificate(new, at, signer)

    def now(self, made: Issue | Appoint, what: str, otherwise: Any) -> Any:
        return self.life.certs[made.cert_key][what] if made.cert_key in self.life.certs else otherwise

    @precondition(lambda self: self.made)
    @rule(pick=picks, signer=signers, ago=days_ago)
    def end(self, pick: int, signer: int, ago: int) -> None:
        posts = [made for made in self.made if isinstance(made, Appoint)]
        made = posts[pick % len(posts)] if posts and pick % 8 else self.chosen(pick)
        at = self.body_of(made, pick)
        self.issuer(EndAppointment(made.cert_key, Reason.POST_ENDED, self.today - ago, NUMBERS[at]), at, signer)

    @precondition(lambda self: self.made)
    @rule(pick=picks, signer=signers, ago=days_ago, whom=by_whom, move=st.sampled_from(("", "", *PERSONS, "s")))
    def correct(self, pick: int, signer: int, ago: int, whom: str, move: str) -> None:
        made = self.chosen(pick)
        at = self.body_of(made, pick)
        body = Correct(
            made.cert_key, Reason.NAME_CHANGED, self.today - ago, self.fresh("face"), self.fresh("rest"),
            self.track(move) if move else b"", NUMBERS[at] if whom == "issuer" else "",
        )  # fmt: skip
        if whom == "issuer":
            self.issuer(body, at, signer)
        else:
            self.authority(body)

    @precondition(lambda self: self.made)
    @rule(
        kind=st.sampled_from((Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE)),
        shape=st.sampled_from(("one", "one", "list", "range")),
        pick=picks,
        width=st.integers(0, 12),
        signer=signers,
        ago=days_ago,
        whom=by_whom,
    )
    def ruling(self, kind: Kind, shape: str, pick: int, width: int, signer: int, ago: int, whom: str) -> None:
        made = self.chosen(pick)
        at = self.body_of(made, pick)
        if shape == "range":
            first = self.now(made, "index", pick % 40)
            target: Listed | Range = Range(NUMBERS[at], first, first + width)
        elif shape == "list":
            others = [one for one in self.made if one.filing_number == made.filing_number][-1 - width // 3 :]
            target = Listed(tuple(sorted({made.cert_key, *(one.cert_key for one in others)})))
        else:
            target = Listed((made.cert_key,))
        body = Ruling(kind, target, Reason.OTHER, self.today - ago, NUMBERS[at] if whom == "issuer" else "")
        if whom == "issuer":
            self.issuer(body, at, signer, alone=shape == "range")
        else:
            self.authority(body, alone=shape == "range")

    @rule(at=bodies, status=st.sampled_from((1, 2, 1, 2, 1, 2, 3)), ago=st.sampled_from((0, 3, 45, 300, -1)))
    def filing_status(self, at: int, status: int, ago: int) -> None:
        body = FilingStanding(NUMBERS[at], FilingStatus(status), Reason.OTHER, self.today - ago)
        self.authority(body, alone=True)

    @rule(
        at=bodies,
        which=st.sampled_from((0, 1, 1, 2)),
        signer=signers,
        status=st.sampled_from((KeyStatus.RETIRED, KeyStatus.COMPROMISED, KeyStatus.COMPROMISED)),
        back=st.one_of(st.none(), st.integers(-2, 40)),
    )
    def key_status(self, at: int, which: int, signer: int, status: KeyStatus, back: int | None) -> None:
        name = f"ask {at} 0" if which == 2 else f"record {at} {which}"
        number = NUMBERS[at]
        if back is None:
            self.issuer(KeyStanding(number, key(name).public, status, self.today), at, signer, alone=True)
            return
        void_from = max(0, len(self.life.entries) - back) if status is KeyStatus.COMPROMISED else None
        self.authority(KeyStanding(number, key(name).public, status, self.today, void_from), alone=True)

    @rule(at=bodies, what=st.integers(0, 6))
    def filing_change(self, at: int, what: int) -> None:
        extra = FiledKey(key(f"record {at} 2").public, WINDOW[0])
        old = self.filing(at)
        changes: list[dict[str, Any]] = [
            {"cap": 2}, {"cap": 30}, {"record_keys": (*old.record_keys, extra)},
            {"record_keys": old.record_keys[:1]}, {"grants": ()}, {"first_day": self.today},
            {"record_keys": (replace(old.record_keys[0], last_day=self.today), *old.record_keys[1:])},
        ]  # fmt: skip
        self.authority(self.filing(at, change=True, **changes[what]), alone=True)

    @rule(joins=st.booleans(), signs=st.booleans(), threshold=st.sampled_from((2, 2, 3)))
    def authority_change(self, joins: bool, signs: bool, threshold: int) -> None:
        self.count += 1
        people = [*self.people[1:], key(f"new authority {self.count}")] if joins else self.people[::-1]
        keys = tuple(sorted(person.public for person in people))
        old = self.people[: self.life.authority["threshold"] if self.life.authority else 2]
        by = [*old, people[-1]] if joins and signs else old
        sealed = len(self.life.seals)
        self.authority(AuthorityChange(keys, threshold, self.today), by=by, alone=True)
        if len(self.life.seals) > sealed and self.life.said[-1]["kind"] == Kind.AUTHORITY_CHANGE:
            self.people = people

    @rule(pick=picks)
    def log_key(self, pick: int) -> None:
        if pick % 64 == 0:
            self.authority(LogKey(self.today, successor=("next.example/2027", ORIGIN)[pick % 3 == 0]), alone=True)
            return
        ml = octets("ml", 32) * (ML_DSA_44_PUBLIC_BYTES // 32)
        self.authority(LogKey(self.today, octets(f"ed {pick % 3}", ED25519_PUBLIC_BYTES), ml), alone=True)

    @rule(version=st.sampled_from("abcd"), kind=st.sampled_from((Kind.CATALOGUE, Kind.LADDER)))
    def publish(self, version: str, kind: Kind) -> None:
        self.authority(Published(kind, version, octets(version), self.today))

    @rule(at=bodies)
    def file_again(self, at: int) -> None:
        self.authority(self.filing(at))

    @precondition(lambda self: self.pending)
    @rule(bit=picks)
    def forge(self, bit: int) -> None:
        """The last statement again with one bit of its signature changed."""
        changed = bytearray(self.pending[-1])
        changed[-1 - bit % 60] ^= 1 << bit % 8
        self.put(bytes(changed))

    @precondition(lambda self: len(self.life.entries) > 4)
    @rule(pick=picks)
    def again(self, pick: int) -> None:
        """An entry that is in the log already, as if its admission had forgotten it."""
        entry = self.life.entries[pick % len(self.life.entries)]
        if entry[:1] != b"\x87":
            self.put(entry)

    # ---- what must hold -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.pending)
    @rule(pause=pauses)
    def seal(self, pause: int) -> None:
        """Close the batch in all three, and compare them."""
        if not self.pending:
            return
        self.time += pause
        entries, self.pending = self.pending, []
        start, self.agree = len(self.life.entries), False
        codes = self.run(self._ledger(entries))
        assert codes == self.life.batch(entries, self.time)
        for code in codes:
            self.refused[code] = self.refused.get(code, 0) + 1
        new = self.life.entries[start:]
        if new:
            prepared = self.run(replay_stretch(self.logs[1], new, self.workers))
            self.run(self.logs[1].commit(prepared))
        self.check(start)
        self.agree = True

    async def _ledger(self, entries: list[bytes]) -> list[str]:
        """Admit a batch as the ledger does; a code for each entry."""
        log, statements, codes = self.logs[0], [parse_statement(entry) for entry in entries], []
        known = set(await log.store.find([statement.identity for statement in statements]))
        batch = await log.begin(statements, self.time)
        for statement in statements:
            if statement.identity in known:
                codes.append("LOGGED")
                continue
            try:
                batch.add(_authentic(batch, statement))
                known.add(statement.identity)
                codes.append("")
            except Refused as refusal:
                codes.append(refusal.code)
        if len(batch):
            await log.commit(await batch.finish())
        return codes

    def check(self, start: int) -> None:
        """Entries from `start` on, both heads, the whole map, every state."""
        size = len(self.life.entries)
        wanted = {cert: cbor2.dumps(array) for cert, array in self.life.arrays.items()}
        wanted |= {number.encode(): cbor2.dumps(self.life.filing_array(number)) for number in self.life.filings}
        authority = self.life.authority_array()
        if authority[6] > 1:
            wanted[authority[1].encode()] = cbor2.dumps(authority)
        leaves = self.life.map()
        for store in self.stores:
            assert self.run(store.entries(start, size + 1)) == self.life.entries[start:]
            (stored,) = self.run(store.leaves(EVERYTHING))
            assert dict(stored) == leaves
            rows = self.run(store.states(list(leaves)))
            assert {row.subject: row.body for row in rows.values()} == wanted
        self._check_heads()

    def _check_heads(self) -> None:
        """Rule R1, the tree and the map of both heads, against trees that are made anew."""
        size, root, map_root = len(self.life.entries), self.life.root(), slow_tree.map_root(self.life.map())
        for store, log in zip(self.stores, self.logs, strict=True):
            head = self.run(store.head())
            assert head is not None and head == log.head
            assert (head.size, head.root, head.map_root, head.chain) == (size, root, map_root, self.life.chain)
            last = cbor2.loads(self.run(store.entries(size - 1, size))[0])
            assert (last[0], last[1], last[3]) == ("certledger/seal/v1", size - 1, map_root)

    @rule(which=st.integers(0, 1))
    def open_again(self, which: int) -> None:
        self.stores[which].close_now()
        self.stores[which] = open_sqlite(self.room / ("ledger", "replica")[which], private=False)
        self.logs[which] = self.run(Integrator.open(self.stores[which]))


def _authentic(batch: Batch, statement: Statement) -> Authentic:
    """Step 6 under the keys in force where the statement would stand. Raises Refused."""
    from ledger.records.refusals import Refusal, refuse

    view = batch._view
    try:
        if not statement.envelope.single:
            authority = view.authority or statement.body
            return authenticate_authority(statement, authority)  # type: ignore[arg-type]
        filing = view.filing(statement.envelope.issuer)
        if filing is None:
            raise refuse(Refusal.FILING_UNKNOWN, "filing_number")
        found = filing.terms.record_key(statement.kid)
        if found is None:
            raise refuse(Refusal.KEY_UNKNOWN, "kid")
        return authenticate_record(statement, found.public)
    except Unverified:
        raise refuse(Refusal.SIGNATURE, "signature") from None

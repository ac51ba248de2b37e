"""Random histories of a whole log: hypothesis draws them, the product and a slow twin live them side by side.

Each rule puts one statement into the next batch; `seal` closes the batch. Then the ledger's store and a replica, which
reads the log back from its bytes, must hold exactly what `slow_life` says: same refusals, same entries, same seal, same
states byte for byte, same roots. Both stores are closed and opened again whenever a rule says so.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import cbor2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.appointment import Appoint
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis, Published
from ledger.records.claim import Claim, ClaimAct
from ledger.records.cose import sign_part
from ledger.records.dates import batch_day, date_of
from ledger.records.issue import Issue
from ledger.records.kinds import (
    CERTIFICATE_KINDS,
    Audience,
    ClaimStatus,
    FilingStatus,
    IssuerKind,
    KeyStatus,
    Kind,
    Reason,
    Route,
)
from ledger.records.life import Correct, EndAppointment, Listed, Range, Ruling
from ledger.records.pack import ClaimTerms, Pack
from ledger.records.permit import LatePermit, permit_root, permitted_hash, prove_permitted
from ledger.records.qr import Code as QrCode
from ledger.records.refusals import Refusal, refuse
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.secret import cert_key_of
from ledger.records.statements import AuthorityBody, Statement, issue_entry, issuer_entry, parse_statement, propose
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.reference_data import load_catalogue, load_ladder
from ledger.store.batch import Batch
from ledger.store.evidence import Basis, Prover
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.replay import replay_stretch
from ledger.store.serving import Serving
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.store.track_places import TRACK_PLACES, new_places
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES, Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import Note, NoteSignature, format_note
from tests.support import slow_proofs, slow_tree
from tests.support.builders import OCCUPATION, ORIGIN, TIME, WINDOW, octets
from tests.support.builders import key as new_key
from tests.support.slow_life import SlowLife, cert_value, read
from verifier.known_log import read_logged
from verifier.register import FiledTerms, Register
from verifier.trust import Trust
from verifier.verify import Evidence, verify

T = TypeVar("T")
key = cache(new_key)
DEPTH = 4
BASE = "https://cert.test.example"
LOG = Ed25519Signer(octets("log ed"))
TRUST = Trust(
    ORIGIN,
    CheckpointSigner(ORIGIN, LOG, MlDsa44Signer(octets("log ml"))).vkeys,
    bytes(32),
    (BASE,),
    1_000,
    0,
    load_ladder(),
    load_catalogue(),
)
DAY_MS = 86_400_000
EVERYTHING = [(bytes(32), b"\xff" * 32)]
NAMES = ("ledger", "replica")
NUMBERS = ("Y000051000001", "S000151000002")
PAYERS = ("Z000051000001", "Z000051000002")
TERMS = ClaimTerms("A", ("G",), by_trade=False, lower_grades=False, slots=2)  # three nullifiers
PERSONS = ("p", "q", "r")
TRADES = ("", "数控车工")
RAM = Path("/dev/shm")

PAUSES = (1, 1000, 3_600_000, DAY_MS, DAY_MS, 20 * DAY_MS)
AGO = (0, 0, 0, 0, 3, 45, -1)  # days
WEIGHTS = {
    "issue": 20, "race": 4, "top_and_post": 6, "late": 4, "reissue": 6, "end": 4, "correct": 14, "ruling": 18,
    "filing_status": 3, "key_status": 4, "filing_change": 4, "authority_change": 1, "log_key": 1, "publish": 1,
    "file_again": 1, "forge": 1, "again": 1,
    "alone_twice": 1, "pack": 2, "claim": 9, "claim_act": 8,
}  # fmt: skip


class AtOnce(Executor):
    """In the place of worker threads, which so short pieces of work do not repay."""

    def submit(self, work: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **named))
        except BaseException as error:
            done.set_exception(error)
        return done


AT_ONCE = AtOnce()


@dataclass(frozen=True)
class Beginning:
    """Where every history begins: after the first batch, which is always the same, with all that was checked of it."""

    files: dict[str, bytes]
    life: bytes
    time: int
    codes: Counter[str]


BEGINNING: list[Beginning] = []  # made and checked by the first history of this process


class History(RuleBasedStateMachine):
    """One log from its genesis on."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.room = Path(tempfile.mkdtemp(prefix="history-", dir=RAM if RAM.is_dir() else None))
        self.life = SlowLife()
        self.time = TIME
        self.pending: list[bytes] = []
        self.made: list[Issue | Appoint] = []  # every certificate that was ever put forward
        self.count = 0
        self.people = [key(f"authority {at}") for at in range(3)]
        self.codes: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.scanned: dict[bytes, list[Any]] = {}
        self.secrets: dict[bytes, bytes] = {}
        self.restarts = self.proofs = 0
        self.agree = True
        self.anew: tuple[int, tuple[dict[bytes, bytes], bytes, bytes]] | None = None
        self.steps = 0
        self.draw = random.Random(0)
        self.stores: list[Any] = []
        self.logs: list[Integrator] = []

    def _create(self, name: str) -> Any:
        store = create_sqlite(self.room / name, private=False)
        self.run(store.put_meta({"map_depth": bytes([DEPTH])}))
        if name == NAMES[0]:
            self.run(store.put_meta({TRACK_PLACES: new_places(lambda size: bytes(range(size)))}))
        return store

    def run(self, work: Awaitable[T]) -> T:
        """On the loop itself: `Runner.run` would set and reset the signal handlers around each of these many calls."""
        return self.runner.get_loop().run_until_complete(work)

    def teardown(self) -> None:
        try:
            if self.life.entries and self.agree:
                self.seal(1)
                for which in range(2):
                    self.open_again(which)
                    self.run(self._check_head(which))
        finally:
            for store in self.stores:
                store.close_now()
            self.runner.close()
            shutil.rmtree(self.room)

    # ---- what is put forward ------------------------------------------------------------------------------------

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.seed = seed
        if BEGINNING:
            self._begin_from(BEGINNING[0])
        else:
            self._begin_anew()
            BEGINNING.append(self._beginning())
        self.act(seed)

    def _begin_anew(self) -> None:
        self.stores = [self._create(name) for name in NAMES]
        self.logs = [self.run(Integrator.open(store)) for store in self.stores]
        keys = tuple(sorted(person.public for person in self.people))
        self.authority(Genesis(ORIGIN, keys, 2, WINDOW[0]))
        for at in range(2):
            self.authority(self.filing(at))
            self.authority(self.payer(at))
        self.authority(self.a_pack(0))
        self.seal(1)

    def _beginning(self) -> Beginning:
        """Both stores as files, closed; and the twin beside them."""
        for store in self.stores:
            store.close_now()
        files = {path.name: path.read_bytes() for path in self.room.iterdir()}
        self._open()
        return Beginning(files, pickle.dumps(self.life), self.time, self.codes.copy())

    def _begin_from(self, beginning: Beginning) -> None:
        for name, raw in beginning.files.items():
            (self.room / name).write_bytes(raw)
        self._open()
        self.life, self.time = pickle.loads(beginning.life), beginning.time
        self.codes.update(beginning.codes)

    def _open(self) -> None:
        self.stores = [open_sqlite(self.room / name, private=False) for name in NAMES]
        self.logs = [self.run(Integrator.open(store)) for store in self.stores]

    def filing(self, at: int, **changes: Any) -> Filing:
        keys = [[FiledKey(key(f"{what} {at} {n}").public, WINDOW[0]) for n in range(2)] for what in ("record", "ask")]
        row = FilingRow(OCCUPATION, "", (2, 3, 4, 5, 6), Audience.OWN_STAFF, WINDOW[0])
        filing = Filing(
            NUMBERS[at], "示例机构", IssuerKind.EMPLOYER, WINDOW[0], WINDOW[1], (row,), tuple(keys[0]),
            tuple(keys[1]), cap=12, grants=(7, 8),
        )  # fmt: skip
        return replace(filing, **changes)

    def payer(self, at: int) -> Filing:
        """The second one's filing ends within the history, sometimes."""
        keys = [(FiledKey(key(f"payer {what} {at}").public, WINDOW[0]),) for what in ("record", "ask")]
        last = WINDOW[1] if at == 0 else self.today + 120
        schemes = ("A", "B")[: 2 - at]
        return Filing(
            PAYERS[at], "示例经办机构", IssuerKind.PAYER, WINDOW[0], last, (), keys[0], keys[1], schemes=schemes
        )  # fmt: skip

    def a_pack(self, which: int) -> Pack:
        """0: of scheme A; 1: of scheme B, which only one payer is filed for; 2: over soon; 3: without terms."""
        terms = (TERMS, replace(TERMS, scheme="B"), TERMS, None)[which]
        last = TIME // DAY_MS + 30 if which == 2 else 0
        return Pack(f"pack{which}", "1", octets(f"pack {which}"), WINDOW[0], last, terms)

    def put(self, entry: bytes, *, alone: bool = False) -> None:
        """Into the next batch; what must stand alone gets a batch of its own, unless something is waiting."""
        self.pending.append(entry)
        if alone or len(self.pending) > 7:
            self.seal(self.draw.choice(PAUSES))

    def authority(self, body: AuthorityBody, *, by: Sequence[Ed25519Signer] = (), alone: bool = False) -> None:
        self.put(self.sign(body, by or self.people), alone=alone)

    def sign(self, body: AuthorityBody, people: Sequence[Ed25519Signer]) -> bytes:
        proposal = propose(ORIGIN, body)
        return proposal.signed(tuple(sign_part(proposal.protected, proposal.payload, person) for person in people))

    def state(self, body: Any, at: int, *, by_issuer: bool, alone: bool = False) -> None:
        if by_issuer:
            self.put(issuer_entry(body, key(f"record {at} {self.a_key(at)}")), alone=alone)
        else:
            self.authority(body, alone=alone)

    def certificate(self, body: Issue | Appoint, at: int, signer: int) -> None:
        self.made.append(body)
        self.put(issue_entry(body, key(f"record {at} {signer}")))

    def fresh(self, what: str, size: int = 32) -> bytes:
        self.count += 1
        return octets(f"{what} {self.count}", size)

    def cert(self) -> bytes:
        secret = self.fresh("secret", 16)
        self.secrets[cert_key_of(secret)] = secret
        return cert_key_of(secret)

    def track(self, person: str) -> bytes:
        return octets("track " + person, 16)

    @property
    def today(self) -> int:
        return batch_day(self.time)

    @rule(seed=st.integers(0, 2**32 - 1))
    def act(self, seed: int) -> None:
        """Two to eight statements. The draw depends on the place in the history too, so that no value is stuck."""
        self.steps += 1
        self.draw = random.Random(f"{self.seed} {seed} {self.steps}")
        for _ in range(self.draw.randint(2, 8)):
            (what,) = self.draw.choices(list(WEIGHTS), list(WEIGHTS.values()))
            if self.made or what not in ("reissue", "end", "correct", "ruling"):
                getattr(self, what)()

    def chance(self, one_in: int) -> bool:
        return self.draw.randrange(one_in) == 0

    def a_body(self) -> int:
        return int(self.chance(3))

    def a_key(self, at: int) -> int:
        """Which of its record keys, mostly one that is live."""
        filing, known = self.life.filings[NUMBERS[at]], [key(f"record {at} {n}").public for n in range(4)]
        live = [n for n, public in enumerate(known) if filing["keys"].get(public, [0])[0] == 1]
        return self.draw.choice(live) if live and not self.chance(12) else self.draw.randrange(3)

    def ago(self) -> int:
        return self.draw.choice(AGO)

    def chosen(self) -> Issue | Appoint:
        """Any certificate that was ever put forward, mostly one of the last."""
        known = [made for made in self.made if made.cert_key in self.life.certs]
        some = self.made[-6:] if self.chance(6) or not known else known
        return self.draw.choice(some if self.chance(2) else some[-6:])

    def body_of(self, made: Issue | Appoint) -> int:
        """Mostly the body that issued it."""
        own = NUMBERS.index(made.filing_number)
        return 1 - own if self.chance(15) else own

    def now(self, made: Issue | Appoint, what: str, otherwise: Any) -> Any:
        return self.life.certs[made.cert_key][what] if made.cert_key in self.life.certs else otherwise

    def an_issue(self, at: int, person: str, grade: int, ago: int, **changes: Any) -> Issue:
        day = self.today - ago
        issue = Issue(
            self.cert(), NUMBERS[at], OCCUPATION, "", grade, 7 - grade, day, day - 5, Route.EXAM, "std",
            Audience.OWN_STAFF, self.track(person), self.fresh("face"), self.fresh("rest"),
        )  # fmt: skip
        return replace(issue, **changes)

    def issue(self) -> None:
        changes: dict[str, Any] = {"trade": TRADES[self.chance(3)]}
        if self.chance(20):
            changes["audience"] = Audience.PUBLIC
        if self.chance(20):
            changes |= {"person_unlinked": True, "track_id": self.track("unlinked")}
        at = self.a_body()
        issue = self.an_issue(at, self.draw.choice(PERSONS), self.draw.randint(2, 6), self.ago(), **changes)
        self.certificate(issue, at, self.a_key(at))

    def race(self) -> None:
        """Two issuers, one person, one batch: one track, and of one grade only one certificate."""
        person, grade = self.draw.choice(PERSONS), self.draw.randint(2, 6)
        for at in self.draw.sample((0, 1), 2):
            self.certificate(self.an_issue(at, person, grade, 0), at, 0)

    def top_and_post(self) -> None:
        """A post, and sometimes the certificate that it builds on before it."""
        at, person, today = self.a_body(), self.draw.choice(PERSONS), self.today
        wanted = [made for made in self.made if made.track_id == self.track(person) and made.grade >= 6]
        if not wanted or self.chance(3):
            self.certificate(self.an_issue(at, person, 6, self.ago()), at, self.a_key(at))
            wanted.append(self.made[-1])
        post = Appoint(
            self.cert(), NUMBERS[at], OCCUPATION, "", self.draw.choice((7, 8)), today - self.ago(), *self.a_term(),
            "任命〔2026〕1号", self.track(person), self.fresh("face"), self.fresh("rest"),
            self.draw.choice(wanted).cert_key,
        )  # fmt: skip
        self.certificate(post, at, self.a_key(at))

    def a_term(self) -> tuple[int, int]:
        """First and last day of a post: it may be open, over today, or to come."""
        first = self.today + self.draw.choice((-9, -9, 12))
        return first, self.draw.choice((0, max(first, self.today), self.today + 25))

    def late(self) -> None:
        """Let in by a permit; too late without one, and with one for something else."""
        at, wrong = self.a_body(), self.draw.randrange(12)
        person, ago = self.draw.choice(PERSONS), self.draw.choice((61, 90, 200))
        count = self.draw.randint(1, 4)
        issues = [self.an_issue(at, person, grade, ago) for grade in self.draw.sample(range(2, 7), count)]
        hashes = [permitted_hash(NUMBERS[at], one.cert_key, one.as_map()) for one in issues]
        first = issues[0].issue_day + (wrong == 1)
        permit = LatePermit(
            NUMBERS[1 - at] if wrong == 2 else NUMBERS[at], Reason.OTHER, first, self.today, permit_root(hashes),
            len(hashes),
        )  # fmt: skip
        leaf = octets("no permit")
        if wrong != 3:
            entry = self.sign(permit, self.people)
            leaf = slow_tree.leaf(entry)
            self.put(entry)
        for place, one in enumerate(issues):
            proof = None if wrong == 4 else prove_permitted(hashes, (place + (wrong == 5)) % len(hashes), leaf)
            self.certificate(replace(one, permit=proof), at, self.a_key(at))

    def reissue(self) -> None:
        old = self.chosen()
        if isinstance(old, Appoint):
            return
        at = self.body_of(old)
        track = self.track(self.draw.choice(PERSONS)) if self.chance(15) else self.now(old, "track", old.track_id)
        grade = 2 if self.chance(20) else old.grade
        new = replace(
            old, cert_key=self.cert(), filing_number=NUMBERS[at], replaces=old.cert_key, permit=None,
            track_id=track, grade=grade, level=7 - grade, face=self.fresh("face"), rest=self.fresh("rest"),
        )  # fmt: skip
        self.certificate(new, at, self.a_key(at))

    def end(self) -> None:
        posts = [made for made in self.made if isinstance(made, Appoint)]
        made = self.draw.choice(posts) if posts and not self.chance(8) else self.chosen()
        at = self.body_of(made)
        body = EndAppointment(made.cert_key, Reason.POST_ENDED, self.today - self.ago(), NUMBERS[at])
        self.put(issuer_entry(body, key(f"record {at} {self.a_key(at)}")))

    def correct(self) -> None:
        made = self.chosen()
        at, by_issuer = self.body_of(made), not self.chance(4)
        move = self.track(self.draw.choice((*PERSONS, "s"))) if self.chance(2) else b""
        body = Correct(
            made.cert_key, Reason.NAME_CHANGED, self.today - self.ago(), self.fresh("face"), self.fresh("rest"), move,
            NUMBERS[at] if by_issuer else "",
        )  # fmt: skip
        self.state(body, at, by_issuer=by_issuer)

    def ruling(self) -> None:
        made = self.chosen()
        at, by_issuer = self.body_of(made), not self.chance(3)
        kind = self.draw.choice((Kind.SUSPEND, Kind.RESTORE, Kind.RESTORE, Kind.REVOKE))
        shape, width = self.draw.choice(("one", "one", "list", "range")), self.draw.randint(0, 12)
        target: Listed | Range = Listed((made.cert_key,))
        if shape == "range":
            first = self.now(made, "index", width)
            target = Range(NUMBERS[at], max(0, first - width), first + width)
        elif shape == "list":
            others = [one for one in self.made if one.filing_number == made.filing_number]
            some = self.draw.sample(others, min(len(others), 1 + width // 4))
            target = Listed(tuple(sorted({made.cert_key, *(one.cert_key for one in some)})))
        body = Ruling(kind, target, Reason.OTHER, self.today - self.ago(), NUMBERS[at] if by_issuer else "")
        self.state(body, at, by_issuer=by_issuer, alone=shape == "range")

    def filing_status(self) -> None:
        status = FilingStatus(self.draw.choice((1,) * 8 + (2,) * 8 + (3,)))
        since = self.today - self.draw.choice((0, 3, 45, 300, -1))
        self.authority(FilingStanding(NUMBERS[self.a_body()], status, Reason.OTHER, since), alone=True)

    def key_status(self) -> None:
        at = self.a_body()
        name = self.draw.choice((f"record {at} 0", f"record {at} 1", f"record {at} 1", f"ask {at} 0"))
        status = KeyStatus.RETIRED if self.chance(5) else KeyStatus.COMPROMISED
        number, public, by_issuer, void_from = NUMBERS[at], key(name).public, self.chance(5), None
        if not by_issuer and status is KeyStatus.COMPROMISED and not self.chance(8):
            size = len(self.life.entries)
            void_from = self.draw.randint(0, size + 2)
        body = KeyStanding(number, public, status, self.today, void_from)
        self.state(body, at, by_issuer=by_issuer, alone=True)

    def filing_change(self) -> None:
        at = self.a_body()
        old = self.filing(at)
        first, second = old.record_keys
        extra = [FiledKey(key(f"record {at} {n}").public, WINDOW[0]) for n in (2, 3)]
        changes: dict[str, Any] = self.draw.choice(
            (
                {"cap": 6}, {"cap": 30}, {"record_keys": (first, second, *extra)}, {"record_keys": (first,)},
                {"grants": ()}, {"first_day": self.today}, {"rows": (replace(old.rows[0], grades=(2, 3)),)},
                {"record_keys": (replace(first, last_day=self.today), second, *extra)},
            )
        )  # fmt: skip
        self.authority(self.filing(at, change=True, **changes), alone=True)

    def authority_change(self) -> None:
        joins, signs = self.chance(2), not self.chance(4)
        new = [*self.people[1:], key(self.fresh("person").hex())] if joins else self.people
        threshold = self.draw.choice((2, 2, 3))
        by = [*self.people, new[-1]] if joins and signs else self.people
        body = AuthorityChange(tuple(sorted(person.public for person in new)), threshold, self.today)
        sealed = len(self.life.said)
        self.authority(body, by=by, alone=True)
        if len(self.life.said) > sealed and self.life.said[-1]["kind"] == Kind.AUTHORITY_CHANGE:
            self.people = new

    def log_key(self) -> None:
        ml = octets("ml", 32) * (ML_DSA_44_PUBLIC_BYTES // 32)
        keys = LogKey(self.today, octets(f"ed {self.draw.randrange(3)}", ED25519_PUBLIC_BYTES), ml)
        end = LogKey(self.today, successor=self.draw.choice(("next.example/2027", ORIGIN)))
        self.authority(end if self.chance(12) else keys, alone=True)

    def publish(self) -> None:
        version, kind = self.draw.choice("abcd"), self.draw.choice((Kind.CATALOGUE, Kind.LADDER))
        self.authority(Published(kind, version, octets(version), self.today))

    def pack(self) -> None:
        pack = self.a_pack(self.draw.randrange(4))
        if self.chance(3):
            at = self.a_body()
            own = replace(pack, terms=None, issuer=NUMBERS[at])
            self.put(issuer_entry(own, key(f"record {at} {self.a_key(at)}")))
        else:
            self.authority(replace(pack, version=self.draw.choice("12")))

    def claim(self) -> None:
        """Of few nullifiers, so that most of them are met again."""
        at = self.draw.randrange(2)
        width = 3 if not self.chance(12) else self.draw.randint(1, 4)
        pool = [octets(f"nullifier {n}") for n in range(14)]
        chosen, known = self.draw.sample(pool, width), self.claims()
        if known and self.chance(3):  # what an earlier claim took, whatever has become of it
            chosen = self.draw.choice(known)["fields"][4]
        year = date_of(self.today).year
        body = Claim(
            PAYERS[at],
            self.fresh("holder"),
            octets(f"pack {self.draw.choice((0,) * 9 + (1, 2, 3))}"),
            self.draw.choice((year, year, year, year - 1, year + 1)),
            tuple(sorted(chosen)),
            self.fresh("decision"),
            self.today + self.draw.choice((0, 1, 20, 90, 90, 91, -1)),
        )
        record = key(f"payer record {at}") if not self.chance(15) else key("record 0 0")
        self.put(issuer_entry(replace(body, issuer=NUMBERS[0]) if record is key("record 0 0") else body, record))

    def claims(self) -> list[dict[str, Any]]:
        return [said for said in self.life.said if said["kind"] == Kind.CLAIM]

    def claim_act(self) -> None:
        if self.chance(15):
            status = FilingStatus(self.draw.choice((1, 1, 2)))
            self.authority(FilingStanding(self.draw.choice(PAYERS), status, Reason.OTHER, self.today), alone=True)
        known = self.claims()
        if not known:
            self.claim()
            return
        leaf, number = octets("no claim"), PAYERS[0]
        said = self.draw.choice(known[-5:] if self.chance(2) else known)
        if not self.chance(10):
            leaf, number = said["leaf"], said["issuer"] if not self.chance(10) else self.draw.choice(PAYERS)
        kinds = (Kind.PAY, Kind.PAY, Kind.RELEASE, Kind.CLAW_BACK)
        if leaf == said["leaf"] and self.life.claim_array(said)[1] == ClaimStatus.PAID:
            kinds = (Kind.CLAW_BACK,) * 4 + kinds
        kind = self.draw.choice(kinds)
        reason = None if kind is Kind.PAY else self.draw.choice((Reason.FRAUD, Reason.OTHER))
        body = ClaimAct(kind, leaf, self.today - self.ago(), number, reason)
        self.put(issuer_entry(body, key(f"payer record {PAYERS.index(number)}")))

    def file_again(self) -> None:
        self.authority(self.filing(self.a_body(), cap=99))

    def forge(self) -> None:
        """A statement again with one bit of its signature changed."""
        changed = bytearray(self.pending[-1] if self.pending else self.life.entries[-2])
        changed[-1 - self.draw.randrange(60)] ^= 1 << self.draw.randrange(8)
        self.put(bytes(changed))

    def alone_twice(self) -> None:
        """One person of the authority signs twice, instead of two people."""
        version = self.fresh("version", 8).hex()
        entry = self.sign(Published(Kind.CATALOGUE, version, octets(version), self.today), self.people[:1])
        parts = cbor2.loads(entry[2:])
        parts[3] *= 2
        self.put(entry[:2] + cbor2.dumps(parts))

    def again(self) -> None:
        """A statement that is in the log already."""
        entry = self.draw.choice(self.life.entries)
        if entry[:1] != b"\x87":
            self.put(entry)

    # ---- what must hold -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.pending)
    @rule(pause=st.sampled_from(PAUSES))
    def seal(self, pause: int) -> None:
        """Close the batch in all three, and compare them."""
        if not self.pending:
            return
        self.time += pause
        entries, self.pending = self.pending, []
        self.run(self._seal(entries))

    async def _seal(self, entries: list[bytes]) -> None:
        start, self.agree = len(self.life.entries), False
        codes = await self._ledger(entries)
        wanted = self.life.batch(entries, self.time)
        differ = [
            (code, other, read(entry)["fields"])
            for code, other, entry in zip(codes, wanted, entries, strict=True)
            if code != other
        ]
        assert not differ, f"codes differ (product, twin, statement): {differ}"
        self.codes.update(codes)
        await self._check(0, start)
        new = self.life.entries[start:]
        if new:
            await self.logs[1].commit(await replay_stretch(self.logs[1], new, AT_ONCE))
            if len(self.life.seals) % 3:
                await self._check_head(1)
            else:
                await self._check(1, start)
                await self._prove()
            await self._scan()
        self.agree = True

    async def _ledger(self, entries: list[bytes]) -> list[str]:
        """Admit a batch as the ledger does; a code for each entry."""
        log, statements, codes = self.logs[0], [_parse(entry) for entry in entries], []
        read = [statement for statement in statements if statement is not None]
        batch = await log.begin(read, self.time)
        known = set(await log.store.find([one.identity for one in read if one.kind not in CERTIFICATE_KINDS]))
        for one in read:
            member = batch.member(one.body.cert_key) if isinstance(one.body, Issue | Appoint) else None
            if member is not None and member[1].issue_leaf == one.leaf_hash:
                known.add(one.identity)
        for statement in statements:
            if statement is None:
                codes.append("MALFORMED")
                continue
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

    async def _check(self, which: int, start: int) -> None:
        """Entries from `start` on, the head, the whole map and every state of one of the two."""
        size, store = len(self.life.entries), self.stores[which]
        wanted = {cert: cbor2.dumps(array) for cert, array in self.life.arrays.items()}
        wanted |= {number.encode(): cbor2.dumps(self.life.filing_array(number)) for number in self.life.filings}
        for said in self.life.said:
            if said["kind"] == Kind.CLAIM:
                wanted[said["leaf"]] = cbor2.dumps(self.life.claim_array(said))
                wanted |= dict.fromkeys(said["fields"][4], cbor2.dumps([1, said["leaf"]]))
        authority = self.life.authority_array()
        if authority[6] > 1:
            wanted[authority[1].encode()] = cbor2.dumps(authority)
        leaves, _, _ = self._anew()
        rows = await store.states(list(leaves))
        found = {row.subject: row.body for row in rows.values()}
        different = [
            f"{name.hex()}\n  {cbor2.loads(found[name]) if name in found else None}\n  {cbor2.loads(body)}"
            for name, body in wanted.items()
            if found.get(name) != body
        ]
        assert not different, "states differ (product, twin):\n" + "\n".join(different)
        (stored,) = await store.leaves(EVERYTHING)
        assert dict(stored) == leaves
        assert await store.entries(start, size + 1) == self.life.entries[start:]
        await self._check_head(which)

    async def _scan(self) -> None:
        """Scan, at the replica, every certificate whose state has changed."""
        for cert, array in self.life.arrays.items():
            if self.scanned.get(cert) == array:
                continue
            self.scanned[cert] = array
            evidence = Evidence(QrCode(BASE, self.secrets[cert]), await self._register(cert))
            verdict = verify(evidence, TRUST, self.time)
            wanted = self.life.verdict(cert, self.today)
            assert verdict.code == wanted, (cert.hex(), verdict.code, wanted, verdict.findings, array)
            self.verdicts[verdict.code.value] += 1

    async def _prove(self) -> None:
        """Have the replica prove a state, and the slow verifier judge the proof: of a certificate, and of nobody."""
        size, (_, root, _) = len(self.life.entries), self._anew()
        text = f"{ORIGIN}\n{size}\n{base64.b64encode(root).decode()}\n"
        line = NoteSignature(ORIGIN, TRUST.keys[0].key_id, LOG.sign(text.encode()))
        basis = Basis(size, format_note(Note(text, (line,))), self.time)
        trust = {"origin": ORIGIN, "log_keys": [TRUST.keys[0].format_vkey()], "policy": "quorum none\n", "auditors": []}
        log = self.logs[1]
        prover = Prover(log, Hashes(self.stores[1]), Serving(log))
        for cert in (*list(self.life.arrays)[-1:], octets("nobody")):
            told = slow_proofs.check(await prover.current(cert, basis), trust)
            array = self.life.arrays.get(cert)
            assert (told["cert_key"], told["size"], told["seal"]) == (cert.hex(), size, size - 1)
            assert told["status"] == (array[1] if array else 0)
            assert told["map_value"] == (cert_value(array).hex() if array else "")
            self.proofs += 1

    async def _register(self, cert: bytes) -> Register:
        log = self.logs[1]
        state = await log.certificate(cert)
        assert state is not None and log.head is not None
        filing = await log.filing(state.filing_number)
        assert filing is not None
        terms = FiledTerms(filing.terms, filing.terms_leaf)
        return Register(log.head.size, log.head.root, self.time, await read_logged(log, state), terms)

    def _anew(self) -> tuple[dict[bytes, bytes], bytes, bytes]:
        """The state map, the root of the log and that of the map, from scratch for each size."""
        if self.anew is None or self.anew[0] != len(self.life.entries):
            leaves, map_root = self.life.sealed
            self.anew = len(self.life.entries), (leaves, self.life.root(), map_root)
        return self.anew[1]

    async def _check_head(self, which: int) -> None:
        """Rule R1, the tree and the map under the head, against trees that are made anew."""
        size, (_, root, map_root) = len(self.life.entries), self._anew()
        store = self.stores[which]
        head = await store.head()
        assert head is not None and head == self.logs[which].head
        assert (head.size, head.root, head.map_root, head.chain) == (size, root, map_root, self.life.chain)
        last = cbor2.loads((await store.entries(size - 1, size))[0])
        assert (last[0], last[1], last[3]) == ("certledger/seal/v1", size - 1, map_root)

    @rule(which=st.integers(0, 1))
    def open_again(self, which: int) -> None:
        self.restarts += 1
        self.stores[which].close_now()
        self.stores[which] = open_sqlite(self.room / NAMES[which], private=False)
        self.logs[which] = self.run(Integrator.open(self.stores[which]))


def _parse(entry: bytes) -> Statement | None:
    try:
        return parse_statement(entry)
    except Malformed:
        return None


def _authentic(batch: Batch, statement: Statement) -> Authentic:
    """Step 6 under the keys in force where the statement would stand. Raises Refused."""
    view = batch.view
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

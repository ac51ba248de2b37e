"""Kits over a small built log: a replica that follows it, a kit made of that, and the texts to judge by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ledger.records.appointment import Appoint
from ledger.records.authority import FilingRow
from ledger.records.cose import sign_part
from ledger.records.kinds import Audience, FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Correct, Listed, Ruling
from ledger.records.qr import Code as QrCode
from ledger.records.qr import format_code, format_fragment
from ledger.records.statements import AuthorityBody, issue_entry, issuer_entry, parse_statement, propose
from ledger.store.sqlite import create_sqlite
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.note import ED25519, VerifierKey
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    BASE,
    FILING,
    ISSUE_DAY,
    MAP_DEPTH,
    OCCUPATION,
    ORIGIN,
    POLICY,
    WITNESS,
    Certificate,
    FakeLedger,
    LogBuilder,
    octets,
)
from verifier.kit.format import LISTS, Halt, Kit, KitFiling, KitKey, KitLog, sign_kit
from verifier.kit.index_set import IndexSet
from verifier.kit.make import make_kit
from verifier.log_end import LogEnd
from verifier.replica import Replica
from verifier.trust import Trust

MAKER = Ed25519Signer(octets("maker of kits"))
MAKER_KEY = VerifierKey("kit.test.example", ED25519, MAKER.public)
LIMIT_MS = 72 * 3_600_000

# Every part of a kit, made up.
_ROW = FilingRow("6-18-01-01", "", (2, 3), Audience.PUBLIC, 20_000)
KIT_FILING = KitFiling(
    "Y000051000001", "示例公司", FilingStatus.ACTIVE, 1, 30_000, False, (_ROW,), (7,),
    (KitKey(octets("key"), 1, 0, KeyStatus.LIVE), KitKey(octets("old"), 1, 9, KeyStatus.COMPROMISED, 77)),
)  # fmt: skip
_SETS = {name: IndexSet.of(range(at, 9 * at, at + 1)) for at, name in enumerate(LISTS)}
KIT_LOG = KitLog(
    "log.test.example", b"note", b"seal", (octets("a"), octets("b")), 5_000, LogEnd(b"end", (octets("c"),)), Halt.NONE,
    (KIT_FILING,), 33, _SETS,
)  # fmt: skip
SAMPLE_KIT = Kit(
    6_000, 7_000, ("https://cert.test.example",), ((4, "三级/高级工", "Level III"),), (("6-18-01-01", "车工"),),
    (KIT_LOG,),
)  # fmt: skip


async def appoint(log: LogBuilder, **terms: tuple[int, int]) -> dict[str, str]:
    """The texts of posts as 特级技师, each of another person, by name, with their first and last day (0: open)."""
    rows = (replace(log.filing().rows[0], grades=(2, 3, 4, 5, 6)),)
    await log.batch([log.filing_entry(change=True, grants=(7, 8), rows=rows)])
    texts = {}
    for name, (first_day, last_day) in terms.items():
        base, made = (log.certificate(f"{name}{what}", grade=6, track=name) for what in ("", " post"))
        post = Appoint(
            made.issue.cert_key, FILING, OCCUPATION, "", 7, ISSUE_DAY, first_day, last_day, "人社〔2026〕1号",
            made.issue.track_id, made.face.digest(), made.issue.rest, base.issue.cert_key,
        )  # fmt: skip
        entry = issue_entry(post, log.record_key)
        _, index = await log.batch([base.statement.entry, entry])
        texts[name] = format_code(QrCode(BASE, made.secret, format_fragment(parse_statement(entry), made.face, index)))
    return texts


@dataclass
class KitDesk:
    """One log, its replica, and certificates to whom all sorts of things have happened, by name."""

    log: LogBuilder
    replica: Replica
    trust: Trust
    ledger: FakeLedger
    texts: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)

    async def issue(self, *names: str, **how: Any) -> None:
        made = [self.log.certificate(name, **how) for name in names]
        for name, one, index in zip(names, made, await self.log.issue(*made), strict=True):
            self.certificates[name], self.texts[name] = one, format_code(one.code(index))

    def key(self, name: str) -> bytes:
        return self.certificates[name].issue.cert_key

    async def rule(self, kind: Kind, *names: str) -> None:
        keys = tuple(sorted(self.key(name) for name in names))
        ruling = Ruling(kind, Listed(keys), Reason.FRAUD, ISSUE_DAY + 1, FILING)
        await self.log.batch([issuer_entry(ruling, self.log.record_key)])

    async def by_authority(self, body: AuthorityBody) -> None:
        proposal = propose(self.log.origin, body)
        parts = (sign_part(proposal.protected, proposal.payload, person) for person in self.log.people[:2])
        await self.log.batch([proposal.signed(tuple(parts))])

    async def renew(self, now_ms: int) -> None:
        """A checkpoint of this moment, and the replica has it."""
        self.ledger.time_ms = now_ms
        await self.replica.poll(now_ms)

    async def kit(self, **changes: Any) -> Kit:
        await self.replica.poll(self.log.time)
        made = await make_kit([(self.replica, self.trust)], self.log.time, LIMIT_MS)
        return replace(made, **changes)

    def signed(self, kit: Kit) -> bytes:
        return sign_kit(kit, MAKER_KEY.name, MAKER)


@asynccontextmanager
async def kit_desk(folder: Path, origin: str = ORIGIN, seed: str = "") -> AsyncIterator[KitDesk]:
    folder.mkdir(exist_ok=True)
    log = await LogBuilder.create(folder / "log.db", origin=origin, seed=seed)
    log.cosigned_by = (WITNESS, AUDITOR)
    trust = log.trust(policy=POLICY, map_auditors=AUDITORS)
    store = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    with ThreadPoolExecutor(1) as pool:
        ledger = FakeLedger(log)
        replica = await Replica.open(store, ledger, trust, pool)
        yield KitDesk(log, replica, trust, ledger)
    await store.close()
    await log.store.close()


async def kit_of(*desks: KitDesk, now_ms: int) -> Kit:
    """Of these logs, as their replicas are."""
    return await make_kit([(desk.replica, desk.trust) for desk in desks], now_ms, LIMIT_MS)


async def live_through(desk: KitDesk) -> None:
    """Certificates of every fate: valid, revoked, suspended, replaced, corrected, superseded; one issued at last."""
    await desk.issue("valid", "revoked", "suspended", "replaced", "corrected", "restored")
    await desk.issue("lower", track="climber", grade=3)
    await desk.issue("higher", track="climber", grade=4)
    await desk.rule(Kind.REVOKE, "revoked")
    await desk.rule(Kind.SUSPEND, "suspended", "restored")
    await desk.rule(Kind.RESTORE, "restored")
    old = desk.certificates["corrected"].issue
    fixed = Correct(old.cert_key, Reason.NAME_CHANGED, ISSUE_DAY + 1, octets("new face"), old.rest, b"", FILING)
    await desk.log.batch([issuer_entry(fixed, desk.log.record_key)])
    lost = desk.certificates["replaced"].issue
    again = desk.log.certificate("again", replaces=lost.cert_key, track_id=lost.track_id)
    desk.certificates["again"] = again
    (index,) = await desk.log.batch([issue_entry(again.issue, desk.log.record_key)])
    desk.texts["again"] = format_code(again.code(index))

"""A log that lies, as a person at a counter meets it: no lie makes a revoked certificate green, and its place is named.

Twice each: for a verifier with an own replica, and for one that asks for evidence and relies on a witness and a map
auditor. How the auditor itself finds and proves the same lies: tests/verifier/audit/test_run.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.seal import CHAIN_START, Seal, extend_chain, is_seal, parse_seal
from ledger.records.secret import format_secret
from ledger.records.statements import issue_entry, issuer_entry
from ledger.store.sqlite import create_sqlite
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.tiles import format_entries, parse_entries
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    FILING,
    ISSUE_DAY,
    MAP_DEPTH,
    POLICY,
    WITNESS,
    Certificate,
    FakeLedger,
    LogBuilder,
    octets,
)
from tests.support.lying_log import RawLog
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.replica import Replica
from verifier.trust import Trust
from verifier.verdict import GREEN, VALID_FAMILY, Code
from verifier.violation import Violation

SKEW_MS = 20_000


@dataclass
class Counter:
    """A log with a revoked certificate, a good one, and somebody who scans both."""

    log: LogBuilder
    good: Certificate
    revoked: Certificate
    entries: list[bytes]

    @property
    def now_ms(self) -> int:
        return self.log.time + SKEW_MS

    async def scan(self, replica: Replica, certificate: Certificate) -> Code:
        known = KnownLog(self.log.trust(), lambda: self.now_ms, replica=replica)
        lookup = Lookup([known], None, lambda: self.now_ms)  # type: ignore[arg-type]
        return (await lookup.by_secret(format_secret(certificate.secret))).code

    async def scan_evidence(self, source: Any, certificate: Certificate) -> Code:
        """Without a replica: evidence, under a witness and a map auditor."""
        trust = self.log.trust(policy=POLICY, map_auditors=AUDITORS)
        known = KnownLog(trust, lambda: self.now_ms, proofs=source)
        lookup = Lookup([known], None, lambda: self.now_ms)  # type: ignore[arg-type]
        return (await lookup.by_secret(format_secret(certificate.secret))).code


def revocation(log: LogBuilder, certificate: Certificate) -> bytes:
    whom = Listed((certificate.issue.cert_key,))
    return issuer_entry(Ruling(Kind.REVOKE, whom, Reason.FRAUD, ISSUE_DAY + 1, FILING), log.record_key)


async def build(path: Path, *, revoke: bool) -> tuple[LogBuilder, Certificate, Certificate]:
    """Genesis and filing at 0 and 1, seal 2; two batches of twenty; the revocation and one more; with a seal each."""
    log = await LogBuilder.create(path)
    made = [log.certificate(f"c{at}") for at in range(40)]
    await log.issue(*made[:20])
    await log.issue(*made[20:])
    last = [log.certificate("last").statement.entry]
    await log.batch([revocation(log, made[7]), *last] if revoke else last)
    return log, made[30], made[7]


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    log, good, revoked = await build(tmp_path / "log.db", revoke=True)
    yield Counter(log, good, revoked, await log.store.entries(0, log.integrator.size))
    await log.store.close()


@asynccontextmanager
async def replica_of(source: Any, trust: Trust, path: Path) -> AsyncIterator[Replica]:
    store = create_sqlite(path, private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    with ThreadPoolExecutor(1) as pool:
        yield await Replica.open(store, source, trust, pool, stretch=256)
    await store.close()


def resealed(entries: Sequence[bytes]) -> list[bytes]:
    """Every chain value and place in the seals made to fit, so that only map roots can give the lie away."""
    out: list[bytes] = []
    chain, previous = CHAIN_START, -1
    for entry in entries:
        if is_seal(entry):
            entry = replace(parse_seal(entry), covered=len(out), chain=chain, previous=previous).encode()
            previous = len(out)
        out.append(entry)
        chain = extend_chain(chain, [leaf_hash(entry)])[-1]
    return out


REVOKED_AT = 2 + 1 + 21 + 21  # index of the revocation


def changed_grade(counter: Counter) -> tuple[list[bytes], int]:
    """With the issuer's help: the signature holds."""
    other = counter.log.certificate("c7", grade=5)
    entries = list(counter.entries)
    assert entries[3 + 7] == counter.revoked.statement.entry
    entries[3 + 7] = issue_entry(other.issue, counter.log.record_key)
    return resealed(entries), 23


def hidden_revocation(counter: Counter) -> tuple[list[bytes], int]:
    """The statement stands in the log, but the seal's map is the one without it."""
    entries = list(counter.entries)
    before = parse_seal(entries[REVOKED_AT - 1])
    last = parse_seal(entries[-1])
    del entries[REVOKED_AT + 1 :]
    entries.append(Seal(0, last.time, before.map_root, before.map_count, CHAIN_START, -1).encode())
    return resealed(entries), REVOKED_AT + 1


def rewritten(counter: Counter) -> tuple[list[bytes], int]:
    entries = list(counter.entries)
    entries[12] = entries[12][:-1] + bytes([entries[12][-1] ^ 1])
    return resealed(entries), 12


def wrong_map_root(counter: Counter) -> tuple[list[bytes], int]:
    entries = list(counter.entries)
    entries[44] = replace(parse_seal(entries[44]), map_root=octets("made up")).encode()
    return resealed(entries), 44


def dropped_seal(counter: Counter) -> tuple[list[bytes], int]:
    entries = list(counter.entries)
    del entries[23]
    return resealed(entries), 43


def dropped_revocation(counter: Counter) -> tuple[list[bytes], int]:
    entries = list(counter.entries)
    del entries[REVOKED_AT]
    return resealed(entries), REVOKED_AT + 1


LIES: list[Callable[[Counter], tuple[list[bytes], int]]] = [
    changed_grade, hidden_revocation, rewritten, wrong_map_root, dropped_seal, dropped_revocation,
]  # fmt: skip


async def test_the_truth(counter: Counter, tmp_path: Path) -> None:
    async with replica_of(FakeLedger(counter.log), counter.log.trust(), tmp_path / "r.db") as replica:
        await replica.poll(counter.now_ms)
        assert await counter.scan(replica, counter.good) is Code.VALID
        assert await counter.scan(replica, counter.revoked) is Code.REVOKED
    counter.log.cosigned_by = (WITNESS, AUDITOR)
    assert await counter.scan_evidence(FakeLedger(counter.log), counter.good) is Code.VALID
    assert await counter.scan_evidence(FakeLedger(counter.log), counter.revoked) is Code.REVOKED


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_lie_that_the_log_signed_is_found_at_its_first_bad_index(
    counter: Counter, tmp_path: Path, lie: Callable[[Counter], tuple[list[bytes], int]]
) -> None:
    entries, bad = lie(counter)
    raw = RawLog(counter.log, entries, counter.log.time)
    async with replica_of(raw, counter.log.trust(), tmp_path / "r.db") as replica:
        with pytest.raises(Violation) as caught:
            await replica.poll(counter.now_ms)
        assert caught.value.index == bad and caught.value.proven
        assert replica.halted is caught.value and replica.integrator.size <= bad
        for certificate in (counter.good, counter.revoked):
            assert await counter.scan(replica, certificate) not in GREEN


@pytest.mark.parametrize("bad", [0, 1, 2, 12, 23, REVOKED_AT, 46])
async def test_an_entry_rewritten_on_the_way(counter: Counter, tmp_path: Path, bad: int) -> None:
    """Other bytes than those that the log signed: found, and the log itself is not blamed."""
    ledger, size = FakeLedger(counter.log), counter.log.integrator.size
    path = f"tile/entries/000.p/{size}"
    entries = parse_entries(await ledger.tile(path), size)
    entries[bad] = entries[bad][:-1] + bytes([entries[bad][-1] ^ 1])
    ledger.altered[path] = format_entries(entries)
    async with replica_of(ledger, counter.log.trust(), tmp_path / "r.db") as replica:
        with pytest.raises(Violation) as caught:
            await replica.poll(counter.now_ms)
        assert caught.value.index == bad and not caught.value.proven and replica.verified is None
        assert await counter.scan(replica, counter.revoked) is Code.UNAVAILABLE
        ledger.altered.clear()
        await replica.poll(counter.now_ms)
        assert await counter.scan(replica, counter.revoked) is Code.REVOKED


@pytest.mark.parametrize("more", [0, 1, 40])
async def test_a_forked_tree(counter: Counter, tmp_path: Path, more: int) -> None:
    """A second history without the revocation, shown to somebody who has seen the first."""
    fork, _, _ = await build(tmp_path / "fork.db", revoke=False)
    if more:
        await fork.issue(*(fork.certificate(f"there {at}") for at in range(more)))
    fork.time = counter.log.time + 1000
    ledger = FakeLedger(counter.log)
    async with replica_of(ledger, counter.log.trust(), tmp_path / "r.db") as replica:
        await replica.poll(counter.now_ms)
        ledger.log = fork
        with pytest.raises(Violation) as caught:
            await replica.poll(counter.now_ms)
        assert caught.value.proven, "two histories under one key convict the log"
        assert await counter.scan(replica, counter.revoked) is Code.REVOKED
        assert await counter.scan(replica, counter.good) not in GREEN
    # To somebody who never saw the first: no witness stands behind it, or no auditor, or neither.
    for cosigners in ((), (WITNESS,), (AUDITOR,)):
        fork.cosigned_by = cosigners
        assert await counter.scan_evidence(FakeLedger(fork), counter.revoked) not in GREEN
    await fork.store.close()


async def test_an_old_head_shown_again(counter: Counter, tmp_path: Path) -> None:
    """What was true before the revocation, with its true signatures: green while it is fresh, and never after."""
    old, _, revoked = await build(tmp_path / "old.db", revoke=False)
    old.cosigned_by = (WITNESS, AUDITOR)
    ledger = FakeLedger(counter.log)
    async with replica_of(ledger, counter.log.trust(), tmp_path / "r.db") as replica:
        await replica.poll(counter.now_ms)
        before = RawLog(counter.log, counter.entries[:REVOKED_AT], counter.log.time - 1000)
        ledger.altered["checkpoint"] = await before.checkpoint()
        with pytest.raises(Violation) as caught:
            await replica.poll(counter.now_ms)
        assert not caught.value.proven, "an old note shown again proves nothing about the log"
        assert await counter.scan(replica, counter.revoked) is Code.REVOKED
    evidence = format_evidence(await old.evidence(revoked.issue.cert_key))
    frozen = FakeLedger(old)
    frozen.altered["evidence"] = evidence
    limit = counter.log.trust().freshness_ms
    for age_ms, fresh in ((0, True), (limit - SKEW_MS, True), (limit - SKEW_MS + 1, False), (30 * 86_400_000, False)):
        counter.log.time = old.time + age_ms
        code = await counter.scan_evidence(frozen, revoked)
        assert (code in VALID_FAMILY) == fresh and (fresh or code is Code.STALE)
    await old.store.close()


@pytest.mark.parametrize("other", [{"origin": "other.example/2026"}, {"seed": "thief"}], ids=["origin", "keys"])
async def test_another_log(counter: Counter, tmp_path: Path, other: dict[str, str]) -> None:
    wrong = await LogBuilder.create(tmp_path / "wrong.db", **other)
    await wrong.issue(wrong.certificate("c7"))
    wrong.cosigned_by = (WITNESS, AUDITOR)
    async with replica_of(FakeLedger(wrong), counter.log.trust(), tmp_path / "r.db") as replica:
        with pytest.raises(Violation) as caught:
            await replica.poll(counter.now_ms)
        assert not caught.value.proven and replica.verified is None
    for certificate in (counter.good, counter.revoked):
        assert await counter.scan_evidence(FakeLedger(wrong), certificate) not in GREEN
    await wrong.store.close()

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Damaged, Refused, Unavailable, Unverified
from ledger.records.dates import batch_day
from ledger.records.evidence import parse_evidence
from ledger.records.evidence_check import ProvenState, verify_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, Listed, Ruling
from ledger.records.statements import issuer_entry
from ledger.store import evidence as module
from ledger.store.evidence import Basis, Prover
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.serving import Serving
from ledger.tlog.policy import NO_WITNESSES
from tests.support.build_log import FILING, ISSUE_DAY, TIME, LogBuilder, octets
from tests.support.slow_evidence import slow_evidence
from tests.support.stores import KINDS

DAY = 86_400_000


class Site:
    """A log, what is published of it, and who proves."""

    def __init__(self, log: LogBuilder) -> None:
        self.log = log
        self.serving = Serving(log.integrator)
        self.prover = Prover(log.integrator, Hashes(log.store), self.serving)
        self.publish()

    def publish(self) -> None:
        head = self.log.integrator.head
        assert head is not None
        self.basis = Basis(head.size, self.log.checkpoint(), self.log.time)
        self.serving.publish(head.size)

    def check(self, raw: bytes, cert_key: bytes) -> ProvenState:
        evidence = parse_evidence(raw)
        assert evidence.checkpoint == self.basis.note
        proven = verify_evidence(evidence, self.log.origin, self.log.signer.vkeys, NO_WITNESSES)
        assert proven.cert_key == cert_key
        return proven

    async def current(self, cert_key: bytes) -> ProvenState:
        raw = await self.prover.current(cert_key, self.basis)
        assert raw == await self.slowly(cert_key)
        return self.check(raw, cert_key)

    async def slowly(self, cert_key: bytes, size: int | None = None) -> bytes:
        """The one answer there is, as of the first `size` leaves."""
        at = None if size is None else size - 1
        return await slow_evidence(self.log.store, cert_key, self.basis.note, self.basis.size, at)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_current_answers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log.db"
    site = Site(await LogBuilder.create(path, store=await KINDS[kind]().create(path, private=False)))
    low, high = site.log.certificate("low", grade=3, track="t"), site.log.certificate("high", grade=5, track="t")
    (index,) = await site.log.issue(low)
    site.publish()
    proven = await site.current(low.issue.cert_key)
    assert proven.is_current and proven.state is not None and proven.issued == low.statement
    assert proven.state == await site.log.integrator.certificate(low.issue.cert_key)
    assert (proven.state.issue_index, proven.highest) == (index, None)
    assert proven.terms == site.log.filing()
    assert (await site.current(high.issue.cert_key)).state is None
    await site.log.issue(high)
    site.publish()
    proven = await site.current(low.issue.cert_key)
    assert proven.highest == high.statement and (await site.current(high.issue.cert_key)).highest is None
    await site.log.store.close()


async def test_a_reissue_keeps_the_terms_of_what_it_replaced(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    certificates = [site.log.certificate("first", grade=3)]
    await site.log.issue(certificates[0])
    for at in range(3):
        await site.log.batch([site.log.filing_entry(change=True, name=f"第{at}个名称")])
        replaced, track_id = certificates[-1].issue.cert_key, certificates[0].issue.track_id
        certificates.append(site.log.certificate(f"{at}", grade=3, replaces=replaced, track_id=track_id))
        await site.log.issue(certificates[-1])
    site.publish()
    for one in certificates:
        proven = await site.current(one.issue.cert_key)
        assert proven.terms == site.log.filing() and proven.issued == one.statement
    await site.log.store.close()


async def test_what_is_committed_but_not_published_is_not_shown(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    low, high = site.log.certificate("low", grade=3, track="t"), site.log.certificate("high", grade=5, track="t")
    await site.log.issue(low)
    site.publish()
    assert site.prover.remembered(low.issue.cert_key, site.basis) is None
    before = await site.prover.current(low.issue.cert_key, site.basis)
    assert site.prover.remembered(low.issue.cert_key, site.basis) == before
    fresh = Prover(site.log.integrator, Hashes(site.log.store), site.serving)
    for at in range(5):
        await site.log.issue(high if at == 2 else site.log.certificate(f"other {at}"))
        assert await site.prover.current(low.issue.cert_key, site.basis) == before
        assert await fresh.current(low.issue.cert_key, site.basis) == before, "nor without what was kept"
        assert site.check(await fresh.current(high.issue.cert_key, site.basis), high.issue.cert_key).state is None
        assert await fresh.standing(high.issue.cert_key, site.basis) is None
        fresh = Prover(site.log.integrator, Hashes(site.log.store), site.serving)
    earlier = site.basis
    site.publish()
    assert site.prover.remembered(low.issue.cert_key, site.basis) is None, "what is remembered is of another head"
    assert (await site.current(low.issue.cert_key)).highest == high.statement
    assert site.prover.remembered(low.issue.cert_key, earlier) is None
    await site.log.store.close()


async def test_the_same_head_signed_again_changes_the_checkpoint_only(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    await site.log.issue(one)
    site.publish()
    first = parse_evidence(await site.prover.current(one.issue.cert_key, site.basis))
    site.basis = Basis(site.basis.size, site.log.checkpoint(site.log.time + 60_000), site.log.time + 60_000)
    second = parse_evidence(await site.prover.current(one.issue.cert_key, site.basis))
    assert first.checkpoint != second.checkpoint
    remembered = site.prover.remembered(one.issue.cert_key, site.basis)
    assert remembered is not None and parse_evidence(remembered).checkpoint == second.checkpoint
    assert (first.map_proof, first.issued, first.seal) == (second.map_proof, second.issued, second.seal)
    assert (await site.current(one.issue.cert_key)).time_ms == site.basis.time_ms
    await site.log.store.close()


async def test_a_serving_map_of_another_head_is_not_needed(tmp_path: Path) -> None:
    """After a start on an older published head, or a backlog too long to keep: the map is rebuilt."""
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    certificates = [site.log.certificate(f"c{at}", grade=2 + at % 4, track=f"t{at // 4}") for at in range(8)]
    bases = []
    for certificate in certificates:
        await site.log.issue(certificate)
        head = site.log.integrator.head
        assert head is not None
        bases.append(Basis(head.size, site.log.checkpoint(), site.log.time))
    for serving in (site.serving, Serving(site.log.integrator)):  # one behind, one ahead
        for at in (3, 5, 7):
            site.basis = bases[at]
            prover = Prover(site.log.integrator, Hashes(site.log.store), serving)
            for number, certificate in enumerate(certificates):
                cert_key = certificate.issue.cert_key
                proven = site.check(await prover.current(cert_key, bases[at]), cert_key)
                assert proven.is_current and (proven.state is not None) == (number <= at)
    await site.log.store.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_an_older_basis_between_newer_ones(tmp_path: Path, kind: str) -> None:
    """A request that began under the head before this one still gets that head's answer, and spoils nothing."""
    path = tmp_path / "log.db"
    site = Site(await LogBuilder.create(path, store=await KINDS[kind]().create(path, private=False)))
    one = site.log.certificate("one")
    old = site.basis
    await site.log.issue(one)
    site.publish()
    new, key = site.basis, one.issue.cert_key
    for at, (basis, exists) in enumerate(((new, True), (old, False), (new, True), (old, False))):
        site.basis = basis
        for _ in range(2):
            assert (site.check(await site.prover.current(key, basis), key).state is not None) == exists
        nobody = octets(f"not asked for before {at}")
        assert site.check(await site.prover.current(nobody, basis), nobody).state is None
    await site.log.store.close()


async def test_a_missing_entry_is_unavailable_and_no_bug(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    certificate = site.log.certificate("a")
    (index,) = await site.log.issue(certificate)
    site.publish()
    with sqlite3.connect(tmp_path / "log.db") as raw:
        raw.execute("UPDATE entry SET idx = 1000 WHERE idx = ?", (index,))
    raw.close()
    with pytest.raises(Unavailable, match=f"entry {index} is missing"):
        await site.current(certificate.issue.cert_key)
    with sqlite3.connect(tmp_path / "log.db") as raw:
        raw.execute("UPDATE entry SET idx = 1001 WHERE idx = 1")
    raw.close()
    again = await Integrator.open(site.log.store)
    with pytest.raises(Unavailable, match="entry 1 is missing"):
        await again.filing(FILING)


async def test_an_older_seal_stands_otherwise_under_every_head(tmp_path: Path) -> None:
    """What is kept of a past day is of one head: asked again under the next, and under the one before."""
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    await site.log.issue(one)
    day, key, bases = batch_day(site.log.time), one.issue.cert_key, list[Basis]()
    for at in range(4):
        await site.log.batch([site.log.certificate(f"later {at}").statement.entry], time=site.log.time + DAY)
        site.publish()
        bases.append(site.basis)
        for basis in (*bases, site.basis):
            site.basis = basis
            for asked in range(day, batch_day(basis.time_ms) + 1):
                site.check(await site.prover.at_day(key, asked, basis), key).check_day(asked)
    await site.log.store.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_without_waiting_the_same_answer_or_none(tmp_path: Path, kind: str) -> None:
    """A file answers at once. A server has to be waited for, until it has answered."""
    path = tmp_path / "log.db"
    site = Site(await LogBuilder.create(path, store=await KINDS[kind]().create(path, private=False)))
    log, prompt = site.log, kind == "sqlite"
    assert log.store.reads_at_once == prompt
    low, high, many = log.certificate("low", grade=3, track="t"), log.certificate("high", grade=5, track="t"), []
    asked = [low.issue.cert_key, high.issue.cert_key, octets("nobody")]
    for at in range(3):
        await log.issue([low, high, log.certificate("last")][at])
        if at == 2 and prompt:  # whole tiles
            many = [log.certificate(f"many {number}") for number in range(300)]
            await log.issue(*many)
            asked += [certificate.issue.cert_key for certificate in many[::17]]
        ahead = Basis(log.integrator.size, log.checkpoint(), log.time)
        assert all(site.prover.at_once(key, ahead) is None for key in asked), "the map is that of the head before"
        site.publish()
        if at == 1:
            await log.issue(log.certificate("behind the published head"))
        for key in asked:
            wanted = await site.slowly(key)
            assert site.prover.at_once(key, site.basis) == (wanted if prompt else None)
            assert await site.prover.current(key, site.basis) == site.prover.at_once(key, site.basis) == wanted
    await log.store.close()


async def test_a_file_that_makes_wait_is_left_to_who_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    await site.log.issue(one)
    site.publish()
    usual = site.log.store.bucket_as_of

    async def slow(*asked: Any) -> Any:
        await asyncio.sleep(0)
        return await usual(*asked)

    monkeypatch.setattr(site.log.store, "bucket_as_of", slow)
    assert site.prover.at_once(one.issue.cert_key, site.basis) is None
    assert (await site.current(one.issue.cert_key)).issued == one.statement
    await site.log.store.close()


async def test_a_state_that_is_not_the_one_of_the_map_is_not_shown(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one, two = site.log.certificate("one", track="t"), site.log.certificate("two", grade=5, track="t")
    await site.log.issue(one, two)
    site.publish()
    write = site.log.store._writer.execute
    for damaged in (one, two):  # its own, and that of the track's highest
        key = damaged.issue.cert_key
        ((whole,),) = write("SELECT body FROM state WHERE subject = ?", (key,)).fetchall()
        write("UPDATE state SET body = ? WHERE subject = ?", (whole[:-2] + b"\x18\x80", key))
        fresh = Prover(site.log.integrator, Hashes(site.log.store), site.serving)
        with pytest.raises(Damaged, match="run fsck"):
            await fresh.standing(key, site.basis)
        with pytest.raises(Damaged, match="run fsck"):
            await fresh.current(one.issue.cert_key, site.basis)
        with pytest.raises(Damaged, match="run fsck"):
            fresh.at_once(one.issue.cert_key, site.basis)
        write("UPDATE state SET body = ? WHERE subject = ?", (whole, key))
        assert fresh.at_once(one.issue.cert_key, site.basis) == await site.slowly(one.issue.cert_key)


async def test_few_places_of_older_seals_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_SEALS", 2)
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    await site.log.issue(one)
    sizes = [site.log.integrator.size]
    for at in range(4):
        await site.log.batch([site.log.certificate(f"later {at}").statement.entry])
        sizes.append(site.log.integrator.size)
    site.publish()
    kept: list[int] = []
    for size in (*sizes[:-1], sizes[0]):
        site.check(await site.prover.at_size(one.issue.cert_key, size, site.basis), one.issue.cert_key)
        kept.append(len(site.prover._older))
    assert kept == [1, 2, 2, 2, 2]
    await site.log.store.close()


async def test_standing(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    (index,) = await site.log.issue(one)
    site.publish()
    standing = await site.prover.standing(one.issue.cert_key, site.basis)
    assert standing is not None and (standing.index, standing.placed.entry) == (index, one.statement.entry)
    assert await site.prover.standing(octets("nobody"), site.basis) is None
    await site.log.store.close()


async def test_absence_of_a_thousand_unknown_keys_and_of_no_known_one(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    known = [site.log.certificate(f"c{at}") for at in range(40)]
    await site.log.issue(*known)
    site.publish()
    absent = [parse_evidence(await site.prover.current(octets(f"u{at}"), site.basis)) for at in range(1000)]
    for evidence in absent:
        assert verify_evidence(evidence, site.log.origin, site.log.signer.vkeys, NO_WITNESSES).state is None
    for certificate in known[:10]:
        for evidence in absent[:100]:
            with pytest.raises(Unverified):
                other = replace(evidence, cert_key=certificate.issue.cert_key)
                verify_evidence(other, site.log.origin, site.log.signer.vkeys, NO_WITNESSES)
    await site.log.store.close()


async def test_statements_that_a_state_names(tmp_path: Path) -> None:
    """Corrections and rulings, in batches of their own and together, and the terms that a change has replaced."""
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    log, one = site.log, site.log.certificate("one")
    key, rest = one.issue.cert_key, one.issue.rest
    await log.issue(one)

    def correct(label: str) -> bytes:
        body = Correct(key, Reason.NAME_CHANGED, ISSUE_DAY, octets(label), rest, b"", FILING)
        return issuer_entry(body, log.record_key)

    def rule(kind: Kind) -> bytes:
        return issuer_entry(Ruling(kind, Listed((key,)), Reason.UNDER_REVIEW, ISSUE_DAY, FILING), log.record_key)

    first, second, suspend, restore = correct("a"), correct("b"), rule(Kind.SUSPEND), rule(Kind.RESTORE)
    changed = log.filing_entry(name="更名后有限公司", change=True)
    shown = [(one.statement.entry, one.statement.entry)]
    sizes = [log.integrator.size]
    for batch, commitments, event in (
        ([first], first, first),
        ([suspend], first, suspend),
        ([second, restore], second, restore),
        ([changed], second, restore),
        ([log.certificate("other").statement.entry], second, restore),
    ):
        await log.batch(batch)
        sizes.append(log.integrator.size)
        shown.append((commitments, event))
        site.publish()
        for at, size in enumerate(sizes):
            proven = site.check(await site.prover.at_size(key, size, site.basis), key)
            assert proven.commitments is not None and proven.event is not None
            assert (proven.commitments.entry, proven.event.entry) == shown[at]
            assert proven.terms is not None and proven.terms.name == log.filing().name, "those of its issue"
    later = await site.current(log.certificate("other").issue.cert_key)
    assert later.terms is not None and later.terms.name == "更名后有限公司"
    await log.store.close()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(2, 5)), min_size=1, max_size=3), max_size=8))
def test_every_size_and_day_of_a_random_history(batches: list[list[tuple[int, int]]]) -> None:
    """Whatever was issued, each earlier size and day proves the states of that time, under the newest checkpoint."""

    async def run(path: Path) -> None:
        site = Site(await LogBuilder.create(path))
        issued, seen = {}, {}
        sizes = [(site.log.integrator.size, batch_day(site.log.time), dict(seen))]
        for at, batch in enumerate(batches):
            wanted = {(track, grade) for track, grade in batch} - issued.keys()
            for key in wanted:
                issued[key] = site.log.certificate(f"{key}", grade=key[1], track=f"t{key[0]}")
            if wanted:
                entries = [issued[key].statement.entry for key in sorted(wanted)]
                await site.log.batch(entries, time=TIME + 2000 + at * DAY // 2)
            for key, certificate in issued.items():
                seen[key] = await site.log.integrator.certificate(certificate.issue.cert_key)
            sizes.append((site.log.integrator.size, batch_day(site.log.time), dict(seen)))
        site.publish()
        for size, _, states in sizes:
            for key, certificate in issued.items():
                cert_key = certificate.issue.cert_key
                raw = await site.prover.at_size(cert_key, size, site.basis)
                proven = site.check(raw, cert_key)
                assert (proven.state, proven.size) == (states.get(key), size)
                assert raw == await site.slowly(cert_key, size)
        for day in range(sizes[0][1], sizes[-1][1] + 1):
            states = [entry for entry in sizes if entry[1] <= day][-1][2]
            for key, certificate in issued.items():
                cert_key = certificate.issue.cert_key
                proven = site.check(await site.prover.at_day(cert_key, day, site.basis), cert_key)
                proven.check_day(day)
                assert proven.state == states.get(key)
        with pytest.raises(Refused):
            await site.prover.at_size(octets("x"), site.basis.size + 1, site.basis)
        await site.log.store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "log.db"))


async def test_a_seal_whose_row_is_damaged_gives_no_evidence_at_that_size(tmp_path: Path) -> None:
    site = Site(await LogBuilder.create(tmp_path / "log.db"))
    one = site.log.certificate("one")
    await site.log.issue(one)
    older = site.log.integrator.size
    await site.log.issue(site.log.certificate("two"))
    site.publish()
    site.log.store._writer.execute("UPDATE entry SET kind = 4 WHERE idx >= ? AND kind = 0", (older,))
    with pytest.raises(Unavailable, match="run fsck"):
        await site.prover.at_size(one.issue.cert_key, older, site.basis)
    await site.log.store.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_head_published_while_rows_are_read_makes_no_proof_of_another_map(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket that is read stays as it was; it is the rest of the map that would be another."""
    path = tmp_path / "log.db"
    site = Site(await LogBuilder.create(path, store=await KINDS[kind]().create(path, private=False)))
    one = site.log.certificate("one")
    await site.log.issue(one)
    site.publish()
    read, later = site.log.store.bucket_as_of, iter(range(9))

    async def slowly(*asked: Any) -> Any:
        found = await read(*asked)
        for _ in range(2):
            await site.log.issue(site.log.certificate(f"later {next(later)}"))
            site.publish()
        return found

    monkeypatch.setattr(site.log.store, "bucket_as_of", slowly)
    for asked, there in ((one.issue.cert_key, True), (octets("nobody"), False)):
        before = site.basis
        raw = await site.prover.current(asked, before)
        newest, site.basis = site.basis, before
        assert (site.check(raw, asked).state is not None) == there
        assert raw == await site.slowly(asked)
        site.basis = newest
    await site.log.store.close()

"""Following a log: growth, resumption, and everything a log or a man in the middle can do wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.records.dates import batch_day
from ledger.records.evidence import parse_evidence
from ledger.records.kinds import Kind
from ledger.records.seal import CHAIN_START, Seal, extend_chain, parse_seal
from ledger.records.statements import Statement
from ledger.records.view import Authentic
from ledger.remote import LogSource
from ledger.store.protocol import Store
from ledger.store.replay import replay_stretch
from ledger.store.sqlite import SqliteStore, create_sqlite, open_sqlite
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.tiles import EntriesTile, format_entries, parse_entries, parse_tile_path
from tests.support.build_log import MAP_DEPTH, TIME, FakeLedger, LogBuilder, octets
from tests.support.builders import Certificate
from tests.support.fault_store import FaultStore
from tests.support.lying_log import RawLog
from tests.support.waiting import until
from tests.support.witnesses import Cosigner, cosigned, quorum
from verifier.former import FormerKeys
from verifier.proven import open_evidence
from verifier.replica import Replica
from verifier.trust import Trust
from verifier.violation import Violation

NOW = TIME + 60_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await fresh_store(tmp_path / "replica.db")
    yield opened
    await opened.close()


async def fresh_store(path: Path) -> SqliteStore:
    store = create_sqlite(path, private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    return store


async def start(store: Store, source: LogSource, trust: Trust, pool: Executor) -> Replica:
    return await Replica.open(store, source, trust, pool, stretch=256)


async def issue(log: LogBuilder, count: int, label: str = "c") -> None:
    await log.issue(*(log.certificate(f"{label}{n}-{log.integrator.size}") for n in range(count)))


async def all_entries(log: LogBuilder) -> list[bytes]:
    return await log.store.entries(0, log.integrator.size)


class TestFollowing:
    async def test_takes_over_everything(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        certificate = log.certificate("one")
        await log.issue(certificate)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        assert replica.verified is None
        await replica.poll(NOW)
        assert replica.verified is not None
        head = log.integrator.head
        assert head is not None and await store.head() == head
        assert (replica.verified.size, replica.verified.root) == (head.size, head.root)
        assert replica.verified.time_ms == log.time
        assert await replica.integrator.certificate(certificate.issue.cert_key) == await log.integrator.certificate(
            certificate.issue.cert_key
        )
        assert replica.problem is None and replica.target is None

    async def test_a_line_that_comes_later_is_kept_with_the_checkpoint(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        """A map auditor's comes after publication: whoever gets a proof from this copy may need it."""
        ledger, auditor, key = FakeLedger(log), Cosigner("auditor.example/late"), bytes(32)
        replica = await start(store, ledger, log.trust(), pool)
        plain = log.checkpoint()
        older = cosigned(plain, {auditor: log.time // 1000 - 9})
        await issue(log, 1)
        bare, bearing = log.checkpoint(), cosigned(log.checkpoint(), {auditor: log.time // 1000})
        for shown, kept in ((bare, bare), (bearing, bearing), (bare, bearing)):
            ledger.altered["checkpoint"] = shown
            await replica.poll(NOW)
            assert parse_evidence(await replica.evidence(key)).checkpoint == kept
        ledger.altered["checkpoint"] = older
        with pytest.raises(Violation):
            await replica.poll(NOW)
        assert await store.checkpoint() == bearing

    async def test_what_is_read_before_its_filing_is_folded_is_checked_where_it_is_read(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        await issue(log, 3)
        entries = await all_entries(log)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        first = [type(read) for read in await replica._read(entries[:2], 0)]
        later = [type(read) for read in await replica._read(entries[2:], 2)]  # while nothing is folded
        assert first == [Statement, Statement] and later == [type(None), *[Authentic] * 3, type(None)]
        await replica.poll(NOW)
        await replica._read([], replica.integrator.size)
        assert not replica._ahead  # the folded log knows them

    async def test_follows_growth_across_tiles(
        self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor
    ) -> None:
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        for count in (1, 200, 130, 260, 1):
            await issue(log, count)
            await replica.poll(NOW)
            assert await store.head() == log.integrator.head
        sizes: list[int] = []
        other = await fresh_store(tmp_path / "second.db")
        again = await start(other, FakeLedger(log), log.trust(), pool)
        await again.poll(NOW, sizes.append)
        assert await other.head() == log.integrator.head
        assert sizes == sorted(sizes) and len(sizes) == 6 and sizes[-1] == log.integrator.size
        await other.close()

    async def test_little_lies_ahead_of_the_fold_and_what_came_before_a_failure_is_kept(
        self, log: LogBuilder, store: SqliteStore, pool: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("verifier.download.AHEAD", 2)
        for _ in range(13):
            await issue(log, 99)
        ledger, asked = FakeLedger(log), []
        bundles = log.integrator.size // 256
        assert bundles == 5

        class Source(FakeLedger):
            async def tile(self, path: str) -> bytes:
                tile = parse_tile_path(path)
                if isinstance(tile, EntriesTile):
                    asked.append((tile.index, replica.integrator.size))
                    if tile.index == bundles:
                        raise Unavailable(Text("没有应答", "no answer"))
                return await ledger.tile(path)

        replica = await start(store, Source(log), log.trust(), pool)
        with pytest.raises(Unavailable):
            await replica.poll(NOW)
        assert [index for index, _ in asked] == list(range(bundles + 1))
        # Of what is not folded yet: the stretch that is being folded, with what waits for its seal, and two more.
        assert all(index * 256 <= size + 100 + 3 * 256 for index, size in asked)
        assert any(index * 256 > size + 256 for index, size in asked[2:])
        assert replica.integrator.size > bundles * 256 - 100

    async def test_a_proof_is_of_one_checkpoint_also_while_the_next_is_kept(
        self, log: LogBuilder, store: SqliteStore, pool: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = log.certificate("one")
        await log.issue(one)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        await replica.poll(NOW)
        before, put, seen = replica.verified, store.put_checkpoint, []

        async def look(note: bytes, size: int) -> None:
            await put(note, size)
            seen.append((await replica.evidence(one.issue.cert_key), await replica.standing(one.issue.cert_key)))

        monkeypatch.setattr(store, "put_checkpoint", look)
        await issue(log, 3)
        await replica.poll(NOW)
        ((raw, standing),) = seen
        assert before is not None and standing is not None and standing[0] == before.note
        assert open_evidence(parse_evidence(raw), log.trust(), NOW).state.size == before.size

    async def test_idle_log_renews_its_time(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        ledger.time_ms = log.time + 60_000
        await replica.poll(NOW)
        assert replica.verified is not None and replica.verified.time_ms == log.time + 60_000
        ledger.time_ms = log.time  # an older copy from a cache
        await replica.poll(NOW)
        assert replica.verified.time_ms == log.time + 60_000

    async def test_goes_on_after_a_restart(self, log: LogBuilder, tmp_path: Path, pool: Executor) -> None:
        store = await fresh_store(tmp_path / "replica.db")
        await issue(log, 3)
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        await store.close()
        reopened = open_sqlite(tmp_path / "replica.db", private=False)
        replica = await start(reopened, FakeLedger(log), log.trust(), pool)
        assert replica.verified is not None and replica.verified.size == log.integrator.size
        await issue(log, 3)
        await replica.poll(NOW)
        assert await reopened.head() == log.integrator.head
        await reopened.close()

    @pytest.mark.parametrize("batches", [1, 2, 3])
    async def test_killed_between_batches(self, log: LogBuilder, tmp_path: Path, pool: Executor, batches: int) -> None:
        store = await fresh_store(tmp_path / "replica.db")
        await issue(log, 2)
        ledger = FakeLedger(log)
        await (await start(store, ledger, log.trust(), pool)).poll(NOW)
        verified = log.integrator.size
        for n in range(4):
            await issue(log, 5, f"b{n}")

        class Killed(BaseException):
            pass

        done = 0

        def kill(_size: int) -> None:
            nonlocal done
            done += 1
            if done == batches:
                raise Killed

        replica = await start(store, ledger, log.trust(), pool)
        with pytest.raises(Killed):
            await replica.poll(NOW, kill)
        await store.close()
        reopened = open_sqlite(tmp_path / "replica.db", private=False)
        replica = await start(reopened, ledger, log.trust(), pool)
        assert replica.verified is not None and replica.verified.size == verified  # no time that was not earned
        assert replica.integrator.size == verified + 6 * batches
        await replica.poll(NOW)
        assert await reopened.head() == log.integrator.head
        assert replica.verified.size == log.integrator.size
        await reopened.close()

    async def test_ledger_down(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        before = replica.verified
        ledger.down = True
        with pytest.raises(Unavailable):
            await replica.poll(NOW)
        assert replica.verified == before and replica.halted is None
        assert isinstance(replica.problem, Unavailable)
        ledger.down = False
        await replica.poll(NOW)
        assert replica.problem is None

    async def test_follow_reports_and_stops_when_halted(
        self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor
    ) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        heard: list[Exception] = []
        task = asyncio.create_task(replica.follow(lambda: NOW, heard.append, 0.001))
        await until(lambda: replica.verified, 0.001)
        fork = await LogBuilder.create(tmp_path / "fork.db", filed=False)
        await fork.batch([fork.filing_entry(name="另一机构")])
        ledger.log = fork
        await task
        assert replica.halted is not None and replica.halted.proven
        assert heard[-1] is replica.halted
        with pytest.raises(Violation):
            await replica.poll(NOW)
        await fork.store.close()


class TestBetweenUsAndTheLog:
    """What anybody on the way can do: noticed, nothing stored, and over when it is over."""

    async def rejected(self, replica: Replica, log: LogBuilder, index: int | None = None) -> Violation:
        before = replica.integrator.head
        with pytest.raises(Violation) as caught:
            await replica.poll(NOW)
        assert not caught.value.proven and replica.halted is None
        assert replica.integrator.head == before and await replica.integrator.store.head() == before
        if index is not None:
            assert caught.value.index == index and str(index) in str(caught.value)
        return caught.value

    @pytest.mark.parametrize("bad", [0, 1, 2, 259, 300])
    async def test_tampered_entry(self, log: LogBuilder, store: SqliteStore, pool: Executor, bad: int) -> None:
        await issue(log, 300)
        ledger = FakeLedger(log)
        path = "tile/entries/000" if bad < 256 else f"tile/entries/001.p/{log.integrator.size - 256}"
        entries = parse_entries(await ledger.tile(path), 256 if bad < 256 else log.integrator.size - 256)
        entry = entries[bad % 256]
        entries[bad % 256] = entry[:-1] + bytes([entry[-1] ^ 1])
        ledger.altered[path] = format_entries(entries)
        replica = await start(store, ledger, log.trust(), pool)
        await self.rejected(replica, log, bad) if bad < 256 else await self.late(replica, bad)
        ledger.altered.clear()
        await replica.poll(NOW)
        assert await store.head() == log.integrator.head

    async def late(self, replica: Replica, bad: int) -> None:
        with pytest.raises(Violation) as caught:
            await replica.poll(NOW)
        assert caught.value.index == bad and not caught.value.proven
        assert replica.verified is None and replica.integrator.size == 3  # whole batches that were proven

    @pytest.mark.parametrize("cut", [0, 1, 100])
    async def test_truncated_answers(self, log: LogBuilder, store: SqliteStore, pool: Executor, cut: int) -> None:
        await issue(log, 3)
        size = log.integrator.size
        ledger = FakeLedger(log)
        path = f"tile/entries/000.p/{size}"
        ledger.altered[path] = (await ledger.tile(path))[:cut] or b"\0"
        replica = await start(store, ledger, log.trust(), pool)
        await self.rejected(replica, log)

    async def test_entry_removed_and_repeated(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await issue(log, 3)
        ledger = FakeLedger(log)
        path = f"tile/entries/000.p/{log.integrator.size}"
        entries = parse_entries(await ledger.tile(path), log.integrator.size)
        replica = await start(store, ledger, log.trust(), pool)
        ledger.altered[path] = format_entries(entries[:-1])
        await self.rejected(replica, log)
        ledger.altered[path] = format_entries([*entries[:4], entries[3], *entries[5:]])
        await self.rejected(replica, log, 4)

    async def test_wrong_hash_tile(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        await issue(log, 3)
        path = f"tile/0/000.p/{log.integrator.size}"
        good = await ledger.tile(path)
        for at in range(0, len(good), 32):
            ledger.altered[path] = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            if at < 64:
                continue  # not part of the proof
            await self.rejected(replica, log)
        ledger.altered[path] = good[:-1]
        await self.rejected(replica, log)

    @pytest.mark.parametrize(
        ("note", "time"),
        [
            (b"", 0),
            (b"not a note", 0),
            (b"\xff" * 70_000, 0),
        ],
    )
    async def test_garbage(self, log: LogBuilder, store: SqliteStore, pool: Executor, note: bytes, time: int) -> None:
        ledger = FakeLedger(log)
        ledger.altered["checkpoint"] = note or b"\n"
        await self.rejected(await start(store, ledger, log.trust(), pool), log)

    async def test_every_cut_of_the_checkpoint(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        note = log.checkpoint()
        replica = await start(store, ledger, log.trust(), pool)
        for end in [*range(1, 200), *range(200, len(note), 97)]:
            ledger.altered["checkpoint"] = note[:end]
            await self.rejected(replica, log)

    async def test_wrong_key_and_wrong_origin(
        self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor
    ) -> None:
        thief = await LogBuilder.create(tmp_path / "thief.db", seed="thief")
        await self.rejected(await start(store, FakeLedger(thief), log.trust(), pool), log)
        other = await LogBuilder.create(tmp_path / "other.db", origin="other.example")
        await self.rejected(await start(store, FakeLedger(other), log.trust(), pool), log)
        await thief.store.close()
        await other.store.close()

    async def test_time_from_the_future(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log, time_ms=NOW + 61_000)
        replica = await start(store, ledger, log.trust(), pool)
        await self.rejected(replica, log)
        ledger.time_ms = NOW + 60_000
        await replica.poll(NOW)

    async def test_a_page_in_place_of_the_checkpoint(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        """Larger than any, so that the client does not read it to its end."""
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)

        async def page() -> bytes:
            raise Malformed("the ledger's answer is too large")

        ledger.checkpoint, shown = page, ledger.checkpoint  # type: ignore[method-assign]
        with pytest.raises(Violation) as violation:
            await replica.poll(NOW)
        assert not violation.value.proven
        ledger.checkpoint = shown  # type: ignore[method-assign]
        await replica.poll(NOW)
        assert replica.halted is None and replica.problem is None

    async def test_an_old_checkpoint_shown_again(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        old = log.checkpoint()
        ledger = FakeLedger(log)
        await issue(log, 1)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        before = replica.verified
        ledger.altered["checkpoint"] = old
        await self.rejected(replica, log)
        assert replica.verified == before and await store.checkpoint() != old


class TestDishonestLog:
    """What the log's own signatures prove against it: the replica halts and keeps its last good state."""

    async def halts(self, replica: Replica, index: int | None = None) -> Violation:
        good = replica.verified
        with pytest.raises(Violation) as caught:
            await replica.poll(NOW)
        assert caught.value.proven and replica.halted is caught.value
        assert replica.verified == good
        if index is not None:
            assert caught.value.index == index and f"entry {index}:" in str(caught.value)
        return caught.value

    async def test_smaller_with_a_newer_signature(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        head = log.integrator.head
        assert head is not None
        ledger = FakeLedger(log)
        await issue(log, 1)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        ledger.altered["checkpoint"] = log.signer.sign(
            Checkpoint(log.origin, head.size, head.root), (log.time + 66_000) // 1000
        )
        await self.halts(replica)

    @pytest.mark.parametrize("more", [0, 1, 300])
    async def test_second_history(
        self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor, more: int
    ) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        await issue(log, 1, "here")
        await replica.poll(NOW)
        fork = await LogBuilder.create(tmp_path / "fork.db")
        await issue(fork, 1, "there")
        if more:
            await issue(fork, more, "on")
        ledger.log = fork
        await self.halts(replica)
        assert await store.head() == log.integrator.head
        await fork.store.close()

    async def test_root_made_up(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, log.trust(), pool)
        await replica.poll(NOW)
        for size in (0, 1, 2, 3):
            ledger.altered["checkpoint"] = log.signer.sign(Checkpoint(log.origin, size, octets("x")), NOW // 1000)
            replica.halted = None
            await self.halts(replica)

    async def test_no_seal_at_the_end(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        entries = await all_entries(log)
        raw = RawLog(log, [*entries, log.certificate("one").statement.entry])
        await self.halts(await start(store, raw, log.trust(), pool), len(entries))

    async def test_checkpoint_inside_a_batch(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await issue(log, 4)
        entries = await all_entries(log)
        replica = await start(store, RawLog(log, entries), log.trust(), pool)
        replica.verified = None
        await replica.poll(NOW)
        replica.verified = None  # as after a kill before the first note was kept
        replica._source = RawLog(log, entries[:5])
        await self.halts(replica, 4)

    async def test_a_row_that_our_own_store_has_lost(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await issue(log, 4)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        await replica.poll(NOW)
        size = log.integrator.size
        store._writer.execute("DELETE FROM entry WHERE idx = ?", (size - 1,))
        with pytest.raises(Unavailable, match=f"entry {size - 1} is missing"):
            await replica.poll(NOW)
        assert replica.halted is None, "the log did nothing wrong"

    async def test_another_genesis(self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor) -> None:
        raw = RawLog(log, await all_entries(log))
        trust = replace(log.trust(), genesis=octets("other"))
        await self.halts(await start(store, raw, trust, pool), 0)

    @pytest.mark.parametrize(
        "change",
        [
            {"map_root": octets("x")},
            {"map_count": 99},
            {"chain": octets("x")},
            {"previous": 1},
            {"time": TIME},
            {"covered": 99},
        ],
    )
    async def test_wrong_seal(
        self, log: LogBuilder, store: SqliteStore, pool: Executor, change: dict[str, object]
    ) -> None:
        await issue(log, 2)
        entries = await all_entries(log)
        entries[-1] = replace(parse_seal(entries[-1]), **change).encode()  # type: ignore[arg-type]
        replica = await start(store, RawLog(log, entries), log.trust(), pool)
        await self.halts(replica, len(entries) - 1)
        assert replica.integrator.size == 3

    @dataclass(frozen=True)
    class Bad:
        entry: bytes
        why: str

    async def bad_entries(self, log: LogBuilder) -> list[Bad]:
        good = log.certificate("good")
        cut = good.statement.entry
        return [
            self.Bad(cut[:-1] + bytes([cut[-1] ^ 1]), "signature"),
            self.Bad(log.certificate("x", signer=Ed25519Signer(octets("thief"))).statement.entry, "key"),
            self.Bad(log.certificate("x", filing_number="Y000051000009").statement.entry, "filing"),
            self.Bad(log.certificate("x", grade=6).statement.entry, "SCOPE_ROW"),
            self.Bad(log.certificate("x", issue_day=1, assessment_day=1).statement.entry, "SCOPE_WINDOW"),
            self.Bad(log.genesis_entry(), "GENESIS_PLACE"),
            self.Bad(log.filing_entry(), "FILING_EXISTS"),
            self.Bad(b"\xd2\x80", "form"),
            self.Bad(b"", "form"),
            self.Bad(cut + b"\0", "form"),
        ]

    async def test_inadmissible_statement(
        self, log: LogBuilder, store: SqliteStore, tmp_path: Path, pool: Executor
    ) -> None:
        entries = await all_entries(log)
        first = log.certificate("first").statement.entry
        for n, bad in enumerate(await self.bad_entries(log)):
            stretch = [first, bad.entry]
            chain = extend_chain(CHAIN_START, [leaf_hash(entry) for entry in entries + stretch])[-1]
            seal = Seal(len(entries) + 2, log.time + 1000, octets("?"), 3, chain, 2).encode()
            raw = RawLog(log, [*entries, *stretch, seal])
            copy = await fresh_store(tmp_path / f"r{n}.db")
            await self.halts(await start(copy, raw, log.trust(), pool), len(entries) + 1)
            head = await copy.head()
            assert head is not None and head.size == len(entries), bad.why
            await copy.close()

    async def test_the_same_certificate_twice(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        entry = log.certificate("one").statement.entry
        await log.batch([entry])
        entries = await all_entries(log)
        seal = Seal(len(entries) + 1, log.time + 1000, octets("?"), 3, octets("?"), len(entries) - 1).encode()
        await self.halts(await start(store, RawLog(log, [*entries, entry, seal]), log.trust(), pool), len(entries))

    async def test_two_seals_in_a_row(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        entries = await all_entries(log)
        seal = Seal(len(entries), log.time + 1000, octets("?"), 1, octets("?"), len(entries) - 1).encode()
        await self.halts(await start(store, RawLog(log, [*entries, seal]), log.trust(), pool), len(entries))


class TestStore:
    async def test_of_another_log(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        with pytest.raises(Unverified):
            await start(store, FakeLedger(log), replace(log.trust(), genesis=octets("other")), pool)

    async def test_note_that_is_not_of_its_entries(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        size = log.integrator.size
        for bad in (Checkpoint(log.origin, size, octets("x")), Checkpoint(log.origin, size + 1, octets("x"))):
            await store.put_checkpoint(log.signer.sign(bad, NOW // 1000), size)
            with pytest.raises(Unverified):
                await start(store, FakeLedger(log), log.trust(), pool)
        await store.put_checkpoint(b"garbage", size)
        with pytest.raises(Malformed):
            await start(store, FakeLedger(log), log.trust(), pool)


A, B, C = (Cosigner(f"witness.example/{name}") for name in "abc")
TIME_S = TIME // 1000


class TestQuorum:
    """Two of three witnesses have to stand behind what is taken in; their time is the freshness."""

    @staticmethod
    def trust(log: LogBuilder) -> Trust:
        return log.trust(policy=quorum(2, A, B, C))

    @staticmethod
    def show(ledger: FakeLedger, note: bytes, times: dict[Cosigner, int]) -> None:
        ledger.altered["checkpoint"] = cosigned(note, times)

    async def test_short_of_it_nothing_is_taken_in(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, self.trust(log), pool)
        stranger = Cosigner("witness.example/stranger")
        for times in ({}, {A: TIME_S}, {A: TIME_S, stranger: TIME_S}):
            self.show(ledger, log.checkpoint(), times)
            with pytest.raises(Violation, match="quorum") as caught:
                await replica.poll(NOW)
            assert not caught.value.proven and replica.halted is None
            assert replica.verified is None and replica.integrator.size == 0
        self.show(ledger, log.checkpoint(), {A: TIME_S + 1, B: TIME_S + 2})
        await replica.poll(NOW)
        assert replica.verified is not None and replica.problem is None

    async def test_its_newest_moment_is_the_time(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, self.trust(log), pool)
        for times, expected in (
            ({A: TIME_S + 20, B: TIME_S + 10}, 10),
            ({A: TIME_S + 20, B: TIME_S + 10, C: TIME_S + 15}, 15),
            ({A: TIME_S + 5, B: TIME_S + 9}, 15),  # shown again: nothing becomes older
            ({A: TIME_S + 40, B: TIME_S + 10, C: TIME_S + 30}, 30),
        ):
            self.show(ledger, log.checkpoint(), times)
            await replica.poll(NOW)
            assert replica.verified is not None
            assert replica.verified.time_ms == (TIME_S + expected) * 1000
            assert replica.verified.log_time_ms == log.time

    async def test_a_renewed_log_signature_alone_makes_nothing_fresher(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, self.trust(log), pool)
        self.show(ledger, log.checkpoint(), {A: TIME_S + 2, B: TIME_S + 2})
        await replica.poll(NOW)
        self.show(ledger, log.checkpoint(TIME + 50_000), {A: TIME_S + 2, B: TIME_S + 2})
        await replica.poll(NOW)
        assert replica.verified is not None and replica.verified.time_ms == (TIME_S + 2) * 1000

    async def test_a_fast_clock_of_one_witness_does_not_count(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, self.trust(log), pool)
        late = NOW // 1000 + 61  # more than clocks may differ
        self.show(ledger, log.checkpoint(), {A: late, B: TIME_S + 2})
        with pytest.raises(Violation, match="quorum"):
            await replica.poll(NOW)
        self.show(ledger, log.checkpoint(), {A: late, B: late, C: TIME_S + 3})
        with pytest.raises(Violation, match="quorum"):
            await replica.poll(NOW)
        self.show(ledger, log.checkpoint(), {A: TIME_S + 4, B: late, C: TIME_S + 3})
        await replica.poll(NOW)
        assert replica.verified is not None and replica.verified.time_ms == (TIME_S + 3) * 1000

    async def test_a_fork_is_proven_by_the_log_alone(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        ledger = FakeLedger(log)
        replica = await start(store, ledger, self.trust(log), pool)
        self.show(ledger, log.checkpoint(), {A: TIME_S + 2, B: TIME_S + 2})
        await replica.poll(NOW)
        head = log.integrator.head
        assert head is not None
        ledger.altered["checkpoint"] = log.signer.sign(Checkpoint(log.origin, head.size, bytes(32)), TIME_S)
        with pytest.raises(Violation, match="second history") as caught:
            await replica.poll(NOW)
        assert caught.value.proven and replica.halted is caught.value

    async def test_an_old_head_shown_again_is_no_proof_while_a_smaller_new_one_is(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        """Also when the witnesses' clocks are behind the log's, and when the log's own was put back by less than clocks
        may differ: then the smaller head is the later one by its date alone."""
        ledger, trust = FakeLedger(log), self.trust(log)
        replica = await start(store, ledger, trust, pool)
        head = log.integrator.head
        assert head is not None
        old = log.checkpoint()
        await issue(log, 1)
        new = log.checkpoint(TIME + 10_000)
        self.show(ledger, new, {A: TIME_S - 30, B: TIME_S - 30})
        await replica.poll(NOW)
        self.show(ledger, old, {A: TIME_S - 40, B: TIME_S - 40})
        with pytest.raises(Violation) as caught:
            await replica.poll(NOW)
        assert not caught.value.proven
        smaller, newest_s = Checkpoint(log.origin, head.size, head.root), TIME_S + 10
        for later_s, proven in ((1, False), (trust.max_skew_ms // 1000, False), (trust.max_skew_ms // 1000 + 1, True)):
            ledger.altered["checkpoint"] = log.signer.sign(smaller, newest_s + later_s)
            with pytest.raises(Violation, match="after") as caught:
                await replica.poll(NOW + 10_000)
            assert caught.value.proven is proven
            assert (replica.halted is not None) is proven

    async def test_what_was_kept_counts_again_under_the_policy_of_today(
        self, log: LogBuilder, tmp_path: Path, pool: Executor
    ) -> None:
        path = tmp_path / "kept.db"
        store = await fresh_store(path)
        ledger = FakeLedger(log)
        self.show(ledger, log.checkpoint(), {A: TIME_S + 2, B: TIME_S + 9})
        replica = await start(store, ledger, self.trust(log), pool)
        await replica.poll(NOW)
        for policy, now_ms, expected in (
            (quorum(2, A, B, C), NOW, TIME_S + 2),
            (quorum(1, A, B), NOW, TIME_S + 9),
            (quorum(1, A, B), (TIME_S + 8 - 60) * 1000, TIME_S + 2),  # B's line is still in the future
            (quorum(2, A, C), NOW, None),
        ):
            again = await Replica.open(store, ledger, log.trust(policy=policy), pool, now_ms=now_ms)
            assert (again.verified and again.verified.time_ms) == (expected and expected * 1000)
            assert again.integrator.size == replica.integrator.size
        await store.close()

    async def test_a_smaller_one_counts_while_what_was_kept_does_not(
        self, log: LogBuilder, tmp_path: Path, pool: Executor
    ) -> None:
        """A source that lags behind what was kept under another policy; that stays until there is as large a one."""
        store, ledger = await fresh_store(tmp_path / "kept.db"), FakeLedger(log)
        old, smaller = log.checkpoint(), log.integrator.size
        await issue(log, 1)
        self.show(ledger, log.checkpoint(TIME + 10_000), {A: TIME_S + 12, B: TIME_S + 12})
        await (await start(store, ledger, self.trust(log), pool)).poll(NOW)
        kept = await store.checkpoint()
        again = await Replica.open(store, ledger, log.trust(policy=quorum(2, A, C)), pool, now_ms=NOW)
        assert again.verified is None
        self.show(ledger, old, {A: TIME_S + 2, C: TIME_S + 2})
        await again.poll(NOW)
        assert again.verified is not None and again.verified.size == smaller < again.integrator.size
        assert await store.checkpoint() == kept
        await store.close()


class TestKeysThatChanged:
    """What was kept under keys of before is no news, and nothing that stops the replica."""

    @pytest.mark.parametrize("known", [True, False], ids=["former pair pinned", "not pinned"])
    async def test_the_next_poll_brings_a_new_checkpoint(
        self, log: LogBuilder, store: SqliteStore, pool: Executor, known: bool
    ) -> None:
        await issue(log, 3)
        ledger = FakeLedger(log)
        await (await start(store, ledger, log.trust(), pool)).poll(NOW)
        former = FormerKeys(log.signer.vkeys, log.time)
        log.pair = "second"
        trust = log.trust(former=(former,) * known)
        replica = await start(store, ledger, trust, pool)
        assert replica.verified is None and replica.integrator.size == log.integrator.size
        with pytest.raises(Unavailable):
            await replica.evidence(log.certificate("one").issue.cert_key)
        await replica.poll(NOW)
        assert replica.verified is not None and replica.verified.size == log.integrator.size
        await issue(log, 2, "more")
        await replica.poll(NOW)
        assert replica.verified.size == log.integrator.size
        assert (await start(store, ledger, trust, pool)).verified == replica.verified

    async def test_the_old_pair_brings_nothing_new(self, log: LogBuilder, store: SqliteStore, pool: Executor) -> None:
        await issue(log, 3)
        former = FormerKeys(log.signer.vkeys, log.time)
        trust = log.trust(keys=replace(log, pair="second").signer.vkeys, former=(former,))
        with pytest.raises(Violation) as caught:
            await (await start(store, FakeLedger(log), trust, pool)).poll(NOW)
        assert not caught.value.proven

    async def test_a_log_that_shrank_with_the_change_is_found(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        await issue(log, 3)
        ledger, small = FakeLedger(log), log.integrator.head
        await issue(log, 3, "lost")
        await (await start(store, ledger, log.trust(), pool)).poll(NOW)
        assert small is not None
        former = FormerKeys(log.signer.vkeys, log.time)
        log.pair = "second"
        ledger.altered["checkpoint"] = log.signer.sign(
            Checkpoint(log.origin, small.size, small.root), log.time // 1000 + 61
        )
        with pytest.raises(Violation, match="checkpoint of size") as caught:
            await (await start(store, ledger, log.trust(former=(former,)), pool)).poll(NOW)
        assert caught.value.proven

    async def test_another_history_under_the_new_pair_is_a_fork(
        self, log: LogBuilder, store: SqliteStore, pool: Executor, tmp_path: Path
    ) -> None:
        await issue(log, 3)
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        other = await LogBuilder.create(tmp_path / "other.db")
        other.pair = "second"
        await issue(other, 3, "other")
        replica = await start(store, FakeLedger(other), other.trust(), pool)
        with pytest.raises(Violation) as caught:
            await replica.poll(NOW)
        assert caught.value.proven and replica.halted is not None
        await other.store.close()

    async def test_a_damaged_note_is_damage_and_no_change_of_keys(
        self, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        head = log.integrator.head
        assert head is not None
        former = FormerKeys(log.signer.vkeys, log.time)
        for root, size in ((octets("other root"), head.size), (head.root, head.size + 1)):
            await store.put_checkpoint(log.signer.sign(Checkpoint(log.origin, size, root), log.time // 1000), head.size)
            for trust in (log.trust(), log.trust(keys=replace(log, pair="x").signer.vkeys, former=(former,))):
                with pytest.raises(Unverified):
                    await start(store, FakeLedger(log), trust, pool)


class TestEvidence:
    async def test_a_replica_proves_what_it_has_verified(self, log: LogBuilder, store: Store, pool: Executor) -> None:
        ledger, one = FakeLedger(log), log.certificate("one")
        replica = await start(store, ledger, log.trust(), pool)
        with pytest.raises(Unavailable):
            await replica.evidence(one.issue.cert_key)
        for at in range(3):
            await replica.poll(log.time)
            proven = open_evidence(parse_evidence(await replica.evidence(one.issue.cert_key)), log.trust(), log.time)
            assert proven.state.opened.checkpoint.size == log.integrator.size
            assert (proven.state.state is not None) == (at > 0)
            await log.issue(one if at == 0 else log.certificate(f"more {at}"))
        await replica.poll(log.time)
        for asked in ({"size": proven.state.size}, {"day": batch_day(log.time)}):
            raw = await replica.evidence(one.issue.cert_key, **asked)
            ours, theirs = parse_evidence(raw), parse_evidence(await ledger.evidence(one.issue.cert_key, **asked))
            assert replace(ours, checkpoint=theirs.checkpoint) == theirs, "the same as the ledger's own"

    async def test_it_proves_after_a_restart_too(self, log: LogBuilder, tmp_path: Path, pool: Executor) -> None:
        """Also when it had taken in batches that no checkpoint was verified for yet."""
        one, store = log.certificate("one"), await fresh_store(tmp_path / "replica.db")
        await log.issue(one)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        await replica.poll(log.time)
        await issue(log, 3)
        tail = (await all_entries(log))[replica.integrator.size :]
        await replica.integrator.commit(await replay_stretch(replica.integrator, tail, pool))
        assert replica.verified is not None and replica.verified.size < replica.integrator.size
        for again in (replica, await start(store, FakeLedger(log), log.trust(), pool)):
            proven = open_evidence(parse_evidence(await again.evidence(one.issue.cert_key)), log.trust(), log.time)
            assert proven.state.state is not None and proven.state.opened.checkpoint.size == replica.verified.size
        await store.close()


async def test_a_store_that_is_read_again_and_the_end_leave_nothing_that_is_made_for_nobody(
    log: LogBuilder, store: SqliteStore, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await issue(log, 3)
    replica = await start(store, FakeLedger(log), log.trust(), pool)
    await replica.poll(log.time)
    begun, running, key = asyncio.Event(), asyncio.all_tasks(), log.certificate("one").issue.cert_key

    async def hanging(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "changed_since", hanging)
    for end in (replica._reopen, replica.close):
        begun.clear()
        asking = asyncio.create_task(replica.evidence(key, size=3))
        await begun.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert len(asyncio.all_tasks() - running) == 1
        await end()
        assert asyncio.all_tasks() == running


class AwayAfterwards(FaultStore):
    """Loses the answer of an append, and then does not answer at all for a while."""

    away = False

    async def append(self, *asked: Any) -> None:
        try:
            await super().append(*asked)
        except Unavailable:
            self.away = True
            raise

    async def meta(self, name: str) -> bytes | None:
        if self.away:
            raise Unavailable(Text("没有应答", "store: connect: it is starting"))
        return await self.inner.meta(name)  # type: ignore[no-any-return]


class TestAStoreThatMovedOn:
    """What our own store did is not held against the log."""

    @pytest.mark.parametrize("what", ["issue", "revoke"])
    async def test_an_answer_that_was_lost_with_a_store_that_stayed_away(
        self, what: str, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        first, failing = log.certificate("first"), AwayAfterwards(store)
        await log.issue(first)
        replica = await start(failing, FakeLedger(log), log.trust(), pool)
        await replica.poll(NOW)
        await (issue(log, 1) if what == "issue" else log.rule(Kind.REVOKE, first))
        failing.fail = "after"
        for _ in range(3):
            with pytest.raises(Unavailable):
                await replica.poll(NOW)
        failing.fail, failing.away = "", False
        await replica.poll(NOW)
        await self.stands(replica, log, first)

    @pytest.mark.parametrize("what", ["issue", "revoke"])
    async def test_another_process_that_took_a_batch_in(
        self, what: str, log: LogBuilder, store: SqliteStore, pool: Executor
    ) -> None:
        """As when the connection that holds the place of the one writer is lost, and another verifier gets it."""
        first = log.certificate("first")
        await log.issue(first)
        replica = await start(store, FakeLedger(log), log.trust(), pool)
        await replica.poll(NOW)
        await (issue(log, 1) if what == "issue" else log.rule(Kind.REVOKE, first))
        await (await start(store, FakeLedger(log), log.trust(), pool)).poll(NOW)
        with pytest.raises(Unavailable, match="moved on"):
            await replica.poll(NOW)
        await replica.poll(NOW)
        await self.stands(replica, log, first)

    async def stands(self, replica: Replica, log: LogBuilder, first: Certificate) -> None:
        assert replica.halted is None and replica.verified is not None
        assert replica.verified.size == log.integrator.size
        key = first.issue.cert_key
        assert await replica.integrator.certificate(key) == await log.integrator.certificate(key)

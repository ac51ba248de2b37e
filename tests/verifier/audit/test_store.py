"""The auditor's store answers like the log's own, forgets what was not flushed, and serves one process."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.kinds import CERTIFICATE_KINDS, ClaimStatus, Kind
from ledger.records.state import certificate_map_key
from ledger.store.claims import claim_states, last_claims
from ledger.store.integrate import Integrator
from ledger.store.map_rows import read_roots
from ledger.store.protocol import StoredBatch
from ledger.store.replay import replay_stretch, split_sealed
from ledger.store.sqlite import create_sqlite
from tests.support.build_log import FILING, MAP_DEPTH, LogBuilder, octets
from tests.support.builders import make_authority, make_body
from tests.support.claims import TERMS, act, claim, make_pack, make_payer
from tests.support.stored_log import StoredLog
from verifier.audit.store import AuditStore, create_audit_store, open_audit_store

SMALL = {"map_depth": bytes([MAP_DEPTH])}


async def history(log: LogBuilder) -> None:
    """Certificates alone, two in a track, and one in many batches."""
    await log.issue(*(log.certificate(f"c{n}") for n in range(20)))
    await log.issue(log.certificate("low", track="t", grade=3))
    await log.issue(log.certificate("high", track="t", grade=4), log.certificate("c20"))


async def replay_into(store: AuditStore, log: LogBuilder) -> Integrator:
    await store.put_meta(SMALL)
    integrator = await Integrator.open(store)
    stretches, _ = split_sealed(await log.store.entries(0, log.integrator.size))
    with ThreadPoolExecutor(2) as pool:
        for stretch in stretches:
            await integrator.commit(await replay_stretch(integrator, stretch, pool))
    return integrator


async def test_answers_like_the_logs_own_store(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    await history(log)
    ours, theirs = create_audit_store(tmp_path / "a.db"), log.store
    await replay_into(ours, log)
    head = await theirs.head()
    assert head is not None and await ours.head() == head
    assert await ours.entries(0, head.size) == await theirs.entries(0, head.size)
    rows = await ours.rows(0, head.size)
    assert rows == await theirs.rows(0, head.size)
    others = {row.known_as: row.index for row in rows if row.kind not in (0, *CERTIFICATE_KINDS)}
    asked = [*others, octets("none")]
    assert others and await ours.find(asked) == await theirs.find(asked) == others

    assert await ours.tile(0, 0) == await theirs.tile(0, 0) and await ours.tile(3, 7) is None
    everything = [(bytes(32), b"\xff" * 32)]
    (leaves,) = await ours.leaves(everything)
    assert [leaves] == await theirs.leaves(everything)
    keys = [key for key, _ in leaves]
    assert await ours.states(keys) == await theirs.states(keys)
    assert await ours.states([certificate_map_key(octets("none"))]) == {}
    tracks = [octets("track t", 16), octets("track c3", 16)]
    order = lambda row: row.map_key  # noqa: E731
    assert sorted(await ours.tracks(tracks), key=order) == sorted(await theirs.tracks(tracks), key=order)
    assert (await read_roots(ours, MAP_DEPTH, head.seal)).roots == (
        await read_roots(theirs, MAP_DEPTH, head.seal)
    ).roots
    assert await ours.named(int(Kind.FILING)) == await theirs.named(int(Kind.FILING))
    assert await ours.find_named(int(Kind.FILING), FILING) == await theirs.find_named(int(Kind.FILING), FILING)
    assert await ours.find_named(int(Kind.FILING), "none") is None
    assert await ours.signed(FILING, 0, 10) == await theirs.signed(FILING, 0, 10)
    assert await ours.events(octets("none")) == []
    await ours.close()
    await theirs.close()


async def test_claims_are_replayed_to_the_same_map(tmp_path: Path) -> None:
    payer, other, ruler = make_payer(), make_payer("other", number="Z000051000002"), make_authority()
    log = await StoredLog.create(tmp_path / "log.db", make_body(), payer, other, authority=ruler)
    taken = tuple(sorted(octets(f"nullifier {at}") for at in range(TERMS.width)))
    one, rival = claim(payer, octets("cert"), taken), claim(other, octets("cert"), taken, label="rival")
    await log.add(ruler.sign(make_pack()))
    await log.add(one.statement)
    await log.add(act(Kind.RELEASE, payer, one), rival.statement)
    await log.add(act(Kind.PAY, other, rival))
    store = create_audit_store(tmp_path / "a.db")
    await store.put_meta({"map_depth": bytes([log.integrator.depth])})
    replayed = await Integrator.open(store)
    stretches, _ = split_sealed(await log.entries())
    with ThreadPoolExecutor(1) as pool:
        for stretch in stretches:
            await replayed.commit(await replay_stretch(replayed, stretch, pool))
            store.flush(replayed.size, b"")
    assert replayed.map.root == log.integrator.map.root
    states = await claim_states(replayed, [one.leaf, rival.leaf])
    assert [states[leaf].status for leaf in (one.leaf, rival.leaf)] == [ClaimStatus.RELEASED, ClaimStatus.PAID]
    again = claim(payer, octets("cert"), taken, label="again").statement
    forged = await log.begin(again)
    with pytest.raises(Refused, match="ALREADY_CLAIMED"):
        forged.add(await log.authenticate(again))
    assert await last_claims(replayed, taken) == dict.fromkeys(taken, rival.leaf)
    await store.close()
    await log.store.close()


async def test_what_was_not_flushed_is_forgotten(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    store = create_audit_store(tmp_path / "a.db")
    await replay_into(store, log)
    store.flush(3, b"statistics of 3")
    await history(log)
    fresh = await Integrator.open(store)
    stretches, _ = split_sealed(await log.store.entries(3, log.integrator.size))
    with ThreadPoolExecutor(2) as pool:
        await fresh.commit(await replay_stretch(fresh, stretches[0], pool))
        store.close_now()  # as a kill would
        store = open_audit_store(tmp_path / "a.db")
        again = await Integrator.open(store)
        assert again.size == 3 and store.statistics() == (3, b"statistics of 3")
        for stretch in stretches:
            await again.commit(await replay_stretch(again, stretch, pool))
    store.flush(again.size, b"more")
    await store.put_checkpoint(b"note", again.size)
    with pytest.raises(Refused, match="HEAD_MOVED"):
        await store.put_checkpoint(b"ahead", again.size + 1)
    store.flush(again.size, b"more")
    await store.close()
    store = open_audit_store(tmp_path / "a.db")
    assert (await Integrator.open(store)).head == log.integrator.head
    assert await store.checkpoint() == b"note"
    await store.close()
    await log.store.close()


async def test_a_kill_anywhere_in_a_flush_leaves_all_of_it_or_none(tmp_path: Path) -> None:
    """Killed before each of its SQL statements in turn, with a page cache so small that it writes out what is not
    committed yet."""
    log = await LogBuilder.create(tmp_path / "log.db")
    await history(log)
    batches: list[StoredBatch] = []
    making = create_audit_store(tmp_path / "made.db")
    append = making.append

    async def kept(batch: StoredBatch, check: Any) -> None:
        batches.append(batch)
        await append(batch, check)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "append", kept)
        whole = await replay_into(making, log)
    making.close_now()
    first, heads = batches[0].head, []
    for killed_at in range(40):
        path = tmp_path / f"{killed_at}.db"
        store = create_audit_store(path)
        await store.put_meta(SMALL)
        await store.append(batches[0], lambda _: None)
        store.flush(first.size, b"first")
        store.close_now()
        if (child := os.fork()) == 0:
            _flush_until(path, batches[1:], killed_at)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        again = open_audit_store(path)
        head, counted = await again.head(), again.statistics()
        assert head is not None and counted is not None and head.size == counted[0]
        assert (head, counted[1]) in ((first, b"first"), (batches[-1].head, b"all"))
        integrator = await Integrator.open(again)  # whose map is that of the head
        assert integrator.size == head.size
        again.close_now()
        heads.append(head.size)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert len(heads) > 4 and heads[-1] == whole.size and set(heads[:-1]) == {first.size}
    await log.store.close()


def _flush_until(path: Path, batches: Sequence[StoredBatch], statements: int) -> None:
    """In a process of its own: append, begin to flush, and be killed before so many of its statements were carried
    out. Never returns."""
    try:
        store = open_audit_store(path)
        store._db.execute("PRAGMA cache_size = 2")
        for batch in batches:
            with suppress(StopIteration):
                store.append(batch, lambda _: None).send(None)
        left = [statements]

        def trace(_sql: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        store._db.set_trace_callback(trace)
        store.flush(batches[-1].head.size, b"all")
        os._exit(0)
    finally:
        os._exit(1)


async def test_a_stale_writer_is_refused(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    await history(log)
    store = create_audit_store(tmp_path / "a.db")
    await replay_into(store, log)
    stretches, _ = split_sealed(await log.store.entries(0, log.integrator.size))
    other = create_audit_store(tmp_path / "b.db")
    await other.put_meta(SMALL)
    with ThreadPoolExecutor(2) as pool:
        prepared = await replay_stretch(await Integrator.open(other), stretches[0], pool)
    with pytest.raises(Refused) as caught:
        await store.append(prepared.stored, lambda entries: None)
    assert caught.value.code == "HEAD_MOVED"
    for one in (store, other, log.store):
        await one.close()


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = create_audit_store(tmp_path / "a.db")
    with pytest.raises(Refused) as caught:
        open_audit_store(tmp_path / "a.db")
    assert caught.value.code == "STORE_IN_USE"
    await store.close()
    open_audit_store(tmp_path / "a.db").close_now()


def test_creation_is_explicit(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_audit_store(tmp_path / "a.db")
    create_audit_store(tmp_path / "a.db").close_now()
    with pytest.raises(Refused):
        create_audit_store(tmp_path / "a.db")
    create_sqlite(tmp_path / "other.db", private=False).close_now()
    with pytest.raises(Refused):
        open_audit_store(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(Unavailable):
        open_audit_store(tmp_path / "text.db")


async def test_settings_are_fixed(tmp_path: Path) -> None:
    store = create_audit_store(tmp_path / "a.db")
    await store.put_meta(SMALL)
    with pytest.raises(Refused):
        await store.put_meta({"map_depth": b"\x09"})
    assert await store.meta("map_depth") == SMALL["map_depth"] and await store.meta("none") is None
    await store.close()

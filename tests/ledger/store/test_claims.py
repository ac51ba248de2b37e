"""What claims need of a store, on each of them: what is taken is found, replayed alike, proven by the sealed map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Damaged, Refused
from ledger.records.claim_state import claim_map_key, encode_nullifier, nullifier_map_key, nullifier_value
from ledger.records.dates import MS_PER_DAY
from ledger.records.kinds import ClaimStatus, Kind
from ledger.records.refusals import Refusal
from ledger.store.claims import claim_states, last_claims, published_pack
from ledger.store.fsck import fsck
from ledger.store.integrate import Integrator
from ledger.store.replay import replay_stretch, split_sealed
from tests.support.builders import TIME, make_authority, make_body, octets
from tests.support.claims import TERMS, act, claim, make_pack, make_payer
from tests.support.stored_log import StoredLog
from tests.support.stores import KINDS, SqliteKind, StoreKind

AUTHORITY, BODY, PAYER = make_authority(), make_body(), make_payer()
OTHER = make_payer("other", number="Z000051000002")
TAKEN = tuple(sorted(octets(f"nullifier {at}") for at in range(TERMS.width)))
ONE, RIVAL = claim(PAYER, octets("cert"), TAKEN), claim(OTHER, octets("cert"), TAKEN, label="rival")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


@asynccontextmanager
async def started(path: Path, kind: StoreKind | None = None) -> AsyncIterator[StoredLog]:
    store = await kind.create(path, private=False) if kind else None
    log = await StoredLog.create(path, BODY, PAYER, OTHER, store=store)
    try:
        await log.add(AUTHORITY.sign(make_pack()), BODY.sign(make_pack(b"wages", pack_id="wages", terms=None)))
        yield log
    finally:
        await log.store.close()


async def refused(log: StoredLog, *statements: Any, time: int = 0) -> str:
    with pytest.raises(Refused) as caught:
        await log.add(*statements, time=time)
    return caught.value.code


async def test_taken_in_one_batch_or_in_two(tmp_path: Path, kind: StoreKind) -> None:
    async with started(tmp_path / "claims.db", kind) as log:
        assert await refused(log, ONE.statement, RIVAL.statement) == Refusal.ALREADY_CLAIMED
        await log.add(ONE.statement)
        assert await refused(log, RIVAL.statement) == Refusal.ALREADY_CLAIMED
        assert await last_claims(log.integrator, [*TAKEN, octets("free")]) == dict.fromkeys(TAKEN, ONE.leaf)
        await log.add(act(Kind.RELEASE, PAYER, ONE), RIVAL.statement)
        assert await last_claims(log.integrator, TAKEN) == dict.fromkeys(TAKEN, RIVAL.leaf)
        states = await claim_states(log.integrator, [ONE.leaf, RIVAL.leaf, octets("none")])
        assert {leaf: state.status for leaf, state in states.items()} == {
            ONE.leaf: ClaimStatus.RELEASED,
            RIVAL.leaf: ClaimStatus.RESERVED,
        }
        over = TIME + 31 * MS_PER_DAY
        assert await refused(log, act(Kind.PAY, OTHER, RIVAL), time=over) == Refusal.CLAIM_EXPIRED


async def test_packs_by_digest_and_publisher(tmp_path: Path, kind: StoreKind) -> None:
    async with started(tmp_path / "packs.db", kind) as log:
        wages = replace(make_pack(b"wages", pack_id="wages", terms=None), issuer=BODY.filing.number)
        assert await published_pack(log.integrator, make_pack().digest) == make_pack()
        assert await published_pack(log.integrator, wages.digest) is None
        assert await published_pack(log.integrator, wages.digest, BODY.filing.number) == wages
        again = AUTHORITY.sign(replace(make_pack(), first_day=make_pack().first_day + 1))
        assert await refused(log, again) == Refusal.VERSION_EXISTS
        terms = replace(TERMS, by_trade=not TERMS.by_trade)
        other = AUTHORITY.sign(make_pack(b"counts otherwise", version="2", terms=terms))
        assert await refused(log, other) == Refusal.SCHEME_COUNTS
        await log.add(AUTHORITY.sign(make_pack(b"counts alike", version="3")))


async def test_who_replays_it_gets_the_same_set(tmp_path: Path, kind: StoreKind) -> None:
    async with started(tmp_path / "first.db") as log:
        await log.add(ONE.statement)
        await log.add(act(Kind.PAY, PAYER, ONE))
        entries = await log.entries()
        root = log.integrator.map.root
    store = await kind.create(tmp_path / "again.db", private=False)
    await store.put_meta({"map_depth": b"\x04"})
    replica = await Integrator.open(store)
    with ThreadPoolExecutor(1) as workers:
        stretches, _ = split_sealed(entries)
        for stretch in stretches:
            await replica.commit(await replay_stretch(replica, stretch, workers))
        assert replica.map.root == root
        assert (await claim_states(replica, [ONE.leaf]))[ONE.leaf].status is ClaimStatus.PAID
        scratch = await kind.create(tmp_path / "scratch.db", private=False)
        assert await fsck(store, scratch, workers) == []
        await scratch.close()
    await store.close()


CHANGES = {
    "a claim said to be released": lambda state: (
        claim_map_key(ONE.leaf),
        replace(state, status=ClaimStatus.RELEASED).value(),
        replace(state, status=ClaimStatus.RELEASED).encode(),
    ),
    "its body alone": lambda state: (
        claim_map_key(ONE.leaf),
        state.value(),
        replace(state, status=ClaimStatus.RELEASED).encode(),
    ),
    "a nullifier that leads to another claim": lambda state: (
        nullifier_map_key(TAKEN[3]),
        nullifier_value(encode_nullifier(octets("other"))),
        encode_nullifier(octets("other")),
    ),
}


@pytest.mark.parametrize("what", [*CHANGES, "a nullifier is gone"])
async def test_a_changed_row_frees_nothing(tmp_path: Path, what: str) -> None:

    kind, path = SqliteKind(), tmp_path / "log.db"
    async with started(path) as log:
        await log.add(ONE.statement)
        if what in CHANGES:
            state = (await claim_states(log.integrator, [ONE.leaf]))[ONE.leaf]
            key, value, body = CHANGES[what](state)
            text = f"UPDATE state SET value = x'{value.hex()}', body = x'{body.hex()}' WHERE map_key = x'{key.hex()}'"
        else:
            text = f"DELETE FROM state WHERE map_key = x'{nullifier_map_key(TAKEN[3]).hex()}'"
        kind.change(path, text)
        with pytest.raises(Damaged, match="fsck"):
            await log.add(RIVAL.statement)
        with pytest.raises(Damaged, match="fsck"):
            await claim_states(log.integrator, list((await last_claims(log.integrator, TAKEN)).values()))

"""Where tracks lie: FIPS 197's example, order without a trace of it, and a key that is whole or none."""

from __future__ import annotations

import os
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Damaged
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.store.standing import check_places
from ledger.store.track_places import TRACK_PLACES, TrackPlaces, new_places
from tests.support.build_log import LogBuilder, octets
from tests.support.fault_store import flip

KEPT = new_places(lambda size: octets("key", size))


def places(kept: bytes | None = KEPT) -> TrackPlaces:
    return TrackPlaces(kept)


def test_a_place_is_the_decrypted_id() -> None:
    """FIPS 197, appendix C.1."""
    kept = new_places(lambda size: bytes(range(size)))
    encrypted = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")
    assert places(kept).of([encrypted]) == [bytes.fromhex("00112233445566778899aabbccddeeff")]


@given(st.lists(st.one_of(st.just(b""), st.binary(min_size=16, max_size=16)), max_size=20))
def test_every_id_has_one_place_of_its_own_and_none_is_none(ids: list[bytes]) -> None:
    found = places().of(ids)
    assert [bool(place) for place in found] == [bool(track_id) for track_id in ids]
    assert len(set(found)) == len(set(ids)) and found == [places().of([one])[0] for one in ids]


def test_what_is_drawn_lies_in_order_behind_all_that_was_drawn_before() -> None:
    requests = [places().draw(size, 300, os.urandom) for size in (0, 1, 255, 256, 70_000, 10**12)]
    lying = [sorted(places().of(one)) for one in requests]
    assert lying == sorted(lying) and all(one[-1] < next_[0] for one, next_ in pairwise(lying))
    turns = count()
    beside = [
        sorted(places().of(places().draw(7, 50, lambda size: (next(turns) * 7919 % 65521).to_bytes(size, "big"))))
        for _ in range(40)
    ]
    assert [place for one in sorted(beside) for place in one] == sorted(place for one in beside for place in one), (
        "no request lies between the tracks of another"
    )


@pytest.mark.parametrize("kept", [KEPT, None], ids=["with a key", "without"])
def test_an_id_says_nothing_of_the_request_that_drew_it(kept: bytes | None) -> None:
    """Ids of one request that had something in common would tell a body who was asked about before, and by whom."""
    ids = places(kept).draw(5, 200, os.urandom)
    assert {len(drawn) for drawn in ids} == {16}
    for at in range(16):
        assert len({drawn[at] for drawn in ids}) > 64, "every byte is as if drawn for itself"


@pytest.mark.parametrize("width", [3, 8])
def test_of_all_that_is_drawn_at_random_each_byte_makes_another_id(width: int) -> None:
    """At one size of the log: 11 bytes a track, of which a request has 3 in common."""
    ids = set()
    for bit in range(8 * width):
        ids.update(places().draw(5, 1, lambda size, bit=bit: (1 << bit if size == width else 0).to_bytes(size, "big")))
    assert len(ids) == 8 * width


def test_without_a_key_a_place_is_the_id() -> None:
    ids = [octets("one", 16), b"", octets("two", 16)]
    assert places(None).of(ids) == ids
    assert places(None).draw(5, 2, lambda size: b"x" * size) == [b"x" * 16] * 2


def test_a_key_that_is_not_whole_is_never_gone_by() -> None:
    for kept in (b"", KEPT[:-1], KEPT + b"\0", KEPT[:16], *(flip(KEPT, bit) for bit in range(8 * 24))):
        with pytest.raises(Damaged, match="from a backup"):
            places(kept)


async def test_a_log_goes_by_the_places_that_its_store_keeps(tmp_path: Path) -> None:
    """Rows of one track are beside each other at its place, which is not its id, and are found again from there."""
    store = create_sqlite(tmp_path / "log.db", private=False)
    await store.put_meta({TRACK_PLACES: KEPT})
    log = await LogBuilder.create(tmp_path, store=store)
    lower, higher = log.certificate("1", track="t", grade=3), log.certificate("2", track="t", grade=5)
    await log.issue(lower)
    await log.issue(higher)
    track_id = lower.issue.track_id
    assert await store.tracks([track_id]) == []
    members = await store.tracks(places().of([track_id]))
    assert {row.subject for row in members} == {lower.issue.cert_key, higher.issue.cert_key}
    state = await log.integrator.certificate(lower.issue.cert_key)
    assert state is not None and state.track_id == track_id and state.summary.highest.cert_key == higher.issue.cert_key
    await store.close()


async def test_a_log_whose_key_cannot_be_read_is_not_opened(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.store.put_meta({TRACK_PLACES: flip(KEPT, 3)})
    await log.store.close()
    store = open_sqlite(tmp_path / "log.db", private=False)
    with pytest.raises(Damaged, match="from a backup"):
        await Integrator.open(store)
    await store.close()


async def test_a_start_looks_whether_a_track_lies_where_the_key_has_it(tmp_path: Path) -> None:
    """Another key, none, or one where there was none, would find no track: each certificate would be the first one of
    its person."""
    for at, kept in enumerate((KEPT, None)):
        store = create_sqlite(tmp_path / f"{at}.db", private=True)
        for other in (KEPT, None):
            await check_places(store, places(other))
        if kept is not None:
            await store.put_meta({TRACK_PLACES: kept})
        log = await LogBuilder.create(tmp_path, store=store)
        await check_places(store, places(kept))
        await log.issue(log.certificate("1", track="t"))
        for other in {KEPT, None, new_places(bytes)} - {kept}:
            with pytest.raises(Damaged, match="from a backup"):
                await check_places(store, places(other))
        await check_places(store, log.integrator.places)
        await store.close()

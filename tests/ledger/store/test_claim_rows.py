"""The rows of claims: whatever the log proves of them is checked, on both kinds of store."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.records.kinds import Kind
from ledger.store import claim_rows
from ledger.store.claim_rows import ClaimRows, check_claim_rows, claims_of
from ledger.store.fsck import fsck
from ledger.store.protocol import Purpose, VersionedStore
from ledger.store.sqlite import create_sqlite
from ledger.wire import BareSubmission
from tests.ledger.service.test_claims import PAYER, SECOND, issued, opened
from tests.support.claim_room import ClaimRoom
from tests.support.claims import act, asked
from tests.support.stores import KINDS

COLUMNS = "hmac, purpose, key_version, body"
CLAIM, LINK, NUMBER = int(Purpose.CLAIM), int(Purpose.LINK), int(Purpose.NUMBER)
FIRST, FIRST_LINK = [
    f"(SELECT hmac FROM private_index WHERE purpose = {purpose} ORDER BY hmac LIMIT 1)" for purpose in (CLAIM, LINK)
]
NONE = "00" * 32
DAMAGE = {
    "a nullifier is gone": (f"DELETE FROM private_index WHERE hmac = {FIRST}", "has no row"),
    "all are gone": (f"DELETE FROM private_index WHERE purpose = {CLAIM}", "claim at index"),
    "one names no claim": (f"UPDATE private_index SET body = x'{NONE}' WHERE hmac = {FIRST}", f"names claim {NONE}"),
    "one names an older claim": (None, "the log says"),
    "one is a number's": (f"UPDATE private_index SET purpose = {NUMBER} WHERE hmac = {FIRST}", "of another purpose"),
    "one that nobody took": (
        f"INSERT INTO private_index ({COLUMNS}) VALUES (x'{NONE}', {CLAIM}, 1, x'{NONE}')", "no claim of the log",
    ),
    "a link too short": (f"UPDATE private_index SET body = x'00' WHERE hmac = {FIRST_LINK}", "1 bytes"),
    "more links than claims": (
        f"INSERT INTO private_index ({COLUMNS}) VALUES (x'{NONE}', {LINK}, 1, x'{'00' * 60}')",
        "4 link rows lead from claims to certificates, and the log has 3 claims",
    ),
}  # fmt: skip


async def claimed(claims: ClaimRoom) -> None:
    """Three claims: one that holds, one released, and the one that took what that freed."""
    first, second = await issued(claims), await issued(claims, "q")
    held = await claims.ask(PAYER, asked(first, "p"))
    freed = await claims.ask(PAYER, asked(second, "q"), label="freed")
    assert all(isinstance(one, int) for one in await claims.put(PAYER, held.submission, freed.submission))
    released = BareSubmission(act(Kind.RELEASE, PAYER, freed).entry)
    assert isinstance((await claims.put(PAYER, released))[0], int)
    again = await claims.ask(SECOND, asked(second, "q"), label="again")
    assert isinstance((await claims.put(SECOND, again.submission))[0], int)


async def replayed(claims: ClaimRoom, folder: Path) -> VersionedStore:
    scratch = create_sqlite(folder / "scratch.db", private=False)
    with ThreadPoolExecutor(1) as workers:
        assert await fsck(claims.room.store, scratch, workers) == []
    return scratch


@pytest.fixture(params=sorted(KINDS))
async def claims(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ClaimRoom]:
    async with opened(tmp_path, KINDS[request.param]()) as room:
        await claimed(room)
        yield room


async def test_sound_rows_pass_and_every_damage_is_named(
    claims: ClaimRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, store, kind = await replayed(claims, tmp_path), claims.room.store, claims.room.kind
    place = claims.room.folder / "log.db"
    assert await check_claim_rows(store, scratch) == ClaimRows([], 0)
    monkeypatch.setattr(claim_rows, "_READ", 2)
    assert await check_claim_rows(store, scratch) == ClaimRows([], 0)
    made = [claim async for some in claims_of(scratch) for claim in some]
    counts = Counter(one for claim in made for one in claim.body.nullifiers)
    nullifier = next(one for one, count in counts.items() if count == 2)
    older = min((one for one in made if nullifier in one.body.nullifiers), key=lambda one: one.index).leaf
    kind.change(place, f"CREATE TABLE kept AS SELECT {COLUMNS} FROM private_index")
    for what, (change, said) in DAMAGE.items():
        names_older = f"UPDATE private_index SET body = x'{older.hex()}' WHERE hmac = x'{nullifier.hex()}'"
        kind.change(place, change or names_older)
        found = await check_claim_rows(store, scratch)
        assert found.problems and said in found.problems[0].en, (what, found)
        kind.change(place, "DELETE FROM private_index")
        kind.change(place, f"INSERT INTO private_index ({COLUMNS}) SELECT {COLUMNS} FROM kept")
    kind.change(place, f"DELETE FROM private_index WHERE hmac = {FIRST_LINK}")
    assert await check_claim_rows(store, scratch) == ClaimRows([], 1), "a person was erased"
    await scratch.close()

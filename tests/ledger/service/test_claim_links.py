"""What only the index key opens: from each claim to its certificate, and back to what it used up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ledger.service.claim_links import check_links
from ledger.service.nullifiers import Nullifiers
from ledger.service.private_index import PrivateIndex
from tests.ledger.service.test_claims import PAYER, issued, opened
from tests.ledger.store.test_claim_rows import claimed, replayed
from tests.support.builders import octets
from tests.support.claims import TERMS, asked, make_pack
from tests.support.service_room import AUTHORITY, BODY
from tests.support.stores import KINDS


async def test_every_link_leads_to_a_certificate_whose_claim_it_is(tmp_path: Path) -> None:
    """A reissued certificate too, whose claim names the key of before."""
    async with opened(tmp_path, KINDS["sqlite"]()) as claims:
        await claimed(claims)
        old = await issued(claims, "old")
        new = BODY.reissue("new", old)
        assert isinstance((await claims.room.put(new))[0], int)
        made = await claims.ask(PAYER, asked(old, "old"), label="by the key of before")
        assert isinstance((await claims.put(PAYER, made.submission))[0], int)
        later = await issued(claims, "later")
        scratch, place, kind = await replayed(claims, tmp_path), claims.room.folder / "log.db", claims.room.kind
        store, nullifiers = claims.room.store, claims.desk.nullifiers
        assert await check_links(store, scratch, nullifiers) == []
        foreign = Nullifiers(PrivateIndex(octets("another key"), lambda count: bytes(count)))
        assert len(await check_links(store, scratch, foreign)) == 4, "rows of another key are nobody's"

        absent = octets("no certificate")
        for cert_key, said in (
            (absent, "leads to no certificate that the log had"),
            (later.issue.cert_key, "leads to no certificate that the log had"),
        ):
            row = nullifiers.link_row(made.leaf, cert_key)
            kind.change(place, f"UPDATE private_index SET body = x'{row.body.hex()}' WHERE hmac = x'{row.hmac.hex()}'")
            (problem,) = await check_links(store, scratch, nullifiers)
            assert row.hmac.hex() in problem.en and said in problem.en
        broken = bytes(60).hex()
        kind.change(place, f"UPDATE private_index SET body = x'{broken}' WHERE hmac = x'{row.hmac.hex()}'")
        assert "does not open" in (await check_links(store, scratch, nullifiers))[0].en
        kind.change(place, f"DELETE FROM private_index WHERE hmac = x'{row.hmac.hex()}'")
        assert await check_links(store, scratch, nullifiers) == [], "a person was erased"
        stray = nullifiers.link_row(octets("no claim"), old.issue.cert_key)
        values = f"x'{stray.hmac.hex()}', {int(stray.purpose)}, 1, x'{stray.body.hex()}'"
        kind.change(place, f"INSERT INTO private_index (hmac, purpose, key_version, body) VALUES ({values})")
        assert "of no claim of the log" in (await check_links(store, scratch, nullifiers))[0].en
        await scratch.close()


async def test_a_link_to_somebody_elses_certificate_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path, KINDS["sqlite"]()) as claims:
        other, mine = await issued(claims, "other"), await issued(claims)
        without = make_pack(b"no groups", pack_id="none", terms=replace(TERMS, scheme="SC-2", groups=()))
        await claims.put_authority(AUTHORITY.sign(without))
        made = await claims.ask(PAYER, asked(mine, "p"))
        alone = await claims.ask(PAYER, asked(mine, "p", pack=without.digest), label="no groups")
        assert all(isinstance(one, int) for one in await claims.put(PAYER, made.submission, alone.submission))
        scratch, place = await replayed(claims, tmp_path), claims.room.folder / "log.db"
        assert await check_links(claims.room.store, scratch, claims.desk.nullifiers) == []
        for one in (made, alone):
            row = claims.desk.nullifiers.link_row(one.leaf, other.issue.cert_key)
            claims.room.kind.change(
                place, f"UPDATE private_index SET body = x'{row.body.hex()}' WHERE hmac = x'{row.hmac.hex()}'"
            )
        problems = await check_links(claims.room.store, scratch, claims.desk.nullifiers)
        assert ["groups" in problem.en for problem in problems] == [True, False] and "whose grade" in problems[1].en
        await scratch.close()

"""Shares, on both stores: who opens one, until when, and how often."""

from __future__ import annotations

import asyncio

import pytest

from ledger.errors import Malformed, Refused
from tests.support.builders import octets
from tests.verifier.holders.conftest import Kit
from tests.verifier.holders.test_accounts import other, signed_in
from verifier.holders.share_store import Gate, Opened
from verifier.holders.shares import MAX_BODY, MAX_SHARES, WRONG_PINS, Note

KEY = octets("cert key")
TOKEN = octets("token", 16)
PROOF = octets("proof")


async def shared(kit: Kit, *, proof: bytes = b"", token: bytes = TOKEN, lasts: int = 1000) -> tuple[object, bytes]:
    session = await signed_in(kit)
    (kept,) = await kit.accounts.certificates(session)
    note = Note(token, "job", ("name",), "某公司")
    return session, await kit.shares.add(session, kept.id, KEY, note, b"sealed", proof, kit.now[0] + lasts)


async def test_the_token_opens_it_and_each_view_is_counted(kit: Kit) -> None:
    session, id_ = await shared(kit)
    opened = await kit.shares.open(TOKEN, None)
    assert opened == Opened(KEY, b"sealed", kit.now[0] + 1000, False)
    await kit.shares.open(TOKEN, None, count=False)
    kit.now[0] += 5
    await kit.shares.open(TOKEN, None)
    (listed,) = await kit.shares.listed(session)  # type: ignore[arg-type]
    assert (listed.id, listed.views, listed.seen_ms) == (id_, 2, (kit.now[0], kit.now[0] - 5))
    assert listed.note == Note(TOKEN, "job", ("name",), "某公司") and listed.state(kit.now[0]) == "open"


async def test_only_the_newest_views_are_listed(kit: Kit) -> None:
    session, _ = await shared(kit)
    for _ in range(53):
        await kit.shares.open(TOKEN, None)
    (listed,) = await kit.shares.listed(session)  # type: ignore[arg-type]
    assert listed.views == 53 and len(listed.seen_ms) == 50


async def test_what_is_closed_over_or_unknown_is_the_same(kit: Kit) -> None:
    session, id_ = await shared(kit)
    for token in (octets("guess", 16), b"", TOKEN[:15], TOKEN + b"\0"):
        assert await kit.shares.open(token, None) is Gate.ENDED
    kit.now[0] += 1000
    assert await kit.shares.open(TOKEN, None) is Gate.ENDED
    assert await kit.shares.extend(session, id_, kit.now[0] + 10)  # type: ignore[arg-type]
    assert isinstance(await kit.shares.open(TOKEN, None), Opened)
    await kit.shares.close(session, id_)  # type: ignore[arg-type]
    assert await kit.shares.open(TOKEN, None) is Gate.ENDED
    assert await kit.store.fetch("SELECT body FROM holder_share") == [(b"",)], "what it disclosed is gone"
    assert not await kit.shares.extend(session, id_, kit.now[0] + 10), "for good"  # type: ignore[arg-type]
    await kit.shares.drop(session, id_)  # type: ignore[arg-type]
    assert await kit.shares.listed(session) == []  # type: ignore[arg-type]
    assert await kit.store.fetch("SELECT * FROM holder_view") == []


async def test_a_pin_is_asked_for_and_five_wrong_ones_lock(kit: Kit) -> None:
    session, id_ = await shared(kit, proof=PROOF)
    assert await kit.shares.open(TOKEN, None) is Gate.PIN
    answers = await asyncio.gather(*(kit.shares.open(TOKEN, octets(f"{at}")) for at in range(WRONG_PINS)))
    assert answers.count(Gate.WRONG) == WRONG_PINS - 1 and answers.count(Gate.LOCKED) == 1
    assert await kit.shares.open(TOKEN, PROOF) is Gate.LOCKED
    (listed,) = await kit.shares.listed(session)  # type: ignore[arg-type]
    assert listed.state(kit.now[0]) == "locked" and listed.views == 0 and listed.has_pin
    await kit.shares.extend(session, id_, kit.now[0] + 10)  # type: ignore[arg-type]
    assert isinstance(await kit.shares.open(TOKEN, PROOF), Opened)


async def test_another_account_can_do_nothing_with_it(kit: Kit) -> None:
    session, id_ = await shared(kit)
    stranger = await signed_in(kit, other())
    await kit.shares.close(stranger, id_)
    await kit.shares.drop(stranger, id_)
    assert not await kit.shares.extend(stranger, id_, kit.now[0] + 99)
    assert isinstance(await kit.shares.open(TOKEN, None), Opened)
    assert len(await kit.shares.listed(session)) == 1 and await kit.shares.listed(stranger) == []  # type: ignore[arg-type]


async def test_what_is_no_share_is_refused(kit: Kit) -> None:
    session, _ = await shared(kit)
    note = Note(octets("new", 16), "job", (), "")
    for body, proof in ((b"", b""), (bytes(MAX_BODY + 1), b""), (b"x", b"short")):
        with pytest.raises(Malformed):
            await kit.shares.add(session, b"c", KEY, note, body, proof, kit.now[0] + 1)  # type: ignore[arg-type]
    again = Note(TOKEN, "job", (), "")
    with pytest.raises(Refused, match="SHARE_EXISTS"):
        await kit.shares.add(session, b"c", KEY, again, b"x", b"", kit.now[0] + 1)  # type: ignore[arg-type]


async def test_there_is_an_end_to_shares(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SHARES == 200
    monkeypatch.setattr("verifier.holders.share_store.MAX_SHARES", 2)
    session, _ = await shared(kit)
    await shared(kit, token=octets("second", 16))
    with pytest.raises(Refused, match="SHARES_MANY"):
        await shared(kit, token=octets("third", 16))
    assert session is not None

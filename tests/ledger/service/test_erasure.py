"""Erasing the person of one certificate, on both stores: nothing opens or is found any more, others are untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Refused
from ledger.service.erasure import Erasable, find_erasable
from ledger.service.private_index import Found
from ledger.store.erasing import erase_rows
from ledger.store.protocol import Purpose, Slot
from tests.ledger.service.test_enquiries import LAST4, by_authority, enquiries, put
from tests.ledger.service.test_private_fold import places_of
from tests.support.builders import SECOND, key_standing, octets, two_keys
from tests.support.claim_room import ClaimRoom
from tests.support.claims import asked, make_payer
from tests.support.life_builders import correction, reissue
from tests.support.postgres import postgres_server
from tests.support.service_room import BODY, INDEX, Room
from tests.support.stores import KINDS, PostgresKind


@pytest.fixture(params=KINDS)
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    return Room(tmp_path, KINDS[request.param]())


async def erase(room: Room, secret: bytes) -> int:
    return (await erased(room, secret))[1]


async def erased(room: Room, secret: bytes) -> tuple[Erasable, int]:
    """With the ledger stopped, as its operator."""
    path = room.folder / "log.db"
    place = room.kind.place(path)
    owner = postgres_server().owner(place) if isinstance(room.kind, PostgresKind) else ""
    return await erase_rows(place, path.parent, owner, lambda store: find_erasable(store, INDEX, secret))


async def test_all_of_one_certificate_and_nothing_of_another(room: Room) -> None:
    async with room.open():
        [first, other] = await room.draft("a", "b")
        await put(room, first, other)
        changed = correction(BODY, first, name="新名字")
        await put(room, changed)
        places = [*await places_of(room, first), *await places_of(room, changed)]
        others = await places_of(room, other)
    # Four envelopes, two look-up rows, two ID tails.
    assert await erase(room, first.secret) == 8
    assert await erase(room, first.secret) == 0, "a second run finds nothing"
    async with room.open():
        for place in places:
            for slot in Slot:
                assert await room.store.envelope(place, slot) is None
        asked = enquiries(room)
        faces = [first.face, changed.face, other.face]
        found = await asked.lookups.find([(face.number, face.name) for face in faces])
        assert [one is not None for one in found] == [False, False, True]
        assert not await asked.match(first.issue.cert_key, LAST4["a"])
        assert await asked.match(other.issue.cert_key, LAST4["b"])
        assert await room.store.envelope(others[0], Slot.FACE) is not None
        for face in (first.face, other.face):
            assert await room.store.index(INDEX.number_keys(face.number)), "a number is never given twice"
        state = await room.sequencer.integrator.certificate(first.issue.cert_key)
        assert state is not None, "the public record stays"
        [later] = await room.draft("c")
        await put(room, later)


async def test_a_certificate_that_a_reissue_replaced(room: Room) -> None:
    """The new paper's look-up leads on; each of the two takes its own rows along."""
    async with room.open():
        [first] = await room.draft("a")
        await put(room, first)
        again = reissue(BODY, first, "again")
        await put(room, again)
        gone, kept = await places_of(room, first), await places_of(room, again)
    assert await erase(room, first.secret) == 3, "two envelopes and an ID tail"
    async with room.open():
        assert await room.store.envelope(gone[0], Slot.FACE) is None
        assert await room.store.envelope(kept[0], Slot.FACE) is not None
        [found] = await enquiries(room).lookups.find([(again.face.number, again.face.name)])
        assert isinstance(found, Found) and found.cert_key == again.issue.cert_key
    assert await erase(room, again.secret) == 4
    assert await erase(room, first.secret) == 0


async def test_a_secret_of_no_certificate(room: Room) -> None:
    async with room.open():
        pass
    with pytest.raises(Refused, match="NO_CERTIFICATE"):
        await erase(room, octets("nobody", 16))


@pytest.mark.parametrize("body", ["00" * 60, ""])
async def test_a_link_that_is_damaged_holds_up_nobody_and_is_named(room: Room, body: str) -> None:
    path = room.folder / "log.db"
    async with room.open():
        first, other = await room.draft("a", "b")
        await put(room, first, other)
        claims = await ClaimRoom.begin(room)
        made = await claims.ask(make_payer(), asked(first, "a"))
        await claims.put(make_payer(), made.submission)
    room.kind.change(path, f"UPDATE private_index SET body = x'{body}' WHERE purpose = {int(Purpose.LINK)}")
    [(row,)] = room.kind.change(path, f"SELECT hmac FROM private_index WHERE purpose = {int(Purpose.LINK)}")
    for certificate in (other, first):  # of whom it is nobody can tell
        found, gone = await erased(room, certificate.secret)
        assert (found.damaged, found.unread, gone) == ((row,), 0, 4)
    assert room.kind.change(path, f"SELECT hmac FROM private_index WHERE purpose = {int(Purpose.LINK)}") == [(row,)]


@pytest.mark.parametrize("body", ["00" * 60, ""])
async def test_a_look_up_row_that_is_damaged_goes_with_the_rest(room: Room, body: str) -> None:
    """It is of this very number and name, opens for nobody, and could not be found any more without the envelope."""
    path = room.folder / "log.db"
    async with room.open():
        [first] = await room.draft("a")
        await put(room, first)
    room.kind.change(path, f"UPDATE private_index SET body = x'{body}' WHERE purpose = {int(Purpose.LOOKUP)}")
    found, gone = await erased(room, first.secret)
    assert (found.damaged, found.unread, gone) == ((), 0, 4)
    assert room.kind.change(path, f"SELECT hmac FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}") == []


async def test_a_damaged_row_of_a_number_that_moved_is_the_new_certificates(room: Room) -> None:
    path = room.folder / "log.db"
    async with room.open():
        [first] = await room.draft("a")
        await put(room, first)
        await put(room, reissue(BODY, first, "again"))
    room.kind.change(path, f"UPDATE private_index SET body = x'00' WHERE purpose = {int(Purpose.LOOKUP)}")
    rows = room.kind.change(path, f"SELECT hmac FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}")
    await erase(room, first.secret)
    assert room.kind.change(path, f"SELECT hmac FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}") == rows


async def test_a_damaged_row_of_a_void_reissues_number_is_that_of_the_certificate_before(room: Room) -> None:
    """The number is its again, and a row that leads to nothing keeps a look-up from saying no."""
    path, second = room.folder / "log.db", replace(BODY, record=SECOND)
    async with room.open():
        await by_authority(room, replace(two_keys().filing, change=True))
        [old] = await room.draft("a")
        await put(room, old)
        void = reissue(second, old, "void")
        await put(room, void)
        await by_authority(room, key_standing(second.record.public, void_from=room.size - 2))
    room.kind.change(path, f"UPDATE private_index SET body = x'00' WHERE purpose = {int(Purpose.LOOKUP)}")
    await erase(room, void.secret)
    left = room.kind.change(path, f"SELECT count(*) FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}")
    assert left == [(1,)]


async def test_a_damaged_row_of_a_name_of_before_is_not_that_of_the_new_certificate(room: Room) -> None:
    path = room.folder / "log.db"
    async with room.open():
        [first] = await room.draft("a")
        await put(room, first)
        changed = correction(BODY, first, name="新名字")
        await put(room, changed)
        before = room.kind.change(path, f"SELECT count(*) FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}")
        assert before == [(2,)], "of both names"
    room.kind.change(path, f"UPDATE private_index SET body = x'00' WHERE purpose = {int(Purpose.LOOKUP)}")
    async with room.open():
        await put(room, reissue(BODY, replace(first, face=changed.face), "again"))
    await erase(room, first.secret)
    left = room.kind.change(path, f"SELECT length(body) FROM private_index WHERE purpose = {int(Purpose.LOOKUP)}")
    assert len(left) == 1 and left[0][0] > 1, "the one that leads to the new certificate"


async def test_an_envelope_that_does_not_open_goes_and_is_told(room: Room) -> None:
    """Its look-up row is not found: who would not be told believes that all is gone."""
    path = room.folder / "log.db"
    async with room.open():
        [first] = await room.draft("a")
        await put(room, first)
    room.kind.change(path, f"UPDATE envelope SET body = x'{'00' * 60}' WHERE slot = {int(Slot.FACE)}")
    found, gone = await erased(room, first.secret)
    assert (found.damaged, found.unread, gone) == ((), 1, 3), "two envelopes and the ID tail"
    assert room.kind.change(path, "SELECT count(*) FROM envelope") == [(0,)]

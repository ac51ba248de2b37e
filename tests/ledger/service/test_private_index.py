"""The private index: nothing readable without its keys, nothing linkable across purposes, openings that prove; where
its rows lie in a store, and that those of an older version go on being found, renewed and erased."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from ledger.errors import Refused, Unverified
from ledger.records.commitments import FaceOpening
from ledger.records.refusals import Refusal
from ledger.service.admission import Candidate, PrivatePart
from ledger.service.private_fold import PrivateFold
from ledger.service.private_index import (
    KEY_VERSION,
    LOOKUP_BYTES,
    NUMBERS_APART,
    Found,
    PrivateIndex,
    envelope_keys,
    lookup_keys,
    lookup_row,
    match_keys,
    match_row,
    number_row,
    place_of,
)
from ledger.store.migrations import migrations
from ledger.store.opening import upgrade_store
from ledger.store.protocol import IndexRow, PrivateStore, Purpose, Slot
from tests.ledger.service.test_enquiries import LAST4, enquiries, find, put
from tests.ledger.service.test_erasure import erase
from tests.ledger.service.test_private_fold import (
    by_authority,
    check_envelopes,
    code,
    found,
    index_of,
    logged,
    looked_up,
    matches,
    places_of,
    track,
    with_face,
)
from tests.support.builders import OCCUPATION, SECOND, Certificate, id_number, key_standing, two_keys
from tests.support.fault_store import flip
from tests.support.life_builders import Correction, correction, reissue
from tests.support.postgres import postgres_server
from tests.support.service_room import BODY, EXAMINER, INDEX, Room
from tests.support.stores import KINDS, PostgresKind, before_checkpoint_step

FOUND = Found(b"c" * 32, b"s" * 16, b"l" * 32)
NUMBER, NAME = "Y000051000001264000001", "例小明"
PERSON = ("111", "CHN", "009900198001010016", "6-18-01-01")


def make(key: bytes = b"k" * 32) -> PrivateIndex:
    counter = itertools.count()
    return PrivateIndex(key, lambda count: sha256(b"%d" % next(counter)).digest()[:count])


def rows_of(index: PrivateIndex, at: int) -> dict[Purpose, IndexRow]:
    """What the certificate issued at `at` leaves behind."""
    number, both = index.number_keys(NUMBER), index.lookup_hmac(NUMBER, NAME)
    return {
        Purpose.NUMBER: number_row(number[0], at),
        Purpose.PERSON: index.track_row(PERSON[:3], PERSON[3], b"t" * 16),
        Purpose.MATCH: match_row(index.match_hmac(b"c" * 32, "0016"), at),
        Purpose.LOOKUP: lookup_row(lookup_keys(number, both)[0], index.seal_lookup(NUMBER, NAME, FOUND)),
    }


def test_rows_name_their_purpose_and_key_version() -> None:
    rows = rows_of(make(), 258)
    assert all(row.purpose is purpose and row.key_version == KEY_VERSION for purpose, row in rows.items())
    assert all(len(row.hmac) == 32 for row in rows.values())
    assert len({row.hmac for row in rows.values()}) == 4
    assert int.from_bytes(rows[Purpose.NUMBER].body, "big") == 258
    assert len(rows[Purpose.PERSON].body) == 16
    assert rows[Purpose.MATCH].body == b""
    assert len(rows[Purpose.LOOKUP].body) == LOOKUP_BYTES


def test_rows_of_one_certificate_lie_beside_each_other() -> None:
    index = make()
    rows, both = rows_of(index, 258), index.lookup_hmac(NUMBER, NAME)
    assert rows[Purpose.LOOKUP].hmac == rows[Purpose.NUMBER].hmac[:16] + both[:16]
    assert rows[Purpose.MATCH].hmac == bytes(6) + b"\x01\x02" + index.match_hmac(b"c" * 32, "0016")[:24]
    at = (1, 255, 256, 65_536, 2**40)
    assert (later := [rows_of(index, one)[Purpose.MATCH].hmac for one in at]) == sorted(later), (
        "in the order of the log"
    )
    locators = [bytes([255 - one]) * 32 for one in range(5)]
    places = [envelope_keys(issued, locator)[0] for issued, locator in zip(at, locators, strict=True)]
    assert places == sorted(places) and places[1] == bytes(7) + b"\xff" + b"\xfe" * 24


def test_a_row_is_looked_for_where_either_version_puts_it() -> None:
    index = make()
    number, both, match = index.number_keys(NUMBER), index.lookup_hmac(NUMBER, NAME), index.match_hmac(b"c" * 32, "1")
    locator = bytes(range(32))
    for keys, before in (
        (number, number[1:]),
        (lookup_keys(number, both), (number[1][:16] + both[:16], both)),
        (match_keys(match, 258), (match,)),
        (envelope_keys(258, locator), (locator,)),
    ):
        new, *older = keys
        assert older == list(before) and {len(key) for key in keys} == {32}
        assert place_of(keys, {}) == new == place_of(keys, {new: b""}) == place_of(keys, dict.fromkeys(keys, b""))
        assert place_of(keys, dict.fromkeys(older, b"")) == older[0]
        for old in older:
            assert place_of(keys, {old: b""}) == old


def test_numbers_of_one_hundred_lie_beside_each_other() -> None:
    index, beginning = make(), NUMBER[:-4]
    keys = {serial: index.number_keys(f"{beginning}{serial:04d}")[0] for serial in range(1, 501)}
    for serial, key in keys.items():
        assert (key[:8] == keys[1][:8]) == (serial < 100)
        assert key[8:] == index.number_keys(f"{beginning}{serial:04d}")[1][:24]
    assert len({key[:8] for key in keys.values()}) == 6 and len(set(keys.values())) == 500
    assert keys[1][:8] not in {make(b"o" * 32).number_keys(NUMBER)[0][:8], index.number_keys("Z" + NUMBER[1:])[0][:8]}
    assert len({index.number_keys(short)[0] for short in ("", "1", "12", "123")}) == 4, "an old scheme may be short"


def test_the_same_value_gives_the_same_row_key_and_another_key_another() -> None:
    one, two, other = make(), make(), make(b"o" * 32)
    assert one.number_keys(NUMBER) == two.number_keys(NUMBER)
    assert not set(one.number_keys(NUMBER)) & set(other.number_keys(NUMBER))
    row = two.track_row(PERSON[:3], PERSON[3], b"t" * 16)
    assert one.person_hmac(*PERSON) == row.hmac != other.person_hmac(*PERSON)


@pytest.mark.parametrize("place", range(4))
def test_every_part_of_a_person_counts(place: int) -> None:
    other = list(PERSON)
    other[place] += "x"
    assert make().person_hmac(*PERSON) != make().person_hmac(*other)


def test_parts_cannot_be_shifted_into_each_other() -> None:
    index = make()
    assert index.person_hmac("111", "CHN", "12", "3") != index.person_hmac("111", "CHN", "1", "23")
    assert index.lookup_hmac("A1", "b") != index.lookup_hmac("A", "1b")


def test_one_value_under_two_purposes_cannot_be_linked() -> None:
    index = make()
    assert index.hmac(Purpose.NUMBER, [NUMBER]) != index.hmac(Purpose.LOOKUP, [NUMBER])


def test_a_lookup_opens_for_its_number_and_name_only() -> None:
    index = make()
    sealed = index.seal_lookup(NUMBER, NAME, FOUND)
    assert index.open_lookup(NUMBER, NAME, sealed) == FOUND
    for number, name in ((NUMBER, "例小红"), (NUMBER[:-1] + "2", NAME), (NAME, NUMBER)):
        with pytest.raises(Unverified):
            index.open_lookup(number, name, sealed)
    with pytest.raises(Unverified):
        make(b"o" * 32).open_lookup(NUMBER, NAME, sealed)
    for bit in range(0, 8 * len(sealed), 17):
        with pytest.raises(Unverified):
            index.open_lookup(NUMBER, NAME, flip(sealed, bit))


def test_nothing_readable_is_stored() -> None:
    stored = b"".join(row.hmac + row.body for row in rows_of(make(), 1).values())
    for text in (NUMBER, NAME, PERSON[2], "0016", "c" * 32, "s" * 16, "l" * 32):
        assert text.encode() not in stored
        assert text.encode("utf-16-le") not in stored


# ---- in a store ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    return Room(tmp_path, KINDS[request.param]())


def look_up_keys(face: FaceOpening) -> tuple[bytes, bytes]:
    """The newest and the oldest."""
    new, _, old = lookup_keys(INDEX.number_keys(face.number), INDEX.lookup_hmac(face.number, face.name))
    return new, old


def id_keys(made: Certificate | Correction, person: str, issued: int) -> tuple[bytes, bytes]:
    return match_keys(INDEX.match_hmac(made.statement.leaf_hash, id_number(person)[-4:]), issued)


async def age(room: Room, *pairs: tuple[bytes, bytes]) -> None:
    """Put rows where an older version would have put them."""
    for new, old in pairs:
        assert new in await room.store.index([new])
        text = f"UPDATE private_index SET hmac = x'{old.hex()}' WHERE hmac = x'{new.hex()}'"
        room.kind.change(room.folder / "log.db", text)
        assert list(await room.store.index([new, old])) == [old]


async def age_envelopes(room: Room, made: Certificate | Correction) -> None:
    new, old = await places_of(room, made)
    assert await room.store.envelope(new, Slot.FACE)
    text = f"UPDATE envelope SET place = x'{old.hex()}' WHERE place = x'{new.hex()}'"
    room.kind.change(room.folder / "log.db", text)
    assert await room.store.envelope(old, Slot.FACE) and not await room.store.envelope(new, Slot.FACE)


async def issued_of_old(room: Room, *people: str) -> list[Certificate]:
    """Certificates whose rows an older version wrote."""
    made = await room.draft(*people)
    await put(room, *made)
    for person, each in zip(people, made, strict=True):
        at = await index_of(room, each.face.number)
        await age(room, look_up_keys(each.face), id_keys(each, person, at))
        await age_envelopes(room, each)
    return made


async def there(room: Room, keys: tuple[bytes, bytes]) -> list[bool]:
    rows = await room.store.index(keys)
    return [key in rows for key in keys]


NEW, OLD, NEITHER = [True, False], [False, True], [False, False]


async def test_rows_lie_beside_their_number_and_in_the_order_of_the_log(room: Room) -> None:
    async with room.open():
        one, two = await room.draft("a", "b")
        await put(room, one, two)
        first, second = [await index_of(room, each.face.number) for each in (one, two)]
        renamed, new = correction(BODY, one, name="例改名"), reissue(BODY, two, "new")
        await put(room, renamed, new)
        third = await index_of(room, two.face.number)
        assert third > second > first
        for face in (one.face, renamed.face, two.face):
            assert await there(room, look_up_keys(face)) == NEW
        for made, person, at in ((one, "a", first), (renamed, "a", first), (two, "b", second), (new, "b", third)):
            assert await there(room, id_keys(made, person, at)) == NEW


async def test_old_rows_are_found(room: Room) -> None:
    async with room.open():
        old, other = await issued_of_old(room, "a", "b")
        (new,) = await room.draft("c")
        await put(room, new)
        asked = enquiries(room)
        assert await find(asked, old.face, new.face, other.face) == [each.issue.cert_key for each in (old, new, other)]
        for made, person in ((old, "a"), (new, "c"), (other, "b")):
            assert await asked.match(made.issue.cert_key, LAST4[person])
        assert not await asked.match(old.issue.cert_key, LAST4["b"])


async def test_a_look_up_row_of_the_version_between_is_found_renewed_and_erased(room: Room) -> None:
    """It begins with the HMAC of its number, and not yet with that of the hundred."""
    async with room.open():
        (made,) = await room.draft("a")
        await put(room, made)
        keys = lookup_keys(INDEX.number_keys(made.face.number), INDEX.lookup_hmac(made.face.number, made.face.name))
        await age(room, keys[:2])
        assert await find(enquiries(room), made.face) == [made.issue.cert_key]
        new = reissue(BODY, made, "new")
        await put(room, new)
        assert await find(enquiries(room), new.face) == [new.issue.cert_key]
        assert list(await room.store.index(keys)) == [keys[1]]
    assert await erase(room, new.secret)
    async with room.open():
        assert not await room.store.index(keys)


async def test_an_old_name_that_comes_back_says_what_holds_now(room: Room) -> None:
    """Its row is renewed where it lies: nobody can come upon one of before."""
    async with room.open():
        (made,) = await issued_of_old(room, "a")
        renamed = correction(BODY, made, "1", name="例改名")
        await put(room, renamed)
        assert await find(enquiries(room), made.face, renamed.face) == [None, made.issue.cert_key]
        back = correction(BODY, made, "2")
        await put(room, back)
        assert await find(enquiries(room), back.face, renamed.face) == [made.issue.cert_key, None]
        assert await looked_up(room, back.face) == found(back)
        assert await there(room, look_up_keys(made.face)) == OLD
        assert await there(room, look_up_keys(renamed.face)) == NEW
        again = correction(BODY, made, "3", name="例改名")
        await put(room, again)
        assert await looked_up(room, again.face) == found(again)
        assert await there(room, look_up_keys(again.face)) == NEW
        assert await enquiries(room).match(made.issue.cert_key, LAST4["a"])


async def test_another_document_under_an_old_name(room: Room) -> None:
    """That the name is the same is read from the old row."""
    async with room.open():
        (made,) = await issued_of_old(room, "a")
        moved = correction(BODY, made, "1", person="b", track=await track(room, "b"))
        await put(room, moved)
        assert await looked_up(room, moved.face) == found(moved)
        assert await matches(room, made.issue.cert_key, "b") and not await matches(room, made.issue.cert_key, "a")
        assert await there(room, look_up_keys(made.face)) == OLD
        assert await there(room, id_keys(moved, "b", await index_of(room, made.face.number))) == NEW


async def test_a_reissue_takes_an_old_row_along(room: Room) -> None:
    async with room.open():
        (made,) = await issued_of_old(room, "a")
        new = reissue(BODY, made, "new")
        await put(room, new)
        assert await looked_up(room, new.face) == found(new)
        assert await find(enquiries(room), new.face) == [new.issue.cert_key]
        assert await there(room, look_up_keys(made.face)) == OLD
        for each in (made, new):
            assert await enquiries(room).match(each.issue.cert_key, LAST4["a"])
        await check_envelopes(room, new)
        fixed = correction(BODY, new, name="例改名")
        await put(room, fixed)
        await check_envelopes(room, fixed)


async def test_old_and_new_rows_are_erased(room: Room) -> None:
    async with room.open():
        made, other = await issued_of_old(room, "a", "b")
        renamed = correction(BODY, made, name="例改名")
        await put(room, renamed)
        first = await index_of(room, made.face.number)
        # As two versions in turn could leave it: both rows of one number and name.
        key, _ = look_up_keys(made.face)
        await room.store.claim([lookup_row(key, INDEX.seal_lookup(made.face.number, made.face.name, found(made)))])
    assert await erase(room, made.secret) == 9, "four envelopes, three look-up rows, two ID tails"
    assert await erase(room, made.secret) == 0
    async with room.open():
        for keys in (
            look_up_keys(made.face), look_up_keys(renamed.face), id_keys(made, "a", first),
            id_keys(renamed, "a", first),
        ):  # fmt: skip
            assert await there(room, keys) == NEITHER
        for place in (*await places_of(room, made), *await places_of(room, renamed)):
            assert [await room.store.envelope(place, slot) for slot in Slot] == [None, None]
        for place, kept in zip(await places_of(room, other), OLD, strict=True):
            assert (await room.store.envelope(place, Slot.REST) is not None) == kept
        assert await find(enquiries(room), other.face) == [other.issue.cert_key]
        assert await enquiries(room).match(other.issue.cert_key, LAST4["b"])


async def upgrade_from(room: Room, step: str) -> None:
    """Take this step and those behind it once more."""
    path = room.folder / "log.db"
    before_checkpoint_step(lambda text: room.kind.change(path, text), postgres=isinstance(room.kind, PostgresKind))
    room.kind.change(path, f"DELETE FROM migration WHERE name >= '{step}'")
    with pytest.raises(Refused, match="SCHEMA"):
        await room.kind.open(path, private=True)
    place = room.kind.place(path)
    owner = postgres_server().owner(place) if isinstance(room.kind, PostgresKind) else ""
    taken = await upgrade_store(place, room.folder, private=True, owner=owner)
    assert taken == [each.name for each in migrations(private=True) if each.name >= step]


async def numbers_of_before(room: Room, *people: str) -> list[Certificate]:
    """Certificates whose numbers lie as they did before their step, and the store brought up."""
    async with room.open():
        made = await room.draft(*people)
        await put(room, *made)
        await age(room, *(INDEX.number_keys(each.face.number) for each in made))
    await upgrade_from(room, "0009_numbers_private")
    async with room.open(run=False):
        assert await room.store.meta(NUMBERS_APART) == b""
    return made


async def test_a_number_of_before_its_step_is_taken(room: Room) -> None:
    (old,) = await numbers_of_before(room, "a")
    async with room.open():
        (other,) = await room.draft("b")
        named = INDEX.numbers_by_key([other.face.number, old.face.number])
        assert [named[key] for key in await room.store.index(list(named))] == [old.face.number]
        (answer,) = await room.sequencer.put(await room.candidates(with_face(other, old.face)))
        assert code(answer) == Refusal.NUMBER_TAKEN
        await put(room, other)
        assert await there(room, INDEX.number_keys(other.face.number)) == NEW
        (answer,) = await room.sequencer.put(await room.candidates(with_face((await room.draft("c"))[0], other.face)))
        assert code(answer) == Refusal.NUMBER_TAKEN, "nor is one of now given twice"


async def test_a_number_of_before_its_step_moves_with_its_reissue(room: Room) -> None:
    """Its row is renewed where it lies, and never leads to the certificate before."""
    old, named = await numbers_of_before(room, "a", "b")
    async with room.open():
        new, renamed = reissue(BODY, old, "new"), correction(BODY, named, name="例改名")
        before = await index_of(room, old.face.number)
        await put(room, new, renamed)
        assert await index_of(room, old.face.number) > before
        assert await there(room, INDEX.number_keys(old.face.number)) == OLD
        faces = new.face, renamed.face
        assert await find(enquiries(room), *faces) == [new.issue.cert_key, named.issue.cert_key]


async def test_a_number_of_before_its_step_comes_back_from_a_void_reissue(room: Room) -> None:
    second = replace(BODY, record=SECOND)
    (old,) = await numbers_of_before(room, "a")
    async with room.open():
        await by_authority(room, replace(two_keys().filing, change=True))
        (since,) = await logged(room, reissue(BODY, old, "new"))
        await by_authority(room, key_standing(BODY.record.public, void_from=since))
        (index,) = await logged(room, reissue(second, old, "again"))
        assert await index_of(room, old.face.number) == index


async def test_a_store_without_such_numbers_is_asked_in_one_place(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
    await upgrade_from(room, "0009_numbers_private")
    async with room.open():
        assert await room.store.meta(NUMBERS_APART) is None
        await put(room, made)
        (candidate,) = await room.candidates(made)
        assert isinstance(candidate.private, PrivatePart)
        asked: list[Sequence[bytes]] = []

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(room.store, name)

            async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]:
                asked.append(hmacs)
                return await room.store.index(hmacs)

        for apart, places in ((False, 1), (True, 2)):
            fold = PrivateFold(INDEX, EXAMINER.lineage_of, numbers_apart=apart)
            await fold.load(cast(PrivateStore, Watched()), [candidate])
            assert set(asked.pop()) == {*candidate.private.number_keys[:places], candidate.private.person_hmac}


async def test_envelopes_of_before_their_step_stay_where_they_are(room: Room) -> None:
    path, step = room.folder / "log.db", "0008_envelopes_private"
    async with room.open():
        (made,) = await issued_of_old(room, "a")
        _, locator = await places_of(room, made)
    room.kind.change(path, "ALTER TABLE envelope RENAME COLUMN place TO locator")
    await upgrade_from(room, step)
    async with room.open():
        assert await room.store.envelope(locator, Slot.FACE) == made.submission().face_envelope
        changed = correction(BODY, made, name="例改名")
        await put(room, changed)
        await check_envelopes(room, changed)
    assert await erase(room, made.secret) == 8, "four envelopes, two look-up rows, two ID tails"


async def test_the_newest_of_two_rows_is_read(room: Room) -> None:
    async with room.open():
        (made,) = await issued_of_old(room, "a")
        renamed = correction(BODY, made, "1", name="例改名")
        back = correction(BODY, made, "2")
        await put(room, renamed)
        await put(room, back)
        (key, old), sealed = look_up_keys(made.face), INDEX.seal_lookup(made.face.number, made.face.name, found(back))
        await room.store.claim([lookup_row(key, sealed)])
        stale = INDEX.seal_lookup(made.face.number, made.face.name, Found(made.issue.cert_key, bytes(16), bytes(32)))
        text = f"UPDATE private_index SET body = x'{stale.hex()}' WHERE hmac = x'{old.hex()}'"
        room.kind.change(room.folder / "log.db", text)
        assert await find(enquiries(room), back.face) == [made.issue.cert_key]


async def test_a_look_up_takes_no_place_of_another_purpose(room: Room) -> None:
    """A front in other hands names the HMACs: those of another person's track leave it as it is."""
    async with room.open():
        made, other = await room.draft("a", "b")
        await put(room, made, other)
        (sent,) = await room.candidates(reissue(BODY, made, "new"))
        person = INDEX.person_hmac("111", "CHN", id_number("b"), OCCUPATION)
        assert isinstance(sent.private, PrivatePart)
        taken = msgspec.structs.replace(sent.private, lookup_hmac=person)
        before = await room.store.index([person])
        (answer,) = await room.sequencer.put([Candidate(sent.authentic, taken)])
        assert code(answer) == ""
        assert await room.store.index([person]) == before != {}

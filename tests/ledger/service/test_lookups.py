"""Number and name lead to one certificate, and to nothing else; who asks is tested with those who ask."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ledger.errors import Malformed, Unavailable
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS, FaceOpening
from ledger.records.kinds import Kind
from ledger.service.enquirers import Enquirers
from ledger.service.enquiries import Enquiries
from ledger.service.lookups import Lookups, Unanswered, check_pair, published_size
from ledger.service.private_index import Found
from ledger.service.standby import Place
from ledger.text import Text
from tests.ledger.service.test_enquiries import INDEX, put
from tests.support.fake_witness import FakeWitness
from tests.support.life_builders import bare, correction, reissue, ruling
from tests.support.service_room import BODY, Room


async def test_only_number_and_name_together_and_only_what_is_published(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.open():
        (one,) = await room.draft("a")
        await put(room, one)
        integrator = room.sequencer.integrator
        published = [integrator.size]
        lookups = Lookups(INDEX, room.store, integrator, lambda: published[0])
        number, name = one.face.number, one.face.name
        found = await lookups.find([(number, name), (number, "例外人"), (number[:-6] + "999999", name)])
        assert [each and each.cert_key for each in found] == [one.issue.cert_key, None, None]
        published[0] = 2
        assert await lookups.find([(number, name)]) == [None]


async def test_what_readers_still_see_is_no_no_while_something_newer_waits(tmp_path: Path) -> None:
    """Rows lead to what is committed already; while the quorum is missing that is hours ahead of what is published."""
    async with Room(tmp_path).open() as room:
        again, renamed, suspended, alone, older = await room.draft("a", "b", "c", "d", "e")
        await put(room, again, renamed, suspended, alone, older)
        before = correction(BODY, older, "before", name="例先改")
        await put(room, before)
        integrator = room.sequencer.integrator
        published = [integrator.size]
        lookups = Lookups(INDEX, room.store, integrator, lambda: published[0])
        (fresh,) = await room.draft("f")
        late = correction(BODY, renamed, "late", name="例改名")
        await put(room, reissue(BODY, again, "again"), late, fresh)
        stops = [bare(ruling(BODY, Kind.SUSPEND, one)) for one in (suspended, older)]
        await put(room, *(SimpleNamespace(submission=lambda one=one: one) for one in stops))  # type: ignore[arg-type]

        async def find(*faces: FaceOpening) -> list[bytes | Unanswered | None]:
            found = await lookups.find([(face.number, face.name) for face in faces])
            return [one.cert_key if isinstance(one, Found) else one for one in found]

        faces = [one.face for one in (again, renamed, late, suspended, alone, before, fresh)]
        pending = Unanswered.PENDING
        found = [suspended.issue.cert_key, alone.issue.cert_key]
        assert await find(*faces) == [pending, pending, pending, *found, pending, None]
        published[0] = integrator.size
        kept = await find(*faces)
        assert kept[0] not in (None, again.issue.cert_key) and kept[1] is None
        assert kept[2:5] == [renamed.issue.cert_key, *found] and None not in kept[5:]


async def test_a_log_that_may_be_an_old_copy_answers_nothing(tmp_path: Path) -> None:
    room, now = Room(tmp_path), 0.0
    place = Place(10.0, lambda: now)
    async with FakeWitness("w", room.now_s) as witness, room.open(witnesses=[witness], k=1):
        (one,) = await room.draft("a")
        await put(room, one)
        lookups = Lookups(INDEX, room.store, room.sequencer.integrator, lambda: published_size(room.publisher, place))
        asked = Enquiries(Enquirers({}, 100), lookups, lambda: 0, lambda: 0.0)
        pair = (one.face.number, one.face.name)

        async def silent() -> None:
            with pytest.raises(Unavailable):
                await lookups.find([pair])
            with pytest.raises(Unavailable):
                await asked.match(one.issue.cert_key, "0000")

        assert isinstance((await lookups.find([pair]))[0], Found)
        now = 10.0
        await silent()
        now = 0.0
        assert not await asked.match(one.issue.cert_key, "0000")
        shown = room.publisher.published
        room.publisher.published = None
        await silent()
        room.publisher.published = shown
        room.publisher.stopped = Text("停", "stopped")
        await silent()


@pytest.mark.parametrize("pair", [("", "n"), ("1", ""), ("1" * (NUMBER_CHARS + 1), "n"), ("1", "n" * (NAME_CHARS + 1))])
def test_what_no_face_can_have(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        check_pair(*pair)
    check_pair("1", "n")

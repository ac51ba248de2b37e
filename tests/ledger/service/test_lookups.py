"""Number and name lead to one certificate, and to nothing else; who asks is tested with those who ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Malformed
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS
from ledger.service.lookups import Lookups, check_pair
from tests.ledger.service.test_enquiries import INDEX, put
from tests.support.service_room import Room


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


@pytest.mark.parametrize("pair", [("", "n"), ("1", ""), ("1" * (NUMBER_CHARS + 1), "n"), ("1", "n" * (NAME_CHARS + 1))])
def test_what_no_face_can_have(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        check_pair(*pair)
    check_pair("1", "n")

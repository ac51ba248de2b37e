"""What holders ask for, on both stores."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed, Refused
from tests.support.builders import octets
from tests.verifier.holders.conftest import Kit
from tests.verifier.holders.test_accounts import other, signed_in
from verifier.holders.requests import CORRECTION, ERASURE, FIELDS, mark_done, waiting

KEY = octets("cert key")


async def test_a_request_waits_until_it_was_acted_on(kit: Kit) -> None:
    session, stranger = await signed_in(kit), await signed_in(kit, other())
    await kit.requests.add(session, CORRECTION, KEY, "name", b"")
    await kit.requests.add(session, CORRECTION, KEY, "name", b"")
    await kit.requests.add(session, ERASURE, KEY, "", b"order")
    assert [(one.kind, one.field, one.order) for one in await waiting(kit.store)].count(
        ("correction", "name", b"")
    ) == 1
    (erasure,) = [one for one in await waiting(kit.store) if one.kind == ERASURE]
    assert await mark_done(kit.store, erasure.id, kit.now[0] + 1)
    assert not await mark_done(kit.store, erasure.id, kit.now[0] + 2), "once"
    assert [one.kind for one in await waiting(kit.store)] == [CORRECTION]
    mine = {one.kind: one for one in await kit.requests.of(session)}
    assert mine[ERASURE].done_ms == kit.now[0] + 1 and mine[ERASURE].order == b"", "the order is forgotten"
    assert await kit.requests.of(stranger) == []


async def test_what_nobody_can_ask_for(kit: Kit) -> None:
    session = await signed_in(kit)
    for kind, field in ((CORRECTION, "grade"), (CORRECTION, ""), (ERASURE, "name"), ("other", "name")):
        with pytest.raises(Malformed):
            await kit.requests.add(session, kind, KEY, field, b"")
    for at in range(20):
        await kit.requests.add(session, CORRECTION, octets(f"key {at}"), FIELDS[0], b"")
    with pytest.raises(Refused, match="REQUESTS_MANY"):
        await kit.requests.add(session, CORRECTION, KEY, "name", b"")

"""What crosses from a front to the sequencer: everything comes back, and nothing that was changed or is of another
version passes."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec, module_from_spec
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import reference_data
from ledger.errors import Malformed, Refused, Unverified
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service import examined as wire
from ledger.service.admission import Candidate, ClaimPart, Examined, Examiner, KnownBy
from ledger.service.examiners import pack_examined, unpack_examined
from ledger.service.private_index import LOOKUP_BYTES, PrivateIndex
from ledger.text import Text
from ledger.wire import MAX_SUBMISSIONS
from tests.support.builders import octets
from tests.support.claim_room import ClaimRoom
from tests.support.claims import asked, make_payer, payment
from tests.support.service_room import Room

KEY, NOW = wire.front_key(octets("index")), 1_790_000_000
EXAMINER = Examiner(PrivateIndex(octets("index"), lambda count: octets("n", count)), load_ladder(), load_catalogue())


async def test_candidates_come_back_as_they_were(room: Room) -> None:
    async with room.open(run=False):
        sent = await room.candidates(*await room.draft("a", "b"))
        items = [wire.pack_item(Examined(KnownBy.of(one.statement), one)) for one in sent]
        number, found = wire.parse_examined(wire.format_examined("Y000051000001", items))
        assert number == "Y000051000001" and len(found) == 2
        for one, item in zip(sent, found, strict=True):
            assert isinstance(item, wire.CheckedItem) and item.entry == one.statement.entry
            again = wire.unpack_item(item, Examined(KnownBy.of(one.statement), Candidate(one.authentic, None)))
            assert isinstance(again.outcome, Candidate) and again.outcome.private == one.private
            refusal = Refused("SIGNATURE", "signature", Text("甲", "a"))
            assert wire.unpack_item(item, Examined(None, refusal)).outcome is refusal, "the check here decides"


async def test_a_claim_comes_back_with_its_certificate(room: Room) -> None:
    async with room.open():
        (certificate,) = await room.draft("p")
        await room.put(certificate)
        claims, payer = await ClaimRoom.begin(room), make_payer()
        made = await claims.ask(payer, asked(certificate, "p"))
        sent = await claims.examined(payer, made.submission, payment(payer, made))
        for one in sent:
            assert isinstance(one, Candidate) and isinstance(one.private, ClaimPart)
            examined = Examined(KnownBy.of(one.statement), one)
            _, (item,) = wire.parse_examined(wire.format_examined("n", [wire.pack_item(examined)]))
            again = wire.unpack_item(item, Examined(None, Candidate(one.authentic, None)))
            assert isinstance(again.outcome, Candidate) and again.outcome.private == one.private
            apart = unpack_examined(pack_examined(examined)).outcome
            assert isinstance(apart, Candidate) and apart.private == one.private
        assert len(sent[0].private.barred) == 4  # type: ignore[union-attr]


@given(st.none() | st.builds(KnownBy, st.binary(), st.binary()), *[st.text(min_size=1)] * 4)
def test_refusals_come_back_as_they_were(known_by: KnownBy | None, code: str, field: str, zh: str, en: str) -> None:
    said = Examined(known_by, Refused(code, field, Text(zh, en)))
    _, (item,) = wire.parse_examined(wire.format_examined("n", [wire.pack_item(said)]))
    again = wire.unpack_item(item, None)
    assert isinstance(again.outcome, Refused) and again.known_by == known_by
    assert (again.outcome.code, again.outcome.field, again.outcome.text) == (code, field, Text(zh, en))


@given(st.binary(max_size=200))
def test_other_bytes_are_malformed(raw: bytes) -> None:
    for body in (raw, wire.format_examined("n", [raw])):
        with pytest.raises(Malformed):
            wire.parse_examined(body)


def test_other_versions_and_shapes_are_refused() -> None:
    item = wire.pack_item(Examined(None, Refused("C", "f", Text("甲", "a"))))
    for form in (b"", bytes(32), wire.FORM + b"\0"):
        with pytest.raises(Refused, match="FRONT_VERSION"):
            wire.parse_examined(wire.format_examined("n", [item], form=form))
    for items in ([], [item] * (MAX_SUBMISSIONS + 1)):
        with pytest.raises(Malformed):
            wire.parse_examined(wire.format_examined("n", items))
    one, sealed, both = bytes(32), bytes(LOOKUP_BYTES), [bytes(29), bytes(24 * 1024)]
    for match, lookup, locator, envelopes, numbers, passes in (
        (one, sealed, one, both, [one, one], True),
        (one, sealed, one, both, [one], False),
        (one, sealed, one, both, [one, one, one], False),
        (one, sealed, one, both, [one[1:], one], False),
        (one, sealed, one, both, [one, one[1:]], False),
        (one[1:], sealed, one, both, [one, one], False),
        ([one, 2, 1, b""], sealed, one, both, [one, one], False),
        (one, sealed + b"\0", one, both, [one, one], False),
        (one, sealed, one[1:], both, [one, one], False),
        (one, sealed, one + b"\0", both, [one, one], False),
        (one, sealed, one, [bytes(28), bytes(29)], [one, one], False),
        (one, sealed, one, [bytes(29), bytes(28)], [one, one], False),
        (one, sealed, one, [bytes(29), bytes(24 * 1024 + 1)], [one, one], False),
        (one, sealed, one, [[one, 1, bytes(29)], [one, 2, bytes(29)]], [one, one], False),
    ):
        rows = [match, one, lookup, locator, *envelopes]
        private = ["person", "n", "1", "2", numbers, ["a", "b", "c"], one, *rows]
        body = wire.format_examined("n", [msgspec.msgpack.encode(["checked", b"entry", private])])
        if not passes:
            with pytest.raises(Malformed):
                wire.parse_examined(body)
            continue
        _, (found,) = wire.parse_examined(body)
        (checked,) = [EXAMINER.examine_authority(b"", None)]  # type: ignore[arg-type]
        assert isinstance(checked.outcome, Refused)
        assert wire.unpack_item(found, checked) is checked


def of_another_process() -> Any:
    """The module once more, as it would be made from what lies there now."""
    spec = find_spec(wire.__name__)
    assert spec is not None and spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["catalogue_bytes", "ladder_bytes"])
def test_a_front_of_another_catalogue_or_ladder_is_of_another_version(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would put a person's track into another lineage: refused for good there, and two of one person elsewhere."""
    item = wire.pack_item(Examined(None, Refused("C", "f", Text("甲", "a"))))
    assert wire.parse_examined(of_another_process().format_examined("n", [item]))[0] == "n"
    newer = getattr(reference_data, name)() + b"\n"
    monkeypatch.setattr(reference_data, name, lambda: newer)
    with pytest.raises(Refused, match="FRONT_VERSION"):
        wire.parse_examined(of_another_process().format_examined("n", [item]))


@given(st.binary(max_size=64), st.integers(0, 10_000), st.integers(-60, 60))
def test_the_mac_is_of_key_time_and_body(body: bytes, bit: int, late: int) -> None:
    headers = wire.sign_examined(KEY, body, NOW)
    time, digest, mac = (headers[name] for name in (wire.TIME_HEADER, wire.DIGEST_HEADER, wire.MAC_HEADER))

    def check(
        key: bytes = KEY,
        body: bytes = body,
        time: str = time,
        digest: str = digest,
        mac: str = mac,
        now: int = NOW,
    ) -> None:
        sent = {wire.TIME_HEADER: time, wire.DIGEST_HEADER: digest, wire.MAC_HEADER: mac}
        wire.check_examined(wire.open_examined(key, sent, now), body)

    if abs(late) <= 30:
        check(now=NOW + late)
    else:
        with pytest.raises(Unverified):
            check(now=NOW + late)
    spoilt = mac[: bit % 64] + ("0" if mac[bit % 64] != "0" else "1") + mac[bit % 64 + 1 :]
    for changes in (
        {"mac": spoilt}, {"mac": ""}, {"mac": mac + "0"}, {"mac": "é" + mac}, {"time": str(NOW + 1)}, {"time": ""},
        {"time": "٣"}, {"time": f"+{NOW}"}, {"body": body + b"\0"},
        {"digest": ""}, {"digest": sha256(body + b"\0").hexdigest()}, {"key": wire.front_key(octets("other"))},
    ):  # fmt: skip
        with pytest.raises(Unverified, match="not accepted"):
            check(**changes)  # type: ignore[arg-type]


def test_the_key_is_not_one_of_the_index() -> None:
    assert len(KEY) == 32 and octets("index") != KEY

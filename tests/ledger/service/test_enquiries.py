"""Look-ups and matches: what they give, for whom, and that a wrong second factor is like an unknown certificate."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from aiohttp import web

from ledger import wire
from ledger.client import LedgerClient
from ledger.edge import protect, start_site
from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.commitments import FaceOpening
from ledger.records.kinds import Kind
from ledger.service.enquirers import Enquirers, format_verifier, parse_verifiers
from ledger.service.enquiries import Enquiries, add_enquiries
from ledger.service.lookups import Lookups, Unanswered
from ledger.service.private_index import Found, lookup_keys
from ledger.text import Text
from tests.support.builders import SECOND, Body, Certificate, id_number, key_standing, two_keys
from tests.support.life_builders import Correction, bare, correction, reissue, ruling
from tests.support.live_ledger import LOOKUP_TOKEN, LiveLedger, drafted
from tests.support.service_room import AUTHORITY, BODY, EXAMINER, INDEX, Candidate, Room, submission_body

NOW_MS = 1_780_000_000_000
LAST4 = {name: id_number(name)[-4:] for name in "abc"}


async def put(room: Room, *made: Certificate | Correction) -> None:
    filing = await room.sequencer.integrator.filing(BODY.filing.number)
    assert filing is not None and room.sequencer.integrator.authority is not None
    bodies = [submission_body(each.submission()) for each in made]
    examined = EXAMINER.examine(bodies, filing, room.sequencer.integrator.authority)
    candidates = [each.outcome for each in examined if isinstance(each.outcome, Candidate)]
    answers = await room.sequencer.put(candidates)
    assert len(answers) == len(made) and all(isinstance(answer, int) for answer in answers), answers
    await room.until_published()


async def by_authority(room: Room, said: object) -> None:
    assert room.sequencer.integrator.authority is not None
    statement = AUTHORITY.sign(said)  # type: ignore[arg-type]
    examined = EXAMINER.examine_authority(statement.entry, room.sequencer.integrator.authority)
    assert isinstance(examined.outcome, Candidate)
    (answer,) = await room.sequencer.put([examined.outcome])
    assert isinstance(answer, int)
    await room.until_published()


def enquiries(room: Room, published: int | None = None) -> Enquiries:
    def size() -> int:
        assert room.published is not None
        return room.published.size if published is None else published

    return Enquiries(
        Enquirers(parse_verifiers(()), 100),
        Lookups(INDEX, room.store, room.sequencer.integrator, size),
        lambda: NOW_MS,
        lambda: 0.0,
    )


async def find(asked: Enquiries, *faces: FaceOpening) -> list[bytes | None]:
    """Cert keys, once what was found opens to the very face that was asked for."""
    found = await asked.lookups.find([(face.number, face.name) for face in faces])
    for face, one in zip(faces, found, strict=True):
        assert one is None or (isinstance(one, Found) and one.salt == face.salt)
    return [one.cert_key if isinstance(one, Found) else None for one in found]


async def test_number_and_name_together_find_a_certificate(room: Room) -> None:
    async with room.open():
        one, two = await room.draft("a", "b")
        await put(room, one, two)
        asked = enquiries(room)
        unknown = replace(one.face, number=one.face.number[:-6] + "999999")
        mixed = replace(one.face, name="例外人")
        assert await find(asked, one.face, unknown, mixed, two.face) == [
            one.issue.cert_key,
            None,
            None,
            two.issue.cert_key,
        ]
        assert await find(enquiries(room, published=2), one.face) == [None], "logged, but not under the checkpoint"


async def test_only_the_row_of_the_commitments_that_count(room: Room) -> None:
    """A corrected name, a corrected document, a reissue: what was before is like any wrong answer."""
    async with room.open():
        one, two, three = await room.draft("a", "b", "c")
        await put(room, one, two, three)
        asked = enquiries(room)
        assert await asked.match(one.issue.cert_key, LAST4["a"])
        renamed = correction(BODY, one, "renamed", name="例改名")
        (moved,) = await room.draft("b2")
        papers = correction(BODY, two, "papers", person="b2", track=moved.issue.track_id)
        await put(room, renamed, papers)
        assert await find(asked, one.face, renamed.face) == [None, one.issue.cert_key]
        assert await asked.match(one.issue.cert_key, LAST4["a"]), "the document is the same"
        assert not await asked.match(two.issue.cert_key, LAST4["b"]), "the document of before"
        assert await asked.match(two.issue.cert_key, id_number("b2")[-4:])
        again = reissue(BODY, three, "again")
        await put(room, again)
        found = await asked.lookups.find([(three.face.number, three.face.name)])
        assert isinstance(found[0], Found) and (found[0].cert_key, found[0].salt) == (
            again.issue.cert_key,
            again.face.salt,
        )
        assert await asked.match(again.issue.cert_key, LAST4["c"])


async def test_the_number_of_a_void_reissue_is_no_no(room: Room) -> None:
    second = replace(BODY, record=SECOND)
    async with room.open():
        await by_authority(room, replace(two_keys().filing, change=True))
        (old,) = await room.draft("a")
        await put(room, old)
        new = reissue(second, old, "new")
        await put(room, new)
        await by_authority(room, key_standing(second.record.public, void_from=room.size - 2))
        (other,) = await room.draft("b")
        await put(room, other)
        faces = [other.face, new.face, replace(other.face, name="例外人")]
        found = await enquiries(room).lookups.find([(face.number, face.name) for face in faces])
        assert found[1:] == [Unanswered.VOID_REISSUE, None], "and the others have their answers"
        assert isinstance(found[0], Found) and found[0].cert_key == other.issue.cert_key


async def test_a_damaged_row_is_its_own_misfortune(room: Room) -> None:
    async with room.open():
        one, two = await room.draft("a", "b")
        await put(room, one, two)
        asked = enquiries(room)
        key, *_ = lookup_keys(INDEX.number_keys(one.face.number), INDEX.lookup_hmac(one.face.number, one.face.name))

        class Damaged:
            def __getattr__(self, name: str) -> object:
                return getattr(room.store, name)

            async def index(self, hmacs: list[bytes]) -> dict[bytes, bytes]:
                found = await room.store.index(hmacs)
                return found | {key: found[key][:-1]}

        asked.lookups = replace(asked.lookups, store=Damaged())  # type: ignore[arg-type]
        found = await asked.lookups.find([(one.face.number, one.face.name) for one in (one, two)])
        assert found[0] is Unanswered.DAMAGED
        assert isinstance(found[1], Found) and found[1].cert_key == two.issue.cert_key


async def test_an_unknown_certificate_and_a_wrong_tail_are_alike(room: Room) -> None:
    """The same answer after the same reads of the store, for look-ups and for matches."""
    async with room.open():
        (one,) = await room.draft("a")
        await put(room, one)
        asked = enquiries(room)
        reads: list[int] = []

        class Counting:
            def __getattr__(self, name: str) -> object:
                return getattr(room.store, name)

            async def index(self, hmacs: list[bytes]) -> dict[bytes, bytes]:
                reads.append(len(hmacs))
                return await room.store.index(hmacs)

        asked.lookups = replace(asked.lookups, store=Counting())  # type: ignore[arg-type]
        wrong = replace(one.face, name="例外人")
        absent = replace(one.face, number=one.face.number[:-6] + "999999")
        for face in (wrong, absent):
            assert await find(asked, face) == [None]
        assert not await asked.match(one.issue.cert_key, "0000") and not await asked.match(b"x" * 32, "0000")
        assert reads == [3, 3, 2, 2]
        for _ in range(4):
            await asked.match(one.issue.cert_key, "0000")
        with pytest.raises(Refused):
            await asked.match(one.issue.cert_key, LAST4["a"])


async def test_a_match_without_an_answer_is_no_try(room: Room) -> None:
    async with room.open():
        (one,) = await room.draft("a")
        await put(room, one)
        asked = enquiries(room)
        answers = [True]

        class Stalling:
            def __getattr__(self, name: str) -> object:
                return getattr(room.store, name)

            async def index(self, hmacs: list[bytes]) -> dict[bytes, bytes]:
                if not answers[0]:
                    raise Unavailable(Text("没有应答", "store: read"))
                return await room.store.index(hmacs)

        asked.lookups = replace(asked.lookups, store=Stalling())  # type: ignore[arg-type]
        assert not await asked.match(one.issue.cert_key, "0000")
        answers[0] = False
        for _ in range(5):
            with pytest.raises(Unavailable):
                await asked.match(one.issue.cert_key, LAST4["a"])
        answers[0] = True
        for _ in range(4):
            assert await asked.match(one.issue.cert_key, LAST4["a"])
        with pytest.raises(Refused, match="TRIES_USED"):
            await asked.match(one.issue.cert_key, LAST4["a"])


async def test_what_cannot_be_answered_now_is_not_paid_for(room: Room) -> None:
    """A log that has stopped says so as often as it is asked; what a verifier may ask a day is for answers."""
    async with room.open():
        asked = enquiries(room)
        asked.enquirers = Enquirers(parse_verifiers((format_verifier("lab", LOOKUP_TOKEN),)), 1)
        stopped = [True]

        def published() -> int:
            if stopped[0]:
                raise Unavailable(Text("没有应答", "the log has stopped"))
            assert room.published is not None
            return room.published.size

        asked.lookups = replace(asked.lookups, published=published)
        app = web.Application()
        protect(app)
        add_enquiries(app, asked)
        site = await start_site(app, "127.0.0.1", 0)
        try:
            async with LedgerClient(site.url, token=LOOKUP_TOKEN) as verifier:
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await verifier.lookup([("1", "名")] * 500)
                    with pytest.raises(Unavailable):
                        await verifier.match(bytes(32), "0000")
                stopped[0] = False
                assert (await verifier.lookup([("1", "名")] * 499)).found == [None] * 499
                assert not await verifier.match(bytes(32), "0000")
        finally:
            await site.stop()


# ---- over HTTP ------------------------------------------------------------------------------------------------------


async def test_verifiers_ask_over_http(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        one, two = await drafted(client, home, "enquiry 1", "enquiry 2")
        await client.submit([one.submission(), two.submission()])
    async with live.client(token=LOOKUP_TOKEN) as verifier:
        pairs = [(one.face.number, one.face.name), (one.face.number, "例外人")]
        found = (await verifier.lookup(pairs)).found
        assert found[1] is None and found[0] is not None
        assert FaceOpening(found[0].salt, *pairs[0]).digest() == one.issue.face
        assert found[0].cert_key == one.issue.cert_key and found[0].leaf_hash == one.statement.leaf_hash
        assert await verifier.match(one.issue.cert_key, id_number("enquiry 1")[-4:])
        for _ in range(4):
            assert not await verifier.match(one.issue.cert_key, "X000")
        with pytest.raises(Refused) as used:
            await verifier.match(one.issue.cert_key, id_number("enquiry 1")[-4:])
        assert used.value.code == "TRIES_USED"
        with pytest.raises(Refused):
            await verifier.lookup([("1" * 65, "名")])
        with pytest.raises(Refused):
            await verifier.lookup([])
    for token in ("", "00" * 32):
        async with live.client(token=token) as stranger:
            with pytest.raises(Unverified):
                await stranger.lookup(pairs)
            with pytest.raises(Unverified):
                await stranger.match(one.issue.cert_key, "0000")
    said = live.stderr.read_text("utf-8")
    assert '"verifier":"lab"' in said
    for secret in (one.face.number, one.face.name, LOOKUP_TOKEN, id_number("enquiry 1")[-4:] + '"'):
        assert secret not in said


async def test_a_revoked_certificate_is_found_too(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        (one,) = await drafted(client, home, "enquiry revoked")
        await client.submit([one.submission()])
        await client.submit([bare(ruling(home, Kind.REVOKE, one, day=one.issue.issue_day))])
    async with live.client(token=LOOKUP_TOKEN) as verifier:
        assert (await verifier.lookup([(one.face.number, one.face.name)])).found[0] is not None


async def test_bodies_of_another_form_are_refused(live: LiveLedger) -> None:
    headers = {"Authorization": f"Bearer {LOOKUP_TOKEN}", "Content-Type": "application/json"}
    for path, body in (
        ("/v1/lookup", {"lookups": [{"number": "1", "name": "n", "id": "x"}]}),
        ("/v1/lookup", {"lookups": [{"number": "1", "name": "n"}] * (wire.MAX_LOOKUPS + 1)}),
        ("/v1/match", {"cert_key": "AAAA", "last4": "0000"}),
        ("/v1/match", {"cert_key": "A" * 43 + "=", "last4": "000é"}),
    ):
        status, _, answer = await live.fetch(path, method="POST", data=json.dumps(body), headers=headers)
        assert status == 400 and b"malformed" in answer, (path, answer)

"""Numbers, persons and look-ups as the statements of one batch see them, and the rows that they leave."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ledger.errors import Refused, Unverified
from ledger.records.commitments import FaceOpening
from ledger.records.envelope import open_face, open_rest
from ledger.records.refusals import Refusal
from ledger.records.secret import locator_of
from ledger.records.state import CertificateState
from ledger.records.statements import issue_entry, parse_statement
from ledger.service.admission import PrivatePart
from ledger.service.private_index import Found, envelope_keys, lookup_keys, match_keys
from ledger.store.protocol import Slot
from tests.support.builders import (
    OCCUPATION,
    SECOND,
    AuthorityBody,
    Certificate,
    id_number,
    key_standing,
    octets,
    two_keys,
)
from tests.support.life_builders import Correction, Post, correction, post, reissue
from tests.support.service_room import AUTHORITY, BODY, EXAMINER, INDEX, Candidate, Room, submission_body

Made = Certificate | Correction | Post


async def put(room: Room, *made: Made) -> list[int | Refused]:
    """Examine and sequence together, in order: one batch as far as its rules allow."""
    filing = await room.sequencer.integrator.filing(BODY.filing.number)
    authority = room.sequencer.integrator.authority
    assert filing is not None and authority is not None
    examined = EXAMINER.examine([submission_body(each.submission()) for each in made], filing, authority)
    candidates = [each.outcome for each in examined if isinstance(each.outcome, Candidate)]
    assert len(candidates) == len(made), examined
    return await room.sequencer.put(candidates)


async def logged(room: Room, *made: Made) -> list[int]:
    answers = await put(room, *made)
    assert all(isinstance(answer, int) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, int)]


def code(answer: int | Refused) -> str:
    return answer.code if isinstance(answer, Refused) else ""


async def index_of(room: Room, number: str) -> int:
    (row,) = (await room.store.index(INDEX.number_keys(number))).values()
    return int.from_bytes(row, "big")


async def looked_up(room: Room, face: FaceOpening) -> Found:
    """What a look-up by number and name gives."""
    keys = lookup_keys(INDEX.number_keys(face.number), INDEX.lookup_hmac(face.number, face.name))
    found = await room.store.index(keys)
    if not found:
        raise Unverified("no such row")
    (sealed,) = found.values()  # never one of before and another of now
    return INDEX.open_lookup(face.number, face.name, sealed)


def found(made: Certificate | Correction) -> Found:
    """What a look-up must give for the number and name of this statement."""
    certificate = made.certificate if isinstance(made, Correction) else made
    return Found(certificate.issue.cert_key, made.face.salt, made.statement.leaf_hash)


async def state_of(room: Room, cert_key: bytes) -> CertificateState:
    state = await room.sequencer.integrator.certificate(cert_key)
    assert state is not None
    return state


async def current(room: Room, cert_key: bytes) -> bytes:
    """The leaf hash of the statement with the certificate's commitments now."""
    return (await state_of(room, cert_key)).commitment_leaf


async def places_of(room: Room, made: Certificate | Correction) -> tuple[bytes, bytes]:
    """Where the envelopes of a statement may lie: by the index that its certificate's state gives, which is all that
    who asks for them knows."""
    certificate = made.certificate if isinstance(made, Correction) else made
    state = await state_of(room, certificate.issue.cert_key)
    return envelope_keys(state.issue_index, made.submission().locator)


async def check_envelopes(room: Room, made: Certificate | Correction) -> None:
    """Both envelopes lie in the order of the log, and open with what the holder has."""
    certificate = made.certificate if isinstance(made, Correction) else made
    (place, locator), leaf = await places_of(room, made), made.statement.leaf_hash
    face, rest = [await room.store.envelope(place, slot) for slot in Slot]
    assert open_face(certificate.secret, leaf, face).opening == made.face
    assert open_rest(certificate.holder_code, leaf, rest).digests == tuple(made.digests)
    assert [await room.store.envelope(locator, slot) for slot in Slot] == [None, None], (
        "in one place, and no random one"
    )


async def matches(room: Room, cert_key: bytes, person: str) -> bool:
    state = await state_of(room, cert_key)
    return bool(
        await room.store.index(
            match_keys(INDEX.match_hmac(state.commitment_leaf, id_number(person)[-4:]), state.issue_index)
        )
    )


async def track(room: Room, person: str) -> bytes:
    """The track that the ledger draws for a person."""
    row = INDEX.track_row(("111", "CHN", id_number(person)), OCCUPATION, octets(f"t {person}", 16))
    return (await room.store.claim([row]))[row.hmac]


def with_face(certificate: Certificate, face: FaceOpening) -> Certificate:
    """Signed over another face."""
    issue = replace(certificate.issue, face=face.digest())
    return replace(certificate, face=face, issue=issue, statement=parse_statement(issue_entry(issue, BODY.record)))


async def test_a_certificate_is_found_by_number_name_and_document(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        (index,) = await logged(room, made)
        assert await index_of(room, made.face.number) == index
        assert await looked_up(room, made.face) == found(made)
        assert await matches(room, made.issue.cert_key, "a") and not await matches(room, made.issue.cert_key, "b")
        await check_envelopes(room, made)
        assert (await places_of(room, made))[0][:8] == index.to_bytes(8, "big")


async def test_a_number_is_taken_within_the_batch_and_after_it(room: Room) -> None:
    async with room.open():
        one, two = await room.draft("a", "b")
        again = with_face(two, one.face)
        answers = await put(room, one, again)
        assert isinstance(answers[0], int) and code(answers[1]) == Refusal.NUMBER_TAKEN
        assert code((await put(room, again))[0]) == Refusal.NUMBER_TAKEN
        assert await looked_up(room, one.face) == found(one), "a refusal leaves no row"
        for index in range(room.sequencer.integrator.size):
            for place in envelope_keys(index, locator_of(again.secret)):
                assert await room.store.envelope(place, Slot.FACE) is None


async def test_a_reissue_takes_number_and_look_up_along(room: Room) -> None:
    async with room.open():
        (old,) = await room.draft("a")
        await logged(room, old)
        new = reissue(BODY, old, "new")
        (index,) = await logged(room, new)
        assert await index_of(room, old.face.number) == index
        assert await looked_up(room, old.face) == found(new)
        assert await matches(room, new.issue.cert_key, "a")
        for certificate in (old, new):
            await check_envelopes(room, certificate)
        fixed = correction(BODY, new, name="例小红")
        await logged(room, fixed)
        await check_envelopes(room, fixed)
        assert [(await places_of(room, each))[0][:8] for each in (new, fixed)] == [index.to_bytes(8, "big")] * 2
        third = reissue(BODY, old, "third")
        assert code((await put(room, third))[0]) == Refusal.FINAL, "the number stands with the second"
        unknown = reissue(BODY, old, "fourth", replaces=octets("nobody"))
        assert code((await put(room, unknown))[0]) == Refusal.CERT_UNKNOWN
        await logged(room, reissue(BODY, new, "fifth"))


async def by_authority(room: Room, said: AuthorityBody) -> int:
    examined = EXAMINER.examine_authority(AUTHORITY.sign(said).entry, AUTHORITY.genesis)
    assert isinstance(examined.outcome, Candidate), examined
    (index,) = await room.sequencer.put([examined.outcome])
    assert isinstance(index, int), index
    return index


async def test_a_certificate_that_comes_back_has_its_number_again(room: Room) -> None:
    """Its reissues are void since their key was compromised: it can be reissued and corrected, and nobody else."""
    second = replace(BODY, record=SECOND)
    async with room.open():
        await by_authority(room, replace(two_keys().filing, change=True))
        old, other, fixed = await room.draft("a", "b", "c")
        await logged(room, old, other, fixed)
        new = reissue(BODY, old, "new")
        (since,) = await logged(room, new)
        newest = reissue(BODY, new, "newest")
        await logged(room, newest, reissue(BODY, fixed, "fixed again"))
        assert code((await put(room, reissue(second, old, "too early")))[0]) == Refusal.FINAL
        await by_authority(room, key_standing(BODY.record.public, void_from=since))
        for void in (new, newest):
            assert code((await put(room, reissue(second, void, "void")))[0]) == Refusal.FINAL
        stolen = second.reissue("stolen", other)
        stolen_face = replace(stolen.face, number=old.face.number)
        issue = replace(stolen.issue, face=stolen_face.digest())
        stolen = replace(
            stolen, face=stolen_face, issue=issue, statement=parse_statement(issue_entry(issue, second.record))
        )
        assert code((await put(room, stolen))[0]) == Refusal.NUMBER_TAKEN
        again = reissue(second, old, "again")
        (index,) = await logged(room, again)
        assert await index_of(room, old.face.number) == index and await looked_up(room, old.face) == found(again)
        assert code((await put(room, reissue(second, old, "once more")))[0]) == Refusal.FINAL
        corrected = correction(second, fixed, "corrected", name="例改正", track=fixed.issue.track_id)
        await logged(room, corrected)
        for each in (old, new, newest, again, fixed, corrected):
            await check_envelopes(room, each)


async def test_two_reissues_in_one_batch(room: Room) -> None:
    async with room.open():
        (old,) = await room.draft("a")
        await logged(room, old)
        answers = await put(room, reissue(BODY, old, "new"), reissue(BODY, old, "newer"))
        assert [code(answer) for answer in answers] == ["", Refusal.FINAL]
        (one,) = await room.draft("b")
        await logged(room, one)
        foreign = replace(old.face, salt=octets("foreign", 16))
        stolen = with_face(reissue(BODY, one, "stolen"), foreign)
        assert code((await put(room, stolen))[0]) == Refusal.NUMBER_TAKEN, "a number of another certificate"


async def test_another_name_is_found_under_that_name(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        (index,) = await logged(room, made)
        changed = correction(BODY, made, name="例小红")
        await logged(room, changed)
        assert await looked_up(room, changed.face) == found(changed)
        assert await index_of(room, made.face.number) == index, "a number is never corrected"
        for each in (made, changed):
            await check_envelopes(room, each)
        assert (await places_of(room, changed))[0][:8] == index.to_bytes(8, "big"), "beside its certificate's"


async def test_a_locator_takes_nothing_of_what_is_there(room: Room) -> None:
    """Who hands in a statement names its locator, which should be of its own secret: another certificate's is in
    nobody's way, and one that this certificate has already leaves the first and stops no batch."""
    async with room.open():
        one, two = await room.draft("a", "b")
        await logged(room, one)
        again = correction(BODY, one, name="例小红")
        for made in (two, again):
            (candidate,) = await room.candidates(made)
            assert isinstance(candidate.private, PrivatePart)
            part = msgspec.structs.replace(candidate.private, locator=locator_of(one.secret))
            (answer,) = await room.sequencer.put([Candidate(candidate.authentic, part)])
            assert code(answer) == ""
            await check_envelopes(room, one)
        state = await state_of(room, two.issue.cert_key)
        place, _ = envelope_keys(state.issue_index, locator_of(one.secret))
        assert await room.store.envelope(place, Slot.FACE) == two.submission().face_envelope


async def test_a_name_of_before_counts_no_longer(room: Room) -> None:
    """Its row cannot be found to be taken away: it names a statement whose commitments are not the current ones."""
    async with room.open():
        (made,) = await room.draft("a")
        await logged(room, made)
        key = made.issue.cert_key
        assert (await looked_up(room, made.face)).leaf_hash == await current(room, key)
        changed = correction(BODY, made, "1", name="例小红")
        await logged(room, changed)
        assert (await looked_up(room, changed.face)).leaf_hash == await current(room, key)
        assert (await looked_up(room, made.face)).leaf_hash != await current(room, key)
        there = await track(room, "b")
        back = correction(BODY, made, "2", person="b", track=there)
        assert code((await put(room, back))[0]) == Refusal.CORRECT_BOTH, "the old name is another name now"
        await logged(room, correction(BODY, made, "3", name="例小红", person="b", track=there))
        again = correction(BODY, made, "4", person="b")
        await logged(room, again)
        assert (await looked_up(room, made.face)).leaf_hash == await current(room, key), "and may come back"


async def test_another_document_moves_the_track(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        await logged(room, made)
        there = await track(room, "b")
        stays = correction(BODY, made, "1", person="b")
        assert code((await put(room, stays))[0]) == Refusal.TRACK_UNKNOWN, "that document has another track"
        elsewhere = correction(BODY, made, "2", track=there)
        assert code((await put(room, elsewhere))[0]) == Refusal.TRACK_UNKNOWN, "that track is another person's"
        await logged(room, correction(BODY, made, "3", person="b", track=there))
        assert await matches(room, made.issue.cert_key, "b")
        integrator = room.sequencer.integrator
        assert integrator.head is not None
        state = (await integrator.begin([made.statement], integrator.head.time + 1)).member(made.issue.cert_key)
        assert state is not None and state[1].track_id == there


async def test_name_and_document_together_need_the_authority(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        await logged(room, made)
        there = await track(room, "b")
        both = correction(BODY, made, "1", name="例小红", person="b", track=there)
        assert code((await put(room, both))[0]) == Refusal.CORRECT_BOTH
        await logged(room, correction(BODY, made, "2", name="例小红", person="b", track=there, authority=AUTHORITY))
        assert (await looked_up(room, both.face)).cert_key == made.issue.cert_key
        back = correction(BODY, made, "3", name="例小兰", person="a", track=made.issue.track_id)
        assert code((await put(room, back))[0]) == Refusal.CORRECT_BOTH


async def test_what_a_correction_may_not_be_about(room: Room) -> None:
    async with room.open():
        one, two, three = await room.draft("a", "b", "c")
        await logged(room, one, two)
        assert code((await put(room, correction(BODY, one, "1", number=two.face.number)))[0]) == Refusal.NUMBER
        assert code((await put(room, correction(BODY, one, "2", number="123456")))[0]) == Refusal.NUMBER
        assert code((await put(room, correction(BODY, three, "3")))[0]) == Refusal.CERT_UNKNOWN


async def test_a_certificate_may_be_corrected_in_the_request_that_brings_it(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        changed = correction(BODY, made, name="例小红")
        first, second = await logged(room, made, changed)
        assert second > first + 1, "in a batch of its own, behind the seal of the first"
        assert (await looked_up(room, changed.face)).salt == changed.face.salt


async def test_two_corrections_in_one_batch_and_the_later_holds(room: Room) -> None:
    async with room.open():
        (made,) = await room.draft("a")
        await logged(room, made)
        one, two = correction(BODY, made, "1", name="例小红"), correction(BODY, made, "2", name="例小红")
        await logged(room, one, two)
        assert await looked_up(room, two.face) == found(two)


@pytest.mark.parametrize("person", ["a", "b"])
async def test_a_post_stands_in_its_persons_track(room: Room, person: str) -> None:
    """This body may not appoint, so the fold says no to the right person; the private index to the wrong one."""
    async with room.open():
        (made,) = await room.draft("a", grade=6)
        await logged(room, made)
        await track(room, "b")
        held = post(BODY, "p", person=person, track=made.issue.track_id, prerequisite=made.issue.cert_key)
        wanted = Refusal.GRANT if person == "a" else Refusal.TRACK_UNKNOWN
        assert code((await put(room, held))[0]) == wanted

"""Who and what gets in, over real HTTP: every refusal with its code, field and both languages."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger import wire
from ledger.errors import Refused
from ledger.records.authority import FiledKey, Published
from ledger.records.commitments import Field, FieldOpening, rest_digest
from ledger.records.dates import date_of
from ledger.records.envelope import MAX_ENVELOPE
from ledger.records.kinds import Audience, FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Listed, Range, Ruling
from ledger.records.permit import LatePermit, PermitProof, permit_root, permitted_hash, prove_permitted
from ledger.records.refusals import Refusal, text_of
from ledger.records.rotation import LogKey
from ledger.records.statements import AuthorityBody, Statement, issue_entry, issuer_entry, parse_statement
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service import admission
from ledger.service.admission import Candidate, Examiner
from ledger.wire import BareSubmission, Logged, Submission
from tests.support.builders import NUMBER, OCCUPATION, Body, Certificate, id_number, key, make_authority, make_body
from tests.support.fault_store import flip
from tests.support.life_builders import Correction, bare, correction, end, post, reissue, ruling
from tests.support.live_ledger import LiveLedger, drafted, live_body, today, tracks_of
from tests.support.service_room import INDEX, Room

_labels = itertools.count()


def label() -> str:
    return f"admission {next(_labels)}"


async def one(live: LiveLedger, body: Body, **changes: Any) -> Certificate:
    """A certificate that would be admitted, but for `changes`."""
    async with live.client(body) as client:
        (certificate,) = await drafted(client, body, label(), **changes)
    return certificate


async def answer(live: LiveLedger, body: Body, *submissions: Submission | BareSubmission) -> list[Logged | Refused]:
    async with live.client(body) as client:
        receipt = await client.submit(submissions)
    live.check(receipt, [submission.entry for submission in submissions])
    return list(receipt.answers)


def refused(outcome: Logged | Refused, code: Refusal, field: str) -> None:
    assert isinstance(outcome, Refused), outcome
    assert (outcome.code, outcome.field) == (code.value, field)
    assert outcome.text == text_of(code)
    assert outcome.text.zh != outcome.text.en


def renumbered(body: Body, certificate: Certificate, number: str, **changes: Any) -> Submission:
    """The same certificate signed over another number (and other fields), with matching openings."""
    face = replace(certificate.face, number=number)
    issue = replace(certificate.issue, face=face.digest(), **changes)
    statement = parse_statement(issue_entry(issue, body.record))
    return replace(certificate, face=face, issue=issue, statement=statement).submission()


async def test_a_person_with_a_number_cannot_be_declared_unlinked(live: LiveLedger, home: Body) -> None:
    """It would close the person's track to every other body."""
    certificate = await one(live, home, person_unlinked=True)
    (outcome,) = await answer(live, home, certificate.submission())
    refused(outcome, Refusal.PERSON_UNLINKED, "person_unlinked")


async def test_a_request_key_serves_one_filing(live: LiveLedger, home: Body) -> None:
    """Were it listed twice, nobody could say whose requests it signs."""
    thief = live_body("thief", number="Y000051000088", request_keys=home.filing.request_keys)
    async with live.client() as client:
        receipt = await client.submit_authority(live.authority.sign(thief.filing).entry)
    refused(receipt.answers[0], Refusal.REQUEST_KEY_TAKEN, "request_keys")
    certificate = await one(live, home)
    (logged,) = await answer(live, home, certificate.submission())
    assert isinstance(logged, Logged), "the first filing goes on undisturbed"


async def test_a_sound_certificate_is_admitted_with_proofs(live: LiveLedger, home: Body) -> None:
    certificate = await one(live, home)
    (logged,) = await answer(live, home, certificate.submission())
    assert isinstance(logged, Logged)


# What a submission is changed to, the code and the field. Each must be refused alone, between two that are admitted.
def _salt(s: Submission) -> Submission:
    return replace(s, face=replace(s.face, salt=bytes(16)))


def _document(s: Submission, value: list[str]) -> Submission:
    return replace(s, document=replace(s.document, value=value))


OPENINGS: dict[str, tuple[Callable[[Submission], Submission], Refusal, str]] = {
    "face salt": (_salt, Refusal.OPENING_FACE, "face"),
    "face name": (lambda s: replace(s, face=replace(s.face, name="例小红")), Refusal.OPENING_FACE, "face"),
    "face number": (
        lambda s: replace(s, face=replace(s.face, number=NUMBER + "264999999")), Refusal.OPENING_FACE, "face",
    ),
    "face name that NFC changes": (
        lambda s: replace(s, face=replace(s.face, name="e\u0301")), Refusal.OPENING_FACE, "face",
    ),
    "seven digests": (lambda s: replace(s, digests=s.digests[:7]), Refusal.OPENING_REST, "digests"),
    "nine digests": (lambda s: replace(s, digests=(*s.digests, bytes(32))), Refusal.OPENING_REST, "digests"),
    "no digests": (lambda s: replace(s, digests=()), Refusal.OPENING_REST, "digests"),
    "short digest": (lambda s: replace(s, digests=(b"", *s.digests[1:])), Refusal.OPENING_REST, "digests"),
    "other digest": (lambda s: replace(s, digests=(*s.digests[:7], bytes(32))), Refusal.OPENING_REST, "digests"),
    "digests exchanged": (
        lambda s: replace(s, digests=(s.digests[1], s.digests[0], *s.digests[2:])), Refusal.OPENING_REST, "digests",
    ),
    "document number": (
        lambda s: _document(s, ["111", "CHN", "990000200001010000"]), Refusal.OPENING_DOCUMENT, "document",
    ),
    "document country": (
        lambda s: _document(s, ["111", "USA", s.document.value[2]]), Refusal.OPENING_DOCUMENT, "document",
    ),
    "document that NFC changes": (
        lambda s: _document(s, ["e\u0301", "CHN", s.document.value[2]]), Refusal.OPENING_DOCUMENT, "document",
    ),
    "document salt": (
        lambda s: replace(s, document=replace(s.document, salt=bytes(16))), Refusal.OPENING_DOCUMENT, "document",
    ),
    "short locator": (lambda s: replace(s, locator=s.locator[:31]), Refusal.ENVELOPE, "locator"),
    "no locator": (lambda s: replace(s, locator=b""), Refusal.ENVELOPE, "locator"),
    "empty face envelope": (lambda s: replace(s, face_envelope=b""), Refusal.ENVELOPE, "face"),
    "face envelope without content": (lambda s: replace(s, face_envelope=bytes(28)), Refusal.ENVELOPE, "face"),
    "large face envelope": (lambda s: replace(s, face_envelope=bytes(MAX_ENVELOPE + 1)), Refusal.ENVELOPE, "face"),
    "empty rest envelope": (lambda s: replace(s, rest_envelope=b""), Refusal.ENVELOPE, "rest"),
    "large rest envelope": (lambda s: replace(s, rest_envelope=bytes(MAX_ENVELOPE + 1)), Refusal.ENVELOPE, "rest"),
    "empty entry": (lambda s: replace(s, entry=b""), Refusal.MALFORMED, "entry"),
    "entry with a trailing byte": (lambda s: replace(s, entry=s.entry + b"\0"), Refusal.MALFORMED, "entry"),
    "entry too long": (lambda s: replace(s, entry=s.entry.ljust(8193, b"\0")), Refusal.MALFORMED, "entry"),
    "a seal as entry": (lambda s: replace(s, entry=b"\x87" + s.entry[1:]), Refusal.MALFORMED, "entry"),
    "signature": (lambda s: replace(s, entry=flip(s.entry, 8 * len(s.entry) - 1)), Refusal.SIGNATURE, "signature"),
}  # fmt: skip


@pytest.mark.parametrize("what", OPENINGS)
async def test_what_was_submitted_must_be_what_was_signed(live: LiveLedger, home: Body, what: str) -> None:
    change, code, field = OPENINGS[what]
    async with live.client(home) as client:
        before, spoilt, after = await drafted(client, home, label(), label(), label())
    answers = await answer(live, home, before.submission(), change(spoilt.submission()), after.submission())
    assert isinstance(answers[0], Logged) and isinstance(answers[2], Logged)
    assert answers[2].index == answers[0].index + 1
    refused(answers[1], code, field)
    (honest,) = await answer(live, home, spoilt.submission())
    assert isinstance(honest, Logged), "a refusal leaves nothing behind"


async def test_document_values_that_match_but_name_nobody(live: LiveLedger, home: Body) -> None:
    certificate = await one(live, home)
    for value in (
        ["111", "CHN", "12345678901234x"],
        ["999", "CHN", "123456"],
        ["111", "china", "123456"],
        ["111", "CHN", "１２３４"],
    ):
        opening = FieldOpening(Field.ID_DOCUMENT, bytes(16), value)
        digests = (opening.digest(), *certificate.digests[1:])
        issue = replace(certificate.issue, rest=rest_digest(digests))
        statement = parse_statement(issue_entry(issue, home.record))
        made = replace(certificate, statement=statement, digests=digests, openings=(opening, *certificate.openings[1:]))
        (outcome,) = await answer(live, home, made.submission())
        refused(outcome, Refusal.OPENING_DOCUMENT, "document")


@pytest.mark.parametrize("missing", ["salt", "number", "name", "document salt"])
async def test_missing_openings_are_one_answer_and_not_the_requests_failure(
    live: LiveLedger, home: Body, missing: str
) -> None:
    async with live.client(home) as client:
        spoilt, sound = await drafted(client, home, label(), label())
        bodies = [wire.submission_body(c.submission()) for c in (spoilt, sound)]
        if missing == "document salt":
            bodies[0].document.salt = b""
        else:
            setattr(bodies[0].face, missing, b"" if missing == "salt" else "")
        raw = await client._post("/v1/statements", wire.encode(wire.SubmitRequest(bodies)))
    answers = wire.receipt_of(raw).answers
    refused(answers[0], Refusal.OPENING_MISSING, "face, document")
    assert isinstance(answers[1], Logged)


# Statements that are properly signed and opened, but break a rule: changes of the certificate, code, field.
def day(offset: int) -> dict[str, Any]:
    return {"day": today() + offset}


RULES: dict[str, tuple[Callable[[], dict[str, Any]], Refusal, str]] = {
    "in the future": (lambda: day(2), Refusal.ISSUED_IN_FUTURE, "issue_day"),
    "more than 60 days back": (lambda: day(-62), Refusal.ISSUED_TOO_LATE, "issue_day"),
    "before the filing": (lambda: day(-401), Refusal.SCOPE_WINDOW, "issue_day"),
    "after the filing": (lambda: day(401), Refusal.SCOPE_WINDOW, "issue_day"),
    "assessed after issue": (
        lambda: {"assessment_day": today() - 1}, Refusal.ASSESSED_AFTER_ISSUE, "assessment_day",
    ),
    "other audience": (
        lambda: {"audience": Audience.PUBLIC}, Refusal.SCOPE_ROW, "occupation, trade, grade, audience",
    ),
    "track of nobody": (lambda: {"track_id": bytes(16)}, Refusal.TRACK_UNKNOWN, "track_id"),
    "key of nobody": (lambda: {"signer": key("stranger")}, Refusal.KEY_UNKNOWN, "kid"),
    "name with a digit": (lambda: {"name": "例小明2"}, Refusal.NAME, "name"),
    "name in parts": (lambda: {"name": "例 小明"}, Refusal.NAME, "name"),
    "name with another dot": (lambda: {"name": "例•小明"}, Refusal.NAME, "name"),
    "name with a hidden character": (lambda: {"name": "例小\u200b明"}, Refusal.NAME, "name"),
    "full-width name": (lambda: {"name": "Ａ"}, Refusal.NAME, "name"),
}  # fmt: skip


@pytest.mark.parametrize("what", RULES)
async def test_rules_of_the_fold_and_of_names(live: LiveLedger, home: Body, what: str) -> None:
    changes, code, field = RULES[what]
    (outcome,) = await answer(live, home, (await one(live, home, **changes())).submission())
    refused(outcome, code, field)


async def test_an_occupation_outside_the_filing(live: LiveLedger, home: Body) -> None:
    name, lineage = label(), "4-02-04-06"
    async with live.client(home) as client:
        tracks = await tracks_of(client, [name], lineage)
    certificate = home.certificate(name, day=today() - 3, track=tracks[name], occupation=lineage)
    (outcome,) = await answer(live, home, certificate.submission())
    refused(outcome, Refusal.SCOPE_ROW, "occupation, trade, grade, audience")


async def test_sixty_days_back_is_just_in_time(live: LiveLedger, home: Body) -> None:
    (outcome,) = await answer(live, home, (await one(live, home, day=today() - 59)).submission())
    assert isinstance(outcome, Logged)


@pytest.mark.parametrize(
    "number",
    [
        lambda n, year: "Y000051000002" + n[13:],  # another filing
        lambda n, year: f"{n[:13]}{(year - 1) % 100:02}{n[15:]}",  # another year
        lambda n, year: n[:15] + "2" + n[16:],  # another grade
        lambda n, year: n[:15] + "A" + n[16:],  # an appointment's letter
        lambda n, year: n[:16] + "000000",  # no serial
        lambda n, year: n.lower(),
        lambda n, year: n[:-1],
        lambda n, year: n + "1",
        lambda n, year: n[:13] + " " + n[13:],
        lambda n, year: "123456789",
        lambda n, year: "１" + n[1:],
    ],
)
async def test_the_number_agrees_with_filing_year_and_grade(
    live: LiveLedger, home: Body, number: Callable[[str, int], str]
) -> None:
    certificate = await one(live, home)
    year = date_of(certificate.issue.issue_day).year
    (outcome,) = await answer(live, home, renumbered(home, certificate, number(certificate.face.number, year)))
    refused(outcome, Refusal.NUMBER, "number")


def test_what_is_remembered_of_numbers_is_what_they_would_be_judged_by() -> None:
    """Each question twice, and in both orders: of the filing, day, grade and kinds that a number has to fit."""
    examiner = Examiner(INDEX, load_ladder(), load_catalogue())
    certificate = make_body().certificate("n")
    number, issue = certificate.face.number, certificate.issue
    numbers = [
        number,
        number[:16] + "000007",
        number[:16] + "000000",
        number[:16] + "00000７",
        number[:-1],
        number + "1",
    ]
    numbers += [number[:15] + mark + number[16:] for mark in "12345A0"] + [number.lower(), "123456789"]
    bodies = [
        issue,
        replace(issue, issue_day=issue.issue_day - 366),
        replace(issue, grade=5, level=2),
        replace(issue, grade=4, level=3),
        replace(issue, filing_number="Y000051000002"),
        replace(issue, permit=PermitProof(bytes(32), 0, ())),
    ]
    asked = [(number, body) for number in numbers for body in bodies]
    for text, body in (*asked, *reversed(asked)):
        fresh = Examiner(INDEX, load_ladder(), load_catalogue())
        said = body.filing_number, body.issue_day, body.grade, admission._schemes(body)
        assert examiner._fits(text, body) == fresh._check_number(text, *said)
    assert examiner._fits(number, issue) and not all(examiner._fits(number, body) for body in bodies)


async def test_what_waits_is_counted_with_its_envelopes(room: Room) -> None:
    async with room.open(run=False):
        (made,) = await room.draft("a")
        (candidate,) = await room.candidates(made)
    sent = made.submission()
    assert candidate.size == len(sent.entry) + len(sent.face_envelope) + len(sent.rest_envelope)
    assert Candidate(candidate.authentic, None).size == len(sent.entry)


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_REMEMBERED", 3)
    examiner, certificate = Examiner(INDEX, load_ladder(), load_catalogue()), make_body().certificate("n")
    for at in range(20):
        body = replace(certificate.issue, issue_day=certificate.issue.issue_day - at)
        examiner._fits(certificate.face.number, body)
        assert len(examiner._numbers) == at % 3 + 1
    assert examiner._fits(certificate.face.number, certificate.issue)


async def test_a_number_is_given_once(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        first, second, third = await drafted(client, home, label(), label(), label())
        taken = first.face.number
        in_one = await client.submit([first.submission(), renumbered(home, second, taken)])
        assert isinstance(in_one.answers[0], Logged)
        refused(in_one.answers[1], Refusal.NUMBER_TAKEN, "number")
        refused((await client.submit([renumbered(home, third, taken)])).answers[0], Refusal.NUMBER_TAKEN, "number")
        numbers = [taken, second.face.number, third.face.number, "not ours"]
        assert await client.taken_numbers(numbers) == {taken}
        again = await client.submit([second.submission()])
    assert isinstance(again.answers[0], Logged), "the number that was never admitted is free"


async def test_a_body_sees_only_its_own_numbers(live: LiveLedger, home: Body, other: Body) -> None:
    certificate = await one(live, home)
    await answer(live, home, certificate.submission())
    async with live.client(other) as client:
        assert await client.taken_numbers([certificate.face.number]) == set()


async def test_one_certificate_for_a_person_and_grade(live: LiveLedger, home: Body) -> None:
    who = label()
    async with live.client(home) as client:
        (first,) = await drafted(client, home, who)
        again = [
            home.certificate(f"{who} {at}", person=who, track=first.issue.track_id, day=today() - at)
            for at in range(2, 5)
        ]
        receipt = await client.submit([first.submission(), again[0].submission()])
        assert isinstance(receipt.answers[0], Logged)
        refused(receipt.answers[1], Refusal.DUPLICATE_GRADE, "grade")
        for certificate in again:
            assert certificate.face.number != first.face.number and certificate.secret != first.secret
            refused((await client.submit([certificate.submission()])).answers[0], Refusal.DUPLICATE_GRADE, "grade")
        higher = home.certificate(f"{who} up", person=who, track=first.issue.track_id, day=today() - 2, grade=5)
        assert isinstance((await client.submit([higher.submission()])).answers[0], Logged)


async def test_another_body_cannot_give_the_same_person_the_same_grade(
    live: LiveLedger, home: Body, other: Body
) -> None:
    who = label()
    async with live.client(home) as client:
        (first,) = await drafted(client, home, who)
        await client.submit([first.submission()])
    async with live.client(other) as client:
        track = (await tracks_of(client, [who]))[who]
        assert track == first.issue.track_id, "one track for a person, whoever asks"
        second = other.certificate(f"{who} again", person=who, track=track, day=today() - 3)
        refused((await client.submit([second.submission()])).answers[0], Refusal.DUPLICATE_GRADE, "grade")


async def test_a_track_of_somebody_else(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        mine, hers = await drafted(client, home, label(), label())
        moved = replace(mine.issue, track_id=hers.issue.track_id)
        stolen = replace(mine, statement=parse_statement(issue_entry(moved, home.record)))
        refused((await client.submit([stolen.submission()])).answers[0], Refusal.TRACK_UNKNOWN, "track_id")


async def test_a_cert_key_is_used_once(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        first, second = await drafted(client, home, label(), label())
        issue = replace(second.issue, cert_key=first.issue.cert_key)
        same = replace(second, statement=parse_statement(issue_entry(issue, home.record)))
        receipt = await client.submit([first.submission(), same.submission()])
    refused(receipt.answers[1], Refusal.CERT_KEY_TAKEN, "cert_key")


async def test_filings_do_not_mix(live: LiveLedger, home: Body, other: Body) -> None:
    """The request key, the record key and the filing number must all be of one filing."""
    certificate = await one(live, home)
    (outcome,) = await answer(live, other, certificate.submission())
    refused(outcome, Refusal.REQUESTER, "filing_number")
    by_other = await one(live, home, signer=other.record)
    (outcome,) = await answer(live, home, by_other.submission())
    refused(outcome, Refusal.KEY_UNKNOWN, "kid")
    by_request_key = await one(live, home, signer=home.request)
    (outcome,) = await answer(live, home, by_request_key.submission())
    refused(outcome, Refusal.KEY_UNKNOWN, "kid")
    issue = replace(certificate.issue, filing_number=other.filing.number)
    claimed = replace(certificate, statement=parse_statement(issue_entry(issue, home.record)))
    (outcome,) = await answer(live, other, claimed.submission())
    refused(outcome, Refusal.KEY_UNKNOWN, "kid")


async def test_a_cap_is_a_cap(live: LiveLedger) -> None:
    body = live_body("capped", number="Y000051000003", cap=2)
    await live.file(body)
    async with live.client(body) as client:
        made = await drafted(client, body, label(), label(), label())
        receipt = await client.submit([c.submission() for c in made])
        assert [type(each) for each in receipt.answers] == [Logged, Logged, Refused]
        refused(receipt.answers[2], Refusal.CAP_REACHED, "kid")
        again = await client.submit([c.submission() for c in made])
    assert again.answers[:2] == tuple(
        replace(new, inclusion=old.inclusion) for old, new in zip(again.answers[:2], receipt.answers[:2], strict=True)
    )
    refused(again.answers[2], Refusal.CAP_REACHED, "kid")


async def test_keys_outside_their_windows(live: LiveLedger) -> None:
    past, body = today() - 100, live_body("old keys", number="Y000051000004")
    dead = replace(
        body,
        filing=replace(
            body.filing,
            record_keys=(FiledKey(body.record.public, past, past + 10), FiledKey(key("later").public, today() + 9)),
        ),
    )
    await live.file(dead)
    for signer in (body.record, key("later")):
        certificate = await one(live, dead, signer=signer)
        (outcome,) = await answer(live, dead, certificate.submission())
        refused(outcome, Refusal.KEY_NOT_LIVE, "kid")

    closed = live_body("closed", number="Y000051000005")
    closed = replace(
        closed,
        filing=replace(closed.filing, request_keys=(FiledKey(closed.request.public, past, past + 10),)),
    )
    await live.file(closed)
    async with live.client(closed) as client:
        for call in (client.taken_numbers(["a"]), tracks_of(client, ["x"]), client.submit([certificate.submission()])):
            with pytest.raises(Refused) as failure:
                await call
            assert (failure.value.code, failure.value.field) == ("KEY_NOT_LIVE", "kid")


async def test_statements_of_the_authority_have_their_own_door(live: LiveLedger, home: Body) -> None:
    certificate = await one(live, home)
    filing = live.authority.sign(live_body("mixed", number="Y000051000006").filing)
    (outcome,) = await answer(live, home, replace(certificate.submission(), entry=filing.entry))
    refused(outcome, Refusal.MALFORMED, "kind")
    async with live.client() as client:
        refused((await client.submit_authority(certificate.statement.entry)).answers[0], Refusal.MALFORMED, "kind")
        assert isinstance((await client.submit_authority(filing.entry)).answers[0], Logged)


async def test_every_refusal_of_the_authoritys_statements(live: LiveLedger, home: Body) -> None:
    sign, filing = live.authority.sign, live_body("more", number="Y000051000007").filing
    stranger = make_authority("stranger", origin=live.authority.origin)
    ladder = Published(Kind.LADDER, "of a test", bytes(32), today())
    cases = [
        (b"", Refusal.MALFORMED, "entry"),
        (sign(filing, by=(0,)).entry, Refusal.SIGNATURE, "signatures"),
        (stranger.sign(filing).entry, Refusal.SIGNATURE, "signatures"),
        (flip(sign(filing).entry, 8 * len(sign(filing).entry) - 1), Refusal.SIGNATURE, "signatures"),
        (sign(filing, origin="log.test.example/another").entry, Refusal.ORIGIN, "issuer"),
        (sign(replace(live.authority.genesis, day=1)).entry, Refusal.GENESIS_PLACE, "kind"),
        (sign(replace(home.filing, name="又一家")).entry, Refusal.FILING_EXISTS, "number"),
    ]
    async with live.client() as client:
        for entry, code, field in cases:
            refused((await client.submit_authority(entry)).answers[0], code, field)
        assert isinstance((await client.submit_authority(sign(ladder).entry)).answers[0], Logged)
        other = replace(ladder, digest=b"\x01" * 32)
        refused((await client.submit_authority(sign(other).entry)).answers[0], Refusal.VERSION_EXISTS, "version")
        again = await client.submit_authority(sign(ladder, by=(1, 2)).entry)
    assert isinstance(again.answers[0], Logged), "other people, the same statement: the stored answer"


async def test_a_filing_serves_at_once(live: LiveLedger) -> None:
    body = live_body("prompt", number="Y000051000008")
    async with live.client(body) as client:
        with pytest.raises(Exception, match="signature"):
            await tracks_of(client, ["x"])
        await live.file(body)
        (certificate,) = await drafted(client, body, label())
        assert isinstance((await client.submit([certificate.submission()])).answers[0], Logged)
        entry, index = await client.filing(body.filing.number)
    assert parse_statement(entry).body == body.filing
    assert index > 0


async def test_a_retry_gets_the_first_answer_whatever_comes_with_it(live: LiveLedger, home: Body) -> None:
    certificate = await one(live, home)
    sound = certificate.submission()
    (first,) = await answer(live, home, sound)
    assert isinstance(first, Logged)
    others = [
        change(sound)
        for name, (change, code, _) in OPENINGS.items()
        if code not in (Refusal.MALFORMED, Refusal.SIGNATURE)
    ]
    for again in await answer(live, home, sound, *others, sound):
        assert isinstance(again, Logged) and (again.index, again.time) == (first.index, first.time)
    async with live.client(home) as client:
        body = wire.submission_body(sound)
        body.face.name, body.document.salt = "", b""
        raw = await client._post("/v1/statements", wire.encode(wire.SubmitRequest([body])))
    (again,) = wire.receipt_of(raw).answers
    assert isinstance(again, Logged) and (again.index, again.time) == (first.index, first.time)


async def test_identical_submissions_in_one_request_and_in_many_at_once(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        twice, racing, last = await drafted(client, home, label(), label(), label())
        receipt = await client.submit([twice.submission(), last.submission(), twice.submission()])
        one, between, two = receipt.answers
        assert isinstance(one, Logged) and one == two
        assert isinstance(between, Logged) and between.index == one.index + 1
        receipts = await asyncio.gather(*(client.submit([racing.submission()]) for _ in range(12)))
    places = {(r.answers[0].index, r.answers[0].time) for r in receipts if isinstance(r.answers[0], Logged)}
    assert len(places) == 1 and all(isinstance(r.answers[0], Logged) for r in receipts)
    for receipt in receipts:
        live.check(receipt, [racing.statement.entry])


async def test_the_order_of_a_request_is_the_order_of_the_log(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        made = await drafted(client, home, *(label() for _ in range(150)))
        receipt = await client.submit([c.submission() for c in made])
    indexes = [each.index for each in receipt.answers if isinstance(each, Logged)]
    assert len(indexes) == 150 and indexes == sorted(set(indexes))


async def test_a_race_for_one_number_and_for_one_person_has_one_winner(live: LiveLedger, home: Body) -> None:
    async with live.client(home) as client:
        made = await drafted(client, home, *(label() for _ in range(6)))
        number = made[0].face.number
        answers = await asyncio.gather(*(client.submit([renumbered(home, c, number)]) for c in made))
        codes = sorted(a.answers[0].code if isinstance(a.answers[0], Refused) else "" for a in answers)
        assert codes == ["", *["NUMBER_TAKEN"] * 5]
        who = label()
        (track,) = (await tracks_of(client, [who])).values()
        same = [home.certificate(f"{who} {at}", person=who, track=track, day=today() - 3) for at in range(6)]
        answers = await asyncio.gather(*(client.submit([c.submission()]) for c in same))
        codes = sorted(a.answers[0].code if isinstance(a.answers[0], Refused) else "" for a in answers)
        assert codes == ["", *["DUPLICATE_GRADE"] * 5]


async def test_tracks_are_one_for_a_person_and_a_lineage(live: LiveLedger, home: Body, other: Body) -> None:
    who = label()
    async with live.client(home) as client, live.client(other) as elsewhere:
        both = await asyncio.gather(*(tracks_of(c, [who]) for c in (client, elsewhere) for _ in range(5)))
        assert len({each[who] for each in both}) == 1
        assert (await tracks_of(client, [who], "4-02-04-06"))[who] != both[0][who]
        with pytest.raises(Refused) as failure:
            await client.tracks([wire.PersonLineage("111", "CHN", "", OCCUPATION)])
    assert failure.value.code == "malformed"


@pytest.fixture(scope="module")
def life(live: LiveLedger) -> Body:
    """A body that may appoint, filed for the tests about certificates that are there."""
    body = live_body("life", number="Y000051000020", grants=(7, 8))
    asyncio.run(live.file(body))
    return body


async def logged(live: LiveLedger, body: Body, count: int = 1, **changes: Any) -> list[Certificate]:
    """Certificates that are in the log, of persons of their own."""
    async with live.client(body) as client:
        made = await drafted(client, body, *(label() for _ in range(count)), **changes)
    for outcome in await answer(live, body, *(certificate.submission() for certificate in made)):
        assert isinstance(outcome, Logged), outcome
    return made


async def say(live: LiveLedger, body: Body, *statements: Statement) -> list[Logged | Refused]:
    """Submit what says nothing about a person."""
    return await answer(live, body, *(bare(statement) for statement in statements))


async def by_authority(live: LiveLedger, what: AuthorityBody) -> Logged | Refused:
    async with live.client() as client:
        return (await client.submit_authority(live.authority.sign(what).entry)).answers[0]


def rule(body: Body, kind: Kind, *certificates: Certificate, **changes: Any) -> Statement:
    return ruling(body, kind, *certificates, **{"day": today() - 1, **changes})


async def test_rulings_follow_the_table(live: LiveLedger, life: Body) -> None:
    """Suspend, restore, revoke, in one request and in order, each with its own answer."""
    one, two = await logged(live, life, 2)
    steps: list[tuple[Statement, Refusal | None]] = [
        (rule(life, Kind.RESTORE, one), Refusal.NOTHING_TO_RESTORE),
        (rule(life, Kind.SUSPEND, one), None),
        (rule(life, Kind.SUSPEND, one, two), Refusal.ALREADY_SUSPENDED),
        (rule(life, Kind.RESTORE, one), None),
        (rule(life, Kind.REVOKE, one, two), None),
        (rule(life, Kind.SUSPEND, two), Refusal.ALREADY_REVOKED),
        (rule(life, Kind.REVOKE, two), Refusal.ALREADY_REVOKED),
        (rule(life, Kind.RESTORE, two, reason=Reason.CLEARED), Refusal.AUTHORITY_NEEDED),
    ]
    for (_, code), outcome in zip(steps, await say(live, life, *(each for each, _ in steps)), strict=True):
        if code is None:
            assert isinstance(outcome, Logged), outcome
        else:
            refused(outcome, code, "cert_key")
    mine = Ruling(Kind.RESTORE, Listed((two.issue.cert_key,)), Reason.CLEARED, today())
    assert isinstance(await by_authority(live, mine), Logged)


async def test_what_was_undone_is_not_answered_as_done(live: LiveLedger, life: Body) -> None:
    """Suspended, restored, suspended again on one day for one reason: the same bytes, which the log holds already."""
    (one,) = await logged(live, life, 1)
    suspend, restore = rule(life, Kind.SUSPEND, one), rule(life, Kind.RESTORE, one)
    (first,) = await say(live, life, suspend)
    (retried,) = await say(live, life, suspend)
    assert isinstance(first, Logged) and isinstance(retried, Logged) and retried.index == first.index
    assert all(isinstance(each, Logged) for each in await say(live, life, restore))
    refused((await say(live, life, suspend))[0], Refusal.REPEATED, "reason")
    (other,) = await say(live, life, rule(life, Kind.SUSPEND, one, day=today() - 2))
    assert isinstance(other, Logged) and other.index > first.index
    in_one = [rule(life, kind, one, day=today()) for kind in (Kind.RESTORE, Kind.SUSPEND, Kind.RESTORE)]
    *_, last = await say(live, life, *in_one)
    refused(last, Refusal.REPEATED, "reason")


async def test_a_list_is_refused_as_a_whole(live: LiveLedger, life: Body) -> None:
    one, two = await logged(live, life, 2)
    stranger = replace(two, issue=replace(two.issue, cert_key=bytes(32)))
    (outcome,) = await say(live, life, rule(life, Kind.SUSPEND, one, stranger))
    refused(outcome, Refusal.CERT_UNKNOWN, "cert_key")
    (outcome,) = await say(live, life, rule(life, Kind.SUSPEND, one, two))
    assert isinstance(outcome, Logged), "nothing had happened to the first"


async def test_a_ruling_from_the_future(live: LiveLedger, life: Body) -> None:
    (one,) = await logged(live, life)
    (outcome,) = await say(live, life, rule(life, Kind.REVOKE, one, day=today() + 2))
    refused(outcome, Refusal.EFFECTIVE_IN_FUTURE, "effective_day")


async def test_the_certificates_of_another_body(live: LiveLedger, life: Body, home: Body) -> None:
    (one,) = await logged(live, home)
    (outcome,) = await say(live, life, rule(life, Kind.REVOKE, one))
    refused(outcome, Refusal.NOT_ISSUER, "cert_key")
    changed = correction(life, one, label(), name="例小红", day=today())
    (outcome,) = await answer(live, life, changed.submission())
    refused(outcome, Refusal.NOT_ISSUER, "cert_key")


async def test_a_range_passes_by_those_that_do_not_allow_it(live: LiveLedger, life: Body) -> None:
    made = await logged(live, life, 3)
    places = await answer(live, life, *(certificate.submission() for certificate in made))
    indexes = [place.index for place in places if isinstance(place, Logged)]
    stretch = Range(life.filing.number, min(indexes), max(indexes))
    assert isinstance((await say(live, life, rule(life, Kind.SUSPEND, made[1])))[0], Logged)
    swept = rule(life, Kind.SUSPEND, made[0], whom=stretch)
    after = rule(life, Kind.RESTORE, made[1], reason=Reason.CLEARED)
    first, second = await say(live, life, swept, after)
    assert isinstance(first, Logged) and isinstance(second, Logged)
    (outcome,) = await say(live, life, rule(life, Kind.SUSPEND, made[0], whom=Range(life.filing.number, 0, 1)))
    refused(outcome, Refusal.NOTHING_CHANGES, "range")


async def test_openings_with_what_names_nobody(live: LiveLedger, life: Body) -> None:
    (one,) = await logged(live, life)
    mixed = replace(one.submission(), entry=rule(life, Kind.SUSPEND, one).entry)
    (outcome,) = await answer(live, life, mixed)
    refused(outcome, Refusal.OPENING_UNWANTED, "face, document")
    (outcome,) = await answer(live, life, bare(correction(life, one, label(), day=today()).statement))
    refused(outcome, Refusal.OPENING_MISSING, "face, document")


async def test_corrections(live: LiveLedger, life: Body) -> None:
    """A name by the body; a document by the body, and the track moves; both only by the authority."""
    (one,) = await logged(live, life)
    new, third = label(), label()
    async with live.client(life) as client:
        tracks = await tracks_of(client, [new, third])
    correct = partial(correction, life, one, day=today())
    cases: list[tuple[Correction, Refusal | None, str]] = [
        (correct(label(), number="Y00005100002026300001"), Refusal.NUMBER, "number"),
        (correct(label(), person=new), Refusal.TRACK_UNKNOWN, "track_id"),
        (correct(label(), person=new, track=tracks[third]), Refusal.TRACK_UNKNOWN, "track_id"),
        (correct(label(), name="例小红", person=new, track=tracks[new]), Refusal.CORRECT_BOTH, "name, document"),
        (correct(label(), name="例小红", day=today() + 2), Refusal.EFFECTIVE_IN_FUTURE, "effective_day"),
        (correct(label(), name="例小红"), None, ""),
        (correct(label(), name="例小红", person=new, track=tracks[new]), None, ""),
        (correct(label(), name="例小兰", person=third, track=tracks[third], authority=live.authority), None, ""),
    ]
    for made, code, field in cases:
        (outcome,) = await answer(live, life, made.submission())
        if code is None:
            assert isinstance(outcome, Logged), outcome
        else:
            refused(outcome, code, field)
    nobody = replace(one, issue=replace(one.issue, cert_key=bytes(32)))
    (outcome,) = await answer(live, life, correction(life, nobody, label(), day=today()).submission())
    refused(outcome, Refusal.CERT_UNKNOWN, "cert_key")
    async with live.client() as client:
        alone = correct(label(), name="例小梅", authority=live.authority).statement
        receipt = await client.submit_authority(alone.entry)
    refused(receipt.answers[0], Refusal.OPENING_MISSING, "face, document")


async def test_a_correction_of_what_waits_in_the_same_request(live: LiveLedger, life: Body) -> None:
    async with live.client(life) as client:
        (one,) = await drafted(client, life, label())
    changed = correction(life, one, label(), name="例小红", day=today())
    for outcome in await answer(live, life, one.submission(), changed.submission()):
        assert isinstance(outcome, Logged), outcome


async def test_reissues(live: LiveLedger, life: Body) -> None:
    one, two = await logged(live, life, 2)
    other = replace(two.face, salt=bytes(16))
    cases: list[tuple[Submission, Refusal | None, str]] = [
        (reissue(life, one, label(), replaces=b"x" * 32).submission(), Refusal.CERT_UNKNOWN, "replaces"),
        (reissue(life, one, label(), assessment_day=today() - 90).submission(), Refusal.REISSUE_DIFFERS, "replaces"),
        (renumbered(life, reissue(life, one, label()), other.number), Refusal.NUMBER_TAKEN, "number"),
        (reissue(life, one, "the new one").submission(), None, ""),
        (reissue(life, one, label()).submission(), Refusal.FINAL, "replaces"),  # its number has moved
    ]
    for made, code, field in cases:
        (outcome,) = await answer(live, life, made)
        if code is None:
            assert isinstance(outcome, Logged), outcome
        else:
            refused(outcome, code, field)
    (outcome,) = await say(live, life, rule(life, Kind.SUSPEND, two))
    assert isinstance(outcome, Logged)
    (outcome,) = await answer(live, life, reissue(life, two, label()).submission())
    refused(outcome, Refusal.NOT_IN_FORCE, "replaces")
    again = reissue(life, reissue(life, one, "the new one"), label())
    (outcome,) = await answer(live, life, again.submission())
    assert isinstance(outcome, Logged), "the number moves again"


async def test_posts(live: LiveLedger, life: Body, home: Body) -> None:
    (top,) = await logged(live, life, grade=6)
    (low,) = await logged(live, life, grade=5)
    track, key_ = top.issue.track_id, top.issue.cert_key
    who = parse_person(top)
    make = partial(post, life, track=track, day=today() - 3)
    foreign = post(home, label(), person=who, track=track, day=today() - 3, prerequisite=key_)
    (outcome,) = await answer(live, home, foreign.submission())
    refused(outcome, Refusal.GRANT, "grade")
    missing = make(label(), person=who, prerequisite=low.issue.cert_key)
    (outcome,) = await answer(live, life, missing.submission())
    refused(outcome, Refusal.PREREQUISITE, "prerequisite")
    held = make("a post", person=who, prerequisite=key_)
    (outcome,) = await answer(live, life, held.submission())
    assert isinstance(outcome, Logged), outcome
    (outcome,) = await say(live, life, end(life, key_, day=today()))
    refused(outcome, Refusal.NO_APPOINTMENT, "cert_key")
    first, second = await say(
        live, life, end(life, held.said.cert_key, day=today()), end(life, held.said.cert_key, day=today() - 1)
    )
    assert isinstance(first, Logged)
    refused(second, Refusal.FINAL, "cert_key")


def parse_person(certificate: Certificate) -> str:
    """The label of whoever holds it: builders take the person's from the certificate's."""
    labels = (f"admission {at}" for at in itertools.count())
    value = certificate.openings[0].value
    assert isinstance(value, list)
    return next(name for name in labels if id_number(name) == value[2])


async def test_late_permits(live: LiveLedger, life: Body) -> None:
    late = today() - 100
    async with live.client(life) as client:
        one, two = await drafted(client, life, label(), label(), day=late)
    hashes = [permitted_hash(life.filing.number, each.issue.cert_key, each.issue.as_map()) for each in (one, two)]
    permit = LatePermit(life.filing.number, Reason.OTHER, late, late, permit_root(hashes[:1]), 1)
    statement = live.authority.sign(permit)

    def permitted(certificate: Certificate, at: int, among: list[bytes]) -> Submission:
        proof = prove_permitted(among, at, statement.leaf_hash)
        issue = replace(certificate.issue, permit=proof)
        return replace(
            certificate, issue=issue, statement=parse_statement(issue_entry(issue, life.record))
        ).submission()

    (outcome,) = await answer(live, life, permitted(one, 0, hashes[:1]))
    refused(outcome, Refusal.PERMIT_UNKNOWN, "permit")
    async with live.client() as client:
        assert isinstance((await client.submit_authority(statement.entry)).answers[0], Logged)
    (outcome,) = await answer(live, life, permitted(two, 1, hashes))
    refused(outcome, Refusal.PERMIT_OTHER, "permit")
    (outcome,) = await answer(live, life, permitted(one, 0, hashes[:1]))
    assert isinstance(outcome, Logged), outcome


async def test_filings_that_change_and_stop(live: LiveLedger) -> None:
    body = live_body("stopping", number="Y000051000021")
    await live.file(body)
    (one,) = await logged(live, body)
    async with live.client(body) as client:
        (two,) = await drafted(client, body, label())
    more = replace(body.filing, name="改名后的示例公司", change=True)
    dropped = replace(more, record_keys=(FiledKey(key("new").public, today()),))
    refused(await by_authority(live, dropped), Refusal.KEYS_DROPPED, "record_keys")
    assert isinstance(await by_authority(live, more), Logged)
    nobody = FilingStanding("Y000051000099", FilingStatus.SUSPENDED, Reason.OTHER, today())
    refused(await by_authority(live, nobody), Refusal.FILING_UNKNOWN, "number")
    stop = FilingStanding(body.filing.number, FilingStatus.SUSPENDED, Reason.UNDER_REVIEW, today())
    assert isinstance(await by_authority(live, stop), Logged)
    refused(await by_authority(live, replace(stop, reason=Reason.OTHER)), Refusal.NOTHING_CHANGES, "status")
    (outcome,) = await answer(live, body, two.submission())
    refused(outcome, Refusal.FILING_NOT_ACTIVE, "filing_number")
    (outcome,) = await say(live, body, rule(body, Kind.REVOKE, one))
    assert isinstance(outcome, Logged), "a suspended body may still take away"


async def test_a_body_that_retires_its_own_key(live: LiveLedger) -> None:
    body = live_body("retiring", number="Y000051000022")
    await live.file(body)
    (one,) = await logged(live, body)
    standing = KeyStanding(body.filing.number, body.record.public, KeyStatus.RETIRED, today())
    (outcome,) = await say(live, body, parse_statement(issuer_entry(standing, body.record)))
    assert isinstance(outcome, Logged)
    (outcome,) = await say(live, body, rule(body, Kind.SUSPEND, one))
    refused(outcome, Refusal.KEY_NOT_LIVE, "kid")


async def test_a_closed_log_takes_nothing_in(tmp_path: Path) -> None:
    live, body = LiveLedger.create(tmp_path / "closed", "closed"), live_body("closing")
    live.start()
    try:
        await live.file(body)
        (one,) = await logged(live, body)
        assert isinstance(await by_authority(live, LogKey(today(), successor="log.test.example/next")), Logged)
        (outcome,) = await say(live, body, rule(body, Kind.SUSPEND, one))
        refused(outcome, Refusal.LOG_CLOSED, "kind")
        (again,) = await answer(live, body, one.submission())
        assert isinstance(again, Logged), "what is in the log keeps its answer"
    finally:
        live.stop()


def test_every_refusal_is_met_in_this_file() -> None:
    """A refusal that no test provokes is a promise that nobody checks."""
    # 64 certificates of one person in one occupation need more trades than this filing has, and the sequencer gives
    # every statement that stands alone a batch of its own: these are met in the tests of the fold.
    elsewhere = {Refusal.TRACK_FULL, Refusal.STANDS_ALONE}
    # Packs, claims and the log's keys have files of their own.
    own = Path(__file__)
    files = (
        own,
        own.with_name("test_claims.py"),
        own.with_name("test_log_keys.py"),
        own.parents[1] / "records" / "rules" / "test_claims.py",
    )
    text = "".join(path.read_text("utf-8") for path in files)
    assert {code for code in Refusal if f"Refusal.{code.name}" not in text} <= elsewhere

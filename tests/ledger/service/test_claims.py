"""What payers ask a running ledger, and what it lets them do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from os import urandom
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from ledger import wire
from ledger.edge import protect, read_body
from ledger.errors import Damaged, Refused, Unavailable
from ledger.records.documents import IdDocument
from ledger.records.kinds import ClaimStatus, Kind, Reason
from ledger.records.refusals import Refusal
from ledger.records.statements import parse_statement
from ledger.records.status import authenticate_authority
from ledger.request_signing import sign_request
from ledger.service.budget import Budget
from ledger.service.claims import _certificates as certificates_of
from ledger.service.claims import add_claims, find_certificate
from ledger.service.erasure import find_erasable
from ledger.store.claims import claim_states
from ledger.store.integrate import Integrator
from ledger.store.protocol import Purpose
from ledger.text import Text
from ledger.wire import BareSubmission, Logged
from ledger.wire_holders import HolderAnswer, HolderRequest
from tests.support.builders import SECOND as SECOND_KEY
from tests.support.builders import Body, Certificate, correct, key_standing, octets, ruling, two_keys
from tests.support.claim_room import ClaimRoom
from tests.support.claims import (
    SCHEME,
    TERMS,
    MadeClaim,
    act,
    asked,
    make_pack,
    make_payer,
    payment,
    reserved,
)
from tests.support.held_back import statuses_of_one_head
from tests.support.life_builders import reissue
from tests.support.live_ledger import LiveLedger, drafted, today
from tests.support.service_room import AUTHORITY, BODY, Room
from tests.support.stores import KINDS, StoreKind

SCHEMES = (SCHEME, "SC-2")
PAYER = make_payer(schemes=SCHEMES)
SECOND = make_payer("second", number="Z000051000002", schemes=SCHEMES)
OTHER_SCHEME = make_pack(b"another scheme", pack_id="other", terms=replace(TERMS, scheme="SC-2"))
DATES = {"first_day": today() - 9, "last_day": today() + 400}
LIVE, LIVE_SECOND = make_payer("live", **DATES), make_payer("live second", number="Z000051000002", **DATES)
WAGES = make_pack(b"wages", pack_id="wages", terms=None)


@asynccontextmanager
async def opened(path: Path, kind: StoreKind | None = None, **options: Any) -> AsyncIterator[ClaimRoom]:
    async with Room(path, kind).open(**options) as room:
        yield await ClaimRoom.begin(room, PAYER, SECOND)


async def issued(claims: ClaimRoom, label: str = "p", **changes: Any) -> Certificate:
    (made,) = await claims.room.draft(label, **changes)
    assert isinstance((await claims.room.put(made))[0], int)
    return made


async def refused_asking(claims: ClaimRoom, question: wire.Asked, payer: Body = PAYER) -> str:
    with pytest.raises(Refused) as caught:
        await claims.ask(payer, question)
    return caught.value.code


async def refused_finding(claims: ClaimRoom, number: str, name: str, document: IdDocument) -> str:
    with pytest.raises(Refused) as caught:
        await find_certificate(claims.desk, number, name, document)
    return caught.value.code


async def status(claims: ClaimRoom, made: MadeClaim) -> ClaimStatus:
    return (await claim_states(claims.room.sequencer.integrator, [made.leaf]))[made.leaf].status


async def test_a_damaged_link_is_the_ledgers_own_fault(tmp_path: Path) -> None:
    """As anything unverified it was answered 401, and payers signed again what was in order."""
    async with opened(tmp_path) as claims:
        made = await claims.ask(PAYER, asked(await issued(claims), "p"))
        await claims.put(PAYER, made.submission)
        states = await claim_states(claims.room.sequencer.integrator, [made.leaf])
        assert len(await certificates_of(claims.desk, list(states.values()))) == 1
        kind, path = claims.room.kind, tmp_path / "log.db"
        kind.change(path, f"UPDATE private_index SET body = x'{'00' * 60}' WHERE purpose = {int(Purpose.LINK)}")
        with pytest.raises(Damaged, match="fsck"):
            await certificates_of(claims.desk, list(states.values()))


class TestAsking:
    async def test_what_is_taken_nobody_hears_again(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            question = asked(await issued(claims), "p")
            made = await claims.ask(PAYER, question)
            assert await claims.put(PAYER, made.submission) == [claims.room.size - 2]
            assert await refused_asking(claims, question, SECOND) == Refusal.ALREADY_CLAIMED
            assert isinstance((await claims.put(PAYER, BareSubmission(act(Kind.RELEASE, PAYER, made).entry)))[0], int)
            again = await claims.ask(SECOND, question, label="again")
            assert isinstance((await claims.put(SECOND, again.submission))[0], int)

    async def test_who_may_ask_about_what(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            made = await issued(claims)
            question = asked(made, "p")
            assert await refused_asking(claims, replace(question, pack=octets("none"))) == Refusal.PACK_UNKNOWN
            await claims.put_authority(AUTHORITY.sign(WAGES))
            assert await refused_asking(claims, replace(question, pack=WAGES.digest)) == Refusal.PACK_UNKNOWN
            assert await refused_asking(claims, replace(question, cert_key=octets("none"))) == Refusal.CERT_UNKNOWN
            other = make_payer("other", number="Z000051000003", schemes=("OTHER",))
            await claims.put_authority(AUTHORITY.sign(other.filing))
            assert await refused_asking(claims, question, other) == Refusal.PAYER_SCHEME
            assert isinstance(
                (await claims.put(BODY, BareSubmission(BODY.sign(ruling(Kind.SUSPEND, made)).entry)))[0], int
            )
            assert await refused_asking(claims, question) == Refusal.NOT_IN_FORCE

    async def test_five_wrong_documents_a_day_and_right_ones_do_not_count(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            made, other = await issued(claims), await issued(claims, "q")
            for _ in range(7):
                await claims.ask(PAYER, asked(made, "p"))
            for _ in range(5):
                assert await refused_asking(claims, asked(made, "q")) == Refusal.NOT_HOLDER
            for person in ("q", "p"):
                assert await refused_asking(claims, asked(made, person), SECOND) == Refusal.TRIES_USED
            await claims.ask(PAYER, asked(other, "q"))

    async def test_a_reissue_is_the_same_certificate(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            old = await issued(claims)
            made = await claims.ask(PAYER, asked(old, "p"))
            await claims.put(PAYER, made.submission)
            new = BODY.reissue("new", old)
            assert isinstance((await claims.room.put(new))[0], int)
            newer = BODY.reissue("newer", new)
            assert isinstance((await claims.room.put(newer))[0], int)
            assert await refused_asking(claims, asked(newer, "p"), SECOND) == Refusal.ALREADY_CLAIMED
            await claims.put_authority(AUTHORITY.sign(OTHER_SCHEME))
            question = asked(newer, "p", pack=OTHER_SCHEME.digest)
            assert await refused_asking(claims, question) == Refusal.ALREADY_CLAIMED, "its group is used up"
            assert isinstance((await claims.put(PAYER, payment(PAYER, made)))[0], int), "the reissue stands for it"

    async def test_erasing_a_certificate_takes_the_links_of_its_claims(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            certificate, other = await issued(claims), await issued(claims, "q")
            made = await claims.ask(PAYER, asked(certificate, "p"))
            second = await claims.ask(PAYER, asked(other, "q"), label="other")
            await claims.put(PAYER, made.submission, second.submission)
            found = await find_erasable(claims.room.store, claims.desk.index, certificate.secret)
            assert claims.desk.nullifiers.link_hmac(made.leaf) in found.hmacs
            assert claims.desk.nullifiers.link_hmac(second.leaf) not in found.hmacs


class TestByWhatIsPrinted:
    """An office has the certificate and the ID document, not the cert key."""

    async def test_number_name_and_document_lead_to_the_cert_key(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            made = await issued(claims)
            found = await find_certificate(claims.desk, made.face.number, made.face.name, asked(made, "p").document)
            assert found == made.issue.cert_key
            new = BODY.reissue("new", made)
            assert isinstance((await claims.room.put(new))[0], int)
            face = new.face
            assert await find_certificate(claims.desk, face.number, face.name, asked(made, "p").document) == (
                new.issue.cert_key
            )

    async def test_a_no_is_one_no_and_there_are_five_of_it(self, tmp_path: Path) -> None:
        """Whether the number exists, whose name it bears and whose document fits cannot be told apart."""
        async with opened(tmp_path) as claims:
            made = await issued(claims)
            number, name, own, other = (
                made.face.number, made.face.name, asked(made, "p").document, asked(made, "q").document,
            )  # fmt: skip
            for wrong in ((number, name, other), (number, "例外人", own), (number[:-6] + "999999", name, own)):
                said = set()
                for _ in range(5):
                    with pytest.raises(Refused) as caught:
                        await find_certificate(claims.desk, *wrong)
                    said.add((caught.value.code, caught.value.field, caught.value.text))
                assert len(said) == 1 and said.pop()[0] == Refusal.NOT_HOLDER
                assert await refused_finding(claims, *wrong) == Refusal.TRIES_USED
            assert await refused_finding(claims, number, name, own) == Refusal.TRIES_USED

    async def test_the_number_of_a_void_reissue_is_refused_by_itself(self, tmp_path: Path) -> None:
        """Not as a ledger that does not answer, which a payer waits for with all its cases; and no try is used up."""
        async with opened(tmp_path) as claims:
            await claims.put_authority(AUTHORITY.sign(replace(two_keys().filing, change=True)))
            old = await issued(claims)
            new = reissue(replace(BODY, record=SECOND_KEY), old, "new")
            assert isinstance((await claims.room.put(new))[0], int)
            await claims.put_authority(AUTHORITY.sign(key_standing(SECOND_KEY.public, void_from=claims.room.size - 2)))
            for _ in range(6):
                code = await refused_finding(claims, new.face.number, new.face.name, asked(old, "p").document)
                assert code == Refusal.NUMBER_UNANSWERED

    async def test_a_payer_asks_in_form_and_only_so_often(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            made = await issued(claims)
            face, document = made.face, asked(made, "p").document
            filing = await claims.room.sequencer.integrator.filing(PAYER.filing.number)

            async def signed(*_: Any, **__: Any) -> Any:
                return SimpleNamespace(filing=filing, read=read_body)

            payers: Any = SimpleNamespace(open=signed)  # of HTTP
            claims.desk.requesters, claims.desk.asked = payers, Budget(1e-6, 3)
            app = web.Application()
            add_claims(app, claims.desk)
            protect(app)
            async with TestClient(TestServer(app)) as client:

                async def ask(number: str, name: str) -> ClientResponse:
                    body = HolderRequest(number, name, document.type_code, document.country, document.number)
                    sent = {"data": wire.encode(body), "headers": {"Content-Type": "application/json"}}
                    return await client.post("/v1/claims/certificate", **sent)

                for number, name in (
                    ("", face.name), (face.number, ""), ("1" * 999, face.name), (face.number, "人" * 999),
                ):  # fmt: skip
                    assert (await ask(number, name)).status == 400
                for _ in range(3):
                    answer = await ask(face.number, face.name)
                    assert wire.decode(await answer.read(), HolderAnswer).cert_key == made.issue.cert_key
                full = await ask(face.number, face.name)
                assert full.status == 503 and int(full.headers["Retry-After"]) > 86_400

    async def test_tries_used_up_by_cert_key_do_not_tell_whose_number_and_name_they_are(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            made = await issued(claims)
            for _ in range(5):
                assert await refused_asking(claims, asked(made, "q")) == Refusal.NOT_HOLDER
            for name in (made.face.name, "例外人"):
                with pytest.raises(Refused) as caught:
                    await find_certificate(claims.desk, made.face.number, name, asked(made, "q").document)
                assert caught.value.code == Refusal.NOT_HOLDER


@pytest.mark.parametrize("by", ["cert key", "number"])
async def test_only_a_wrong_document_uses_up_a_try(by: str, tmp_path: Path) -> None:
    """A store that did not answer five times cost the holder the day."""
    async with opened(tmp_path) as claims:
        made = await issued(claims)
        question, store = asked(made, "p"), Stalling(claims.room.store)
        claims.desk.lookups = replace(claims.desk.lookups, store=store)  # type: ignore[arg-type]

        async def ask() -> None:
            if by == "number":
                await find_certificate(claims.desk, made.face.number, made.face.name, question.document)
            else:
                await claims.ask(PAYER, question)

        for error in (Unavailable(Text("没有应答", "store: read")), ValueError("a bug"), asyncio.CancelledError()):
            store.error = error
            for _ in range(5):
                with pytest.raises(type(error)):
                    await ask()
        store.error = None
        await ask()


async def test_an_old_copy_of_the_log_tells_a_payer_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as claims:
        filing = await claims.room.sequencer.integrator.filing(PAYER.filing.number)

        async def signed(*_: Any, **__: Any) -> Any:
            return SimpleNamespace(filing=filing)

        def stopped() -> int:
            raise Unavailable(Text("没有应答", "the log has stopped signing"), retry_after=600)

        payers: Any = SimpleNamespace(open=signed)  # of HTTP
        claims.desk.requesters, claims.desk.lookups = payers, replace(claims.desk.lookups, published=stopped)
        app = web.Application()
        add_claims(app, claims.desk)
        protect(app)
        async with TestClient(TestServer(app)) as client:
            for method, path in (("POST", "certificate"), ("POST", "nullifiers"), ("GET", "cases")):
                answer = await client.request(method, f"/v1/claims/{path}")
                assert (answer.status, answer.headers["Retry-After"]) == (503, "600")


class Stalling:
    """A store whose private index raises `error`, while there is one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.error: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]:
        if self.error is not None:
            raise self.error
        found: dict[bytes, bytes] = await self._inner.index(hmacs)
        return found


class TestAdmission:
    async def test_what_comes_with_a_claim_is_what_was_signed(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            question = asked(await issued(claims), "p")
            made = await claims.ask(PAYER, question)
            plain = made.submission
            salted = replace(made.holder, salt=octets("other", 16))
            elsewhere = replace(made.holder, cert_key=octets("other"))
            late = await claims.ask(PAYER, question, label="late")
            assert late.voucher != made.voucher
            for wrong, code in [
                (BareSubmission(plain.entry), Refusal.OPENING_MISSING),
                (replace(plain, voucher=b""), Refusal.OPENING_CLAIM),
                (replace(plain, voucher=late.voucher), Refusal.OPENING_CLAIM),
                (replace(plain, holder=salted), Refusal.OPENING_CLAIM),
                (replace(plain, holder=elsewhere), Refusal.OPENING_CLAIM),
            ]:
                assert await claims.put(PAYER, wrong) == [code]
            foreign = await claims.ask(SECOND, question, label="foreign")
            own = replace(foreign, statement=late.statement)
            assert await claims.put(PAYER, own.submission) == [Refusal.OPENING_CLAIM], "another payer's voucher"
            assert isinstance((await claims.put(PAYER, plain))[0], int)
            released = act(Kind.RELEASE, PAYER, made).entry
            assert await claims.put(PAYER, replace(plain, entry=released)) == [Refusal.OPENING_UNWANTED]
            assert await claims.put(PAYER, BareSubmission(payment(PAYER, made).entry)) == [Refusal.OPENING_MISSING]
            wrong = replace(payment(PAYER, made), holder=salted)
            assert await claims.put(PAYER, wrong) == [Refusal.OPENING_CLAIM]
            assert await claims.put(PAYER, payment(PAYER, replace(made, statement=BODY.sign(WAGES)))) == [
                Refusal.CLAIM_UNKNOWN
            ]

    async def test_a_certificate_that_moved_is_asked_about_again(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            certificate = await issued(claims)
            made = await claims.ask(PAYER, asked(certificate, "p"))
            outcomes = await claims.examined(PAYER, made.submission)
            integrator = claims.room.sequencer.integrator
            # What the authority corrects needs openings; here the fold alone is asked to move it.
            moved = AUTHORITY.sign(correct(certificate, track=octets("elsewhere", 16)))
            batch = await integrator.begin([moved], integrator.head.time + 1)  # type: ignore[union-attr]
            batch.add(authenticate_authority(moved, AUTHORITY.genesis))
            await integrator.commit(await batch.finish())
            (outcome,) = await claims.room.sequencer.put(outcomes)  # type: ignore[arg-type]
            assert isinstance(outcome, Refused) and outcome.code == Refusal.CLAIM_OUTDATED

    async def test_a_higher_grade_that_is_claimed_meanwhile(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as claims:
            low = await issued(claims, "p", grade=3)
            high = BODY.certificate("high", grade=5, person="p", track=low.issue.track_id)
            assert isinstance((await claims.room.put(high))[0], int)
            first = await claims.ask(PAYER, asked(low, "p"), label="low")
            await claims.put(PAYER, first.submission)
            second = await claims.ask(PAYER, asked(high, "p"), label="high")
            released = BareSubmission(act(Kind.RELEASE, PAYER, first).entry)
            assert isinstance((await claims.put(PAYER, released))[0], int)
            again = await claims.ask(SECOND, asked(low, "p"), label="low again")
            assert isinstance((await claims.put(PAYER, second.submission))[0], int)
            assert await claims.put(SECOND, again.submission) == [Refusal.ALREADY_CLAIMED], "its nullifiers are free"


class TestPayment:
    async def test_none_after_the_revocations_index(self, tmp_path: Path) -> None:
        """A run of payments with revocations among them, all in one batch and in two."""
        async with opened(tmp_path, limit=64) as claims:
            certificates = [await issued(claims, f"p{at}") for at in range(8)]
            made = [await claims.ask(PAYER, asked(one, f"p{at}"), label=f"{at}") for at, one in enumerate(certificates)]
            assert all(isinstance(one, int) for one in await claims.put(PAYER, *(one.submission for one in made)))
            run = await claims.examined(PAYER, *(payment(PAYER, one) for one in made))
            kinds = (Kind.REVOKE, Kind.SUSPEND)
            stops = [BareSubmission(BODY.sign(ruling(kinds[at % 2], one)).entry) for at, one in enumerate(certificates)]
            rulings = await claims.examined(BODY, *stops)
            order = [*run[:3], *rulings[2:6], *run[3:]]
            answers = await claims.room.sequencer.put(order)  # type: ignore[arg-type]
            outcomes = [one.code if isinstance(one, Refused) else "logged" for one in answers]
            in_time, stopped, behind = outcomes[:3], outcomes[3:7], outcomes[7:]
            assert in_time == ["logged"] * 3 and stopped == ["logged"] * 4
            assert behind == [Refusal.NOT_IN_FORCE] * 3 + ["logged"] * 2
            assert [await status(claims, one) for one in made[2:6]] == [ClaimStatus.PAID] + [ClaimStatus.RESERVED] * 3
            restored = BareSubmission(BODY.sign(ruling(Kind.RESTORE, certificates[3])).entry)
            assert isinstance((await claims.put(BODY, restored))[0], int)
            assert await claims.put(PAYER, payment(PAYER, made[4])) == [Refusal.NOT_IN_FORCE]
            assert isinstance((await claims.put(PAYER, payment(PAYER, made[3])))[0], int)


@pytest.mark.parametrize("name", KINDS)
async def test_of_many_duplicates_at_once_one_is_reserved(name: str, tmp_path: Path) -> None:
    """A slice of scripts/campaigns/claims.py: duplicates of each key, by two payers, in batches of any cut."""
    kind = KINDS[name]()
    async with opened(tmp_path, kind, limit=16, queue=1000) as claims:
        certificates = [await issued(claims, f"k{at}") for at in range(4)]
        waiting = []
        for at, one in enumerate(certificates):
            for copy in range(12):
                payer = (PAYER, SECOND)[copy % 2]
                made = await claims.ask(payer, asked(one, f"k{at}"), label=f"{at} {copy}")
                waiting += [(at, *await claims.examined(payer, made.submission))]
        waiting.sort(key=lambda item: hash(item[1].statement.entry))  # type: ignore[union-attr]
        answers = await claims.room.sequencer.put([one for _, one in waiting])  # type: ignore[misc]
        won = sorted(at for (at, _), answer in zip(waiting, answers, strict=True) if isinstance(answer, int))
        assert won == [0, 1, 2, 3]
        assert {answer.code for answer in answers if isinstance(answer, Refused)} == {Refusal.ALREADY_CLAIMED}
        again = await Integrator.open(claims.room.store)
        assert again.map.root == claims.room.sequencer.integrator.map.root


@pytest.fixture(scope="module")
def live_claims(live: LiveLedger) -> LiveLedger:
    async def begin() -> None:
        for payer in (LIVE, LIVE_SECOND):
            await live.file(payer)
        async with live.client() as client:
            receipt = await client.submit_authority(live.authority.sign(make_pack()).entry)
        assert isinstance(receipt.answers[0], Logged)

    asyncio.run(begin())
    return live


def code(outcome: Any) -> str:
    return "logged" if isinstance(outcome, Logged) else outcome.code


async def certified(live: LiveLedger, body: Body, *persons: str) -> list[Certificate]:
    async with live.client(body) as client:
        made = await drafted(client, body, *persons)
        receipt = await client.submit([one.submission() for one in made])
    assert all(isinstance(answer, Logged) for answer in receipt.answers)
    return made


class TestOverHttp:
    async def test_reserved_once_paid_and_clawed_back(self, live_claims: LiveLedger, home: Body) -> None:
        (certificate,) = await certified(live_claims, home, "claims one")
        question = asked(certificate, "claims one", day=today())
        async with live_claims.client(LIVE) as payer, live_claims.client(LIVE_SECOND) as second:
            late = await reserved(second, LIVE_SECOND, question, day=today(), label="late")
            made = await reserved(payer, LIVE, question, day=today(), label="one")
            receipt = await payer.submit([made.submission])
            assert code(receipt.answers[0]) == "logged"
            live_claims.check(receipt, [made.statement.entry])
            again = await payer.submit([made.submission])
            assert again.answers[0].index == receipt.answers[0].index  # type: ignore[union-attr]
            with pytest.raises(Refused, match="ALREADY_CLAIMED"):
                await second.nullifiers(question)
            assert code((await second.submit([late.submission])).answers[0]) == Refusal.ALREADY_CLAIMED
            for statement, expected in [
                (payment(LIVE, made, day=today()), "logged"),
                (BareSubmission(act(Kind.RELEASE, LIVE, made, day=today()).entry), Refusal.CLAIM_NOT_RESERVED),
                (BareSubmission(act(Kind.CLAW_BACK, LIVE, made, day=today(), reason=Reason.FRAUD).entry), "logged"),
            ]:
                assert code((await payer.submit([statement])).answers[0]) == expected

    async def test_cases_are_the_payers_own_and_end_with_the_claim(self, live_claims: LiveLedger, home: Body) -> None:
        persons = [f"case {at}" for at in range(4)]
        certificates = await certified(live_claims, home, *persons)
        async with live_claims.client(LIVE) as payer, live_claims.client(home) as body:
            questions = [asked(one, who, day=today()) for one, who in zip(certificates, persons, strict=True)]
            made = [
                await reserved(payer, LIVE, one, day=today(), label=f"case {at}") for at, one in enumerate(questions)
            ]
            await payer.submit([one.submission for one in made])
            await payer.submit([payment(LIVE, made[1], day=today())])
            before = await payer.cases()
            revoked, suspended = (
                ruling(Kind.REVOKE, certificates[1], day=today()),
                ruling(Kind.SUSPEND, certificates[2], day=today()),
            )
            statements = [home.sign(revoked), home.sign(suspended)]
            await body.submit([BareSubmission(one.entry) for one in statements])
            assert isinstance(
                (await body.submit([home.reissue("case new", certificates[3]).submission()])).answers[0], Logged
            )
            fresh = [case for case in await payer.cases() if case not in before]
            assert [(case.claim, case.status, case.certificate) for case in fresh] == [
                (made[1].leaf, "paid", "revoked"),
                (made[2].leaf, "reserved", "suspended"),
            ]
            assert [case.event_leaf for case in fresh] == [one.leaf_hash for one in statements]
            recovered = act(Kind.CLAW_BACK, LIVE, made[1], day=today(), reason=Reason.AUTHORITY_DECISION)
            await payer.submit([BareSubmission(recovered.entry)])
            assert [case.claim for case in await payer.cases() if case not in before] == [made[2].leaf]
        async with live_claims.client(LIVE_SECOND) as second:
            assert not {case.claim for case in await second.cases()} & {one.leaf for one in made}

    async def test_only_a_payer_asks(self, live_claims: LiveLedger, home: Body) -> None:
        (certificate,) = await certified(live_claims, home, "asks")
        async with live_claims.client(home) as body:
            with pytest.raises(Refused, match=Refusal.NOT_PAYER):
                await body.nullifiers(asked(certificate, "asks", day=today()))
            with pytest.raises(Refused, match=Refusal.NOT_PAYER):
                await body.cases()
            face, document = certificate.face, asked(certificate, "asks").document
            with pytest.raises(Refused, match=Refusal.NOT_PAYER):
                await body.holders_certificate(face.number, face.name, document)
        async with live_claims.client(LIVE) as payer:
            found = await payer.holders_certificate(face.number, face.name, document)
            assert found == certificate.issue.cert_key
        for path, method in (
            ("/v1/claims/cases", "GET"), ("/v1/claims/nullifiers", "POST"), ("/v1/claims/certificate", "POST"),
        ):  # fmt: skip
            status, _, raw = await live_claims.fetch(path, method=method, data=b"{}" if method == "POST" else None)
            assert status in (401, 415) and json.loads(raw)["error"]

    async def test_a_question_without_a_body_counts_once_and_is_signed_for_none(self, live_claims: LiveLedger) -> None:
        path, kept = "/v1/claims/cases", {"Content-Type": "application/json", "Idempotency-Key": "x"}

        async def ask(body: bytes, *, times: int) -> list[int]:
            headers = kept | sign_request(
                "GET",
                live_claims.url + path,
                kept,
                body,
                signer=LIVE.request,
                now_s=int(time.time()),
                nonce=urandom(16),
            )
            return [(await live_claims.fetch(path, headers=headers))[0] for _ in range(times)]

        assert await ask(b"", times=2) == [200, 401]
        assert await ask(b"{}", times=1) == [401]

    @pytest.mark.parametrize("path", ["/v1/claims/certificate", "/v1/claims/nullifiers"])
    async def test_a_head_counts_with_its_own_body_and_once(self, live_claims: LiveLedger, path: str) -> None:
        assert await statuses_of_one_head(live_claims.url, path, LIVE, b"{}") == [401, 400, 401]

    async def test_packs_are_found_by_digest_and_publisher(self, live_claims: LiveLedger, home: Body) -> None:
        own = home.sign(make_pack(b"wages", pack_id="wages", terms=None))
        async with live_claims.client(home) as body:
            assert code((await body.submit([BareSubmission(own.entry)])).answers[0]) == "logged"
            found = await body.pack(WAGES.digest, home.filing.number)
            assert found is not None and found[0] == own.entry
            assert await body.pack(WAGES.digest) is None, "not the authority's"
            published = await body.pack(make_pack().digest)
            assert published is not None and parse_statement(published[0]).body == make_pack()
        for words in ("xyz", "0" * 63, f"{'0' * 64}?by={'Y' * 99}", f"{'0' * 64}?by=%00"):
            assert (await live_claims.fetch(f"/v1/packs/{words}"))[0] == 404

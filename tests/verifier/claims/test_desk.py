"""A payer's claims: no crash loses or doubles one, and nothing is believed that the log does not prove."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.kinds import Kind, Reason
from ledger.text import Text
from ledger.wire import AnySubmission, BareSubmission, Receipt
from tests.support.builders import octets, ruling
from tests.support.live_ledger import today
from tests.support.paying import Paying
from verifier.claims.config import JOURNAL_FILE
from verifier.claims.desk import Outcome
from verifier.claims.journal import Journal


class Between:
    """Stands between a payer and its ledger. `lose`: the request is lost, or only its answer; `spoil` the answer."""

    def __init__(self, inner: Any, lose: str = "", spoil: str = "", silent: Sequence[bytes] = ()) -> None:
        self._inner, self._lose, self._spoil = inner, lose, spoil
        self._silent = silent  # cert keys about which no question is answered
        self.asked = self.looked = 0

    async def holders_certificate(self, number: str, name: str, document: Any) -> bytes:
        self.looked += 1
        if self._lose == "numbers":
            raise Unavailable(Text("没有应答", "silent"))
        if self._lose == "number":
            raise Refused("NOT_HOLDER", "document", Text("证件不符", "another document"))
        found: bytes = await self._inner.holders_certificate(number, name, document)
        return found

    async def nullifiers(self, asked: Any) -> Any:
        self.asked += 1
        if asked.cert_key in self._silent:
            raise Unavailable(Text("没有应答", "silent"))
        return await self._inner.nullifiers(asked)

    async def cases(self) -> Any:
        return await self._inner.cases()

    async def submit(self, submissions: Sequence[AnySubmission]) -> Receipt:
        if self._lose == "request":
            raise Unavailable(Text("没有应答", "lost"))
        receipt: Receipt = await self._inner.submit(submissions)
        if self._lose == "answer":
            raise Unavailable(Text("没有应答", "lost"))
        answer: Any = receipt.answers[0]
        if self._spoil == "index":
            return replace(receipt, answers=(replace(answer, index=answer.index - 1), *receipt.answers[1:]))
        if self._spoil == "count":
            return replace(receipt, answers=receipt.answers[1:])
        return receipt


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [one.refused.code if one.refused else "logged" for one in outcomes]


async def test_from_reservation_to_claw_back(paying: Paying) -> None:
    await paying.certify("desk a", "desk b")
    async with paying.payer() as payer:
        cases = [paying.application(label) for label in ("desk a", "desk b")]
        first = await payer.reserve(cases)
        assert codes(first) == ["logged", "logged"]
        assert await payer.reserve(cases) == first, "the same cases again are the same claims"
        paid = await payer.pay(["desk a"])
        assert codes(paid) == ["logged"] and await payer.pay(["desk a"]) == paid
        assert codes(await payer.release(["desk a"], Reason.OTHER)) == ["CLAIM_NOT_RESERVED"]
        assert codes(await payer.release(["desk b"], Reason.HOLDER_REQUEST)) == ["logged"]
        assert codes(await payer.claw_back(["desk a"], Reason.DECIDED_IN_ERROR)) == ["logged"]
        again = await payer.reserve(cases)
        assert codes(again) == ["logged", "logged"], "what was given back can be claimed anew"
        assert {one.index for one in again}.isdisjoint(one.index for one in first)
        assert codes(await payer.pay(["desk b", "unknown"])) == ["logged", "NO_CLAIM"]


async def test_a_reference_stands_for_one_case(paying: Paying) -> None:
    """Else another person's case would get the index of the first, and be paid without a claim of its own."""
    await paying.certify("desk one", "desk two")
    one = paying.application("desk one", reference="2026-7")
    async with paying.payer() as payer:
        first = await payer.reserve([one])
        others = (
            paying.application("desk two", reference="2026-7"),
            replace(one, amount=one.amount + 1),
            replace(one, decision=octets("another decision")),
            replace(one, year=one.year - 1),
        )
        for other in others:
            assert codes(await payer.reserve([other])) == ["REFERENCE_USED"]
        assert await payer.reserve([replace(one, last_day=one.last_day + 1)]) == first, "the same case is asked again"
        assert codes(await payer.release(["2026-7"], Reason.OTHER)) == ["logged"]
        assert codes(await payer.reserve([others[0]])) == ["logged"], "a case that has ended may be decided anew"


@pytest.mark.parametrize(("lose", "code", "looked"), [("", "REFERENCE_USED", 1), ("answer", "logged", 0)])
async def test_what_became_of_a_number_does_not_hide_a_claim(paying: Paying, lose: str, code: str, looked: int) -> None:
    """A claim without an answer is sent again as it was signed; of one that is in the log is said that there is one."""
    label = f"desk printed {lose}"
    await paying.certify(label)
    printed = replace(paying.application(label), cert_key=b"", printed=paying.printed(label))
    async with paying.payer(lambda inner: Between(inner, lose)) as payer:
        if lose:
            with pytest.raises(Unavailable):
                await payer.reserve([printed])
        else:
            assert codes(await payer.reserve([printed])) == ["logged"]
    gone = Between(None, "number")
    async with paying.payer(lambda inner: gone.__init__(inner, "number") or gone) as payer:  # type: ignore[misc]
        assert codes(await payer.reserve([printed])) == [code] and gone.looked == looked
        assert codes(await payer.reserve([replace(printed, reference=f"{label} anew")])) == ["NOT_HOLDER"]


async def test_another_office_hears_only_that_it_is_claimed(paying: Paying) -> None:
    await paying.certify("desk c")
    async with paying.payer() as payer:
        await payer.reserve([paying.application("desk c")])
        (outcome,) = await payer.reserve([paying.application("desk c", reference="the same right again")])
        assert outcome.refused is not None and outcome.refused.code == "ALREADY_CLAIMED"


@pytest.mark.parametrize("lose", ["request", "answer"])
async def test_what_got_no_answer_is_sent_again_as_it_was(paying: Paying, lose: str) -> None:
    label = f"desk {lose}"
    await paying.certify(label)
    case = paying.application(label)
    async with paying.payer(lambda inner: Between(inner, lose)) as payer:
        with pytest.raises(Unavailable):
            await payer.reserve([case])
    between = Between(None)
    async with paying.payer(lambda inner: between.__init__(inner) or between) as payer:  # type: ignore[misc]
        (outcome,) = await payer.reserve([case])
        assert outcome.index is not None and between.asked == 0, "not signed anew"
    async with paying.payer(lambda inner: Between(inner, lose)) as payer:
        with pytest.raises(Unavailable):
            await payer.pay([label])
    async with paying.payer() as payer:
        assert codes(await payer.pay([label])) == ["logged"]
    with closing(Journal(paying.folder / JOURNAL_FILE)) as journal:
        kept = journal.last(label)
        assert kept is not None and kept.index == outcome.index
        assert [act.kind for act in journal.acts(kept.leaf)] == [Kind.PAY]


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize("first", ["release", "pay"])
async def test_a_claim_without_an_answer_is_no_missing_claim(paying: Paying, first: str, lose: str) -> None:
    """Told that there was none, nobody would free the right, which stays reserved for up to 90 days."""
    label = f"desk {first} {lose}"
    await paying.certify(label)
    async with paying.payer(lambda inner: Between(inner, lose)) as payer:
        with pytest.raises(Unavailable):
            await payer.reserve([paying.application(label)])
        with pytest.raises(Unavailable):
            await payer.release([label], Reason.HOLDER_REQUEST)
    async with paying.payer() as payer:
        if first == "pay":
            assert codes(await payer.pay([label, "unknown"])) == ["logged", "NO_CLAIM"]
        else:
            assert codes(await payer.release([label], Reason.HOLDER_REQUEST)) == ["logged"]
            elsewhere = paying.application(label, reference=f"{label} elsewhere")
            assert codes(await payer.reserve([elsewhere])) == ["logged"]


async def test_a_claim_that_is_refused_after_all_is_none(paying: Paying) -> None:
    await paying.certify("desk late")
    async with paying.payer(lambda inner: Between(inner, "request")) as payer:
        with pytest.raises(Unavailable):
            await payer.reserve([paying.application("desk late")])
    async with paying.payer() as payer:
        await payer.reserve([paying.application("desk late", reference="faster")])
        assert codes(await payer.pay(["desk late", "faster"])) == ["NO_CLAIM", "logged"]


@pytest.mark.parametrize("spoil", ["index", "count"])
async def test_a_receipt_that_does_not_hold_is_no_answer(paying: Paying, spoil: str) -> None:
    label = f"desk spoilt {spoil}"
    await paying.certify(label)
    async with paying.payer(lambda inner: Between(inner, spoil=spoil)) as payer:
        with pytest.raises(Unverified):
            await payer.reserve([paying.application(label)])
    with closing(Journal(paying.folder / JOURNAL_FILE)) as journal:
        kept = journal.last(label)
        assert kept is not None and not kept.answered


async def test_a_clock_far_off_believes_nothing(paying: Paying) -> None:
    await paying.certify("desk clock")
    async with paying.payer(days=1) as payer:
        with pytest.raises(Unverified, match="clock"):
            await payer.reserve([paying.application("desk clock")])


async def test_no_payment_and_a_case_when_the_certificate_is_revoked(paying: Paying) -> None:
    await paying.certify("desk r", "desk s")
    async with paying.payer() as payer:
        await payer.reserve([paying.application("desk r"), paying.application("desk s")])
        await payer.pay(["desk s"])
        for label in ("desk r", "desk s"):
            stated = paying.body.sign(ruling(Kind.REVOKE, paying.certificates[label], day=today()))
            async with paying.live.client(paying.body) as client:
                await client.submit([BareSubmission(stated.entry)])
        assert codes(await payer.pay(["desk r"])) == ["NOT_IN_FORCE"]
        found = {case.reference: (case.said.status, case.said.certificate) for case in await payer.cases()}
        assert found.items() >= {"desk r": ("reserved", "revoked"), "desk s": ("paid", "revoked")}.items()
        assert codes(await payer.reserve([paying.application("desk r", reference="once more")])) == ["NOT_IN_FORCE"]


async def test_somebody_elses_document(paying: Paying) -> None:
    await paying.certify("desk d")
    async with paying.payer() as payer:
        (outcome,) = await payer.reserve([paying.application("desk d", person="somebody else")])
        assert outcome.refused is not None and outcome.refused.code == "NOT_HOLDER"
        unknown = replace(paying.application("desk d", reference="u"), cert_key=octets("nothing"))
        assert codes(await payer.reserve([unknown])) == ["CERT_UNKNOWN"]


async def test_used_up_tries_hold_up_nobody_else(paying: Paying) -> None:
    await paying.certify("tries a", "tries b", "tries c")
    wrong = paying.application("tries b", person="somebody else")
    async with paying.payer() as payer:
        for _ in range(5):
            assert codes(await payer.reserve([wrong])) == ["NOT_HOLDER"]
        sheet = [paying.application("tries a"), wrong, paying.application("tries c")]
        assert codes(await payer.reserve(sheet)) == ["logged", "TRIES_USED", "logged"]


async def test_a_case_without_an_answer_holds_up_nobody_else(paying: Paying) -> None:
    labels = [f"silent {at}" for at in range(9)]
    await paying.certify(*labels)
    cases = [paying.application(label) for label in labels]
    silent = [cases[at].cert_key for at in (1, 4, 5, 6)]
    between = Between(None)

    def wrap(inner: Any) -> Between:
        between.__init__(inner, silent=silent)  # type: ignore[misc]
        return between

    async with paying.payer(wrap) as payer:
        said = codes(await payer.reserve(cases))
        expected = ["logged", "NO_ANSWER", "logged", "logged", *["NO_ANSWER"] * 5]
        assert said == expected and between.asked == 7, "three in a row: it is the ledger, and the rest is not asked"
        with pytest.raises(Unavailable, match="silent"):
            await payer.reserve([cases[1], cases[4]])
    async with paying.payer() as payer:
        assert codes(await payer.reserve(cases)) == ["logged"] * 9


async def test_without_an_answer_to_its_number_a_case_is_not_taken_for_another(paying: Paying) -> None:
    await paying.certify("numbers a", "numbers b")
    printed = [
        replace(paying.application(one), cert_key=b"", printed=paying.printed(one))
        for one in ("numbers a", "numbers b")
    ]
    async with paying.payer() as payer:
        assert codes(await payer.reserve(printed[:1])) == ["logged"]
    async with paying.payer(lambda inner: Between(inner, "numbers")) as payer:
        said = await payer.reserve([*printed, paying.application("numbers b", reference="by key")])
        assert codes(said) == ["NO_ANSWER", "NO_ANSWER", "logged"]


def test_one_process_has_the_journal(paying: Paying) -> None:
    with closing(Journal(paying.folder / JOURNAL_FILE)), pytest.raises(Refused, match="JOURNAL_IN_USE"):
        Journal(paying.folder / JOURNAL_FILE)

"""What payers ask a running ledger, and what it lets them do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.errors import Refused
from ledger.records.kinds import Kind
from ledger.records.refusals import Refusal
from ledger.wire import BareSubmission, Logged
from tests.support.builders import Body
from tests.support.claims import act, asked, make_pack, make_payer, payment, reserved
from tests.support.live_ledger import LiveLedger, drafted, today

PAYER = make_payer("live", first_day=today() - 9, last_day=today() + 400)
SECOND = make_payer("second", number="Z000051000002", first_day=today() - 9, last_day=today() + 400)


@pytest.fixture(scope="module")
def claims(live: LiveLedger) -> LiveLedger:
    async def begin() -> None:
        for payer in (PAYER, SECOND):
            await live.file(payer)
        async with live.client() as client:
            receipt = await client.submit_authority(live.authority.sign(make_pack()).entry)
        assert isinstance(receipt.answers[0], Logged)

    asyncio.run(begin())
    return live


def code(outcome: Any) -> str:
    return "logged" if isinstance(outcome, Logged) else outcome.code


async def test_a_claim_is_reserved_once_and_paid(claims: LiveLedger, home: Body) -> None:
    async with claims.client(home) as client:
        (certificate,) = await drafted(client, home, "claims one")
        await client.submit([certificate.submission()])
    question = asked(certificate, "claims one", day=today())
    async with claims.client(PAYER) as payer, claims.client(SECOND) as second:
        _, late = await reserved(second, SECOND, question, day=today(), label="late")
        made, submission = await reserved(payer, PAYER, question, day=today(), label="one")
        receipt = await payer.submit([submission])
        assert code(receipt.answers[0]) == "logged"
        claims.check(receipt, [submission.entry])
        with pytest.raises(Refused, match="ALREADY_CLAIMED"):
            await second.nullifiers(question)
        assert code((await second.submit([late])).answers[0]) == Refusal.ALREADY_CLAIMED
        assert code((await payer.submit([payment(PAYER, made, day=today())])).answers[0]) == "logged"
        again = [BareSubmission(act(Kind.RELEASE, PAYER, made, day=today()).entry)]
        assert code((await payer.submit(again)).answers[0]) == Refusal.CLAIM_NOT_RESERVED
        assert code((await second.submit([payment(SECOND, made, day=today())])).answers[0]) == Refusal.CLAIM_UNKNOWN

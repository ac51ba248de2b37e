"""A payer asks whether a benefit is free, of a real ledger; nothing is left behind."""

from __future__ import annotations

import pytest

from ledger.records.refusals import Refusal
from tests.support.live_ledger import PASSPHRASE
from tests.support.paying import Paying
from verifier.claims.asking import open_asking
from verifier.claims.config import PASSPHRASE as VARIABLE


async def test_free_then_claimed_and_only_for_the_holder(paying: Paying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE.decode())
    await paying.certify("asking")
    case, other = paying.application("asking"), paying.application("asking", person="somebody else")
    async with open_asking(paying.folder, None) as asking:
        assert await asking.standing(case.question) is None
        refused = await asking.standing(other.question)
        assert refused is not None and refused.code == Refusal.NOT_HOLDER
        assert await asking.standing(case.question) is None, "asking reserves nothing"
        async with paying.payer() as payer:
            assert (await payer.reserve([case]))[0].index is not None
        refused = await asking.standing(case.question)
        assert refused is not None and refused.code == Refusal.ALREADY_CLAIMED

"""Whose request it is: the address that it was signed for, as an operator may write it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.kinds import FilingStatus, KeyStatus
from ledger.records.refusals import Refusal
from ledger.records.state import FilingState, KeyUse
from ledger.request_signing import NonceMemory, sign_request
from ledger.service.requester import Requesters, check_public_url
from ledger.tlog.keys import kid
from tests.support.live_ledger import live_body

HOME = live_body("requester")
NUMBER, KEY = HOME.filing.number, HOME.request.public
BODY = b"{}"


async def filing(_number: str) -> FilingState:
    use, nothing = KeyUse(KEY, KeyStatus.LIVE, 0), bytes(32)
    return FilingState(FilingStatus.ACTIVE, HOME.filing, 1, nothing, 1, nothing, 1, 0, nothing, (), (use,))


def signed_for(base: str, path: str, body: bytes = BODY) -> Any:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "x"}
    now = int(time.time())
    headers |= sign_request("POST", base + path, headers, body, signer=HOME.request, now_s=now, nonce=bytes(16))
    return make_mocked_request("POST", path, headers)


@pytest.mark.parametrize(
    "written", ["https://log.example.org", "https://log.example.org/", "https://LOG.example.org:443/"]
)
async def test_a_slash_at_the_end_of_the_address_changes_nothing(written: str) -> None:
    keys = {kid(KEY): (NUMBER, KEY)}
    check_public_url(written)
    requesters = Requesters(written, keys, filing, NonceMemory(not_before_s=0))
    found = await requesters.open(signed_for("https://log.example.org", "/v1/tracks"))
    assert found.filing.terms.number == NUMBER
    with pytest.raises(Unverified):
        await requesters.open(signed_for("https://other.example.org", "/v1/tracks"))


@pytest.mark.parametrize("url", ["log.example.org", "https://", "https://a b", "ftp://a", "https://a/?x", "https://用"])
def test_what_nobody_can_sign_for_is_no_address(url: str) -> None:
    with pytest.raises(Malformed, match="public_url"):
        check_public_url(url)


@pytest.mark.parametrize("change", ["key", "filing", "forgotten"])
async def test_a_key_that_was_revoked_while_the_body_came_does_nothing_any_more(change: str) -> None:
    now = await filing(NUMBER)
    asked = list[int]()

    async def changing(_number: str) -> FilingState:
        asked.append(1)
        if len(asked) == 1:
            return now
        if change == "filing":
            return replace(now, status=FilingStatus.CANCELLED)
        return replace(now, request_keys=(KeyUse(KEY, KeyStatus.RETIRED, 5),))

    keys = {kid(KEY): (NUMBER, KEY)}
    requesters = Requesters("https://log.example.org", keys, changing, NonceMemory(not_before_s=0))
    request = signed_for("https://log.example.org", "/v1/tracks", b"")
    sender = await requesters.open(request)
    if change == "forgotten":  # as a front does, when it learns of a change
        keys.clear()
    with pytest.raises(Refused) as refusal:
        await sender.accept_empty()
    assert refusal.value.code == (Refusal.FILING_NOT_ACTIVE if change == "filing" else Refusal.KEY_NOT_LIVE)

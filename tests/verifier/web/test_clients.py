"""Who a client is, and how much each may ask."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ledger.errors import Unavailable
from verifier.web.clients import Allowance, client_of


class Transport:
    def __init__(self, peer: object) -> None:
        self.peer = peer

    def get_extra_info(self, name: str) -> object:
        return self.peer if name == "peername" else None


def request(peer: object, *forwarded: str) -> web.Request:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    return make_mocked_request("GET", "/", CIMultiDict(headers), transport=Transport(peer))  # type: ignore[arg-type]


def test_without_a_proxy_the_header_is_the_senders_own_word() -> None:
    assert client_of(request(("192.0.2.7", 1), "198.51.100.1"), behind_proxy=False) == "192.0.2.7"
    assert client_of(request(("2001:db8:1:2::3", 1, 0, 0)), behind_proxy=False) == "2001:db8:1::/48"
    assert client_of(request(("::ffff:192.0.2.7", 1, 0, 0)), behind_proxy=False) == "192.0.2.7"
    assert client_of(request(""), behind_proxy=False) == ""


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (("198.51.100.1",), "198.51.100.1"),
        (("203.0.113.9, 198.51.100.1",), "198.51.100.1"),
        (("203.0.113.9", "198.51.100.1"), "198.51.100.1"),
        (("198.51.100.1, nonsense",), ""),
        ((), ""),
        (("2001:db8:1:2::3",), "2001:db8:1::/48"),
    ],
)
def test_behind_a_proxy_only_what_it_wrote_itself_counts(forwarded: tuple[str, ...], client: str) -> None:
    assert client_of(request(("10.0.0.1", 1), *forwarded), behind_proxy=True) == client


def test_each_client_has_an_allowance_of_its_own() -> None:
    allowance = Allowance(per_minute=6, burst=3)
    for _ in range(3):
        allowance.take("a", 100.0)
    with pytest.raises(Unavailable) as waiting:
        allowance.take("a", 100.0)
    assert waiting.value.retry_after == 11 and waiting.value.text is not None
    allowance.take("b", 100.0)
    allowance.take("a", 110.1)
    with pytest.raises(Unavailable):
        allowance.take("a", 110.2)
    allowance.give_back("a", 110.2)
    allowance.take("a", 110.2)

"""Who a client is, and how much each may ask."""

from __future__ import annotations

import contextlib
import ipaddress
import random
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

import verifier
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


def test_a_thousand_forged_chains_are_one_client() -> None:
    """Whatever a sender writes of itself, in however many headers, it stays under one limit."""
    draw = random.Random(9)
    pieces = [
        "203.0.113.9",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "[2001:db8::1]:443",
        "for=192.0.2.1",
        "unknown",
        "",
        "a b",
        '"',
    ]
    for proxied, peer in ((True, "10.0.0.1"), (False, "198.51.100.1")):
        allowance, let_in = Allowance(per_minute=1, burst=5), 0
        for _ in range(1_000):
            forged = [", ".join(draw.choices(pieces, k=draw.randrange(1, 9))) for _ in range(draw.randrange(4))]
            *before, last = forged or [""]
            said = [*before, f"{last}, 198.51.100.1" if last else "198.51.100.1"] if proxied else forged
            others = [
                (name, draw.choice(pieces)) for name in ("Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP")
            ]
            headers = CIMultiDict([*others, *(("X-Forwarded-For", value) for value in said)])
            asked = make_mocked_request("GET", "/", headers, transport=Transport((peer, 1)))  # type: ignore[arg-type]
            client = client_of(asked, behind_proxy=proxied)
            assert client == "198.51.100.1"
            with contextlib.suppress(Unavailable):
                allowance.take(client, 100.0)
                let_in += 1
        assert let_in == 5


def test_addresses_of_one_network_are_one_client() -> None:
    draw = random.Random(9)
    allowance, let_in = Allowance(per_minute=1, burst=5), 0
    for _ in range(1_000):
        address = str(ipaddress.IPv6Address((0x20010DB80007 << 80) + draw.getrandbits(80)))
        with contextlib.suppress(Unavailable):
            allowance.take(client_of(request(("10.0.0.1", 1), address), behind_proxy=True), 100.0)
            let_in += 1
    assert let_in == 5


def test_nothing_else_reads_who_asks() -> None:
    """Every limit gets its client here: no other module of the verifier knows the headers or the peer."""
    marks = ("X-Forwarded", "Forwarded", "X-Real-IP", "peername", "request.remote")
    root = Path(verifier.__file__).parent
    found = [path for path in root.rglob("*.py") if any(mark in path.read_text("utf-8") for mark in marks)]
    assert [path.relative_to(root).as_posix() for path in found] == ["web/clients.py"]

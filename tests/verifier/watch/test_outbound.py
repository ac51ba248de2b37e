"""Nobody's webhook reaches this machine, its network or the cloud's metadata."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from yarl import URL

from ledger.errors import Refused, Unavailable
from tests.support.inward import answers, urls
from verifier.watch.outbound import Outbound, check_url, is_public

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.170", "192.0.2.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::", "2001:0:7f00:1::", "100::1", "x", "",
    "fec0::1", "feff::a00:1", "3fff::1", "4000::1", "5f00::1", "192.0.0.9", "192.88.99.1", "2001:20::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8",
    "2606:4700::5efe:808:808",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/x", "https://localhost/", "https://127.0.0.1/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.0.0.1/", "https://127.1/", "https://0177.0.0.1/", "https://user@hooks.example.com/",
        "https://hooks.example.com:80/", "https://hooks.example.com:22/", "https://hooks.example.com:65536/",
        "https://hooks.example.com", "https://hooks.example.com/\n", "https://hooks.example.com/ x", "file:///etc/passwd",
        "https://hooks.example.com\\@127.0.0.1/", "https://例.example/", "https://a..b/", "https://-a.example/", "",
        "https://hooks.example.com/" + "x" * 500, "gopher://hooks.example.com/", "https://1.2.3.4.5/", "//x.example/",
        "https://hooks.example.com#@127.0.0.1/", "https://hooks.example.com?@127.0.0.1/", "http://127.0.0.1:8000/",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(Refused, match="WEBHOOK_URL"):
        check_url(url)


@pytest.mark.parametrize("url", ["https://hooks.example.com/", "https://a-b.c.cn:8443/hook?x=1&y=%20"])
def test_ordinary_addresses(url: str) -> None:
    assert check_url(url) == url


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on loopback that counts connections, before any TLS."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connected")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["::ffff:127.0.0.1"], []]
)
async def test_a_name_that_leads_inside_is_never_connected_to(addresses: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[tuple[int, str]]:
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in addresses]

    async with listener() as (port, seen), Outbound(resolve=resolve, total_s=2.0) as outbound:
        with pytest.raises(Unavailable):
            await outbound.post(f"https://hooks.example.com:{port}/", b"{}", {})
        assert seen == []


async def test_a_name_that_changes_its_mind_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is connected to: DNS rebinding finds no second question."""
    asked: list[str] = []
    connected: list[object] = []

    async def resolve(host: str, port: int) -> list[tuple[int, str]]:
        asked.append(host)
        return [(socket.AF_INET, "93.184.216.34" if len(asked) == 1 else "127.0.0.1")]

    async def connect(*, addr_infos: list[tuple[object, ...]], **_: object) -> socket.socket:
        connected.extend(info[4] for info in addr_infos)
        raise OSError("no network in tests")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", connect)
    async with Outbound(resolve=resolve, total_s=2.0) as outbound:
        with pytest.raises(Unavailable):
            await outbound.post("https://hooks.example.com/", b"{}", {})
    assert asked == ["hooks.example.com"] and connected == [("93.184.216.34", 443)]


# ---- SSRF: generated forms, every one refused before anything is connected to --------------------------------------


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The address of every connection that was begun; none is made."""
    begun: list[str] = []

    async def connect(*, addr_infos: list[tuple[object, object, object, object, tuple[str, int]]], **_: object) -> None:
        begun.extend(info[4][0] for info in addr_infos)
        raise OSError("no network in tests")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", connect)
    return begun


async def test_no_spelling_of_an_address_inside_is_taken(connections: list[str]) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[tuple[int, str]]:
        asked.append(host)
        return [(socket.AF_INET, "93.184.216.34")]

    written = urls(seed=5)
    assert len(set(written)) > 2_000
    async with Outbound(resolve=resolve, total_s=60.0) as outbound:
        for url in written:
            with pytest.raises(Refused, match="WEBHOOK_URL"):
                await outbound.post(url, b"{}", {})
    assert asked == [] and connections == []


async def test_no_answer_of_a_resolver_leads_inside(connections: list[str]) -> None:
    said = answers(seed=5)
    assert len(said) > 600
    turns = iter(said)

    async def resolve(host: str, port: int) -> list[tuple[int, str]]:
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in next(turns)]

    async with Outbound(resolve=resolve, total_s=60.0) as outbound:
        for _ in said:
            with pytest.raises(Unavailable):
                await outbound.post("https://hooks.example.com/", b"{}", {})
    assert list(turns) == [] and connections == []


async def test_what_was_checked_is_what_is_connected_to(connections: list[str]) -> None:
    """Each delivery asks once, and believes no earlier answer: a name that turns inside is refused from then on."""
    draw, said = random.Random(5), []
    for _ in range(200):
        said.append(
            draw.choice([["93.184.216.34"], ["2606:4700::1111", "8.8.8.8"], ["127.0.0.1"], ["10.1.1.1", "::1"]])
        )
    turns = iter(said)

    async def resolve(host: str, port: int) -> list[tuple[int, str]]:
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in next(turns)]

    async with Outbound(resolve=resolve, total_s=60.0) as outbound:
        for answer in said:
            before = len(connections)
            with pytest.raises(Unavailable):
                await outbound.post("https://hooks.example.com/", b"{}", {})
            connected = connections[before:]
            assert sorted(connected) == (sorted(answer) if all(map(is_public, answer)) else [])
    assert len(connections) > 100 and list(turns) == []


@pytest.mark.parametrize("seed", range(3))
def test_what_is_taken_is_read_alike_by_what_connects(seed: int) -> None:
    """Nothing about a URL that is taken is understood in another way by the library that connects."""
    draw, taken = random.Random(seed), 0
    pieces = [
        *"abz09.-:/@?#%\\[]_ \t。é",
        "https://",
        "xn--",
        ".com",
        "127.0.0.1",
        "%2f",
        "%00",
        ":8443",
        ":443",
        "//",
        "..",
    ]
    for _ in range(4_000):
        url = "https://" * draw.choice((0, 1, 1, 1)) + "".join(
            draw.choices(["a.b", "c.de/", *pieces], k=draw.randrange(1, 7))
        )
        try:
            check_url(url)
        except Refused:
            continue
        taken += 1
        read, rest = URL(url), url.removeprefix("https://")
        authority = rest.partition("/")[0]
        host, _, port = authority.partition(":")
        assert (read.scheme, read.raw_host, read.port) == ("https", host, int(port or 443)) and read.user is None
    assert taken > 50


def test_ports() -> None:
    for port in [*range(1_200), *range(65_500, 65_600)]:
        url = f"https://hooks.example.com:{port}/"
        if port == 443 or 1024 <= port <= 65_535:
            assert check_url(url) == url
        else:
            with pytest.raises(Refused):
                check_url(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "file:///etc/passwd"])
async def test_no_redirect_is_followed(status: int, where: str) -> None:
    async with listener() as (inside, seen):

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": where.format(port=inside)})

        app = web.Application()
        app.router.add_post("/", redirect)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with Outbound(loopback=True) as outbound:
            assert await outbound.post(f"http://127.0.0.1:{runner.addresses[0][1]}/", b"{}", {}) == status
        await runner.cleanup()
        assert seen == []

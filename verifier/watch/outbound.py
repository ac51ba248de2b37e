"""Requests to addresses that strangers name: never to this machine, its network or its cloud's metadata.

1 the address is https, by name, without user, on an ordinary port          (check_url, when it is registered)
2 the name is resolved anew for every connection; every address that it has must be public, or none is used
3 the connection goes to an address of 2: nothing is resolved a second time, so a name cannot change in between
4 no redirect is followed, no proxy of the environment is used, the answer's body is not read
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ledger.errors import Refused, Unavailable
from ledger.text import Text

TOTAL_S: Final = 10.0
MAX_URL: Final = 500  # characters
_URL: Final = re.compile(
    r"https://((?=.{1,253}[:/])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"(?::([0-9]{1,5}))?(/[\x21\x23-\x7e]*)",
    re.ASCII,
)
_LOOPBACK: Final = re.compile(r"http://127\.0\.0\.1:([0-9]{1,5})(/[\x21\x23-\x7e]*)", re.ASCII)
_REFUSED: Final = Text(
    "回调地址须为 https://域名/路径，端口 443 或 1024 以上",
    "A webhook is https://name/path, on port 443 or one above 1023",
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL: Final = ipaddress.ip_network("2000::/3")  # all unicast that IANA has given out (RFC 4291 2.4, RFC 3587)
# What one release or another of Python 3.11 takes for global: documentation (RFC 9637), protocol assignments of IPv6
# and of IPv4 with their anycasts (RFC 2928, RFC 6890), and the anycast of 6to4 relays, nearby machines (RFC 7526).
_NO_GLOBAL: Final = tuple(map(ipaddress.ip_network, ("3fff::/20", "2001::/23", "192.0.0.0/24", "192.88.99.0/24")))
_NAT64_LOCAL: Final = ipaddress.ip_network("64:ff9b:1::/48")
_ISATAP: Final = frozenset({0x5EFE, 0x0200_5EFE})  # before the last 32 bits, under any prefix (RFC 5214 6.1)

Resolve = Callable[[str, int], Awaitable[list[tuple[int, str]]]]  # host, port -> (family, address)


def check_url(url: str, *, loopback: bool = False) -> str:
    """The address of a webhook. Raises Refused WEBHOOK_URL. `loopback`: http://127.0.0.1:port too, for tests."""
    match = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if match is not None:
        port = int(match[2] or 443)
        if port == 443 or 1024 <= port <= 65_535:
            return url
    if loopback and _LOOPBACK.fullmatch(url):
        return url
    raise Refused("WEBHOOK_URL", "url", _REFUSED)


def is_public(text: str) -> bool:
    """Whether an address leads to the public Internet, also by the IPv4 address that is hidden in it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64_LOCAL or address.scope_id is not None:
            return False
        last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP and not is_public(str(last)):
            return False
        hidden = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            hidden.append(last)
        inside = [one for one in hidden if one is not None]
        if inside:
            return all(is_public(str(one)) for one in inside)
        if address not in _GLOBAL:  # site-local (fec0::/10), IPv4-compatible, and whatever comes
            return False
    if any(address in network for network in _NO_GLOBAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def system_resolve(host: str, port: int) -> list[tuple[int, str]]:
    """What the system's resolver says, now."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in found]


class PublicResolver(AbstractResolver):
    """Gives the addresses of a name only if all of them are public."""

    def __init__(self, resolve: Resolve = system_resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolve(host, port)
        if not found or not all(is_public(address) for _, address in found):
            raise OSError("the name does not lead to public addresses")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Outbound:
    """Posts to webhooks. Use as an async context manager."""

    def __init__(self, *, loopback: bool = False, resolve: Resolve = system_resolve, total_s: float = TOTAL_S) -> None:
        self._loopback = loopback
        self._resolver = PublicResolver(resolve)
        self._timeout = aiohttp.ClientTimeout(total=total_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Outbound:
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True, limit=16)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises Refused for an address that may not be asked, Unavailable when no answer
        came; neither says why, since it may be shown to who named the address."""
        check_url(url, loopback=self._loopback)
        assert self._session is not None, "open"
        try:
            async with self._session.post(url, data=body, headers=dict(headers), allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unavailable(Text("回调地址没有应答", "the webhook did not answer")) from error

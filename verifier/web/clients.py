"""Who asks, and how much each may: limits per client, whose address comes from the trusted proxy hop only.

A client is an IPv4 address or an IPv6 /48. Behind a proxy it is the last address of `X-Forwarded-For`, which that proxy
itself has written; everything before it is the sender's own word. Without one, all share one allowance.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from functools import lru_cache
from typing import Final

from aiohttp import web

from ledger.errors import Unavailable
from ledger.text import Text

_MOST: Final = 100_000  # clients remembered; the one that asked longest ago is forgotten
_WAIT: Final = Text("查询过于频繁，请稍后再试", "Too many questions in a short time; please try again later")


def client_of(request: web.Request, *, behind_proxy: bool) -> str:
    """The client's address, "" where there is none."""
    if behind_proxy:
        said = request.headers.getall("X-Forwarded-For", [""])[-1].rpartition(",")[2]
        return _network(said.strip())
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return _network(str(peer[0])) if isinstance(peer, tuple) and peer else ""


class Allowance:
    """A token bucket for each client: `burst` at most, refilled by `per_minute`. Times: seconds, steady clock."""

    def __init__(self, per_minute: float, burst: int) -> None:
        self._per_s, self._burst = per_minute / 60, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, when

    def take(self, client: str, now_s: float) -> None:
        """Raises Unavailable, saying when to come again, when nothing is left."""
        left, since = self._left.get(client, (float(self._burst), now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_s)
        if left < 1:
            raise Unavailable(_WAIT, retry_after=int((1 - left) / self._per_s) + 1, public=True)
        self._keep(client, left - 1, now_s)

    def give_back(self, client: str, now_s: float) -> None:
        """What came to nothing for reasons of our own costs nothing."""
        left, _ = self._left.get(client, (float(self._burst), now_s))
        self._keep(client, min(self._burst, left + 1), now_s)

    def _keep(self, client: str, left: float, now_s: float) -> None:
        self._left[client] = left, now_s
        self._left.move_to_end(client)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)


@lru_cache(4096)  # a connection asks more than once, and behind a proxy everybody does through a few
def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 80 << 80, 48)))
    return str(address)

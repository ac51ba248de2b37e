"""Which addresses may be asked in the clear: those of this machine, and no others."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from ledger.errors import Malformed


@lru_cache(1024)  # asked for each request of a connection
def is_loopback(host: str) -> bool:
    """Whether `host` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_ledger_url(url: str, name: str) -> None:
    """Raise Malformed, naming the setting, for what is no address of a ledger: https, and plain http on this machine
    alone, because names, numbers and tokens pass that wire."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise Malformed(f"{name}: this address cannot be read") from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii():
        raise Malformed(f"{name}: https://host[:port]")
    if "@" in parts.netloc or parts.query or parts.fragment:  # whoever does not answer is named in logs
        raise Malformed(f"{name}: no user, password or query in the address")
    if parts.scheme == "http" and not is_loopback(host):
        raise Malformed(f"{name}: https outside this machine, because names, numbers and tokens pass that wire")

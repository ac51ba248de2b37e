"""Which addresses may be asked in the clear: those of this machine, and no others."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from ledger.errors import Malformed
from ledger.text import Text


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
        raise Malformed(Text(f"{name}：无法识别这个地址", f"{name}: this address cannot be read")) from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii():
        raise Malformed(Text(f"{name}：应为 https://主机[:端口]", f"{name}: https://host[:port]"))
    if "@" in parts.netloc or parts.query or parts.fragment:  # whoever does not answer is named in logs
        raise Malformed(
            Text(f"{name}：地址中不得有用户名、口令或 ? # 部分", f"{name}: no user, password or query in the address")
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise Malformed(
            Text(
                f"{name}：除本机外必须使用 https，因为姓名、编号和令牌都经此传送",
                f"{name}: https outside this machine, because names, numbers and tokens pass that wire",
            )
        )

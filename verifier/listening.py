"""Where a program of this package listens: the same settings for pages, auditor and witness, described once.

Metadata of fields and not a class of its own, so that they stay flat words of each program's file:

    host: str = field(default="127.0.0.1", metadata=listening.HOST)

and `check_tls` in `__post_init__`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ledger.errors import Malformed
from ledger.settings import described
from ledger.text import Text

LOOPBACK: Final = "127.0.0.1"  # where nothing else is set: nobody is served by mistake
HOST: Final = described(Text("监听地址", "Address to listen on"))
PORT: Final = described(Text("监听端口", "Port to listen on"), minimum=0, maximum=65535)
BEHIND_PROXY: Final = described(Text("由前置代理终止 TLS", "TLS ends at a proxy in front"))
TLS_CERT: Final = described(Text("TLS 证书", "TLS certificate chain"))
TLS_KEY: Final = described(Text("TLS 私钥", "TLS private key"))


def check_tls(cert: Path | None, key: Path | None) -> None:
    """Raises Malformed for one without the other."""
    if (cert is None) != (key is None):
        raise Malformed(Text("tls_cert 与 tls_key 须同时给出", "tls_cert and tls_key go together"))

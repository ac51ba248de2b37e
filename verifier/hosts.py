"""A foreign host as it may be shown: nothing in it can pass for another one. Pure."""

from __future__ import annotations

import string
from typing import Final

_HOST: Final = frozenset(string.ascii_lowercase + string.digits + "-_:[]?")
_SHORTENED: Final = frozenset("…")
_NOT_HOST: Final = {ord(c): "?" for c in map(chr, range(128)) if c not in _HOST}


def shown_host(netloc: str) -> str:
    """A foreign `host[:port]` made safe to show: no user name before it, lower case, other scripts as punycode.

    Shortened in the middle to 48 characters, because the end of a host says whose it is. Fit for any input;
    applying it twice changes nothing.
    """
    host = netloc[-2048:].rpartition("@")[2].lower()
    plain = ".".join(_ascii_label(label) for label in host.split("."))
    if len(plain) > 48:
        plain = f"{plain[:8]}…{plain[-39:]}"
    return plain or "?"


def _ascii_label(label: str) -> str:
    if label.isascii():
        return "".join(c if c in _HOST else "?" for c in label)
    if set(label) - _SHORTENED <= _HOST:
        return label  # already shortened by us
    return "xn--" + label.encode("punycode", "replace").decode("ascii", "replace").translate(_NOT_HOST)

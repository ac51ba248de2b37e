"""Looks for texts in bytes, however they may be written there: the ways in which logs, stores and errors spell a text.

forms = spellings("例小明")          every spelling of it
hits(channel, forms)                 where they stand
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

LEAST = 6  # bytes: a shorter spelling is found by chance


def spellings(text: str, raw: bytes = b"") -> dict[str, set[bytes]]:
    """By name of the encoding. `raw`: the bytes that the text stands for, if it is an encoding itself."""
    utf8, found = text.encode(), dict[str, set[bytes]]()
    found["utf-8"] = {utf8, text.lower().encode(), text.upper().encode()}
    if len(utf8) < LEAST:  # with something around it
        found["utf-8"] = {f"{mark}{text}{mark}".encode() for mark in "\"'"}
        found["utf-8"] |= {f"{before}{text}{after}".encode() for before in " =:/,[" for after in ' &,;]"'}
    found["utf-16"] = {text.encode("utf-16-le"), text.encode("utf-16-be")}
    found["percent"] = {_percent(utf8), _percent(utf8).lower()}
    found["percent"] |= {quote(text, safe="").encode(), quote(quote(text, safe=""), safe="").encode()}
    found["base64"] = set(_base64(utf8))
    found["hex"] = {utf8.hex().encode(), utf8.hex().upper().encode()}
    if not text.isascii():
        gbk = text.encode("gb18030")
        units = text.encode("utf-16-be")
        jsons = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        python = text.encode("unicode_escape").decode()
        found["gb18030"] = {gbk, _percent(gbk), _percent(gbk).lower(), gbk.hex().encode(), *_base64(gbk)}
        found["escaped"] = {jsons.encode(), jsons.upper().replace("\\U", "\\u").encode(), python.encode()}
        found["escaped"] |= {repr(utf8)[2:-1].encode(), repr(gbk)[2:-1].encode()}
        found["escaped"] |= {one.replace(b"\\", b"\\\\") for one in found["escaped"]}
        found["entities"] = {"".join(f"&#{ord(c)};" for c in text).encode()}
        found["entities"] |= {"".join(form.format(ord(c)) for c in text).encode() for form in ("&#x{:x};", "&#x{:X};")}
        found["mistaken"] = {utf8.decode("latin-1").encode(), gbk.decode("latin-1").encode()}
    if raw:
        found["bytes"] = {raw, raw.hex().encode(), raw.hex().upper().encode(), *_base64(raw), repr(raw)[2:-1].encode()}
    return {name: {form for form in forms if len(form) >= LEAST} for name, forms in found.items()}


def hits(channel: bytes, forms: Iterable[bytes]) -> Iterator[int]:
    """Where any of the spellings stands."""
    for form in forms:
        at = channel.find(form)
        while at >= 0:
            yield at
            at = channel.find(form, at + 1)


def _percent(raw: bytes) -> bytes:
    return "".join(f"%{byte:02X}" for byte in raw).encode()


def _base64(raw: bytes) -> Iterator[bytes]:
    """What stays of it in the base64 of any longer bytes: of the three places that it can begin at."""
    for lead in range(3):
        whole = base64.b64encode(bytes(lead) + raw)
        first = -(-lead * 4 // 3)
        last = (lead + len(raw)) // 3 * 4
        core = whole[first:last] if lead else whole[:last]
        if len(core) >= 10:
            yield core
            yield core.replace(b"+", b"-").replace(b"/", b"_")

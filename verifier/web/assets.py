"""Static files: named by their content, so that they never change and are kept for ever.

A module's `from "./other.js"` is rewritten to the other's public name before its own name is made, so a change reaches
every module above it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

TYPES: Final = MappingProxyType(
    {
        "css": "text/css",
        "svg": "image/svg+xml",
        "png": "image/png",
        "js": "text/javascript",
        "wasm": "application/wasm",
        "webmanifest": "application/manifest+json",
    }
)
_IMPORT: Final = re.compile(rb'(\bfrom |\bimport |\bimport\(|new URL\()"\./([\w-]+\.(?:js|wasm))"')


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file, whose name holds the digest of its content, so that it never changes."""

    content_type: str
    body: bytes
    packed: bytes  # the same, gzip


@dataclass(frozen=True, slots=True)
class Assets:
    """All static files by their public name, and the public name of each plain one."""

    files: Mapping[str, Asset]
    names: Mapping[str, str]


@cache
def load_assets() -> Assets:
    """The files of this package. A module that imports one that is not there, or itself, is a bug and fails here."""
    folder = resources.files("verifier.static")
    found = {item.name: item.read_bytes() for item in folder.iterdir() if item.name.rpartition(".")[2] in TYPES}
    return name_assets(found)


def name_assets(sources: Mapping[str, bytes]) -> Assets:
    """Public names for `sources`, file names to contents."""
    files: dict[str, Asset] = {}
    names: dict[str, str] = {}
    under_way: list[str] = []

    def add(plain: str) -> str:
        if plain in names:
            return names[plain]
        assert plain in sources, f"{under_way[-1]} imports {plain}, which is not there"
        assert plain not in under_way, f"modules import each other: {under_way}"
        under_way.append(plain)
        stem, _, suffix = plain.rpartition(".")
        body = sources[plain]
        if suffix == "js":
            body = _IMPORT.sub(lambda match: b'%b"./%b"' % (match[1], add(match[2].decode()).encode()), body)
        under_way.pop()
        names[plain] = f"{stem}.{hashlib.sha256(body).hexdigest()[:16]}.{suffix}"
        files[names[plain]] = Asset(TYPES[suffix], body, gzip.compress(body, 9, mtime=0))
        return names[plain]

    for plain in sorted(sources):
        add(plain)
    return Assets(MappingProxyType(files), MappingProxyType(names))

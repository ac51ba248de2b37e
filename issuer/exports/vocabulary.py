"""The JSON-LD contexts of what we sign, from our own files and nowhere else.

A canonicaliser drops every term that no context defines, so that it would be in the file and not in the signature:
`check_terms` walks a document before it is signed. Contexts are checked against checksums.txt when they are read; a
document that names any other is refused, so nothing is ever fetched.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from issuer.exports.jcs import Json
from ledger.errors import Malformed, Unavailable
from ledger.text import Text

CREDENTIALS_V2: Final = "https://www.w3.org/ns/credentials/v2"
OPEN_BADGES: Final = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
_FILES: Final[Mapping[str, str]] = {
    CREDENTIALS_V2: "credentials-v2.json",
    OPEN_BADGES: "ob-v3p0-context-3.0.3.json",
}
_FOLDER: Final = Path(__file__).with_name("contexts")


@functools.cache
def load_context(url: str) -> dict[str, Any]:
    """The context document of a pinned address. Raises Malformed for any other, Unavailable for a damaged file."""
    name = _FILES.get(url)
    if name is None:
        raise Malformed(f"a JSON-LD context that is not ours: {url}")
    try:
        content = (_FOLDER / name).read_bytes()
        listed = (_FOLDER / "checksums.txt").read_text("ascii").split()
    except OSError as error:
        raise Unavailable(
            Text(
                "没有安装 JSON-LD 上下文：请重新安装本程序",
                "a JSON-LD context is not installed; install this program again",
            )
        ) from error
    if listed[listed.index(name) - 1] != hashlib.sha256(content).hexdigest():
        raise Unavailable(
            Text(
                f"{name} 已损坏（校验值不符）：请重新安装本程序",
                f"{name} is damaged: its checksum differs; install this program again",
            )
        )
    found: dict[str, Any] = json.loads(content)
    return found


def document_loader(url: str, options: object = None) -> dict[str, Any]:
    """The loader for the canonicaliser: `load_context`, and no network."""
    return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": load_context(url)}


def check_terms(document: Mapping[str, Json]) -> None:
    """Malformed unless every type and member of `document` is a term of the contexts that it names."""
    contexts = document["@context"]
    assert isinstance(contexts, list)
    terms: dict[str, Any] = {}
    for url in contexts:
        assert isinstance(url, str)
        terms |= load_context(url)["@context"]
    _check_node({name: value for name, value in document.items() if name != "@context"}, terms)


def _check_node(node: Mapping[str, Any], terms: Mapping[str, Any]) -> None:
    """One object. The terms that its types bring hold for it, not for what lies below (JSON-LD 1.1, 4.1.7)."""
    types = node.get("type", [])
    here = dict(terms)
    for name in [types] if isinstance(types, str) else types:
        if name not in terms:
            raise Malformed(f"a type that no context defines: {name}")
        here |= _scoped(terms, name)
    for name, value in node.items():
        if name.startswith("@") or name not in here:
            raise Malformed(f"a term that no context defines: {name}")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                _check_node(item, {**terms, **_scoped(here, name)})


def _scoped(terms: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The terms of a definition's own context."""
    definition = terms[name]
    scoped = definition.get("@context") if isinstance(definition, dict) else None
    return scoped if isinstance(scoped, dict) else {}

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from issuer.exports.badge import BADGE, CREDENTIAL
from issuer.exports.did import did_document
from issuer.exports.facts import FIELDS
from issuer.exports.integrity import JCS, RDFC, secure
from issuer.exports.standing import Place
from ledger.errors import Malformed
from tests.support.exporting import BASE, KEYS, MAKER, make_facts
from tests.support.slow_exports import Untrue, verify_proof

DID_DOCUMENT = did_document(BASE, KEYS, {})


def badge(lists: tuple[str, ...] = BADGE) -> dict[str, Any]:
    return MAKER.secured(make_facts(), Place(7), lists, FIELDS)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every string and boolean, but for the proofs."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "proof":
                yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from leaves(item, (*path, at))
    else:
        yield path


def changed(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    value = node[path[-1]]
    node[path[-1]] = (not value) if isinstance(value, bool) else value + "1"
    return document


def test_both_proofs_hold_in_their_order() -> None:
    secured = badge()
    assert [proof["cryptosuite"] for proof in secured["proof"]] == [RDFC, JCS]
    for at in (0, 1):
        verify_proof(secured, at, DID_DOCUMENT)
    with pytest.raises(Untrue):  # the other credential's proof
        verify_proof(badge(CREDENTIAL) | {"proof": secured["proof"]}, 0, DID_DOCUMENT)


def test_no_field_can_be_changed() -> None:
    """Under RDF canonicalisation too: every value of the file is in what is signed."""
    secured = badge()
    paths = list(leaves(secured))
    assert len(paths) > 60
    for path in paths:
        forged = changed(secured, path)
        with pytest.raises(Untrue):
            verify_proof(forged, 1, DID_DOCUMENT)
        if "@context" in path:
            continue  # a context that the reader does not have
        with pytest.raises(Untrue):
            verify_proof(forged, 0, DID_DOCUMENT)


def test_no_part_of_a_proof_can_be_changed() -> None:
    secured = badge()
    for at in (0, 1):
        for name in ("created", "verificationMethod", "proofPurpose", "proofValue"):
            forged = copy.deepcopy(secured)
            proof = forged["proof"][at]
            proof[name] = "2020-01-01T00:00:00Z" if name == "created" else proof[name][:-1] + "x"
            with pytest.raises(Untrue):
                verify_proof(forged, at, DID_DOCUMENT)
        swapped = copy.deepcopy(secured)
        swapped["proof"][at]["proofValue"] = secured["proof"][1 - at]["proofValue"]
        with pytest.raises(Untrue):
            verify_proof(swapped, at, DID_DOCUMENT)


def test_what_would_not_be_signed_is_refused() -> None:
    document = {name: value for name, value in badge().items() if name != "proof"}
    with pytest.raises(Malformed, match="skillGrade"):
        secure(document | {"skillGrade": "3"}, MAKER.key, "2026-01-01T00:00:00Z")
    with pytest.raises(Malformed):
        secure(document | {"@context": [*document["@context"], "https://a.example"]}, MAKER.key, "2026-01-01T00:00:00Z")


def test_the_same_again_is_the_same() -> None:
    assert json.dumps(badge()) == json.dumps(badge())

from __future__ import annotations

import json
from typing import Any

import pytest

from issuer.exports.standing import PURPOSES, Place, Standing
from tests.support.export_vectors import PATH, PLACE, SET, vector_text
from tests.support.exporting import MAKER, SIGNER, make_facts
from tests.support.slow_exports import bit, open_jwt, open_sd_jwt, token_status, verify_proof


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def test_the_vectors_are_what_is_written(vectors: dict[str, Any]) -> None:
    written = json.loads(vector_text())
    del written["lists"], vectors["lists"]  # another zlib may pack them differently: read below
    assert written == vectors, "run python -m tests.support.export_vectors"


def test_the_vectors_hold() -> None:
    vectors = json.loads(PATH.read_text(encoding="utf-8"))
    for form in ("badge", "credential"):
        for at in (0, 1):
            verify_proof(vectors[form], at, vectors["did"])
    assert open_sd_jwt(vectors["sd_jwt"], SIGNER.public)[1]["number"] == vectors["facts"]["number"]
    lists = vectors["lists"]
    assert len(lists) == 2 * len(PURPOSES) + 1
    for name in PURPOSES:
        credential = json.loads(lists[f"certs/status/{name}-1.json"])
        for at in (0, 1):
            verify_proof(credential, at, vectors["did"])
        for position in (0, 7, 8, 9, 131_071):
            assert bit(credential, position) == (position in SET and SET[position].bit(name))
    token = open_jwt(lists["certs/status/token-1.jwt"], SIGNER.public)[1]
    assert [token_status(token, at) for at in (6, 7, 8, 131_071)] == [0, 2, 1, 3]


def test_a_file_of_an_earlier_run_is_known_by_place_and_key() -> None:
    raw = json.dumps(MAKER.secured(make_facts(), PLACE, ("standing",), ())).encode()
    assert MAKER.made(raw, PLACE)
    assert not MAKER.made(raw, Place(PLACE.index + 1)) and not MAKER.made(raw, Place(PLACE.position))
    assert not MAKER.made(raw.replace(MAKER.key.kid.encode(), b"0" * 16), PLACE)


def test_each_stretch_of_the_log_has_lists_of_its_own() -> None:
    sound = Standing(False, False, False)
    names = set(MAKER.list_files({5: sound, 131_072 * 3: sound}, tokens=False))
    stems = [f"certs/status/{name}-{number}" for name in PURPOSES for number in (0, 3)]
    assert names == {f"{stem}.{form}" for stem in stems for form in ("json", "jwt")}

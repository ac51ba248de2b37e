"""The kit's bytes: one spelling, signed by one maker, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest

from ledger.errors import Malformed, Unverified
from tests.support.cddl import Cddl
from tests.support.kits import KIT_FILING as FILING
from tests.support.kits import KIT_LOG as LOG
from tests.support.kits import MAKER, MAKER_KEY
from tests.support.kits import SAMPLE_KIT as KIT
from tests.support.witnesses import Cosigner
from verifier.kit.format import MAX_LOGS, open_kit, parse_body, sign_kit


def test_what_is_signed_is_opened() -> None:
    raw = sign_kit(KIT, MAKER_KEY.name, MAKER)
    assert open_kit(raw, [Cosigner("x").ed25519, MAKER_KEY]) == KIT and parse_body(KIT.body()) == KIT
    assert FILING.key(b"x" * 8) is None
    with pytest.raises(Unverified):
        open_kit(raw, [Cosigner("x").ed25519])
    other = sign_kit(replace(KIT, limit_ms=7_001), MAKER_KEY.name, MAKER)
    mixed = cbor2.dumps([*cbor2.loads(raw)[:2], cbor2.loads(other)[2]])
    with pytest.raises(Malformed, match="another body"):
        open_kit(mixed, [MAKER_KEY])


def test_every_flipped_bit_of_the_body_is_noticed() -> None:
    raw = sign_kit(KIT, MAKER_KEY.name, MAKER)
    for at in range(len(raw)):
        with pytest.raises((Malformed, Unverified)):
            open_kit(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], [MAKER_KEY])


def test_the_cddl_describes_it() -> None:
    cddl = Cddl((Path(__file__).parents[3] / "docs" / "formats.cddl").read_text(encoding="utf-8"))
    assert cddl.accepts("kit-body", KIT.body()) and cddl.accepts("kit", sign_kit(KIT, MAKER_KEY.name, MAKER))
    body = cbor2.loads(KIT.body())
    for path in [
        (0,),
        (2,),
        (2, 0),
        (3, 0, 1),
        (5, 0, 0),
        (5, 0, 5, 1, 0),
        (5, 0, 6),
        (5, 0, 7, 0, 2),
        (5, 0, 8),
        (5, 0, 9),
        (5, 0, 9, 1, 3),
    ]:
        assert not cddl.accepts("kit-body", cbor2.dumps(_spoil(body, path, 1.5))), path


ODD: tuple[Any, ...] = (None, 1.5, -2, 2**60, b"", "x", [], [[]], {1: 2})


def _spoil(value: Any, path: tuple[int, ...], odd: Any) -> Any:
    if not path:
        return odd
    return [_spoil(item, path[1:], odd) if at == path[0] else item for at, item in enumerate(value)]


def _paths(value: Any, at: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    found = [at]
    if isinstance(value, list):
        for n, item in enumerate(value):
            found += _paths(item, (*at, n))
    return found


def test_a_part_of_another_type_is_malformed_or_another_kit() -> None:
    body = cbor2.loads(KIT.body())
    for path in _paths(body):
        for odd in ODD:
            raw = cbor2.dumps(_spoil(body, path, odd))
            try:
                kit = parse_body(raw)
            except Malformed:
                continue
            assert kit.body() == raw, (path, odd)


def test_values_are_checked() -> None:
    for wrong in (
        {"limit_ms": 0}, {"logs": ()}, {"logs": (LOG, LOG)}, {"bases": ()}, {"bases": ("http://evil.example",)},
    ):  # fmt: skip
        with pytest.raises(Malformed):
            replace(KIT, **wrong)  # type: ignore[arg-type]
    many = tuple(replace(LOG, origin=f"log.test.example/{at}") for at in range(MAX_LOGS + 1))
    assert len(replace(KIT, logs=many[1:]).logs) == MAX_LOGS >= 30 * 8, "one a province, and one a year"
    with pytest.raises(Malformed):
        replace(KIT, logs=many)
    for wrong in (
        {"filings": (FILING, FILING)},
        {"checkpoint": b""},
        {"seal": bytes(257)},
        {"width": 31},
        {"width": 49},
        {"lists": {}},
    ):
        with pytest.raises(Malformed):
            replace(LOG, **wrong)  # type: ignore[arg-type]

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as some

from issuer.exports.jcs import canonical_json
from ledger.errors import Malformed

TEXTS = some.text(some.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = some.recursive(
    some.booleans() | some.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_the_reference_spells_it_the_same(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


def test_members_are_sorted_by_utf_16() -> None:
    assert canonical_json({"\ufb33": 1, "\U0001f600": 2, "a": 3}) == '{"a":3,"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize("value", [2**53, -(2**53), 1.5, None, "\ud800", {"a": [0.0]}])
def test_what_has_no_one_spelling_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        canonical_json(value)  # type: ignore[arg-type]

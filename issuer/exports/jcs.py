"""Canonical JSON (RFC 8785) of the values that exports hold: objects, arrays, strings, whole numbers, booleans.

Fractions are refused: nothing here has one, and their canonical spelling (ECMAScript's) would be the hard part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from ledger.errors import Malformed

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json]"
_EXACT: Final = 2**53 - 1  # whole numbers up to here are the same for every reader (RFC 8785 3.2.2.3)


def canonical_json(value: Json) -> bytes:
    """The one spelling of `value`, UTF-8. Raises Malformed for a number or a character that has none."""
    try:
        return _spell(value).encode()
    except UnicodeEncodeError as error:
        raise Malformed("JSON: a lone surrogate") from error


def _spell(value: Json) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # escapes exactly what RFC 8785 3.2.2.2 escapes
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > _EXACT:
            raise Malformed("JSON: a number beyond 2^53 - 1")
        return str(value)
    if isinstance(value, Mapping):
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))  # RFC 8785 3.2.3
        return "{" + ",".join(f"{_spell(key)}:{_spell(item)}" for key, item in members) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_spell, cast("Sequence[Json]", value))) + "]"
    raise Malformed("JSON: a value that exports do not hold")

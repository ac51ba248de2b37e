"""JSON Schemas of hiring lists, and of runs, which are worked through as they are."""

from __future__ import annotations

from typing import Any, Final

from verifier.hiring.jobs import JobState
from verifier.verdict import Code

Schema = dict[str, Any]
_STRING: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


FORM_LIST: Final[Schema] = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "words": {"type": "string", "enum": ["zh", "en", "both"]},
        "longer": {"type": "string", "enum": ["yes", "no"]},
        "lang": {"type": "string", "enum": ["zh", "en"]},
    },
    "required": ["file"],
}
SUMMARY: Final = _object(
    verifier=_STRING,
    finished_ms=_COUNT,
    rows=_COUNT,
    counts={
        "type": "object",
        "properties": {code.value: _COUNT for code in Code},
        "additionalProperties": False,
    },
    logs={"type": "array", "items": _object(origin=_STRING, size=_COUNT, root=_HASH, time_ms=_COUNT)},
    digest=_HASH,
    statement={"type": "string", "contentEncoding": "base64"},
    signature=_or_null({"type": "string", "contentEncoding": "base64"}),
)
_STATE: Final = {"type": "string", "enum": [state.value for state in JobState]}
_NOTE: Final = _object(code=_STRING, zh=_STRING, en=_STRING)
PROGRESS: Final = _object(state=_STATE, rows=_COUNT, done=_COUNT)
JOB: Final = _object(
    id={"type": "string", "pattern": "^[0-9a-f]{32}$"},
    state=_STATE,
    rows=_COUNT,
    done=_COUNT,
    until=_or_null({"type": "string", "format": "date-time"}),
    error=_or_null(_NOTE),
    notes={"type": "array", "items": _NOTE},
    result=_or_null(_STRING),
    summary=_or_null(SUMMARY),
)
RUN: Final = _object(
    id={"type": "string", "pattern": "^[0-9a-f]{32}$"},
    state=_STATE,
    pack=_STRING,
    digest={"type": "string", "pattern": "^([0-9a-f]{64})?$"},
    as_of={"type": "string", "format": "date"},
    rows=_COUNT,
    done=_COUNT,
    counts={"type": "object", "additionalProperties": _COUNT},
    total_fen=_or_null({"type": "integer"}),
    until=_or_null({"type": "string", "format": "date-time"}),
    error=_or_null(_NOTE),
    notes={"type": "array", "items": _NOTE},
    result=_or_null(_STRING),
)

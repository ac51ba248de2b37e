"""JSON Schemas (2020-12, as OpenAPI 3.1 uses them) of what the verifier takes and gives."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from verifier.verdict import STATUSES, Code, Outcome, Source

Schema = dict[str, Any]

OPENAPI_DOCUMENT = web.AppKey("openapi_document", bytes)


def _object(**properties: Schema) -> Schema:
    """An object with exactly these keys, all present."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _enum(values: Any) -> Schema:
    return {"type": "string", "enum": sorted(str(value) for value in values)}


_STRING: Final[Schema] = {"type": "string"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_ORDINAL: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 8}
_HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_DAY: Final[Schema] = {"type": "string", "format": "date"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TEXT: Final = _object(zh=_STRING, en=_STRING)

_CURRENT: Final = _object(
    grade=_TEXT, ordinal=_ORDINAL, trade=_STRING, is_this=_BOOLEAN, since=_or_null(_DAY), log=_or_null(_STRING)
)
_CERTIFICATE: Final = _object(
    number=_or_null(_STRING),
    name=_or_null(_STRING),
    personal_available=_BOOLEAN,
    photo=_or_null({"type": "string", "contentEncoding": "base64"}),
    grade_ordinal=_ORDINAL,
    grade=_TEXT,
    occupation_code=_STRING,
    occupation=_STRING,
    trade=_STRING,
    issue_date=_DAY,
    assessment_date=_or_null(_DAY),
    logged_at=_or_null(_TIME),
    status=_enum(STATUSES),
    current=_or_null(_CURRENT),
    person_linked=_BOOLEAN,
    post=_or_null(_object(first_day=_DAY, last_day=_or_null(_DAY))),
    held_post=_or_null(_object(grade=_TEXT, ordinal=_COUNT, first_day=_DAY, last_day=_or_null(_DAY))),
    late_entry=_BOOLEAN,
    corrected=_or_null(_DAY),
)
_ISSUER: Final = _object(filing_number=_STRING, name=_STRING, in_scope=_or_null(_BOOLEAN))
_FINDING: Final = _object(step=_STRING, outcome=_enum(Outcome), text=_TEXT)
_PROOF: Final = _object(
    origin=_STRING,
    index=_COUNT,
    leaf_hash=_HASH,
    size=_COUNT,
    root=_HASH,
    checkpoint_time=_TIME,
    cert_key=_HASH,
)

VERDICT: Final = _object(
    code=_enum(Code),
    checked_at=_TIME,
    as_of=_or_null(_TIME),
    source=_enum(Source),
    certificate=_or_null(_CERTIFICATE),
    issuer=_or_null(_ISSUER),
    findings={"type": "array", "items": _FINDING},
    proof=_or_null(_PROOF),
    detail={"type": "object", "additionalProperties": _STRING},
    title=_TEXT,
    line=_TEXT,
    next={"type": "array", "items": _TEXT},
)
READINESS: Final = _object(ready=_BOOLEAN, detail={"type": "object"})
TEXT_QUESTION: Final = _object(text=_STRING)
FORM_FILE_OR_TEXT: Final[Schema] = {
    "type": "object",
    "properties": {
        "text": _STRING,
        "file": {"type": "string", "format": "binary"},
        "lang": {"type": "string", "enum": ["zh", "en"]},
    },
}
ERROR: Final = _object(
    error={
        "type": "object",
        "properties": {
            "code": _STRING,
            "field": _STRING,
            "reference": _STRING,
            "zh": _STRING,
            "en": _STRING,
        },
        "required": ["code", "zh", "en"],
        "additionalProperties": False,
    }
)

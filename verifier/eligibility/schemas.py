"""JSON Schemas of eligibility for one person: the question, the decision, the rules at hand."""

from __future__ import annotations

from typing import Final

MAX_SHOWN: Final = 16  # certificates of one person
_STRING: Final = {"type": "string"}
QUESTION: Final = {
    "type": "object",
    "properties": {
        "pack": {"type": "string"},
        "certificates": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_SHOWN},
        "facts": {"type": "object"},
        "as_of": {"type": "string"},
    },
    "required": ["pack"],
    "additionalProperties": False,
}
_DAY: Final = {"type": "string", "format": "date"}
PACKS: Final = {
    "type": "object",
    "properties": {
        "packs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **dict.fromkeys(("id", "kind", "region", "certificate"), _STRING),
                    "title": {
                        "type": "object",
                        "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
                        "required": ["zh", "en"],
                    },
                    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "sample": {"type": "boolean"},
                    "first_day": _DAY,
                    "last_day": {"anyOf": [_DAY, {"type": "null"}]},
                    "facts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                **dict.fromkeys(("name", "type", "zh", "en"), _STRING),
                                "optional": {"type": "boolean"},
                                "values": {"type": "array", "items": {"type": "string"}},
                            },
                            "required": ["name", "type", "optional", "values", "zh", "en"],
                            "additionalProperties": False,
                        },
                    },
                },
                "required": [
                    "id", "kind", "region", "title", "digest", "sample", "first_day", "last_day", "certificate",
                    "facts",
                ],
                "additionalProperties": False,
            },
        }
    },
    "required": ["packs"],
    "additionalProperties": False,
}  # fmt: skip
DECIDED: Final = {
    "type": "object",
    "properties": {
        "decision": {"type": "object"},
        "bytes": {"type": "string", "contentEncoding": "base64"},
        "checks": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["decision", "bytes", "checks"],
    "additionalProperties": False,
}

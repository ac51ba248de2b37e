"""The OpenAPI 3.1 description of the verifier, made from its route table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from verifier.web.route import ERRORS, Route

_REPEATED: Final = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[ -~]+$"}
_PARAMETER = re.compile(r"\{(\w+)\}")


def describe_routes(routes: Sequence[Route], base: str) -> dict[str, Any]:
    """The document for `routes`, served at `base` (scheme://host)."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cert-verifier",
            "version": "1",
            "description": "Checks vocational skill-grade certificates. 职业技能等级证书核验。"
            "Every verdict is an answer with status 200; other statuses are about the request itself.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def format_openapi(routes: Sequence[Route], base: str) -> bytes:
    """The document as JSON bytes, the same for the same table."""
    return json.dumps(describe_routes(routes, base), ensure_ascii=False, indent=1).encode()


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in (route.query or {}).items()
    ]
    api, posted = route.path.startswith("/v1/"), route.method == "POST"
    if api and posted:
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": _REPEATED})
    gives = {429: ERRORS} | ({401: ERRORS} if api else {}) | ({422: ERRORS} if api and posted else {}) | route.gives
    operation: dict[str, Any] = {
        "summary": route.summary,
        "responses": {
            str(status): {"description": HTTPStatus(status).phrase, "content": _content(media)}
            for status, media in sorted(gives.items())
        },
    }
    if api:
        operation["security"] = [{"key": []}] if route.keyed else [{}, {"key": []}]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.takes)}
    return operation


def _content(media: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"schema": schema} for name, schema in media.items()}

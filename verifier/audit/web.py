"""The auditor over HTTP: the witness's routes for the cosigning, and beside them the report.

GET  /  ?lang=zh|en            the report as a page            GET /v1/report    the same as JSON
GET  /v1/alarms                the alarms now                  GET /evidence/N   a file of evidence
GET  /checkpoint               the log's newest checkpoint that was audited, with this auditor's cosignatures
GET  /H/checkpoint             the same; H = SHA-256 of the origin in hex (C2SP tlog-witness, monitoring)
POST /add-checkpoint           C2SP tlog-witness: the log asks for a cosignature
GET  /livez /readyz /metrics
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any, Final

from aiohttp import web
from prometheus_client import Gauge

from ledger.edge import Rejected
from ledger.tlog.add_checkpoint import checkpoint_path
from verifier.audit.alarms import CATALOGUE
from verifier.audit.config import EVIDENCE_FOLDER
from verifier.audit.cosign import MapAuditor
from verifier.audit.evidence import MAX_BYTES
from verifier.audit.page import content_policy, report_page
from verifier.audit.service import Service
from verifier.web.answers import chosen_lang
from verifier.witness.web import DESK
from verifier.witness.web import create_app as create_witness_app

SERVICE: Final = web.AppKey("service", Service)
_NAME: Final = re.compile(r"[a-z]+-[0-9a-f]{1,20}\.json", re.ASCII)


def create_app(service: Service, auditor: MapAuditor) -> web.Application:
    """The application, ready for `ledger.edge.start_site`."""
    app = create_witness_app(auditor)
    app[SERVICE] = service
    _meters(app, service)
    app.add_routes(
        [
            web.get("/", get_page),
            web.get("/checkpoint", get_checkpoint),
            web.get("/v1/report", get_report),
            web.get("/v1/alarms", get_alarms),
            web.get("/evidence/{name}", get_evidence),
        ]
    )
    return app


async def get_page(request: web.Request) -> web.Response:
    lang = chosen_lang(request)
    page = report_page(request.app[SERVICE].report(), lang, switch=f"/?lang={'en' if lang == 'zh' else 'zh'}")
    headers = {"Content-Security-Policy": content_policy(), "Vary": "Accept-Language", "X-Robots-Tag": "noindex"}
    return web.Response(text=page, content_type="text/html", headers=headers)


async def get_checkpoint(request: web.Request) -> web.Response:
    desk, service = request.app[DESK], request.app[SERVICE]
    origin_hash = checkpoint_path(service.audit.pins.origin).partition("/")[0]
    note = await desk.decide(lambda: desk.witness.shown(origin_hash))
    if note is None:
        raise Rejected(404)
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
    return web.Response(body=note, content_type="text/plain", charset="utf-8", headers=headers)


async def get_report(request: web.Request) -> web.Response:
    return _json(request.app[SERVICE].report())


async def get_alarms(request: web.Request) -> web.Response:
    report = request.app[SERVICE].report()
    kept = ("schema", "generated", "result", "first_bad_index", "verified", "alarms", "evidence")
    return _json({name: report[name] for name in kept})


async def get_evidence(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    path = request.app[SERVICE].audit.folder / EVIDENCE_FOLDER / name
    if _NAME.fullmatch(name) is None or not path.is_file():
        raise Rejected(404)
    with path.open("rb") as file:
        return web.Response(body=file.read(MAX_BYTES), content_type="application/json")


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(body, ensure_ascii=False), content_type="application/json")


def _meters(app: web.Application, service: Service) -> None:
    """A few dozen series, without identifiers."""
    registry = app[DESK].registry
    size = Gauge("certaudit_replayed_entries", "Entries replayed", registry=registry)
    size.set_function(lambda: service.size)
    sound = Gauge("certaudit_sound", "1 sound, 0 broken or undecided", registry=registry)
    sound.set_function(lambda: service.sound)
    alarms = Gauge("certaudit_alarms", "Alarms standing, by code", ["code"], registry=registry)
    for code in CATALOGUE:
        alarms.labels(str(code)).set_function(partial(_standing, service, str(code)))


def _standing(service: Service, code: str) -> int:
    return service.standing[code]

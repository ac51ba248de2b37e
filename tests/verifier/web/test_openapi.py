"""What the site says of itself is so: a short run of scripts/schema-fuzz, apart from pytest's plugins and warnings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from verifier.access import web as access
from verifier.eligibility import sheets_web
from verifier.eligibility import web as eligibility
from verifier.hiring import web as hiring
from verifier.holders import room as holders
from verifier.kit import web as kit
from verifier.numbers import web as numbers
from verifier.receipts import web as receipts
from verifier.watch import web as watch
from verifier.web import routes as web_routes
from verifier.web.openapi import describe_routes

ROOT = Path(__file__).parents[3]


def test_the_running_site_keeps_to_its_description() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "campaigns.schemas", "--examples", "2"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    result = json.loads(done.stdout)
    assert result["operations"] > 75 and result["requests"] > 140


# Whose form is said elsewhere: the trust document, this document itself, a browser's manifest.
SAID_ELSEWHERE = {"/v1/trust", "/openapi.json", "/app.webmanifest"}


def test_every_room_says_what_its_json_looks_like() -> None:
    tables = [web_routes.ROUTES, access.ROUTES, receipts.ROUTES, hiring.ROUTES, watch.ROUTES, holders.ROUTES]
    tables += [eligibility.ROUTES, sheets_web.ROUTES, numbers.ROUTES, kit.ROUTES]
    described = describe_routes([route for table in tables for route in table], "https://v.example")
    bare = [
        f"{method} {path} {status}"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        for status, said in operation["responses"].items()
        for kind, content in said["content"].items()
        if kind == "application/json" and "properties" not in content["schema"] and path not in SAID_ELSEWHERE
    ]
    assert bare == []

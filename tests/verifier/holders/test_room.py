"""The room as an operator gets it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.holder_site import holder_site
from verifier.holders.room import ROUTES
from verifier.serving import ROOMS


async def test_its_routes_are_described_and_served(tmp_path: Path) -> None:
    assert "holders" in " ".join(build.__module__ for build in ROOMS)
    async with holder_site(tmp_path) as site:
        document = json.loads((await site.fetch("/openapi.json"))[1])
        for route in ROUTES:
            assert route.method.lower() in document["paths"][route.path]
        assert b"My certificates" in (await site.fetch("/?lang=en"))[1], "the start page leads there"
        assert site.desk.relying_party is not None and site.desk.cookie == "holder"

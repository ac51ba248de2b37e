"""Making and changing shares over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledger.records.dates import MS_PER_DAY
from tests.support.builders import octets
from tests.support.holder_site import HolderSite, holder_site
from verifier.holders.desk import to_text
from verifier.holders.share_store import Gate, Opened

TOKEN = octets("token", 16)


async def new(site: HolderSite, cookie: str, id_: bytes, **changes: Any) -> tuple[int, dict[str, Any]]:
    asked = {
        "certificate": to_text(id_),
        "token": to_text(TOKEN),
        "body": to_text(b"sealed"),
        "proof": "",
        "purpose": "job",
        "fields": ["name"],
        "recipient": "某公司",
        "period": "30",
    }
    status, body, _ = await site.fetch("/holder/shares", "POST", cookie=cookie, json=asked | changes)
    return status, json.loads(body)


async def test_a_share_is_made_extended_closed_and_forgotten(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        status, told = await new(site, cookie, kept.id)
        assert status == 200 and told["ends"].startswith("27 Jun 2026")
        opened = await site.desk.shares.open(TOKEN, None)
        assert isinstance(opened, Opened) and opened.expires_ms == site.now[0] + 30 * MS_PER_DAY
        assert opened.cert_key == kept.held.cert_key
        form = {"id": told["id"], "lang": "en", "period": "90"}
        assert (await site.fetch("/holder/shares/extend", "POST", cookie=cookie, data=form))[0] == 303
        opened = await site.desk.shares.open(TOKEN, None)
        assert isinstance(opened, Opened) and opened.expires_ms == site.now[0] + 90 * MS_PER_DAY
        assert (await site.fetch("/holder/shares/close", "POST", cookie=cookie, data=form))[0] == 303
        assert await site.desk.shares.open(TOKEN, None) is Gate.ENDED
        assert (await site.fetch("/holder/shares/extend", "POST", cookie=cookie, data=form))[0] == 404
        assert (await site.fetch("/holder/shares/drop", "POST", cookie=cookie, data=form))[0] == 303
        assert await site.desk.shares.listed(session) == []


async def test_what_is_no_share_is_refused(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        for status, changes in (
            (404, {"certificate": to_text(octets("other", 16))}),
            (400, {"token": "short"}),
            (400, {"token": "A" * 21 + "B"}),
            (400, {"body": ""}),
            (400, {"body": "*"}),
            (400, {"proof": "AAAA"}),
            (400, {"purpose": "x"}),
            (400, {"fields": ["picture"]}),
            (400, {"recipient": "某" * 101}),
            (400, {"extra": 1}),
            (422, {"period": "8"}),
        ):
            assert (await new(site, cookie, kept.id, **changes))[0] == status, changes
        assert await site.desk.shares.listed(session) == []
        assert (await new(site, cookie, kept.id))[0] == 200
        assert (await new(site, cookie, kept.id))[0] == 422, "a token is used once"
        status, _, _ = await site.fetch("/holder/shares", "POST", cookie=cookie, data=b"x" * 100_000)
        assert status == 413


async def test_the_form_has_what_can_be_chosen_for_the_browser_alone(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        path = f"/holder/certificates/{to_text(kept.id)}/share?lang=en"
        status, body, headers = await site.fetch(path, cookie=cookie)
        assert status == 200 and headers["cache-control"] == "no-store"
        assert kept.held.holder_code.hex().encode() not in body
        assert (await site.fetch(path))[0] == 303

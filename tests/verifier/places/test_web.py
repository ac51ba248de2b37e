"""Proof files over real HTTP, from the verdict page's links to the check of what was saved."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import aiohttp
import pytest

from ledger.downloads import RECEIPT, TLOG_PROOF
from ledger.edge import Site, start_site
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records import canonical
from ledger.records.receipt import format_receipt, open_receipt, parse_receipt
from ledger.records.rotation import LogKey
from ledger.text import Text
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, ISSUE_DAY, octets
from tests.support.place_proofs import RECEIPTS, receipt_file
from tests.support.receipt_office import Office, open_office
from tests.verifier.web.test_app import ask
from verifier.known_log import KnownLog
from verifier.log_end import parse_end
from verifier.places.placed import parse_place_proof, verify_place_of
from verifier.places.web import places_room
from verifier.web.app import create_app
from verifier.web.state import WebSettings


class Ledger:
    """Gives the receipt that it was given."""

    raw = b""
    wrong: Exception | None = None
    asked = 0

    async def receipt(self, cert_key: bytes) -> bytes:
        self.asked += 1
        if self.wrong is not None:
            raise self.wrong
        return self.raw


@asynccontextmanager
async def serving(office: Office, ledger: Ledger, *, pinned: bool = True) -> AsyncIterator[Site]:
    trust = office.log.trust(receipt_key=RECEIPTS.public if pinned else b"")
    office.lookup.logs[0].trust = trust
    room = places_room(office.lookup, [(trust, ledger)])
    web = WebSettings(BASE, now_ms=lambda: office.now[0])
    site = await start_site(create_app(office.lookup, web, [room]), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def test_the_end_of_a_log_is_shown_where_its_successor_is_believed(office: Office) -> None:
    key, log = office.certificate.issue.cert_key, office.log
    async with serving(office, Ledger()) as site, aiohttp.ClientSession() as session:

        async def shown(cert_key: bytes) -> tuple[int, bytes]:
            async with session.get(f"{site.url}/v1/evidence/{cert_key.hex()}/end") as got:
                return got.status, await got.read()

        assert await shown(key) == (200, canonical.encode([])), "it goes on"
        assert (await shown(bytes(32)))[0] == 404
        await log.batch([log.by_authority(LogKey(ISSUE_DAY, successor=office.lookup.logs[0].trust.origin + "/next"))])
        await office.catch_up()
        assert await shown(key) == (200, canonical.encode([])), "nobody here knows the next one"
        next_trust = replace(
            log.trust(),
            origin=log.origin + "/next",
            keys=tuple(replace(vkey, name=log.origin + "/next") for vkey in log.trust().keys),
        )
        office.lookup.logs = (*office.lookup.logs, KnownLog(next_trust, lambda: office.now[0]))
        status, raw = await shown(key)
        checkpoint = open_checkpoint(log.checkpoint(), log.origin, log.trust().keys).checkpoint
        assert status == 200 and parse_end(canonical.decode(raw)).successor(checkpoint) == next_trust.origin


async def test_from_the_page_to_the_check(office: Office) -> None:
    ledger, key = Ledger(), office.certificate.issue.cert_key.hex()
    ledger.raw = await receipt_file(office.log, office.certificate)
    async with serving(office, ledger) as site:
        page = (await ask(site, "GET", f"/c/{office.link.rpartition('/')[2]}")).text
        links = re.findall(r'<a href="(/v1/evidence/[^"]+)" download>', page)
        assert links == [f"/v1/evidence/{key}/tlog-proof", f"/v1/evidence/{key}/receipt"]
        for link, kind in zip(links, (TLOG_PROOF, RECEIPT), strict=True):
            async with aiohttp.ClientSession() as session, session.get(site.url + link) as got:
                body = await got.read()
            assert got.status == 200 and got.content_type == kind.content_type
            named = f'attachment; filename="{key[:16]}.{kind.ending}"'
            assert got.headers["Content-Disposition"] == named
            assert (await ask(site, "GET", link, headers={"If-None-Match": got.headers["ETag"]})).status == 304
            proof, trust = parse_place_proof(body), office.lookup.logs[0].trust
            placed = verify_place_of(proof, body, office.certificate.statement.entry, trust, office.now[0])
            assert placed.index == office.index and placed.entry == office.certificate.statement.entry


async def test_only_what_holds_is_handed_on(office: Office) -> None:
    ledger, path = Ledger(), f"/v1/evidence/{office.certificate.issue.cert_key.hex()}/receipt"
    other = office.log.certificate("other")
    await office.log.issue(other)
    await office.catch_up()
    lies = (
        b"nonsense",
        await receipt_file(office.log, other),
        await receipt_file(office.log, office.certificate, Ed25519Signer(octets("somebody"))),
    )
    async with serving(office, ledger) as site:
        for ledger.raw in lies:
            assert (await ask(site, "GET", path)).status == 503
        for ledger.wrong in (Unavailable(Text("没有应答", "away")), Refused("not_found", "", Text("无", "none"))):
            assert (await ask(site, "GET", path)).status == 503


async def test_a_receipt_of_another_place_is_not_handed_on(office: Office) -> None:
    """A receipt's path holds at every place of the same shape: one that is true of all but the index."""
    await office.log.issue(shown := office.log.certificate("other"))
    await office.catch_up()
    ledger, path = Ledger(), f"/v1/evidence/{shown.issue.cert_key.hex()}/receipt"
    entry, origin = shown.statement.entry, office.log.origin
    true = parse_receipt(await receipt_file(office.log, shown))
    async with serving(office, ledger) as site:
        moved = 0
        for index, size in combinations(range(40), 2):
            raw = format_receipt(replace(true, size=size, index=index))
            with suppress(Unverified, Malformed):
                if open_receipt(raw, entry, origin, RECEIPTS.public).index != true.index:
                    moved, ledger.raw = moved + 1, raw
                    assert (await ask(site, "GET", path)).status == 503
        assert moved


async def test_without_a_pinned_key_there_is_no_receipt_and_no_link(office: Office) -> None:
    key = office.certificate.issue.cert_key.hex()
    async with serving(office, Ledger(), pinned=False) as site:
        page = (await ask(site, "GET", f"/c/{office.link.rpartition('/')[2]}")).text
        assert "/tlog-proof" in page and "/receipt" not in page
        assert (await ask(site, "GET", f"/v1/evidence/{key}/receipt")).status == 404


async def test_of_nobody_there_is_none_and_no_ledger_is_asked(office: Office) -> None:
    ledger = Ledger()
    async with serving(office, ledger) as site:
        for text in ("00" * 32, "00" * 31, "0A" * 32, "x"):
            for kind in ("tlog-proof", "receipt"):
                assert (await ask(site, "GET", f"/v1/evidence/{text}/{kind}")).status == 404
        assert ledger.asked == 0
        nobody = (await ask(site, "GET", f"/c/{office.log.certificate('never').code().link.rpartition('/')[2]}")).text
        assert "/v1/evidence/" not in nobody

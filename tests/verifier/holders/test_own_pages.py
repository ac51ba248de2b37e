"""What a holder takes along and asks for."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

from ledger.records.erasure import open_order, public_of
from tests.support.builders import octets
from tests.support.holder_site import holder_site
from verifier.access.keys import ApiKeys
from verifier.holders.desk import to_text
from verifier.holders.requests import waiting
from verifier.holders.shares import Note
from verifier.verdict import Code
from verifier.watch.standing import Standing
from verifier.watch.store import Watch

OPERATOR = octets("operator")


async def test_the_bundle_is_one_that_verifies_and_can_be_claimed_with(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        path = f"/holder/certificates/{to_text(kept.id)}/bundle"
        status, raw, headers = await site.fetch(path, cookie=cookie)
        assert status == 200 and "attachment" in headers["content-disposition"]
        assert headers["cache-control"] == "no-store"
        assert (await site.lookup.by_file(raw)).code is Code.VALID
        assert (await site.fetch(path))[0] == 303, "signed in only"
        _, theirs = await site.signed_in()
        assert (await site.fetch(path, cookie=theirs))[0] == 200, "the same account"


async def test_one_of_another_account_is_not_there(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        session, _ = await site.signed_in(0)
        (kept,) = await site.desk.accounts.certificates(session)
        _, stranger = await site.signed_in(1)
        for path in ("bundle", "share"):
            assert (await site.fetch(f"/holder/certificates/{to_text(kept.id)}/{path}", cookie=stranger))[0] == 404
        form = {"id": to_text(kept.id), "field": "name", "lang": "en"}
        for path in ("drop", "correction", "erasure"):
            status, _, _ = await site.fetch(f"/holder/certificates/{path}", "POST", cookie=stranger, data=form)
            assert status == 404
        assert len(await site.desk.accounts.certificates(session)) == 1


async def test_the_export_has_everything(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        note = Note(octets("token", 16), "job", ("name",), "某公司")
        await site.desk.shares.add(session, kept.id, kept.held.cert_key, note, b"body", b"", site.now[0] + 9)
        await site.desk.shares.open(note.token, None)
        await site.desk.accounts.add_passkey(session, b"credential", b"key", 0)
        await site.desk.requests.add(session, "correction", kept.held.cert_key, "employer", b"")
        status, raw, _ = await site.fetch("/holder/export", cookie=cookie)
        assert status == 200 and (await site.fetch("/holder/export"))[0] == 303
        with zipfile.ZipFile(BytesIO(raw)) as packed:
            document = json.loads(packed.read("export.json"))
            bundle = packed.read(f"bundles/{kept.held.face.number}.bundle")
        assert (await site.lookup.by_file(bundle)).code is Code.VALID
        (certificate,), (share,) = document["certificates"], document["shares"]
        assert certificate["name"] == "例小明" and certificate["openings"]["employer"][2] == "例小明厂"
        assert share["recipient"] == "某公司" and share["views"] == 1 and len(share["seen"]) == 1
        assert document["passkeys"][0]["id"] == b"credential".hex()
        assert document["requests"][0]["field"] == "employer"


async def test_a_correction_is_asked_for_without_a_word_about_the_person(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        form = {"id": to_text(kept.id), "field": "name", "lang": "en"}
        assert (await site.fetch("/holder/certificates/correction", "POST", cookie=cookie, data=form))[0] == 303
        (one,) = await waiting(site.context.store)
        assert (one.kind, one.cert_key, one.field, one.order) == ("correction", kept.held.cert_key, "name", b"")
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        assert b"Correction: Name" in body
        form["field"] = "grade"
        assert (await site.fetch("/holder/certificates/correction", "POST", cookie=cookie, data=form))[0] == 400


async def test_erasure_leaves_an_order_that_only_the_operator_opens_and_nothing_else(tmp_path: Path) -> None:
    async with holder_site(tmp_path, erasure_key=public_of(OPERATOR).hex()) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        form = {"id": to_text(kept.id), "lang": "en"}
        assert b"Ask for erasure" in (await site.fetch("/holder?lang=en", cookie=cookie))[1]
        assert (await site.fetch("/holder/certificates/erasure", "POST", cookie=cookie, data=form))[0] == 303
        (one,) = await waiting(site.context.store)
        assert open_order(OPERATOR, one.order) == kept.held.secret and one.kind == "erasure"
        assert kept.held.secret not in one.order
        assert await site.desk.accounts.certificates(session) == []


async def test_without_the_operators_key_nobody_can_ask_here(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        assert b"ask the issuer" in (await site.fetch("/holder?lang=en", cookie=cookie))[1]
        form = {"id": to_text(kept.id), "lang": "en"}
        assert (await site.fetch("/holder/certificates/erasure", "POST", cookie=cookie, data=form))[0] == 404
        assert len(await site.desk.accounts.certificates(session)) == 1


async def test_who_watches_is_seen_and_can_be_ended(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        session, cookie = await site.signed_in(0)
        (kept,) = await site.desk.accounts.certificates(session)
        assert "谁在关注" not in (await site.fetch("/holder?lang=zh", cookie=cookie))[1].decode()
        watches = site.desk.watches
        key, _ = await ApiKeys(watches._store, lambda: site.now[0]).add("示例机械厂人事", lambda n: octets("key", n))
        known = Standing("in_force", 20_000, "00", 4)
        made = Watch(watches.new_id(), key.id, kept.held.cert_key, "https://hr.example.com/", "", site.now[0], known)
        await watches.add(made, b"sealed")
        page = (await site.fetch("/holder?lang=zh", cookie=cookie))[1].decode()
        assert "谁在关注" in page and "示例机械厂人事" in page and "hr.example.com" not in page
        form = {"id": to_text(kept.id), "watch": made.id, "lang": "zh"}
        _, stranger = await site.signed_in(1)
        assert (await site.fetch("/holder/watches/object", "POST", cookie=stranger, data=form))[0] == 404
        assert (await site.fetch("/holder/watches/object", "POST", cookie=cookie, data=form))[0] == 303
        assert (await site.fetch("/holder/watches/object", "POST", cookie=cookie, data=form))[0] == 404
        page = (await site.fetch("/holder?lang=zh", cookie=cookie))[1].decode()
        assert "已停止于" in page and "反对并停止" not in page
        assert [event.kind for event in await watches.events(made.id)] == ["objected"]

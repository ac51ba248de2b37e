"""What a holder takes along and asks for."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

from ledger.records.commitments import FaceOpening
from ledger.records.erasure import open_order, public_of
from tests.support.builders import octets
from tests.support.holder_site import holder_site
from verifier.holders.desk import to_text
from verifier.holders.export import bundle_name
from verifier.holders.held import Held
from verifier.holders.requests import waiting
from verifier.holders.shares import Note
from verifier.verdict import Code

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


def test_a_number_names_a_file_and_nothing_else() -> None:
    """It is the word of a ledger: no folder, no header and no quote comes out of it."""
    for number, name in (
        ("Y000051000001263000001", "Y000051000001263000001.bundle"),
        ("../../x/Y0", "xY0.bundle"),
        ('a"\r\nSet-Cookie: b', "aSet-Cookieb.bundle"),
        ("证书", ".bundle"),
    ):
        face = FaceOpening(bytes(16), number, "例")
        held = Held(bytes(16), bytes(16), face, (bytes(32),) * 8, (), bytes(32))
        assert bundle_name(held) == name

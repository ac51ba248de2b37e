"""Passkeys over HTTP, with a device in software: what signs in, and what does not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.support.builders import octets
from tests.support.holder_site import HolderSite, holder_site
from tests.support.soft_passkey import PRESENT, SoftPasskey, text
from verifier.web.clients import Allowance


async def ask(site: HolderSite, path: str, cookie: str = "") -> dict[str, Any]:
    status, body, _ = await site.fetch(f"/holder/{path}/options", "POST", cookie=cookie, json={})
    assert status == 200, body
    return json.loads(body)


async def enrolled(site: HolderSite, which: int = 0) -> tuple[SoftPasskey, bytes, str]:
    """A device with a passkey, the handle it was given, and the cookie of whoever made it."""
    _, cookie = await site.signed_in(which)
    device = SoftPasskey(site.url, "localhost", id=b"credential %d" % which)
    options = await ask(site, "passkeys", cookie)
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["attestation"] == "none" and options["user"]["name"] == "例*明"
    status, body, _ = await site.fetch("/holder/passkeys", "POST", cookie=cookie, data=device.create(options))
    assert status == 200, body
    handle = options["user"]["id"]
    return device, base64.urlsafe_b64decode(handle + "=" * (-len(handle) % 4)), cookie


async def test_a_passkey_opens_what_was_claimed(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        device, handle, _ = await enrolled(site)
        answer = device.get(await ask(site, "sign-in"), handle)
        status, _, headers = await site.fetch("/holder/sign-in", "POST", data=answer)
        cookie = headers["set-cookie"].partition(";")[0]
        assert status == 200 and "HttpOnly" in headers["set-cookie"]
        assert "例小明" in (await site.fetch("/holder", cookie=cookie))[1].decode()
        status, _, _ = await site.fetch("/holder/sign-in", "POST", data=answer)
        assert status == 403, "a challenge is answered once"


async def test_the_account_is_named_by_the_handle_that_the_device_holds(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        device, handle, _ = await enrolled(site, 0)
        _, theirs, _ = await enrolled(site, 1)
        for wrong in (octets("another handle"), theirs):
            answer = device.get(await ask(site, "sign-in"), wrong)
            assert (await site.fetch("/holder/sign-in", "POST", data=answer))[0] == 403
        answer = device.get(await ask(site, "sign-in"), None)
        assert (await site.fetch("/holder/sign-in", "POST", data=answer))[0] == 400
        assert handle != theirs


async def test_what_does_not_hold_does_not_sign_in(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        device, handle, _ = await enrolled(site)
        other_key = SoftPasskey(site.url, "localhost", id=device.id)
        other_site = SoftPasskey(site.url, "example.org", id=device.id, key=device.key)
        unknown = SoftPasskey(site.url, "localhost", id=b"unknown")
        answers = [
            other_key.get(await ask(site, "sign-in"), handle),
            other_site.get(await ask(site, "sign-in"), handle),
            unknown.get(await ask(site, "sign-in"), handle),
            device.get(await ask(site, "sign-in"), handle, origin="http://localhost.example"),
            device.get(await ask(site, "sign-in"), handle, type="webauthn.create"),
            device.get(await ask(site, "sign-in"), handle, flags=PRESENT),
            device.get({"challenge": text(octets("never handed out"))}, handle),
        ]
        bodies = set()
        for answer in answers:
            status, body, headers = await site.fetch("/holder/sign-in", "POST", data=answer)
            assert status == 403 and "set-cookie" not in headers
            bodies.add(json.loads(body)["error"]["code"])
        assert bodies == {"unverified"}
        for junk in (b"", b"{}", b"[]", b'{"id": 1}', b"\xff", b'{"response": {"clientDataJSON": "!"}}'):
            assert (await site.fetch("/holder/sign-in", "POST", data=junk))[0] == 400


async def test_a_count_that_goes_back_is_a_copy(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        device, handle, _ = await enrolled(site)
        for count, status in ((5, 200), (5, 403), (4, 403), (6, 200)):
            device.count = count
            answer = device.get(await ask(site, "sign-in"), handle)
            assert (await site.fetch("/holder/sign-in", "POST", data=answer))[0] == status


async def test_a_passkey_is_made_for_whoever_asked(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        _, mine = await site.signed_in(0)
        _, theirs = await site.signed_in(1)
        device = SoftPasskey(site.url, "localhost")
        for answer in (
            device.create(await ask(site, "passkeys", theirs)),
            device.create(await ask(site, "passkeys", mine), flags=PRESENT),
            device.create(await ask(site, "passkeys", mine), origin="https://elsewhere.example"),
            device.create(await ask(site, "sign-in")),
        ):
            assert (await site.fetch("/holder/passkeys", "POST", cookie=mine, data=answer))[0] == 403
        assert await site.context.store.fetch("SELECT * FROM holder_passkey") == []


async def test_removing_a_passkey_and_signing_out(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        device, handle, cookie = await enrolled(site)
        _, lost = await site.signed_in()
        form = {"id": text(device.id), "lang": "en"}
        assert (await site.fetch("/holder/passkeys/drop", "POST", cookie=cookie, data=form))[0] == 303
        answer = device.get(await ask(site, "sign-in"), handle)
        assert (await site.fetch("/holder/sign-in", "POST", data=answer))[0] == 403
        assert b"Sign in" in (await site.fetch("/holder", cookie=lost))[1], "everybody else is signed out"
        assert b"My shares" in (await site.fetch("/holder", cookie=cookie))[1]
        assert (await site.fetch("/holder/sign-out", "POST", cookie=cookie, data={"lang": "en"}))[0] == 303
        assert b"Sign in" in (await site.fetch("/holder", cookie=cookie))[1]


async def test_one_client_asks_so_often(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        site.desk.sign_ins = Allowance(1.0, 2)
        statuses = [(await site.fetch("/holder/sign-in/options", "POST", json={}))[0] for _ in range(3)]
        assert statuses == [200, 200, 503]

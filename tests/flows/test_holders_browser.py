"""Holders' pages in a real Chromium with a virtual authenticator: claim, passkey, share, another browser, close."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page

from ledger.edge_log import JsonLines
from ledger.records.secret import format_secret
from ledger.tlog.policy import Policy, Witness, format_policy
from tests.support.chromium import IN_CHROMIUM, axe, chromium
from tests.support.holder_site import HolderSite, holder_site
from tests.support.witnesses import Cosigner
from verifier.holders.desk import from_text
from verifier.watch.standing import Standing
from verifier.watch.store import Watch

PIN = "493817"
RECIPIENT = "某某收件公司"
pytestmark = IN_CHROMIUM


class Watched:
    """A browser's page with everything that it sent, got and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.sent: list[str] = []
        self.got: list[bytes] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._request)

    def _request(self, request: object) -> None:
        self.sent.append(request.url + "\n" + (request.post_data or ""))  # type: ignore[attr-defined]
        self.hosts.add(urlsplit(request.url).scheme + ":" + urlsplit(request.url).netloc)  # type: ignore[attr-defined]


async def new_page(browser: Browser, **how: object) -> tuple[BrowserContext, Watched]:
    context = await browser.new_context(locale="en-GB", viewport={"width": 390, "height": 800}, **how)  # type: ignore[arg-type]
    return context, Watched(await context.new_page())


async def authenticator(context: BrowserContext, page: Page) -> None:
    client = await context.new_cdp_session(page)
    await client.send("WebAuthn.enable")
    await client.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


async def claim(site: HolderSite, page: Page) -> None:
    await page.goto(f"{site.url}/holder/claim?lang=en")
    for name, value in site.fields().items():
        await page.fill(f"[name={name}]", value)
    await page.click("main button")
    await page.wait_for_url("**/holder?lang=en")


async def share(site: HolderSite, page: Page, *, pin: str = "", purpose: str = "job", recipient: str = "") -> str:
    await page.goto(f"{site.url}/holder?lang=en")
    await page.click("text=Share >> nth=0")
    await page.check(f"input[name=purpose][value={purpose}]")
    if recipient:
        await page.fill("[name=recipient]", recipient)
    if pin:
        await page.fill("[name=pin]", pin)
    await page.click("text=Make the link")
    await page.wait_for_selector("#made:not([hidden])")
    return await page.input_value("#link")


async def asking_for_a_witness(route: Any) -> None:
    answer = await route.fetch()
    said = await answer.json()
    stranger = Cosigner("witness.example/stranger").ed25519
    for log in said["logs"]:
        log["policy"] = format_policy(Policy((), (Witness("s", stranger),), (), "s"))
    await route.fulfill(response=answer, json=said)


async def test_claim_passkey_share_open_close(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        await authenticator(context, holder.page)
        await claim(site, holder.page)
        await holder.page.click("text=Add a passkey >> nth=-1")
        await holder.page.wait_for_selector("text=Remove >> visible=true")
        await holder.page.click("text=Sign out")
        await holder.page.click("text=Sign in with a passkey")
        await holder.page.wait_for_selector("text=My shares")

        link = await share(site, holder.page, recipient="某某公司")
        key = link.partition("#")[2]
        assert len(key) == 22 and not any(key in sent for sent in holder.sent)
        preview = await holder.page.locator("[data-preview]").inner_text()

        other, visitor = await new_page(browser)
        await visitor.page.goto(link)
        await visitor.page.wait_for_selector(".shared.proven")
        text = await visitor.page.locator(".shared").inner_text()
        assert "例小明" in text and "某某公司" in text and "Checked in your browser" in text
        assert "例小明" in preview and "厂" not in text
        assert not any(key in sent for sent in visitor.sent)
        assert visitor.said == [] and visitor.hosts == {f"http:{urlsplit(site.url).netloc}"}

        # A browser that waits for a witness which has not vouched: the band above turns amber, as on a verdict page.
        strict_context, strict = await new_page(browser)
        await strict.page.route("**/v1/trust", asking_for_a_witness)
        await strict.page.goto(link)
        await strict.page.wait_for_selector(".shared.proven")
        assert await strict.page.locator(".band").get_attribute("class") == "band caution"
        assert (await strict.page.title()).startswith("!")
        await strict_context.close()

        await holder.page.goto(f"{site.url}/holder?lang=en")
        assert "Times opened: 2" in await holder.page.locator("#shares").inner_text()
        await holder.page.click("text=Times opened: 2")
        assert len(await holder.page.locator("#shares details li:visible").all()) == 2, "each view with its time"

        key = site.certificates[0].issue.cert_key
        api_key = "INSERT INTO api_key VALUES ($1, $2, $3, 1, NULL, 60, 100)"
        await site.context.store.execute(api_key, "k1", "某某人力资源部", b"d")
        standing = Standing("in_force", 0, "", 4)
        watch = Watch("ab" * 16, "k1", key, "https://hr.example/hook", "their note", site.now[0], standing)
        await site.desk.watches.add(watch, b"sealed")
        await holder.page.goto(f"{site.url}/holder?lang=en")
        await holder.page.click("text=Who watches this certificate: 1")
        assert await holder.page.locator("details[open] >> text=某某人力资源部").is_visible()
        assert "their note" not in await holder.page.content() and "hr.example" not in await holder.page.content()
        await holder.page.click("form[action$='objection'] button")
        await holder.page.wait_for_selector("form[action$='objection']", state="detached")
        (watcher,) = await site.desk.watches.watchers(key)
        assert watcher.objected_ms == site.now[0]
        await holder.page.click("text=Close now")
        await holder.page.wait_for_selector("text=Closed")
        await visitor.page.reload()
        assert "This shared link has ended" in await visitor.page.inner_text("main")
        assert holder.said == []
        await other.close()
        await context.close()


def opened(link: str, posted: dict[str, Any], pin: str) -> dict[str, Any]:
    """What a share discloses, read by another implementation of its format."""
    token, key = from_text(posted["token"]), from_text(link.partition("#")[2])
    label = b"certledger/share/v1/"
    stretched = PBKDF2HMAC(SHA256(), 32, label + b"pin\n" + key + token, 600_000).derive(pin.encode()) if pin else b""
    derived = {
        purpose: HKDF(SHA256(), 32, salt=None, info=label + purpose.encode()).derive(key + stretched)
        for purpose in ("body", "proof")
    }
    assert posted["proof"] == "" if not pin else from_text(posted["proof"]) == derived["proof"]
    body = from_text(posted["body"])
    plain = AESGCM(derived["body"]).decrypt(body[:12], body[12:], token)
    assert len(plain) % 512 == 0, "its length does not tell which fields it has"
    found: dict[str, Any] = json.loads(plain)
    return found


async def test_a_pin_is_needed_and_nothing_of_it_all_is_found_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        await claim(site, holder.page)
        link = await share(site, holder.page, pin=PIN, purpose="job", recipient=RECIPIENT)
        (posted,) = [
            json.loads(sent.split("\n")[1]) for sent in holder.sent if sent.startswith(f"{site.url}/holder/shares?")
        ]
        disclosed = opened(link, posted, PIN)
        assert set(disclosed["shown"]) == {"name"} and "厂" not in json.dumps(disclosed, ensure_ascii=False)

        other, visitor = await new_page(browser)
        answers: list[Any] = []
        visitor.page.on("response", lambda answer: answers.append(answer))
        await visitor.page.goto(link)
        assert "III" not in await visitor.page.inner_text("main"), "nothing before the PIN"
        assert await axe(visitor.page) == []
        await visitor.page.fill("[name=pin]", "000000")
        await visitor.page.click("text=Open >> visible=true")
        await visitor.page.wait_for_selector("text=That is not the PIN")
        await visitor.page.fill("[name=pin]", PIN)
        await visitor.page.click("text=Open >> visible=true")
        await visitor.page.wait_for_selector(".shared.proven")
        text = await visitor.page.inner_text("main")
        assert "例小明" in text and RECIPIENT in text and await axe(visitor.page) == []
        assert visitor.said == [] and holder.said == []

        certificate = site.certificates[0]
        employer = certificate.openings[1]
        for answer in answers:  # undisclosed: absent from every byte that reached the other side
            got = await answer.body()
            for undisclosed in (
                str(employer.value).encode(),
                employer.salt.hex().encode(),
                certificate.secret.hex().encode(),
            ):
                assert undisclosed not in got
        key = link.partition("#")[2]
        for hidden in (PIN, key):
            assert not any(hidden in sent for sent in [*visitor.sent, *holder.sent])

        async with aiohttp.ClientSession() as session, session.get(f"{site.url}/metrics") as answer:
            metrics = await answer.text()
        logged = "\n".join(JsonLines().format(record) for record in caplog.records)
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("site.db*"))
        assert "/s/{token}" in logged and "certverifier_verdicts" in metrics and len(kept) > 4096
        for canary in (
            certificate.face.name, certificate.face.number, format_secret(certificate.secret), "123X", PIN, key,
            format_secret(certificate.holder_code), str(employer.value), RECIPIENT, posted["token"],
        ):  # fmt: skip
            assert canary not in logged and canary not in metrics and canary.encode() not in kept, canary
        for raw in (certificate.secret, certificate.holder_code, certificate.issue.cert_key, certificate.face.salt):
            assert raw not in kept and raw.hex() not in logged
        await other.close()
        await context.close()


async def test_what_was_not_signed_turns_red_although_the_site_passes_it_on(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        await claim(site, holder.page)
        for name in ("name", "employer"):
            page = holder.page

            async def forge(route: Any, name: str = name) -> None:
                answer = await route.fetch()
                text = (
                    (await answer.text()).replace("例小明厂", "大厂")
                    if name == "employer"
                    else ((await answer.text()).replace("例小明&", "张三&").replace("例小明\\", "张三\\"))
                )
                await route.fulfill(response=answer, body=text)

            await page.route("**/holder/certificates/*/share?lang=en", forge)
            link = await share(site, page, purpose="title")
            await page.unroute("**/holder/certificates/*/share?lang=en")
            other, visitor = await new_page(browser)
            await visitor.page.goto(link)
            await visitor.page.wait_for_selector(".shared.refused")
            text = await visitor.page.inner_text(".shared")
            assert "not what the issuer signed" in text and "张三" not in text and "大厂" not in text
            await other.close()
        other, visitor = await new_page(browser)
        await visitor.page.goto(link.partition("#")[0])
        await visitor.page.wait_for_selector("text=The link is not complete")
        await other.close()
        await context.close()


LOOK_AT_PICTURE = """(async () => {
  const one = document.querySelector(".shared img");
  await one.decode();
  return [one.src, one.alt, one.naturalWidth];
})()"""


def portrait(shade: int) -> bytes:
    """A small picture with enough in it to be recognised."""
    out = io.BytesIO()
    Image.effect_noise((120, 168), 8).point(lambda value: min(255, value + shade)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


async def test_a_photo_is_shared_as_it_was_signed_or_not_at_all(tmp_path: Path) -> None:
    signed, other_face = portrait(0), portrait(90)
    first, second = base64.b64encode(signed).decode(), base64.b64encode(other_face).decode()
    async with holder_site(tmp_path, photo=signed) as site, chromium() as browser:
        context, holder = await new_page(browser)
        page = holder.page
        await claim(site, page)
        link = await share(site, page, purpose="job")
        assert (
            await page.evaluate("document.querySelector('[data-preview] img').src") == f"data:image/jpeg;base64,{first}"
        )
        visiting, visitor = await new_page(browser)
        await visitor.page.goto(link)
        await visitor.page.wait_for_selector(".shared.proven img")
        shown = await visitor.page.evaluate(LOOK_AT_PICTURE)
        assert shown == [f"data:image/jpeg;base64,{first}", "Photo on the register", 120]
        assert await axe(visitor.page) == [] and visitor.said == []

        link = await share(site, page, purpose="title")  # name, scores and employer: no photo
        posted = json.loads([sent for sent in holder.sent if f"{site.url}/holder/shares?" in sent][-1].split("\n")[1])
        disclosed = opened(link, posted, "")
        assert set(disclosed) == {"cert_key", "purpose", "recipient", "digests", "shown"}
        assert set(disclosed["shown"]) == {"name", "employer"} and len(from_text(posted["body"])) < 2048

        place = "**/holder/certificates/*/share?lang=en"
        for purpose, true, false in (
            ("job", first, second),
            ("job", first, "AAAA"),
            ("title", "&#34;employer&#34;: [4", "&#34;scores&#34;: [4"),  # what was signed, under another name
        ):

            async def forge(route: Any) -> None:
                answer = await route.fetch()
                before = await answer.text()
                text = before.replace(true, false)  # noqa: B023  # awaited within this turn
                assert text != before
                await route.fulfill(response=answer, body=text.replace('value="scores" disabled', 'value="scores"'))

            await page.route(place, forge)
            link = await share(site, page, purpose=purpose)
            await page.unroute(place)
            await visitor.page.goto("about:blank")
            await visitor.page.goto(link)
            await visitor.page.wait_for_selector(".shared.refused")
            assert await visitor.page.locator(".shared img").count() == 0
            assert "例小明厂" not in await visitor.page.inner_text(".shared")
        await visiting.close()
        await context.close()


async def test_pages_fit_and_have_no_barriers(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        page = holder.page
        for lang in ("zh", "en"):
            await page.goto(f"{site.url}/holder?lang={lang}")
            assert await axe(page) == []
            await page.goto(f"{site.url}/holder/claim?lang={lang}")
            await page.click("main button")
            assert await axe(page) == []
        await claim(site, page)
        await share(site, page)
        assert await axe(page) == []
        for scheme, lang in (("light", "zh"), ("dark", "en")):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.goto(f"{site.url}/holder?lang={lang}")
            await page.click("details summary >> nth=0")
            assert await axe(page) == []
            await page.click(".button[href*='/share']")
            await page.wait_for_selector("form:not([hidden]) [data-preview] b")
            assert await axe(page) == []
        for width in (320, 360, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            for path in ("holder", "holder/claim"):
                await page.goto(f"{site.url}/{path}?lang=en")
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert [said for said in holder.said if "422" not in said] == [], "but for the claim that said what is missing"
        await context.close()

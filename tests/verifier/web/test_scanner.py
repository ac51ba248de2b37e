"""The scanner and look-ups in a real Chromium: a camera that sees a printed certificate, and everything that stands in
for it. What stands behind `#` reaches no server, nothing comes from elsewhere, no policy is broken."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import qrcode
from playwright.async_api import Browser, Page, Request

from ledger.edge import start_site
from ledger.edge_log import JsonLines
from ledger.records.secret import format_secret
from tests.support.build_log import BASE
from tests.support.camera import jpeg
from tests.support.chromium import IN_CHROMIUM, axe, chromium, until
from tests.support.scan_site import ScanSite, scan_site
from tests.support.verdict_samples import NOW_MS, FakeServices
from verifier.messages import load_messages
from verifier.verdict import Code
from verifier.web.app import WebSettings, create_app
from verifier.web.assets import load_assets

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    *IN_CHROMIUM,
]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
INITIAL_WINDOW = 10 * 1460  # bytes that a server sends before it waits for the first answer (RFC 6928)
WATCH = """
window.broken = [];
addEventListener('securitypolicyviolation', (e) => window.broken.push(e.violatedDirective + ' ' + e.blockedURI));
"""


@dataclass
class Seen:
    """What the browser asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def note(self, request: Request) -> None:
        self.requests.append(f"{request.method} {request.url} {request.headers} {request.post_data_buffer!r}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ScanSite]:
    async with scan_site(tmp_path_factory.mktemp("scan")) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(site: ScanSite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    path = tmp_path_factory.mktemp("clip") / "clip.mjpeg"
    path.write_bytes(site.clip())
    async with chromium(*CAMERA, f"--use-file-for-fake-video-capture={path}") as browser:
        yield browser


@asynccontextmanager
async def opened(
    browser: Browser, site: ScanSite, path: str = "/?lang=en", **more: Any
) -> AsyncIterator[tuple[Page, Seen]]:
    """A page that is watched, and must be clean at the end."""
    start = more.pop("start", "")
    context = await browser.new_context(permissions=["camera"], **({"viewport": {"width": 360, "height": 740}} | more))
    page, seen = await context.new_page(), Seen()
    context.on("request", seen.note)
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    await page.add_init_script(WATCH + start)
    await page.goto(site.site.url + path)
    yield page, seen
    assert await page.evaluate("window.broken") == [] and seen.said == []
    assert {request.split(" ")[1].split("/")[2] for request in seen.requests if " data:" not in request} == {
        site.site.url.partition("://")[2]
    }, "a request to somebody else"
    kept = [said for said in (*site.heard, *seen.requests) if site.fragment[:40] in said]
    assert kept == [], "what stands behind # was sent"
    await context.close()


def picture(text: str) -> bytes:
    buffer = io.BytesIO()
    qrcode.make(text, box_size=6).save(buffer)
    return buffer.getvalue()


# ---- the camera -----------------------------------------------------------------------------------------------------


async def test_a_printed_certificate_before_the_camera_is_a_verdict(
    site: ScanSite, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(browser, site) as (page, seen):
        assert not any(".wasm" in request for request in seen.requests), "loaded before it was asked for"
        await page.click("#scan-start")
        await page.wait_for_url("**/c/**")
        assert await page.title() == "✓ Valid · Skill-grade certificate check"
        assert await page.evaluate("location.hash") == "#" + site.fragment
        assert "例*明" in await page.inner_text("main") and "例小明" not in await page.content()
        assert any(request.split(" ")[1].endswith(".wasm") for request in seen.requests)
    logged = "".join(JsonLines().format(record) for record in caplog.records)
    assert "/c/{secret}" in logged
    for secret in (site.fragment[:40], format_secret(site.certificate.secret), site.certificate.face.number):
        assert secret not in logged


async def test_a_browser_that_hands_no_frames_over_reads_them_from_a_canvas(site: ScanSite, browser: Browser) -> None:
    async with opened(browser, site, start="delete window.VideoFrame;") as (page, _):
        await page.click("#scan-start")
        await page.wait_for_url("**/c/**")
        assert await page.evaluate("location.hash") == "#" + site.fragment


FRAMES = """async ([reader, picture]) => {
const { readFrame, readVideo } = await import(reader);
const bitmap = await createImageBitmap(new Blob([new Uint8Array(picture)]));
const [width, height] = [bitmap.width & ~1, bitmap.height & ~1];
const canvas = new OffscreenCanvas(width, height);
canvas.getContext("2d").drawImage(bitmap, 0, 0);
const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
const look = { square: false, part: 1, how: "plain" };
const told = {};
for (const format of ["I420", "I422", "NV12", "RGBA", "RGBX", "BGRA", "BGRX", "I420P10"]) {
  const planar = /^[IN]/.test(format);
  const wide = format.endsWith("P10") ? 2 : 1;
  const bytes = planar ? new Uint8Array(width * height * 2 * wide).fill(128) : pixels;
  if (planar && wide === 1) for (let at = 0; at < width * height; at += 1) bytes[at] = pixels[4 * at];
  const made = { format, codedWidth: width, codedHeight: height, timestamp: 0 };
  const frame = new VideoFrame(bytes, made);
  told[format] = await readFrame(frame, look);
  if (frame.format !== null) told[format] = "not closed";
}
window.VideoFrame = class { constructor() { throw new DOMException("no", "SecurityError"); } };
const video = document.createElement("video");
video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
await video.play();
told.drawn = await readVideo(video, document.createElement("canvas"), look);
video.srcObject.getTracks()[0].stop();
return told;
}"""


async def test_every_kind_of_frame_is_read_or_said_not_to_be(site: ScanSite, browser: Browser) -> None:
    """Cameras give planes of light and colour, or four bytes a pixel; what cannot be read is drawn instead."""
    reader = f"/static/{load_assets().names['scan-reader.js']}"
    async with opened(browser, site) as (page, _):
        told = await page.evaluate(FRAMES, [reader, list(picture("HELLO"))])
    drawn = told.pop("drawn")
    assert told.pop("I420P10") is None
    assert told == {kind: ["HELLO"] for kind in ("I420", "I422", "NV12", "RGBA", "RGBX", "BGRA", "BGRX")}
    assert isinstance(drawn, list)


async def test_twenty_seconds_without_a_code_bring_advice(site: ScanSite, browser: Browser) -> None:
    blind = "window.Worker = class { postMessage() {} };"
    async with opened(browser, site, start=blind) as (page, _):
        await page.clock.install()
        await page.click("#scan-start")
        await page.wait_for_selector("#scan-view:visible")
        await until(page, "document.getElementById('scan-video').videoWidth > 0")
        assert await page.evaluate("document.getElementById('scan-video').videoWidth") == 1920
        await page.clock.run_for(19_000)
        assert not await page.is_visible("#scan-help")
        await page.clock.run_for(1_500)
        assert await page.is_visible("#scan-help") and "glare" in await page.inner_text("#scan-help")
        await page.click("#scan-stop")
        assert (
            not await page.is_visible("#scan-view") and await page.evaluate("document.activeElement.id") == "scan-start"
        )
        assert await page.evaluate("document.getElementById('scan-video').srcObject === null")


async def test_every_failure_of_a_camera_leads_to_the_upload(site: ScanSite, browser: Browser) -> None:
    names = ("NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError", "NotSupportedError",
             "SecurityError", "AbortError", "TypeError", "Nonsense")  # fmt: skip
    refusing = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', window.failure));"
    async with opened(browser, site, start=refusing) as (page, _):
        for name in names:
            await page.evaluate(f"window.failure = '{name}'")
            await page.click("#scan-start")
            await page.wait_for_selector("#scan-error:visible")
            assert await page.evaluate("document.activeElement.id") == "scan-error"
            assert "Take a photo" in await page.inner_text("#scan-error") and await page.is_visible("#file")
            assert not await page.is_visible("#scan-view") and await page.is_visible("#scan-start")


async def test_a_device_without_camera_and_a_page_without_the_right_to_one(site: ScanSite) -> None:
    async with chromium("--use-fake-device-for-media-stream=device-count=0", CAMERA[1]) as browser:
        async with opened(browser, site) as (page, _):
            await page.click("#scan-start")
            await page.wait_for_selector("#scan-error:visible")
        async with opened(browser, site, start="delete Navigator.prototype.mediaDevices;") as (page, _):
            assert not await page.is_visible("#scan-start") and await page.is_visible("label[for=photo]")


# ---- pictures, files, texts -----------------------------------------------------------------------------------------


async def test_a_photo_is_read_here_and_a_pdf_there(site: ScanSite, browser: Browser) -> None:
    shot = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": jpeg(site.photo())}
    async with opened(browser, site) as (page, seen):
        await page.set_input_files("#photo", shot)
        await page.wait_for_url("**/c/**")
        assert (await page.title()).startswith("✓ Valid")
        assert not any(request.startswith("POST") for request in seen.requests), "the photo was uploaded"
    async with opened(browser, site) as (page, _):
        await page.set_input_files("#file", {"name": "c.pdf", "mimeType": "application/pdf", "buffer": site.pdf})
        await page.click("#file-form button")
        await page.wait_for_url("**/verify")
        assert (await page.title()).startswith("✓ Valid")


async def test_a_picture_without_a_code_goes_to_the_server_for_its_verdict(site: ScanSite, browser: Browser) -> None:
    async with opened(browser, site) as (page, _):
        blank = jpeg(site.page.crop((0, 0, 300, 300)).convert("RGB"))
        await page.set_input_files("#photo", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": blank})
        await page.wait_for_url("**/verify")
        assert "Could not read the code" in await page.title()


FOREIGN = {
    "https://cert.test.example.login.test": "cert.test.example.login.test",
    "https://cert-test.example": "cert-test.example",
    "https://cert.test.example@evil.test": "evil.test",
    "https://cert.test.еxample": "cert.test.xn--xample-2of",  # a Cyrillic letter
    "http://cert.test.example": "cert.test.example",
    "https://cert.test.example:8443": "cert.test.example:8443",
}
TAKE = """([event, text]) => {
const t = new DataTransfer();
t.setData('text/plain', text);
const init = {clipboardData: t, dataTransfer: t, bubbles: true, cancelable: true};
document.body.dispatchEvent(event === 'paste' ? new ClipboardEvent(event, init) : new DragEvent(event, init));
}"""
TAKE_FILE = """([bytes]) => {
const t = new DataTransfer();
t.items.add(new File([new Uint8Array(bytes)], 'q.png', {type: 'image/png'}));
document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: t, bubbles: true, cancelable: true}));
}"""


async def test_a_foreign_code_is_a_verdict_that_names_both_hosts(site: ScanSite, browser: Browser) -> None:
    """One scanned from a picture, the others pasted."""
    async with opened(browser, site) as (page, _):
        for at, (base, shown) in enumerate(FOREIGN.items()):
            text = f"{base}/c/{format_secret(site.certificate.secret)}#{site.fragment}"
            await page.goto(f"{site.site.url}/?lang=en")
            if at == 0:
                code = {"name": "q.png", "mimeType": "image/png", "buffer": picture(text)}
                await page.set_input_files("#photo", code)
            else:
                await page.evaluate(TAKE, ["paste", text])
            await page.wait_for_url("**/verify")
            said = await page.inner_text("main")
            assert "Not our QR code" in said and shown in said and BASE.partition("://")[2] in said


async def test_pasted_and_dropped_texts_and_files(site: ScanSite, browser: Browser) -> None:
    async with opened(browser, site) as (page, _):
        for event in ("paste", "drop"):
            await page.goto(f"{site.site.url}/?lang=en")
            await page.evaluate(TAKE, [event, f" {site.text}\n"])
            await page.wait_for_url("**/c/**")
            assert await page.evaluate("location.hash") == "#" + site.fragment
        await page.goto(f"{site.site.url}/?lang=en")
        await page.fill("#text", site.text)
        await page.click("#text-form button")
        await page.wait_for_url("**/c/**")
        assert await page.evaluate("location.hash") == "#" + site.fragment
        await page.goto(f"{site.site.url}/?lang=en")
        await page.evaluate(TAKE_FILE, [list(picture(site.text))])
        await page.wait_for_url("**/c/**")


async def test_number_and_name_with_the_doctor_and_the_match(site: ScanSite, browser: Browser) -> None:
    face = site.certificate.face
    async with opened(browser, site) as (page, _):
        await page.click("a[href^='/lookup']")
        await page.fill("#number", face.number.replace("0", "O"))
        await page.fill("#name", face.name)
        await page.click("form:has(#number) button")
        assert await page.is_visible("text=nothing was looked up")
        await page.click(".doctor form button")
        assert (await page.title()).startswith("✓ Valid") and face.name not in await page.inner_text("main")
        await page.click(".tail summary")
        await page.fill("#last4", "123x")
        await page.click(".tail button")
        assert await page.is_visible("text=Yes: these are the last four")


# ---- what everybody can use -----------------------------------------------------------------------------------------


async def test_no_page_of_the_scanner_breaks_wcag(site: ScanSite, browser: Browser) -> None:
    for lang, scheme in (("zh", "light"), ("en", "dark")):
        async with opened(
            browser, site, f"/?lang={lang}", color_scheme=scheme, start="window.Worker = class { postMessage() {} };"
        ) as (page, _):
            assert await axe(page) == []
            await page.click("#scan-start")
            await page.wait_for_selector("#scan-view:visible")
            await page.evaluate("for (const e of document.querySelectorAll('#scan [hidden]')) e.hidden = false")
            assert await axe(page) == []
            await page.goto(f"{site.site.url}/lookup?lang={lang}")
            assert await axe(page) == []
            await page.fill("#number", "YO00051001064254000017")
            await page.fill("#name", "例1")
            await page.click("form:has(#number) button")
            assert await page.is_visible(".doctor form") and await axe(page) == []
            await page.goto(f"{site.site.url}/c/{format_secret(site.certificate.secret)}?lang={lang}")
            await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert await axe(page) == []


async def test_no_verdict_breaks_wcag(browser: Browser) -> None:
    """One of each colour family, in turn light and dark, Chinese and English."""
    served = await start_site(create_app(FakeServices(), WebSettings(BASE, now_ms=lambda: NOW_MS)), "127.0.0.1", 0)
    try:
        families = {wording.family: code for code, wording in load_messages().wordings.items()}
        for at, code in enumerate(families.values()):
            scheme = "light" if at % 2 else "dark"
            page = await browser.new_page(color_scheme=scheme, viewport={"width": 360, "height": 740})  # type: ignore[arg-type]
            await page.goto(f"{served.url}/c/{code.value}?lang={'zh' if at % 3 else 'en'}")
            assert await axe(page) == [], code
            await page.close()
    finally:
        await served.stop()


async def test_a_verdict_on_slow_3g_is_two_answers_of_one_window_each(site: ScanSite, browser: Browser) -> None:
    """400 ms and 400 kbit/s: what is needed before the verdict shows, in requests and in bytes on the wire."""
    served = await start_site(create_app(FakeServices(), WebSettings(BASE, now_ms=lambda: NOW_MS)), "127.0.0.1", 0)
    try:
        for code in (Code.VALID_UPGRADED, Code.REVOKED):
            context = await browser.new_context(viewport={"width": 360, "height": 640})
            page = await context.new_page()
            client = await context.new_cdp_session(page)
            await client.send("Network.enable")
            await client.send(
                "Network.emulateNetworkConditions",
                {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000},
            )
            wanted: dict[str, str] = {}
            sizes: dict[str, float] = {}
            client.on("Network.requestWillBeSent", lambda e, w=wanted: w.update({e["requestId"]: e["request"]["url"]}))
            client.on(
                "Network.loadingFinished",
                lambda e, s=sizes, w=wanted: s.update({w[e["requestId"]].rpartition("/")[2]: e["encodedDataLength"]}),
            )
            await page.goto(f"{served.url}/c/{code.value}?lang=en", wait_until="load")
            needed = {name: size for name, size in sizes.items() if name.endswith((".css", "?lang=en"))}
            assert not [url for url in wanted.values() if not url.startswith(("data:", served.url))]
            others = {name for name, size in sizes.items() if size and name not in needed}
            assert all(name.endswith(".svg") for name in others), others
            assert len(needed) == 2, sorted(needed)  # the page and its style, after the connection: three round trips
            assert sum(needed.values()) <= 14 * 1024, needed
            assert all(size <= INITIAL_WINDOW for size in needed.values()), needed
            await context.close()
    finally:
        await served.stop()

"""scripts/scanner: how many frames of a printed certificate the page's own reader reads, in Chromium, and how fast.

Frames of 1920 × 1080 by distance and sharpness (tests/support/camera.py). `median_ms` and `p95_ms` are the page's wall
time: pixels out of the canvas, to the worker, read, and back, with whatever else the machine does. `reader_cpu_ms` is
the processor time of the same reader, module and WebAssembly, for sharp frames in Node. Exit status 1 when a sharp
frame is not read, or one is read wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

import verifier
from campaigns.results import machine, write_results
from tests.support.camera import frame, jpeg
from tests.support.scan_site import ScanSite, scan_site

STATIC = Path(verifier.__file__).parent / "static"
# Millimetres that the picture is wide, blur and noise: "sharp" is a steady hand in good light.
KINDS: dict[str, dict[str, float]] = {
    "sharp, 12 cm": {"wide_mm": 130, "blur": 0.8, "noise": 4, "turn": 5},
    "sharp, 15 cm": {"wide_mm": 160, "blur": 0.8, "noise": 4, "turn": 5},
    "ordinary, 15 cm": {"wide_mm": 160, "blur": 1.4, "noise": 9, "turn": 15},
    "poor, 15 cm": {"wide_mm": 160, "blur": 1.8, "noise": 14, "turn": 25},
    "ordinary, 20 cm": {"wide_mm": 215, "blur": 1.4, "noise": 9, "turn": 15},
}
READ = """async ([module, picture]) => {
  const { LOOKS, readFrame } = await import(module);
  const bitmap = await createImageBitmap(await (await fetch(picture)).blob());
  const canvas = document.createElement("canvas");
  const seen = [];
  for (const look of LOOKS) {
    const began = performance.now();
    const texts = await readFrame(bitmap, bitmap.width, bitmap.height, canvas, look);
    seen.push([texts, performance.now() - began]);
  }
  return seen;
}"""


# The page's own worker module, with what a worker has and Node has not.
IN_NODE = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [folder, ...frames] = process.argv.slice(1);
globalThis.ImageData ??= class { constructor(data, width, height) { Object.assign(this, { data, width, height }); } };
const zxing = await import(pathToFileURL(`${folder}/zxing_reader.js`));
await zxing.prepareZXingModule({
  overrides: { wasmBinary: readFileSync(`${folder}/zxing_reader.wasm`) }, fireImmediately: true,
});
const options = { formats: ["QRCode"], tryHarder: true, tryInvert: false, maxNumberOfSymbols: 4 };
const times = [];
for (const round of [0, 1, 2]) {
  for (const frame of frames) {
    const image = new ImageData(new Uint8ClampedArray(readFileSync(frame)), 1920, 1080);
    const before = process.cpuUsage();
    const found = await zxing.readBarcodes(image, options);
    const used = process.cpuUsage(before);
    if (found.length !== 1) throw new Error("not read");
    if (round > 0) times.push((used.user + used.system) / 1000);
  }
}
times.sort((one, other) => one - other);
console.log(JSON.stringify({ median: times[times.length >> 1], highest: times.at(-1), decodes: times.length }));
"""


def reader_cpu(site: ScanSite, room: Path, count: int) -> dict[str, float]:
    """Processor time of the reader alone, ms."""
    frames = []
    for seed in range(min(count, 10)):
        picture = frame(site.page, seed=seed, **KINDS["sharp, 15 cm"])  # type: ignore[arg-type]
        frames.append(room / f"{seed}.rgba")
        frames[-1].write_bytes(picture.convert("RGBA").tobytes())
    words = ["node", "--input-type=module", "-e", IN_NODE, str(STATIC), *map(str, frames)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=room)
    told: dict[str, float] = json.loads(done.stdout)
    return {name: round(value, 1) for name, value in told.items()}


async def measure(site: ScanSite, page: Page, module: str, count: int) -> dict[str, Any]:
    """Frames by how they were read: as they are, or only with the middle enlarged, the camera's next look."""
    told: dict[str, Any] = {}
    for kind, how in KINDS.items():
        at_once, enlarged, wrong, times = 0, 0, 0, []
        for seed in range(count):
            picture = base64.b64encode(jpeg(frame(site.page, seed=seed, **how))).decode()  # type: ignore[arg-type]
            looks = await page.evaluate(READ, [module, f"data:image/jpeg;base64,{picture}"])
            at_once += looks[0][0] == [site.text]
            enlarged += looks[0][0] != [site.text] and looks[1][0] == [site.text]
            wrong += sum(texts not in ([], [site.text]) for texts, _ in looks)
            times += [ms for _, ms in looks]
        told[kind] = {
            "frames": count,
            "read_as_they_are": at_once,
            "read_enlarged": enlarged,
            "wrong": wrong,
            "median_ms": round(statistics.median(times), 1),
            "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
        }
        print(kind, told[kind], flush=True)
    return told


async def run(count: int) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    with tempfile.TemporaryDirectory(prefix="scanner-") as room:
        async with scan_site(Path(room)) as site, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page(bypass_csp=True)  # frames come as data: addresses
            await page.goto(site.site.url)
            source = await page.evaluate("document.querySelector('script[type=module]').src")
            text = await (await page.request.get(source)).text()
            module = site.site.url + "/static/" + text.split('readPicture, warmUp } from "./')[1].split('"')[0]
            await page.evaluate(
                READ, [module, "data:image/jpeg;base64," + base64.b64encode(jpeg(site.photo())).decode()]
            )
            told = await measure(site, page, module, count)
            cpu = reader_cpu(site, Path(room), count)
            version = browser.version
            await browser.close()
    return {"chromium": version, "kinds": told, "reader_cpu_ms": cpu}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/scanner", description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="frames of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/scanner.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    told = asyncio.run(run(options.count))
    told["seeds"] = [0, options.count - 1]  # of the frames of each kind
    told["seconds"] = round(time.monotonic() - started)
    print(told)
    if options.write:
        print(write_results("scanner", begun, told))
    kinds = told["kinds"]
    sharp = all(
        found["read_as_they_are"] == found["frames"] for kind, found in kinds.items() if kind.startswith("sharp")
    )
    return 0 if sharp and not any(found["wrong"] for found in kinds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

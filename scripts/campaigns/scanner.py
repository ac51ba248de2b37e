"""scripts/scanner: how many frames of a printed certificate the page's own reader reads, in Chromium, and how fast.

Frames of 1920 × 1080 by distance and sharpness (tests/support/camera.py), each looked at as the camera does in turn,
and given to the reader in both ways: as a VideoFrame (`frames`), and drawn on a canvas (`drawn`), as in browsers that
hand no frames over. `median_ms` and `p95_ms` are the page's wall time for one look, with whatever else the machine
does. `browser_cpu_ms` is the processor time of all of Chromium for the first look at a sharp frame, `reader_cpu_ms`
that of the worker alone, in Node. Exit status 1 when a sharp frame is not read at the first look, or any wrongly.
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

import psutil
from PIL import Image
from playwright.async_api import Page, async_playwright

import verifier
from campaigns.results import machine, write_results
from tests.support.camera import frame, jpeg
from tests.support.scan_site import ScanSite, scan_site
from verifier.web.assets import load_assets

STATIC = Path(verifier.__file__).parent / "static"
# Millimetres that the picture is wide, blur and noise: "sharp" is a steady hand in good light.
KINDS: dict[str, dict[str, float]] = {
    "sharp, 12 cm": {"wide_mm": 130, "blur": 0.8, "noise": 4, "turn": 5},
    "sharp, 15 cm": {"wide_mm": 160, "blur": 0.8, "noise": 4, "turn": 5},
    "ordinary, 15 cm": {"wide_mm": 160, "blur": 1.4, "noise": 9, "turn": 15},
    "poor, 15 cm": {"wide_mm": 160, "blur": 1.8, "noise": 14, "turn": 25},
    "ordinary, 20 cm": {"wide_mm": 215, "blur": 1.4, "noise": 9, "turn": 15},
}
LOOK = """async ([reader, grey, picture, drawn, rounds]) => {
  const { readDrawn, readFrame } = await import(reader);
  const { LOOKS } = await import(grey);
  const bitmap = await createImageBitmap(await (await fetch(picture)).blob());
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height }).getContext("2d").drawImage(bitmap, 0, 0);
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const bytes = new Uint8Array(width * height * 1.5).fill(128); // I420, as a camera gives it
  for (let at = 0; at < width * height; at += 1) bytes[at] = pixels[4 * at];
  const made = { format: "I420", codedWidth: width, codedHeight: height, timestamp: 0 };
  const looks = rounds ? Array(rounds).fill(LOOKS[0]) : LOOKS;
  const seen = [];
  for (const look of looks) {
    const frame = drawn ? null : new VideoFrame(bytes, made);
    const began = performance.now();
    const texts = await (drawn ? readDrawn(bitmap, width, height, canvas, look) : readFrame(frame, look));
    seen.push([texts, performance.now() - began]);
  }
  return seen;
}"""
ROUNDS = 40  # reads of one frame for the browser's processor time

# The page's own worker, with what a worker has and Node has not.
IN_NODE = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [folder, ...frames] = process.argv.slice(1);
const wasm = { headers: { "Content-Type": "application/wasm" } };
let heard;
globalThis.fetch = async (url) => new Response(readFileSync(new URL(url)), wasm);
globalThis.self = Object.assign(globalThis, { postMessage: (said) => heard(said) });
await import(pathToFileURL(`${folder}/scan-worker.js`));
const { LOOKS: [look] } = await import(pathToFileURL(`${folder}/scan-grey.js`));
const frameOf = (plane) => ({
  format: "I420", visibleRect: { x: 0, y: 0, width: 1920, height: 1080 }, close() {},
  allocationSize: ({ rect: { width, height } }) => (width * height * 3) / 2,
  async copyTo(to, { rect: { x, y, width, height } }) {
    for (let row = 0; row < height; row += 1) {
      const at = (y + row) * 1920 + x;
      to.set(plane.subarray(at, at + width), row * width);
    }
    return [{ offset: 0, stride: width }];
  },
});
const planes = frames.map((name) => readFileSync(name));
const times = [];
for (const round of [0, 1, 2, 3]) {
  for (const plane of planes) {
    const before = process.cpuUsage();
    const { texts } = await new Promise((resolve) => {
      heard = resolve;
      self.onmessage({ data: { id: 1, frame: frameOf(plane), look } });
    });
    const used = process.cpuUsage(before);
    if (texts.length !== 1) throw new Error("not read");
    if (round > 1) times.push((used.user + used.system) / 1000);
  }
}
times.sort((one, other) => one - other);
console.log(JSON.stringify({ median: times[times.length >> 1], highest: times.at(-1), decodes: times.length }));
"""


def reader_cpu(site: ScanSite, room: Path, count: int) -> dict[str, float]:
    """Processor time of the worker alone, ms."""
    frames = []
    for seed in range(min(count, 10)):
        picture = frame(site.page, seed=seed, **KINDS["sharp, 15 cm"])  # type: ignore[arg-type]
        frames.append(room / f"{seed}.grey")
        frames[-1].write_bytes(picture.convert("L").tobytes())
    words = ["node", "--input-type=module", "-e", IN_NODE, str(STATIC), *map(str, frames)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=room)
    told: dict[str, float] = json.loads(done.stdout)
    return {name: round(value, 1) for name, value in told.items()}


def address(picture: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()


async def measure(site: ScanSite, page: Page, modules: list[str], count: int) -> dict[str, Any]:
    """Frames by the look that read them first."""
    told: dict[str, Any] = {}
    for kind, how in KINDS.items():
        seen: dict[str, dict[str, Any]] = {}
        for way in ("frames", "drawn"):
            at_once, later, wrong, times = 0, 0, 0, []
            for seed in range(count):
                picture = address(frame(site.page, seed=seed, **how))  # type: ignore[arg-type]
                looks = await page.evaluate(LOOK, [*modules, picture, way == "drawn", 0])
                read = [texts == [site.text] for texts, _ in looks]
                at_once += read[0]
                later += not read[0] and any(read)
                wrong += sum(texts not in ([], [site.text]) for texts, _ in looks)
                times += [ms for _, ms in looks]
            seen[way] = {
                "read_at_first_look": at_once,
                "read_by_the_third": at_once + later,
                "wrong": wrong,
                "median_ms": round(statistics.median(times), 1),
                "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
            }
            print(kind, way, seen[way], flush=True)
        told[kind] = {"count": count, **seen}
    return told


async def browser_cpu(site: ScanSite, page: Page, modules: list[str]) -> dict[str, float]:
    """Processor time of all of Chromium for the first look at a sharp frame, ms."""
    picture = address(frame(site.page, seed=0, **KINDS["sharp, 15 cm"]))  # type: ignore[arg-type]
    spent = {}
    for way in ("frames", "drawn"):
        costs = []
        for rounds in (ROUNDS, 2 * ROUNDS):  # the difference leaves out what is done once
            before = _cpu_of_browser()
            await page.evaluate(LOOK, [*modules, picture, way == "drawn", rounds])
            costs.append(_cpu_of_browser() - before)
        spent[way] = round((costs[1] - costs[0]) / ROUNDS * 1000, 1)
    return spent


def _cpu_of_browser() -> float:
    """Seconds of all processes below this one."""
    times = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


async def run(count: int) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    names = load_assets().names
    with tempfile.TemporaryDirectory(prefix="scanner-") as room:
        async with scan_site(Path(room)) as site, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page(bypass_csp=True)  # frames come as data: addresses
            await page.goto(site.site.url)
            modules = [f"{site.site.url}/static/{names[name]}" for name in ("scan-reader.js", "scan-grey.js")]
            await page.evaluate(LOOK, [*modules, address(site.photo()), False, 0])
            told = await measure(site, page, modules, count)
            cpu = await browser_cpu(site, page, modules)
            alone = reader_cpu(site, Path(room), count)
            version = browser.version
            await browser.close()
    return {"chromium": version, "kinds": told, "browser_cpu_ms": cpu, "reader_cpu_ms": alone}


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
    ways = [(kind, found[way]) for kind, found in told["kinds"].items() for way in ("frames", "drawn")]
    sharp = all(found["read_at_first_look"] == options.count for kind, found in ways if kind.startswith("sharp"))
    return 0 if sharp and not any(found["wrong"] for _, found in ways) else 1


if __name__ == "__main__":
    sys.exit(main())

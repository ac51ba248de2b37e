// The camera and pictures on the offline page: whatever is read is handed over as the event "code-scanned".

import { Camera, hasCamera } from "./scan-camera.js";
import { readPicture, warmUp } from "./scan-reader.js";

const PAUSE_MS = 3000; // the same code before the camera counts once in this time

const at = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const camera = new Camera(at("scan-video"));
const seen = new Map();

function handOver(/** @type {string[]} */ texts) {
  for (const text of texts) {
    const fresh = Date.now() - (seen.get(text) ?? 0) > PAUSE_MS;
    seen.set(text, Date.now());
    if (fresh) document.dispatchEvent(new CustomEvent("code-scanned", { detail: { text } }));
    if (fresh) navigator.vibrate?.(60);
  }
}

function show(open) {
  for (const name of ["scan-view", "scan-stop"]) at(name).hidden = !open;
  at("scan-start").hidden = open || !hasCamera();
}

function stop() {
  camera.close();
  seen.clear();
  show(false);
}

async function scan() {
  at("scan-error").hidden = true;
  show(true);
  try {
    warmUp();
    await camera.open();
    for (let texts = await camera.read(); texts !== null; texts = await camera.read()) handOver(texts);
  } catch {
    stop();
    at("scan-error").hidden = false; // denied, missing, busy, not supported: the way on is the same for all of them
  }
}

async function takePicture(/** @type {HTMLInputElement} */ input) {
  at("scan-error").hidden = true;
  const texts = input.files?.[0] ? await readPicture(input.files[0]).catch(() => []) : [];
  handOver(texts);
  at("scan-error").hidden = texts.length > 0;
  input.value = "";
}

at("scan").hidden = false;
show(false);
at("scan-start").addEventListener("click", scan);
at("scan-stop").addEventListener("click", stop);
at("photo").addEventListener("change", (/** @type {any} */ event) => takePicture(event.target));
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.isOpen) stop();
});

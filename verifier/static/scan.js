// The start page with script: camera, photo, file, paste, drag and drop. Without it the page's own forms do the same.
import { Camera, hasCamera } from "./scan-camera.js";
import { readPicture, warmUp } from "./scan-reader.js";
import { choose, destination } from "./scan-text.js";

const HELP_AFTER_MS = 20_000;
const PICTURE = /^image\/(png|jpeg|webp)$/;

const part = (name) => document.getElementById(name);
const panel = part("scan");
const { base } = panel.dataset;
const lang = panel.dataset.lang;
const textForm = part("text-form");
const fileForm = part("file-form");
const camera = new Camera(part("scan-video"));
let help = 0;

function show(name, visible = true) {
  part(name).hidden = !visible;
}

function follow(leads) {
  if ("go" in leads) {
    location.assign(leads.go);
  } else {
    part("text").value = leads.ask;
    textForm.submit();
  }
}

function stop() {
  clearTimeout(help);
  camera.close();
  for (const name of ["scan-view", "scan-stop", "scan-zoom-row", "scan-torch", "scan-help", "scan-state"]) show(name, false);
  show("scan-start");
}

function failed() {
  stop();
  show("scan-error");
  part("scan-error").focus();
}

async function scan() {
  for (const name of ["scan-error", "scan-start"]) show(name, false);
  for (const name of ["scan-view", "scan-stop", "scan-state"]) show(name);
  part("scan-stop").focus();
  try {
    warmUp();
    await camera.open();
    help = setTimeout(() => show("scan-help"), HELP_AFTER_MS);
    offerControls();
    for (;;) {
      const texts = await camera.read();
      if (texts === null) return;
      const leads = choose(texts, base, lang);
      if (leads === null) continue;
      navigator.vibrate?.(60);
      stop();
      follow(leads);
      return;
    }
  } catch {
    failed(); // denied, missing, busy, not supported, not secure: the way on is the same for all of them
  }
}

function offerControls() {
  const zoom = camera.zoom;
  if (zoom !== null) {
    Object.assign(part("scan-zoom"), { min: zoom.min, max: zoom.max, step: zoom.step, value: zoom.value });
    show("scan-zoom-row");
  }
  show("scan-torch", camera.hasTorch);
  part("scan-torch").setAttribute("aria-pressed", "false");
}

/** A picture is read here first and stays here if it can be read; everything else is a file for the server. */
async function takeFile(input) {
  const [file] = input.files;
  if (!file) return;
  show("file-state");
  let leads = null;
  if (PICTURE.test(file.type)) {
    try {
      leads = choose(await readPicture(file), base, lang);
    } catch {
      // No reader in this browser, or no picture: the server says what it is.
    }
  }
  show("file-state", false);
  if (leads !== null) {
    follow(leads);
    return;
  }
  part("file").files = input.files;
  fileForm.submit();
}

function takeTransfer(transfer) {
  if (transfer.files.length > 0) {
    part("file").files = transfer.files;
    takeFile(part("file"));
    return true;
  }
  const text = transfer.getData("text/uri-list") || transfer.getData("text/plain");
  if (text.trim() === "") return false;
  follow(destination(text, base, lang));
  return true;
}

part("scan-start").addEventListener("click", scan);
part("scan-stop").addEventListener("click", () => {
  stop();
  part("scan-start").focus();
});
part("scan-zoom").addEventListener("input", ({ target }) => camera.set({ zoom: Number(target.value) }));
part("scan-torch").addEventListener("click", ({ currentTarget }) => {
  const on = currentTarget.getAttribute("aria-pressed") !== "true";
  currentTarget.setAttribute("aria-pressed", String(on));
  camera.set({ torch: on });
});
part("photo").addEventListener("change", ({ target }) => takeFile(target));
fileForm.addEventListener("submit", (event) => {
  event.preventDefault();
  takeFile(part("file"));
});
textForm.addEventListener("submit", (event) => {
  const leads = destination(part("text").value, base, lang);
  if ("go" in leads) {
    event.preventDefault();
    follow(leads);
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.isOpen) stop();
});
window.addEventListener("pageshow", () => show("file-state", false));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  takeTransfer(event.dataTransfer);
});
document.addEventListener("paste", (event) => {
  if (event.target instanceof Element && event.target.closest("input, textarea")) return;
  if (takeTransfer(event.clipboardData)) event.preventDefault();
});

show("scan");
if (!hasCamera()) show("scan-start", false);

// The form on which a holder makes a share: what each purpose suggests, what the other side will see, and the link.
//
//   1 choose   fields, period, recipient, PIN; the preview shows exactly what will be sealed
//   2 seal     a fresh token and key; what was chosen and nothing else (share-seal.js)
//   3 send     token, ciphertext and, with a PIN, its proof; never the key
//   4 show     the link, its QR code and a card; the key is nowhere but there, so it cannot be shown again later

import { qrModules, qrSvg } from "./qr-code.js";
import { KEY_BYTES, TOKEN_BYTES, openerOf, proofOf, seal } from "./share-seal.js";
import { showDisclosed } from "./share-view.js";
import { toBase64url } from "./bytes.js";

const form = /** @type {HTMLFormElement} */ (document.querySelector("form[data-held]"));
const held = JSON.parse(form.dataset.held ?? "{}");
const names = JSON.parse(form.dataset.names ?? "{}");
const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (form.querySelector(selector));
const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[name=field]")]);
const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
const purpose = () => /** @type {RadioNodeList} */ (/** @type {unknown} */ (form.elements.namedItem("purpose"))).value;

/** @returns {import("./share-proof.js").Disclosed} */
function disclosed() {
  const shown = Object.fromEntries(chosen().map((name) => [name, held[name]]));
  const { cert_key, digests, picture } = held;
  const made = { cert_key, purpose: purpose(), recipient: field("recipient").value.trim(), digests, shown };
  return shown.photo ? { ...made, picture } : made;
}

function preview() { // 1
  const now = disclosed();
  showDisclosed(find("[data-preview]"), now, names);
  find("[data-nothing]").hidden = Object.keys(now.shown).length > 0;
  find("[data-preview-to]").textContent = now.recipient;
  find("[data-to-row]").hidden = !now.recipient;
  field("date").disabled = field("period").value !== "date";
  find("[data-date]").hidden = field("date").disabled;
  field("date").required = !field("date").disabled;
}

function suggest() {
  const option = form.querySelector(`input[name=purpose][value="${purpose()}"]`);
  const fields = (/** @type {HTMLElement} */ (option).dataset.fields ?? "").split(" ");
  if (purpose() !== "custom") for (const box of boxes) box.checked = !box.disabled && fields.includes(box.value);
  preview();
}

form.addEventListener("change", (event) => {
  const changed = /** @type {HTMLInputElement} */ (event.target);
  if (changed.name === "purpose") suggest();
  else preview();
});
form.addEventListener("input", preview);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = /** @type {HTMLButtonElement} */ (find("button"));
  const said = find("[data-said]");
  button.disabled = true;
  said.textContent = form.dataset.working ?? "";
  try {
    const [token, key] = [TOKEN_BYTES, KEY_BYTES].map((count) => crypto.getRandomValues(new Uint8Array(count))); // 2
    const pin = field("pin").value;
    const opener = await openerOf(key, token, pin);
    const made = disclosed();
    const ask = {
      certificate: form.dataset.certificate, token: toBase64url(token), body: toBase64url(await seal(opener, made)),
      proof: pin ? toBase64url(await proofOf(opener)) : "", purpose: made.purpose, fields: chosen(),
      recipient: made.recipient, period: field("period").value === "date" ? field("date").value : field("period").value,
    };
    const answer = await fetch(`/holder/shares?lang=${document.documentElement.lang.slice(0, 2)}`, { // 3
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(ask),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error[document.documentElement.lang.startsWith("zh") ? "zh" : "en"]);
    show(`${form.dataset.base}/s/${ask.token}#${toBase64url(key)}`, told.ends, Boolean(pin)); // 4
  } catch (error) {
    said.textContent = `${form.dataset.failed} ${error instanceof Error ? error.message : ""}`;
    button.disabled = false;
  }
});

/** @param {string} link @param {string} ends @param {boolean} pin */
function show(link, ends, pin) {
  const made = /** @type {HTMLElement} */ (document.getElementById("made"));
  const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (made.querySelector(selector));
  const box = /** @type {HTMLInputElement} */ (/** @type {unknown} */ (part("input")));
  box.value = link;
  part("[data-ends]").textContent = ends;
  part("[data-with-pin]").hidden = !pin;
  part("[data-qr]").replaceChildren(qrSvg(link, form.dataset.qr ?? ""));
  part("[data-copy]").addEventListener("click", async () => {
    box.select();
    await navigator.clipboard?.writeText(link).catch(() => document.execCommand("copy"));
    part("[data-copied]").textContent = part("[data-copied]").dataset.copied ?? "";
  });
  const card = /** @type {HTMLAnchorElement} */ (part("[data-card]"));
  drawCard(link, ends).toBlob((blob) => {
    if (blob) card.href = URL.createObjectURL(blob);
  }, "image/png");
  form.hidden = true;
  made.hidden = false;
  const heading = part("h2");
  heading.tabIndex = -1;
  heading.focus();
}

/** A picture to send: code, what it is, until when. @param {string} link @param {string} ends */
function drawCard(link, ends) {
  const canvas = document.createElement("canvas");
  canvas.width = 720;
  canvas.height = 940;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const family = getComputedStyle(document.body).fontFamily;
  const line = (text, y, size, colour, weight = 400) => {
    pen.font = `${weight} ${size}px ${family}`;
    pen.fillStyle = colour;
    pen.textAlign = "center";
    pen.fillText(text, 360, y, 660);
  };
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, 720, 940);
  pen.fillStyle = "#17324d";
  pen.fillRect(0, 0, 720, 96);
  line(form.dataset.cardTitle ?? "", 60, 30, "#fff", 600);
  line(form.dataset.grade ?? "", 158, 38, "#16191d", 700);
  line(form.dataset.occupation ?? "", 204, 26, "#16191d");
  const modules = qrModules(link);
  const scale = Math.floor(560 / (modules.length + 8));
  const [left, top] = [Math.round((720 - scale * modules.length) / 2), 250];
  pen.fillStyle = "#000";
  modules.forEach((row, y) => row.forEach((dark, x) => {
    if (dark) pen.fillRect(left + x * scale, top + y * scale, scale, scale);
  }));
  line(form.dataset.cardScan ?? "", 850, 24, "#16191d");
  line(`${form.dataset.cardEnds ?? ""} ${ends}`, 890, 22, "#545c66");
  return canvas;
}

if (crypto.subtle) { // only where the page came by https or from this machine
  form.hidden = false;
  suggest();
}

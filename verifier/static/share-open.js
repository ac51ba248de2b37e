// A shared page: opens what was disclosed with the key in the link, checks it against the log, and shows it.
//
//   1 key      what stands behind # in this page's address; it is in no request
//   2 PIN      where there is one, the site gives the rest only for a proof of link and PIN
//   3 open     decrypt
//   4 log      the evidence of the certificate, under the keys that this browser believes
//   5 check    every disclosed value against the statement whose commitments count now
//   6 page     the verdict above against the same proof
//
// Only what passed both is shown. While the page is open it asks whether the share is still there.

import { replaceBand } from "./band.js";
import { fromBase64url, hex, toBase64url } from "./bytes.js";
import { verifyEvidence } from "./evidence.js";
import { checkDisclosed } from "./share-proof.js";
import { open, openerOf, proofOf } from "./share-seal.js";
import { showDisclosed } from "./share-view.js";
import { recheck } from "./recheck.js";
import { fetchTrust, readTrust, recall } from "./trust.js";

const ASK_MS = 20000;
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const parts = location.pathname.split("/");
const token = parts[parts.length - 1];

/** The link's key, or null where the address has none. */ // 1
function keyOf() {
  try {
    return fromBase64url(location.hash.slice(1));
  } catch {
    return null;
  }
}

const key = keyOf();

/** @param {string} pin */
const openerFor = (pin) => openerOf(/** @type {Uint8Array} */ (key), fromBase64url(token), pin);

function onPage() {
  for (const link of document.querySelectorAll("a.lang")) /** @type {HTMLAnchorElement} */ (link).hash = location.hash;
  const form = main.querySelector("form[data-pin]");
  const shared = /** @type {HTMLElement|null} */ (main.querySelector("[data-body]"));
  if (form) onPin(/** @type {HTMLFormElement} */ (form));
  else if (shared && !shared.dataset.pin) reveal(shared, "");
}

/** @param {HTMLFormElement} form */
function onPin(form) { // 2
  const said = /** @type {HTMLElement} */ (form.querySelector("[role=status]"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
  if (!key || key.length !== 16) {
    said.textContent = form.dataset.nokey ?? "";
    return;
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const pin = /** @type {HTMLInputElement} */ (form.elements.namedItem("pin")).value;
    button.disabled = true;
    try {
      const proof = toBase64url(await proofOf(await openerFor(pin)));
      const lang = /** @type {HTMLInputElement} */ (form.elements.namedItem("lang")).value;
      const got = await fetch(location.pathname, { method: "POST", body: new URLSearchParams({ proof, lang }) });
      if (!got.ok) throw new Error(String(got.status));
      const page = new DOMParser().parseFromString(await got.text(), "text/html");
      document.title = page.title;
      main.replaceChildren(.../** @type {HTMLElement} */ (page.querySelector("main")).childNodes);
      if (!page.querySelector("header nav")) document.querySelector("header nav")?.remove(); // a verdict ends with it
      const shared = /** @type {HTMLElement|null} */ (main.querySelector("[data-body]"));
      if (shared) await reveal(shared, pin);
      else onPage();
    } catch {
      said.textContent = form.dataset.failed ?? "";
      button.disabled = false;
    }
  });
}

/** @param {HTMLElement} shared @param {string} pin */
async function reveal(shared, pin) {
  const { body = "", certKey = "", names = "{}" } = shared.dataset;
  const said = /** @type {HTMLElement} */ (shared.querySelector("[role=status]"));
  const list = /** @type {HTMLElement} */ (shared.querySelector("dl"));
  let disclosed = null;
  setInterval(ask, ASK_MS);
  try {
    disclosed = await open(await openerFor(pin), fromBase64url(body)); // 3
  } catch {
    said.textContent = shared.dataset.nokey ?? "";
    return;
  }
  try {
    const { proven, raw, trust } = await provenOf(certKey);
    await checkDisclosed(disclosed, proven.commitments, proven.certKey); // 5
    await checkPage(proven.certKey, raw, trust); // 6
  } catch (error) {
    console.debug(error instanceof Error ? error.message : "");
    const world = error instanceof TypeError; // fetch did not get through: says nothing about the share
    said.textContent = (world ? shared.dataset.nolog : shared.dataset.wrong) ?? "";
    shared.classList.toggle("refused", !world);
    return;
  }
  showDisclosed(list, disclosed, JSON.parse(names));
  const whom = /** @type {HTMLElement} */ (shared.querySelector("[data-recipient]"));
  whom.textContent = disclosed.recipient ? `${whom.dataset.recipient} ${disclosed.recipient}` : "";
  said.textContent = shared.dataset.proven ?? "";
  shared.classList.add("proven");
}

/** What the log proves of the certificate. @param {string} certKey hex */
async function provenOf(certKey) { // 4
  const got = await fetch(`/v1/evidence/${certKey}`);
  if (!got.ok) throw new TypeError("no evidence now");
  const raw = new Uint8Array(await got.arrayBuffer());
  const trust = await readTrust(await fetchTrust(), recall());
  const seconds = BigInt(Math.floor(Date.now() / 1000));
  let failed = null;
  for (const { pins, skew } of trust.logs) {
    try {
      const proven = await verifyEvidence(raw, pins, seconds + BigInt(Math.floor(skew / 1000)), true);
      if (!proven.state || hex(proven.certKey) !== certKey) throw new Error("evidence of something else");
      return { proven, raw, trust };
    } catch (error) {
      failed = error; // of another log, perhaps
    }
  }
  throw failed ?? new Error("no log is believed");
}

/** Turns the band above amber when the proof is old by this clock; red, and raises, when it says something else than
 * what people read. @param {Uint8Array} certKey */
async function checkPage(certKey, raw, trust) {
  const own = document.getElementById("own");
  if (!own) return; // a verdict that no proof can show again, such as "out of date"
  const shown = {};
  for (const part of main.querySelectorAll("[data-f]")) {
    shown[/** @type {HTMLElement} */ (part).dataset.f ?? ""] = (part.textContent ?? "").trim();
  }
  const lang = /** @type {"zh"|"en"} */ (own.dataset.lang ?? "zh");
  const page = { code: own.dataset.code ?? "", lang, size: Number(own.dataset.size), shown, certKey };
  const told = await recheck(page, raw, trust, Date.now(), null);
  if (told.newer) return; // the register has grown between page and proof
  if (told.outcome === "stale" || told.outcome === "contradicted") replaceBand(told.outcome);
  if (told.outcome === "contradicted") throw new Error(told.notes.join("; "));
}

/** Whether the share is still there; a page of one that is not goes. */
async function ask() {
  if (document.hidden) return;
  const got = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }).catch(() => null);
  if (got && got.headers.get("Share-State") === "ended") location.reload();
}

onPage();

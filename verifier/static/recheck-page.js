// On a verdict page: fetch the proof, check it here, and say so, or take back what the page says.
// The words are in the page already (pages/recheck.html); this shows those that apply.

import { replaceBand } from "./band.js";
import { hex } from "./bytes.js";
import { CHECKED, recheck } from "./recheck.js";
import { certKeyOf, parseSecret } from "./secret.js";
import { fetchTrust, readTrust, recall, remember } from "./trust.js";

const own = /** @type {HTMLElement} */ (document.getElementById("own"));

/** What people read, by field. */
function readPage() {
  const shown = {};
  for (const element of document.querySelectorAll("[data-f]")) {
    shown[/** @type {HTMLElement} */ (element).dataset.f ?? ""] = (element.textContent ?? "").trim();
  }
  const { code = "", lang = "zh", size = "0" } = own.dataset;
  return { code, lang: /** @type {"zh"|"en"} */ (lang), size: Number(size), shown };
}

async function run() {
  const page = readPage();
  const secretText = /\/c\/([^/]+)$/.exec(location.pathname)?.[1] ?? "";
  const provable = page.code === "not_found" || page.shown.key !== undefined;
  if (!CHECKED.includes(page.code) || !provable || secretText.length !== 26) return;
  const began = performance.now();
  const secret = parseSecret(secretText);
  const certKey = await certKeyOf(secret);
  const pinned = recall();
  const asked = fetch(`/v1/evidence/${hex(certKey)}`, { cache: "no-store" });
  const [said, got, printed] = await Promise.all([fetchTrust({ cache: "reload" }), asked, carriedBy(secret)]);
  if (pinned === null) remember(said);
  const trust = await readTrust(said, pinned);
  if (!got.ok) throw new Error("no evidence");
  const raw = new Uint8Array(await got.arrayBuffer());
  const fetched = performance.now();
  const told = printed.torn
    ? { outcome: "contradicted", notes: ["the printed code"], newer: false }
    : await recheck({ ...page, certKey }, raw, trust, Date.now(), printed.carried, () => askEnd(certKey));
  performance.measure("recheck", { start: fetched });
  performance.measure("recheck with fetching", { start: began });
  if (told.outcome === "contradicted" && trust.changed) return show("changed", [], trust, said);
  // The register may have grown between page and proof: a page of the new state is asked for, once.
  if (told.newer && history.state !== "asked again") {
    history.replaceState("asked again", "");
    return location.reload();
  }
  show(told.outcome, told.notes, trust, said);
}

/** What closed the log; nothing while it goes on, or when this site has no answer. */
async function askEnd(certKey) {
  const got = await fetch(`/v1/evidence/${hex(certKey)}/end`, { cache: "no-store" });
  return new Uint8Array(got.ok ? await got.arrayBuffer() : 0);
}

/** What is printed in the code, if the address has it: only then is its reader loaded. It never leaves this browser.
 * `torn`: not what was signed. */
async function carriedBy(secret) {
  if (location.hash.length < 2) return { carried: null, torn: false };
  const { openFragment, parseFragmentText } = await import("./fragment.js");
  try {
    const fragment = parseFragmentText(location.hash.slice(1));
    return { carried: await openFragment(secret, fragment), torn: false };
  } catch {
    return { carried: null, torn: /^#[qu]/.test(location.hash) };
  }
}

function show(outcome, notes, trust, said) {
  if (outcome === "contradicted") {
    for (const part of document.querySelectorAll("details")) {
      if (part.querySelector("dl, ol, form")) part.remove(); // what the page says; advice stays
    }
    for (const part of document.querySelectorAll(".card, .next")) part.remove();
  }
  replaceBand(outcome);
  const apply = [outcome, ...notes, ...(trust?.changed ? ["pins"] : [])];
  for (const part of own.querySelectorAll("[data-when]")) {
    const wanted = (part.getAttribute("data-when") ?? "").split(" ");
    part.toggleAttribute("hidden", !wanted.some((one) => apply.includes(one)));
  }
  own.querySelector("button")?.addEventListener("click", () => {
    remember(said);
    location.reload();
  });
  own.dataset.outcome = outcome;
  own.dataset.notes = notes.join("; ");
  own.hidden = false;
}

run().catch(() => show("unchecked", [], null, null));

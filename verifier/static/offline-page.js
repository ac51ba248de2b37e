// The offline page: keeps the kit at hand, judges what is scanned or pasted, and always says as of when.
// A scanner anywhere in the page hands over what it read with
//   document.dispatchEvent(new CustomEvent("code-scanned", { detail: { text } }))

import { OtherVersion, isFresh, openKit } from "./kit.js";
import { judgeOffline } from "./judge.js";
import { maskName } from "./mask.js";
import { grouped, sayDay, sayTime } from "./names.js";
import { fetchTrust, pinnedPart, readTrust, recall, remember } from "./trust.js";

const MOST = 1000; // codes of one paste or file
const KEPT = 500; // lines of the list
const lang = document.documentElement.lang === "en" ? "en" : "zh";
const at = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** @type {import("./kit.js").Kit|null} */
let kit = null;
let count = 0;

/** Read what is here, or with `renew` ask the site first. */
async function load(renew) {
  const options = /** @type {RequestInit} */ ({ cache: renew ? "reload" : "default" });
  let state = "none";
  let changed = false;
  try {
    const said = await fetchTrust(options);
    const pinned = recall();
    if (pinned === null) remember(said);
    changed = pinned !== null && pinned !== pinnedPart(said);
    const got = await fetch("/kit", options);
    if (got.ok) {
      state = "refused";
      const opened = await openKit(new Uint8Array(await got.arrayBuffer()), await readTrust(said, pinned), Date.now());
      kit = kit && kit.made > opened.made ? kit : opened;
      state = "known";
    }
  } catch (error) {
    if (error instanceof OtherVersion) state = "other";
    if (kit) state = "known"; // no network: what was read before still counts
  }
  showKit(state, changed);
}

function showKit(state, changed) {
  const good = kit ? kit.logs.filter((log) => isFresh(log, Date.now())) : [];
  const old = kit !== null && !good.length;
  const apply = [state, ...(old ? ["old"] : []), ...(changed ? ["changed"] : [])];
  for (const part of document.querySelectorAll("[data-kit]")) {
    part.toggleAttribute("hidden", !apply.includes(part.getAttribute("data-kit") ?? ""));
  }
  at("kit").dataset.state = old ? "old" : state;
  at("kit-logs").replaceChildren();
  if (!kit) return;
  const logs = old ? kit.logs : good;
  const size = kit.logs.reduce((sum, log) => sum + Number(log.size), 0);
  const [asOf, until] = [Math.min(...logs.map((log) => log.asOf)), Math.min(...logs.map((log) => log.until))];
  const values = { asOf: sayTime(asOf, lang), until: sayTime(until, lang), size: String(size) };
  for (const [name, text] of Object.entries(values)) {
    document.querySelector(`[data-kit-field=${name}]`)?.replaceChildren(text);
  }
  for (const log of kit.logs) if (!good.includes(log)) sayBehind(log);
}

/** A log of which nothing is shown as valid by this kit, and why. */
function sayBehind(log) {
  const words = at(log.halted ? "log-halted" : "log-old").content.textContent;
  const line = document.createElement("p");
  line.className = "may";
  line.append(words.replace("{origin}", log.origin).replace("{time}", sayTime(log.asOf, lang)));
  at("kit-logs").append(line);
}

/** @param {string} text */
async function judge(text) {
  if (!kit) return;
  const verdict = await judgeOffline(text, kit, Date.now());
  count += 1;
  showVerdict(verdict);
  list(verdict);
}

function showVerdict(verdict) {
  const band = /** @type {HTMLTemplateElement} */ (document.querySelector(`template[data-code="${verdict.code}"]`));
  const result = at("result");
  result.replaceChildren(band.content.cloneNode(true));
  result.dataset.code = verdict.code;
  if (verdict.code === "stale" && verdict.halted) {
    result.querySelector(".band p")?.replaceChildren(at("line-halted").content.textContent);
  }
  if (verdict.certificate?.waits) result.querySelector(".band p")?.replaceChildren(toCome(verdict.certificate));
  const fields = /** @type {DocumentFragment} */ (at("fields").content.cloneNode(true));
  const values = fieldsOf(verdict);
  for (const row of fields.querySelectorAll("[data-row]")) {
    if (values[row.getAttribute("data-row") ?? ""] === undefined) row.remove();
  }
  for (const place of fields.querySelectorAll("[data-field]")) {
    place.replaceChildren(values[place.getAttribute("data-field") ?? ""] ?? "");
  }
  if (fields.querySelector("[data-row]")) result.append(fields);
  const title = result.querySelector("h2")?.textContent ?? "";
  document.title = `${band.dataset.mark} ${title}`;
}

const term = ([first, last]) =>
  `${sayDay(first, lang)} – ${last === null ? at("open").content.textContent : sayDay(last, lang)}`;

/** What is said of a post that begins later. */
const toCome = ({ post }) => at("to-come").content.textContent.replace("{date}", sayDay(post[0], lang));

function fieldsOf({ code, certificate: one, issuer, asOf, higher, detail }) {
  /** @type {Record<string, string|undefined>} */
  const values = { asOf: asOf === null ? undefined : sayTime(asOf, lang), host: detail.found_host };
  if (one) {
    values.name = one.name === null ? undefined : maskName(one.name);
    values.number = one.number === null ? undefined : grouped(one.number);
    values.grade = kit?.grades.get(one.grade)?.[lang] ?? String(one.grade);
    values.occupation = one.occupation;
    values.occupationCode = one.occupationCode;
    values.trade = one.trade || "--";
    values.issued = sayDay(one.issueDay, lang);
    values.post = one.post ? term(one.post) : undefined;
  }
  values.issuer = issuer?.name;
  values.higher = higher ? "" : undefined;
  values.notLive = code === "offline_bundle_ok" ? "" : undefined;
  return values;
}

function list(verdict) {
  const band = /** @type {HTMLTemplateElement} */ (document.querySelector(`template[data-code="${verdict.code}"]`));
  const line = document.createElement("li");
  line.value = count;
  const mark = document.createElement("b");
  mark.append(band.dataset.mark ?? "");
  const one = verdict.certificate;
  const grade = one && kit?.grades.get(one.grade)?.[lang];
  const title = one?.waits ? toCome(one) : band.content.querySelector("h2")?.textContent;
  const said = [title, one?.name && maskName(one.name), grade];
  line.append(mark, said.filter(Boolean).join(" · "));
  at("list").prepend(line);
  if (at("list").children.length > KEPT) at("list").lastElementChild.remove();
  at("count").replaceChildren(`(${count})`);
  at("log").hidden = false;
}

async function judgeAll(text) {
  const lines = text.split(/\r?\n/).map((/** @type {string} */ line) => line.trim()).filter(Boolean);
  for (const line of lines.slice(0, MOST)) await judge(line);
}

at("update").addEventListener("click", () => load(true));
at("check").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  const [file] = at("file").files;
  await judgeAll(at("text").value);
  if (file) await judgeAll(await file.text());
  at("check").reset();
});
document.addEventListener("code-scanned", (event) => judge(/** @type {CustomEvent} */ (event).detail.text));

async function start() {
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js").catch(() => {});
  await load(false);
  // Without a network a printed code's own address ends here, and what it carries is in the address.
  if (kit && location.pathname.startsWith("/c/")) await judge(kit.bases[0] + location.pathname + location.hash);
  if (navigator.onLine && !location.pathname.startsWith("/c/")) await load(true);
}

start();

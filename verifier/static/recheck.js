// Whether a verdict page says what the proof says. It can confirm or downgrade, never improve.
//
//   recheck(page, raw, trust, now, carried, askEnd) -> {outcome, notes, newer}
//
// confirmed  everything that can be proven here holds, and it is recent
// partly     what was checked holds; the notes say what rests on the server's word
// stale      it holds, but is not recent by this device's clock: a green page turns amber. Not where the log is proven to
//            be closed and its successor is pinned too: then nothing more comes in it, and how recent it is, is partly told
// contradicted  the proof does not hold, or says something else than the page: the page turns red

import { Malformed, Unverified, hex, proof, same } from "./bytes.js";
import { decode } from "./cbor.js";
import { verifyEvidence } from "./evidence.js";
import { successorOf } from "./log-end.js";
import { dayOf, sayDay } from "./names.js";
import { hasQuorum } from "./policy.js";
import { APPOINT, parseFiling } from "./statement.js";

/** @typedef {{code: string, lang: "zh"|"en", certKey: Uint8Array, size: number, shown: Record<string, string>}} Page
 *   `shown`: what people read, by the name of the field; `title` is the headline */
/** @typedef {{statement: any, face: import("./fragment.js").Face, index: bigint}} Carried */

const STATUSES = ["", "in_force", "suspended", "revoked", "void", "replaced", "ended"];
const GREEN = ["valid", "valid_upgraded", "valid_corrected"];
const CORRECT = 15n;

/** Codes of pages that have something to check. */
export const CHECKED = [...GREEN, "suspended", "revoked", "ended", "issuer_out_of_scope", "not_found"];

/** @param {Page} page @param {Uint8Array} raw evidence @param {any} trust of readTrust @param {number} now ms
 * @param {Carried|null} carried what is printed in the code
 * @param {() => Promise<Uint8Array>} askEnd for what closed the log, if it is closed: asked only where that counts */
export async function recheck(page, raw, trust, now, carried, askEnd) {
  let told = null;
  try {
    const log = chooseLog(raw, trust);
    told = await verifyEvidence(raw, log.pins, BigInt(Math.floor((now + log.skew) / 1000)), true);
    proof(same(told.certKey, page.certKey), "evidence of another certificate");
    proof(told.next === null, "evidence of another moment");
    const notes = await compare(page, told, trust.words, now, carried);
    return { ...(await age(page, told, log, now, notes, () => isFollowed(told, trust, askEnd))), newer: false };
  } catch (error) {
    if (!(error instanceof Malformed || error instanceof Unverified)) throw error;
    const newer = told !== null && Number(told.size) > page.size;
    return { outcome: "contradicted", notes: [error.message], newer };
  }
}

/** The pinned log that the evidence names: which of them is not for the evidence to decide. */
function chooseLog(raw, trust) {
  const note = new TextDecoder().decode(decode(raw, 160 * 1024)[2]);
  const log = trust.logs.find(({ pins }) => note.startsWith(`${pins.origin}\n`));
  proof(log, "evidence of a log that is not pinned");
  return log;
}

async function age(page, told, log, now, notes, followed) {
  const time = Number(told.quorum ?? told.auditorTime ?? told.time) * 1000;
  const fresh = now - log.freshness <= time && time <= now + log.skew;
  if (told.auditorTime === null) notes.push("auditor");
  if (!hasQuorum(log.pins.policy)) notes.push("unwitnessed");
  if (!log.canCount) notes.push("witness");
  else if (!told.witnessed) return { outcome: downgrade(page), notes };
  if (!fresh) {
    const counts = hasQuorum(log.pins.policy) && log.canCount;
    if (counts && !(GREEN.includes(page.code) && (await followed()))) return { outcome: downgrade(page), notes };
    notes.push(counts ? "closed" : "time");
  }
  return { outcome: notes.some((note) => note !== "name" && note !== "body") ? "partly" : "confirmed", notes };
}

/** Whether the log has ended with the checkpoint of this proof, and another pinned log follows it. */
async function isFollowed({ origin, size, root }, trust, askEnd) {
  const raw = await askEnd().catch(() => new Uint8Array(0)); // no network any more: then nothing follows it
  try {
    const successor = await successorOf(decode(raw, 16 * 1024), { size, root });
    return successor !== origin && trust.logs.some(({ pins }) => pins.origin === successor);
  } catch (error) {
    if (!(error instanceof Malformed || error instanceof Unverified)) throw error;
    return false;
  }
}

/** What is not in force stays so, however old the proof: revocation does not undo itself. */
const downgrade = (page) => (GREEN.includes(page.code) ? "stale" : "partly");

/** Raises Unverified at the first thing that the page says and the proof does not; gives back what it cannot tell. */
async function compare(page, told, words, now, carried) {
  const { code, shown, lang } = page;
  const title = (wanted) => proof(shown.title === words.titles[wanted][lang], "the headline");
  if (code === "not_found") {
    proof(told.state === null && !carried, "the register has this certificate");
    title(code);
    return [];
  }
  const { state, issued, commitments, filing } = told;
  proof(state !== null, "the register has no such certificate");
  const { certificate } = issued;
  const ended = state.kind === APPOINT && certificate.lastDay > 0n && Number(certificate.lastDay) < dayOf(now);
  const status = STATUSES[Number(state.status)] === "in_force" && ended ? "ended" : STATUSES[Number(state.status)];
  const corrected = commitments !== issued && commitments.kind === CORRECT;
  if (code !== "issuer_out_of_scope") proof(code === codeOf(status, state, certificate, corrected), "the verdict");
  title(code);
  const best = certificate.unlinked ? null : state.highest;
  const wanted = {
    grade: words.grades[state.grade][lang],
    occupation: certificate.occupation,
    trade: certificate.trade || "--",
    issued: sayDay(certificate.issueDay, lang),
    status: words.statuses[status][lang],
    current: best ? words.grades[best.grade][lang] : undefined,
    current_trade: (best && best.trade) || undefined,
    held: state.kind === APPOINT ? undefined : heldPost(state.posts, words, now, lang),
    corrected: corrected ? sayDay(commitments.fields.get(5), lang) : undefined,
    assessed: state.kind === APPOINT ? undefined : sayDay(issued.fields.get(7), lang),
    filing: state.filingNumber,
    index: String(state.issueIndex),
    leaf: hex(state.issueLeaf),
    key: hex(told.certKey),
    origin: told.origin,
  };
  for (const [field, text] of Object.entries(wanted)) proof(shown[field] === text, `the field ${field}`);
  const term = `${sayDay(certificate.firstDay, lang)} – ${certificate.lastDay ? sayDay(certificate.lastDay, lang) : ""}`;
  proof(state.kind === APPOINT ? shown.post?.startsWith(term) : shown.post === undefined, "the term of the post");
  if (state.kind === APPOINT) {
    const waits = GREEN.includes(code) && Number(certificate.firstDay) > dayOf(now);
    const text = words.toCome[lang].replace("{date}", sayDay(certificate.firstDay, lang));
    proof((shown.line === text) === waits, "whether the post has begun");
  }
  const notes = [];
  if (!filing || parseFiling(filing).name !== shown.issuer) notes.push("body");
  if (!(await isNamed(shown, told, carried))) notes.push("name");
  return notes;
}

/** The grade of the post that the holder has beside a certificate today, if any: the first of them that runs. */
function heldPost(posts, words, now, lang) {
  const today = dayOf(now);
  const held = posts.find(([, , , first, last]) => first <= today && (last === 0n || today <= last));
  return held && words.grades[held[0]][lang];
}

function codeOf(status, state, certificate, corrected) {
  if (status === "suspended" || status === "ended") return status;
  if (status !== "in_force") return "revoked";
  if (corrected) return "valid_corrected";
  return !certificate.unlinked && state.highest && state.highest.grade > state.grade ? "valid_upgraded" : "valid";
}

/** Whether the printed code shows that name and number are those that were signed. Raises when it shows the contrary. */
async function isNamed(shown, { state, issued, commitments }, carried) {
  if (!carried) return false;
  const [{ opens }, { maskName }] = await Promise.all([import("./fragment.js"), import("./mask.js")]);
  proof(same(carried.statement.entry, issued.entry) && carried.index === state.issueIndex, "the printed code");
  if (!(await opens(carried.face, commitments.fields.get(12)))) return false; // printed before a correction
  if (shown.name === undefined) return false;
  proof(shown.name === maskName(carried.face.name), "the name");
  proof(shown.number.replaceAll(" ", "") === carried.face.number, "the number");
  return true;
}

// A printed code judged by an offline kit alone, as verifier/kit/judge.py judges it: the same steps, the same codes.
//
//   judgeOffline(text, kit, now) -> {code, asOf, source: "kit", certificate, issuer, proof, findings, halted, detail}
//
// `halted`: it rests on a log that the kit's maker has stopped following.
// `certificate.post`: first and last day (null: open) of a post, else null; `certificate.waits`: a green one begins later.
//
// Total: whatever the text is, it has a verdict. Nothing is fetched; nothing of the text leaves this browser.

import { Malformed, Unverified, hex } from "./bytes.js";
import { openFragment, parseCode } from "./fragment.js";
import { covers, holds, isFresh, listsIt, mayHave, names } from "./kit.js";
import { dayOf } from "./names.js";
import { APPOINT, verifySignature } from "./statement.js";

/** @typedef {import("./kit.js").Kit} Kit */

// From the least favourable on (verifier/several.py).
const GRAVITY = [
  "tampered", "revoked", "ended", "suspended", "issuer_out_of_scope", "stale", "offline_signature_ok", "offline_bundle_ok",
];

/** @param {string} text what was scanned or pasted @param {Kit} kit of openKit @param {number} now ms */
export async function judgeOffline(text, kit, now) {
  const check = restOn({ kit, now, findings: [] }, kit.logs);
  let item = null;
  try {
    item = parseCode(text, kit.bases);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  if (item && !item.secret) { // 1
    note(check, "host", "fail");
    return finish(check, "wrong_domain", { detail: { found_host: item.host, official_host: kit.bases[0].split("://")[1] } });
  }
  if (!item) { // 2
    note(check, "readable", "fail");
    return finish(check, "unreadable");
  }
  note(check, "host", "pass");
  note(check, "readable", "pass");
  if (!item.fragment.length) { // 3
    note(check, "carried", "skipped");
    return nothing(check, "unavailable");
  }
  let carried;
  try {
    carried = await openFragment(item.secret, item.fragment);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    note(check, "carried", "fail");
    return nothing(check, "tampered");
  }
  note(check, "carried", "pass");
  return bySignature(check, carried);
}

/** The check resting on these logs. */
const restOn = (check, logs) => ({
  ...check,
  fresh: logs.every((log) => isFresh(log, check.now)),
  asOf: Math.min(...logs.map((log) => log.asOf)),
  halted: logs.some((log) => log.halted),
  findings: [...check.findings],
});

async function bySignature(check, carried) {
  const { statement, index } = carried;
  const { kit, fresh } = check;
  const known = kit.logs.filter((log) => log.filings.has(statement.issuer));
  const covered = kit.logs.every((log) => covers(log, index));
  if (!known.length) { // 4
    note(check, "signature", "unknown");
    return unknown(check, "issuer_out_of_scope", covered);
  }
  const filed = [];
  for (const log of known) {
    const filing = log.filings.get(statement.issuer);
    const key = filing.keys.find(({ kid }) => kid === hex(statement.kid));
    if (key) filed.push({ log, filing, key });
  }
  if (filed.length) return byKeys(check, carried, filed);
  note(check, "signature", covered && fresh ? "fail" : "unknown");
  return unknown(check, "tampered", covered);
}

/** A code does not say which log its place is in: what all say that may have it, or what those say that list it. */
async function byKeys(check, carried, filed) {
  const { statement, index } = carried;
  const listing = filed.filter(({ log }) => listsIt(log, statement.leaf));
  const verdicts = [];
  for (const one of listing) verdicts.push(await byKey(restOn(check, [one.log]), carried, one));
  if (listing.length) return verdicts.sort((a, b) => GRAVITY.indexOf(a.code) - GRAVITY.indexOf(b.code))[0];
  const some = filed.filter(({ log }) => mayHave(log, index));
  const possible = some.length ? some : filed;
  const basis = possible.map(({ log }) => log);
  for (const one of possible) verdicts.push(await byKey(restOn(check, basis), carried, one));
  if (verdicts.every(({ code }) => code === verdicts[0].code)) return verdicts[0];
  const open = restOn(check, basis);
  note(open, "signature", "pass");
  note(open, "logged", "unknown");
  return nothing(open, "offline_signature_ok", shown(open, carried, filed[0].filing, null, "unknown"));
}

/** The body or its key is not in the kit: it may have been filed after the kit was made. */
function unknown(check, code, covered) {
  if (!covered) return nothing(check, "unavailable");
  return nothing(check, check.fresh ? code : "stale");
}

async function byKey(check, carried, { log, filing, key }) {
  const { statement, index } = carried;
  try {
    await verifySignature(statement, key.public);
  } catch (error) {
    if (!(error instanceof Unverified || error instanceof Malformed)) throw error;
    note(check, "signature", "fail");
    return nothing(check, "tampered");
  }
  note(check, "signature", "pass");
  note(check, "logged", "unknown");
  if (index >= log.size) { // 5
    return nothing(check, "offline_signature_ok", shown(check, carried, filing, null, "unknown"));
  }
  const inScope = allows(filing, statement.certificate, statement.kind) ? true : filing.changed ? null : false;
  note(check, "scope", inScope ? "pass" : inScope === null ? "unknown" : "fail"); // 6
  if (inScope === false) {
    return nothing(check, "issuer_out_of_scope", shown(check, carried, filing, false, "unknown"));
  }
  const proof = { origin: log.origin, index, size: log.size, leaf: hex(statement.leaf) };
  const status = statusOf(check, log, carried, key); // 7
  if (status !== "in_force") {
    note(check, "status", "fail");
    return nothing(check, status, { ...shown(check, carried, filing, inScope, status), proof });
  }
  if (names(log, "corrected", statement.leaf)) {
    note(check, "status", "unknown");
    return nothing(check, "offline_signature_ok", shown(check, carried, filing, inScope, "unknown", false));
  }
  if (key.voidFrom >= 0n) { // whoever has the key chooses the place that a code names
    note(check, "status", "unknown");
    return nothing(check, "offline_signature_ok", shown(check, carried, filing, inScope, "unknown"));
  }
  note(check, "status", "pass");
  const higher = holds(log.lists.superseded, index); // 8
  note(check, "current", "pass");
  if (!check.fresh) return nothing(check, "stale", shown(check, carried, filing, inScope, "unknown")); // 9
  const view = shown(check, carried, filing, inScope, "in_force");
  view.certificate.waits = view.certificate.post !== null && view.certificate.post[0] > dayOf(check.now);
  return nothing(check, "offline_bundle_ok", { ...view, proof, higher });
}

/** By the statement's own hash: nobody signs the place that a code names. */
function statusOf({ now }, log, { statement, index }, key) {
  const { certificate, kind, leaf } = statement;
  if (names(log, "revoked", leaf) || (key.voidFrom >= 0n && key.voidFrom <= index)) return "revoked";
  const over = kind === APPOINT && certificate.lastDay > 0n && Number(certificate.lastDay) < dayOf(now);
  if (over || names(log, "ended", leaf)) return "ended";
  return names(log, "suspended", leaf) ? "suspended" : "in_force";
}

function allows(filing, certificate, kind) {
  const { issueDay, occupation, trade, grade, audience } = certificate;
  if (issueDay < filing.first || issueDay > filing.last) return false;
  const rows = filing.rows.filter((row) => row[0] === occupation && (row[1] === "" || row[1] === trade));
  if (kind === APPOINT) return filing.grants.includes(grade) && rows.length > 0;
  return rows.some((row) => row[2].includes(grade) && row[3] === audience && row[4] <= issueDay);
}

function shown({ kit }, { statement, face }, filing, inScope, status, named = true) {
  const { certificate } = statement;
  return {
    certificate: {
      name: named ? face.name : null,
      number: named ? face.number : null,
      grade: Number(certificate.grade),
      occupationCode: certificate.occupation,
      occupation: kit.occupations.get(certificate.occupation) ?? certificate.occupation,
      trade: certificate.trade,
      issueDay: Number(certificate.issueDay),
      post: statement.kind === APPOINT ? [Number(certificate.firstDay), Number(certificate.lastDay) || null] : null,
      waits: false,
      status,
    },
    issuer: { number: filing.number, name: filing.name, inScope },
  };
}

function note(check, step, outcome) {
  check.findings.push([step, outcome]);
}

function nothing(check, code, more = {}) {
  note(check, "freshness", check.fresh ? "pass" : "unknown");
  return finish(check, code, { asOf: check.asOf, ...more });
}

function finish({ now, findings, halted }, code, more = {}) {
  const empty = { certificate: null, issuer: null, proof: null, higher: false, asOf: null, detail: {} };
  return { code, checkedAt: now, source: "kit", findings, halted, ...empty, ...more };
}

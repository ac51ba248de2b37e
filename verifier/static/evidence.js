// Evidence: the proof of what the log says about one certificate (formats.md 8), judged from pinned keys alone.
//
//   1 checkpoint  2 seal  3 next  4 map  5 state  6 issued  7 named  8 highest
//
// The numbers are those of ledger/records/evidence_check.py. No browser verifies ML-DSA-44, so the log's Ed25519 key
// signs alone here: without a quorum nothing but the seal says when.

import { form, isBytes, proof, same, sha256 } from "./bytes.js";
import { decode, shape } from "./cbor.js";
import { leafHash, verifyInclusion, verifyMap } from "./merkle.js";
import { TOP, openNote, parseCheckpoint } from "./note.js";
import { hasQuorum, quorumTime } from "./policy.js";
import { APPOINT, ISSUE, REISSUE, labelled, parseFiling, parseStatement, verifySignature } from "./statement.js";

/** @typedef {import("./note.js").Key} Key */
/** @typedef {{origin: string, keys: Key[], policy: import("./policy.js").Policy, auditors: Key[]}} Pins */

const KINDS = [ISSUE, APPOINT, REISSUE];

/** What one answer proves. `time` and `auditorTime` are POSIX seconds, `auditorTime` null without one.
 * @param {Uint8Array} raw @param {Pins} pins Ed25519 keys count, others are passed over
 * @param {bigint} [latest] POSIX seconds: cosignatures of later than that do not count
 * @param {boolean} [alone] take a checkpoint short of the quorum too, and say so in `witnessed` */
export async function verifyEvidence(raw, pins, latest = TOP, alone = false) {
  const parts = parseEvidence(raw);
  const [, certKey, note, sealEntry, sealPath, next, mapProof, stateRaw, issuedPart, , , terms] = parts;
  const opened = await openCheckpoint(note, pins, latest, alone); // 1
  const { size, root } = opened;
  const included = async (entry, index, path) => verifyInclusion(await leafHash(entry), index, size, path, root);

  const seal = parseSeal(sealEntry); // 2
  await included(sealEntry, seal.covered, sealPath);
  proof((seal.covered === size - 1n) === (next.length === 0), "a seal that is not the last comes with the next");
  const after = next.length ? parseSeal(next[0]) : null; // 3
  if (after) {
    await included(next[0], after.covered, next[1]);
    proof(after.previous === seal.covered && after.time > seal.time, "the next seal does not follow the first");
  }
  const mapKey = await sha256(labelled("certledger/map/cert/v1", certKey)); // 4
  const mapValue = stateRaw.length ? await sha256(labelled("certledger/cert-state/v1", stateRaw)) : null;
  await verifyMap(seal.mapRoot, mapKey, mapValue, mapProof);
  const time = opened.quorum ?? seal.time / 1000n;
  const found = { certKey, ...opened, time, seal, next: after, mapKey, mapValue };
  if (mapValue === null) return { ...found, state: null };

  const state = parseState(stateRaw); // 5
  const issued = await parseStatement(issuedPart[0]); // 6
  proof(same(issued.leaf, state.issueLeaf) && state.issueIndex < seal.covered, "not the statement that the state names");
  await included(issuedPart[0], state.issueIndex, issuedPart[1]);
  checkIssues(issued, certKey, state.grade);
  proof(issued.kind === state.kind, "the state is of another kind of certificate");
  await verifySignature(issued, state.recordKey);
  const commitments = await named(parts[9], state.commitmentLeaf, [issued]); // 7
  const event = await named(parts[10], state.eventLeaf, [issued, commitments]);
  const filing = terms.length ? await parseStatement(terms) : null;
  if (filing) {
    proof(same(filing.leaf, state.filingLeaf), "not the filing that the state names");
    const { number, keys } = parseFiling(filing);
    const listed = state.kind === REISSUE || keys.some((key) => same(key, state.recordKey));
    proof(number === state.filingNumber && listed, "the filing does not list the record key");
  }
  const highest = await verifyHighest(parts[12], state, certKey, seal, included); // 8
  return { ...found, state, issued, commitments, event, filing, highest };
}

/** A checkpoint under the pinned keys. `quorum`: the moment of the witnesses' quorum, undefined without.
 * @param {Uint8Array} note @param {Pins} pins @param {bigint} latest @param {boolean} alone */
export async function openCheckpoint(note, pins, latest, alone) {
  const usable = (key) => key.type !== 6;
  const logKeys = pins.keys.filter(usable);
  const auditors = pins.auditors.filter(usable);
  const witnesses = pins.policy.witnesses.map(({ key }) => key).filter(usable);
  const { text, times } = await openNote(note, [...logKeys, ...witnesses, ...auditors]);
  const { origin, size, root } = parseCheckpoint(text);
  proof(logKeys.length > 0 && logKeys.every((key) => times.has(key.vkey)), "a log key did not sign the checkpoint");
  proof(origin === pins.origin, "a checkpoint of another log");
  const counted = new Map([...times].filter(([, time]) => time > 0n && time <= latest));
  const quorum = quorumTime(pins.policy, counted);
  const witnessed = quorum !== undefined || !hasQuorum(pins.policy);
  proof(witnessed || alone, "the checkpoint is short of the witness quorum");
  const audited = auditors.map((key) => counted.get(key.vkey)).filter((time) => time !== undefined);
  const auditorTime = audited.length ? audited.reduce((a, b) => (a > b ? a : b)) : null;
  return { origin, size, root, quorum, witnessed, auditorTime };
}

function parseEvidence(raw) {
  const parts = decode(raw, 160 * 1024);
  const wanted = "text,bytes,bytes,bytes,list,list,bytes,bytes,list,list,list,bytes,list";
  form(shape(parts) === wanted && parts[0] === "certledger/evidence/v1", "not evidence of this version");
  const [, certKey, note, seal, sealPath, next, , state, issued, commitments, event, terms, highest] = parts;
  form(certKey.length === 32 && note.length > 0 && note.length <= 65536, "cert key or checkpoint");
  form(seal.length > 0 && seal.length <= 256 && state.length <= 2048 && terms.length <= 8192, "sizes");
  for (const one of [next, issued]) form(!one.length || shape(one) === "bytes,list", "[entry, [inclusion]] or nothing");
  for (const one of [commitments, event]) form(!one.length || shape(one) === "bytes", "[entry] or nothing");
  form(!highest.length || shape(highest) === "bytes,int,list", "[entry, index, [inclusion]] or nothing");
  form(!highest.length || (highest[1] >= 0n && highest[1] <= TOP), "an index lies in 0 .. 2**63 - 1");
  for (const [entry] of [next, issued, commitments, event, highest].filter((one) => one.length)) {
    form(entry.length > 0 && entry.length <= 8192, "an entry of the log has 1 to 8192 bytes");
  }
  form(!next.length || next[0].length <= 256, "a seal is too long");
  for (const path of [sealPath, ...next.slice(1), ...issued.slice(1), ...highest.slice(2)]) {
    form(path.length <= 63 && path.every((one) => isBytes(one) && one.length === 32), "an inclusion's hashes");
  }
  form(state.length > 0 === issued.length > 0, "a state comes with the statement that issued the certificate");
  const more = commitments.length + event.length + terms.length + highest.length;
  form(state.length > 0 || more === 0, "of an absent certificate there is nothing to show");
  return parts;
}

/** The leaf that ends a batch (formats.md 6). @param {Uint8Array} entry */
export function parseSeal(entry) {
  const parts = decode(entry);
  form(shape(parts) === "text,int,int,bytes,int,bytes,int" && parts[0] === "certledger/seal/v1", "not a seal");
  const [, covered, time, mapRoot, count, chain, previous] = parts;
  form(previous >= -1n && previous < covered && time >= 0n && count >= 0n, "a seal's numbers");
  form(mapRoot.length === 32 && chain.length === 32, "a seal's digests");
  return { covered, time, mapRoot, previous };
}

const STATE = "int,int,int,int,text,bytes,bytes,int,bytes,int,bytes,int,bytes,int,int,bytes,bytes,bytes,list";

function parseState(raw) {
  const parts = decode(raw);
  form(shape(parts) === STATE && parts[0] === 1n, "not a certificate state of this version");
  form(parts[1] >= 1n && parts[1] <= 6n && KINDS.includes(parts[2]), "a state's status or kind");
  form([5, 6, 8, 10, 12].every((at) => parts[at].length === 32) && parts[17].length === 16, "a state's digests");
  form([15, 16].every((at) => parts[at].length === 32 || parts[at].length === 0), "a state's previous or successor");
  form(parts[7] >= 0n && parts[7] <= parts[11] && shape(parts[18]) === "list,list", "a state's events or summary");
  const [highest, days] = parts[18];
  form(["", "int,text,bytes,int"].includes(shape(highest)), "the highest grade");
  form(/^((^|,)int,bytes,int,int,int)*$/.test(shape(days)), "the posts");
  const [, status, kind, grade, filingNumber, recordKey, filingLeaf, issueIndex, issueLeaf] = parts;
  const named = { commitmentLeaf: parts[10], eventIndex: parts[11], eventLeaf: parts[12], effectiveDay: parts[13] };
  const best = highest.length ? { grade: highest[0], trade: highest[1], certKey: highest[2] } : null;
  const own = { status, kind, grade, filingNumber, recordKey, filingLeaf, issueIndex, issueLeaf };
  const posts = Array.from({ length: days.length / 5 }, (_, at) => days.slice(5 * at, 5 * at + 5));
  return { ...own, ...named, highest: best, posts };
}

async function named(part, leaf, known) {
  const held = known.find((one) => same(one.leaf, leaf));
  form(!held || !part.length, "a statement given twice");
  if (held) return held;
  const entry = part.length ? part[0] : new Uint8Array();
  proof(same(await leafHash(entry), leaf), "not the statement that the state names");
  return parseStatement(entry);
}

async function verifyHighest(part, state, certKey, seal, included) {
  if (!part.length) return null;
  const best = state.highest;
  proof(best && !same(best.certKey, certKey) && part[1] < seal.covered, "a highest that the state does not name");
  await included(part[0], part[1], part[2]);
  const statement = await parseStatement(part[0]);
  checkIssues(statement, best.certKey, best.grade);
  return statement;
}

function checkIssues(statement, certKey, grade) {
  const said = statement.certificate;
  proof(said && same(said.certKey, certKey) && said.grade === grade, "it does not issue this certificate");
}

// The offline kit (verifier/kit/format.py): read, and believed under this browser's own pins.
//
//   openKit(raw, trust, now) -> Kit       throws Malformed, Unverified
//
// Whoever believes a kit believes its maker in what the lists say; who made it, and when witnesses stood behind its
// checkpoint, is checked here.

import { Malformed, form, hex, isBytes, proof, sha256, toInt } from "./bytes.js";
import { decode, shape } from "./cbor.js";
import { openCheckpoint, parseSeal } from "./evidence.js";
import { kidOf } from "./fragment.js";
import { successorOf } from "./log-end.js";
import { leafHash, verifyInclusion } from "./merkle.js";
import { openNote } from "./note.js";
import { hasQuorum } from "./policy.js";

const LABEL = "certledger/kit/v3";
const FAMILY = "certledger/kit/";
const MAX = 16 * 1024 * 1024;
const LISTS = ["revoked", "suspended", "ended", "corrected", "superseded"];
const TOP = 2 ** 53;
const MAX_RANGES = 1 << 22;
const MARK = 48n; // bits of the longest mark
const MAX_LOGS = 256;

/** A log of a kit; of a closed one times and halt are as of its heir. `heir`: "" where the kit has none.
 * @typedef {{origin: string, size: bigint, root: Uint8Array, asOf: number, until: number, skew: number,
 *   witnessed: boolean, halted: boolean, heir: string, filings: Map<string, any>, width: bigint,
 *   lists: Record<string, [number, number][]>}} KitLog times in ms */
/** @typedef {{made: number, bases: string[], grades: Map<number, {zh: string, en: string}>,
 *   occupations: Map<string, string>, logs: KitLog[]}} Kit times in ms */

/** A kit of before or after: not damaged, but not of this program. */
export class OtherVersion extends Malformed {}

/** @param {Uint8Array} raw @param {any} trust of readTrust @param {number} now ms @returns {Promise<Kit>} */
export async function openKit(raw, trust, now) {
  const parts = decode(raw, MAX);
  form(shape(parts) === "text,bytes,bytes" && parts[0].startsWith(FAMILY), "not a kit");
  if (parts[0] !== LABEL) throw new OtherVersion("a kit of another version");
  const [, bodyRaw, note] = parts;
  const { text } = await openNote(note, trust.kitKeys);
  const digest = btoa(String.fromCharCode(...(await sha256(bodyRaw))));
  form(text === `${LABEL}\n${digest}\n`, "the signature is over another body");
  const body = decode(bodyRaw, MAX);
  form(shape(body) === "int,int,list,list,list,list", "not a kit's body");
  const [made, limit, bases, grades, occupations, logs] = body;
  form(made >= 0n && limit > 0n && logs.length >= 1 && logs.length <= MAX_LOGS && bases.length > 0, "a kit's times or logs");
  form(bases.every((base) => typeof base === "string"), "a kit's addresses");
  form(grades.every((grade) => shape(grade) === "int,text,text"), "a kit's grades");
  form(occupations.every((one) => shape(one) === "text,text"), "a kit's occupations");
  /** @type {Map<string, KitLog>} */
  const opened = new Map();
  for (const one of logs) {
    const log = await openLog(one, trust, now, Number(limit));
    form(!opened.has(log.origin), "one log twice");
    opened.set(log.origin, log);
  }
  return {
    made: Number(made),
    bases,
    grades: new Map(grades.map(([ordinal, zh, en]) => [Number(ordinal), { zh, en }])),
    occupations: new Map(occupations),
    logs: [...opened.values()].map((log) => followed(log, opened, [])),
  };
}

/** A closed log as of its successor, where the kit has that too. */
function followed(log, logs, seen) {
  const heir = logs.get(log.heir);
  if (!heir || seen.includes(log.heir)) return { ...log, heir: "" };
  const { asOf, until, skew, ...later } = followed(heir, logs, [...seen, log.origin]);
  const [witnessed, halted] = [log.witnessed && later.witnessed, log.halted || later.halted];
  return { ...log, asOf, until, skew, witnessed, halted };
}

/** Whether anything may be green by this log of a kit. @param {KitLog} log @param {number} now ms */
export const isFresh = (log, now) =>
  log.witnessed && !log.halted && log.asOf - log.skew <= now && now <= log.until;

/** Whether something may stand at this place, as far as is known. @param {KitLog} log @param {bigint} index */
export const mayHave = (log, index) => !log.heir || index < log.size;

/** Whether the kit would know of what stands there. @param {KitLog} log @param {bigint} index */
export const covers = (log, index) => log.heir !== "" || index < log.size;

async function openLog(parts, trust, now, limit) {
  form(shape(parts) === "text,bytes,bytes,list,int,list,int,list,int,list", "a kit's log");
  const [origin, note, sealRaw, path, signed, end, halt, filings, width, lists] = parts;
  form(lists.length === LISTS.length && halt >= 0n && halt <= 2n, "a kit's lists or halt");
  form(width >= 32n && width <= MARK, "marks of 32 to 48 bits");
  form(note.length > 0 && note.length <= 65536 && sealRaw.length > 0 && sealRaw.length <= 256, "a kit's checkpoint");
  form(path.length <= 63 && path.every((one) => isBytes(one) && one.length === 32) && signed >= 0n, "a kit's inclusion");
  const read = filings.map(readFiling);
  for (const [at, { number }] of read.entries()) form(at === 0 || read[at - 1].number < number, "filings rise");
  const sets = Object.fromEntries(LISTS.map((name, at) => [name, parseIndexSet(lists[at])]));
  const log = trust.logs.find(({ pins }) => pins.origin === origin);
  proof(log, "a kit of a log that is not pinned");
  const latest = BigInt(Math.floor((now + log.skew) / 1000));
  const opened = await openCheckpoint(note, log.pins, latest, true);
  const seal = parseSeal(sealRaw);
  proof(seal.covered === opened.size - 1n, "the last leaf of the checkpoint is not its seal");
  await verifyInclusion(await leafHash(sealRaw), seal.covered, opened.size, path, opened.root);
  const counted = hasQuorum(log.pins.policy) && log.canCount;
  const proven = counted && opened.quorum !== undefined ? Number(opened.quorum) * 1000 : TOP;
  for (const filing of read) {
    for (const key of filing.keys) key.kid = hex(await kidOf(key.public));
  }
  const asOf = Math.min(Number(signed), proven);
  return {
    origin,
    size: opened.size,
    root: opened.root,
    asOf,
    until: asOf + limit,
    skew: log.skew,
    halted: halt > 0n,
    heir: end.length ? await successorOf(end, opened) : "",
    witnessed: !counted || opened.quorum !== undefined,
    filings: new Map(read.map((filing) => [filing.number, filing])),
    width,
    lists: sets,
  };
}

function readFiling(parts) {
  form(shape(parts) === "text,text,int,int,int,int,list,list,list", "a kit's filing");
  const [number, name, status, first, last, changed, rows, grants, keys] = parts;
  form(status >= 1n && status <= 3n && (changed === 0n || changed === 1n), "a kit's filing");
  form(rows.every((row) => shape(row) === "text,text,list,int,int"), "a kit's rows");
  form(grants.every((grant) => typeof grant === "bigint"), "a kit's grants");
  form(keys.every((key) => shape(key) === "bytes,int,int,int,int" && key[0].length === 32), "a kit's keys");
  return {
    number, name, first, last, grants, rows, changed: changed === 1n,
    keys: keys.map((key) => ({ public: key[0], voidFrom: key[4], kid: "" })),
  };
}

/** Rising ranges [first, end) (verifier/kit/index_set.py). @param {any} value @returns {[number, number][]} */
export function parseIndexSet(value) {
  form(shape(value) === "int,int,int,bytes", "index set: [count, order, order, bits]");
  const [count, gapOrder, lengthOrder, packed] = value;
  form(count >= 0n && count <= MAX_RANGES && [gapOrder, lengthOrder].every((one) => one >= 0n && one <= 40n), "its head");
  const bits = { packed, at: 0 };
  /** @type {[number, number][]} */
  const ranges = [];
  let before = -1;
  for (let n = 0; n < Number(count); n += 1) {
    const first = before + 1 + readCode(bits, Number(gapOrder));
    before = first + readCode(bits, Number(lengthOrder)) + 1;
    form(before <= TOP, "index set: an index out of range");
    ranges.push([first, before]);
  }
  form(8 * packed.length - bits.at < 8, "index set: bits behind the last range");
  while (bits.at < 8 * packed.length) form(readBit(bits) === 0, "index set: bits behind the last range");
  return ranges;
}

function readCode(bits, order) {
  let zeros = 0;
  while (readBit(bits) === 0) zeros += 1;
  form(zeros <= 53, "index set: cut short");
  let quotient = 1;
  for (let n = 0; n < zeros; n += 1) quotient = quotient * 2 + readBit(bits);
  let low = 0;
  for (let n = 0; n < order; n += 1) low = low * 2 + readBit(bits);
  return (quotient - 1) * 2 ** order + low;
}

function readBit(bits) {
  form(bits.at < 8 * bits.packed.length, "index set: cut short");
  const bit = (bits.packed[bits.at >> 3] >> (7 - (bits.at & 7))) & 1;
  bits.at += 1;
  return bit;
}

/** @param {[number, number][]} ranges @param {bigint} index */
export function holds(ranges, index) {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (index < ranges[middle][1]) high = middle;
    else low = middle + 1;
  }
  return low < ranges.length && index >= ranges[low][0];
}

/** Whether a list of marks has the certificate whose issuing statement has this leaf hash.
 * @param {KitLog} log @param {string} name of any list but "superseded" @param {Uint8Array} leaf */
export const names = ({ lists, width }, name, leaf) => holds(lists[name], toInt(leaf.slice(0, 6)) >> (MARK - width));

/** Whether any list of marks has it: then it is of this log. @param {KitLog} log @param {Uint8Array} leaf */
export const listsIt = (log, leaf) => LISTS.some((name) => name !== "superseded" && names(log, name, leaf));

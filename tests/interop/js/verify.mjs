// A second verifier of evidence: the proof of what the log says about one certificate (docs/formats.md).
//
//     const told = await verifyEvidence(bytes, trust, subtle)      throws Bad, with the step that failed
//
// Pure functions over Uint8Array; `subtle` is WebCrypto's SubtleCrypto (crypto.subtle in a page or in Node). Nothing of
// Node is used here. trust: { origin, logKeys: [vkey], policy: text, auditors: [vkey] }; Ed25519 keys only (0x01, 0x04).
// Steps: 0 form, 1 checkpoint, 2 seal, 3 next, 4 map, 5 state, 6 issued, 7 named, 8 highest.

export class Bad extends Error {
  constructor(step, why) {
    super(`step ${step}: ${why}`);
    this.step = step;
  }
}

function need(holds, step, why) {
  if (!holds) throw new Bad(step, why);
}

// ---- bytes ---------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function same(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const isBytes = (value) => value instanceof Uint8Array;
const ascii = (text) => encoder.encode(text);

function utf8(bytes, step) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Bad(step, "not UTF-8");
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Standard base64 with padding, in its one spelling.
export function fromBase64(text, step) {
  need(text.length % 4 === 0, step, "base64 comes in fours");
  const plain = text.replace(/={1,2}$/, "");
  const out = new Uint8Array(Math.floor((plain.length * 6) / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const char of plain) {
    const value = ALPHABET.indexOf(char);
    need(value >= 0, step, "not base64");
    held = ((held << 6) | value) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (held >> bits) & 0xff;
    }
  }
  need(bits < 6 && (held & ((1 << bits) - 1)) === 0, step, "base64 in another spelling");
  return out;
}

// ---- CBOR: one spelling only ---------------------------------------------------------------------------------------

// Integers become BigInt, byte strings Uint8Array, text string, arrays Array, maps Map.
export function decode(raw) {
  const [value, end] = item(raw, 0, 8);
  need(end === raw.length, 0, "bytes after the document");
  return value;
}

function item(raw, start, depth) {
  let at = start;
  need(at < raw.length, 0, "the document is cut short");
  const major = raw[at] >> 5;
  const low = raw[at] & 31;
  at += 1;
  const size = { 24: 1, 25: 2, 26: 4, 27: 8 }[low] ?? 0;
  need(low < 28 && at + size <= raw.length, 0, "an argument of this profile");
  let number = BigInt(low);
  if (size) {
    number = raw.slice(at, at + size).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    need(number >= (size === 1 ? 24n : 1n << BigInt(4 * size)), 0, "an integer longer than needed");
  }
  at += size;
  if (major === 0) return [number, at];
  if (major === 1) return [-1n - number, at];
  need(major <= 5 && number <= BigInt(raw.length), 0, "no tags, floats or simple values; nothing longer than it is");
  const count = Number(number);
  if (major === 2 || major === 3) {
    need(at + count <= raw.length, 0, "a string is cut short");
    const piece = raw.slice(at, at + count);
    if (major === 2) return [piece, at + count];
    const text = utf8(piece, 0);
    need(text.normalize("NFC") === text, 0, "text that NFC changes");
    return [text, at + count];
  }
  need(depth > 0, 0, "nested too deep");
  if (major === 4) {
    const items = [];
    for (let n = 0; n < count; n += 1) {
      const [value, end] = item(raw, at, depth - 1);
      items.push(value);
      at = end;
    }
    return [items, at];
  }
  const found = new Map();
  let before = -1;
  for (let n = 0; n < count; n += 1) {
    const [key, behind] = item(raw, at, depth - 1);
    need(typeof key === "bigint" && key > BigInt(before) && key < 65536n, 0, "keys rise, 0..65535");
    before = Number(key);
    const [value, end] = item(raw, behind, depth - 1);
    found.set(before, value);
    at = end;
  }
  return [found, at];
}

// The head of a byte string of this length, as COSE's signature structure needs it.
function byteString(bytes) {
  const n = bytes.length;
  if (n < 24) return concat(Uint8Array.of(0x40 | n), bytes);
  if (n < 256) return concat(Uint8Array.of(0x58, n), bytes);
  return concat(Uint8Array.of(0x59, n >> 8, n & 255), bytes);
}

const isInt = (value) => typeof value === "bigint";

// ---- signatures ----------------------------------------------------------------------------------------------------

const P = (1n << 255n) - 19n;
const LOW_ORDER = [
  0n,
  1n,
  P - 1n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
];

// libsodium's rule for keys and R: a canonical y that is not of low order.
export function usualPoint(bytes) {
  const y = bytes.reduceRight((sum, byte, at) => (sum << 8n) | BigInt(at === 31 ? byte & 0x7f : byte), 0n);
  return y < P && !LOW_ORDER.includes(y);
}

async function holds(subtle, key, message, signature) {
  if (!isBytes(signature) || signature.length !== 64 || !isBytes(key) || key.length !== 32) return false;
  if (!usualPoint(key) || !usualPoint(signature.slice(0, 32))) return false;
  try {
    const imported = await subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return await subtle.verify({ name: "Ed25519" }, imported, signature, message);
  } catch {
    return false;
  }
}

async function sha256(subtle, ...parts) {
  return new Uint8Array(await subtle.digest("SHA-256", concat(...parts)));
}

// ---- signed notes --------------------------------------------------------------------------------------------------

const NOT_IN_NAME =
  /[\u0000-\u0020+\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;
const TOP = (1n << 63n) - 1n;

export function readVkey(text) {
  const [name, id, ...rest] = text.split("+");
  const raw = fromBase64(rest.join("+"), 1);
  return { name, id, type: raw[0], public: raw.slice(1), vkey: text };
}

const isName = (name) => {
  const size = ascii(name).length;
  return size > 0 && size <= 255 && !NOT_IN_NAME.test(name);
};

export function readCheckpoint(text) {
  const lines = text.split("\n");
  need(lines.length === 4 && lines[3] === "" && Array.from(text).length <= 512, 1, "not a checkpoint");
  need(isName(lines[0]) && /^(0|[1-9][0-9]{0,18})$/.test(lines[1]), 1, "origin or size");
  const size = BigInt(lines[1]);
  const root = fromBase64(lines[2], 1);
  need(size <= TOP && root.length === 32, 1, "size or root");
  return { origin: lines[0], size, root };
}

// The text, and when each known key signed it (0n: a signature without a time), by vkey.
async function openNote(raw, keys, subtle) {
  need(raw.length <= 65536, 1, "a note of more than 64 KiB");
  const whole = utf8(raw, 1);
  const cut = whole.lastIndexOf("\n\n");
  need(cut >= 0 && whole.endsWith("\n") && whole.length > cut + 2, 1, "text, empty line, signature lines");
  const text = whole.slice(0, cut + 1);
  const lines = whole.slice(cut + 2, -1).split("\n");
  need(!/[\u0000-\u0009\u000b-\u001f]/.test(text) && lines.length <= 64, 1, "control characters or lines");
  const times = new Map();
  for (const line of lines) {
    const parts = line.split(" ");
    need(parts.length === 3 && parts[0] === "\u2014" && isName(parts[1]), 1, "not a signature line");
    const blob = fromBase64(parts[2], 1);
    need(blob.length > 4, 1, "a signature line without a signature");
    for (const key of keys) {
      if (key.name !== parts[1] || key.id !== hex(blob.slice(0, 4))) continue;
      need(!times.has(key.vkey), 1, "two lines of one key");
      times.set(key.vkey, await signed(key, text, blob.slice(4), subtle));
    }
  }
  need(times.size > 0, 1, "signed by nobody known");
  return { text, times };
}

async function signed(key, text, blob, subtle) {
  if (key.type === 1) {
    need(await holds(subtle, key.public, ascii(text), blob), 1, "a log signature does not hold");
    return 0n;
  }
  need(key.type === 4, 1, "a key of a type that this verifier does not know");
  readCheckpoint(text);
  need(blob.length === 72, 1, "a cosignature of another length");
  const time = blob.slice(0, 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  need(time > 0n && time <= TOP, 1, "a cosignature without a time");
  const message = ascii(`cosignature/v1\ntime ${time}\n${text}`);
  need(await holds(subtle, key.public, message, blob.slice(8)), 1, "a cosignature does not hold");
  return time;
}

const policyLines = (policy) => policy.split("\n").map((line) => line.split(/[ \t]+/).filter(Boolean));

// The newest moment at which the quorum stood behind it; 0n when the policy asks for none; undefined when it is short.
export function quorumTime(policy, times) {
  const moments = new Map();
  let wanted = "";
  for (const items of policyLines(policy)) {
    if (items[0] === "witness" && times.has(items[2])) moments.set(items[1], times.get(items[2]));
    if (items[0] === "group") {
      const members = items.slice(3);
      const k = items[2] === "any" ? 1 : items[2] === "all" ? members.length : Number(items[2]);
      const newest = members.filter((name) => moments.has(name)).map((name) => moments.get(name));
      newest.sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
      if (newest.length >= k) moments.set(items[1], newest[k - 1]);
    }
    if (items[0] === "quorum") wanted = items[1];
  }
  return wanted === "none" ? 0n : moments.get(wanted);
}

// ---- trees ---------------------------------------------------------------------------------------------------------

const leafHash = (subtle, entry) => sha256(subtle, Uint8Array.of(0), entry);

// The last hash of the path is the other half of the whole tree (RFC 9162 2.1.3); null when it cannot be.
async function rootOf(subtle, leaf, index, size, path) {
  if (index < 0n || index >= size) return null;
  if (size === 1n) return path.length === 0 ? leaf : null;
  if (path.length === 0) return null;
  let half = 1n;
  while (half * 2n < size) half *= 2n;
  const last = path[path.length - 1];
  const left = index < half;
  const inner = left
    ? await rootOf(subtle, leaf, index, half, path.slice(0, -1))
    : await rootOf(subtle, leaf, index - half, size - half, path.slice(0, -1));
  if (inner === null) return null;
  return sha256(subtle, Uint8Array.of(1), ...(left ? [inner, last] : [last, inner]));
}

const bitOf = (key, bit) => (key[bit >> 3] >> (7 - (bit & 7))) & 1;

// Whether the proof shows (key, value), or with null that there is no value, under the map root.
async function mapLeads(subtle, root, key, value, proof) {
  const head = proof.length % 33 === 0 ? new Uint8Array() : proof.slice(0, 64);
  const rest = proof.slice(head.length);
  need(proof.length <= 64 + 256 * 33 && rest.length % 33 === 0 && [0, 64].includes(head.length), 4, "its length");
  const siblings = [];
  for (let at = 0; at < rest.length; at += 33) siblings.push([rest[at], rest.slice(at + 1, at + 33)]);
  need(siblings.every(([bit], at) => at === 0 || bit < siblings[at - 1][0]), 4, "bits fall");
  let leaf = [key, value];
  if (value === null) {
    if (head.length === 0) return siblings.length === 0 && same(root, await sha256(subtle));
    leaf = [head.slice(0, 32), head.slice(32)];
    if (same(leaf[0], key) || siblings.some(([bit]) => bitOf(key, bit) !== bitOf(leaf[0], bit))) return false;
  } else if (head.length) {
    return false;
  }
  let node = await sha256(subtle, ...leaf);
  for (const [bit, sibling] of siblings) {
    const pair = bitOf(key, bit) ? [sibling, node] : [node, sibling];
    node = await sha256(subtle, ...pair, Uint8Array.of(bit));
  }
  return same(node, root);
}

// ---- statements ----------------------------------------------------------------------------------------------------

async function readStatement(subtle, entry, step) {
  const single = entry[0] === 0xd2;
  need(single || (entry[0] === 0xd8 && entry[1] === 0x62), step, "neither COSE_Sign1 nor COSE_Sign");
  const parts = decode(entry.slice(single ? 1 : 2));
  need(Array.isArray(parts) && parts.length === 4, step, "four parts");
  const [protectedBytes, open, payload, last] = parts;
  need(open instanceof Map && open.size === 0 && isBytes(protectedBytes) && isBytes(payload), step, "an empty header");
  const header = decode(protectedBytes);
  const fields = decode(payload);
  need(header instanceof Map && fields instanceof Map, step, "header and payload are maps");
  need(Array.from(header.keys()).join() === (single ? "1,3,4,15" : "3,15"), step, "a header of this form");
  const claims = header.get(15);
  need(header.get(3) === 60n && (!single || header.get(1) === -8n), step, "algorithm and content");
  need(claims instanceof Map && Array.from(claims.keys()).join() === "1,2", step, "two claims");
  const subject = claims.get(2);
  need(typeof claims.get(1) === "string" && typeof subject === "string", step, "issuer and subject");
  need(!/[+/]/.test(subject), step, "a subject in base64url");
  const standard = subject.replaceAll("-", "+").replaceAll("_", "/");
  return {
    kind: fields.get(1),
    cert: single && subject.length === 43 ? fromBase64(`${standard}=`, step) : new Uint8Array(),
    grade: fields.get(4),
    issuer: claims.get(1),
    fields,
    signature: last,
    leaf: await leafHash(subtle, entry),
    signed: concat(
      Uint8Array.of(0x84, 0x6a),
      ascii("Signature1"),
      byteString(protectedBytes),
      Uint8Array.of(0x40),
      byteString(payload),
    ),
  };
}

function issues(said, cert, grade, step) {
  const brings = [12n, 13n, 19n].includes(said.kind);
  need(brings && same(said.cert, cert) && said.grade === grade, step, "another certificate's");
}

// ---- the evidence --------------------------------------------------------------------------------------------------

const KINDS = "text,bytes,bytes,bytes,list,list,bytes,bytes,list,list,list,bytes,list";

function kindOf(value) {
  if (typeof value === "string") return "text";
  if (isBytes(value)) return "bytes";
  if (Array.isArray(value)) return "list";
  return isInt(value) ? "int" : "map";
}

function form(raw) {
  need(raw.length <= 160 * 1024, 0, "more than 160 KiB");
  const parts = decode(raw);
  need(Array.isArray(parts) && parts.map(kindOf).join() === KINDS, 0, "thirteen parts");
  const [label, cert, note, seal, path, next, , state, issued, commitments, event, terms, highest] = parts;
  need(label === "certledger/evidence/v1" && cert.length === 32, 0, "label or cert key");
  need(note.length > 0 && note.length <= 65536, 0, "a note of 1 byte to 64 KiB");
  need(seal.length > 0 && seal.length <= 256 && state.length <= 2048 && terms.length <= 8192, 0, "sizes");
  for (const placed of [next, issued]) {
    need(placed.length === 0 || placed.map(kindOf).join() === "bytes,list", 0, "[entry, [inclusion]] or nothing");
  }
  for (const alone of [commitments, event]) {
    need(alone.length === 0 || alone.map(kindOf).join() === "bytes", 0, "[entry] or nothing");
  }
  need(highest.length === 0 || highest.map(kindOf).join() === "bytes,int,list", 0, "highest or nothing");
  need(highest.length === 0 || (highest[1] >= 0n && highest[1] <= TOP), 0, "an index of a log");
  for (const entry of [next, issued, commitments, event, highest].flatMap((part) => part.slice(0, 1))) {
    need(entry.length > 0 && entry.length <= 8192, 0, "an entry has 1 to 8192 bytes");
  }
  need(next.length === 0 || next[0].length <= 256, 0, "a seal has at most 256 bytes");
  for (const hashes of [path, ...next.slice(1), ...issued.slice(1), ...highest.slice(2)]) {
    need(hashes.length <= 63 && hashes.every((one) => isBytes(one) && one.length === 32), 0, "an inclusion's hashes");
  }
  need(state.length > 0 === issued.length > 0, 0, "a state comes with the statement that issued it");
  const more = commitments.length + event.length + terms.length + highest.length;
  need(state.length > 0 || more === 0, 0, "of an absent certificate nothing is shown");
  return parts;
}

function readSeal(entry, step) {
  const parts = decode(entry);
  need(Array.isArray(parts) && parts.map(kindOf).join() === "text,int,int,bytes,int,bytes,int", step, "a seal");
  const [label, covered, time, root, count, chain, previous] = parts;
  need(label === "certledger/seal/v1" && root.length === 32 && chain.length === 32, step, "a seal of this version");
  need(previous >= -1n && previous < covered && time >= 0n && count >= 0n, step, "a seal's numbers");
  return { covered, time, root, previous };
}

const STATE =
  "int,int,int,int,text,bytes,bytes,int,bytes,int,bytes,int,bytes,int,int,bytes,bytes,bytes,list";

function readState(raw) {
  const array = decode(raw);
  need(Array.isArray(array) && array.map(kindOf).join() === STATE, 5, "a state has nineteen parts");
  const coded = array[1] >= 1n && array[1] <= 6n && [12n, 13n, 19n].includes(array[2]);
  need(array[0] === 1n && coded, 5, "version, status and kind");
  need([5, 6, 8, 10, 12].every((at) => array[at].length === 32) && array[17].length === 16, 5, "lengths");
  need([15, 16].every((at) => [0, 32].includes(array[at].length)), 5, "previous and successor");
  need(array[7] >= 0n && array[7] <= array[11], 5, "its events");
  need(array[18].length === 2 && array[18].every(Array.isArray), 5, "a summary of two");
  const [highest, posts] = array[18].map((part) => part.map(kindOf).join());
  need(["", "int,text,bytes,int"].includes(highest), 5, "the highest grade");
  need(/^((^|,)int,bytes,int,int,int)*$/.test(posts), 5, "the posts");
  return array;
}

// What the evidence proves, as plain values. Freshness is the caller's question: `time` says as of when.
export async function verifyEvidence(raw, trust, subtle) {
  const parts = form(raw);
  const [, cert, note, seal, path, next, proof, state, issued, commitments, event, terms, highest] = parts;
  const log = trust.logKeys.map(readVkey);
  const lines = policyLines(trust.policy);
  const witnesses = lines.filter((items) => items[0] === "witness").map((items) => readVkey(items[2]));
  const auditors = trust.auditors.map(readVkey);
  const { text, times } = await openNote(note, [...log, ...witnesses, ...auditors], subtle); // 1
  const { origin, size, root } = readCheckpoint(text);
  need(log.every((key) => times.has(key.vkey)) && origin === trust.origin, 1, "not all log keys, or another log");
  const time = quorumTime(trust.policy, times);
  need(time !== undefined, 1, "short of the quorum");
  const audited = auditors.filter((key) => times.has(key.vkey)).map((key) => times.get(key.vkey));

  const included = async (entry, index, hashes, step) => {
    const led = await rootOf(subtle, await leafHash(subtle, entry), index, size, hashes);
    need(led !== null && same(led, root), step, "the inclusion leads to another root");
  };

  const sealed = readSeal(seal, 2); // 2
  await included(seal, sealed.covered, path, 2);
  need((sealed.covered === size - 1n) === (next.length === 0), 2, "an older seal comes with the next one");
  let after = null;
  if (next.length) { // 3
    after = readSeal(next[0], 3);
    await included(next[0], after.covered, next[1], 3);
    need(after.previous === sealed.covered && after.time > sealed.time, 3, "it does not follow");
  }
  const place = await sha256(subtle, ascii("certledger/map/cert/v1\n"), cert); // 4
  const value = state.length ? await sha256(subtle, ascii("certledger/cert-state/v1\n"), state) : null;
  need(await mapLeads(subtle, sealed.root, place, value, proof), 4, "the map proof leads elsewhere");
  const told = {
    cert_key: hex(cert),
    size: Number(size),
    root: hex(root),
    time: Number(time || sealed.time / 1000n),
    auditor_time: audited.length ? Number(audited.reduce((a, b) => (a > b ? a : b))) : null,
    seal: Number(sealed.covered),
    next_seal: after ? Number(after.covered) : -1,
    map_root: hex(sealed.root),
    map_key: hex(place),
    map_value: value ? hex(value) : "",
    status: 0,
    highest_grade: 0,
  };
  if (value === null) return told;
  const array = readState(state); // 5
  const [, status, kind, grade, number, record, filingLeaf, index, leaf] = array;
  const best = array[18][0];
  const said = await readStatement(subtle, issued[0], 6); // 6
  need(same(said.leaf, leaf) && index < sealed.covered, 6, "not the statement that the state names");
  await included(issued[0], index, issued[1], 6);
  issues(said, cert, grade, 6);
  need(said.kind === kind, 6, "another kind");
  need(await holds(subtle, record, said.signed, said.signature), 6, "the issuer's signature does not hold");
  const known = [said.leaf]; // 7
  for (const [entry, named] of [[commitments, array[10]], [event, array[12]]]) {
    if (known.some((one) => same(one, named))) {
      need(entry.length === 0, 7, "a statement given twice");
    } else {
      const bytes = entry.length ? entry[0] : new Uint8Array();
      need(same(await leafHash(subtle, bytes), named), 7, "not the statement that the state names");
      await readStatement(subtle, bytes, 7);
      known.push(named);
    }
  }
  if (terms.length) {
    const filing = await readStatement(subtle, terms, 7);
    need(same(filing.leaf, filingLeaf) && [4n, 5n].includes(filing.kind), 7, "not a filing, or not the one named");
    need(filing.fields.get(2) === number, 7, "not the filing that the state names");
    const listed = kind === 19n || filing.fields.get(8).some((key) => same(key[1], record));
    need(listed, 7, "the filing does not list the record key");
  }
  if (highest.length) { // 8
    need(best.length > 0 && !same(best[2], cert) && highest[1] < sealed.covered, 8, "a highest not named");
    await included(highest[0], highest[1], highest[2], 8);
    issues(await readStatement(subtle, highest[0], 8), best[2], best[0], 8);
  }
  return { ...told, status: Number(status), highest_grade: best.length ? Number(best[0]) : 0 };
}

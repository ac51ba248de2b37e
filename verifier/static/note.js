// Signed notes, verifier keys and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature 0x04).

import { concat, form, fromBase64, hex, octets, proof, sha256, toInt, utf8 } from "./bytes.js";
import { verifyEd25519 } from "./ed25519.js";

/** @typedef {{name: string, id: string, type: number, public: Uint8Array, vkey: string}} Key */
/** @typedef {{origin: string, size: bigint, root: Uint8Array}} Checkpoint */

export const TOP = (1n << 63n) - 1n;
export const ED25519 = 1;
export const COSIGNATURE = 4;
const LENGTHS = { [ED25519]: 32, [COSIGNATURE]: 32, 6: 1312 }; // 6: ML-DSA-44, which no browser verifies
const NOT_IN_NAMES = /[\u0000-\u0020+\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;

/** @param {string} name */
function checkName(name) {
  const size = octets(name).length;
  form(size > 0 && size <= 255 && !NOT_IN_NAMES.test(name), "a name of 1-255 bytes without blanks or plus");
}

/** A vkey line: `name+key ID+base64(type, public key)`. @param {string} text @returns {Promise<Key>} */
export async function parseVkey(text) {
  form(text.length <= 4096, "a verifier key line is too long");
  const [name, id, ...rest] = text.split("+");
  const raw = fromBase64(rest.join("+"));
  checkName(name);
  form(raw.length > 0 && LENGTHS[raw[0]] === raw.length - 1, "a verifier key of an unknown type or length");
  const digest = await sha256(octets(`${name}\n`), raw);
  form(hex(digest.slice(0, 4)) === id, "a verifier key whose key ID is not its own");
  return { name, id, type: raw[0], public: raw.slice(1), vkey: text };
}

/** Three lines: origin, size, root. @param {string} text @returns {Checkpoint} */
export function parseCheckpoint(text) {
  const lines = text.split("\n");
  form(lines.length === 4 && lines[3] === "" && [...text].length <= 512, "a checkpoint is exactly three lines");
  checkName(lines[0]);
  form(/^(0|[1-9][0-9]{0,18})$/.test(lines[1]), "a checkpoint size is a plain decimal");
  const [size, root] = [BigInt(lines[1]), fromBase64(lines[2])];
  form(size <= TOP && root.length === 32, "a checkpoint's size or root");
  return { origin: lines[0], size, root };
}

/** The text, and which of `keys` signed it: vkey -> POSIX seconds (0n without a time). Lines of others are ignored.
 * @param {Uint8Array} raw @param {Key[]} keys of types 1 and 4 */
export async function openNote(raw, keys) {
  form(raw.length <= 65536, "a note is larger than 64 KiB");
  const whole = utf8(raw);
  const cut = whole.lastIndexOf("\n\n");
  form(cut >= 0 && whole.endsWith("\n") && whole.length > cut + 2, "a note is a text, an empty line and lines");
  const text = whole.slice(0, cut + 1);
  const lines = whole.slice(cut + 2, -1).split("\n");
  form(!/[\u0000-\u0009\u000b-\u001f]/.test(text) && lines.length <= 64, "a note with control characters");
  const read = lines.map(parseLine);
  /** @type {Map<string, bigint>} */
  const times = new Map();
  for (const { name, id, blob } of read) {
    const key = keys.find((one) => one.name === name && one.id === id);
    if (!key) continue;
    form(!times.has(key.vkey), "two signature lines of one key");
    times.set(key.vkey, await signedAt(key, text, blob));
  }
  proof(times.size > 0, "no trusted key signed the note");
  return { text, times };
}

function parseLine(line) {
  const parts = line.split(" ");
  form(parts.length === 3 && parts[0] === "\u2014", "not a note signature line");
  checkName(parts[1]);
  const blob = fromBase64(parts[2]);
  form(blob.length > 4, "a note signature is a key ID and a signature");
  return { name: parts[1], id: hex(blob.slice(0, 4)), blob: blob.slice(4) };
}

async function signedAt(key, text, blob) {
  if (key.type === ED25519) {
    await verifyEd25519(key.public, octets(text), blob);
    return 0n;
  }
  parseCheckpoint(text);
  proof(key.type === COSIGNATURE && blob.length === 72, "a cosignature of another type or length");
  const time = toInt(blob.slice(0, 8));
  proof(time > 0n && time <= TOP, "a cosignature without a usable time");
  await verifyEd25519(key.public, concat(octets(`cosignature/v1\ntime ${time}\n`), octets(text)), blob.slice(8));
  return time;
}

// Deterministic CBOR of the project's profile (formats.md 1): one value, one encoding.
// Integers are bigint, byte strings Uint8Array, text string, arrays Array, maps Map with number keys.

import { Malformed, concat, form, isBytes, octets, toInt, utf8 } from "./bytes.js";

/** @typedef {bigint|string|Uint8Array|Value[]|Map<number, Value>} Value */

const DEPTH = 8;
const SIZES = [1, 2, 4, 8];

/** Read one document. Malformed for anything that `encode` would not have written.
 * @param {Uint8Array} raw @param {number} [limit] bytes @returns {Value} */
export function decode(raw, limit = 8192) {
  form(raw.length <= limit, "CBOR document too long");
  const reader = { raw, at: 0 };
  const value = read(reader, DEPTH);
  form(reader.at === raw.length, "bytes after the document");
  return value;
}

function read(reader, depth) {
  const { raw } = reader;
  form(reader.at < raw.length, "cut short");
  const major = raw[reader.at] >> 5;
  const low = raw[reader.at] & 31;
  reader.at += 1;
  form(major < 6 && low < 28, "a type outside the profile");
  let number = BigInt(low);
  if (low > 23) {
    const size = SIZES[low - 24];
    number = toInt(take(reader, size));
    form(number >= (size === 1 ? 24n : 1n << BigInt(4 * size)), "an integer longer than needed");
  }
  if (major === 0) return number;
  if (major === 1) return -1n - number;
  form(number <= BigInt(raw.length), "longer than the document");
  const count = Number(number);
  if (major === 2) return take(reader, count);
  if (major === 3) {
    const text = utf8(take(reader, count));
    form(text.normalize("NFC") === text, "text that NFC changes");
    return text;
  }
  form(depth > 0, "nested too deeply");
  if (major === 4) return Array.from({ length: count }, () => read(reader, depth - 1));
  const map = new Map();
  let before = -1n;
  for (let n = 0; n < count; n += 1) {
    const key = read(reader, depth - 1);
    form(typeof key === "bigint" && key > before && key < 65536n, "map keys are small integers and rise");
    before = key;
    map.set(Number(key), read(reader, depth - 1));
  }
  return map;
}

function take(reader, count) {
  const { raw, at } = reader;
  form(at + count <= raw.length, "cut short");
  reader.at = at + count;
  return raw.slice(at, at + count);
}

/** The one encoding of a value of the profile. @param {Value} value @returns {Uint8Array} */
export function encode(value) {
  if (typeof value === "bigint") return value < 0n ? head(1, -1n - value) : head(0, value);
  if (isBytes(value)) return concat(head(2, value.length), value);
  if (typeof value === "string") {
    const raw = octets(value);
    return concat(head(3, raw.length), raw);
  }
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encode));
  if (!(value instanceof Map)) throw new Malformed("a type outside the profile");
  const keys = [...value.keys()].sort((a, b) => a - b);
  return concat(head(5, keys.length), ...keys.flatMap((key) => [head(0, key), encode(value.get(key))]));
}

function head(major, count) {
  const number = BigInt(count);
  if (number < 24n) return Uint8Array.of((major << 5) | Number(number));
  const at = SIZES.findIndex((size) => number < 1n << BigInt(8 * size));
  form(at >= 0, "an integer beyond 64 bits");
  const bytes = Array.from({ length: SIZES[at] }, (_, n) => Number((number >> BigInt(8 * (SIZES[at] - 1 - n))) & 255n));
  return Uint8Array.of((major << 5) | (24 + at), ...bytes);
}

/** The types of an array's items, as one word to compare: "text,bytes,int,list,map". @param {Value} value */
export function shape(value) {
  return Array.isArray(value) ? value.map(kindOf).join() : "";
}

function kindOf(value) {
  if (typeof value === "bigint") return "int";
  if (typeof value === "string") return "text";
  if (isBytes(value)) return "bytes";
  return Array.isArray(value) ? "list" : "map";
}

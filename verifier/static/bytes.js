// Bytes and their spellings, hashes, and the two ways in which a check can fail.

/** The bytes are not in the form that we write. */
export class Malformed extends Error {}

/** The form is right and what it claims does not hold. */
export class Unverified extends Error {}

/** @param {unknown} holds @param {string} why @returns {asserts holds} */
export function form(holds, why) {
  if (!holds) throw new Malformed(why);
}

/** @param {unknown} holds @param {string} why @returns {asserts holds} */
export function proof(holds, why) {
  if (!holds) throw new Unverified(why);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** @param {string} text */
export const octets = (text) => encoder.encode(text);

/** @param {unknown} value @returns {value is Uint8Array} */
export const isBytes = (value) => value instanceof Uint8Array;

/** UTF-8, strictly. @param {Uint8Array} raw */
export function utf8(raw) {
  try {
    return decoder.decode(raw);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

/** @param {...Uint8Array} parts */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

/** @param {Uint8Array} raw */
export const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Big-endian. @param {Uint8Array} raw */
export const toInt = (raw) => raw.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** @param {...Uint8Array} parts */
export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

/** Standard base64 with padding, in its one spelling (RFC 4648 4). @param {string} text */
export function fromBase64(text) {
  form(text.length % 4 === 0, "base64 comes in fours");
  const plain = text.replace(/={1,2}$/, "");
  const raw = new Uint8Array(Math.floor((plain.length * 3) / 4));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const char of plain) {
    const value = ALPHABET.indexOf(char);
    form(value >= 0, "not base64");
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      raw[at] = (held >> bits) & 255;
      at += 1;
    }
  }
  form(bits < 6 && (held & ((1 << bits) - 1)) === 0, "base64 in another spelling");
  return raw;
}

/** base64url without padding, in its one spelling (RFC 4648 5). @param {string} text */
export function fromBase64url(text) {
  form(!/[+/=]/.test(text), "not base64url");
  const padded = text + "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(padded.replaceAll("-", "+").replaceAll("_", "/"));
}

/** @param {Uint8Array} raw */
export function toBase64url(raw) {
  const text = btoa(String.fromCharCode(...raw));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Ed25519 as libsodium verifies it (formats.md 3.1): no cofactor, S < L, no low-order or non-canonical key or R.
// By WebCrypto where the browser has it, else by a library that is only then loaded.

import { form, proof, same } from "./bytes.js";

// Little-endian y of the points of low order, sign bit cleared, and the prime itself.
const P = (1n << 255n) - 19n;
const LOW_ORDER = [
  0n,
  1n,
  P - 1n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
];
const BASE = new Uint8Array(32).fill(0x66).fill(0x58, 0, 1);

/** @type {Promise<(key: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>>|undefined} */
let chosen;

/** Raises Malformed for a key that is not 32 bytes, Unverified unless `signature` over `message` is by `key`.
 * @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature */
export async function verifyEd25519(key, message, signature) {
  form(key.length === 32, "an Ed25519 public key is 32 bytes");
  proof(signature.length === 64 && isUsual(key) && isUsual(signature.slice(0, 32)), "not a signature");
  chosen ??= choose();
  proof(await (await chosen)(key, message, signature), "the Ed25519 signature does not hold");
}

/** Whether a key or R is the canonical spelling of a point that is not of low order. @param {Uint8Array} point */
export function isUsual(point) {
  const y = point.reduceRight((sum, byte, at) => (sum << 8n) | BigInt(at === 31 ? byte & 127 : byte), 0n);
  return y < P && !LOW_ORDER.includes(y);
}

/** Whether this browser verifies Ed25519 by itself (Safari 17, Firefox 129, Chrome 137). */
export async function hasNative() {
  try {
    return same(new Uint8Array(await crypto.subtle.exportKey("raw", await imported(BASE, true))), BASE);
  } catch {
    return false;
  }
}

async function choose() {
  if (await hasNative()) return native;
  return (await import("./ed25519-fallback.js")).holds;
}

const imported = (key, out) => crypto.subtle.importKey("raw", key, { name: "Ed25519" }, out, ["verify"]);

async function native(key, message, signature) {
  try {
    return await crypto.subtle.verify({ name: "Ed25519" }, await imported(key, false), signature, message);
  } catch {
    return false;
  }
}

// Ed25519 for browsers whose WebCrypto lacks it. The library's own `verify` multiplies by the cofactor; here R is
// computed and its bytes compared, as libsodium does.

import { concat, same } from "./bytes.js";
import { Point } from "./noble-ed25519.js";

/** @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature @returns {Promise<boolean>} */
export async function holds(key, message, signature) {
  const order = Point.CURVE().n;
  const r = signature.slice(0, 32);
  const s = littleEndian(signature.slice(32));
  if (s >= order) return false;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", concat(r, key, message)));
  try {
    const challenge = Point.fromBytes(key).multiply(littleEndian(digest) % order, false);
    return same(Point.BASE.multiply(s, false).subtract(challenge).toBytes(), r);
  } catch {
    return false; // not a point
  }
}

const littleEndian = (raw) => raw.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

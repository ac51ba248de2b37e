// The secret of a certificate, as it stands in an address, and the name that follows from it.

import { form, sha256 } from "./bytes.js";
import { labelled } from "./statement.js";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The 16 bytes of 26 characters of Crockford base 32, in the one spelling. @param {string} text */
export function parseSecret(text) {
  form(text.length === 26, "a secret has 26 characters");
  let bits = 0n;
  for (const char of text) {
    const value = ALPHABET.indexOf(char);
    form(value >= 0, "a secret is written in upper-case Crockford base 32");
    bits = (bits << 5n) | BigInt(value);
  }
  form((bits & 3n) === 0n, "the last two bits of a secret's text are zero");
  return bigEndian(bits >> 2n, 16);
}

/** The certificate's public name. @param {Uint8Array} secret */
export const certKeyOf = (secret) => sha256(labelled("certledger/cert-key/v1", secret));

/** @param {bigint} value @param {number} count bytes */
export function bigEndian(value, count) {
  const raw = new Uint8Array(count);
  for (let at = count - 1; at >= 0; at -= 1) {
    raw[at] = Number(value & 255n);
    value >>= 8n;
  }
  return raw;
}

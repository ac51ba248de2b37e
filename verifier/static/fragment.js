// The text of a printed code: a link, and behind `#` the certificate itself (formats.md 10, ledger/records/qr.py).
// Whatever stands behind `#` stays in this browser.

import { concat, form, fromBase64url, same, sha256, toBase64url } from "./bytes.js";
import { decode, encode, shape } from "./cbor.js";
import { bigEndian, certKeyOf, parseSecret } from "./secret.js";
import { joinStatement, parseStatement } from "./statement.js";

/** @typedef {{salt: Uint8Array, number: string, name: string}} Face */

const TAIL = [0, 3, 5, 8, 10, 13, 15, 17]; // digits of so many bytes

/** What a scanned text is: `secret` and `fragment` (maybe empty) of ours, or the foreign `host`. Malformed otherwise.
 * @param {string} text @param {string[]} bases official addresses, scheme://host */
export function parseCode(text, bases) {
  form([...text].length <= 2048, "QR text of more than 2048 characters");
  const match = /^(https?):\/\/([^/?#]+)([^#]*)(?:#([^]*))?$/.exec(text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, ""));
  form(match, "not a link");
  const [, scheme, host, path, fragment] = match;
  if (!bases.includes(`${scheme}://${host}`)) return { host, secret: null, fragment: null };
  form(path.startsWith("/c/"), "not the link of a certificate");
  return { host, secret: parseSecret(path.slice(3)), fragment: parseFragmentText(fragment ?? "") };
}

/** The bytes behind `#`: decimal digits after q, base64url after u; none for "". @param {string} text */
export function parseFragmentText(text) {
  if (text === "") return new Uint8Array();
  const body = text.slice(1);
  form(text[0] === "q" || text[0] === "u", "a fragment begins with q or u");
  const raw = text[0] === "q" ? parseDigits(body) : fromBase64url(body);
  form(raw.length > 0 && raw.length <= 640, "a fragment that is empty or too long");
  return raw;
}

/** Numeric mode: 17 digits for 7 bytes, the tail shorter. @param {string} digits */
export function parseDigits(digits) {
  form(/^[0-9]+$/.test(digits), "digits only");
  const tail = TAIL.indexOf(digits.length % 17);
  form(tail >= 0, "an impossible number of digits");
  const parts = [];
  for (let at = 0; at < digits.length; at += 17) {
    const group = digits.slice(at, at + 17);
    const count = group.length === 17 ? 7 : tail;
    const value = BigInt(group);
    form(value >> BigInt(8 * count) === 0n, "a group of digits out of range");
    parts.push(bigEndian(value, count));
  }
  return concat(...parts);
}

/** Rebuild the exact signed bytes. Malformed unless packing them again gives the same fragment.
 * @param {Uint8Array} secret @param {Uint8Array} raw */
export async function openFragment(secret, raw) {
  const parts = decode(raw, 640);
  form(shape(parts) === "bytes,text,map,bytes,bytes,text,text,int", "not the array of this version");
  const [kid, issuer, payload, signature, salt, number, name, index] = parts;
  const face = { salt, number, name };
  checkFace(face);
  form(!payload.has(12) && index >= 0n, "carries a face digest, or no index");
  const told = [...number].slice(0, 13).join("");
  form(issuer !== told, "an issuer that the number tells");
  const claims = new Map().set(1, issuer || told).set(2, toBase64url(await certKeyOf(secret)));
  const header = new Map().set(1, -8n).set(3, 60n).set(4, kid).set(15, claims);
  payload.set(12, await faceDigest(face));
  const statement = await parseStatement(joinStatement(header, payload, signature));
  form(statement.certificate, "not the statement of a certificate");
  return { statement, face, index };
}

function checkFace({ salt, number, name }) {
  const within = (text, most) => text !== "" && [...text].length <= most;
  form(salt.length === 16 && within(number, 64) && within(name, 50), "a face opening's salt, number or name");
}

/** @param {Face} face */
export const faceDigest = ({ salt, number, name }) => sha256(encode([salt, number, name]));

/** Whether the opening is what was signed. @param {Face} face @param {Uint8Array} digest */
export const opens = async (face, digest) => same(await faceDigest(face), digest);

/** First 8 bytes of SHA-256 of a key. @param {Uint8Array} key */
export const kidOf = async (key) => (await sha256(key)).slice(0, 8);

// Whether what a share discloses is what the issuer signed: each value to its digest, the digests to the statement.

import { encode } from "./cbor.js";
import { form, fromBase64, hex, proof, same, sha256 } from "./bytes.js";

/** @typedef {{cert_key: string, purpose: string, recipient: string, digests: string[],
 *   shown: Record<string, any[]>, picture?: string}} Disclosed values as JSON: byte strings are {"hex": …}; the picture
 *   base64, with the photo's opening only */

const NAME = "name"; // number and name, under the statement's `face`
const FACE_KEY = 12; // of a statement's payload
const REST_KEY = 13;
const PLACES = { document: 1, photo: 2, scores: 3, employer: 4, birth_year: 5, training: 6 }; // in `rest`
const MAX_PICTURE = 12 * 1024;
const KINDS = { jpeg: [0xff, 0xd8, 0xff], png: [0x89, 0x50, 0x4e, 0x47] }; // by their first bytes

const fromHex = (text) => {
  form(/^([0-9a-f]{2})*$/.test(text), "hex");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

/** A JSON value as CBOR has it. @param {any} value @returns {import("./cbor.js").Value} */
function valueOf(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(valueOf);
  if (value !== null && typeof value === "object" && typeof value.hex === "string") return fromHex(value.hex);
  form(Number.isSafeInteger(value), "a value that no statement has");
  return BigInt(value);
}

/** The eight digests, and their digest. @param {string[]} digests */
async function restOf(digests) {
  form(Array.isArray(digests) && digests.length === 8, "eight digests");
  const all = digests.map(fromHex);
  form(all.every((one) => one.length === 32), "a digest has 32 bytes");
  return { all, rest: await sha256(encode(all)) };
}

/** Raises unless every disclosed value leads to `statement`, whose commitments count now.
 * @param {Disclosed} disclosed @param {{fields: Map<number, any>}} statement @param {Uint8Array} certKey */
export async function checkDisclosed(disclosed, statement, certKey) {
  proof(disclosed.cert_key === hex(certKey), "disclosed of another certificate");
  const { all, rest } = await restOf(disclosed.digests);
  proof(same(rest, statement.fields.get(REST_KEY)), "the digests are not those that were signed");
  for (const [name, opening] of Object.entries(disclosed.shown)) {
    const digest = await sha256(encode(valueOf(opening)));
    proof(name === NAME || (PLACES[name] && PLACES[name] === opening[0]), `${name} is not that field`);
    const wanted = name === NAME ? statement.fields.get(FACE_KEY) : all[opening[0] - 1];
    proof(wanted && same(digest, wanted), `${name} is not what was signed`);
  }
  const { photo } = disclosed.shown;
  form(Boolean(photo) === (disclosed.picture !== undefined), "a picture comes with the photo's opening");
  if (photo) proof(same(await sha256(pictureOf(disclosed).raw), valueOf(photo[2])), "the picture is not the one signed");
}

/** The disclosed picture: its bytes and "jpeg" or "png". Raises Malformed. @param {Disclosed} disclosed */
export function pictureOf({ picture = "" }) {
  const raw = fromBase64(picture);
  const found = Object.entries(KINDS).find(([, first]) => first.every((byte, at) => raw[at] === byte));
  form(found && raw.length <= MAX_PICTURE, "a JPEG or PNG of at most 12 KiB");
  return { raw, kind: found[0] };
}

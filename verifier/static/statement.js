// Signed statements (formats.md 3): the envelope of every kind, and the content of certificates, posts and filings.

import { concat, form, fromBase64url, isBytes, octets } from "./bytes.js";
import { decode, encode, shape } from "./cbor.js";
import { verifyEd25519 } from "./ed25519.js";
import { leafHash } from "./merkle.js";

/** @typedef {{entry: Uint8Array, single: boolean, kind: bigint, issuer: string, subject: string, kid: Uint8Array,
 *   protected: Uint8Array, payload: Uint8Array, signature: Uint8Array, fields: Map<number, any>, leaf: Uint8Array,
 *   certificate: Certificate|null}} Statement */
/** @typedef {{certKey: Uint8Array, grade: bigint, occupation: string, trade: string, issueDay: bigint, firstDay: bigint,
 *   lastDay: bigint, audience: bigint, unlinked: boolean, late: boolean, face: Uint8Array}} Certificate lastDay 0n: open */

export const ISSUE = 12n;
export const APPOINT = 13n;
export const REISSUE = 19n;
const BY_ISSUER = [8n, ISSUE, APPOINT, 14n, 15n, 16n, 17n, 18n, REISSUE];
const BY_AUTHORITY = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 15n, 16n, 17n, 18n];
const LAST_DAY = 376199n; // 2999-12-31
const TAG_18 = Uint8Array.of(0xd2);

/** Read one entry. Malformed unless it is a known kind in its form; verifies no signature.
 * @param {Uint8Array} entry @returns {Promise<Statement>} */
export async function parseStatement(entry) {
  form(entry.length <= 8192, "statement of more than 8192 bytes");
  const single = entry[0] === 0xd2;
  form(single || (entry[0] === 0xd8 && entry[1] === 0x62), "neither COSE_Sign1 nor COSE_Sign");
  const parts = decode(entry.slice(single ? 1 : 2));
  form(shape(parts) === `bytes,map,bytes,${single ? "bytes" : "list"}` && parts[1].size === 0, "not this profile");
  const [body, , payload, last] = parts;
  const { claims, kid } = parseHeader(body, single);
  if (single) form(kid.length === 8 && last.length === 64, "kid is 8 bytes and a signature 64");
  else checkSignatures(last);
  const fields = decode(payload);
  const kind = fields instanceof Map ? fields.get(1) : 0n;
  form((single ? BY_ISSUER : BY_AUTHORITY).includes(kind), "a kind that is not known, or signed in the wrong form");
  const [issuer, subject] = [claims.get(1), claims.get(2)];
  const brings = kind === ISSUE || kind === REISSUE || kind === APPOINT;
  const certificate = brings ? parseCertificate(kind, certKeyOf(subject), fields) : null;
  const leaf = await leafHash(entry);
  return { entry, single, kind, issuer, subject, kid, protected: body, payload, signature: last, fields, leaf, certificate };
}

function parseHeader(raw, single) {
  const header = decode(raw);
  const keys = header instanceof Map ? [...header.keys()].join() : "";
  form(keys === (single ? "1,3,4,15" : "3,15"), "a protected header of another form");
  const [claims, kid] = [header.get(15), header.get(4)];
  form(header.get(3) === 60n && (!single || (header.get(1) === -8n && isBytes(kid))), "algorithm or content");
  form(claims instanceof Map && [...claims.keys()].join() === "1,2", "two claims");
  form(typeof claims.get(1) === "string" && typeof claims.get(2) === "string", "issuer and subject are texts");
  return { claims, kid };
}

function checkSignatures(parts) {
  let before = "";
  form(parts.length >= 1 && parts.length <= 16, "1 to 16 signatures");
  for (const part of parts) {
    form(shape(part) === "bytes,map,bytes" && part[1].size === 0 && part[2].length === 64, "a signature's form");
    const header = decode(part[0]);
    const kid = header instanceof Map && header.size === 2 && header.get(1) === -8n ? header.get(4) : null;
    form(isBytes(kid) && kid.length === 8, "a signature's header");
    const place = kid.join(" ").replace(/\d+/g, (byte) => byte.padStart(3, "0"));
    form(place > before, "signatures not sorted by kid, or two of one key");
    before = place;
  }
}

/** @param {string} subject */
function certKeyOf(subject) {
  form(subject.length === 43, "the subject is a cert key");
  return fromBase64url(subject);
}

// Ideographs also where this browser does not know them yet (ledger/records/printable.py).
const IDEOGRAPHS = /[\u{20000}-\u{2fffd}\u{30000}-\u{3fffd}]/gu;
const plain = (text, least) =>
  typeof text === "string" && /^([^\p{C}\p{Z}]+( [^\p{C}\p{Z}]+)*)?$/u.test(text.replace(IDEOGRAPHS, "一")) &&
  [...text].length >= least && [...text].length <= 64;
const between = (value, least, most) => typeof value === "bigint" && value >= least && value <= most;
const long = (value, length) => isBytes(value) && value.length === length;

/** The content of an issue, reissue or appoint. @param {bigint} kind @param {Uint8Array} certKey
 * @param {Map<number, any>} fields @returns {Certificate} */
function parseCertificate(kind, certKey, fields) {
  const post = kind === APPOINT;
  const required = post ? [1, 2, 4, 6, 7, 9, 11, 12, 13] : [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
  const optional = post ? [3, 8, 15, 16] : [3, 14, 15, 16];
  const get = (key) => fields.get(key);
  form(required.every((key) => fields.has(key)), "certificate: a required field is missing");
  form([...fields.keys()].every((key) => required.includes(key) || optional.includes(key)), "certificate: unknown key");
  form(typeof get(2) === "string" && /^[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}$/.test(get(2)), "certificate: occupation");
  form((!fields.has(3) || plain(get(3), 1)) && plain(get(9), 1), "certificate: trade, standard or basis");
  form(long(get(11), 16) && long(get(12), 32) && long(get(13), 32), "certificate: track, face and rest");
  form(!fields.has(15) || long(get(15), 32), "certificate: another cert key has 32 bytes");
  form(!fields.has(16) || isPermit(get(16)), "certificate: permit");
  form(between(get(6), 0n, LAST_DAY), "certificate: issue date");
  if (post) {
    form(get(4) === 7n || get(4) === 8n, "appoint: grade ordinal 7 or 8");
    form(between(get(7), 1n, LAST_DAY) && (!fields.has(8) || between(get(8), get(7), LAST_DAY)), "appoint: its days");
    form(fields.has(15) !== fields.has(16), "appoint: builds on a cert key or on a late permit");
  } else {
    form(between(get(4), 2n, 6n) && get(5) === 7n - get(4), "issue: grade and national level");
    form(between(get(7), 0n, LAST_DAY) && between(get(8), 1n, 7n) && between(get(10), 1n, 3n), "issue: coded fields");
    form(!fields.has(14) || get(14) === 1n, "issue: person unlinked is 1 or absent");
    form((kind === REISSUE) === fields.has(15), "issue: a reissue names the cert key that it replaces");
    form(kind !== REISSUE || (!fields.has(16) && get(15).join() !== certKey.join()), "reissue: of another, in time");
  }
  return {
    certKey, grade: get(4), occupation: get(2), trade: get(3) ?? "", issueDay: get(6),
    firstDay: post ? get(7) : 0n, lastDay: post ? get(8) ?? 0n : 0n, audience: post ? 0n : get(10),
    unlinked: !post && fields.has(14), late: fields.has(16), face: get(12),
  };
}

const isPermit = (value) =>
  shape(value) === "bytes,int,list" && value[0].length === 32 && between(value[1], 0n, 1048575n) &&
  value[2].length <= 20 && value[2].every((one) => long(one, 32));

/** What the terms of a filing say, as far as a check needs it. @param {Statement} statement */
export function parseFiling(statement) {
  const { fields, kind } = statement;
  form(!statement.single && (kind === 4n || kind === 5n), "not a filing");
  const [number, name, keys] = [fields.get(2), fields.get(3), fields.get(8)];
  form(typeof number === "string" && typeof name === "string" && Array.isArray(keys), "filing: its fields");
  form(keys.every((key) => shape(key) === "int,bytes,int,int"), "filing: its keys");
  return { number, name, keys: keys.map((key) => key[1]) };
}

/** Raises Unverified unless the one signature is by `key`. @param {Statement} statement @param {Uint8Array} key */
export function verifySignature(statement, key) {
  const { protected: body, payload, signature } = statement;
  return verifyEd25519(key, encode(["Signature1", body, new Uint8Array(), payload]), signature);
}

/** The COSE_Sign1 bytes of parts that a code carries separately. @param {Map<number, any>} header
 * @param {Map<number, any>} payload @param {Uint8Array} signature */
export function joinStatement(header, payload, signature) {
  return concat(TAG_18, encode([encode(header), new Map(), encode(payload), signature]));
}

/** SHA-256 input of the kid and others: a label and what follows. @param {string} label @param {...Uint8Array} rest */
export const labelled = (label, ...rest) => concat(octets(`${label}\n`), ...rest);

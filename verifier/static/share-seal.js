// What a share discloses, sealed and opened by browsers alone.
//
//   link      /s/TOKEN#KEY          TOKEN: 16 bytes that find the share; KEY: 16 bytes that no request carries
//   stretched PBKDF2-SHA-256(PIN, "certledger/share/v1/pin\n" ‖ KEY ‖ TOKEN, 600,000 rounds)    only with a PIN
//   body key  HKDF-SHA-256(KEY ‖ stretched, info "certledger/share/v1/body")
//   proof     HKDF-SHA-256(KEY ‖ stretched, info "certledger/share/v1/proof")    what the site checks, a few times
//   body      nonce (12) ‖ AES-256-GCM(body key, JSON padded with blanks to a multiple of 512, AAD TOKEN)
//
// The proof tells nothing about the PIN to whoever does not have KEY, so neither the site nor a thief of its database
// can try PINs.

import { concat, form, octets, utf8 } from "./bytes.js";

export const TOKEN_BYTES = 16;
export const KEY_BYTES = 16;
const ROUNDS = 600000;
const LABEL = "certledger/share/v1/";
const PAD = 512;

/** @typedef {{key: Uint8Array, token: Uint8Array, stretched: Uint8Array}} Opener */

/** @param {Uint8Array} key @param {Uint8Array} token @param {string} pin empty: none @returns {Promise<Opener>} */
export async function openerOf(key, token, pin) {
  form(key.length === KEY_BYTES && token.length === TOKEN_BYTES, "a link's key and token have 16 bytes");
  if (!pin) return { key, token, stretched: new Uint8Array() };
  const typed = await crypto.subtle.importKey("raw", octets(pin.normalize("NFKC").trim()), "PBKDF2", false, ["deriveBits"]);
  const salt = concat(octets(`${LABEL}pin\n`), key, token);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS };
  return { key, token, stretched: new Uint8Array(await crypto.subtle.deriveBits(how, typed, 256)) };
}

/** @param {Opener} opener @param {string} purpose */
async function derive({ key, stretched }, purpose) {
  const from = await crypto.subtle.importKey("raw", concat(key, stretched), "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: octets(LABEL + purpose) };
  return new Uint8Array(await crypto.subtle.deriveBits(how, from, 256));
}

/** 32 bytes that show that somebody has link and PIN. @param {Opener} opener */
export const proofOf = (opener) => derive(opener, "proof");

/** @param {Opener} opener @param {unknown} disclosed @returns {Promise<Uint8Array>} */
export async function seal(opener, disclosed) {
  const plain = octets(JSON.stringify(disclosed));
  const padded = new Uint8Array(Math.ceil(plain.length / PAD) * PAD).fill(32);
  padded.set(plain);
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const how = { name: "AES-GCM", iv: nonce, additionalData: opener.token };
  return concat(nonce, new Uint8Array(await crypto.subtle.encrypt(how, await bodyKey(opener), padded)));
}

/** Raises when the key (or PIN) is another, or the body was changed. @param {Opener} opener @param {Uint8Array} body */
export async function open(opener, body) {
  const how = { name: "AES-GCM", iv: body.slice(0, 12), additionalData: opener.token };
  const plain = await crypto.subtle.decrypt(how, await bodyKey(opener), body.slice(12));
  return JSON.parse(utf8(new Uint8Array(plain)));
}

/** @param {Opener} opener */
async function bodyKey(opener) {
  return crypto.subtle.importKey("raw", await derive(opener, "body"), "AES-GCM", false, ["encrypt", "decrypt"]);
}

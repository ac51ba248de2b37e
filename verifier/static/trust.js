// What this browser believes before it sees any evidence: /v1/trust, as it was first seen here.
// It came from the site that it is to check, so it protects from what changes later, not from a site that lies at first.

import { Malformed, form } from "./bytes.js";
import { parseVkey } from "./note.js";
import { hasQuorum, parsePolicy, quorumTime } from "./policy.js";

/** @typedef {{pins: import("./evidence.js").Pins, freshness: number, skew: number, canCount: boolean}} Log ms */

const PLACE = "certledger/trust";

/** The part of the document that is pinned, in one spelling. @param {any} said */
export const pinnedPart = (said) => JSON.stringify([said.bases, said.logs, said.kit_keys]);

/** What the document says, with the pinned part in place of its own where there is one.
 * @param {any} said @param {string|null} pinned */
export async function readTrust(said, pinned) {
  form(said?.format === "certledger/browser-trust/v1", "not the trust of a site of ours");
  const [bases, logs, kitKeys] = pinned ? JSON.parse(pinned) : [said.bases, said.logs, said.kit_keys];
  const { grades, statuses, titles, post_to_come: toCome } = said;
  return {
    bases: [...bases],
    logs: await Promise.all(logs.map(readLog)),
    kitKeys: await Promise.all(kitKeys.map(parseVkey)),
    words: { grades, statuses, titles, toCome },
    changed: pinned !== null && pinned !== pinnedPart(said),
  };
}

/** @returns {Promise<Log>} */
async function readLog({ origin, keys, policy, map_auditors: auditors, freshness_s: freshness, max_skew_s: skew }) {
  const read = (vkeys) => Promise.all(vkeys.map(parseVkey));
  const pins = { origin, keys: await read(keys), policy: await parsePolicy(policy), auditors: await read(auditors) };
  const counted = pins.policy.witnesses.filter(({ key }) => key.type !== 6).map(({ key }) => [key.vkey, 1n]);
  const canCount = !hasQuorum(pins.policy) || quorumTime(pins.policy, new Map(counted)) !== undefined;
  return { pins, freshness: freshness * 1000, skew: skew * 1000, canCount };
}

/** What this browser saw first, or null. */
export function recall() {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null; // storage is switched off: every visit is a first one
  }
}

/** @param {any} said the document that counts from now on */
export function remember(said) {
  try {
    localStorage.setItem(PLACE, pinnedPart(said));
  } catch {
    // storage is switched off
  }
}

/** The document of this site. @param {RequestInit} [options] */
export async function fetchTrust(options) {
  const got = await fetch("/v1/trust", options);
  if (!got.ok) throw new Malformed("the site offers no trust document");
  return got.json();
}

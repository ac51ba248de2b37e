// Proofs of the log's tree (RFC 6962 2.1) and of its state map (formats.md 8).

import { form, proof, same, sha256 } from "./bytes.js";
import { TOP } from "./note.js";

const ZERO = Uint8Array.of(0);
const ONE = Uint8Array.of(1);

/** @param {Uint8Array} entry */
export const leafHash = (entry) => sha256(ZERO, entry);

/** Return when `path` leads from the leaf hash at `index` to the root of the tree of `size` (RFC 9162 2.1.3.2).
 * @param {Uint8Array} leaf @param {bigint} index @param {bigint} size @param {Uint8Array[]} path leaf's sibling first
 * @param {Uint8Array} root */
export async function verifyInclusion(leaf, index, size, path, root) {
  proof(index >= 0n && index < size && size <= TOP, "the index is not in the tree");
  // Below `inner` the leaf's path and the right edge differ; above, the edge has hashes only where it is a right child.
  const inner = bitLength(index ^ (size - 1n));
  proof(path.length === inner + bitCount(index >> BigInt(inner)), "the inclusion proof has the wrong length");
  let node = leaf;
  for (const [level, sibling] of path.entries()) {
    const right = level >= inner || (index >> BigInt(level)) & 1n;
    node = await sha256(ONE, ...(right ? [sibling, node] : [node, sibling]));
  }
  proof(same(node, root), "the inclusion proof leads to another root");
}

const bitLength = (number) => (number ? number.toString(2).length : 0);
const bitCount = (number) => number.toString(2).replaceAll("0", "").length;

/** Return when the proof shows (key, value) in the map with this root, or with null that the key has no value.
 * @param {Uint8Array} root @param {Uint8Array} key @param {Uint8Array|null} value @param {Uint8Array} raw */
export async function verifyMap(root, key, value, raw) {
  const { siblings, other } = parseMapProof(raw);
  let leaf = [key, value];
  if (value !== null) {
    proof(other === null, "an absence proof does not show presence");
  } else if (other === null) {
    proof(siblings.length === 0 && same(root, await sha256()), "a presence proof does not show absence");
    return;
  } else {
    proof(!same(other[0], key), "the absence proof shows the key itself");
    leaf = other;
  }
  let node = await sha256(leaf[0], /** @type {Uint8Array} */ (leaf[1]));
  for (const [bit, sibling] of siblings) {
    const right = hasBit(key, bit);
    proof(right === hasBit(leaf[0], bit), "the other key lies off the search path");
    node = await sha256(...(right ? [sibling, node] : [node, sibling]), Uint8Array.of(bit));
  }
  proof(same(node, root), "the map proof leads to another root");
}

function parseMapProof(raw) {
  form(raw.length <= 64 + 256 * 33, "a map proof has more than 256 siblings");
  const start = raw.length % 33 === 0 ? 0 : 64;
  form(raw.length >= start && (raw.length - start) % 33 === 0, "a map proof has the wrong length");
  const siblings = [];
  let above = 256;
  for (let at = start; at < raw.length; at += 33) {
    form(raw[at] < above, "the bits of a map proof fall");
    above = raw[at];
    siblings.push([above, raw.slice(at + 1, at + 33)]);
  }
  return { siblings, other: start ? [raw.slice(0, 32), raw.slice(32, 64)] : null };
}

const hasBit = (key, bit) => ((key[bit >> 3] >> (7 - (bit & 7))) & 1) === 1;

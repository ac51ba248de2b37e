// The end of a log, as it shows by itself (verifier/log_end.py): the statement that closed it and named its successor is
// the last leaf but the seal under its last checkpoint.

import { form, isBytes, proof } from "./bytes.js";
import { shape } from "./cbor.js";
import { verifyInclusion } from "./merkle.js";
import { parseStatement } from "./statement.js";

const LOG_KEY = 3n;
const BEHIND = 2n; // leaves from the closing statement to the end: itself and its seal

/** The origin that follows. Raises Unverified or Malformed unless the log ends with this under a checkpoint of `size` and
 * `root`, which was opened already.
 * @param {any} end [entry, [hash]] @param {{size: bigint, root: Uint8Array}} checkpoint @returns {Promise<string>} */
export async function successorOf(end, { size, root }) {
  form(shape(end) === "bytes,list", "end of a log: [entry, [hash]]");
  const [entry, path] = end;
  form(path.length <= 63 && path.every((one) => isBytes(one) && one.length === 32), "an inclusion's hashes");
  const { fields, kind, leaf, single } = await parseStatement(entry);
  const successor = fields.get(5);
  const closes = !single && kind === LOG_KEY && [...fields.keys()].join() === "1,4,5" && typeof successor === "string";
  proof(closes && successor !== "" && size > BEHIND, "the log's last statement does not close it");
  await verifyInclusion(leaf, size - BEHIND, size, path, root);
  return successor;
}

// Which witnesses have to stand behind a checkpoint (C2SP tlog-policy).

import { form } from "./bytes.js";
import { COSIGNATURE, ED25519, parseVkey } from "./note.js";

/** @typedef {import("./note.js").Key} Key */
/** @typedef {{witnesses: {name: string, key: Key}[], groups: {name: string, k: number, members: string[]}[],
 *   quorum: string}} Policy */

const ITEM = /^[^ \t\n\u0000-\u001f\u007f]+$/;
const NONE = "none";

/** @param {string} text @returns {Promise<Policy>} */
export async function parsePolicy(text) {
  form([...text].length <= 512 * 1024 && !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text), "policy: its characters");
  form(text === "" || text.endsWith("\n"), "policy: the last line does not end in a newline");
  const logs = [];
  const witnesses = [];
  const groups = [];
  const quorums = [];
  const known = new Set();
  const members = new Set();
  const name = (item) => {
    form(item !== NONE && !known.has(item), "policy: a name twice");
    known.add(item);
  };
  for (const line of text.split("\n")) {
    const items = line.split(/[ \t]+/).filter(Boolean);
    form(items.every((item) => ITEM.test(item)), "policy: an item of a line");
    const [word, first, second, ...rest] = items;
    if (word === undefined || word.startsWith("#")) continue;
    if (word === "log" && (items.length === 2 || items.length === 3)) {
      logs.push(await parseVkey(first));
    } else if (word === "witness" && (items.length === 3 || items.length === 4)) {
      witnesses.push({ name: first, key: await parseVkey(second) });
      name(first);
    } else if (word === "group" && items.length > 2) {
      for (const member of rest) {
        form(known.has(member) && !members.has(member), "policy: a group member is not known before, or twice");
        members.add(member);
      }
      groups.push({ name: first, k: threshold(second, rest.length), members: rest });
      name(first);
    } else {
      form(word === "quorum" && items.length === 2, "policy: a line that is no log, witness, group or quorum");
      form(first === NONE || known.has(first), "policy: the quorum is not defined before its line");
      quorums.push(first);
    }
  }
  form(quorums.length === 1 && Math.max(logs.length, witnesses.length, groups.length) <= 64, "policy: its lines");
  form(logs.every((key) => key.type !== COSIGNATURE), "policy: a log key is of a type that logs sign with");
  form(witnesses.every(({ key }) => key.type !== ED25519), "policy: a witness key is of a cosignature type");
  form(distinct(logs) && distinct(witnesses.map(({ key }) => key)), "policy: a key twice");
  return { witnesses, groups, quorum: quorums[0] };
}

function threshold(word, members) {
  if (word === "all" || word === "any") return word === "any" ? 1 : members;
  form(/^(0|[1-9][0-9]{0,18})$/.test(word), "policy: the threshold of a group");
  const k = Number(word);
  form(k >= 1 && k <= members, "policy: a group needs 1 to all of its members");
  return k;
}

const distinct = (keys) => new Set(keys.map((key) => key.public.join())).size === keys.length;

/** Whether any cosignature is asked for. @param {Policy} policy */
export const hasQuorum = (policy) => policy.quorum !== NONE;

/** The newest moment at which the quorum stood behind it, POSIX seconds; undefined: short of it, or none is asked for.
 * @param {Policy} policy @param {Map<string, bigint>} times by vkey */
export function quorumTime(policy, times) {
  const moments = new Map();
  for (const { name, key } of policy.witnesses) if (times.has(key.vkey)) moments.set(name, times.get(key.vkey));
  for (const { name, k, members } of policy.groups) {
    const newest = members.filter((one) => moments.has(one)).map((one) => moments.get(one));
    newest.sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
    if (newest.length >= k) moments.set(name, newest[k - 1]);
  }
  return moments.get(policy.quorum);
}

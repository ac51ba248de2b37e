// Reads a JSON list of questions [{ask, …}] from standard input, asks the modules that browsers run, and writes the list
// of answers: what the module said, or {"refused": why}.

import { webcrypto } from "node:crypto";
import { stdin, stdout } from "node:process";

globalThis.crypto ??= webcrypto;
const from = (name) => import(new URL(`../../../verifier/static/${name}`, import.meta.url));
const { Malformed, Unverified, hex } = await from("bytes.js");
const { decode, encode } = await from("cbor.js");
const ed25519 = await from("ed25519.js");
const fallback = await from("ed25519-fallback.js");
const { TOP, openNote, parseVkey } = await from("note.js");
const { parsePolicy, quorumTime } = await from("policy.js");
const merkle = await from("merkle.js");
const { verifyEvidence } = await from("evidence.js");
const fragment = await from("fragment.js");
const names = await from("names.js");
const { certKeyOf } = await from("secret.js");
const { maskName } = await from("mask.js");
const kits = await from("kit.js");
const { judgeOffline } = await from("judge.js");
const { recheck } = await from("recheck.js");
const { readTrust } = await from("trust.js");
const greys = await from("scan-grey.js");

const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));

async function pinsOf({ origin, log_keys: keys, policy, auditors }) {
  const read = (vkeys) => Promise.all(vkeys.map(parseVkey));
  return { origin, keys: await read(keys), policy: await parsePolicy(policy), auditors: await read(auditors) };
}

async function evidence({ raw, trust, latest, alone }) {
  const pins = await pinsOf(trust);
  const told = await verifyEvidence(bytes(raw), pins, latest === undefined ? TOP : BigInt(latest), alone);
  return {
    cert_key: hex(told.certKey),
    size: Number(told.size),
    root: hex(told.root),
    time: Number(told.time),
    auditor_time: told.auditorTime === null ? null : Number(told.auditorTime),
    seal: Number(told.seal.covered),
    next_seal: told.next ? Number(told.next.covered) : -1,
    map_root: hex(told.seal.mapRoot),
    map_key: hex(told.mapKey),
    map_value: told.mapValue ? hex(told.mapValue) : "",
    status: told.state ? Number(told.state.status) : 0,
    highest_grade: told.state?.highest ? Number(told.state.highest.grade) : 0,
  };
}

async function code({ text, bases }) {
  const told = fragment.parseCode(text, bases);
  if (!told.secret) return { host: told.host };
  const cert = hex(await certKeyOf(told.secret));
  if (!told.fragment.length) return { secret: hex(told.secret), cert_key: cert };
  const { statement, face, index } = await fragment.openFragment(told.secret, told.fragment);
  const opened = { salt: hex(face.salt), number: face.number, name: face.name };
  return { secret: hex(told.secret), cert_key: cert, entry: hex(statement.entry), face: opened, index: Number(index) };
}

async function signature({ key, message, signature: blob, own }) {
  const parts = [bytes(key), bytes(message), bytes(blob)];
  if (own) return ed25519.isUsual(parts[0]) && ed25519.isUsual(parts[2].slice(0, 32)) && (await fallback.holds(...parts));
  await ed25519.verifyEd25519(...parts);
  return true;
}

async function offline({ text, kit, trust, now }) {
  const opened = await kits.openKit(bytes(kit), await readTrust(JSON.parse(trust), null), now);
  const told = await judgeOffline(text, opened, now);
  return {
    code: told.code,
    as_of: told.asOf,
    certificate: told.certificate,
    issuer: told.issuer,
    index: told.proof && Number(told.proof.index),
    findings: told.findings.sort(),
  };
}

async function page({ page: said, cert_key: key, raw, trust, now, text, bases, end }) {
  const read = await readTrust(JSON.parse(trust), null);
  const code = text ? fragment.parseCode(text, bases) : null;
  const carried = code ? await fragment.openFragment(code.secret, code.fragment) : null;
  let asked = false;
  const askEnd = async () => {
    asked = true;
    if (end === "no network") throw new TypeError("failed to fetch");
    return bytes(end ?? "80");
  };
  const told = await recheck({ ...said, certKey: bytes(key) }, bytes(raw), read, now, carried, askEnd);
  return { ...told, asked };
}

async function grey({ plane, width, height, how }) {
  const picture = { plane: bytes(plane), width, height };
  const [wide, high] = greys.sizeOf(picture, how);
  const out = new Uint8Array(wide * high);
  greys.prepare(picture, how, out);
  return { wide, high, out: hex(out) };
}

const times = (pairs) => new Map(pairs.map(([vkey, time]) => [vkey, BigInt(time)]));
const questions = {
  evidence,
  page,
  offline,
  grey,
  part: async ({ look, width, height }) => greys.partOf(look, width, height),
  light: async ({ pixels, blue_first: blueFirst }) => hex(greys.greyOf(bytes(pixels), blueFirst)),
  code,
  signature,
  cbor: async ({ raw }) => hex(encode(decode(bytes(raw)))),
  policy: async ({ text, cosigned }) => String(quorumTime(await parsePolicy(text), times(cosigned))),
  vkey: async ({ text }) => hex((await parseVkey(text)).public),
  note: async ({ raw, keys }) => (await openNote(bytes(raw), await Promise.all(keys.map(parseVkey)))).text,
  inclusion: async ({ leaf, index, size, path, root }) =>
    merkle.verifyInclusion(bytes(leaf), BigInt(index), BigInt(size), path.map(bytes), bytes(root)).then(() => true),
  map: async ({ root, key, value, proof }) =>
    merkle.verifyMap(bytes(root), bytes(key), value === null ? null : bytes(value), bytes(proof)).then(() => true),
  indexes: async ({ raw }) => kits.parseIndexSet(decode(bytes(raw), 1 << 24)),
  mask: async ({ name }) => maskName(name),
  day: async ({ day, lang }) => names.sayDay(day, lang),
  time: async ({ ms, lang }) => names.sayTime(ms, lang),
};

let text = "";
for await (const piece of stdin.setEncoding("utf8")) text += piece;
const answers = [];
for (const question of JSON.parse(text)) {
  try {
    answers.push(await questions[question.ask](question));
  } catch (error) {
    const kind = error instanceof Malformed ? "malformed" : error instanceof Unverified ? "unverified" : "crash";
    answers.push({ refused: kind, why: kind === "crash" ? String(error.stack) : error.message });
  }
}
stdout.write(JSON.stringify(answers));

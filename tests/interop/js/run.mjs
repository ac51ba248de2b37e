// Reads {"trust", "evidence": [hex], "points": [hex]} from standard input; writes as JSON {"told": [what is proven, or
// {"bad": step}], "points": [whether a signature's key or R may be this]}.

import { webcrypto } from "node:crypto";
import { stdin, stdout } from "node:process";

import { Bad, usualPoint, verifyEvidence } from "./verify.mjs";

let text = "";
for await (const piece of stdin.setEncoding("utf8")) text += piece;
const { trust, evidence, points } = JSON.parse(text);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const answers = [];
for (const one of evidence) {
  try {
    answers.push(await verifyEvidence(bytes(one), trust, webcrypto.subtle));
  } catch (error) {
    answers.push(error instanceof Bad ? { bad: error.step } : { crash: String(error.stack) });
  }
}
stdout.write(JSON.stringify({ told: answers, points: points.map((one) => usualPoint(bytes(one))) }));

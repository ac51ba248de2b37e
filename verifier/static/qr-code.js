// QR codes (ISO/IEC 18004): byte mode, error correction M, versions 1 to 15. Made here because a share's link must not
// be in any request. `qrModules(text)` gives rows of booleans, true is dark; `qrSvg` a picture with its quiet zone.

import { form, octets } from "./bytes.js";

// By version: error correction codewords of a block, then [blocks, data codewords of each] …
const BLOCKS = [
  [10, [1, 16]], [16, [1, 28]], [26, [1, 44]], [18, [2, 32]], [24, [2, 43]],
  [16, [4, 27]], [18, [4, 31]], [22, [2, 38], [2, 39]], [22, [3, 36], [2, 37]], [26, [4, 43], [1, 44]],
  [30, [1, 50], [4, 51]], [22, [6, 36], [2, 37]], [22, [8, 37], [1, 38]], [24, [4, 40], [5, 41]], [24, [5, 41], [5, 42]],
];
const ALIGNMENT = [
  [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50],
  [6, 30, 54], [6, 32, 58], [6, 34, 62], [6, 26, 46, 66], [6, 26, 48, 70],
];
const QUIET = 4;
const MASKS = [
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2, (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

const EXP = new Uint8Array(512); // GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power += 1) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value = value < 128 ? value * 2 : (value * 2) ^ 0x11d;
}
const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

/** Remainder of data · x^count by the generator of that degree. @param {number[]} data @param {number} count */
function correction(data, count) {
  let generator = [1];
  for (let at = 0; at < count; at += 1) {
    const next = [...generator, 0];
    generator.forEach((one, n) => { next[n + 1] ^= times(one, EXP[at]); });
    generator = next;
  }
  const rest = [...data, ...new Array(count).fill(0)];
  for (let at = 0; at < data.length; at += 1) {
    const lead = rest[at];
    if (lead) generator.forEach((one, n) => { rest[at + n] ^= times(one, lead); });
  }
  return rest.slice(data.length);
}

/** All codewords in the order in which they are placed. @param {Uint8Array} raw @param {number} version */
function codewords(raw, version) {
  const [count, ...groups] = BLOCKS[version - 1];
  const sizes = groups.flatMap(([blocks, size]) => new Array(blocks).fill(size));
  const capacity = sizes.reduce((sum, size) => sum + size, 0);
  const bits = [];
  const put = (value, length) => { for (let at = length - 1; at >= 0; at -= 1) bits.push((value >> at) & 1); };
  put(4, 4);
  put(raw.length, version < 10 ? 8 : 16);
  for (const byte of raw) put(byte, 8);
  put(0, Math.min(4, capacity * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  const data = [];
  for (let at = 0; at < bits.length; at += 8) data.push(parseInt(bits.slice(at, at + 8).join(""), 2));
  for (let pad = 0xec; data.length < capacity; pad ^= 0xec ^ 0x11) data.push(pad);
  let from = 0;
  const blocks = sizes.map((size) => data.slice(from, (from += size)));
  const corrections = blocks.map((block) => correction(block, count));
  const woven = [];
  for (const list of [blocks, corrections]) {
    const longest = Math.max(...list.map((one) => one.length));
    for (let at = 0; at < longest; at += 1) for (const one of list) if (at < one.length) woven.push(one[at]);
  }
  return woven;
}

/** The dark and light modules of a text. @param {string} text @returns {boolean[][]} */
export function qrModules(text) {
  const raw = octets(text);
  const fits = (version) => {
    const room = BLOCKS[version - 1].slice(1).reduce((sum, [blocks, size]) => sum + blocks * size, 0);
    return raw.length + (version < 10 ? 2 : 3) <= room;
  };
  const version = BLOCKS.findIndex((_, at) => fits(at + 1)) + 1;
  form(version > 0, "too long for a QR code here");
  const size = 17 + 4 * version;
  const grid = Array.from({ length: size }, () => new Array(size).fill(undefined));
  fixed(grid, version);
  const free = grid.map((row) => row.map((cell) => cell === undefined));
  place(grid, codewords(raw, version));
  let best = null;
  MASKS.forEach((mask, number) => {
    const masked = grid.map((row, y) => row.map((cell, x) => (free[y][x] ? cell !== (mask(x, y) === 0) : cell)));
    formats(masked, number);
    const cost = penalty(masked);
    if (!best || cost < best.cost) best = { masked, cost };
  });
  return best.masked;
}

/** Finder, timing and alignment patterns; the places of format and version. */
function fixed(grid, version) {
  const size = grid.length;
  for (const [left, top] of [[0, 0], [size - 7, 0], [0, size - 7]]) {
    for (let y = -1; y <= 7; y += 1) {
      for (let x = -1; x <= 7; x += 1) {
        if (!(top + y in grid) || !(left + x >= 0 && left + x < size)) continue;
        const ring = Math.max(Math.abs(x - 3), Math.abs(y - 3));
        grid[top + y][left + x] = ring !== 2 && ring < 4;
      }
    }
  }
  for (let at = 8; at < size - 8; at += 1) grid[6][at] = grid[at][6] = at % 2 === 0;
  const centres = ALIGNMENT[version - 1];
  const last = centres[centres.length - 1];
  for (const cy of centres) {
    for (const cx of centres) {
      if ((cx === 6 && (cy === 6 || cy === last)) || (cy === 6 && cx === last)) continue;
      for (let y = -2; y <= 2; y += 1) {
        for (let x = -2; x <= 2; x += 1) grid[cy + y][cx + x] = Math.max(Math.abs(x), Math.abs(y)) !== 1;
      }
    }
  }
  formats(grid, 0);
  if (version < 7) return;
  let rest = version << 12; // BCH (18, 6)
  for (let bit = 17; bit >= 12; bit -= 1) if (rest & (1 << bit)) rest ^= 0x1f25 << (bit - 12);
  const code = (version << 12) | rest;
  for (let at = 0; at < 18; at += 1) {
    const dark = ((code >> at) & 1) === 1;
    const [near, far] = [Math.floor(at / 3), size - 11 + (at % 3)];
    grid[near][far] = grid[far][near] = dark;
  }
}

/** Error correction M and the mask, twice. */
function formats(grid, mask) {
  const size = grid.length;
  let rest = mask << 10; // M is 00; BCH (15, 5)
  for (let bit = 14; bit >= 10; bit -= 1) if (rest & (1 << bit)) rest ^= 0x537 << (bit - 10);
  const code = ((mask << 10) | rest) ^ 0x5412;
  const along = [0, 1, 2, 3, 4, 5, 7, 8];
  for (let at = 0; at < 15; at += 1) {
    const dark = ((code >> at) & 1) === 1;
    if (at < 8) {
      grid[along[at]][8] = dark;
      grid[8][size - 1 - at] = dark;
    } else {
      grid[8][along[14 - at]] = dark;
      grid[size - 15 + at][8] = dark;
    }
  }
  grid[size - 8][8] = true;
}

function place(grid, words) {
  const size = grid.length;
  let at = 0;
  let upwards = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step += 1) {
      const y = upwards ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (grid[y][x] !== undefined) continue;
        grid[y][x] = at < words.length * 8 && ((words[at >> 3] >> (7 - (at & 7))) & 1) === 1;
        at += 1;
      }
    }
    upwards = !upwards;
  }
}

/** How hard it is to read (ISO 18004 7.8.3): runs, blocks, look-alikes of finders, imbalance. */
function penalty(grid) {
  const size = grid.length;
  let cost = 0;
  let dark = 0;
  for (const turned of [false, true]) {
    const cell = (y, x) => (turned ? grid[x][y] : grid[y][x]);
    for (let y = 0; y < size; y += 1) {
      let line = "";
      for (let x = 0; x < size; x += 1) line += cell(y, x) ? "1" : "0";
      for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) cost += run.length - 2;
      for (const look of ["10111010000", "00001011101"]) for (let x = 0; x + 11 <= size; x += 1) cost += line.startsWith(look, x) ? 40 : 0;
      if (!turned) dark += line.replaceAll("0", "").length;
    }
  }
  for (let y = 0; y + 1 < size; y += 1) {
    for (let x = 0; x + 1 < size; x += 1) {
      if (grid[y][x] === grid[y][x + 1] && grid[y][x] === grid[y + 1][x] && grid[y][x] === grid[y + 1][x + 1]) cost += 3;
    }
  }
  return cost + 10 * Math.floor(Math.abs((dark * 100) / (size * size) - 50) / 5);
}

/** A picture of a text's code, black on white in both themes. @param {string} text @param {string} title */
export function qrSvg(text, title) {
  const modules = qrModules(text);
  const size = modules.length + 2 * QUIET;
  const NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  svg.classList.add("qr");
  const path = document.createElementNS(NS, "path");
  const at = modules.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")));
  path.setAttribute("d", at.join(""));
  svg.append(path);
  return svg;
}

// What the reader of QR codes looks at: a part of a picture in grey, smoothed or enlarged. Pure.
//
// Frames of a printed certificate, 30 of each kind: smoothing reads 30 of 30 poor ones where plain ones gave 3, and as
// many of the sharp; modules of less than four pixels are read only when enlarged (28 of 30 at 20 cm, none otherwise).

/** @typedef {{square: boolean, part: number, how: How}} Look part of a picture around its middle, and what is done to it */
/** @typedef {"plain"|"smooth"|"enlarge"} How */
/** @typedef {{plane: Uint8Array, width: number, height: number}} Grey rows without gaps, width and height even */

/** @type {Look[]} how a camera's frames are looked at, in turn: where the guide is, nearer, and all of it */
export const LOOKS = [
  { square: true, part: 1, how: "smooth" },
  { square: true, part: 2 / 3, how: "enlarge" },
  { square: false, part: 1, how: "smooth" },
];

// Mitchell's cubic at 11/6, 5/6 and 1/6 of a pixel (at 7/6 it is nothing), and at 3/2 and 1/2: in 64ths.
const [FAR, NEAR, AT] = [-1, 11, 54];
const [OUT, IN] = [-2, 34];

/** The part's rectangle in a picture: even numbers, as the planes of colour need them.
 * @param {Look} look @param {number} width @param {number} height */
export function partOf({ square, part }, width, height) {
  const even = (/** @type {number} */ size) => Math.max(2, Math.floor(size / 2) * 2);
  const side = Math.min(width, height);
  const wide = even((square ? side : width) * part);
  const high = even((square ? side : height) * part);
  const from = (/** @type {number} */ gap) => Math.max(0, Math.floor(gap / 4) * 2);
  return { x: from(width - wide), y: from(height - high), width: wide, height: high };
}

/** Grey of four bytes a pixel (ITU-R BT.601). @param {Uint8Array|Uint8ClampedArray} pixels @param {boolean} [blueFirst] */
export function greyOf(pixels, blueFirst = false) {
  const grey = new Uint8Array(pixels.length >> 2);
  const [first, third] = blueFirst ? [29, 77] : [77, 29];
  for (let to = 0, at = 0; to < grey.length; to += 1, at += 4) {
    grey[to] = (first * pixels[at] + 150 * pixels[at + 1] + third * pixels[at + 2] + 128) >> 8;
  }
  return grey;
}

/** The size of what `how` makes of a picture. @param {Grey} grey @param {How} how */
export function sizeOf({ width, height }, how) {
  return how === "enlarge" ? [(width / 2) * 3, (height / 2) * 3] : [width, height];
}

/** Write it into `out`, which has room for it. @param {Grey} grey @param {How} how @param {Uint8Array} out */
export function prepare(grey, how, out) {
  if (how === "smooth") smooth(grey, out);
  else if (how === "enlarge") enlarge(grey, out);
  else out.set(grey.plane.subarray(0, grey.width * grey.height));
}

/** 1 2 1 in both directions; the edge stands for what is beyond it. */
function smooth({ plane, width, height }, out) {
  for (let y = 0; y < height; y += 1) {
    const here = y * width;
    const above = y > 0 ? here - width : here;
    const below = y < height - 1 ? here + width : here;
    let middle = plane[above] + 2 * plane[here] + plane[below];
    let left = middle;
    for (let x = 1; x < width; x += 1) {
      const right = plane[above + x] + 2 * plane[here + x] + plane[below + x];
      out[here + x - 1] = (left + 2 * middle + right + 8) >> 4;
      left = middle;
      middle = right;
    }
    out[here + width - 1] = (left + 3 * middle + 8) >> 4;
  }
}

/** One and a half times, three pixels for two, by Mitchell's cubic: rows first, then columns. */
function enlarge({ plane, width, height }, out) {
  const wide = (width / 2) * 3;
  const rows = new Int16Array(wide * height); // in 64ths
  const line = new Uint8Array(width + 5); // two before, three behind
  for (let y = 0; y < height; y += 1) {
    line.set(plane.subarray(y * width, (y + 1) * width), 2);
    line.fill(line[2], 0, 2).fill(line[width + 1], width + 2);
    for (let at = 0, to = y * wide; at < width; at += 2, to += 3) {
      const [b, c, d, e] = [line[at + 1], line[at + 2], line[at + 3], line[at + 4]];
      rows[to] = FAR * line[at] + NEAR * b + AT * c;
      rows[to + 1] = OUT * (b + e) + IN * (c + d);
      rows[to + 2] = AT * d + NEAR * e + FAR * line[at + 5];
    }
  }
  const row = (y) => Math.min(Math.max(y, 0), height - 1) * wide;
  const held = (sum) => (sum < 0 ? 0 : sum > 1_044_480 ? 255 : (sum + 2048) >> 12); // 255 * 64 * 64
  for (let y = 0, to = 0; y < height; y += 2, to += 3 * wide) {
    const [a, b, c, d, e, f] = [row(y - 2), row(y - 1), row(y), row(y + 1), row(y + 2), row(y + 3)];
    for (let x = 0; x < wide; x += 1) {
      const [up, mid, low, down] = [rows[b + x], rows[c + x], rows[d + x], rows[e + x]];
      out[to + x] = held(FAR * rows[a + x] + NEAR * up + AT * mid);
      out[to + wide + x] = held(OUT * (up + down) + IN * (mid + low));
      out[to + 2 * wide + x] = held(AT * low + NEAR * down + FAR * rows[f + x]);
    }
  }
}

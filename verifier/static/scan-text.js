// Where a scanned or pasted text leads. Pure.
//
// Our own codes open a page of this site, and what stands behind `#` stays in the browser. Everything else goes to the
// server for a verdict, without what stands behind `#`: whether an address is ours is decided before that.

const OWN = /^([0-9A-Z]{26})(#[qu][0-9A-Za-z_-]*)?$/;

/**
 * @param {string} text as it was read
 * @param {string} base the official address, scheme://host
 * @param {string} lang language of the page
 * @returns {{go: string} | {ask: string}} a path with its fragment, or a text to be judged
 */
export function destination(text, base, lang) {
  const plain = text.trim();
  const rest = plain.startsWith(`${base}/c/`) ? plain.slice(base.length + 3) : plain;
  const own = OWN.exec(rest);
  if (own !== null) return { go: `/c/${own[1]}?lang=${lang}${own[2] ?? ""}` };
  return { ask: plain.split("#", 1)[0] };
}

/**
 * The one text among several codes of a picture that counts: ours before others, and none when two of ours compete.
 *
 * @param {string[]} texts
 * @param {string} base
 * @param {string} lang
 * @returns {{go: string} | {ask: string} | null}
 */
export function choose(texts, base, lang) {
  const found = texts.map((text) => destination(text, base, lang));
  const own = new Map();
  for (const one of found) {
    if (!("go" in one)) continue;
    const key = one.go.split("#", 1)[0];
    if (!own.has(key) || one.go.includes("#")) own.set(key, one);
  }
  if (own.size > 1) return null;
  return own.size === 1 ? [...own.values()][0] : found[0] ?? null;
}

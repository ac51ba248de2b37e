// How disclosed fields are shown: the same for the holder's preview and for whoever opens the share.

import { pictureOf } from "./share-proof.js";

/** @param {string} tag @param {string} text @param {string} [className] */
function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Rows of name and value. @param {HTMLElement} list a <dl> @param {import("./share-proof.js").Disclosed} disclosed
 * @param {Record<string, string>} names what each field is called */
export function showDisclosed(list, disclosed, names) {
  const rows = [];
  for (const [field, opening] of Object.entries(disclosed.shown)) {
    const row = document.createElement("div");
    row.dataset.field = field;
    const value = element("dd", "");
    value.lang = "zh-CN";
    if (field === "name") {
      const [, number, name] = opening;
      value.append(element("b", name), element("small", number, "num"));
    } else if (field === "photo") {
      const picture = document.createElement("img");
      picture.src = `data:image/${pictureOf(disclosed).kind};base64,${disclosed.picture}`;
      picture.alt = names[field] ?? field;
      value.append(picture);
    } else value.append(...textsOf(field, opening[2]).map((text) => element("span", text)));
    row.append(element("dt", names[field] ?? field), value);
    rows.push(row);
  }
  list.replaceChildren(...rows);
}

/** @param {string} field @param {any} value @returns {string[]} */
function textsOf(field, value) {
  if (field === "document" && Array.isArray(value)) return [String(value[2])];
  if (Array.isArray(value)) return value.map((one) => (Array.isArray(one) ? one.join(" ") : String(one)));
  return [String(value)];
}

// What the browser's own check makes of the headline that the site has sent: it can only take it back.

/** Puts the band for an outcome in the place of the page's own, where there is one for it. @param {string} outcome */
export function replaceBand(outcome) {
  const replacing = /** @type {HTMLTemplateElement|null} */ (document.querySelector(`[data-band="${outcome}"]`));
  if (!replacing) return;
  const title = replacing.content.querySelector("h1")?.textContent ?? "";
  document.title = `${replacing.dataset.mark} ${title}`;
  const band = document.querySelector(".band");
  const when = band?.querySelector(".when");
  band?.replaceWith(replacing.content.cloneNode(true));
  if (when && outcome !== "contradicted") document.querySelector(".band > div")?.append(when);
}

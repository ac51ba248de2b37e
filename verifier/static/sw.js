// The service worker: the offline page, its files and the kit without a network; never a verdict.
// `self.SITE` ({version, files}) is written in front of this by the server, so that any new file is a new worker.

const { version, files } = self.SITE;
const SHELL = `site-${version}`;
const KEPT = "kept"; // kit and trust, whatever the version
const PAGES = ["/offline?lang=zh", "/offline?lang=en"];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll([...files, ...PAGES]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const stale = (name) => name.startsWith("site-") && name !== SHELL;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(stale).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) event.respondWith(fromShell(request));
  else if (url.pathname === "/kit" || url.pathname === "/v1/trust") event.respondWith(kept(request));
  else if (request.mode === "navigate") event.respondWith(page(request, url));
});

async function fromShell(request) {
  return (await caches.match(request)) ?? fetch(request);
}

/** What is here counts, unless the page asks for a new one; a site that offers none any more changes nothing here. */
async function kept(request) {
  const cache = await caches.open(KEPT);
  const path = new URL(request.url).pathname;
  const held = await cache.match(path);
  if (held && request.cache !== "reload") return held;
  try {
    const got = await fetch(request);
    if (got.ok) await cache.put(path, got.clone());
    return got;
  } catch (error) {
    if (held) return held;
    throw error;
  }
}

/** The network first. Without one every address of the site shows the offline page, which judges by the kit alone. */
async function page(request, url) {
  try {
    return await fetch(request);
  } catch {
    const lang = url.searchParams.get("lang") ?? (navigator.language.startsWith("en") ? "en" : "zh");
    const shell = await caches.open(SHELL);
    return (await shell.match(`/offline?lang=${lang}`)) ?? (await shell.match(PAGES[0])) ?? Response.error();
  }
}

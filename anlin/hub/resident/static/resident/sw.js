// The worker of the residents' pages. It keeps the shell, a page that says plainly that there is
// no network, and the last QR of whoever is signed in. It never answers an order from memory.
"use strict";

const SHELL = "anlin-home-1";
const OWN = "anlin-own";
const OFFLINE = "/home/offline";
const QR = "/home/qr";
const LOGIN = "/home/login";
const VIEW = "/home/view";
const PARTS = [
  OFFLINE,
  "/static/resident/resident.css",
  "/static/resident/resident.js",
  "/static/anlin/icons.svg",
  "/static/anlin/favicon.svg",
];
// A gate waits for nobody: after this long a page from memory is better than none.
const PATIENCE_MS = 8000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(SHELL).then((shell) => shell.addAll(PARTS.map((url) => new Request(url, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("anlin-home-") && name !== SHELL).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method === "POST" && url.pathname === VIEW) event.respondWith(view(request, event));
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request, url));
  else if (PARTS.includes(url.pathname)) event.respondWith(part(request, event));
});

async function page(request, url) {
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(request, { signal: waiting.signal });
    const at = answer.redirected || answer.type === "opaqueredirect" ? "" : url.pathname;
    if (answer.status === 403 || (answer.redirected && new URL(answer.url).pathname === LOGIN) || url.pathname === LOGIN) {
      // Signed out, suspended or gone: nothing of theirs stays on this phone.
      await caches.delete(OWN);
    } else if (at === QR && answer.ok) {
      const own = await caches.open(OWN);
      await own.put(QR, answer.clone());
    }
    return answer;
  } catch {
    if (url.pathname === QR) {
      const own = await caches.open(OWN);
      const last = await own.match(QR);
      if (last) return last;
    }
    const shell = await caches.open(SHELL);
    return (await shell.match(OFFLINE)) || Response.error();
  } finally {
    clearTimeout(timer);
  }
}

// Print or language was changed: the page without network is kept as it reads from now on.
async function view(request, event) {
  const answer = await fetch(request);
  event.waitUntil(caches.open(SHELL).then((shell) => shell.add(new Request(OFFLINE, { cache: "reload" }))).catch(() => {}));
  return answer;
}

// From memory at once, and fresh for the next time.
async function part(request, event) {
  const shell = await caches.open(SHELL);
  const kept = await shell.match(request, { ignoreSearch: true });
  const fresh = fetch(request).then(async (answer) => {
    if (answer.ok) await shell.put(request, answer.clone());
    return answer;
  });
  if (!kept) return fresh;
  event.waitUntil(fresh.catch(() => {}));
  return kept;
}

// A message of the hub: it is shown, and the hub hears that it was, so that no text message follows.
self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data.json();
  } catch {
    // Not ours, or damaged: a browser that shows nothing takes the leave to push away.
  }
  event.waitUntil(show(told));
});

async function show(told) {
  await self.registration.showNotification(told.title || "安邻 Anlin", {
    body: told.text || "",
    tag: told.tag || "anlin",
    icon: "/static/resident/icon-192.png",
    badge: "/static/resident/icon-192.png",
    data: { url: told.url || "/home/notices" },
  });
  if (told.receipt) {
    const address = `/home/push/got/${encodeURIComponent(told.receipt)}`;
    await fetch(address, { method: "POST", credentials: "omit" }).catch(() => {});
  }
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = new URL(event.notification.data.url, self.location.origin);
  if (url.origin !== self.location.origin || !url.pathname.startsWith("/home/")) return;
  event.waitUntil(open(url.href));
});

async function open(address) {
  const shown = await self.clients.matchAll({ type: "window" });
  for (const page of shown) {
    try {
      await page.navigate(address);
      return await page.focus();
    } catch {
      // A page that this worker does not control can't be sent elsewhere.
    }
  }
  return self.clients.openWindow(address);
}

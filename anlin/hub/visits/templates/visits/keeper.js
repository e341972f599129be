// Keeps a visitor's own pass page on the visitor's phone, for a gate where there is no network.
"use strict";
const KEPT = "anlin-visit-1";
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname, origin } = new URL(request.url);
  const isPage = /^\/v\/[\w-]+$/.test(pathname) && pathname !== "/v/time" && request.mode === "navigate";
  const isStatic = pathname.startsWith("/static/");
  if (request.method !== "GET" || origin !== self.location.origin || !(isPage || isStatic)) return;
  event.respondWith(
    fetch(request)
      .then(async (answer) => {
        const kept = await caches.open(KEPT);
        if (answer.ok) await kept.put(pathname, answer.clone());
        else if (isPage) await kept.delete(pathname);
        return answer;
      })
      .catch(async () => (await caches.match(pathname)) || Response.error()),
  );
});

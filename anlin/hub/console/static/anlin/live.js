// Keeps the live console level with the event log.
//
// The stream only says "there is more"; the rows come from the server by position, drawn by the
// same template as the first page. So nothing is doubled or missed, whichever process restarts:
// the page always asks for what comes after the last position it has.
(() => {
  "use strict";

  const RETRY_FIRST_MS = 500; // A restart of the live process takes about this long.
  const RETRY_MOST_MS = 8000; // Beyond it a guard would believe that the page is dead.
  const POLL_MS = 3000; // While the stream is away; the words on the page name this figure.
  const STATE_MS = 5000; // Ages on the board ("for 3 minutes") move without any event.
  const SILENT_MS = 40000; // More than two heartbeats of the stream: it is dead and does not say.
  const ROWS_KEPT = 200;
  const ANSWER_MS = 10000;

  const feed = document.getElementById("feed");
  const link = document.getElementById("link");
  let position = Number(feed.dataset.position);
  let stream = null;
  let retryMs = RETRY_FIRST_MS;
  let heardAt = Date.now();
  let isLevelling = false;
  let isAskedAgain = false;
  let lostAt = null;
  let hasEnded = false;

  function say(state, extra) {
    if (hasEnded) return;
    if (link.dataset.state === state && !extra) return;
    link.dataset.state = state;
    link.textContent = link.dataset[state] + (extra ? " " + extra : "");
  }

  function end() {
    say("ended");
    hasEnded = true;
    link.dataset.state = "lost";
    if (stream) stream.close();
    const anchor = document.createElement("a");
    anchor.href = location.href;
    anchor.textContent = link.textContent;
    link.replaceChildren(anchor);
  }

  async function ask(url, query) {
    const address = new URL(url, location.origin);
    for (const [name, value] of new URLSearchParams(feed.dataset.query)) address.searchParams.set(name, value);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    const answer = await fetch(address, {
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: { "HX-Request": "true" },
    });
    if (answer.type === "opaqueredirect" || answer.status === 401) {
      end();
      throw new Error("log-in ended");
    }
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  // Brings the feed up to the newest position. Calls while it runs are one more round, not two.
  async function level() {
    if (isLevelling) {
      isAskedAgain = true;
      return;
    }
    isLevelling = true;
    try {
      do {
        isAskedAgain = false;
        const answer = await ask(feed.dataset.rowsUrl, { after: position });
        show(await answer.text());
        position = Math.max(position, Number(answer.headers.get("Anlin-Position")));
        feed.dataset.position = position;
        if (answer.headers.get("Anlin-More") === "1") isAskedAgain = true;
      } while (isAskedAgain);
      lostAt = null;
      say(stream && stream.readyState === EventSource.OPEN ? "live" : "reconnecting");
    } catch {
      if (hasEnded) return;
      lostAt = lostAt || new Date();
      say("lost", lostAt.toLocaleTimeString(document.documentElement.lang, { hour12: false }));
    } finally {
      isLevelling = false;
    }
  }

  function show(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const rows = [...parsed.querySelectorAll(".row")].filter(
      (row) => !feed.querySelector(`[data-position="${Number(row.dataset.position)}"]`),
    );
    if (!rows.length) return;
    for (const row of rows) row.classList.add("fresh");
    feed.prepend(...rows.map((row) => document.adoptNode(row)));
    document.getElementById("feed-empty")?.remove();
    while (feed.children.length > ROWS_KEPT) feed.lastElementChild.remove();
    refreshSoon();
  }

  // The board beside the feed. Parts that did not change are left alone: a screen reader that
  // hears about alarms must not hear the same one every five seconds.
  let refreshTimer = null;
  function refreshSoon() {
    refreshTimer ??= setTimeout(refresh, 250);
  }
  async function refresh() {
    clearTimeout(refreshTimer);
    refreshTimer = null;
    try {
      const html = await (await ask(feed.dataset.stateUrl, {})).text();
      const parsed = new DOMParser().parseFromString(html, "text/html");
      for (const part of parsed.querySelectorAll("[id^=state-]")) {
        const here = document.getElementById(part.id);
        if (here && here.innerHTML.trim() !== part.innerHTML.trim()) here.replaceChildren(...part.childNodes);
      }
    } catch {
      level(); // If the platform is away it says so on the page; the next round asks again.
    }
  }

  function listen() {
    if (hasEnded) return;
    const address = new URL(feed.dataset.liveUrl);
    address.searchParams.set("after", position);
    stream = new EventSource(address, { withCredentials: true });
    heardAt = Date.now();
    const opened = stream;
    stream.onopen = () => {
      heardAt = Date.now();
      retryMs = RETRY_FIRST_MS;
      level();
    };
    stream.onerror = () => {
      // The browser gives up for good on some errors, so every retry is ours.
      opened.close();
      if (stream !== opened) return;
      stream = null;
      if (link.dataset.state !== "lost") say("reconnecting");
      setTimeout(listen, retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_MOST_MS);
    };
    const heard = () => {
      heardAt = Date.now();
      level();
    };
    stream.onmessage = heard;
    for (const kind of (feed.dataset.kinds || "").split(" ")) if (kind) stream.addEventListener(kind, heard);
    stream.addEventListener("beat", () => { heardAt = Date.now(); });
  }

  setInterval(() => {
    if (hasEnded) return;
    const isOpen = stream && stream.readyState === EventSource.OPEN;
    if (!isOpen || lostAt || Date.now() - heardAt > SILENT_MS) level();
  }, POLL_MS);
  setInterval(() => { if (!hasEnded && !document.hidden) refresh(); }, STATE_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !hasEnded) { level(); refresh(); } });
  window.addEventListener("online", () => level());

  listen();
})();

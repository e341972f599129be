// Looks whether a visit has been answered, and shows the page anew then: what is being typed stays.
"use strict";
(() => {
  const LOOK_MS = 10000;
  const state = document.getElementById("pass").dataset.state;
  setInterval(async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = await answer.text();
      if (answer.ok && !page.includes(`data-state="${state}"`)) location.reload();
    } catch { /* no network: it looks again */ }
  }, LOOK_MS);
})();

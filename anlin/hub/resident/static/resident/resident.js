// Residents' pages work without this. It registers the worker that keeps the shell for bad
// networks, asks again while a gate has not answered, and shows the ten seconds running out.
"use strict";

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/home/sw.js", { scope: "/home/" }).catch(() => {});
}

const ASK_AGAIN_MS = 500;

function watch() {
  const came = document.getElementById("came");
  if (!came || !came.dataset.again) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(came.dataset.again, { headers: { "Anlin-Part": "came" } });
      if (answer.ok && !answer.redirected) {
        const made = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = made.getElementById("came");
        if (next && next.className !== came.className) came.replaceWith(next);
      }
    } catch {
      // No network for a moment; the next question may get through.
    }
    watch();
  }, ASK_AGAIN_MS);
}
watch();

const confirmation = document.querySelector("button[data-seconds]");
if (confirmation) {
  const word = confirmation.querySelector("span");
  const text = word.textContent;
  let left = Number(confirmation.dataset.seconds);
  const ticking = setInterval(() => {
    left -= 1;
    word.textContent = `${text} (${Math.max(left, 0)})`;
    if (left <= 0) {
      clearInterval(ticking);
      confirmation.disabled = true;
      word.textContent = confirmation.dataset.over;
    }
  }, 1000);
  confirmation.form.addEventListener("submit", () => clearInterval(ticking));
}

const share = document.querySelector("button[data-share]");
if (share && navigator.share) {
  share.hidden = false;
  share.addEventListener("click", () => navigator.share({ url: share.dataset.share }).catch(() => {}));
}

// Turns the code of a visitor's pass each half minute, with a network and without one.
//
// The page brings the picture for one code and, for each bit of the code's characters, the modules
// of the picture that this bit turns over (anlin/hub/visits/rotating.py).
"use strict";
(() => {
  const box = document.getElementById("qr");
  const turning = JSON.parse(document.getElementById("turning").textContent);
  const bar = document.getElementById("left");
  const told = document.getElementById("told");
  const path = document.getElementById("modules");
  const border = Number(path.dataset.border);
  const stepMs = turning.step_s * 1000;
  const KEY = "anlin-clock";

  if (!window.crypto || !crypto.subtle) {
    // Without a secure address the browser lends no HMAC: the server draws each code.
    setTimeout(() => location.reload(), stepMs - (Date.now() % stepMs) + 500);
    return;
  }

  // How far this phone's clock is off the hub's, as it was when the hub could last be heard.
  let offset = 0;
  try { offset = Number(localStorage.getItem(KEY)) || 0; } catch { /* private mode keeps nothing */ }

  async function askTime() {
    const sent = Date.now();
    try {
      const answer = await fetch(box.dataset.clock, { cache: "no-store" });
      const { now_ms: now } = await answer.json();
      const back = Date.now();
      offset = now - (sent + back) / 2;
      try { localStorage.setItem(KEY, String(offset)); } catch { /* as above */ }
      told.textContent = told.dataset.live;
    } catch {
      told.textContent = told.dataset.offline;
    }
  }

  const flips = turning.turns.map((gaps) => {
    let at = 0;
    return gaps.map((gap) => (at += gap));
  });
  const dark = Uint8Array.from(turning.dark, Number);
  let shown = turning.code;

  function draw(code) {
    for (let place = 0; place < code.length; place += 1) {
      const differs = shown.charCodeAt(place) ^ code.charCodeAt(place);
      for (let bit = 0; bit < 7; bit += 1) {
        if ((differs >> bit) & 1) for (const module of flips[7 * place + bit]) dark[module] ^= 1;
      }
    }
    shown = code;
    let drawn = "";
    dark.forEach((on, n) => {
      if (on) drawn += `M${border + (n % turning.side)} ${border + Math.floor(n / turning.side)}h1v1h-1z`;
    });
    path.setAttribute("d", drawn);
    box.dataset.code = code;
  }

  async function codeOf(key, step) {
    const message = new Uint8Array(8);
    new DataView(message.buffer).setBigUint64(0, BigInt(step));
    const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, message)).slice(0, 8);
    const text = btoa(String.fromCharCode(...digest));
    return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  async function start() {
    const secret = Uint8Array.from(atob(turning.secret), (one) => one.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    let step = -1;
    async function turn() {
      const now = Date.now() + offset;
      const next = Math.floor(now / stepMs);
      bar.value = turning.step_s - (now % stepMs) / 1000;
      if (next !== step) {
        step = next;
        draw(await codeOf(key, step));
      }
    }
    await askTime();
    await turn();
    setInterval(turn, 500);
    setInterval(askTime, 60000);
    window.addEventListener("online", askTime);
    window.addEventListener("offline", askTime);
  }

  start();
  if (navigator.serviceWorker) navigator.serviceWorker.register(box.dataset.keeper, { scope: "/v/" }).catch(() => {});
})();

// Shows the last thing that happened at one gate, for as long as it matters.
(() => {
  "use strict";

  const RETRY_MS = 2000;
  const SILENT_MS = 40000; // More than two heartbeats of the stream: it is dead and does not say.
  const LOST_MS = 6000; // A restart of the live process is over by then; nobody need read of it.
  const screen = document.getElementById("screen");
  const words = document.getElementById("words");
  const lost = document.getElementById("lost");
  const clock = document.getElementById("clock");
  let position = screen.dataset.position;
  let stream = null;
  let heardAt = Date.now();
  let timer = null;

  function calm() {
    screen.className = "calm";
    words.textContent = "";
  }

  function show(said) {
    clearTimeout(timer);
    screen.className = said.tone;
    words.textContent = said.text;
    if (said.seconds) timer = setTimeout(calm, said.seconds * 1000);
  }

  function heard() {
    heardAt = Date.now();
    lost.hidden = true;
  }

  function listen() {
    const address = new URL(screen.dataset.liveUrl);
    if (position) address.searchParams.set("after", position);
    const opened = (stream = new EventSource(address, { withCredentials: true }));
    opened.onopen = heard;
    opened.addEventListener("beat", heard);
    opened.addEventListener("words", (event) => {
      heard();
      position = event.lastEventId;
      show(JSON.parse(event.data));
    });
    opened.onerror = () => {
      // The browser gives up for good on some errors, so every retry is ours.
      opened.close();
      if (stream === opened) stream = null;
      setTimeout(() => { if (!stream) listen(); }, RETRY_MS);
    };
  }

  setInterval(() => {
    clock.textContent = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: screen.dataset.zone });
    if (Date.now() - heardAt > LOST_MS && !stream) lost.hidden = false;
    if (Date.now() - heardAt > SILENT_MS && stream) {
      stream.close();
      stream = null;
      lost.hidden = false;
      listen();
    }
  }, 1000);

  if (screen.dataset.seconds) timer = setTimeout(calm, Number(screen.dataset.seconds) * 1000);
  listen();
})();

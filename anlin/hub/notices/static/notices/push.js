// Switches push messages on for this browser. Switching off, testing and reading work without it.
"use strict";

const part = document.getElementById("push");
const button = part && part.querySelector("button[data-key]");
const told = part && part.querySelector("[data-told]");

function say(name) {
  told.textContent = part.dataset[name] || name;
  told.closest("p").hidden = false;
}

function bytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (char) => char.charCodeAt(0));
}

function same(one, other) {
  const left = new Uint8Array(one);
  return left.length === other.length && left.every((value, at) => value === other[at]);
}

async function on() {
  const permission = await Notification.requestPermission();
  if (permission !== "granted") return say("denied");
  const worker = await navigator.serviceWorker.ready;
  const key = bytes(button.dataset.key);
  let made = await worker.pushManager.getSubscription();
  // One that was made for another key of the hub brings nothing any more.
  if (made && !(made.options.applicationServerKey && same(made.options.applicationServerKey, key))) {
    await made.unsubscribe();
    made = null;
  }
  made ||= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const answer = await fetch(part.dataset.on, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": part.dataset.token },
    body: JSON.stringify(made),
  });
  if (answer.ok) return location.reload();
  const fault = await answer.json().catch(() => ({}));
  return say(fault.fault || "failed");
}

if (button) {
  const can = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  if (!can) {
    say(/iPhone|iPad/.test(navigator.userAgent) ? "install" : "cannot");
  } else if (Notification.permission === "denied") {
    say("denied");
  } else {
    button.hidden = false;
    button.addEventListener("click", () => {
      button.disabled = true;
      on().catch(() => say("failed")).finally(() => { button.disabled = false; });
    });
  }
}

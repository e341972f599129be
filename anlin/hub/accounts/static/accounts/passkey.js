// Passkeys: what only a script can ask of a browser. Every page that loads this works without it.
//
// A button [data-begin][data-finish] asks the first address what to sign, has the device sign it,
// gives the answer to the second one, and goes where that says. data-make makes a new passkey.
"use strict";

(function () {
  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  async function ask(address, body) {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(body),
    });
    let said = {};
    try { said = await answer.json(); } catch { /* a page instead: the log-in is over */ }
    if (!answer.ok || answer.redirected) throw new Error(said.error || "");
    return said;
  }

  function creation(options) {
    const key = options.publicKey;
    key.challenge = toBytes(key.challenge);
    key.user.id = toBytes(key.user.id);
    (key.excludeCredentials || []).forEach((one) => { one.id = toBytes(one.id); });
    return { publicKey: key };
  }

  function request(options) {
    const key = options.publicKey;
    key.challenge = toBytes(key.challenge);
    (key.allowCredentials || []).forEach((one) => { one.id = toBytes(one.id); });
    return { publicKey: key };
  }

  function plain(credential) {
    const from = credential.response;
    const response = { clientDataJSON: toText(from.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (from[name]) response[name] = toText(from[name]);
    }
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }

  async function go(button) {
    const fault = document.getElementById("passkey-fault");
    fault.hidden = true;
    button.disabled = true;
    try {
      const options = await ask(button.dataset.begin, {});
      const credential = "make" in button.dataset
        ? await navigator.credentials.create(creation(options))
        : await navigator.credentials.get(request(options));
      const body = plain(credential);
      if (button.dataset.next) body.next = button.dataset.next;
      const done = await ask(button.dataset.finish, body);
      location.assign(done.next);
    } catch (error) {
      const own = error instanceof DOMException ? "" : error.message;
      fault.querySelector("span").textContent = own || fault.dataset.otherwise;
      fault.hidden = false;
      button.disabled = false;
      fault.focus();
    }
  }

  // A passkey belongs to a name: by an address of numbers alone, browsers make none.
  const can = window.PublicKeyCredential && window.isSecureContext
    && !/^[\d.]+$|:/.test(location.hostname);
  document.querySelectorAll("[data-passkey]").forEach((part) => { part.hidden = !can; });
  if (!can) return;
  document.querySelectorAll("button[data-begin]").forEach((button) => {
    button.addEventListener("click", () => go(button));
  });
})();

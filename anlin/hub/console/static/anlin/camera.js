// Takes one picture of a face with the browser's camera and hands it to the ordinary form.
(() => {
  "use strict";

  const LONGER_SIDE_PX = 1280; // Faces are searched at half of this; more only takes longer to send.
  const QUALITY = 0.92;

  const frame = document.getElementById("viewfinder");
  const video = document.getElementById("video");
  const still = document.getElementById("still");
  const hint = document.getElementById("hint");
  const fault = document.getElementById("camera-fault");
  const actions = document.getElementById("camera-actions");
  const shoot = document.getElementById("shoot");
  const use = document.getElementById("use");
  const again = document.getElementById("again");
  const form = document.getElementById("photo-form");
  const input = form.querySelector("input[type=file]");
  let stream = null;
  let taken = null;

  function complain(which) {
    fault.hidden = false;
    fault.querySelector("span").textContent = frame.dataset[which];
  }

  async function start() {
    if (!window.isSecureContext || !navigator.mediaDevices) return complain("insecure");
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } },
      });
    } catch (error) {
      return complain(error.name === "NotFoundError" ? "none" : "denied");
    }
    video.srcObject = stream;
    shoot.disabled = true;
    video.addEventListener("loadeddata", () => { shoot.disabled = false; }, { once: true });
    hint.textContent = frame.dataset.hint;
    frame.hidden = actions.hidden = false;
  }

  function toBlob(source, width, height) {
    const scale = Math.min(1, LONGER_SIDE_PX / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  }

  function show(isTaken) {
    still.hidden = use.hidden = again.hidden = !isTaken;
    shoot.hidden = isTaken;
  }

  shoot.addEventListener("click", async () => {
    taken = await toBlob(video, video.videoWidth, video.videoHeight);
    URL.revokeObjectURL(still.src);
    still.src = URL.createObjectURL(taken);
    show(true);
    use.focus();
  });

  again.addEventListener("click", () => {
    taken = null;
    show(false);
    shoot.focus();
  });

  use.addEventListener("click", () => {
    const files = new DataTransfer();
    files.items.add(new File([taken], "camera.jpg", { type: "image/jpeg" }));
    input.files = files.files;
    use.disabled = true;
    form.requestSubmit();
  });

  window.addEventListener("pagehide", () => stream?.getTracks().forEach((track) => track.stop()));
  start();
})();

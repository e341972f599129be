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
    setInterval(look, EVERY_MS);
    frame.hidden = actions.hidden = false;
  }

  // What the picture is like is looked at four times a second, on a small grey copy. It hints and
  // never forbids: whether a face will do is judged at the hub, with a model.
  const EVERY_MS = 250;
  const SIDE_PX = 96;
  const TOO_DARK = 55; // Of 255, mean of the oval.
  const TOO_BRIGHT = 215;
  const BACKLIT = 70; // So much brighter around the oval than in it.
  const TOO_FLAT = 14; // Standard deviation in the oval: a wall or a lid has less than a face.
  const OFF_CENTRE = 0.22; // Of the oval's width: where the detail lies.
  const TOO_SMALL = 0.45; // Of the detail in the oval that lies in its middle, at least this at its rim.
  const TOO_SOFT = 5.5; // Mean difference of neighbours, in the oval's middle.
  const STEADY = 2; // So many good looks in a row before "good" is said.
  const small = document.createElement("canvas");
  small.width = small.height = SIDE_PX;
  const pen = small.getContext("2d", { willReadFrequently: true });
  let good = 0;
  let said = "";

  function grey() {
    // The same part that the oval is drawn over: the middle, three quarters as wide as high.
    const height = Math.min(video.videoHeight, video.videoWidth / 0.75);
    const width = height * 0.75;
    pen.drawImage(video, (video.videoWidth - width) / 2, (video.videoHeight - height) / 2,
      width, height, 0, 0, SIDE_PX, SIDE_PX);
    const pixels = pen.getImageData(0, 0, SIDE_PX, SIDE_PX).data;
    const light = new Float32Array(SIDE_PX * SIDE_PX);
    for (let n = 0; n < light.length; n += 1) {
      light[n] = 0.299 * pixels[4 * n] + 0.587 * pixels[4 * n + 1] + 0.114 * pixels[4 * n + 2];
    }
    return light;
  }

  function judge(light) {
    let sum = 0, squares = 0, count = 0, around = 0, outside = 0;
    let edges = 0, edgesX = 0, rim = 0, core = 0, soft = 0, softCount = 0;
    for (let y = 1; y < SIDE_PX - 1; y += 1) {
      for (let x = 1; x < SIDE_PX - 1; x += 1) {
        const n = y * SIDE_PX + x;
        const dx = (x / SIDE_PX - 0.5) / 0.31, dy = (y / SIDE_PX - 0.47) / 0.32;
        const r = dx * dx + dy * dy;
        if (r > 1) { outside += light[n]; around += 1; continue; }
        sum += light[n]; squares += light[n] * light[n]; count += 1;
        const edge = Math.abs(light[n + 1] - light[n - 1]) + Math.abs(light[n + SIDE_PX] - light[n - SIDE_PX]);
        edges += edge; edgesX += edge * dx;
        if (r > 0.4) rim += edge; else { core += edge; soft += edge; softCount += 1; }
      }
    }
    const mean = sum / count;
    if (mean < TOO_DARK) return outside / around - mean > BACKLIT ? "backlit" : "dark";
    if (mean > TOO_BRIGHT) return "bright";
    if (outside / around - mean > BACKLIT) return "backlit";
    if (Math.sqrt(Math.max(0, squares / count - mean * mean)) < TOO_FLAT) return "empty";
    if (soft / softCount < TOO_SOFT) return "blurred";
    if (Math.abs(edgesX / edges) > OFF_CENTRE) return "offcentre";
    if (rim < TOO_SMALL * core) return "small";
    return "good";
  }

  function look() {
    if (stream === null || !still.hidden || video.videoWidth === 0) return;
    const seen = judge(grey());
    good = seen === "good" ? good + 1 : 0;
    const now = seen === "good" && good < STEADY ? said : seen;
    if (now === said) return;
    said = now;
    hint.textContent = frame.dataset[now] || frame.dataset.hint;
    frame.dataset.seen = now;
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

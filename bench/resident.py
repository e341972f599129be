"""Residents' pages: bytes of a first load, first paint on a slow phone, pages a second.

The hub as it runs in production (granian, SQLite) with 5,000 homes and a day of 20,000 passages;
400 residents are signed in. Beside each figure the staff console of the same hub. Weight and
first paint are taken in Chromium, the latter on a CPU slowed four times. Load comes from one
client process with its own connections and shares the machine with the hub: what is measured
is hub, database and client together on these cores.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.report import Figure, Skipped, quantile, say
from bench.rig.processes import HOST, Started, folder, free_port

HOMES, LOGINS, EVENTS = 5_000, 400, 20_000
PAINTS = 9
SLOWER = 4
RATE = 200
"""Residents a second, each opening one page."""
LOAD_S = 15.0
CONNECTIONS = 16
WORKERS = 2
MIX = (
    *("/home/",) * 10,
    *("/home/qr",) * 3,
    *("/home/visitors",) * 2,
    *("/home/family",) * 2,
    *("/home/more", "/home/help", "/home/today"),
)
"""What residents open, out of twenty pages: mostly their doors."""
FIRST_LOADS = ("/home/", "/home/qr", "/home/visitors", "/home/family", "/home/keys", "/home/help")
TIMEOUT_S = 30.0
_KIB = 1024


def run() -> Iterator[Figure]:
    """Seed, serve, look and press."""
    with folder("resident") as home, ExitStack() as stack:
        port = free_port()
        env = {
            "ANLIN_HOME": str(home),
            "ANLIN_HUB_URL": f"http://{HOST}:{port}",
            "DJANGO_SETTINGS_MODULE": "anlin.hub.settings",
        }
        say(f"  making {HOMES} homes")
        told = _seed(env)
        _serve(stack, home / "web.log", env, port)
        yield from _seen(port, told)
        yield from _loaded(port, told)


def _seed(env: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.rig.homes", *map(str, (HOMES, LOGINS, EVENTS))]
    whole = {**os.environ, **env}
    done = subprocess.run(command, check=True, env=whole, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _serve(stack: ExitStack, log: Path, env: dict[str, str], port: int) -> None:
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST]
    command += ["--port", str(port), "--workers", str(WORKERS), "--blocking-threads", "1"]
    command += ["--no-ws", "anlin.hub.wsgi:application"]
    server = Started(command, "Started worker", log, env)
    stack.callback(server.stop)


# In a browser


def _seen(port: int, told: dict[str, Any]) -> Iterator[Figure]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Skipped("playwright is not installed") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise Skipped("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        say("  first loads and first paints")
        weights = [_weight(browser, port, told["residents"][0], url) for url in FIRST_LOADS]
        console = _weight(browser, port, told["manager"], "/")
        paints = [_paint(browser, port, told["residents"][0], "/home/") for _ in range(PAINTS)]
        slow = [_paint(browser, port, told["manager"], "/") for _ in range(PAINTS)]
        browser.close()
    peer = "staff console"
    yield Figure("resident.first_load", max(weights), "KiB", len(weights), 100.0, peer, console)
    for label, share in (("p50", 0.5), ("max", 1.0)):
        ours, theirs = quantile(paints, share), quantile(slow, share)
        name = f"resident.first_paint.{label}"
        yield Figure(name, ours, "ms", PAINTS, 1000.0, peer, theirs)


def _context(browser: Any, port: int, session: str) -> Any:
    context = browser.new_context(viewport={"width": 375, "height": 740})
    cookie = {"name": "anlin_session", "value": session, "url": f"http://{HOST}:{port}"}
    context.add_cookies([cookie])
    return context


def _weight(browser: Any, port: int, session: str, url: str) -> float:
    """Give the bytes that come over the wire for a first load, heads and all, in KiB."""
    context = _context(browser, port, session)
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda done: sizes.append(done["encodedDataLength"]))
    page.goto(f"http://{HOST}:{port}{url}", wait_until="load")
    # The worker fetches the shell beside the page: that is part of a first load.
    page.wait_for_timeout(500)
    context.close()
    return sum(sizes) / _KIB


def _paint(browser: Any, port: int, session: str, url: str) -> float:
    """Give the milliseconds until something stands on a slow phone's screen, without a cache."""
    context = _context(browser, port, session)
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(f"http://{HOST}:{port}{url}", wait_until="load")
    found = page.wait_for_function(
        "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    )
    milliseconds = float(found.json_value())
    context.close()
    return milliseconds


# Many at once


def _loaded(port: int, told: dict[str, Any]) -> Iterator[Figure]:
    residents: list[str] = told["residents"]
    say(f"  as many pages as will go, for {LOAD_S:.0f} s")
    _press(port, residents, MIX, 3.0, None)
    most = _press(port, residents, MIX, LOAD_S, None)
    console = _press(port, [told["manager"]], ("/",), LOAD_S / 3, None)
    rates = len(most) / LOAD_S, len(console) / (LOAD_S / 3)
    peer = "staff console"
    yield Figure("resident.pages", rates[0], "pages/s", len(most), float(RATE), peer, rates[1])
    say(f"  {RATE} residents a second for {LOAD_S:.0f} s")
    waits = _press(port, residents, MIX, LOAD_S, RATE)
    for label, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
        yield Figure(f"resident.load.{label}", 1000 * quantile(waits, share), "ms", len(waits))
    yield Figure("resident.load.answered", len(waits) / LOAD_S, "pages/s", len(waits), float(RATE))


def _press(
    port: int, sessions: Sequence[str], urls: Sequence[str], lasting_s: float, rate: float | None
) -> list[float]:
    """Open pages from many connections; give how long each took, in seconds.

    With a rate each page has its moment, and waiting for a free connection counts: a client that
    only asks when it was answered would not notice that it is kept waiting.

    Raises:
        RuntimeError: a page was not answered with 200.
    """
    who, what = cycle(sessions), cycle(urls)
    lock = threading.Lock()
    waits: list[float] = []
    faults: list[str] = []
    begin = time.perf_counter() + 0.1
    taken = 0

    def take() -> tuple[float, str, str] | None:
        nonlocal taken
        with lock:
            due = begin + taken / rate if rate else time.perf_counter()
            if due >= begin + lasting_s or faults:
                return None
            taken += 1
            return due, next(who), next(what)

    def ask() -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
        while (task := take()) is not None:
            due, session, url = task
            time.sleep(max(0.0, due - time.perf_counter()))
            head = {"Cookie": f"anlin_session={session}", "Accept-Encoding": "gzip"}
            connection.request("GET", url, headers=head)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                faults.append(f"{url}: {answer.status}")
            ended = time.perf_counter()
            if ended <= begin + lasting_s:
                waits.append(ended - due)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(faults[0])
    return waits

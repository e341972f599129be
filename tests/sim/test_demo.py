"""The whole demo as a person starts it: real processes, real sockets, the story as the judge."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import sys
from pathlib import Path

import httpx
import pytest

START = """
import sys
from pathlib import Path
from anlin.sim import demo
from anlin.up import AlreadyRunning
try:
    sys.exit(demo.run(Path(sys.argv[1]), once="--once" in sys.argv))
except AlreadyRunning as error:
    sys.exit(f"{error}")
"""
SCENES = 11
STORY_S = 420
"""Two loaded cores with models of tier 1 took four minutes."""


async def start(home: Path, *more: str) -> asyncio.subprocess.Process:
    # Portraits that the packages carry: the story must hold on any machine.
    env = {**os.environ, "ANLIN_SHARED": str(home / "none"), "COLUMNS": "160"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, str(home), *more),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def left_behind(home: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if str(home).encode() in words and int(entry.name) != os.getpid():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


async def read_until(process: asyncio.subprocess.Process, pattern: str, wait_s: float) -> str:
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(wait_s):
        while not re.search(pattern, said):
            line = await process.stdout.readline()
            assert line, f"it ended before it said {pattern!r}:\n{said}"
            said += line.decode()
    return said


@pytest.mark.e2e
async def test_the_morning_goes_as_it_must_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = await start(tmp_path, "--once")
    said = await read_until(demo, r"Open http\S+", 180)

    second = await start(tmp_path)
    told = (await second.communicate())[0].decode()
    assert second.returncode == 1
    assert f"already running: pid {demo.pid}, at http" in told

    address = re.search(r"Open (http\S+)", said)
    assert address is not None
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(f"{address[1]}/login")).status_code == 200

    assert demo.stdout is not None
    async with asyncio.timeout(STORY_S):
        said += (await demo.stdout.read()).decode()
        code = await demo.wait()
    assert code == 0, said
    assert all(f"\n{number:2}. " in said for number in range(1, SCENES + 1)), said
    assert "not as it must be" not in said
    assert "Nothing lost or doubled" in said
    assert left_behind(tmp_path) == []
    for private in ("broker/devices.json", "broker/edges.json", "sim/town.json", "hub/secret"):
        assert stat.S_IMODE(os.stat(tmp_path / private).st_mode) & 0o077 == 0


@pytest.mark.e2e
async def test_ctrl_c_ends_it_within_seconds_even_while_it_starts(tmp_path: Path) -> None:
    demo = await start(tmp_path)
    await read_until(demo, "broker ready", 120)
    demo.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await demo.communicate()
    assert demo.returncode == 0
    assert left_behind(tmp_path) == []

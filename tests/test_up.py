"""The supervisor with real processes: order, coming back, one at a time, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from anlin import up
from anlin.up import Addresses, AlreadyRunning, Program

SERVE = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
while True:
    time.sleep(1)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(1)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
time.sleep(600)
"""


def program(name: str, code: str, *arguments: object, port: int | None = None) -> Program:
    words = (sys.executable, "-c", code, *(str(argument) for argument in arguments))
    return Program(name, words, port=port)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def pids_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if word.encode() in (entry / "cmdline").read_bytes() and is_alive(int(entry.name)):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


async def eventually(is_so: Callable[[], bool], wait_s: float = 10.0) -> None:
    async with asyncio.timeout(wait_s):
        while not is_so():  # noqa: ASYNC110  other processes have nothing to wait on
            await asyncio.sleep(0.05)


class Running:
    """A supervisor under way in this process."""

    def __init__(self, home: Path, *programs: Program) -> None:
        self.home = home
        self.said = io.StringIO()
        console = Console(file=self.said, width=200)
        self.task = asyncio.create_task(up.supervise(home, programs, console, "all ready"))

    def pid(self, name: str) -> int:
        return int((self.home / "run" / f"{name}.pid").read_text())

    async def ready(self) -> None:
        await eventually(lambda: "all ready" in self.said.getvalue() or self.task.done())

    async def stop(self) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(15):
            return await self.task


async def test_programs_are_told_ready_in_order_and_all_end(tmp_path: Path) -> None:
    one, two = up.free_port(), up.free_port()
    running = Running(
        tmp_path, program("one", SERVE, one, port=one), program("two", SERVE, two, port=two)
    )
    await running.ready()
    pids = [running.pid("one"), running.pid("two")]
    assert await running.stop() == 0
    said = running.said.getvalue()
    assert said.index("one ready") < said.index("two ready") < said.index("all ready")
    assert "Stopped; nothing runs any more." in said
    assert not any(is_alive(pid) for pid in pids)
    assert (tmp_path / "log" / "one.log").read_text() == "up\n"


async def test_a_program_that_is_too_early_starts_when_its_time_comes(tmp_path: Path) -> None:
    port, sign = up.free_port(), tmp_path / "sign"

    def env() -> dict[str, str] | None:
        return {"SIGN": sign.read_text()} if sign.exists() else None

    tell = "import os; print(os.environ['SIGN'], flush=True)\n" + SERVE
    late = dataclasses.replace(program("late", tell, port, port=port), late_env=env)
    running = Running(tmp_path, program("early", STUBBORN), late)
    await running.ready()
    assert "late" not in running.said.getvalue()
    assert not (tmp_path / "run" / "late.pid").exists()
    sign.write_text("go")
    await eventually(lambda: "late ready" in running.said.getvalue())
    assert (tmp_path / "log" / "late.log").read_text() == "go\nup\n"
    pid = running.pid("late")
    assert await running.stop() == 0
    assert not is_alive(pid)


async def test_what_was_too_early_to_the_end_stops_without_a_start(tmp_path: Path) -> None:
    late = dataclasses.replace(program("late", SERVE, up.free_port()), late_env=lambda: None)
    running = Running(tmp_path, late)
    await running.ready()
    assert await running.stop() == 0
    assert not (tmp_path / "run" / "late.pid").exists()


async def test_a_killed_program_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    one, two = up.free_port(), up.free_port()
    running = Running(
        tmp_path, program("one", SERVE, one, port=one), program("two", SERVE, two, port=two)
    )
    await running.ready()
    first, other = running.pid("one"), running.pid("two")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.pid("one") != first)
    await asyncio.sleep(0.2)
    assert is_alive(running.pid("one"))
    assert running.pid("two") == other
    await running.stop()
    assert "one ended with signal SIGKILL" in running.said.getvalue()


async def test_one_that_keeps_failing_is_tried_ever_more_slowly(tmp_path: Path) -> None:
    running = Running(tmp_path, program("bad", "raise SystemExit(3)"))
    await asyncio.sleep(2.5)
    await running.stop()
    said = running.said.getvalue()
    assert "bad ended with exit code 3; starting it again in 0.2 s" in said
    assert "in 0.8 s" in said
    assert said.count("bad ended") <= 5


def test_what_doors_need_is_never_left_for_long(tmp_path: Path) -> None:
    edge = up.edge_program(tmp_path, 1, 2, "")
    longest = {
        program.name: program.longest_pause_s
        for program in (*up.hub_programs(tmp_path, up.DEFAULT), edge)
    }
    assert longest["edge"] == longest["broker"] == up.DOOR_PAUSE_S <= 5
    assert longest["web"] == up.LONGEST_PAUSE_S


async def test_one_that_ignores_the_polite_word_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "STOP_S", 0.3)
    running = Running(tmp_path, program("stubborn", STUBBORN))
    await running.ready()
    await asyncio.sleep(0.3)
    pid = running.pid("stubborn")
    await running.stop()
    assert not is_alive(pid)


async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    word = f"grandchild-{time.time()}"
    running = Running(tmp_path, program("parent", PARENT, word))
    await running.ready()
    await eventually(lambda: len(pids_with(word)) == 2)
    os.kill(running.pid("parent"), signal.SIGKILL)
    await eventually(lambda: len(pids_with(word)) == 2, 5)
    await running.stop()
    await eventually(lambda: not pids_with(word), 5)


async def test_one_that_ends_all_gives_the_exit_code(tmp_path: Path) -> None:
    story = Program("story", (sys.executable, "-c", "raise SystemExit(7)"), ends_all=True)
    running = Running(tmp_path, program("other", STUBBORN), story)
    async with asyncio.timeout(20):
        assert await running.task == 7


SUPERVISE = """
import asyncio, sys
from pathlib import Path
from rich.console import Console
from anlin import up
home = Path(sys.argv[1])
sleep = (sys.executable, "-c", "import time; time.sleep(600)", sys.argv[2])
with up.locked(home, up.Addresses()):
    asyncio.run(up.supervise(home, [up.Program("child", sleep)], Console(), "all ready"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
async def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    word = f"child-{time.time()}"
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISE, str(tmp_path), word), stdout=asyncio.subprocess.DEVNULL
    )
    await eventually(lambda: len(pids_with(word)) == 2, 20)
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: not pids_with(word), 5)


def test_a_second_start_says_who_runs_and_where(tmp_path: Path) -> None:
    with (
        up.locked(tmp_path, Addresses(hub=8123)),
        pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}, at http://127.0.0.1:8123"),
        up.locked(tmp_path, Addresses()),
    ):
        pass
    with up.locked(tmp_path, Addresses()):
        pass


def test_taken_ports_are_replaced_by_free_ones() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = Addresses(hub=taken.getsockname()[1], live=up.free_port())
        chosen = up.free_addresses(wanted)
    assert chosen.hub != wanted.hub
    assert chosen.live == wanted.live


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    up.prepare_broker(tmp_path, 1883)
    for path in (tmp_path / "broker/edges.json", tmp_path / "edge-1/mqtt.json"):
        assert path.stat().st_mode & 0o077 == 0

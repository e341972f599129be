"""Everything on one machine: starts the processes, keeps them alive, and takes them down.

Each is a process of its own in a group of its own. Killing any of them stops none of the others,
and it comes back; when this one ends, however it ends, none of them stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from anlin.wire.mqtt_users import Role, new_password, new_user, to_json

HOST = "127.0.0.1"
NODE_FOLDER = "edge-1"

READY_S = 60.0
"""A small board under load takes most of a minute to import everything for the first time."""

POLL_S = 0.05
LATE_POLL_S = 0.5
"""A person fills in a page meanwhile; nobody notices half a second."""

STOP_S = 6.0
"""Every process of ours ends within two seconds; one that hangs is killed after this."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
DOOR_PAUSE_S = 5.0
"""The longest for the edge and its broker: while one is down no card opens a door, and whoever
stands outside waits for some seconds, not for half a minute. Both start in about two."""

STEADY_S = 30.0
"""A process that lived so long had a fresh reason to die: it is started again at once."""

MAX_LOG_BYTES = 10_000_000
_PDEATHSIG = 1
_TOLD_LINES = 8


class AlreadyRunning(Exception):
    """Another `anlin up` holds this state folder; the text says which, and where."""


class Failed(Exception):
    """A step did not work; the text says which, and where to read more."""


@dataclass(frozen=True, slots=True)
class Outside:
    """How other machines reach this one: its name, an address of it, and its certificate."""

    name: str
    listen: str
    cert: Path
    key: Path
    hub: int = 8443
    live: int = 8444
    mqtt: int = 8883


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports of the loopback that this start uses, and how it is reached from outside."""

    hub: int = 8000
    live: int = 8001
    mqtt: int = 1883
    rtsp: int = 8554
    outside: Outside | None = None

    @property
    def hub_url(self) -> str:
        """Where a browser finds the pages."""
        if self.outside is not None:
            return f"https://{self.outside.name}:{self.outside.hub}"
        return f"http://{HOST}:{self.hub}"

    @property
    def live_url(self) -> str:
        """Where a browser finds the live rows."""
        if self.outside is not None:
            return f"https://{self.outside.name}:{self.outside.live}"
        return f"http://{HOST}:{self.live}"


DEFAULT = Addresses()


@dataclass(frozen=True, slots=True)
class Program:
    """One process: how it is started, and how to see that it works.

    Ready once `port` takes connections and `file` exists. One that `ends_all` ends the whole
    with its own exit code; one that `talks` writes to this terminal, not to its log. One with
    `late_env` is started when that gives its environment; until then it gives None.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    file: Path | None = None
    talks: bool = False
    ends_all: bool = False
    longest_pause_s: float = LONGEST_PAUSE_S
    late_env: Callable[[], Mapping[str, str] | None] | None = None

    def environment(self) -> Mapping[str, str] | None:
        """Give what is added to the environment; None while it is too early to start."""
        late = self.late_env() if self.late_env is not None else {}
        return None if late is None else {**self.env, **late}


def run(
    home: Path,
    *,
    wanted: Addresses = DEFAULT,
    console: Console | None = None,
    node_code: str = "",
) -> int:
    """Run hub, broker and edge until Ctrl-C or SIGTERM; give the exit code.

    The edge runs where it is enrolled already, or where `node_code` enrols it. Where no
    community is founded yet, a page founds it with a code that is told here, and the edge
    follows.

    Raises:
        AlreadyRunning: this state folder is in use.
        Failed: the tables could not be brought up.
    """
    console = console or Console()
    home = home.resolve()
    addresses = free_addresses(wanted)
    with locked(home, addresses):
        prepare_broker(home, addresses.mqtt)
        migrate(home, console)
        first_code = make_first_code(home)
        programs = hub_programs(home, addresses)
        node_code = node_code or kept_node_code(home)
        when_ready = f"Open {addresses.hub_url}"
        if node_code or (home / NODE_FOLDER / "node.json").is_file():
            programs.append(edge_program(home, addresses.hub, addresses.live, node_code))
        elif first_code:
            waiting = edge_program(home, addresses.hub, addresses.live, "")
            programs.append(replace(waiting, late_env=lambda: _edge_env(home)))
            when_ready = (
                f"No community is founded yet. Open {addresses.hub_url}/setup/first and type the "
                f"code {first_code} there; or stop this, and run `anlin found PLAN`."
            )
        else:
            console.print(
                "No edge runs: make a community with `anlin found PLAN`, or a node on the page of "
                "devices, and start again with its code in ANLIN_NODE_CODE."
            )
        return asyncio.run(supervise(home, programs, console, when_ready))


def hub_programs(home: Path, addresses: Addresses) -> list[Program]:
    """Give broker, web, live and worker, in the order of their start."""
    env = hub_env(home, addresses)
    python = sys.executable
    web = (
        *(python, "-m", "granian", "--interface", "wsgi", "--host", HOST),
        *("--port", str(addresses.hub), "--workers", "1", "--blocking-threads", "1"),
        *("--no-ws", "--log-level", "warning", "anlin.hub.wsgi:application"),
    )
    live = (python, "-m", "anlin.hub.live", "--host", HOST, "--port", str(addresses.live))
    worker = (python, "-m", "anlin.hub.manage", "worker")
    broker = (python, "-m", "anlin.edge.broker", "--home", str(home), "--port")
    programs = [
        Program(
            "broker",
            (*broker, str(addresses.mqtt)),
            port=addresses.mqtt,
            longest_pause_s=DOOR_PAUSE_S,
        ),
        Program("web", web, env, port=addresses.hub),
        Program("live", live, env, port=addresses.live),
        # After web, whose start is the slowest of the three: it has nothing to do at first.
        Program("worker", worker, env),
    ]
    if addresses.outside is not None:
        programs.append(_front_program(addresses, addresses.outside))
    return programs


def _front_program(addresses: Addresses, outside: Outside) -> Program:
    """Give the program that lets other machines in, by TLS only."""
    command = (
        *(sys.executable, "-m", "anlin.edge.front", "--listen", outside.listen),
        *("--cert", str(outside.cert.resolve()), "--key", str(outside.key.resolve())),
        f"{outside.hub}:{addresses.hub}",
        f"{outside.live}:{addresses.live}",
        f"{outside.mqtt}:{addresses.mqtt}",
    )
    return Program("front", command)


def hub_env(home: Path, addresses: Addresses) -> dict[str, str]:
    """Give what Django's settings read."""
    return {
        "ANLIN_HOME": str(home),
        "ANLIN_HUB_URL": addresses.hub_url,
        "ANLIN_LIVE_URL": addresses.live_url,
        "ANLIN_NODE_CODE_FILE": str(home / NODE_FOLDER / "code"),
        "DJANGO_SETTINGS_MODULE": "anlin.hub.settings",
    }


def edge_program(home: Path, hub_port: int, live_port: int, node_code: str) -> Program:
    """Give the edge, which reaches the hub at these ports."""
    folder = home / NODE_FOLDER
    command = (
        *(sys.executable, "-m", "anlin.edge", "--home", str(folder)),
        *("--hub", f"http://{HOST}:{hub_port}", "--down", f"http://{HOST}:{live_port}"),
    )
    env = {"ANLIN_NODE_CODE": node_code} if node_code else {}
    return Program("edge", command, env, file=folder / "node.json", longest_pause_s=DOOR_PAUSE_S)


def keep_node_code(home: Path, code: str) -> None:
    """Keep a one-time code for the first start of this machine's edge."""
    write_private(home / NODE_FOLDER / "code", code.encode())


def kept_node_code(home: Path) -> str:
    """Give the code that waits for the first start, or ""."""
    folder = home / NODE_FOLDER
    if (folder / "node.json").is_file():
        (folder / "code").unlink(missing_ok=True)
        return ""
    path = folder / "code"
    return path.read_text().strip() if path.is_file() else ""


def _edge_env(home: Path) -> Mapping[str, str] | None:
    """Give the code that the page left for the edge; None while nobody has founded anything."""
    code = kept_node_code(home)
    if code:
        return {"ANLIN_NODE_CODE": code}
    return {} if (home / NODE_FOLDER / "node.json").is_file() else None


def prepare_broker(home: Path, mqtt_port: int) -> None:
    """Give the edge its user at the broker: a new password at every start."""
    password = new_password()
    user = new_user(NODE_FOLDER, password, Role.EDGE)
    write_private(home / "broker" / "edges.json", to_json({user.name: user}))
    where = {"host": HOST, "port": mqtt_port, "user": user.name, "password": password}
    write_private(home / NODE_FOLDER / "mqtt.json", json.dumps(where).encode())


def migrate(home: Path, console: Console) -> None:
    """Bring the hub's tables up to this version."""
    env = {**os.environ, **hub_env(home, DEFAULT)}
    for more in ((), ("events", "--database=events")):
        command = (sys.executable, "-m", "anlin.hub.manage", "migrate", "--verbosity=0", *more)
        with console.status("Bringing the tables up"):
            asyncio.run(_finish(command, env))


def make_first_code(home: Path) -> str:
    """Make the one-time code that founds the first community; "" where there is one."""
    command = (sys.executable, "-m", "anlin.hub.manage", "first_code")
    said = asyncio.run(_finish(command, {**os.environ, **hub_env(home, DEFAULT)}))
    return said.strip()


async def _finish(command: Sequence[str], env: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, told = await process.communicate()
    if process.returncode:
        raise Failed(f"{' '.join(command[2:5])} failed:\n{told.decode(errors='replace')[-2000:]}")
    return said.decode(errors="replace")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read: whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


# Where


def free_addresses(wanted: Addresses) -> Addresses:
    """Give the wanted ports, and others in place of those that are taken."""
    chosen: dict[str, int] = {}
    for name in ("hub", "live", "mqtt", "rtsp"):
        port: int = getattr(wanted, name)
        chosen[name] = port if _is_free(port) and port not in chosen.values() else free_port()
    return Addresses(**chosen, outside=wanted.outside)


def free_port() -> int:
    """Give a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def locked(home: Path, addresses: Addresses) -> Iterator[None]:
    """Hold the state folder for as long as the context lasts.

    Raises:
        AlreadyRunning: somebody else holds it.
    """
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(f"Anlin is already running: {file.read().strip()}") from None
        file.truncate(0)
        file.write(f"pid {os.getpid()}, at {addresses.hub_url}, state in {home}\n")
        file.flush()
        yield
        file.truncate(0)


# Processes


async def supervise(
    home: Path, programs: Sequence[Program], console: Console, when_ready: str
) -> int:
    """Start programs, keep them alive until told to stop; give the exit code.

    They are stopped one after the other, the last of the list first.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    keepers = [_Keeper(home, program, console, stop) for program in programs]
    try:
        # All at once: each waits for the others where it needs them, and importing is what takes
        # the time.
        for keeper in keepers:
            keeper.start()
        for keeper in keepers:
            if not keeper.is_waiting:
                await keeper.tell_ready()
            if stop.is_set():
                break
        else:
            console.print(when_ready)
        await stop.wait()
    finally:
        with console.status("Stopping"):
            for keeper in reversed(keepers):
                await keeper.stop()
    console.print("Stopped; nothing runs any more.")
    return next((k.exit_code for k in keepers if k.exit_code is not None), 0)


class _Keeper:
    """Keeps one program alive."""

    def __init__(self, home: Path, program: Program, console: Console, stop: asyncio.Event) -> None:
        self.exit_code: int | None = None
        self._program = program
        self._console = console
        self._stop = stop
        self._log = home / "log" / f"{program.name}.log"
        self._pid_file = home / "run" / f"{program.name}.pid"
        self._started = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self.is_waiting = program.environment() is None
        """Whether it was too early to start it, when all were started."""

    def start(self) -> None:
        """Start the program."""
        for folder in (self._log.parent, self._pid_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        self._started = time.monotonic()
        self._task = asyncio.create_task(self._keep())

    async def tell_ready(self) -> None:
        """Wait until the program is ready or somebody asks to stop, and say so."""
        name = self._program.name
        with self._console.status(f"Starting {name}"):
            is_ready = await self._ready(self._started + READY_S)
        took = time.monotonic() - self._started
        if is_ready:
            self._console.print(f"[green]✓[/] {name} ready after {took:.1f} s")
        elif not self._stop.is_set():
            self._console.print(f"[red]✗[/] {name} is not ready after {READY_S:.0f} s; it said:")
            self._console.print(self._last_words(), markup=False, highlight=False)

    async def stop(self) -> None:
        """End the program and whatever it started."""
        tasks = [task for task in (self._task, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            _kill_group(process.pid)
            await process.wait()
        self._pid_file.unlink(missing_ok=True)

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            env = await self._environment()
            started = time.monotonic()
            process = await self._spawn(env)
            code = await process.wait()
            _kill_group(process.pid)
            self._process = None
            if self._program.ends_all:
                self.exit_code = code
                self._stop.set()
                return
            if time.monotonic() - started > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._console.print(
                f"[yellow]![/] {self._program.name} ended with {_ending(code)}; "
                f"starting it again in {pause_s:.1f} s"
            )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._program.longest_pause_s)

    async def _environment(self) -> Mapping[str, str]:
        """Wait until the program may start; one that was late tells by itself when it is ready."""
        while (env := self._program.environment()) is None:  # noqa: ASYNC110  another process's file
            await asyncio.sleep(LATE_POLL_S)
        if self.is_waiting and self._telling is None:
            self._started = time.monotonic()
            self._telling = asyncio.create_task(self.tell_ready())
        return env

    async def _spawn(self, env: Mapping[str, str]) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            # A session of its own keeps the terminal's Ctrl-C away: it is ours to pass on.
            self._process = await asyncio.create_subprocess_exec(
                *self._program.command,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=None if self._program.talks else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )
        self._pid_file.write_text(str(self._process.pid))
        return self._process

    async def _ready(self, deadline: float) -> bool:
        program = self._program
        while time.monotonic() < deadline and not self._stop.is_set():
            has_file = program.file is None or program.file.exists()
            has_port = program.port is None or await _takes_connections(program.port)
            if self._process is not None and has_file and has_port:
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TOLD_LINES:]
        return "\n".join([*lines, f"(more in {self._log})"])


def _end_with(parent: int) -> Callable[[], None]:
    """Give what a child runs first: it is told to end when its parent is gone, even by kill -9."""
    if sys.platform != "linux":
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)

    def arrange() -> None:
        libc.prctl(_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True

"""Real processes for a benchmark: brokers, edges and what stands beside them.

Everything lives in a folder below bench/out, on the disk that the product would use, and is
gone when the benchmark ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from anlin.core.codec import to_data
from anlin.core.entities import Device
from anlin.core.policy import Delta
from anlin.edge.identity import Identity
from anlin.edge.links.mqtt import Broker
from anlin.edge.replica import Replica
from anlin.wire.keys import new_sealing_key
from anlin.wire.mqtt_users import Role, new_password, new_user, to_json
from bench.report import OUT, Skipped

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Nagle's algorithm waits 40 ms for an acknowledgement before it sends a second small packet."""

EDGE_USER, ECHO_USER = "edge-1", "echo-1"


class Started:
    """A process that is up: it has written the word that says so."""

    def __init__(
        self,
        command: list[str],
        ready: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        core: int | None = None,
    ) -> None:
        """Start it and wait for the word.

        Raises:
            RuntimeError: it ended, or did not say it in time; the end of its log is in the text.
        """
        self.log = log
        self._said = threading.Event()
        self._ready = ready
        started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        self._ready_at = 0.0
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._said.wait(START_TIMEOUT_S) or not self._ready_at:
            self.stop()
            raise RuntimeError(f"{' '.join(command[:4])} did not start: {self._tail()}")
        self.start_s = self._ready_at - started
        """From before the process was made until it said that it is ready."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """End it in order, and by force where that takes too long."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _listen(self) -> None:
        output = self.process.stdout
        assert output is not None
        with self.log.open("wb") as file:
            for line in output:
                if not self._ready_at and self._ready.encode() in line:
                    self._ready_at = time.perf_counter()
                    self._said.set()
                file.write(line)
        self._said.set()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-800:] if self.log.exists() else ""


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """Give an empty folder on the project's disk that is gone afterwards."""
    OUT.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=OUT))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


class Site:
    """A broker and the users on it: one edge, an echo, and gate controllers."""

    def __init__(self, home: Path, devices: Iterable[str], kind: str = "anlin") -> None:
        """Make the users and start the broker: our own, or mosquitto."""
        self.home = home
        self.port = free_port()
        self.passwords = {name: new_password() for name in (EDGE_USER, ECHO_USER, *devices)}
        (home / "broker").mkdir(parents=True)
        users = {
            name: new_user(
                name, password, Role.EDGE if name in (EDGE_USER, ECHO_USER) else Role.DEVICE
            )
            for name, password in self.passwords.items()
        }
        for file, role in (("edges.json", Role.EDGE), ("devices.json", Role.DEVICE)):
            some = {name: user for name, user in users.items() if user.role is role}
            (home / "broker" / file).write_bytes(to_json(some))
        command, ready = self._ours() if kind == "anlin" else self._mosquitto()
        self.broker = Started(command, ready, home / "broker.log")

    def _ours(self) -> tuple[list[str], str]:
        module = [sys.executable, "-m", "anlin.edge.broker", "--home", str(self.home)]
        return [*module, "--port", str(self.port)], "broker_ready"

    def _mosquitto(self) -> tuple[list[str], str]:
        program = mosquitto()
        if program is None:
            raise Skipped("mosquitto is not installed")
        config = self.home / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n"
        )
        return [program, "-c", str(config)], "running"


def mosquitto() -> str | None:
    """Find mosquitto, which Debian keeps out of users' way."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def edge_home(home: Path, site: Site, delta: Delta, key: str | None = None) -> Path:
    """Make the folder of an enrolled edge that holds a policy already."""
    home.mkdir(parents=True)
    identity = Identity("n1", "gate", "c1", "no-token", key or new_sealing_key())
    (home / "node.json").write_text(json.dumps(to_data(identity)))
    broker = Broker(HOST, site.port, EDGE_USER, site.passwords[EDGE_USER])
    (home / "mqtt.json").write_text(json.dumps(to_data(broker)))
    replica = Replica(home / "replica.sqlite3")
    replica.apply(delta)
    replica.close()
    return home


def edge(home: Path, env: Mapping[str, str] | None = None, core: int | None = None) -> Started:
    """Start an edge whose hub can't be reached: a door must not notice."""
    hub = f"http://{HOST}:{free_port()}"
    command = [sys.executable, "-m", "anlin.edge", "--home", str(home), "--hub", hub]
    return Started(command, "event=ready", home / "edge.log", env, core)


def gate(number: int, point: str, portal: str) -> Device:
    """Describe a gate controller with one reader, one door and one loop."""
    settings = {
        "readers": {"in": point},
        "inputs": {"door": portal, "loop": portal},
        "outputs": {"door": portal},
    }
    return Device(f"gate-{number}", f"gate {number}", "n1", "mqtt_gate", settings)

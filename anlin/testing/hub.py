"""A hub of a hundred lines on a real socket: it takes events, keeps pictures, and can misbehave."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anlin.core.sync import Down, to_down

TOKEN = "token-of-node-1"  # noqa: S105  of a hub that lives for one test


@dataclass
class Answer:
    """What a hub that misbehaves says instead: status, body, and after how long."""

    status: int
    body: Any = None
    delay_s: float = 0.0


@dataclass
class FakeHub:
    """What has reached the hub, and how it is to behave."""

    address: str = ""
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    batches: list[list[int]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    instead: list[Answer] = field(default_factory=list)
    """Answers to give before it behaves again, the first first."""
    _lines: deque[bytes | None] = field(default_factory=deque)
    _streams: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def seq(self) -> int:
        """The last event it holds."""
        return max(self.events, default=0)

    def send_down(self, *messages: Down) -> None:
        """Say something on the down-stream, the one that was opened last."""
        for message in messages:
            self._put(json.dumps(to_down(message)).encode() + b"\n")

    def send_line(self, line: bytes) -> None:
        """Say anything at all on the down-stream."""
        self._put(line)

    def end_down(self) -> None:
        """End the down-stream that is open, or the next."""
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def _stream(self) -> Iterator[bytes]:
        """Yield the lines of one down-stream, until it is ended or another is opened."""
        with self._changed:
            self._streams += 1
            mine = self._streams
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or mine != self._streams)
                line = self._lines.popleft() if mine == self._streams else None
            if line is None:
                return
            yield line

    def _take(self, batch: dict[str, Any]) -> Answer:
        seqs = [event["seq"] for event in batch["events"]]
        self.batches.append(seqs)
        if seqs[0] > self.seq + 1:
            error = f"seq {seqs[0]} leaves a gap"
            return Answer(409, {"error": error, "expected": self.seq + 1})
        self.events.update({event["seq"]: event for event in batch["events"]})
        return Answer(200, {"seq": self.seq, "refused": []})


@contextmanager
def running_hub(port: int = 0) -> Iterator[FakeHub]:
    """Run a hub on the loopback for as long as the context lasts."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer(lambda body: hub._take(json.loads(body)))

        def do_PUT(self) -> None:
            name = self.path.rpartition("/")[2]
            self._answer(lambda body: self._keep(name, body))

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            if self._is_stopped(b"") or not self._is_known():
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in hub._stream():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Say nothing: a test shows what it needs."""

        def _keep(self, name: str, body: bytes) -> Answer:
            hub.pictures[name] = body
            return Answer(200, {"kept": name})

        def _answer(self, work: Callable[[bytes], Answer]) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hub.asked.append(self.path)
            if not self._is_stopped(body) and self._is_known():
                self._say(work(body))

        def _is_known(self) -> bool:
            if self.headers["Authorization"] == f"Bearer {TOKEN}":
                return True
            self._say(Answer(401, {"error": "token: not of an enrolled node"}))
            return False

        def _is_stopped(self, body: bytes) -> bool:
            if not hub.instead:
                return False
            answer = hub.instead.pop(0)
            if not stop.wait(answer.delay_s):
                self._say(answer)
            return True

        def _say(self, answer: Answer) -> None:
            body = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    stop = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        stop.set()
        hub.end_down()
        server.shutdown()
        thread.join()
        server.server_close()

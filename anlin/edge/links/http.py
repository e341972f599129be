"""The HTTP server that face terminals call (docs/protocols/face_terminal.md).

One listener for each address, shared by all terminals of a node; each terminal has its own path
and its own key. A request is judged before anything in it is believed: signature, time, nonce.
What it says goes to the driver as messages, and what the driver orders goes into the next reply.
Orders that open do not wait for a terminal that is away: after three seconds they are gone.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from anlin.drivers.base import LinkError
from anlin.drivers.face_terminal import terminal_settings
from anlin.edge.clock import Clock, SteadyClock

log = structlog.get_logger(__name__)

PREFIX = "/terminal/v1/"
_STORE = re.compile("[0-9A-Za-z]{1,32}")
KEY_BYTES = 32

SKEW_S = 60.0
"""How far a request's time may be from ours. A terminal that is wrong learns our time from the
signed refusal and signs again."""

MAX_NONCES = 20_000
"""Kept for each terminal for as long as a request of that age is accepted. More than 160 requests
a second are no terminal's."""

MAX_NONCE_CHARS = 64
HEADERS_TIMEOUT_S = 10.0
"""A connection that has not sent a whole request line and headers by then is cut."""

BODY_TIMEOUT_S = 10.0
"""A picture of 400 KB over a weak link takes some seconds."""

MAX_BODY_BYTES = {
    "heartbeat": 4_096,
    "verify": 600_000,
    "events": 262_144,
    "poll": 4_096,
    "results": 262_144,
}
MAX_RECORD_BYTES = 4096
MAX_EVENTS = 100
MAX_RESULTS = 32
MAX_PICTURE_BYTES = 400_000
MAX_CONNECTIONS = 500
MAX_WAITING = 1000

VERIFY_WAIT_S = 0.8
"""So long a person at the door looks at "please wait"; what comes later comes by the poll."""

EVENTS_WAIT_S = 3.0
POLL_WAIT_S = 4.0
"""How long a poll may stay open: short enough to be a sign of life, long enough to be cheap."""

ORDER_LIFE_S = 3.0
"""An order that opens or speaks is for somebody who stands there; nobody waits longer."""

MAX_ORDERS = 50
OFFLINE_AFTER_S = 12.0
"""Three polls that did not come."""

TASK_TIMEOUT_S = 30.0
REDELIVER_S = 5.0
"""A task whose result has not come by then is said again: the reply may have been lost."""

TASKS_IN_A_REPLY = 8
SHUTDOWN_S = 1
WRONG_KEY_EVERY_S = 60.0
"""Requests with a wrong key are told to staff, but not each of them."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    data: Mapping[str, Any]


class _Refusal(Exception):
    """A request that is not taken: the status and the rule."""

    def __init__(self, status: int, rule: str, **more: Any) -> None:
        super().__init__(rule)
        self.answer = _Answer(status, {"error": rule, **more})


@dataclass(slots=True)
class _Task:
    """Something that the terminal is to do and say the result of."""

    id: str
    data: Mapping[str, Any]
    result: asyncio.Future[Mapping[str, Any]]
    said_at: float = float("-inf")


@dataclass(slots=True)
class _Order:
    data: Mapping[str, Any]
    until: float


class HttpLink:
    """One terminal: its key, its open requests, its orders and tasks."""

    def __init__(
        self, device: str, settings: Mapping[str, Any], clock: Clock | None = None
    ) -> None:
        self.device = device
        self._settings = terminal_settings(device, settings)
        self._clock = clock or SteadyClock()
        self._media = Path(str(settings.get("media", "media")))
        self._key = b""
        self._listener: Listener | None = None
        self._said: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._is_listening = False
        self._nonces: dict[str, float] = {}
        self._began = 0.0
        self._heard_at = 0.0
        self._is_online: bool | None = None
        self._known_state = b""
        self._orders: deque[_Order] = deque(maxlen=MAX_ORDERS)
        self._held: bool | None = None
        self._wants_levels = True
        self._tasks: dict[str, _Task] = {}
        self._acks: dict[str, asyncio.Future[None]] = {}
        self._more = asyncio.Event()
        self._verifying = 0
        self._told_wrong_key_at = float("-inf")

    async def open(self) -> None:
        """Read the key and join the listener; raise LinkError where either can't be."""
        home = self._media.parent
        self._key = await asyncio.to_thread(_key, home / "terminals" / f"{self.device}.key")
        self._said = asyncio.Queue(MAX_WAITING)
        # Whole milliseconds, as terminals write them.
        self._began = int(self._clock.now().timestamp() * 1000) / 1000
        self._heard_at = time.monotonic()
        self._is_online, self._known_state, self._wants_levels = None, b"", True
        given = self._settings
        tls = (str(home / given.tls_cert), str(home / given.tls_key)) if given.tls_cert else None
        self._listener = await Listener.join(given.host, given.port, tls, self)

    async def close(self) -> None:
        """Leave the listener; the last one closes it."""
        listener, self._listener = self._listener, None
        for task in self._tasks.values():
            task.result.cancel()
        self._tasks.clear()
        self._stir()
        if listener is not None:
            await listener.leave(self)

    @property
    def port(self) -> int:
        """The port that the terminal calls."""
        return self._listener.port if self._listener is not None else 0

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        if self._listener is None:
            raise LinkError(f"terminal {self.device}: nothing listens for it")
        self._is_listening = True
        try:
            while True:
                quiet_s = time.monotonic() - self._heard_at
                if quiet_s >= OFFLINE_AFTER_S and self._is_online is not False:
                    self._is_online, self._known_state = False, b""
                    yield "state", _json({"online": False, "detail": "it stopped calling"})
                try:
                    async with asyncio.timeout(max(0.05, OFFLINE_AFTER_S - quiet_s)):
                        message = await self._said.get()
                except TimeoutError:
                    continue
                yield message
        finally:
            self._is_listening = False

    async def send(self, address: str, payload: bytes) -> None:
        data = json.loads(payload)
        match address:
            case "order":
                if self._is_online is not True:
                    raise LinkError(f"terminal {self.device}: is offline; the order is not kept")
                self._orders.append(_Order(data, time.monotonic() + ORDER_LIFE_S))
            case "lock":
                self._held = data["held"]
            case "levels":
                self._wants_levels = True
            case "ack":
                waiting = self._acks.get(data["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
                return
            case _:
                raise LinkError(f"terminal {self.device}: nothing is called {address}")
        self._stir()

    async def ask(self, address: str, payload: bytes) -> bytes:
        """Give the terminal a task and wait for its result."""
        id_ = secrets.token_hex(8)
        result = asyncio.get_running_loop().create_future()
        self._tasks[id_] = _Task(id_, {"id": id_, "do": address, **json.loads(payload)}, result)
        self._stir()
        try:
            async with asyncio.timeout(TASK_TIMEOUT_S):
                return _json(await result)
        except TimeoutError:
            raise LinkError(
                f"terminal {self.device}: no result of {address} within {TASK_TIMEOUT_S} s"
            ) from None
        finally:
            self._tasks.pop(id_, None)

    # Requests

    async def answer(self, what: str, body: bytes) -> _Answer:
        """Take a request whose signature holds."""
        self._heard_at = time.monotonic()
        data = _object(body)
        self._be_online()
        match what:
            case "heartbeat":
                return self._heartbeat(data)
            case "verify":
                return await self._verify(data)
            case "events":
                return await self._events(data)
            case "results":
                return self._results(data)
            case _:
                return await self._poll()

    def check(self, request: _Request) -> None:
        """Refuse a request that this terminal did not sign, just now and for the first time.

        Raises:
            _Refusal: 401 with the rule.
        """
        wanted = sign(self._key, request.text)
        if not hmac.compare_digest(wanted, request.signature):
            self._tell_wrong_key()
            raise _Refusal(401, "the signature does not hold")
        now = self._clock.now().timestamp()
        off_s = request.at - now
        if abs(off_s) > SKEW_S:
            raise _Refusal(401, f"the time is {off_s:.0f} s off", time=round(now, 3))
        if request.at < self._began:
            # What was signed before we began may have been answered by the life before this.
            raise _Refusal(401, "signed before this edge began", time=round(now, 3))
        while self._nonces:
            oldest = next(iter(self._nonces))
            if self._nonces[oldest] > now - 2 * SKEW_S:
                break
            del self._nonces[oldest]
        if request.nonce in self._nonces:
            raise _Refusal(401, "this request was sent before")
        if len(self._nonces) >= MAX_NONCES:
            raise _Refusal(429, f"more than {MAX_NONCES} requests in {2 * SKEW_S:.0f} s")
        self._nonces[request.nonce] = now

    def sign_answer(self, nonce: str, status: int, body: bytes) -> str:
        """Sign an answer to the request with this nonce, so that nobody else can say "open"."""
        return sign(self._key, answer_text(nonce, status, body))

    def _heartbeat(self, data: Mapping[str, Any]) -> _Answer:
        # Only what changed is news; a sign of life is not.
        names = ("store", "persons", "capacity", "version")
        state = _json({name: data[name] for name in names if name in data})
        if state != self._known_state:
            self._say("heartbeat", state)
            self._known_state = state
        return _Answer(200, self._orders_now())

    async def _verify(self, data: Mapping[str, Any]) -> _Answer:
        self._verifying += 1
        try:
            acked = await self._take([await self._keep_picture(data)], data, VERIFY_WAIT_S)
        finally:
            self._verifying -= 1
        return _Answer(200, {"acked": bool(acked), **self._orders_now()})

    async def _events(self, data: Mapping[str, Any]) -> _Answer:
        events = data.get("events")
        if not isinstance(events, list) or not 0 < len(events) <= MAX_EVENTS:
            raise _Refusal(400, f"events must be a list of 1 to {MAX_EVENTS}")
        first = events[0].get("seq") if isinstance(events[0], dict) else None
        if not isinstance(first, int) or not all(
            isinstance(event, dict) and event.get("seq") == number
            for number, event in enumerate(events, start=first)
        ):
            raise _Refusal(400, "events must carry numbers that follow each other")
        acked = await self._take(events, data, EVENTS_WAIT_S)
        return _Answer(200, {"acked": first + acked - 1, **self._orders_now()})

    async def _take(
        self, events: list[Mapping[str, Any]], data: Mapping[str, Any], wait_s: float
    ) -> int:
        """Pass events on; give how many of the first ones are durable when the time is over."""
        store = data.get("store")
        if not isinstance(store, str) or not _STORE.fullmatch(store):
            raise _Refusal(400, "store must be a text of 1 to 32 letters and digits")
        if not self._is_listening:
            raise _Refusal(503, "the edge is starting; keep it and send it again")
        loop = asyncio.get_running_loop()
        shared = {"store": store, "now_ms": data.get("now_ms")}
        waiting = []
        try:
            for event in events:
                if not _is_seq(event.get("seq")):
                    raise _Refusal(400, "seq must be a whole number from 1")
                id_ = f"{store}-{event['seq']}"
                ack = self._acks.get(id_)
                if ack is None:
                    ack = self._acks[id_] = loop.create_future()
                    self._say("record", _record(event, shared))
                waiting.append((id_, ack))
            await asyncio.wait([ack for _, ack in waiting], timeout=wait_s)
        finally:
            for id_, _ in waiting:
                self._acks.pop(id_, None)
        acked = 0
        for _, ack in waiting:
            if not ack.done():
                break
            acked += 1
        return acked

    async def _poll(self) -> _Answer:
        until = time.monotonic() + POLL_WAIT_S
        while not self._has_news() and (left_s := until - time.monotonic()) > 0:
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, REDELIVER_S)):
                    await self._more.wait()
        self._heard_at = time.monotonic()
        return _Answer(200, {**self._orders_now(), "tasks": self._tasks_now()})

    def _results(self, data: Mapping[str, Any]) -> _Answer:
        results = data.get("results")
        if not isinstance(results, list) or len(results) > MAX_RESULTS:
            raise _Refusal(400, f"results must be a list of at most {MAX_RESULTS}")
        for result in results:
            if not isinstance(result, dict) or not isinstance(result.get("id"), str):
                raise _Refusal(400, "a result must be an object with the id of its task")
            task = self._tasks.get(result["id"])
            if task is not None and not task.result.done():
                task.result.set_result(result)
        return _Answer(200, self._orders_now())

    # What goes into replies

    def _has_news(self) -> bool:
        if self._listener is None:
            return True
        now = time.monotonic()
        due = any(now - task.said_at >= REDELIVER_S for task in self._tasks.values())
        # An open verification takes the orders; they are most likely its decision.
        return due or self._wants_levels or bool(self._orders and not self._verifying)

    def _orders_now(self) -> dict[str, Any]:
        now = time.monotonic()
        orders = [
            {**order.data, "expires_ms": round((order.until - now) * 1000)}
            for order in self._orders
            if order.until > now
        ]
        self._orders.clear()
        reply: dict[str, Any] = {
            "time": round(self._clock.now().timestamp(), 3),
            "orders": orders,
        }
        if self._held is not None:
            reply["held"] = self._held
        if self._wants_levels:
            self._wants_levels = False
            reply["levels"] = True
        return reply

    def _tasks_now(self) -> list[Mapping[str, Any]]:
        now = time.monotonic()
        due = [task for task in self._tasks.values() if now - task.said_at >= REDELIVER_S]
        for task in due[:TASKS_IN_A_REPLY]:
            task.said_at = now
        return [task.data for task in due[:TASKS_IN_A_REPLY]]

    # Messages to the driver

    def _be_online(self) -> None:
        if self._is_online is not True:
            self._is_online = True
            self._say("state", _json({"online": True, "detail": "it calls with the right key"}))

    def _tell_wrong_key(self) -> None:
        now = time.monotonic()
        if now - self._told_wrong_key_at >= WRONG_KEY_EVERY_S:
            self._told_wrong_key_at = now
            with contextlib.suppress(_Refusal):
                self._say("denied", _json({"rule": "somebody calls with a wrong key"}))

    def _say(self, address: str, payload: bytes) -> None:
        try:
            self._said.put_nowait((address, payload))
        except asyncio.QueueFull:
            raise _Refusal(503, "the edge is behind; keep it and send it again") from None

    def _stir(self) -> None:
        self._more.set()

    async def _keep_picture(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the photograph of a verification beside the events; its name goes with it."""
        photo = event.get("photo")
        kept = {name: value for name, value in event.items() if name not in {"photo", "picture"}}
        if not isinstance(photo, str) or not photo:
            return kept
        try:
            jpeg = base64.b64decode(photo, validate=True)
        except ValueError:
            raise _Refusal(400, "photo is not base64") from None
        if not jpeg.startswith(b"\xff\xd8\xff") or len(jpeg) > MAX_PICTURE_BYTES:
            raise _Refusal(400, f"photo must be a JPEG of at most {MAX_PICTURE_BYTES} bytes")
        name = await asyncio.to_thread(_keep, jpeg, self._media)
        return {**kept, "picture": name} if name else kept


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as it was signed."""

    method: str
    path: str
    time: str
    nonce: str
    signature: str
    body: bytes

    @property
    def at(self) -> float:
        return float(self.time)

    @property
    def text(self) -> bytes:
        return request_text(self.method, self.path, self.time, self.nonce, self.body)


def request_text(method: str, path: str, at: str, nonce: str, body: bytes) -> bytes:
    """Write what a terminal signs of a request."""
    return "\n".join((method, path, at, nonce, hashlib.sha256(body).hexdigest())).encode()


def answer_text(nonce: str, status: int, body: bytes) -> bytes:
    """Write what the edge signs of an answer."""
    return "\n".join(("answer", nonce, str(status), hashlib.sha256(body).hexdigest())).encode()


def sign(key: bytes, text: bytes) -> str:
    """Sign with HMAC-SHA256 (RFC 2104); lower-case hexadecimal."""
    return hmac.new(key, text, hashlib.sha256).hexdigest()


@dataclass(slots=True, eq=False)
class Listener:
    """One address on which terminals call. Opened by the first of them, closed by the last."""

    host: str
    wanted: int
    tls: tuple[str, str] | None
    port: int = 0
    links: dict[str, HttpLink] = field(default_factory=dict)
    _server: _Server | None = None
    _serving: asyncio.Task[None] | None = None

    @classmethod
    async def join(
        cls, host: str, port: int, tls: tuple[str, str] | None, link: HttpLink
    ) -> Listener:
        """Give the listener of an address, started if it was not; raise LinkError if it can't."""
        # No await between look-up and entry: two terminals may come at once.
        listener = _listeners.get((host, port)) if port else None
        if listener is not None and listener.tls != tls:
            raise LinkError(f"{host}:{port}: another terminal is set to other TLS files")
        if listener is None:
            listener = cls(host, port, tls)
            listener._start()
            if port:
                _listeners[(host, port)] = listener
        listener.links[link.device] = link
        return listener

    async def leave(self, link: HttpLink) -> None:
        """Take a terminal out; close behind the last."""
        if self.links.get(link.device) is link:
            del self.links[link.device]
        if self.links or self._server is None or self._serving is None:
            return
        _listeners.pop((self.host, self.wanted), None)
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=SHUTDOWN_S + 2)
        self._serving.cancel()

    def _start(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.wanted))
            self.port = int(listening.getsockname()[1])
            config = uvicorn.Config(
                self,
                http=_Connection,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=SHUTDOWN_S,
                ssl_certfile=self.tls[0] if self.tls else None,
                ssl_keyfile=self.tls[1] if self.tls else None,
            )
            config.load()
        except OSError as error:
            listening.close()
            raise LinkError(f"{self.host}:{self.wanted}: {error}") from error
        self._server = _Server(config)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve([listening]))

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request; an ASGI application."""
        if scope["type"] != "http":
            return
        device, _, what = scope["path"].removeprefix(PREFIX).partition("/")
        link = self.links.get(device) if scope["path"].startswith(PREFIX) else None
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        nonce = headers.get("x-anlin-nonce", b"").decode("latin-1")[:MAX_NONCE_CHARS]
        is_signed = False
        try:
            if scope["method"] != "POST" or what not in MAX_BODY_BYTES:
                raise _Refusal(404, "no such request")
            body = await _body(headers, receive, MAX_BODY_BYTES[what])
            request = _request(scope, headers, body)
            if link is None:
                # As a wrong key is answered: who may call is nobody's business.
                raise _Refusal(401, "the signature does not hold")
            try:
                link.check(request)
            except _Refusal as refusal:
                # Only who signed gets a signed answer, and may believe the time in it.
                is_signed = "time" in refusal.answer.data
                raise
            is_signed = True
            answer = await link.answer(what, body)
        except _Refusal as refusal:
            answer = refusal.answer
        payload = _json(answer.data)
        out = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        out.append((b"content-length", str(len(payload)).encode()))
        if link is not None and is_signed:
            signature = link.sign_answer(nonce, answer.status, payload)
            out.append((b"x-anlin-signature", signature.encode()))
        if answer.status in {408, 413}:
            # The rest of the body may still be under way; nobody will read it.
            out.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": out})
        await send({"type": "http.response.body", "body": payload})


_listeners: dict[tuple[str, int], Listener] = {}


class _Server(uvicorn.Server):
    """A server inside a program that has its own signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the edge."""
        yield


class _Connection(H11Protocol):
    """A connection that must come to the point: the server itself waits for headers for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEADERS_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


async def _body(headers: Mapping[str, bytes], receive: Any, most: int) -> bytes:
    length = headers.get("content-length", b"0")
    if not length.isdigit() or int(length[:20]) > most:
        raise _Refusal(413, f"at most {most} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refusal(408, "the connection broke")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise _Refusal(413, f"at most {most} bytes")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise _Refusal(408, f"the body took longer than {BODY_TIMEOUT_S} s") from None


def _request(scope: Mapping[str, Any], headers: Mapping[str, bytes], body: bytes) -> _Request:
    def header(name: str, limit: int) -> str:
        value = headers.get(name, b"").decode("latin-1")
        if not 0 < len(value) <= limit or not value.isascii() or not value.isprintable():
            raise _Refusal(401, f"header {name} must be 1 to {limit} printable characters")
        return value

    at = header("x-anlin-time", 20)
    if not at.replace(".", "", 1).isdigit():
        raise _Refusal(401, "header x-anlin-time must be seconds since 1970")
    nonce = header("x-anlin-nonce", MAX_NONCE_CHARS)
    if len(nonce) < 16:
        raise _Refusal(401, "header x-anlin-nonce must be at least 16 characters")
    signature = header("x-anlin-signature", 64)
    return _Request(scope["method"], scope["path"], at, nonce, signature, body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refusal(400, "not JSON") from None
    if not isinstance(data, dict):
        raise _Refusal(400, "not a JSON object")
    return data


def _record(event: Mapping[str, Any], shared: Mapping[str, Any]) -> bytes:
    """Write one event for the driver: its plain fields, without the photograph."""
    plain = (str, int, float, bool)
    fields = {k: v for k, v in event.items() if k != "photo" and isinstance(v, plain)}
    message = _json({**fields, **shared})
    if len(message) > MAX_RECORD_BYTES:
        # Refused by the driver under its number, so that it does not stand in the way for ever.
        return _json({"seq": event["seq"], "kind": "", **shared})
    return message


def _is_seq(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def _key(path: Path) -> bytes:
    """Read a terminal's key, made at the first time; only this user may read it.

    Raises:
        LinkError: others can read it, or it is no key.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
        if path.stat().st_mode & 0o077:
            raise LinkError(f"{path}: others can read this key; chmod 600 and make a new one")
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise LinkError(f"{path}: {type(error).__name__}; no usable key") from error
    if len(key) < KEY_BYTES:
        raise LinkError(f"{path}: a key has at least {KEY_BYTES} bytes")
    return key


def _keep(jpeg: bytes, folder: Path) -> str:
    """Write a picture, named by its content; a full disk costs the picture, not the passage."""
    name = f"{hashlib.sha256(jpeg).hexdigest()}.jpg"
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, part = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(jpeg)
        Path(part).replace(folder / name)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        log.error("picture_not_kept", reason=error.strerror)
        return ""
    return name


def _json(data: Mapping[str, Any]) -> bytes:
    # In ASCII: half a surrogate pair passes on as it came, for the driver to refuse.
    return json.dumps(data, separators=(",", ":")).encode()

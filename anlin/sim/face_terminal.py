"""A face terminal: an HTTP client that keeps to docs/protocols/face_terminal.md.

It holds its own persons and records in a file, as a real one does in its flash. Cut off, it
decides by its own table; when the edge is back it tells what happened, oldest first, and forgets
a record only when the edge has named it. Every answer's signature is checked: nobody else may
say "open".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import structlog
from PIL import Image, UnidentifiedImageError

from anlin.core.codec import DataError, from_data
from anlin.core.schedule import Schedule

log = structlog.get_logger(__name__)

VERSION = "anlin-sim"
LEAST_SIDE_PX = 112
LEAST_LIGHT, MOST_LIGHT = 40, 225
"""Mean grey of a photograph that a terminal still makes a template of."""

VERIFY_TIMEOUT_S = 1.5
"""So long a person waits before the terminal decides by itself."""

POLL_TIMEOUT_S = 8.0
HEARTBEAT_S = 5.0
RETRY_S = 0.5
BATCH = 50
MAX_KEPT = 10_000
LOST_AT_ONCE = 100
REMEMBERED = 256


@dataclass(slots=True)
class Terminal:
    """One terminal. `run` keeps it calling; the other methods are what people do to it."""

    id: str
    key: str
    url: str
    memory: Path
    threshold: float = 0.6
    capacity: int = 1000
    liveness: str = "live"
    clock_off_s: float = 0.0
    """How far its own clock is from the truth until the edge corrects it."""
    is_plugged: bool = True
    """Whether its network cable is in."""
    opened: list[str] = field(default_factory=list)
    """What opened it: ids of releases, or "offline <seq>"."""
    shown: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    said: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    is_held: bool = False
    level: str = "closed"
    refused: list[str] = field(default_factory=list)
    """Rules for which the edge refused a request."""
    _state: dict[str, Any] = field(default_factory=dict)
    _offset_s: float = 0.0
    _known: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _done: dict[str, dict[str, Any]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _client: httpx.AsyncClient | None = None

    def __post_init__(self) -> None:
        if self.memory.exists():
            self._state = json.loads(self.memory.read_text())
        else:
            self.lose_memory()

    async def run(self) -> None:
        """Call the edge until cancelled."""
        async with (
            httpx.AsyncClient(base_url=self.url, verify=False) as client,  # noqa: S501
            asyncio.TaskGroup() as group,
        ):
            self._client = client
            group.create_task(self._beat())
            group.create_task(self._poll())
            group.create_task(self._back_fill())

    # What people do

    async def see(self, person: str, score: float = 0.9) -> dict[str, Any]:
        """Let a face come before the camera; give the record as it ended."""
        known = person if person in self.persons and score >= self.threshold else ""
        return await self._verify(
            kind="face",
            person=known,
            score=score,
            threshold=self.threshold,
            liveness=self.liveness,
        )

    async def present(self, card: str) -> dict[str, Any]:
        """Hold a card to it."""
        return await self._verify(kind="card", card=card)

    def move(self, level: str) -> None:
        """Move the door."""
        self.level = level
        self._record(kind="contact", level=level)

    def press(self) -> None:
        """Press the exit button that is wired to it."""
        self._record(kind="button")

    def tamper(self, is_active: bool) -> None:
        """Take it off the wall, or put it back."""
        self._record(kind="tamper", active=is_active)

    def lose_memory(self) -> None:
        """Reset it to what left the factory: no persons, no records, another store."""
        store = secrets.token_hex(4)
        self._state = {"store": store, "seq": 0, "records": [], "persons": {}}
        self._save()

    @property
    def persons(self) -> dict[str, dict[str, Any]]:
        """Its persons by key."""
        found: dict[str, dict[str, Any]] = self._state["persons"]
        return found

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the edge has not acknowledged yet."""
        found: list[dict[str, Any]] = self._state["records"]
        return found

    # Verification

    async def _verify(self, **fields: Any) -> dict[str, Any]:
        record = self._record(offline=False, **fields)
        if fields["kind"] == "face" and fields["liveness"] == "spoof":
            self.shown.append("请正视屏幕")
        try:
            async with asyncio.timeout(VERIFY_TIMEOUT_S):
                answer = await self._call("verify", self._sent([record])[0])
        except (httpx.HTTPError, TimeoutError, _Refused):
            self._decide(record)
            return record
        if answer["acked"]:
            self._forget(record["seq"])
        self._obey(answer)
        return record

    def _decide(self, record: dict[str, Any]) -> None:
        """Decide by its own table: nobody else can be asked."""
        person = self._find(record)
        code = "ok"
        if record.get("liveness", "live") != "live":
            code = "not_live"
        elif person is None:
            code = "unknown_person"
        elif not _is_valid(person, self._now()):
            code = "not_now"
        elif not person["alone"]:
            code = "needs_more"
        record |= {"offline": True, "opened": code == "ok", "code": code}
        if code == "ok":
            self.opened.append(f"offline {record['seq']}")
        self._save()
        self._tell()

    def _find(self, record: dict[str, Any]) -> dict[str, Any] | None:
        if record["kind"] == "face":
            return self.persons.get(record["person"])
        cards = (each for each in self.persons.values() if each["card"] == record["card"])
        return next(cards, None)

    # Calls

    async def _beat(self) -> None:
        while True:
            state = {
                "store": self._state["store"],
                "persons": len(self.persons),
                "capacity": self.capacity,
                "version": VERSION,
            }
            await self._try("heartbeat", state)
            await asyncio.sleep(HEARTBEAT_S)

    async def _poll(self) -> None:
        while True:
            answer = await self._try("poll", {})
            results = [self._do(task) for task in (answer or {}).get("tasks", ())]
            if results:
                await self._try("results", {"results": results})
            if answer is None:
                await asyncio.sleep(RETRY_S)

    async def _back_fill(self) -> None:
        while True:
            self._changed.clear()
            batch = self._next_batch()
            if not batch:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._changed.wait()
                continue
            body = {"store": self._state["store"], "now_ms": self._now_ms()}
            answer = await self._try("events", {**body, "events": self._sent(batch)})
            if answer is None or answer["acked"] < batch[0]["seq"]:
                await asyncio.sleep(RETRY_S)
            elif body["store"] == self._state["store"]:
                self._forget(answer["acked"], whole=True)

    def _next_batch(self) -> list[dict[str, Any]]:
        """Give the oldest records that follow each other; one that is being asked waits."""
        batch: list[dict[str, Any]] = []
        for record in self.records[:BATCH]:
            is_asked = not record["offline"] and record["kind"] in {"face", "card"}
            fresh = is_asked and time.time() - record["at_s"] < 2 * VERIFY_TIMEOUT_S
            if fresh or (batch and record["seq"] != batch[-1]["seq"] + 1):
                break
            batch.append(record)
        return batch

    def _sent(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        now = time.time()
        shared = {"store": self._state["store"], "now_ms": self._now_ms()}
        return [
            {
                **{name: value for name, value in record.items() if name != "at_s"},
                **shared,
                "age_ms": max(0, round((now - record["at_s"]) * 1000)),
            }
            for record in records
        ]

    async def _try(self, what: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """Call and obey; None where it could not be done."""
        try:
            answer = await self._call(what, data)
        except (httpx.HTTPError, _Refused) as error:
            log.info("call_failed", device=self.id, what=what, error=type(error).__name__)
            return None
        self._obey(answer)
        return answer

    async def _call(self, what: str, data: dict[str, Any]) -> dict[str, Any]:
        if not self.is_plugged or self._client is None:
            raise httpx.ConnectError("the cable is out")
        path = f"/terminal/v1/{self.id}/{what}"
        body = json.dumps(data).encode()
        nonce = secrets.token_hex(16)
        headers = signed(self.key, path, f"{self._now():.3f}", nonce, body)
        answer = await self._client.post(
            path, content=body, headers=headers, timeout=POLL_TIMEOUT_S
        )
        if not self.is_plugged:
            raise httpx.ReadError("the cable was pulled")
        known = answer_signature(self.key, nonce, answer.status_code, answer.content)
        is_ours = hmac.compare_digest(known, answer.headers.get("x-anlin-signature", ""))
        found: dict[str, Any] = answer.json() if is_ours else _UNSIGNED
        if answer.status_code == httpx.codes.OK and is_ours:
            return found
        self.refused.append(found["error"])
        if "time" in found:
            self._offset_s += found["time"] - self._now()
        raise _Refused(found["error"])

    def _obey(self, answer: dict[str, Any]) -> None:
        self.is_held = answer.get("held", self.is_held)
        for order in answer["orders"]:
            if order["expires_ms"] <= 0:
                continue
            match order["do"]:
                case "release" if order["id"] not in self._known:
                    self._known.append(order["id"])
                    self.opened.append(order["id"])
                case "show":
                    self.shown.append(order["text"])
                case "say":
                    self.said.append(order["text"])
        if answer.get("levels"):
            self._record(kind="contact", level=self.level)
        self._tell()

    # Tasks

    def _do(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do a task once; its result is given again if it is asked again."""
        if task["id"] not in self._done:
            match task["do"]:
                case "persons":
                    keys = sorted(key for key in self.persons if key > task["after"])
                    page = [_shown(self.persons[key]) for key in keys[: task["limit"]]]
                    result: dict[str, Any] = {"persons": page}
                case "person":
                    person = self.persons.get(task["key"])
                    result = {"person": None if person is None else _shown(person)}
                case "add":
                    result = self._add(task["person"])
                case "delete":
                    self.persons.pop(task["key"], None)
                    self._save()
                    result = {"accepted": True}
                case _:
                    result = {"accepted": False, "reason": "unknown_task"}
            if len(self._done) >= REMEMBERED:
                del self._done[next(iter(self._done))]
            self._done[task["id"]] = {"id": task["id"], **result}
        return self._done[task["id"]]

    def _add(self, person: dict[str, Any]) -> dict[str, Any]:
        if person["key"] not in self.persons and len(self.persons) >= self.capacity:
            return {"accepted": False, "reason": "full"}
        photo = person.pop("photo", None)
        if not person["card"]:
            fault = photo_fault(base64.b64decode(photo or ""))
            if fault:
                return {"accepted": False, "reason": fault}
        self.persons[person["key"]] = person
        self._save()
        return {"accepted": True}

    # Memory

    def _record(self, **fields: Any) -> dict[str, Any]:
        self._state["seq"] += 1
        record = {"seq": self._state["seq"], "offline": False, "at_s": time.time(), **fields}
        if len(self.records) >= MAX_KEPT:
            # The oldest go, and it says so.
            del self.records[:LOST_AT_ONCE]
            self._state["seq"] += 1
            lost = {"seq": record["seq"], "offline": False, "at_s": record["at_s"]}
            self.records.append({**lost, "kind": "lost", "count": LOST_AT_ONCE})
            record["seq"] = self._state["seq"]
        self.records.append(record)
        self._save()
        self._tell()
        return record

    def _forget(self, seq: int, whole: bool = False) -> None:
        """Forget a record that is durable at the edge, or `whole`: all up to it."""
        kept = [r for r in self.records if (r["seq"] > seq if whole else r["seq"] != seq)]
        self._state["records"] = kept
        self._save()

    def _save(self) -> None:
        part = self.memory.with_suffix(".part")
        part.write_text(json.dumps(self._state))
        part.replace(self.memory)

    def _now(self) -> float:
        return time.time() + self.clock_off_s + self._offset_s

    def _now_ms(self) -> int:
        return max(0, round(self._now() * 1000))

    def _tell(self) -> None:
        self._changed.set()


_UNSIGNED = {"error": "nobody signed the answer"}


class _Refused(Exception):
    """The edge, or somebody else, did not take a request."""


def signed(key: str, path: str, at: str, nonce: str, body: bytes) -> dict[str, str]:
    """Write the headers of a signed request."""
    text = "\n".join(("POST", path, at, nonce, hashlib.sha256(body).hexdigest()))
    return {
        "x-anlin-time": at,
        "x-anlin-nonce": nonce,
        "x-anlin-signature": _hmac(key, text),
        "content-type": "application/json",
    }


def answer_signature(key: str, nonce: str, status: int, body: bytes) -> str:
    """Write what the edge's signature of an answer must be."""
    return _hmac(key, "\n".join(("answer", nonce, str(status), hashlib.sha256(body).hexdigest())))


def photo_fault(jpeg: bytes) -> str:
    """Say why a terminal would not make a template of a photograph, or ""."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            grey = np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return "not_a_picture"
    if min(grey.shape) < LEAST_SIDE_PX:
        return "photo_too_small"
    light = float(grey.mean())
    if light < LEAST_LIGHT:
        return "photo_too_dark"
    return "photo_too_bright" if light > MOST_LIGHT else ""


def _hmac(key: str, text: str) -> str:
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def _shown(person: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in person.items() if name != "photo"}


def _is_valid(person: dict[str, Any], now_s: float) -> bool:
    """Whether a person may pass now, by what the terminal was told."""
    if now_s < person["valid_from"] or 0 < person["valid_until"] <= now_s:
        return False
    at = datetime.fromtimestamp(now_s, UTC)
    try:
        schedules = [from_data(Schedule, json.loads(text)) for text in person["schedules"]]
    except (DataError, ValueError):
        return False
    return not schedules or any(schedule.is_active(at) for schedule in schedules)

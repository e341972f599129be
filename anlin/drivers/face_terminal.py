"""Face terminals that call an HTTP server (docs/protocols/face_terminal.md).

The shape that terminals sold in China share: heartbeat, verification, tasks for the table of
persons, back-fill of what happened meanwhile. The link (`anlin.edge.links.http`) keeps the
requests apart and the signatures; this codec gives records their meaning and keeps the table.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from anlin.core.access import Evidence, Liveness
from anlin.core.board import Row, Table
from anlin.core.codec import canonical_json, to_data
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Command,
    Contact,
    ContactLevel,
    Decided,
    Fault,
    HoldTable,
    Online,
    Photo,
    PhotoWanted,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Show,
    Tampered,
)
from anlin.core.entities import Device, Method
from anlin.drivers._checks import (
    Wrong,
    flag,
    flag_setting,
    host_and_port,
    json_bytes,
    json_object,
    one_of,
    only_known,
    text,
    text_or_empty,
    whole,
    whole_setting,
)
from anlin.drivers._table import TableKeeper
from anlin.drivers.base import AskingLink, Emit, Link, LinkError, driver

MAX_PAYLOAD_BYTES = 8192
MAX_ANSWER_BYTES = 400_000
MAX_ID_CHARS = 64
MAX_CODE_CHARS = 40
MAX_DETAIL_CHARS = 200
MAX_PICTURE_CHARS = 100
MAX_AGE_MS = 30 * 24 * 3600 * 1000
MAX_PERSONS = 100_000
DEFAULT_CAPACITY = 10_000
MAX_PHOTO_BYTES = 300_000
"""Terminals scale a photograph down anyway; a bigger one is refused by most."""

PAGE = 200
PHOTO_WAIT_S = 2.0
"""The hub answers within a fraction of it. While it can't be reached other persons go in, and
above all out; the photograph is taken up when it comes."""

NO_PHOTO = "none"
"""Marks a face whose photograph is known not to be given; no digest reads like this."""

WAITING = "its photograph did not come yet"

_FACES = frozenset({Method.FACE, Method.TERMINAL_FACE})
_CARDS = frozenset({Method.CARD, Method.SECURE_CARD})
_LIVENESS = {
    "live": Liveness.LIVE,
    "spoof": Liveness.SPOOF,
    "unknown": Liveness.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A terminal's settings, checked."""

    point: str
    portal: str
    drives_lock: bool
    button_point: str
    host: str
    port: int
    capacity: int
    tls_cert: str
    tls_key: str


@dataclass(frozen=True, slots=True)
class Person:
    """One row as the terminal holds it. `key` is the credential; `card` is empty for a face.

    `photo` marks which photograph it has, where we know; times are seconds since 1970, 0 is
    none; `schedules` are canonical JSON, of which one must hold, none is always. Who is not to
    pass `alone` (a second factor, a second person) is known to it, and not let in by it.
    """

    key: str
    name: str
    card: str
    valid_from: int
    valid_until: int
    schedules: tuple[str, ...]
    alone: bool = True
    photo: str = ""


@driver("face_terminal")
class FaceTerminal:
    """One terminal at one access point."""

    LINK = "http"
    TABLE = _FACES | _CARDS

    def __init__(self, device: Device) -> None:
        self.id = device.id
        self._settings = terminal_settings(device.id, device.settings)
        self._link: AskingLink | None = None
        self._emit: Emit = lambda _: None
        self._photos: dict[str, asyncio.Future[bytes | None]] = {}
        self._marks: dict[str, str] = {}
        self._table: Table | None = None
        self._heartbeat: tuple[str, int] | None = None
        self._keeper: TableKeeper[Person] = TableKeeper(self.id, self)

    def serves(self) -> Mapping[str, frozenset[str]]:
        points = {self._settings.point, self._settings.button_point}
        return {
            "portals": frozenset({self._settings.portal} - {""}),
            "points": frozenset(points - {""}),
        }

    async def run(self, link: Link, emit: Emit) -> None:
        self._link, self._emit = cast(AskingLink, link), emit
        self._heartbeat = None
        self._keeper.forget()
        keeping = asyncio.create_task(self._keeper.run(emit))
        try:
            async for address, payload in link:
                emit(self.decode(address, payload))
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def send(self, link: Link, command: Command) -> bool:
        match command:
            case HoldTable() if command.device == self.id:
                self._want(command.table)
                return True
            case Photo() if command.device == self.id:
                self._take_photo(command.credential, command.jpeg)
                return True
        messages = self.encode(command)
        for address, payload in messages:
            await link.send(address, payload)
        return bool(messages)

    def decode(self, address: str, payload: bytes) -> Report:
        """Read one message of the link; what breaks the profile comes back as `Refused`."""
        origin = None
        try:
            data = json_object(payload, MAX_PAYLOAD_BYTES)
            match address:
                case "state":
                    is_online = flag(data, "online")
                    return Online(self.id, is_online, text(data, "detail", MAX_DETAIL_CHARS))
                case "denied":
                    return Refused(self.id, text(data, "rule", MAX_DETAIL_CHARS))
                case "heartbeat":
                    return self._alive(data)
                case "record":
                    store = text(data, "store", MAX_ID_CHARS)
                    seq = whole(data, "seq", 1, 2**53)
                    origin = f"{self.id}/{store}-{seq}"
                    return _RECORDS[one_of(data, "kind", _RECORDS)](self, data, origin)
                case _:
                    raise Wrong("not a message of the link")
        except Wrong as error:
            return Refused(self.id, f"{address[:40]}: {error}", f"{len(payload)} bytes", origin)

    def encode(self, command: Command) -> list[tuple[str, bytes]]:
        """Write a command as (address, payload) messages; none where it is not for us."""
        settings = self._settings
        locks = settings.drives_lock
        match command:
            case Release() if locks and command.portal == settings.portal:
                if command.seconds is None:
                    return [("lock", json_bytes({"held": True}))]
                ms = round(command.seconds * 1000)
                return [("order", json_bytes({"do": "release", "id": command.id, "ms": ms}))]
            case Secure() if locks and command.portal == settings.portal:
                return [("lock", json_bytes({"held": False}))]
            case Show() if command.point == settings.point:
                show = {
                    "do": "show",
                    "code": command.code,
                    "text": command.text,
                    "granted": command.is_granted,
                    "ms": round(command.seconds * 1000),
                }
                messages = [("order", json_bytes(show))]
                if command.voice:
                    messages.append(("order", json_bytes({"do": "say", "text": command.voice})))
                return messages
            case Acknowledge() if command.device == self.id:
                return [("ack", json_bytes({"id": command.origin.removeprefix(f"{self.id}/")}))]
            case AskLevels() if command.device == self.id:
                return [("levels", b"{}")]
            case _:
                return []

    # Records

    def _alive(self, data: Mapping[str, Any]) -> Report:
        """Take a heartbeat with news; a terminal with another memory is read from the start."""
        store = text(data, "store", MAX_ID_CHARS)
        persons = whole(data, "persons", 0, MAX_PERSONS)
        before, self._heartbeat = self._heartbeat, (store, persons)
        held = self._keeper.held
        is_other = before is not None and before[0] != store
        if is_other or (self._keeper.is_proven and held is not None and len(held) != persons):
            self._keeper.forget()
        return Online(self.id, is_online=True, detail="heartbeat")

    def _face(self, data: Mapping[str, Any], origin: str) -> Report:
        value = text_or_empty(data, "person", MAX_ID_CHARS)
        liveness = one_of({"liveness": "unknown", **data}, "liveness", _LIVENESS)
        evidence = Evidence(
            score=_share(data, "score"),
            threshold=_share(data, "threshold"),
            liveness=_LIVENESS[liveness],
            picture=text_or_empty(data, "picture", MAX_PICTURE_CHARS) or None,
        )
        return self._shown(data, origin, Method.TERMINAL_FACE, value, evidence)

    def _card(self, data: Mapping[str, Any], origin: str) -> Report:
        value = text(data, "card", MAX_ID_CHARS)
        return self._shown(data, origin, Method.CARD, value, Evidence())

    def _shown(
        self,
        data: Mapping[str, Any],
        origin: str,
        method: Method,
        value: str,
        evidence: Evidence,
    ) -> Report:
        point, age_s = self._settings.point, _age_s(data)
        if not flag(data, "offline"):
            return Read(point, method, value, origin, age_s, evidence)
        # Cut off, it decided by its own table and has acted on it.
        is_granted, code = flag(data, "opened"), text(data, "code", MAX_CODE_CHARS)
        return Decided(point, method, value, is_granted, code, origin, age_s, evidence)

    def _contact(self, data: Mapping[str, Any], origin: str) -> Report:
        level = ContactLevel(one_of(data, "level", ContactLevel))
        if not self._settings.portal:
            raise Wrong("a contact needs the setting 'portal'")
        return Contact(self._settings.portal, level, origin)

    def _button(self, data: Mapping[str, Any], origin: str) -> Report:
        if not self._settings.button_point:
            raise Wrong("a button needs the setting 'button_point'")
        point = self._settings.button_point
        return Read(point, Method.EXIT_BUTTON, "button", origin, _age_s(data))

    def _tamper(self, data: Mapping[str, Any], origin: str) -> Report:
        return Tampered(self.id, flag(data, "active"), origin)

    def _lost(self, data: Mapping[str, Any], origin: str) -> Report:
        whole(data, "count", 1, 2**53)
        return Fault(self.id, "records_lost", is_active=True, origin=origin)

    # The table of persons

    def _want(self, table: Table) -> None:
        self._table = table
        rows, refused = [], []
        for row in table.rows:
            person = self._person(row, table)
            if isinstance(person, Person):
                rows.append(person)
            elif person:
                refused.append((row.credential, person))
        self._keeper.want(table.revision, rows, refused)

    def _person(self, row: Row, table: Table) -> Person | str:
        """Write a row as a person, or the rule why it can't be; "" where it is not for here."""
        if self._settings.point not in row.access:
            return ""
        if row.method not in _FACES | _CARDS:
            return f"a terminal holds faces and cards, no {row.method}"
        names = row.access[self._settings.point]
        return Person(
            row.credential,
            row.label,
            row.key if row.method in _CARDS else "",
            # Rounded so that a terminal never honours it longer than we would.
            _seconds(row.valid_from, up=True),
            _seconds(row.valid_until),
            tuple(sorted(_schedule(table, name) for name in names)),
            self._settings.point not in row.not_alone,
            self._marks.get(row.credential, ""),
        )

    def _take_photo(self, credential: str, jpeg: bytes | None) -> None:
        waiting = self._photos.get(credential)
        if waiting is not None and not waiting.done():
            waiting.set_result(jpeg)
        else:
            # It came late, or the person was enrolled anew and the terminal has an older face,
            # or has one that may be given to it no more.
            self._want_photo(credential, _mark(jpeg) if jpeg is not None else NO_PHOTO)

    def _want_photo(self, credential: str, mark: str) -> None:
        self._marks[credential] = mark
        if self._table is not None:
            self._want(self._table)

    @property
    def capacity(self) -> int:
        """How many persons the terminal has room for."""
        return self._settings.capacity

    @property
    def reads_one(self) -> bool:
        """A person can be asked for by itself."""
        return True

    async def read_all(self) -> Mapping[str, Person]:
        """Read every person, page by page."""
        found: dict[str, Person] = {}
        after = ""
        while True:
            answer = await self._ask("persons", {"after": after, "limit": PAGE})
            persons = answer.get("persons")
            if not isinstance(persons, list) or len(persons) > PAGE:
                raise LinkError(f"terminal {self.id}: answered a query for persons strangely")
            page = [self._read_back(person) for person in persons]
            found.update((person.key, person) for person in page)
            last = max((person.key for person in page), default=after)
            if len(page) < PAGE or last <= after or len(found) > MAX_PERSONS:
                return found
            after = last

    async def read(self, key: str) -> Person | None:
        """Read one person; None where the terminal has none by that key."""
        person = (await self._ask("person", {"key": key})).get("person")
        return None if person is None else self._read_back(person)

    async def put(self, row: Person) -> str:
        """Add or replace a person; give why the terminal will not take it, else ""."""
        task = {name: value for name, value in to_data(row).items() if name != "photo"}
        if not row.card:
            try:
                jpeg = await self._photo(row.key)
            except TimeoutError:
                return WAITING
            if jpeg is None:
                return "no photograph may be given to it"
            if len(jpeg) > MAX_PHOTO_BYTES:
                return f"the photograph has more than {MAX_PHOTO_BYTES} bytes"
            mark = _mark(jpeg)
            task |= {"photo": base64.b64encode(jpeg).decode(), "photo_mark": mark}
            if row.photo and row.photo != mark:
                # Replaced once more while we asked for it.
                self._want_photo(row.key, mark)
        answer = await self._ask("add", {"person": task})
        if answer.get("accepted") is True:
            return ""
        reason = answer.get("reason")
        if not isinstance(reason, str) or not reason.isprintable() or not reason:
            raise LinkError(f"terminal {self.id}: neither took a person nor said why")
        return reason[:MAX_CODE_CHARS]

    async def delete(self, key: str) -> None:
        """Delete a person."""
        await self._ask("delete", {"key": key})

    async def _photo(self, credential: str) -> bytes | None:
        waiting = asyncio.get_running_loop().create_future()
        self._photos[credential] = waiting
        try:
            self._emit(PhotoWanted(self.id, credential))
            async with asyncio.timeout(PHOTO_WAIT_S):
                return cast("bytes | None", await waiting)
        finally:
            self._photos.pop(credential, None)

    async def _ask(self, address: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._link is None:
            raise LinkError(f"terminal {self.id}: is not connected")
        payload = await self._link.ask(address, json_bytes(data))
        try:
            return json_object(payload, MAX_ANSWER_BYTES)
        except Wrong as error:
            raise LinkError(f"terminal {self.id}: {address}: {error}") from error

    def _read_back(self, data: object) -> Person:
        """Read a person as the terminal says it holds it.

        A photograph's mark counts only where we know which one it should have.
        """
        try:
            if not isinstance(data, dict):
                raise Wrong("a person must be an object")
            key = text(data, "key", MAX_ID_CHARS)
            schedules = data.get("schedules")
            if not isinstance(schedules, list) or not all(isinstance(s, str) for s in schedules):
                raise Wrong("schedules must be a list of texts")
            return Person(
                key,
                text_or_empty(data, "name", MAX_ID_CHARS),
                text_or_empty(data, "card", MAX_ID_CHARS),
                whole(data, "valid_from", 0, 2**40),
                whole(data, "valid_until", 0, 2**40),
                tuple(sorted(schedules)),
                flag(data, "alone"),
                str(data.get("photo_mark", ""))[:64] if key in self._marks else "",
            )
        except Wrong as error:
            raise LinkError(f"terminal {self.id}: a person it holds: {error}") from error


_RECORDS: Mapping[str, Callable[[FaceTerminal, Mapping[str, Any], str], Report]] = {
    "face": FaceTerminal._face,
    "card": FaceTerminal._card,
    "contact": FaceTerminal._contact,
    "button": FaceTerminal._button,
    "tamper": FaceTerminal._tamper,
    "lost": FaceTerminal._lost,
}

_SETTINGS = {
    "point",
    "portal",
    "drives_lock",
    "button_point",
    "listen",
    "capacity",
    "tls_cert",
    "tls_key",
    "media",
}


def terminal_settings(device: str, settings: Mapping[str, Any]) -> Settings:
    """Check a terminal's settings.

    Raises:
        ValueError: names the device and the setting that is wrong.
    """
    only_known(device, settings, _SETTINGS)
    if not device.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"device {device}: its id can't be part of an address")
    names = {}
    for name in ("point", "portal", "button_point", "tls_cert", "tls_key"):
        value = settings.get(name, "")
        if not isinstance(value, str) or len(value) > 200:
            raise ValueError(f"device {device}: setting {name!r} must be a text")
        names[name] = value
    if not names["point"]:
        raise ValueError(f"device {device}: setting 'point' must name an access point")
    drives_lock = flag_setting(device, settings.get("drives_lock", False), "'drives_lock'")
    if drives_lock and not names["portal"]:
        raise ValueError(f"device {device}: setting 'drives_lock' needs 'portal'")
    if bool(names["tls_cert"]) != bool(names["tls_key"]):
        raise ValueError(f"device {device}: settings 'tls_cert' and 'tls_key' go together")
    # Port 0 is whichever is free.
    host, port = host_and_port(device, settings.get("listen"), "listen", least_port=0)
    capacity = settings.get("capacity", DEFAULT_CAPACITY)
    return Settings(
        names["point"],
        names["portal"],
        drives_lock,
        names["button_point"],
        host,
        port,
        whole_setting(device, capacity, "'capacity'", 1, MAX_PERSONS),
        names["tls_cert"],
        names["tls_key"],
    )


def _schedule(table: Table, name: str) -> str:
    return canonical_json(to_data(table.schedules[name])).decode()


def _seconds(at: datetime | None, up: bool = False) -> int:
    if at is None:
        return 0
    whole = int(at.astimezone(UTC).timestamp())
    return whole + 1 if up and at.microsecond else whole


def _mark(jpeg: bytes) -> str:
    return hashlib.sha256(jpeg).hexdigest()[:16]


def _share(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise Wrong(f"{name} must be a number from 0 to 1")
    return float(value)


def _age_s(data: Mapping[str, Any]) -> float:
    """How long ago it happened: by the terminal's counter, or by two readings of its clock."""
    if "age_ms" in data:
        return whole(data, "age_ms", 0, MAX_AGE_MS) / 1000
    now, at = whole(data, "now_ms", 0, 2**53), whole(data, "at_ms", 0, 2**53)
    if not 0 <= now - at <= MAX_AGE_MS:
        raise Wrong("at_ms and now_ms are not within 30 days of each other")
    return (now - at) / 1000

"""The live process as an ASGI application: who may listen, and the open response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils.translation import get_supported_language_variant

from anlin.core.event import EventKind
from anlin.hub.access.models import AccessPoint
from anlin.hub.devices import services as devices
from anlin.hub.live.pulse import Pulse, in_database
from anlin.hub.live.screens import screen_words
from anlin.hub.live.streams import console_rows, node_messages
from anlin.hub.people.models import Role, StaffProfile
from anlin.hub.permissions import staff_of
from anlin.hub.state.screen import COOKIE, point_of
from anlin.hub.sync.views import bearer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_STREAMS = 2000
SEND_WAIT_S = 20.0
"""A listener that does not read for so long is dropped; it resumes from its position."""
CHECK_AGAIN_S = 30.0
"""How long a console may still see rows after its log-in ended."""
_MAX_POSITION = 2**63 - 1

CONSOLE_ROLES = frozenset({Role.GUARD, Role.MANAGER, Role.AUDITOR})
SCREEN_ROLES = frozenset({Role.GUARD, Role.MANAGER, Role.INSTALLER})


class _Refused(Exception):
    """A request that is answered with a rule."""

    def __init__(self, status: int, rule: str) -> None:
        super().__init__(rule)
        self.status = status


class _Application:
    """Routes three addresses; counts the streams that are open."""

    def __init__(self) -> None:
        self._pulse: Pulse | None = None
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(scope)
        try:
            if self._open >= MAX_STREAMS:
                raise _Refused(503, f"streams: {MAX_STREAMS} are open, try later")
            if request.method != "GET":
                raise _Refused(405, f"{request.path}: only GET")
            if request.path == "/live/events":
                lines = await self._console(request)
                kind = "text/event-stream"
            elif request.path == "/live/screen":
                lines = await self._screen(request)
                kind = "text/event-stream"
            elif request.path == "/sync/v1/down":
                lines = await self._down(request)
                kind = "application/x-ndjson"
            else:
                raise _Refused(404, f"{request.path[:80]}: not an address of the live process")
        except _Refused as refused:
            await _answer(send, refused.status, str(refused))
            return
        self._open += 1
        try:
            await _stream(receive, send, kind, lines)
        finally:
            self._open -= 1

    @property
    def pulse(self) -> Pulse:
        """The one look-out; made inside the event loop that it belongs to."""
        if self._pulse is None:
            self._pulse = Pulse()
        return self._pulse

    async def _console(self, request: _Request) -> AsyncGenerator[bytes, None]:
        """Open the rows of the community of whoever is signed in."""
        cookies = request.cookies
        key = cookies.get(settings.SESSION_COOKIE_NAME, "")
        staff = await in_database(_staff_by_session, key)
        if staff is None:
            raise _Refused(401, "/live/events: sign in first")
        if staff.role not in CONSOLE_ROLES:
            raise _Refused(403, f"/live/events: the role {staff.role} may not listen")
        resume = request.headers.get("last-event-id") or request.query.get("after")
        after = None if not resume else _number("after", resume)
        kinds = [kind for kind in request.query.get("kinds", "").split(",") if kind]
        for kind in kinds:
            if kind not in set(EventKind):
                raise _Refused(400, f"kinds: {kind[:40]!r} is no kind of event")
        rows = console_rows(
            self.pulse, staff.community_id, staff.role, after, kinds, _language(cookies)
        )
        return _while_signed_in(rows, key, staff)

    async def _screen(self, request: _Request) -> AsyncGenerator[bytes, None]:
        """Open the words of one access point for its screen, or for staff who look at it."""
        cookies, point_id = request.cookies, request.query.get("point", "")[:24]
        key = cookies.get(COOKIE, "")[:80]
        session = cookies.get(settings.SESSION_COOKIE_NAME, "")
        point = await in_database(_screen_point, key, session, point_id)
        if point is None:
            raise _Refused(401, "/live/screen: needs the key of this point's screen")
        resume = request.headers.get("last-event-id") or request.query.get("after")
        after = None if not resume else _number("after", resume)
        language = request.query.get("language", "")[:20] or _language(cookies)
        words = screen_words(self.pulse, point, after, language)
        return _while_allowed(words, lambda: _screen_point(key, session, point_id) is not None)

    async def _down(self, request: _Request) -> AsyncGenerator[bytes, None]:
        """Open the down-stream of the node whose token is shown."""
        token = bearer(request.headers.get("authorization", ""))
        node = await in_database(devices.node_of, token) if token else None
        if node is None:
            raise _Refused(401, "token: not of an enrolled node")
        after = _number("after", request.query.get("after", "0"))
        number = _number("command", request.query.get("command", "0"))
        return node_messages(self.pulse, node, after, number)


class _Request:
    """What the addresses need of a request."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        parsed = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
        self.query = {name: values[-1] for name, values in parsed.items()}

    @property
    def cookies(self) -> dict[str, str]:
        try:
            jar = SimpleCookie(self.headers.get("cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}


def _staff_by_session(key: str) -> StaffProfile | None:
    """Find who is signed in, as the pages do: session, user, password unchanged."""
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return staff_of(get_user(request))


async def _while_signed_in(
    rows: AsyncGenerator[bytes, None], key: str, staff: StaffProfile
) -> AsyncGenerator[bytes, None]:
    """Pass rows on until the log-in behind them ends, or its role or community changes."""

    def is_same() -> bool:
        now = _staff_by_session(key)
        return now is not None and (now.role, now.community_id) == (staff.role, staff.community_id)

    async with aclosing(_while_allowed(rows, is_same)) as allowed:
        async for row in allowed:
            yield row


async def _while_allowed(
    rows: AsyncGenerator[bytes, None], is_allowed: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """Pass rows on, asking again every `CHECK_AGAIN_S` whether that is still allowed."""
    clock = asyncio.get_running_loop().time
    check_at = clock() + CHECK_AGAIN_S
    async with aclosing(rows):
        async for row in rows:
            if clock() >= check_at:
                if not await in_database(is_allowed):
                    return
                check_at = clock() + CHECK_AGAIN_S
            yield row


def _screen_point(key: str, session: str, point_id: str) -> AccessPoint | None:
    """Find the point if the key is for its screen, or somebody of its community is signed in."""
    point = point_of(key)
    if point is not None and point.pk == point_id:
        return point
    staff = _staff_by_session(session)
    if staff is None or staff.role not in SCREEN_ROLES:
        return None
    return (
        AccessPoint.objects.select_related("portal")
        .filter(pk=point_id, portal__community=staff.community_id)
        .first()
    )


def _language(cookies: Mapping[str, str]) -> str:
    try:
        return get_supported_language_variant(cookies[settings.LANGUAGE_COOKIE_NAME])
    except (KeyError, LookupError):
        return str(settings.LANGUAGE_CODE)


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _MAX_POSITION:
        raise _Refused(400, f"{name}: {text[:40]!r} is not a position")
    return int(text)


async def _answer(send: Send, status: int, rule: str) -> None:
    body = json.dumps({"error": rule}, ensure_ascii=False).encode()
    headers = [*_HEADERS, (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(
    receive: Receive, send: Send, content_type: str, lines: AsyncGenerator[bytes, None]
) -> None:
    """Send lines as they come, until they end or the listener is gone."""
    headers = [*_HEADERS, (b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    pumping = asyncio.create_task(_pump(send, lines))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pumping, leaving):
            task.cancel()
        ended, _ = await asyncio.gather(pumping, leaving, return_exceptions=True)
    if isinstance(ended, Exception) and not isinstance(ended, TimeoutError | OSError):
        raise ended


async def _pump(send: Send, lines: AsyncGenerator[bytes, None]) -> None:
    async with aclosing(lines):
        async for line in lines:
            async with asyncio.timeout(SEND_WAIT_S):
                await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", settings.HUB_URL.encode()),
    (b"access-control-allow-credentials", b"true"),
    (b"vary", b"origin"),
)

application = _Application()

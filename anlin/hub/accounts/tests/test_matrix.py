"""Every route there is, tried as everybody there is, against what it declares.

A route that declares nothing fails; a new one is tried without anybody listing it. Records that a
route names are left out on purpose: who may not come in must be sent away before they are sought.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from anlin.hub.accounts.services import resident_login
from anlin.hub.api import api
from anlin.hub.console.tests.world import BY, World
from anlin.hub.live.app import CONSOLE_ROLES, SCREEN_ROLES, _staff_by_session
from anlin.hub.people import services as people
from anlin.hub.people.models import Role

pytestmark = pytest.mark.django_db(databases=["default", "events"])

STAFF = {
    "guo": Role.GUARD,
    "meng": Role.MANAGER,
    "committee": Role.COMMITTEE,
    "installer": Role.INSTALLER,
    "auditor": Role.AUDITOR,
    "liaison": Role.LIAISON,
}
RESIDENTS = ("lin", "wang")
GONE = ("qian", "moved")
"""A lease that is over, and one who moved out and still holds a browser that was signed in."""
CAST = ("nobody", "zhao", *RESIDENTS, *GONE, *STAFF)
"""Zhao, the visitor, has the link to a pass and no log-in: to every other route, nobody."""

LEAVES_ALONE = {"console:logout", "accounts:home_logout"}
"""They end the session that the next try would be made with."""

_SEEN_AS = {"int": "999999999", "slug": "none", "uuid": "00000000-0000-0000-0000-000000000000"}
_PART = re.compile(r"<(?:(\w+):)?\w+>")


@dataclass(frozen=True)
class Route:
    """One address and what it declares."""

    address: str
    name: str
    methods: tuple[str, ...]
    roles: frozenset[str] | None = None
    for_residents: bool = False
    public_because: str = ""


def _patterns(
    patterns: list[URLPattern | URLResolver], prefix: str = "", space: str = ""
) -> Iterator[tuple[str, str, Any]]:
    for pattern in patterns:
        here = str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _patterns(pattern.url_patterns, prefix + here, inner)
        else:
            yield prefix + here, f"{space}{pattern.name or here}", pattern.callback


def _address(route: str) -> str:
    """Fill the parts of a route with what no record is called."""
    if "^" in route:
        route = route.replace("[0-9a-f]{64}", "0" * 64).replace("\\.", ".").strip("^$")
        route = re.sub(r"\(\?P<\w+>([\w-]+)(?:\|[^)]*)?\)", r"\1", route)
        return "/" + re.sub(r"\(\?P<\w+>[^)]*\)", "none_here", route)
    filled = _PART.sub(lambda part: _SEEN_AS.get(part[1] or "str", "none_here"), route)
    return "/" + re.sub(r"[{](\w+)[}]", "none_here", filled)


def _is_of_the_api(view: Any) -> bool:
    inner = getattr(view, "func", view)
    return str(getattr(inner, "__module__", "")).startswith("ninja")


def pages() -> list[Route]:
    return [
        Route(
            _address(route),
            name,
            ("GET", "POST"),
            getattr(view, "allowed_roles", None),
            bool(getattr(view, "for_residents", False)),
            str(getattr(view, "public_because", "")),
        )
        for route, name, view in _patterns(get_resolver().url_patterns)
        if not _is_of_the_api(view)
    ]


def roles_of(callback: object) -> frozenset[Role]:
    found: object = getattr(callback, "roles", None)
    assert isinstance(found, frozenset)
    return found


def operations() -> list[Route]:
    found = []
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                asked = {role for one in operation.auth_callbacks for role in roles_of(one)}
                address = _address(f"api/v1/{prefix.strip('/')}/{path.strip('/')}")
                address = re.sub(r"//+", "/", address)
                name = operation.view_func.__name__
                found.append(Route(address, name, tuple(operation.methods), frozenset(asked)))
    return found


@pytest.fixture
def browsers(world: World) -> dict[str, Client]:
    """Sign everybody in who can be; those who left were signed in before they did."""
    moved = people.register_holder(
        world.community, "钱二", BY, unit=world.people["wang"].residencies.get().unit
    )
    holders = {**world.people, "moved": moved}
    made = {}
    for name in CAST:
        client = Client(headers={"accept-language": "en"}, raise_request_exception=False)
        if name in STAFF:
            client.force_login(world.staff[name].user)
        elif name in holders:
            client.force_login(resident_login(holders[name], BY).user)
        made[name] = client
    people.move_out(moved, BY)
    return made


def _try(client: Client, method: str, address: str) -> HttpResponse:
    """Ask, and undo what it did: each try finds the same community."""
    before = transaction.savepoint()
    try:
        return client.generic(  # type: ignore[return-value]
            method, address, "{}" if address.startswith("/api/") else ""
        )
    finally:
        transaction.savepoint_rollback(before)


def _verdict(answer: HttpResponse) -> str:
    """Say in one word how somebody was received."""
    to = answer.headers.get("Location", "")
    text = "" if getattr(answer, "streaming", False) else answer.content.decode("utf-8", "replace")
    if to.startswith("/home/login?next="):
        return "log in as a resident"
    if to.startswith("/login?next="):
        return "log in"
    if answer.status_code == 401:
        return "log in"
    if answer.status_code == 403 and ("may not open this page" in text or "may not use" in text):
        return "not your role"
    if answer.status_code == 403 and "No home here now" in text:
        return "ended"
    if answer.status_code >= 500:
        return f"broken ({answer.status_code})"
    return "received"


def _expected(route: Route, who: str) -> str:
    if route.roles is not None:
        if who not in STAFF:
            return "log in"
        return "received" if STAFF[who] in route.roles else "not your role"
    if route.for_residents:
        if who in RESIDENTS:
            return "received"
        # Who moved out has no session any more; a lease that ended leaves one that opens nothing.
        return "ended" if who == "qian" else "log in as a resident"
    return "received"


def test_every_route_declares_exactly_one_thing() -> None:
    ours = [route for route in pages() if not route.name.startswith("set_language")]
    assert len(ours) > 150
    bare = [
        route.name
        for route in ours
        if [route.roles is not None, route.for_residents, bool(route.public_because)].count(True)
        != 1
    ]
    assert bare == []
    assert len(operations()) > 15
    assert all(route.roles for route in operations())


@pytest.mark.parametrize("who", CAST)
def test_each_route_receives_whom_it_declares_and_sends_the_others_away(
    browsers: dict[str, Client], who: str
) -> None:
    wrong = []
    for route in [*pages(), *operations()]:
        if route.name in LEAVES_ALONE or route.public_because:
            continue
        received = [
            verdict
            for method in route.methods
            if (answer := _try(browsers[who], method, route.address)).status_code != 405
            for verdict in [_verdict(answer)]
        ]
        expected = _expected(route, who)
        if not received or any(verdict != expected for verdict in received):
            wrong.append((route.name, route.address, expected, received))
    assert not wrong, "\n".join(str(one) for one in wrong)


def test_what_is_public_breaks_for_nobody_and_nodes_need_their_token(
    browsers: dict[str, Client],
) -> None:
    wrong = []
    for route in pages():
        if not route.public_because or route.name in LEAVES_ALONE:
            continue
        for who in ("nobody", "lin", "guo"):
            for method in route.methods:
                answer = _try(browsers[who], method, route.address)
                is_node_s = route.address.startswith("/sync/")
                if answer.status_code >= 500 or (is_node_s and answer.status_code < 400):
                    wrong.append((route.name, who, method, answer.status_code))
    assert wrong == []


def test_live_rows_are_for_the_roles_that_it_names_and_for_no_resident(
    browsers: dict[str, Client], world: World
) -> None:
    for who, client in browsers.items():
        cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
        staff = _staff_by_session(cookie.value if cookie is not None else "")
        assert (None if staff is None else staff.role) == STAFF.get(who), who
    assert {Role.GUARD, Role.MANAGER, Role.AUDITOR} == CONSOLE_ROLES
    assert {Role.GUARD, Role.MANAGER, Role.INSTALLER} == SCREEN_ROLES

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from ninja.security.base import AuthBase

from anlin.hub.api import api
from anlin.hub.conftest import Cast
from anlin.hub.people.models import Role

NINJA = "ninja."
"""Its operations ask `auth`, which is tested below; beside them it shows the description."""

OURS_ALONE = {"django.views.i18n.set_language", "django.views.i18n.JavaScriptCatalog"}
"""Django's own views that only choose or list words."""


def routes(
    patterns: list[URLPattern | URLResolver], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def name_of(view: object) -> str:
    inner = getattr(view, "func", getattr(view, "view_class", view))
    return f"{inner.__module__}.{getattr(inner, '__qualname__', '')}"


def test_every_route_declares_who_may_use_it() -> None:
    undeclared = [
        route
        for route, view in routes(get_resolver().url_patterns)
        if not hasattr(view, "allowed_roles")
        and not hasattr(view, "for_residents")
        and not hasattr(view, "public_because")
        and not name_of(view).startswith(NINJA)
        and name_of(view) not in OURS_ALONE
    ]
    assert undeclared == []


def test_every_operation_of_the_api_asks_for_a_role() -> None:
    operations = [
        (path, operation)
        for _, router in api._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
    ]
    assert len(operations) > 15
    for path, operation in operations:
        callbacks = operation.auth_callbacks
        assert callbacks, path
        assert all(
            isinstance(auth, AuthBase) and getattr(auth, "roles", None) for auth in callbacks
        )


@pytest.mark.django_db(databases=["default", "events"])
def test_nobody_and_the_wrong_role_are_sent_away(cast: Cast, client: Client) -> None:
    answer = client.get("/api/v1/holders")
    assert answer.status_code == 401
    assert "sign in" in answer.json()["error"]
    client.force_login(cast.guo.user)
    answer = client.post(f"/api/v1/holders/{cast.lin.pk}/suspend", content_type="application/json")
    assert answer.status_code == 403
    assert Role.GUARD in answer.json()["error"]
    cast.lin.refresh_from_db()
    assert cast.lin.status == "active"


@pytest.mark.django_db(databases=["default", "events"])
def test_a_user_without_a_profile_or_switched_off_is_nobody(cast: Cast, client: Client) -> None:
    client.force_login(cast.meng.user)
    assert client.get("/api/v1/nodes").status_code == 200
    cast.meng.delete()
    assert client.get("/api/v1/nodes").status_code == 401

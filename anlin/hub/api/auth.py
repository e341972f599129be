"""Who may call: a program by token, or a page's own script by session."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from anlin.hub.audit.log import Actor, Via
from anlin.hub.people.models import ApiToken, Role, StaffProfile
from anlin.hub.people.services import token_hash
from anlin.hub.permissions import staff_in, staff_of


class RoleError(Exception):
    """Signed in, with a role that may not do this."""


class _Token(HttpBearer):
    def __init__(self, roles: frozenset[Role]) -> None:
        super().__init__()
        self.roles = roles

    def authenticate(self, request: HttpRequest, token: str) -> StaffProfile | None:
        found = (
            ApiToken.objects.select_related("staff__user", "staff__community")
            .filter(token_hash=token_hash(token), revoked_at=None, staff__user__is_active=True)
            .first()
        )
        return _admit(request, found.staff if found is not None else None, self.roles)


class _Session(APIKeyCookie):
    """The cookie of the pages; anything but reading needs the pages' CSRF token as well."""

    def __init__(self, roles: frozenset[Role]) -> None:
        super().__init__(csrf=True)
        self.roles = roles

    def authenticate(self, request: HttpRequest, key: str | None) -> StaffProfile | None:
        return _admit(request, staff_of(request.user), self.roles)


def roles(*which: Role) -> list[Any]:
    """Declare which roles may use an operation."""
    return [_Token(frozenset(which)), _Session(frozenset(which))]


def actor(request: HttpRequest) -> Actor:
    """Name the member of staff who acts, for the change log."""
    return Actor.staff(staff_in(request), Via.API)


def _admit(
    request: HttpRequest, staff: StaffProfile | None, which: frozenset[Role]
) -> StaffProfile | None:
    if staff is None:
        return None
    if staff.role not in which:
        raise RoleError(f"{request.path}: the role {staff.role} may not use this")
    request.staff = staff  # type: ignore[attr-defined]
    return staff

"""Who may do what: every route declares its roles, and a test refuses one that does not.

Staff come in by role (`allowed`), residents to what is their own (`resident`), everybody else only
where a view says why (`public`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.people.models import (
    Building,
    Holder,
    HolderStatus,
    Residency,
    ResidentProfile,
    Role,
    StaffProfile,
    Unit,
    in_force,
)

View = TypeVar("View", bound=Callable[..., Any])

EVERYONE = tuple(Role)
"""All roles of staff; still nobody without a log-in."""

RESIDENT_LOGIN = "/home/login"
"""Where a resident signs in; staff have a page of their own (`LOGIN_URL`)."""

_ANSWERS_JSON = ("/api/", "/live/", "/sync/")


class StaffRequest(HttpRequest):
    """A request behind `allowed`: `staff` is who is signed in, with role and community."""

    staff: StaffProfile


def allowed(*roles: Role) -> Callable[[View], View]:
    """Let only these roles of staff reach a view; it finds its StaffProfile in `request.staff`.

    Nobody signed in: pages go to the log-in, everything else answers 401. Signed in with
    another role: 403, which names the role.
    """

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def awaited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                staff = await _staff_later(request)
                refused = _refusal(request, staff, roles)
                if refused is not None:
                    return refused
                cast(StaffRequest, request).staff = cast(StaffProfile, staff)
                return cast(HttpResponseBase, await view(request, *args, **kwargs))

            wrapper: Any = awaited
        else:

            @wraps(view)
            def called(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                staff = staff_of(request.user)
                refused = _refusal(request, staff, roles)
                if refused is not None:
                    return refused
                cast(StaffRequest, request).staff = cast(StaffProfile, staff)
                return cast(HttpResponseBase, view(request, *args, **kwargs))

            wrapper = called
        wrapper.allowed_roles = frozenset(roles)
        return cast(View, wrapper)

    return decorate


class ResidentRequest(HttpRequest):
    """A request behind `resident`: `holder` is who is signed in, `resident` their log-in."""

    resident: ResidentProfile
    holder: Holder


def resident(view: View) -> View:
    """Let only a resident who lives here now reach a view; it finds them in `request.holder`.

    Nobody signed in: the residents' log-in. Suspended, moved out, or with no home now: 403.
    """

    @wraps(view)
    def called(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        profile = resident_of(request.user)
        if profile is None:
            return redirect_to_login(request.get_full_path(), RESIDENT_LOGIN)
        if not may_sign_in(profile.holder):
            return render(request, "resident/ended.html", status=403)
        own = cast(ResidentRequest, request)
        own.resident, own.holder = profile, profile.holder
        return cast(HttpResponseBase, view(request, *args, **kwargs))

    called.for_residents = True  # type: ignore[attr-defined]
    return cast(View, called)


def may_sign_in(holder: Holder) -> bool:
    """Say whether a holder is active and lives in a home now."""
    return (
        holder.status == HolderStatus.ACTIVE
        and holder.residencies.filter(in_force(timezone.now())).exists()
    )


def resident_of(user: AbstractBaseUser | AnonymousUser) -> ResidentProfile | None:
    """Give the resident behind a user who may sign in."""
    if not user.is_authenticated or not user.is_active:
        return None
    profiles = ResidentProfile.objects.select_related("user", "holder__community")
    return profiles.filter(user_id=user.pk).first()


def resident_in(request: HttpRequest) -> Holder:
    """Give the resident whom `resident` let through."""
    return cast(ResidentRequest, request).holder


def public(why: str) -> Callable[[View], View]:
    """Declare that a view needs no member of staff, and why (its own proof, or none)."""

    def decorate(view: View) -> View:
        view.public_because = why  # type: ignore[attr-defined]
        return view

    return decorate


def buildings_of(staff: StaffProfile) -> frozenset[str] | None:
    """Give the ids of the buildings that a member of staff is bound to; None: bound to none.

    Asked once for each profile: every query of one request has the same answer.
    """
    known: frozenset[str] | None
    if not hasattr(staff, "_scope"):
        bound = frozenset(staff.buildings.values_list("pk", flat=True))
        staff._scope = bound or None  # type: ignore[attr-defined]
    known = staff._scope  # type: ignore[attr-defined]
    return known


def units_in_scope(staff: StaffProfile) -> QuerySet[Unit]:
    """Give the homes that a member of staff works for."""
    units = Unit.objects.filter(building__community=staff.community_id)
    bound = buildings_of(staff)
    return units if bound is None else units.filter(building__in=bound)


def buildings_in_scope(staff: StaffProfile) -> QuerySet[Building]:
    """Give the buildings that a member of staff works for."""
    buildings = Building.objects.filter(community=staff.community_id)
    bound = buildings_of(staff)
    return buildings if bound is None else buildings.filter(pk__in=bound)


def holders_in_scope(staff: StaffProfile) -> QuerySet[Holder]:
    """Give the people whom a member of staff may look up.

    One who is bound to buildings sees who lives there, is going to, or did until they left the
    community, and the visitors of these homes; nobody else.
    """
    holders = Holder.objects.filter(community=staff.community_id)
    bound = buildings_of(staff)
    if bound is None:
        return holders
    there = Residency.objects.filter(holder=OuterRef("pk"), unit__building__in=bound)
    lasting = there.filter(Q(ends_at=None) | Q(ends_at__gt=timezone.now()))
    return holders.filter(
        Exists(lasting) | Q(Exists(there), status=HolderStatus.LEFT) | Q(host__building__in=bound)
    )


def staff_in(request: HttpRequest) -> StaffProfile:
    """Give the member of staff whom `allowed` let through."""
    return cast(StaffRequest, request).staff


def staff_of(user: AbstractBaseUser | AnonymousUser) -> StaffProfile | None:
    """Give the staff profile of a user who may sign in."""
    if not user.is_authenticated or not user.is_active:
        return None
    return StaffProfile.objects.select_related("user", "community").filter(user_id=user.pk).first()


async def _staff_later(request: HttpRequest) -> StaffProfile | None:
    user = await request.auser()
    if not user.is_authenticated or not user.is_active:
        return None
    return await (
        StaffProfile.objects.select_related("user", "community").filter(user_id=user.pk).afirst()
    )


def _refusal(
    request: HttpRequest, staff: StaffProfile | None, roles: tuple[Role, ...]
) -> HttpResponse | None:
    if staff is not None and staff.role in roles:
        return None
    as_json = request.path.startswith(_ANSWERS_JSON)
    if staff is None:
        if as_json:
            return JsonResponse({"error": f"{request.path}: sign in first"}, status=401)
        return redirect_to_login(request.get_full_path())
    text = _("The role %(role)s may not open this page.") % {"role": staff.get_role_display()}
    if as_json:
        return JsonResponse(
            {"error": f"{request.path}: the role {staff.role} may not use this"}, status=403
        )
    return HttpResponse(text, status=403, content_type="text/plain; charset=utf-8")

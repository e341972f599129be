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
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _

from anlin.hub.people.models import Holder, HolderStatus, ResidentProfile, Role, StaffProfile

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

    Nobody signed in: the residents' log-in. Suspended or moved out: 403.
    """

    @wraps(view)
    def called(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        profile = resident_of(request.user)
        if profile is None:
            return redirect_to_login(request.get_full_path(), RESIDENT_LOGIN)
        if profile.holder.status != HolderStatus.ACTIVE:
            text = _("This log-in has ended; ask the property office.")
            return HttpResponse(text, status=403, content_type="text/plain; charset=utf-8")
        own = cast(ResidentRequest, request)
        own.resident, own.holder = profile, profile.holder
        return cast(HttpResponseBase, view(request, *args, **kwargs))

    called.for_residents = True  # type: ignore[attr-defined]
    return cast(View, called)


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

"""A resident's doors, and how the pages look. Each other matter has a file of its own."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import viewed
from anlin.hub.errors import RuleError
from anlin.hub.events.pictures import path_of
from anlin.hub.permissions import public, resident_of
from anlin.hub.resident import doors, services
from anlin.hub.resident.models import Opening
from anlin.hub.resident.pages import LARGE, PRINT_COOKIE, HomeRequest, actor, page

_YEAR_S = 365 * 24 * 3600


@require_GET
@page
def home(request: HomeRequest) -> HttpResponse:
    ours = request.home
    found = doors.doors_of(ours)
    online = doors.nodes_online(ours.holder.community, ours.at)
    context = {
        "doors": doors.reachable((door for door in found if door.opens_by_phone), online),
        "has_qr": any(door.takes_qr for door in found),
        "barred": doors.remote_fault(ours),
    }
    return render(request, "resident/home.html", context)


@require_GET
@page
def door(request: HomeRequest, point_id: str) -> HttpResponse:
    """Ask for the second step: nothing opens by one touch of a pocket."""
    chosen = doors.door_of(request.home, point_id)
    fault = doors.remote_fault(request.home)
    if fault:
        messages.error(request, fault)
        return redirect("resident:home")
    online = doors.nodes_online(request.holder.community, request.home.at)
    context = {
        "door": chosen,
        "is_reachable": chosen.node in online,
        "token": doors.confirm_token(request.home, chosen),
        "seconds": int(doors.CONFIRM_WITHIN / timedelta(seconds=1)),
        "picture": doors.picture_at(request.home, chosen),
    }
    return render(request, "resident/door.html", context)


@require_POST
@page
def open_door(request: HomeRequest, point_id: str) -> HttpResponse:
    token = request.POST.get("token", "")[: doors.TOKEN_CHARS]
    try:
        opening = doors.open_door(request.home, point_id, token, request.resident.user)
    except doors.TooLateError as error:
        messages.error(request, str(error))
        return redirect("resident:door", point_id)
    except RuleError as error:
        messages.error(request, str(error))
        return redirect("resident:home")
    return redirect("resident:opening", opening.pk)


@require_GET
@page
def opening(request: HomeRequest, opening_id: str) -> HttpResponse:
    """Say what came of an opening; the page asks again by itself until that is known."""
    rows = Opening.objects.select_related("point", "command", "holder")
    found = rows.filter(pk=opening_id, holder=request.holder).first()
    if found is None:
        raise Http404(opening_id)
    told = doors.told(found, timezone.now())
    context = {"opening": found, "came": told.came.value, "why": told.why}
    is_part = request.headers.get("Anlin-Part") == "came"
    name = "resident/_came.html" if is_part else "resident/opening.html"
    return render(request, name, context)


@require_GET
@page
def door_picture(request: HomeRequest, point_id: str, sha256: str) -> HttpResponseBase:
    """Show who stands at a door, while they may still stand there; each look is written down."""
    chosen = doors.door_of(request.home, point_id)
    picture = doors.picture_at(request.home, chosen)
    if picture is None or picture.sha256 != sha256 or not path_of(sha256).exists():
        raise Http404(point_id)
    community = request.holder.community
    viewed(actor(request), community, "picture", [sha256], purpose="remote opening")
    return FileResponse(path_of(sha256).open("rb"), content_type="image/jpeg")


@public("how the pages are read is chosen before the log-in too; it changes nothing else")
@require_http_methods(["GET", "POST"])
def view(request: HttpRequest) -> HttpResponse:
    """Choose print and language. A link does it too, but changes no account."""
    asked = request.POST if request.method == "POST" else request.GET
    onward = asked.get("next", "") or "/home/"
    is_ours = url_has_allowed_host_and_scheme(onward, {request.get_host()}, request.is_secure())
    answer = HttpResponseRedirect(onward if is_ours and onward.startswith("/") else "/home/")
    size, language = asked.get("size", ""), asked.get("language", "")[:10]
    is_language = language in dict(settings.LANGUAGES) and check_for_language(language)
    if size in (LARGE, "normal"):
        _remember(answer, PRINT_COOKIE, size)
    if is_language:
        _remember(answer, settings.LANGUAGE_COOKIE_NAME, language)
    profile = resident_of(request.user) if request.method == "POST" else None
    if profile is not None:
        services.set_view(
            profile,
            large_print=size == LARGE if size in (LARGE, "normal") else None,
            language=language if is_language else None,
        )
    return answer


def _remember(answer: HttpResponse, name: str, value: str) -> None:
    answer.set_cookie(
        name, value, max_age=_YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
    )

"""The live console, an event told in full, and the way in and out."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout as sign_out
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access.models import Portal
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console import feed, words
from anlin.hub.console.board import board, plan
from anlin.hub.console.facts import facts
from anlin.hub.console.pages import DESK, page
from anlin.hub.events.models import Event
from anlin.hub.events.secrecy import told_to
from anlin.hub.explain.saw import LIVENESS
from anlin.hub.explain.services import explained
from anlin.hub.permissions import EVERYONE, StaffRequest, public
from anlin.hub.state.attention import ASKING, ONCE
from anlin.hub.state.models import BikeAnswer, Noticed
from anlin.hub.vehicles.services import taken_bike

_YEAR_S = 365 * 24 * 3600
_LARGEST_POSITION = 2**63 - 1


@require_GET
@page(*EVERYONE)
def live(request: StaffRequest) -> HttpResponse:
    if request.staff.role not in DESK:
        return redirect(words.home_of(request.staff.role))
    wanted = _wanted(request)
    before = _position(request, "before")
    stretch = feed.latest(wanted, before)
    context = {
        "stretch": stretch,
        "before": before,
        "oldest": stretch.rows[-1]["position"] if stretch.rows else 0,
        "query": urlencode({k: v for k, v in _query(wanted).items() if v}),
        "chips": _chips(wanted),
        "gates": _gates(wanted),
        "kinds": " ".join(kind.value for kind in EventKind),
        **_board(request),
    }
    return render(request, "console/live.html", context)


@require_GET
@page(*DESK)
def rows(request: StaffRequest) -> HttpResponse:
    """Give the rows after a position, newest first; the headers say how far they reach."""
    position = _position(request, "after") or 0
    stretch = feed.after(_wanted(request), position)
    answer = render(request, "console/_rows.html", {"rows": stretch.rows})
    answer.headers["Anlin-Position"] = str(stretch.position)
    answer.headers["Anlin-More"] = "1" if stretch.has_more else "0"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_GET
@page(*DESK)
def state(request: StaffRequest) -> HttpResponse:
    """Give everything beside the feed."""
    answer = render(request, "console/_state.html", _board(request))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_GET
@page(*DESK)
def event(request: StaffRequest, position: int) -> HttpResponse:
    community = request.staff.community
    found = (
        told_to(Event.objects.filter(community=community.pk), request.staff.role)
        .filter(id=min(position, _LARGEST_POSITION))
        .first()
    )
    if found is None:
        raise Http404(_("There is no event %(position)d here.") % {"position": position})
    row = feed.shown([found])[0]
    viewed(Actor.of(request), community, "event", [str(found.pk)])
    is_face = row["method"] in (Method.FACE, Method.TERMINAL_FACE)
    noticed = Noticed.objects.filter(pk=found.pk, community=community).first()
    bike = taken_bike(found)
    if bike is not None:
        by = Actor.of(request)
        viewed(by, community, "holder", [bike.owner.pk], purpose="e-bike question")
    context = {
        "row": row,
        "event": found,
        "data": found.data,
        "why": explained(found, community),
        "passage": _passage(found),
        "noticed": noticed,
        "bike": bike,
        "answers": BikeAnswer.choices if found.kind in ASKING else None,
        "facts": facts(found),
        "liveness": LIVENESS.get(str(found.data.get("liveness"))) if is_face else None,
        "may_notice": found.kind in ONCE and noticed is None,
    }
    return render(request, "console/event.html", context)


@require_GET
@page(*EVERYONE)
def more(request: StaffRequest) -> HttpResponse:
    role = request.staff.role
    entries = [
        {"url": reverse(place.url), "word": place.word, "icon": place.icon}
        for place in words.PLACES
        if role in place.roles
    ]
    return render(request, "console/more.html", {"entries": entries})


@public("whoever is signed out already may press it again")
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    sign_out(request)
    return redirect("console:login")


@public("the language of the log-in page too")
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    onward = request.POST.get("next") or "/"
    if not url_has_allowed_host_and_scheme(onward, {request.get_host()}, request.is_secure()):
        onward = "/"
    answer = redirect(onward)
    code = request.POST.get("language", "")[:10]
    if code in dict(settings.LANGUAGES) and check_for_language(code):
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            code,
            max_age=_YEAR_S,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return answer


def _wanted(request: StaffRequest) -> feed.Wanted:
    show = request.GET.get("show", "")
    portal = request.GET.get("portal", "")[:24].replace("\x00", "")
    return feed.Wanted(request.staff.community, show if show in feed.SHOWN else "", portal)


def _query(wanted: feed.Wanted) -> dict[str, str]:
    return {"show": wanted.show, "portal": wanted.portal}


def _chips(wanted: feed.Wanted) -> list[dict[str, object]]:
    choices = (
        ("", _("People and alarms")),
        ("people", _("People")),
        ("alarms", _("Alarms and refusals")),
        ("all", _("Everything")),
    )
    return [
        {"url": _address(show=key, portal=wanted.portal), "word": text, "here": wanted.show == key}
        for key, text in choices
    ]


def _gates(wanted: feed.Wanted) -> list[dict[str, object]]:
    portals = Portal.objects.filter(community=wanted.community).order_by("name", "id")
    choices = [("", _("All gates")), *portals.values_list("id", "name")]
    return [
        {"url": _address(show=wanted.show, portal=key), "word": text, "here": wanted.portal == key}
        for key, text in choices
    ]


def _address(**query: str) -> str:
    kept = urlencode({name: value for name, value in query.items() if value})
    return f"/?{kept}" if kept else "/"


def _board(request: StaffRequest) -> dict[str, object]:
    now = timezone.now()
    community = request.staff.community
    whole = board(community, now)
    return {
        "board": whole,
        "plan": plan(whole.portals),
        "counts": feed.counts_today(community, now, request.staff.role),
    }


def _position(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    return min(int(text), _LARGEST_POSITION)


def _passage(found: Event) -> Event | None:
    """Find whether the person whom this decision let in then walked through."""
    release = found.data.get("release")
    if not release:
        return None
    kinds = [EventKind.ACCESS_TAKEN.value, EventKind.ACCESS_NOT_TAKEN.value]
    later = Event.objects.filter(
        community=found.community, node=found.node, seq__gt=found.seq, kind__in=kinds
    ).order_by("seq")[:50]
    return next((event for event in later if event.data.get("release") == release), None)

"""Who lives here: read, ask to add, ask to remove, and what a child may do."""

from __future__ import annotations

from collections import defaultdict

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import Status
from anlin.hub.access.models import Credential
from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.join import services as joining
from anlin.hub.people.models import Residency, ResidencyKind
from anlin.hub.resident import asks
from anlin.hub.resident.forms import AddForm, sent_id
from anlin.hub.resident.homes import Home, household, is_child, member, refuse_unless_owner
from anlin.hub.resident.models import RemoteLeave
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page

SHOWN_ASKS = 10


@require_GET
@page
def family(request: HomeRequest) -> HttpResponse:
    home = request.home
    rows = list(household(home.units, home.at))
    owned = [unit for unit in home.units if home.owns(unit)]
    context = {
        "homes": _homes(home, rows),
        "asks": asks.asks_of(home)[:SHOWN_ASKS],
        "applications": joining.of_homes(home.holder, owned, home.at)[:SHOWN_ASKS],
        "n_asked": joining.waiting_for_owner(home.holder).count() if owned else 0,
        "owns_any": bool(owned),
    }
    return render(request, "resident/family.html", context)


def _homes(home: Home, rows: list[Residency]) -> list[dict[str, object]]:
    """Give each home with its people; what opens for whom is for an owner, and for oneself."""
    owned = {unit.pk for unit in home.units if home.owns(unit)}
    told = [
        row.holder_id for row in rows if row.unit_id in owned or row.holder_id == home.holder.pk
    ]
    ways: dict[str, set[str]] = defaultdict(set)
    found = Credential.objects.filter(holder__in=told, status=Status.ACTIVE.value)
    for holder, method in found.values_list("holder_id", "method"):
        ways[holder].add(method)
    leaves = set(RemoteLeave.objects.filter(child__in=told).values_list("child_id", flat=True))
    today = timezone.localtime(home.at).date()
    people: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        child = is_child(row.holder, today)
        people[row.unit_id].append(
            {
                "row": row,
                "is_me": row.holder_id == home.holder.pk,
                "is_told": row.holder_id in told,
                "ways": sorted(ways[row.holder_id] - {"plate"}),
                "is_child": child,
                "may_remote": row.holder_id in leaves,
                "may_change": row.unit_id in owned and row.kind != ResidencyKind.OWNER,
            }
        )
    return [
        {"unit": unit, "people": people[unit.pk], "is_owner": unit.pk in owned}
        for unit in home.units
    ]


@require_http_methods(["GET", "POST"])
@page
def add(request: HomeRequest, unit_id: str) -> HttpResponse:
    unit = request.home.unit(unit_id)
    try:
        refuse_unless_owner(request.home, unit)
    except RuleError as error:
        return render(request, "resident/no.html", {"why": str(error)}, status=403)
    form = AddForm(bound(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            if not given["sent"]:
                raise RuleError(_("Open the form once more."))
            asked = joining.Asked(
                name=given["name"],
                phone=given["phone"],
                kind=ResidencyKind(given["residency"]),
                posted=given["sent"],
                ends_on=given["ends_on"],
            )
            joining.apply(unit, asked, actor(request), asked_by=request.holder)
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("resident:family")
    status = 422 if form.is_bound else 200
    return render(request, "resident/add.html", {"form": form, "unit": unit}, status=status)


@require_http_methods(["GET", "POST"])
@page
def remove(request: HomeRequest, holder_id: str) -> HttpResponse:
    theirs = member(request.home, holder_id)
    if request.method == "POST":
        sent = request.POST.get("sent", "")[:32].replace("\x00", "")
        attempt(
            request,
            lambda: asks.ask_to_remove(request.home, holder_id, actor(request), sent_id=sent),
            _("The property office has your request."),
        )
        return redirect("resident:family")
    context = {"row": theirs, "sent": sent_id()}
    return render(request, "resident/remove.html", context)


@require_POST
@page
def remote(request: HomeRequest, holder_id: str) -> HttpResponse:
    is_allowed = request.POST.get("allow") == "1"
    attempt(
        request,
        lambda: asks.allow_remote(request.home, holder_id, is_allowed, actor(request)),
        _("Opening from a phone is allowed.") if is_allowed else _("It is not allowed any more."),
    )
    return redirect("resident:family")


@require_POST
@page
def take_back(request: HomeRequest, ask_id: str) -> HttpResponse:
    attempt(
        request,
        lambda: asks.take_back(request.home, ask_id, actor(request)),
        _("Your request was taken back."),
    )
    return redirect("resident:family")

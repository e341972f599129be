"""Who works here and may log in: the manager's page."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Prefetch
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.accounts import mfa, services, sessions
from anlin.hub.accounts.forms import AddStaffForm, FactorRuleForm, StaffForm
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import MANAGE, attempt, blame, bound, page
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Building, Role, StaffProfile
from anlin.hub.permissions import StaffRequest


@require_GET
@page(*MANAGE)
def staff(request: StaffRequest) -> HttpResponse:
    found = (
        StaffProfile.objects.filter(community=request.staff.community)
        .select_related("user")
        .prefetch_related(Prefetch("buildings", Building.objects.order_by("name")))
    )
    rows = [
        {"staff": one, "factors": mfa.factors(one.user), "is_ours": _is_ours(one)}
        for one in found.order_by("-user__is_active", "role", "user__username")
    ]
    return render(
        request, "accounts/staff.html", {"rows": rows, "rule": mfa.rule_of(request.staff)}
    )


@never_cache
@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def add(request: StaffRequest) -> HttpResponse:
    form = AddStaffForm(request.staff, bound(request), initial={"role": Role.GUARD})
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            made, password = services.add_staff(
                request.staff.community,
                given["username"],
                Role(given["role"]),
                Actor.of(request),
                name=given["name"],
                buildings=list(given["buildings"]),
            )
        except RuleError as error:
            blame(form, error)
        else:
            return _told(request, made, password)
    status = 422 if form.is_bound else 200
    return render(request, "accounts/staff_add.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def one(request: StaffRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    initial = {
        "name": found.user.last_name,
        "role": found.role,
        "buildings": list(found.buildings.all()),
    }
    form = StaffForm(request.staff, bound(request), initial=initial)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            services.change_staff(
                found,
                Actor.of(request),
                name=given["name"],
                role=Role(given["role"]),
                buildings=list(given["buildings"]),
            )
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("It is saved."))
            return redirect("accounts:staff")
    context = {
        "form": form,
        "one": found,
        "factors": mfa.factors(found.user),
        "sessions": sessions.open_of(found.user),
        "is_me": found.pk == request.staff.pk,
    }
    return render(request, "accounts/staff_one.html", context, status=422 if form.is_bound else 200)


@require_POST
@page(*MANAGE)
def reset(request: StaffRequest, pk: int) -> HttpResponse:
    return _do(
        request,
        pk,
        lambda found, by: services.reset_factors(found, by),
        _("The second factor is taken away; at the next log-in the time to set up one runs anew."),
    )


@require_POST
@page(*MANAGE)
def end_sessions(request: StaffRequest, pk: int) -> HttpResponse:
    def do(found: StaffProfile, by: Actor) -> None:
        services.noted_about(
            found.user, by, "end sessions", count=sessions.end_all(found.user, by.name)
        )

    return _do(request, pk, do, _("All sessions have ended."))


@require_POST
@page(*MANAGE)
def end(request: StaffRequest, pk: int) -> HttpResponse:
    return _do(
        request, pk, lambda found, by: services.end_staff(found, by), _("The log-in has ended.")
    )


@never_cache
@require_POST
@page(*MANAGE)
def password(request: StaffRequest, pk: int) -> HttpResponse:
    """Give a new password, shown once; one whose log-in ended has it back with it."""
    found = _find(request, pk)
    by = Actor.of(request)
    try:
        if found.user.is_active:
            made = services.new_password(found, by)
        else:
            made = services.readmit_staff(found, by)
    except RuleError as error:
        messages.error(request, str(error))
        return redirect("accounts:staff")
    return _told(request, found, made)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def rule(request: StaffRequest) -> HttpResponse:
    form = FactorRuleForm.of(mfa.rule_of(request.staff), bound(request))
    if form.is_bound and form.is_valid():
        roles = [Role(role) for role in form.cleaned_data["roles"]]
        try:
            services.set_factor_rule(
                request.staff.community, roles, form.cleaned_data["days"], Actor.of(request)
            )
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("It is saved."))
            return redirect("accounts:staff")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/rule.html", {"form": form}, status=status)


def _told(request: StaffRequest, found: StaffProfile, password: str) -> HttpResponse:
    context = {"one": found, "password": password}
    return render(request, "accounts/staff_password.html", context)


def _do(
    request: StaffRequest, pk: int, do: Callable[[StaffProfile, Actor], None], done: str
) -> HttpResponse:
    found = _find(request, pk)
    attempt(request, lambda: do(found, Actor.of(request)), done)
    return redirect("accounts:staff")


def _find(request: StaffRequest, pk: int) -> StaffProfile:
    """Find a member of staff whom the manager manages; who watches over them is not."""
    found = (
        StaffProfile.objects.filter(community=request.staff.community, pk=pk)
        .select_related("user", "community")
        .first()
    )
    if found is None or not _is_ours(found):
        raise Http404(_("There is no such member of staff."))
    return found


def _is_ours(found: StaffProfile) -> bool:
    return found.role in services.GIVEN_BY_MANAGER

"""Doors and gates: how they stand, opened from afar with a reason; and visitors' passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import segno
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.portal import PortalState
from anlin.core.sync import CommandKind
from anlin.hub.access import services
from anlin.hub.access.forms import EVERYWHERE, SINGLE, CommandForm, LockdownForm, PassForm
from anlin.hub.access.models import Credential, Portal, VisitorPass
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.board import portal_views
from anlin.hub.console.pages import DESK, attempt, blame, bound, page, paged, query_of
from anlin.hub.console.words import COMMAND
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Command, Device, Outcome
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder, Role, Unit
from anlin.hub.permissions import EVERYONE, StaffRequest

PAGE_SIZE = 30
_RECENT = timedelta(minutes=10)
_SHOWN_COMMANDS = 8


@require_GET
@page(*EVERYONE)
def points(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    community = request.staff.community
    gone = Device.objects.filter(node__community=community, state__is_online=False)
    context = {
        "views": portal_views(community, now),
        "offline": gone.select_related("node").order_by("name"),
        "commands": _recent(request, now),
        "may_open": request.staff.role in DESK,
        "revision": community.policy_revision,
    }
    return render(request, "access/points.html", context)


@require_http_methods(["GET", "POST"])
@page(*DESK)
def command(request: StaffRequest, portal_id: str) -> HttpResponse:
    """Ask what and why; the second press sends it."""
    portal = get_object_or_404(
        Portal.objects.select_related("node", "status", "hold"),
        pk=portal_id,
        community=request.staff.community,
    )
    now = timezone.now()
    view = next(v for v in portal_views(portal.community, now) if v.portal.pk == portal.pk)
    kinds = _possible(portal)
    wish = request.GET.get("kind", "")
    first = wish if wish in kinds else kinds[0].value
    form = CommandForm(kinds, bound(request), initial={"kind": first})
    if form.is_valid():
        try:
            sent = _send(portal, form, Actor.of(request))
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("access:sent", sent.pk)
    status = 422 if form.is_bound else 200
    return render(
        request,
        "access/command.html",
        {"view": view, "portal": portal, "form": form},
        status=status,
    )


@require_GET
@page(*DESK)
def sent(request: StaffRequest, command_id: str) -> HttpResponse:
    """Say honestly how far a command has come."""
    order = get_object_or_404(
        Command.objects.select_related("node"),
        pk=command_id,
        node__community=request.staff.community,
    )
    portal = Portal.objects.filter(pk=order.target).first()
    context = {"command": order, "portal": portal, **_progress(order, portal, timezone.now())}
    is_part = request.headers.get("HX-Request") == "true"
    answer = render(request, "access/_steps.html" if is_part else "access/sent.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_http_methods(["GET", "POST"])
@page(*DESK)
def lockdown(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    first = {"action": request.GET.get("action", "start")}
    form = LockdownForm(community, bound(request), initial=first)
    if form.is_valid():
        done = _lock_down(request, form)
        if done:
            text = ngettext(
                "Sent: %(n)d order. Watch below what each gate answers.",
                "Sent: %(n)d orders. Watch below what each gate answers.",
                done,
            )
            messages.info(request, text % {"n": done})
        return redirect("access:points")
    status = 422 if form.is_bound else 200
    return render(request, "access/lockdown.html", {"form": form}, status=status)


def _lock_down(request: StaffRequest, form: LockdownForm) -> int:
    """Send a lockdown to all, to an area or to single portals; give how many orders went out."""
    by, reason = Actor.of(request), form.cleaned_data["reason"]
    is_start = form.cleaned_data["action"] == "start"
    where = form.cleaned_data["where"]
    if where != SINGLE:
        area = "" if where == EVERYWHERE else where
        try:
            return len(
                devices.lockdown_many(request.staff.community, is_start, reason, by, area=area)
            )
        except RuleError as error:
            messages.error(request, str(error))
            return 0
    done = 0
    for portal in form.cleaned_data["portals"].select_related("node"):
        try:
            devices.lockdown(portal, is_start, reason, by)
            done += 1
        except RuleError as error:
            messages.error(request, f"{portal.name}: {error}")
    return done


@require_GET
@page(*DESK)
def recent(request: StaffRequest) -> HttpResponse:
    answer = render(
        request, "access/_commands.html", {"commands": _recent(request, timezone.now())}
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_POST
@page(*DESK)
def change_credential(request: StaffRequest, credential_id: str, action: str) -> HttpResponse:
    """Lost: whoever sits at the desk at night may say so. The rest is the manager's."""
    credential = get_object_or_404(
        Credential.objects.select_related("holder__community"),
        pk=credential_id,
        community=request.staff.community,
    )
    if action != "lost" and request.staff.role != Role.MANAGER:
        return HttpResponse(
            _("Only the property manager may do this."),
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    doing: dict[str, tuple[Callable[[Credential, Actor], None], str]] = {
        "lost": (services.mark_lost, _("Reported lost: it opens nothing from now on.")),
        "suspend": (services.suspend_credential, _("Suspended.")),
        "resume": (services.resume_credential, _("It opens again.")),
        "revoke": (services.revoke_credential, _("Taken back for ever.")),
    }
    do, done = doing[action]
    attempt(request, lambda: do(credential, Actor.of(request)), done)
    return redirect("people:holder", credential.holder_id)


@require_GET
@page(*DESK)
def passes(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    query = query_of(request)
    found = VisitorPass.objects.filter(community=community).select_related("holder")
    if query:
        found = found.filter(label__icontains=query)
    shown = paged(request, found.order_by("-issued_at", "id"), PAGE_SIZE)
    context = {"page": shown, "q": query, "now": timezone.now()}
    return render(request, "access/passes.html", context)


@require_http_methods(["GET", "POST"])
@page(*DESK)
def issue(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    holder_id = request.GET.get("holder", "")[:24]
    holder = get_object_or_404(Holder, pk=holder_id, community=community) if holder_id else None
    form = PassForm(community, holder is not None, bound(request))
    if form.is_valid():
        begins, ends = form.window
        try:
            leave, _text = services.issue_pass(
                community,
                holder or form.cleaned_data["name"],
                Actor.of(request),
                not_before=begins,
                not_after=ends,
                points=form.cleaned_data["points"],
                uses=form.cleaned_data["uses"],
                host=form.cleaned_data.get("host"),
            )
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("access:pass", leave.pk)
    status = 422 if form.is_bound else 200
    homes = Unit.objects.filter(building__community=community).order_by("code")
    context = {"form": form, "holder": holder, "units": homes.values_list("code", flat=True)}
    return render(request, "access/issue.html", context, status=status)


@require_GET
@page(*DESK)
def visitor_pass(request: StaffRequest, pass_id: str) -> HttpResponse:
    leave = _pass(request, pass_id)
    now = timezone.now()
    viewed(Actor.of(request), leave.community, "pass", [leave.pk])
    is_dead = leave.revoked_at is not None or leave.not_after <= now
    names = dict(leave.community.portals.values_list("points__id", "points__name"))
    context = {
        "pass": leave,
        "now": now,
        # One that rotates is shown on the visitor's own page only: paper would not open.
        "qr": None if is_dead or leave.rotates else _qr(services.pass_text(leave)),
        "places": [names.get(point, point) for point in leave.points],
    }
    return render(request, "access/pass.html", context)


@require_POST
@page(*DESK)
def revoke_pass(request: StaffRequest, pass_id: str) -> HttpResponse:
    leave = _pass(request, pass_id)
    done = _("The pass of %(name)s is taken back; every gate refuses it in a few seconds.")
    attempt(
        request,
        lambda: services.revoke_pass(leave, Actor.of(request)),
        done % {"name": leave.label},
    )
    return redirect("access:pass", leave.pk)


def _pass(request: StaffRequest, pass_id: str) -> VisitorPass:
    return get_object_or_404(
        VisitorPass.objects.select_related("holder", "community"),
        pk=pass_id,
        community=request.staff.community,
    )


def _qr(text: str) -> SafeString:
    """Draw a QR code as an inline picture; dark on white in every colour scheme."""
    code = segno.make(text, error="m", micro=False)
    drawn = code.svg_inline(border=2, dark="#000", light="#fff", omitsize=True, svgclass=None)
    return mark_safe(drawn)  # noqa: S308  drawn here, from base64 text


def _possible(portal: Portal) -> tuple[CommandKind, ...]:
    """List the orders that make sense as a portal stands; the first is the usual one."""
    status = getattr(portal, "status", None)
    if status is not None and status.is_fire:
        return (CommandKind.FIRE_RESTORE,)
    hold, now = getattr(portal, "hold", None), timezone.now()
    is_worked_on = hold is not None and hold.in_maintenance(now)
    work = CommandKind.MAINTENANCE_END if is_worked_on else CommandKind.MAINTENANCE
    if status is not None and status.is_lockdown:
        return (CommandKind.LOCKDOWN_END, CommandKind.HOLD_UNLOCKED, work)
    is_held = hold is not None and hold.overridden(now)
    if is_held or (status is not None and status.state == PortalState.UNLOCKED):
        return (
            CommandKind.HOLD_NORMAL,
            *((CommandKind.RELEASE,) if is_held else ()),
            CommandKind.HOLD_LOCKED,
            CommandKind.LOCKDOWN,
            work,
        )
    return (
        *((work,) if is_worked_on else ()),
        CommandKind.RELEASE,
        CommandKind.HOLD_UNLOCKED,
        CommandKind.HOLD_LOCKED,
        CommandKind.LOCKDOWN,
        *(() if is_worked_on else (work,)),
    )


def _send(portal: Portal, form: CommandForm, by: Actor) -> Command:
    reason = form.reason
    match CommandKind(form.cleaned_data["kind"]):
        case CommandKind.RELEASE:
            return devices.request_release(portal, reason, by)
        case CommandKind.HOLD_UNLOCKED:
            return devices.hold_unlocked(portal, 60 * form.cleaned_data["minutes"], reason, by)
        case CommandKind.HOLD_LOCKED:
            return devices.hold_locked(portal, 60 * form.cleaned_data["minutes"], reason, by)
        case CommandKind.MAINTENANCE:
            return devices.maintenance(portal, 60 * form.cleaned_data["minutes"], reason, by)
        case CommandKind.MAINTENANCE_END:
            return devices.maintenance_end(portal, reason, by)
        case CommandKind.HOLD_NORMAL:
            return devices.hold_normal(portal, reason, by)
        case CommandKind.LOCKDOWN:
            return devices.lockdown(portal, True, reason, by)
        case CommandKind.LOCKDOWN_END:
            return devices.lockdown(portal, False, reason, by)
        case CommandKind.FIRE_RESTORE:
            return devices.fire_restore(portal, reason, by)
        case kind:
            raise RuleError(_("%(what)s is not asked of one door.") % {"what": COMMAND[kind]})


def _progress(order: Command, portal: Portal | None, now: datetime) -> dict[str, object]:
    """Give the three steps of a command as far as they are known; nothing is guessed."""
    outcome = order.outcome_now(now)
    is_release = order.kind == CommandKind.RELEASE
    answered = outcome in (Outcome.DONE, Outcome.REFUSED)
    if order.sent_at is not None or answered:
        sent_step = "done"
    else:
        sent_step = "failed" if outcome == Outcome.EXPIRED else "now"
    if outcome == Outcome.DONE:
        accepted_step = "done"
    elif outcome == Outcome.REFUSED or (outcome == Outcome.EXPIRED and sent_step == "done"):
        accepted_step = "failed"
    else:
        accepted_step = "now" if sent_step == "done" and outcome == Outcome.PENDING else "todo"
    grant = timedelta(seconds=(portal.grant_s if portal is not None else 5.0) + 2)
    began = order.outcome_at or order.issued_at
    is_unanswered = outcome == Outcome.DONE and order.acted_at is None and now > began + grant
    if order.acted_at is not None:
        acted_step = "done"
    elif outcome == Outcome.DONE:
        acted_step = "failed" if is_unanswered else "now"
    else:
        acted_step = "todo"
    return {
        "outcome": outcome,
        "is_release": is_release,
        "sent_step": sent_step,
        "accepted_step": accepted_step,
        "acted_step": acted_step,
        "is_settled": "now" not in (sent_step, accepted_step, acted_step),
    }


def _recent(request: StaffRequest, now: datetime) -> list[dict[str, object]]:
    if request.staff.role not in DESK:
        return []
    orders = (
        Command.objects.filter(node__community=request.staff.community, issued_at__gt=now - _RECENT)
        .select_related("node")
        .order_by("-issued_at", "-number")[: 4 * _SHOWN_COMMANDS]
    )
    names = dict(request.staff.community.portals.values_list("id", "name"))
    areas = dict(request.staff.community.areas.values_list("id", "name"))
    return [
        {
            "row": order,
            "place": names.get(order.target) or _place(order, areas),
            "now": order.outcome_now(now),
        }
        for order in orders
    ]


def _place(order: Command, areas: dict[str, str]) -> str:
    """Name what an order to many, or about somebody, is for."""
    if order.target == "*":
        return _("Everything at %(name)s") % {"name": order.node.name}
    if order.target.startswith("area:"):
        return areas.get(order.target.removeprefix("area:"), order.target)
    return order.target.removeprefix("plate:")

"""Who may pass where and when, as rules, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import Direction
from anlin.hub.access import services
from anlin.hub.access.models import AccessPoint, AccessRule
from anlin.hub.access.setup import group_names
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import bound, page
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.forms import RuleForm, rule_initial
from anlin.hub.setup.matrix import table
from anlin.hub.setup.pages import READ, SETUP, edit, own, removed


@require_GET
@page(*SETUP)
def rules(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    names = group_names(community)
    found = (
        community.rules.select_related("schedule").prefetch_related("points").order_by("name", "id")
    )
    rows = [{"rule": one, "sentence": rule_sentence(one, names)} for one in found]
    unruled = AccessPoint.objects.filter(
        portal__community=community, direction=Direction.ENTRY.value, rules=None
    ).order_by("name")
    return render(request, "setup/rules.html", {"rows": rows, "unruled": unruled})


def rule_sentence(one: AccessRule, names: Mapping[str, str]) -> str:
    """Say a rule as one would say it aloud."""
    comma = _(", ")
    who = comma.join(names.get(group, group) for group in one.groups) or _("nobody")
    where = comma.join(sorted(point.name for point in one.points.all())) or _("nowhere")
    if one.schedule is None:
        text = _("%(who)s may pass %(where)s at all times.")
        return text % {"who": who, "where": where}
    text = _("%(who)s may pass %(where)s during “%(when)s”, and are refused at other times.")
    return text % {"who": who, "where": where, "when": one.schedule.name}


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def rule(request: StaffRequest, rule_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = own(request, AccessRule, rule_id) if rule_id else None
    form = RuleForm(community, bound(request), initial=rule_initial(one) if one else {})

    def save() -> str:
        given = form.cleaned_data
        if one is None:
            services.add_rule(
                community,
                given["name"],
                given["groups"],
                given["points"],
                by,
                schedule=given["schedule"],
            )
        else:
            services.change_rule(
                one,
                by,
                name=given["name"],
                groups=given["groups"],
                points=given["points"],
                schedule=given["schedule"],
            )
        return reverse("setup:rules")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a rule"),
        back=(reverse("setup:rules"), _("Rules")),
        done=_("Saved. Every edge follows in a few seconds."),
        remove=reverse("setup:remove_rule", args=[one.pk]) if one else "",
        hints=[
            _("Rules only ever let in; whom no rule names is refused."),
            rule_sentence(one, group_names(community)) if one else "",
        ],
    )


@require_POST
@page(*SETUP)
def remove_rule(request: StaffRequest, rule_id: str) -> HttpResponse:
    one = own(request, AccessRule, rule_id)
    return removed(request, lambda by: services.remove_rule(one, by), "setup:rules")


@require_GET
@page(*READ)
def matrix(request: StaffRequest) -> HttpResponse:
    """Show who may pass where: each way in with each group."""
    groups, lines = table(request.staff.community, timezone.now())
    return render(request, "setup/matrix.html", {"lines": lines, "groups": groups})

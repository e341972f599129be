"""Schedules and the tables of holidays that they follow."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.access import services
from anlin.hub.access.models import HolidayTable, Schedule
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import bound, page
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.forms import HolidayForm, Periods, ScheduleForm, periods_initial
from anlin.hub.setup.pages import SETUP, edit, own, removed
from anlin.hub.setup.week import spans_text, special_text, week


@require_GET
@page(*SETUP)
def times(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    rows = [
        {
            "schedule": one,
            "week": week(one.weekly, one.holiday_periods if one.holidays else None),
            "special": special_text(one.special).splitlines()[:6],
        }
        for one in community.schedules.select_related("holidays").order_by("name")
    ]
    tables = community.holiday_tables.prefetch_related("schedules").order_by("name")
    return render(request, "setup/times.html", {"rows": rows, "tables": tables})


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def schedule(request: StaffRequest, schedule_id: str = "") -> HttpResponse:
    """Edit a schedule; asked as a part with `preview`, only draw the week that was typed."""
    community, by = request.staff.community, Actor.of(request)
    one = own(request, Schedule, schedule_id) if schedule_id else None
    initial: dict[str, Any] = {}
    if one is not None:
        initial = {
            "name": one.name,
            "special": special_text(one.special),
            "holidays": one.holidays,
            "holiday_periods": spans_text(one.holiday_periods),
        }
    form = ScheduleForm(community, bound(request), initial=initial)
    periods: Any = Periods(bound(request), initial=periods_initial(one.weekly) if one else [])
    if request.method == "POST" and request.GET.get("preview"):
        return render(request, "setup/_preview.html", {"week": _typed_week(form, periods)})

    def save() -> str:
        given = form.cleaned_data
        what = {
            "weekly": periods.weekly,
            "special": given["special"],
            "holidays": given["holidays"],
            "holiday_periods": given["holiday_periods"],
        }
        if one is None:
            services.add_schedule(community, given["name"], by, **what)
        else:
            services.change_schedule(one, by, name=given["name"], **what)
        return reverse("setup:times")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a schedule"),
        back=(reverse("setup:times"), _("Times")),
        done=_("Saved. Every edge follows in a few seconds."),
        remove=reverse("setup:remove_schedule", args=[one.pk]) if one else "",
        hints=[
            _("A period that ends before it begins runs past midnight."),
            _(
                "Outside these times a rule that follows the schedule refuses; the way out stays "
                "free."
            ),
        ],
        template="setup/schedule.html",
        periods=periods,
        week=_typed_week(form, periods)
        if form.is_bound
        else week(one.weekly if one else [], one.holiday_periods if one and one.holidays else None),
    )


def _typed_week(form: ScheduleForm, periods: Any) -> Any:
    """Draw what was typed so far; a row that is not right yet is left out."""
    form.is_valid()
    periods.is_valid()
    given = form.cleaned_data
    holidays = given.get("holiday_periods", []) if given.get("holidays") else None
    return week(periods.weekly, holidays)


@require_POST
@page(*SETUP)
def remove_schedule(request: StaffRequest, schedule_id: str) -> HttpResponse:
    one = own(request, Schedule, schedule_id)
    return removed(request, lambda by: services.remove_schedule(one, by), "setup:times")


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def holidays(request: StaffRequest, table_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = own(request, HolidayTable, table_id) if table_id else None
    initial = {"name": one.name, "dates": "\n".join(one.dates)} if one else {}
    form = HolidayForm(bound(request), initial=initial)

    def save() -> str:
        given = form.cleaned_data
        if one is None:
            services.add_holidays(community, given["name"], given["dates"], by)
        else:
            services.change_holidays(one, by, name=given["name"], dates=given["dates"])
        return reverse("setup:times")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a holiday table"),
        back=(reverse("setup:times"), _("Times")),
        done=_("Saved. Every schedule that follows it changes in a few seconds."),
        remove=reverse("setup:remove_holidays", args=[one.pk]) if one else "",
        hints=[_("The State Council announces the days of the next year in autumn.")],
    )


@require_POST
@page(*SETUP)
def remove_holidays(request: StaffRequest, table_id: str) -> HttpResponse:
    one = own(request, HolidayTable, table_id)
    return removed(request, lambda by: services.remove_holidays(one, by), "setup:times")

"""One act on many: chosen, shown, agreed to; and the sheets of passes that come of it."""

from __future__ import annotations

import segno
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint, VisitorPass
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, blame, bound, page
from anlin.hub.errors import RuleError
from anlin.hub.office import bulk, jobs
from anlin.hub.office.forms import DAYS, BulkForm
from anlin.hub.office.models import AT_WORK, Job, JobKind, JobState
from anlin.hub.permissions import StaffRequest, holders_in_scope


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def choose(request: StaffRequest) -> HttpResponse:
    """Ask whom and what; sending it shows who that is, and does nothing yet."""
    form = BulkForm(request.staff, bound(request))
    if form.is_valid():
        given = form.cleaned_data
        choice = bulk.Choice(given["building"], given["lease"], given["holds"], given["status"])
        try:
            job = bulk.preview(
                request.staff,
                bulk.Action(given["action"]),
                choice,
                given["days"] or DAYS[0][0],
                given["reason"],
                Actor.of(request),
            )
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("office:bulk_preview", job.pk)
    status = 422 if form.is_bound else 200
    return render(request, "office/bulk.html", {"form": form}, status=status)


@require_GET
@page(*MANAGE)
def preview(request: StaffRequest, job_id: str) -> HttpResponse:
    job = jobs.looked_at(_bulk(request, job_id), timezone.now())
    context = {
        "job": job,
        "action": bulk.Action(job.params["action"]).label,
        "is_at_work": job.state in AT_WORK,
        "is_asked": job.state == JobState.CHECKED,
        "has_passes": bool(job.params.get("passes")),
        "rows": bulk.affected(job) if job.state == JobState.CHECKED else [],
        "token": bulk.token_of(job),
        "count": len(job.params["targets"]),
    }
    is_part = request.headers.get("HX-Request") == "true"
    answer = render(request, "office/_bulk_job.html" if is_part else "office/preview.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_POST
@page(*MANAGE)
def confirm(request: StaffRequest, job_id: str) -> HttpResponse:
    job = _bulk(request, job_id)
    try:
        if not bulk.confirm(job, request.POST.get("token", ""), Actor.of(request)):
            messages.info(request, _("That was done, or begun, already; nothing happened twice."))
    except RuleError as error:
        messages.error(request, str(error))
    return redirect("office:bulk_preview", job.pk)


@require_GET
@page(*MANAGE)
def passes(request: StaffRequest, job_id: str) -> HttpResponse:
    """Show the sheets of passes that a job has issued, to be printed on A4."""
    job = _bulk(request, job_id)
    issued = (
        VisitorPass.objects.filter(
            pk__in=job.params.get("passes", ()),
            holder__in=holders_in_scope(request.staff),
            revoked_at=None,
            not_after__gt=timezone.now(),
        )
        .select_related("holder", "community")
        .order_by("holder__name", "pk")
    )
    names = dict(
        AccessPoint.objects.filter(portal__community=job.community).values_list("pk", "name")
    )
    cards = [
        {
            "pass": leave,
            "qr": _drawn(access.pass_text(leave)),
            "where": ", ".join(names.get(point, "") for point in leave.points),
        }
        for leave in issued
    ]
    if not cards:
        raise Http404
    by = Actor.of(request)
    viewed(by, job.community, "pass sheet", [job.pk], job.params["reason"])
    context = {"job": job, "cards": cards, "printed_by": by.name, "now": timezone.now()}
    answer = render(request, "office/passes.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _drawn(text: str) -> SafeString:
    code = segno.make(text, error="m", micro=False)
    drawn = code.svg_inline(border=2, dark="#000", light="#fff", omitsize=True, svgclass=None)
    return mark_safe(drawn)  # noqa: S308  drawn here, from base64 text


def _bulk(request: StaffRequest, job_id: str) -> Job:
    return get_object_or_404(
        Job.objects.select_related("community"),
        pk=job_id,
        community=request.staff.community,
        kind=JobKind.BULK,
        staff=request.staff,
    )

"""Lists in and out: posted, checked, taken over, given out; and how far each of them is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, blame, page
from anlin.hub.errors import RuleError
from anlin.hub.office import exporting, importing, jobs, workbook
from anlin.hub.office.forms import ExportForm, FileForm
from anlin.hub.office.models import AT_WORK, Job, JobKind, JobState
from anlin.hub.office.rows import Fault
from anlin.hub.permissions import StaffRequest

SHOWN = 100
RECENT = 12

STEPS = {
    "reading": gettext_lazy("Reading the rows"),
    "comparing": gettext_lazy("Comparing them with the registry"),
    "writing": gettext_lazy("Writing everything in one go"),
    "people": gettext_lazy("Writing the people"),
    "homes": gettext_lazy("Writing the homes"),
}
FIELDS = {
    "floor": gettext_lazy("floor"),
    "area_m2": gettext_lazy("area"),
    "use": gettext_lazy("use"),
    "external_code": gettext_lazy("address code"),
    "entrance": gettext_lazy("entrance"),
    "greeting": gettext_lazy("shown on screens"),
    "note": gettext_lazy("note"),
    "phone": gettext_lazy("telephone"),
    "kind": gettext_lazy("lives there as"),
    "starts_at": gettext_lazy("from"),
    "ends_at": gettext_lazy("last day"),
    "unit": gettext_lazy("one more home"),
}


@require_GET
@page(*MANAGE)
def lists(request: StaffRequest) -> HttpResponse:
    return _lists_page(request, FileForm(), ExportForm(request.staff))


@require_GET
@page(*MANAGE)
def template(request: StaffRequest) -> HttpResponse:
    return _download(workbook.template(), "anlin-住户登记表.xlsx", workbook.XLSX)


@require_POST
@page(*MANAGE)
def post(request: StaffRequest) -> HttpResponse:
    """Take a file; the same one again leads to what became of it."""
    form = FileForm(request.POST, request.FILES)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            asked, is_new = importing.post(request.staff, file.name, file.read(), Actor.of(request))
        except RuleError as error:
            blame(form, error)
        else:
            if not is_new:
                messages.info(
                    request, _("This very file is here already; this is what became of it.")
                )
            return redirect("office:job", asked.pk)
    return _lists_page(request, form, ExportForm(request.staff), status=422)


@require_POST
@page(*MANAGE)
def export(request: StaffRequest) -> HttpResponse:
    form = ExportForm(request.staff, request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            asked = exporting.ask_for(
                request.staff,
                exporting.Purpose(given["purpose"]),
                given["reason"],
                exporting.Format(given["format"]),
                given["building"],
                Actor.of(request),
            )
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("office:job", asked.pk)
    return _lists_page(request, FileForm(), form, status=422)


@require_GET
@page(*MANAGE)
def job(request: StaffRequest, job_id: str) -> HttpResponse:
    """Show how far a job is, and then what came of it; htmx asks for the part that changes."""
    one = jobs.looked_at(_job(request, job_id), timezone.now())
    if one.kind == JobKind.BULK:
        return redirect("office:bulk_preview", one.pk)
    context = {
        "job": one,
        "is_at_work": one.state in AT_WORK,
        "step": STEPS.get(one.step, ""),
        "percent": min(100, 100 * one.done // one.total) if one.total else None,
        **_findings(one),
        "tables": [
            (word, one.counts.get(table, {}))
            for table, word in (
                ("homes", _("The homes")),
                ("people", _("The people")),
                ("vehicles", _("The vehicles")),
            )
        ],
        "may_fetch": one.state == JobState.DONE and one.made is not None,
    }
    is_part = request.headers.get("HX-Request") == "true"
    answer = render(request, "office/_job.html" if is_part else "office/job.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_POST
@page(*MANAGE)
def take_over(request: StaffRequest, job_id: str) -> HttpResponse:
    """Take the yes to a list; a second press finds it under way or done, and changes nothing."""
    one = _job(request, job_id)
    try:
        jobs.ask(one, JobState.CHECKED, JobState.WORKING, Actor.of(request))
    except RuleError as error:
        messages.error(request, str(error))
    return redirect("office:job", one.pk)


@require_POST
@page(*MANAGE)
def again(request: StaffRequest, job_id: str) -> HttpResponse:
    """Check a list anew: somebody put the registry right, or the worker had died."""
    one = jobs.looked_at(_job(request, job_id), timezone.now())
    if one.kind != JobKind.IMPORT or one.given is None:
        messages.error(request, _("The file is no longer here. Send it once more."))
    elif one.state in (JobState.REFUSED, JobState.FAILED, JobState.INTERRUPTED, JobState.CHECKED):
        try:
            jobs.ask(one, JobState(one.state), JobState.CHECKING, Actor.of(request))
        except RuleError as error:
            messages.error(request, str(error))
    return redirect("office:job", one.pk)


@require_GET
@page(*MANAGE)
def faults(request: StaffRequest, job_id: str) -> HttpResponse:
    """Give the list of bad rows, to be worked off beside the workbook."""
    one = _job(request, job_id)
    found = [Fault(**fault) for fault in jobs.findings_of(one).get("faults", ())]
    viewed(Actor.of(request), request.staff.community, "import faults", [one.pk])
    content = workbook.csv_of(workbook.fault_rows(found))
    return _download(content, f"faults-{one.pk}.csv", workbook.CSV)


@require_GET
@page(*MANAGE)
def file(request: StaffRequest, job_id: str) -> HttpResponse:
    """Give out a list that was made, to the one person who asked for it."""
    one = _job(request, job_id)
    if one.kind != JobKind.EXPORT or one.made is None or one.staff_id != request.staff.pk:
        raise Http404
    purpose = f"{one.params['purpose']}: {one.params['reason']}"
    viewed(Actor.of(request), request.staff.community, "export file", [one.pk], purpose)
    kind = workbook.CSV if one.params["format"] == exporting.Format.CSV else workbook.XLSX
    return _download(jobs.open_file("export", one.made), one.file_name, kind)


def _findings(one: Job) -> dict[str, Any]:
    if one.state not in (JobState.CHECKED, JobState.REFUSED):
        return {}
    found = jobs.findings_of(one)
    return {
        "faults": [Fault(**fault) for fault in found.get("faults", ())[:SHOWN]],
        "differences": [
            {
                **one_,
                "what": [
                    (FIELDS.get(name, name), before, after) for name, before, after in one_["what"]
                ],
            }
            for one_ in found.get("differences", ())[:SHOWN]
        ],
        "unknown": found.get("unknown", ()),
    }


def _lists_page(
    request: StaffRequest, file_form: FileForm, export_form: ExportForm, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    recent = Job.objects.filter(community=request.staff.community).exclude(kind=JobKind.BULK)
    rows = recent.defer("given", "made", "findings").order_by("-asked_at")[:RECENT]
    context = {
        "file_form": file_form,
        "export_form": export_form,
        "jobs": [jobs.looked_at(row, now) for row in rows],
    }
    return render(request, "office/lists.html", context, status=status)


def _job(request: StaffRequest, job_id: str) -> Job:
    return get_object_or_404(
        Job.objects.select_related("community"), pk=job_id, community=request.staff.community
    )


def _download(content: bytes, name: str, kind: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer.headers["Content-Disposition"] = content_disposition_header(True, name)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer

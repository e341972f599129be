"""The pages of privacy: what was agreed to, what was asked, what is let go, what is proven."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, attempt, bound, page, paged, query_of, submit
from anlin.hub.devices.models import Device
from anlin.hub.people.models import Consent, Holder, Purpose, Role
from anlin.hub.permissions import StaffRequest, buildings_of, holders_in_scope
from anlin.hub.privacy import assessment as pia
from anlin.hub.privacy import compliance, erase, export, faces
from anlin.hub.privacy import ledger as consents
from anlin.hub.privacy import receipts as deletions
from anlin.hub.privacy import requests as asking
from anlin.hub.privacy import retention as keeping
from anlin.hub.privacy.forms import (
    SECTION_WORDS,
    AnswerForm,
    AskForm,
    AssessmentForm,
    FilingForm,
    GiveForm,
    NoticeForm,
    RetentionForm,
    SiteForm,
)
from anlin.hub.privacy.models import (
    Ask,
    Assessment,
    Notice,
    Receipt,
    Request,
    Run,
    Site,
)
from anlin.hub.privacy.points import check_points

PAGE_SIZE = 40

KNOW = (Role.MANAGER, Role.AUDITOR)
"""Who may see what is about single persons."""
OVERSEE = (Role.MANAGER, Role.COMMITTEE, Role.AUDITOR)
"""Who may see how the house is run."""
PLACE = (Role.MANAGER, Role.INSTALLER, Role.AUDITOR)


def _context(request: StaffRequest, tab: str, **more: Any) -> dict[str, Any]:
    return {"tab": tab, "may_manage": request.staff.role in MANAGE, **more}


@require_GET
@page(*OVERSEE)
def home(request: StaffRequest) -> HttpResponse:
    items = compliance.checklist(request.staff.community)
    bad = sum(item.state != "good" for item in items)
    return render(request, "privacy/home.html", _context(request, "home", items=items, bad=bad))


# Consents


@require_GET
@page(*KNOW)
def ledger(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    query, show = query_of(request), request.GET.get("show", "")
    old = consents.outdated(community)
    found = old if show == "old" else Consent.objects.filter(holder__community=community)
    if show == "withdrawn":
        found = found.filter(withdrawn_at__isnull=False)
    if query:
        found = found.filter(Q(holder__name__icontains=query) | Q(given_by__icontains=query))
    if buildings_of(request.staff) is not None:
        found = found.filter(holder__in=holders_in_scope(request.staff))
    shown = paged(request, found.select_related("holder").order_by("-given_at"), PAGE_SIZE)
    viewed(
        Actor.of(request),
        community,
        "consents",
        sorted({one.holder_id for one in shown}),
        purpose="ledger",
    )
    outdated = set(old.values_list("pk", flat=True))
    rows = [{"consent": one, "is_old": one.pk in outdated} for one in shown]
    context = _context(
        request, "ledger", page=shown, rows=rows, q=query, show=show, old=len(outdated)
    )
    return render(request, "privacy/ledger.html", context)


@require_GET
@page(*KNOW)
def person(request: StaffRequest, holder_id: str) -> HttpResponse:
    holder = _holder(request, holder_id)
    return _person_page(request, holder)


@require_POST
@page(*MANAGE)
def give(request: StaffRequest, holder_id: str) -> HttpResponse:
    holder = _holder(request, holder_id)
    form = GiveForm(bound(request))

    def save() -> str:
        purpose = Purpose(form.cleaned_data["purpose"])
        given_by = form.cleaned_data["given_by"].strip()
        consents.give(holder, purpose, Actor.of(request), given_by=given_by)
        return reverse("privacy:person", args=[holder.pk])

    return submit(request, form, save, _("Written down.")) or _person_page(
        request, holder, give_form=form
    )


@require_POST
@page(*MANAGE)
def withdraw(request: StaffRequest, holder_id: str, purpose: str) -> HttpResponse:
    holder = _holder(request, holder_id)
    if purpose not in Purpose.values:
        raise Http404
    attempt(
        request,
        lambda: consents.withdraw(holder, Purpose(purpose), Actor.of(request)),
        _("Withdrawn. The receipt shows where it is deleted already."),
    )
    return redirect("privacy:person", holder.pk)


@require_POST
@page(*MANAGE)
def ask(request: StaffRequest, holder_id: str) -> HttpResponse:
    holder = _holder(request, holder_id)
    form = AskForm(bound(request))

    def save() -> str:
        made = asking.ask(
            holder, form.cleaned_data["kind"], form.cleaned_data["text"], Actor.of(request)
        )
        return reverse("privacy:request", args=[made.pk])

    return submit(request, form, save, _("Written down.")) or _person_page(
        request, holder, ask_form=form
    )


@require_POST
@page(*MANAGE)
def copy(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Give out the copy of everything that is held; only for an open request."""
    holder = _holder(request, holder_id)
    by = Actor.of(request)
    open_one = (
        asking.requests_of(holder)
        .filter(kind__in=(Ask.ACCESS, Ask.EXPORT), state__in=Request.OPEN)
        .first()
    )
    if open_one is None:
        open_one = asking.ask(holder, Ask.EXPORT, "", by)
    body, counts = export.make_zip(holder, by)
    asking.note_given(open_one, counts, by)
    answer = HttpResponse(body, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{holder.pk}.zip"'
    answer["Cache-Control"] = "no-store"
    return answer


def _person_page(
    request: StaffRequest,
    holder: Holder,
    *,
    give_form: GiveForm | None = None,
    ask_form: AskForm | None = None,
) -> HttpResponse:
    viewed(Actor.of(request), holder.community, "consents", [holder.pk], "privacy page")
    for receipt in holder.receipts.filter(completed_at=None):
        deletions.refresh(receipt)
    context = _context(
        request,
        "ledger",
        holder=holder,
        lines=consents.ledger_of(holder),
        receipts=deletions.receipts_of(holder),
        asked=asking.requests_of(holder),
        give_form=give_form or GiveForm(),
        ask_form=ask_form or AskForm(),
        notice=consents.notice_in_force(holder.community),
    )
    is_fault = give_form is not None or ask_form is not None
    return render(request, "privacy/person.html", context, status=422 if is_fault else 200)


def _holder(request: StaffRequest, holder_id: str) -> Holder:
    people = holders_in_scope(request.staff).select_related("community")
    return get_object_or_404(people, pk=holder_id)


# Notices


@require_GET
@page(*OVERSEE)
def notices(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    consents.notice_in_force(community)
    standing = Consent.objects.filter(holder__community=community, withdrawn_at=None)
    rows = [
        {"notice": one, "count": standing.filter(text_version=one.version).count()}
        for one in Notice.objects.filter(community=community).order_by("-published_at")
    ]
    context = _context(request, "notices", rows=rows, version=community.face_notice_version)
    return render(request, "privacy/notices.html", context)


@require_GET
@page(*OVERSEE)
def notice(request: StaffRequest, notice_id: str) -> HttpResponse:
    found = get_object_or_404(Notice, pk=notice_id, community=request.staff.community)
    texts = [
        {
            "language": language,
            "rows": [(SECTION_WORDS[name], text.get(name, "")) for name in Notice.SECTIONS],
        }
        for language, text in (("zh-hans", found.text_zh), ("en", found.text_en))
    ]
    return render(
        request, "privacy/notice.html", _context(request, "notices", notice=found, texts=texts)
    )


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def new_notice(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    form = NoticeForm(community, bound(request))

    def save() -> str:
        made = consents.publish_notice(
            community,
            form.cleaned_data["version"],
            form.text("zh"),
            form.text("en"),
            Actor.of(request),
            needs_new_consent=form.cleaned_data["needs_new_consent"],
        )
        return reverse("privacy:notice", args=[made.pk])

    done = _("Published. From now on people agree to this text.")
    answer = submit(request, form, save, done) if request.method == "POST" else None
    return answer or _form(request, "notices", _("Publish a new notice"), form, "privacy:notices")


# Deletions


@require_GET
@page(*KNOW)
def receipts(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    deletions.refresh_open(community)
    found = Receipt.objects.filter(community=community)
    if buildings_of(request.staff) is not None:
        found = found.filter(holder__in=holders_in_scope(request.staff))
    found = found.select_related("holder").prefetch_related("confirmations")
    shown = paged(request, found.order_by("-asked_at"), PAGE_SIZE)
    viewed(
        Actor.of(request),
        community,
        "receipts",
        sorted({one.holder_id for one in shown if one.holder_id}),
        purpose="deletions",
    )
    return render(request, "privacy/receipts.html", _context(request, "receipts", page=shown))


@require_GET
@page(*KNOW)
def receipt(request: StaffRequest, receipt_id: str) -> HttpResponse:
    community = request.staff.community
    found = get_object_or_404(Receipt, pk=receipt_id, community=community)
    if found.holder_id is not None:
        _holder(request, found.holder_id)
        viewed(Actor.of(request), community, "receipts", [found.holder_id], "receipt")
    elif buildings_of(request.staff) is not None:
        raise Http404
    deletions.refresh(found)
    rows = found.confirmations.order_by("confirmed_at", "name")
    context = _context(request, "receipts", receipt=found, rows=rows, now=timezone.now())
    return render(request, "privacy/receipt.html", context)


@require_GET
@page(*OVERSEE, Role.INSTALLER)
def points(request: StaffRequest) -> HttpResponse:
    found = check_points(request.staff.community)
    context = _context(
        request,
        "points",
        rows=found,
        alone=sum(one.is_face_alone for one in found),
        unequal=sum(not one.is_equal for one in found),
    )
    return render(request, "privacy/points.html", context)


# Requests


@require_GET
@page(*KNOW)
def requests(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    is_all = request.GET.get("show") == "all"
    found = Request.objects.filter(community=community).select_related("holder")
    if not is_all:
        found = found.filter(state__in=Request.OPEN)
    if buildings_of(request.staff) is not None:
        found = found.filter(holder__in=holders_in_scope(request.staff))
    order = ("-asked_at",) if is_all else ("due_on", "asked_at")
    shown = paged(request, found.order_by(*order), PAGE_SIZE)
    viewed(
        Actor.of(request),
        community,
        "requests",
        sorted({one.holder_id for one in shown if one.holder_id}),
        purpose="data requests",
    )
    today = timezone.now().astimezone(ZoneInfo(community.zone)).date()
    context = _context(request, "requests", page=shown, today=today, is_all=is_all)
    return render(request, "privacy/requests.html", context)


@require_GET
@page(*KNOW)
def request_page(request: StaffRequest, request_id: str) -> HttpResponse:
    return _request_page(request, _request(request, request_id), AnswerForm())


@require_POST
@page(*MANAGE)
def answer(request: StaffRequest, request_id: str, act: str) -> HttpResponse:
    found = _request(request, request_id)
    by = Actor.of(request)
    if act == "take":
        attempt(request, lambda: asking.take(found, by), _("You handle it now."))
        return redirect("privacy:request", found.pk)
    if act not in ("finish", "refuse"):
        raise Http404
    form = AnswerForm(bound(request))

    def save() -> str:
        do = asking.finish if act == "finish" else asking.refuse
        do(found, form.cleaned_data["answer"], by)
        return reverse("privacy:request", args=[found.pk])

    done = submit(request, form, save, _("Answered."))
    return done or _request_page(request, found, form, status=422)


def _request(request: StaffRequest, request_id: str) -> Request:
    rows = Request.objects.select_related("holder__community", "community")
    found = get_object_or_404(rows, pk=request_id, community=request.staff.community)
    if found.holder_id is not None:
        _holder(request, found.holder_id)
    elif buildings_of(request.staff) is not None:
        raise Http404
    return found


def _request_page(
    request: StaffRequest, found: Request, form: AnswerForm, status: int = 200
) -> HttpResponse:
    if found.holder_id is not None:
        viewed(Actor.of(request), found.community, "requests", [found.holder_id], "data request")
    why_not = ""
    if found.holder is not None and found.kind == Ask.DELETE:
        why_not = erase.why_not(found.holder)
    today = timezone.now().astimezone(ZoneInfo(found.community.zone)).date()
    context = _context(
        request,
        "requests",
        row=found,
        form=form,
        is_open=found.state in Request.OPEN,
        is_late=found.state in Request.OPEN and found.due_on < today,
        why_not=why_not,
        gives_copy=found.kind in (Ask.ACCESS, Ask.EXPORT),
        deletes=found.kind == Ask.DELETE,
        outcome=sorted(found.outcome.items()),
    )
    return render(request, "privacy/request.html", context, status=status)


# Retention


@require_GET
@page(*OVERSEE)
def retention(request: StaffRequest) -> HttpResponse:
    return _retention_page(request, RetentionForm(request.staff.community))


@require_POST
@page(*MANAGE)
def set_retention(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    form = RetentionForm(community, bound(request))

    def save() -> str:
        keeping.set_limits(community, form.hours(), Actor.of(request))
        return reverse("privacy:retention")

    done = submit(request, form, save, _("Set. The next run goes by it."))
    return done or _retention_page(request, form, status=422)


@require_POST
@page(*MANAGE)
def run_retention(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    attempt(
        request,
        lambda: keeping.run_all(community, Actor.of(request)),
        _("Done. The evidence stands below."),
    )
    return redirect("privacy:retention")


def _retention_page(request: StaffRequest, form: RetentionForm, status: int = 200) -> HttpResponse:
    community = request.staff.community
    runs = Run.objects.filter(community=community).order_by("-started_at")
    shown = paged(request, runs, PAGE_SIZE)
    context = _context(
        request,
        "retention",
        previews=keeping.preview(community),
        page=shown,
        runs=[{"run": one, "rule": keeping.RULES.get(one.kind)} for one in shown],
        form=form,
    )
    return render(request, "privacy/retention.html", context, status=status)


# Filing and cameras


@require_http_methods(["GET", "POST"])
@page(*OVERSEE)
def filing(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    may_manage = request.staff.role in MANAGE
    if request.method == "POST" and not may_manage:
        return HttpResponse(status=403)
    row = keeping.settings_of(community)
    fields = (
        "processor",
        "contact",
        "credit_code",
        "answer_days",
        "filed_on",
        "filing_number",
        "filing_note",
    )
    form = FilingForm(bound(request), initial={name: getattr(row, name) for name in fields})

    def save() -> str:
        faces.set_filing(community, Actor.of(request), **form.cleaned_data)
        return reverse("privacy:filing")

    done = submit(request, form, save, _("Written down.")) if request.method == "POST" else None
    if done is not None:
        return done
    context = _context(request, "filing", counter=faces.counter(community), form=form)
    return render(request, "privacy/filing.html", context, status=422 if request.POST else 200)


@require_GET
@page(*MANAGE)
def filing_data(request: StaffRequest) -> HttpResponse:
    """Give the facts that the filing asks for, as a file; no person is in it."""
    community = request.staff.community
    row = keeping.settings_of(community)
    newest = pia.newest(community)
    data = {
        "processor": row.processor,
        "contact": row.contact,
        "unified_social_credit_code": row.credit_code,
        "community": community.name,
        "persons_with_stored_face": faces.stored_persons(),
        "assessment": newest.number if newest is not None else None,
        "facts": pia.facts_now(community),
        "cameras": [
            {
                "name": one.device.name,
                "faces": one.has_faces,
                "area": one.site.area if one.site is not None else None,
                "sign": one.site.sign_place if one.site is not None else None,
                "filed_on": one.site.filed_on if one.site is not None else None,
                "filing_number": one.site.filing_number if one.site is not None else None,
            }
            for one in faces.register(community, timezone.localdate())
        ],
    }
    answer = JsonResponse(data, json_dumps_params={"ensure_ascii": False, "indent": 1})
    answer["Content-Disposition"] = 'attachment; filename="filing.json"'
    return answer


@require_GET
@page(*PLACE, Role.COMMITTEE)
def cameras(request: StaffRequest) -> HttpResponse:
    rows = faces.register(request.staff.community, timezone.localdate())
    context = _context(request, "cameras", rows=rows)
    context["may_place"] = request.staff.role in (Role.MANAGER, Role.INSTALLER)
    return render(request, "privacy/cameras.html", context)


@require_http_methods(["GET", "POST"])
@page(Role.MANAGER, Role.INSTALLER)
def camera(request: StaffRequest, device_id: str) -> HttpResponse:
    community = request.staff.community
    device = get_object_or_404(
        Device.objects.select_related("node__community"),
        pk=device_id,
        node__community=community,
        driver__in=("camera", "face_terminal"),
    )
    site = Site.objects.filter(device=device).first()
    initial = {name: getattr(site, name) for name in SiteForm.base_fields} if site else {}
    form = SiteForm(bound(request), initial=initial)

    def save() -> str:
        values = dict(form.cleaned_data)
        values["sign_seen_by"] = request.staff.user.get_username() if values["sign_seen_on"] else ""
        faces.set_site(device, Actor.of(request), **values)
        return reverse("privacy:cameras")

    done = submit(request, form, save, _("Written down.")) if request.method == "POST" else None
    return done or _form(request, "cameras", device.name, form, "privacy:cameras")


# Assessment


@require_GET
@page(*OVERSEE)
def assessments(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    newest = pia.newest(community)
    context = _context(
        request,
        "assessments",
        page=paged(
            request, Assessment.objects.filter(community=community).order_by("-number"), PAGE_SIZE
        ),
        newest=newest,
        changed=pia.changed_since(newest) if newest is not None else [],
    )
    return render(request, "privacy/assessments.html", context)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def make_assessment(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    newest = pia.newest(community)
    form = AssessmentForm(
        bound(request), initial={"remarks": newest.remarks if newest is not None else ""}
    )

    def save() -> str:
        made = pia.make(community, form.cleaned_data["remarks"], Actor.of(request))
        return reverse("privacy:assessment", args=[made.pk])

    done = submit(request, form, save, _("Made.")) if request.method == "POST" else None
    return done or _form(
        request, "assessments", _("Make the next assessment"), form, "privacy:assessments"
    )


@require_GET
@page(*OVERSEE)
def assessment(request: StaffRequest, assessment_id: str) -> HttpResponse:
    found = get_object_or_404(Assessment, pk=assessment_id, community=request.staff.community)
    settings = found.facts["settings"]
    context = _context(
        request,
        "assessments",
        row=found,
        settings=settings,
        counts=found.facts["counts"],
        roles=[(Role(role).label, count) for role, count in sorted(found.facts["roles"].items())],
        kept=[
            (keeping.RULES[kind].word, keeping.span(hours))
            for kind, hours in settings["retention_h"].items()
            if kind in keeping.RULES
        ],
        changed=pia.changed_since(found),
        is_newest=found == pia.newest(found.community),
    )
    return render(request, "privacy/assessment.html", context)


@require_POST
@page(*MANAGE)
def approve(request: StaffRequest, assessment_id: str) -> HttpResponse:
    found = get_object_or_404(Assessment, pk=assessment_id, community=request.staff.community)
    attempt(request, lambda: pia.approve(found, Actor.of(request)), _("Approved, with your name."))
    return redirect("privacy:assessment", found.pk)


def _form(request: StaffRequest, tab: str, title: str, form: Any, back: str) -> HttpResponse:
    context = _context(request, tab, title=title, form=form, back=reverse(back))
    return render(request, "privacy/form.html", context, status=422 if form.errors else 200)

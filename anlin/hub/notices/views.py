"""Notices as staff write, preview, publish and withdraw them, and what became of them."""

from __future__ import annotations

import secrets

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import attempt, bound, page, paged, submit
from anlin.hub.notices import board
from anlin.hub.notices.forms import NoticeForm, WithdrawForm
from anlin.hub.notices.models import Notice, NoticeState
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

READ = (Role.GUARD, Role.MANAGER, Role.COMMITTEE)
WRITE = (Role.MANAGER, Role.COMMITTEE)
NAMES = (Role.MANAGER,)
"""Who reads which residents a notice has not reached: the committee reads numbers."""
PAGE_SIZE = 30


@require_GET
@page(*READ)
def listed(request: StaffRequest) -> HttpResponse:
    shown = paged(request, board.notices_of(request.staff), PAGE_SIZE)
    data = {"page": shown, "may_write": request.staff.role in WRITE}
    return render(request, "notices/list.html", data)


@require_http_methods(["GET", "POST"])
@page(*WRITE)
def new(request: StaffRequest) -> HttpResponse:
    first = {"sent": secrets.token_urlsafe(16)}
    form = NoticeForm(request.staff, bound(request), initial=first)

    def save() -> str:
        sent_id = form.cleaned_data["sent"]
        notice = board.write(request.staff, form.draft, Actor.of(request), sent_id=sent_id)
        return reverse("notices:notice", args=[notice.pk])

    saved = submit(request, form, save, _("Read it once more, then publish it."))
    if saved is not None:
        return saved
    status = 422 if form.is_bound else 200
    return render(request, "notices/form.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@page(*WRITE)
def edit(request: StaffRequest, notice_id: str) -> HttpResponse:
    notice = _notice(request, notice_id)
    if notice.state != NoticeState.DRAFT or not board.may_write(request.staff, notice):
        return redirect("notices:notice", notice.pk)
    form = NoticeForm(request.staff, bound(request), initial=NoticeForm.of(notice))

    def save() -> str:
        board.edit(request.staff, notice, form.draft, Actor.of(request))
        return reverse("notices:notice", args=[notice.pk])

    saved = submit(request, form, save, _("Read it once more, then publish it."))
    if saved is not None:
        return saved
    status = 422 if form.is_bound else 200
    data = {"form": form, "notice": notice}
    return render(request, "notices/form.html", data, status=status)


@require_GET
@page(*READ)
def notice(request: StaffRequest, notice_id: str) -> HttpResponse:
    return _page(request, _notice(request, notice_id))


@require_POST
@page(*WRITE)
def publish(request: StaffRequest, notice_id: str) -> HttpResponse:
    found = _own(request, notice_id)

    def do() -> None:
        if not board.publish(found, Actor.of(request)):
            return
        found.refresh_from_db()

    if attempt(request, do, _("It is on its way.")):
        found.refresh_from_db()
        if found.state == NoticeState.PLANNED:
            messages.info(request, _("It goes out at the time that you chose."))
    return redirect("notices:notice", found.pk)


@require_POST
@page(*WRITE)
def withdraw(request: StaffRequest, notice_id: str) -> HttpResponse:
    found = _own(request, notice_id)
    form = WithdrawForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form)
    why = form.cleaned_data["why"]
    attempt(
        request,
        lambda: board.withdraw(found, Actor.of(request), why),
        _("Withdrawn. Residents read that it was."),
    )
    return redirect("notices:notice", found.pk)


@require_GET
@page(*NAMES)
def missed(request: StaffRequest, notice_id: str) -> HttpResponse:
    found = _notice(request, notice_id)
    rows = board.missed(found, request.staff, timezone.now())
    shown = paged(request, rows, 100)
    viewed(
        Actor.of(request),
        found.community,
        "holder",
        [row.holder.pk for row in shown],
        purpose="notice not reached",
    )
    return render(request, "notices/missed.html", {"notice": found, "page": shown})


def _page(request: StaffRequest, found: Notice, form: WithdrawForm | None = None) -> HttpResponse:
    role = request.staff.role
    is_draft = found.state == NoticeState.DRAFT
    data = {
        "notice": found,
        "buildings": [one.name for one in found.buildings.order_by("name")],
        "units": list(found.units.select_related("building").order_by("building__name", "code")),
        "count": board.recipients(found, timezone.now()).count() if is_draft else None,
        "counts": board.counts(found) if found.published_at else None,
        "may_write": role in WRITE and board.may_write(request.staff, found),
        "may_see_names": role in NAMES,
        "form": form or WithdrawForm(),
    }
    status = 422 if form is not None else 200
    return render(request, "notices/notice.html", data, status=status)


def _notice(request: StaffRequest, notice_id: str) -> Notice:
    found = board.in_community(request.staff.community, notice_id)
    if found is None:
        raise Http404(notice_id)
    return found


def _own(request: StaffRequest, notice_id: str) -> Notice:
    """Give a notice that this member of staff may publish and withdraw."""
    found = _notice(request, notice_id)
    if not board.may_write(request.staff, found):
        raise Http404(notice_id)
    return found

"""What owners of a home are asked on their phones: does this person belong here?"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from anlin.hub.join import services
from anlin.hub.join.models import Application
from anlin.hub.resident.homes import NotYoursError
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page


@require_GET
@page
def waiting(request: HomeRequest) -> HttpResponse:
    applications = services.waiting_for_owner(request.holder)
    return render(request, "join/waiting.html", {"applications": applications})


@require_POST
@page
def answer(request: HomeRequest, application_id: str) -> HttpResponse:
    is_agreed = request.POST.get("answer") == "yes"
    application = Application.objects.filter(pk=application_id).first()
    if application is None or not services.is_asked(application, request.holder):
        raise NotYoursError(application_id)
    done = _("Thank you. The property office is asked now.") if is_agreed else _("Refused.")
    attempt(
        request,
        lambda: services.owner_answers(
            application, request.holder, actor(request), is_agreed=is_agreed
        ),
        done,
    )
    return redirect("join:waiting")


@require_POST
@page
def take_back(request: HomeRequest, application_id: str) -> HttpResponse:
    application = Application.objects.filter(pk=application_id, asked_by=request.holder).first()
    if application is None:
        raise NotYoursError(application_id)
    attempt(
        request,
        lambda: services.take_back(application, request.holder, actor(request)),
        _("Your request was taken back."),
    )
    return redirect("resident:family")

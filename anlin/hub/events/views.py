"""Pictures of events, for those who may see them; each look is written down."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponseNotFound
from django.http.response import HttpResponseBase

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.events.models import Picture
from anlin.hub.events.pictures import path_of
from anlin.hub.people.models import Role
from anlin.hub.permissions import allowed, staff_in


@allowed(Role.GUARD, Role.MANAGER, Role.AUDITOR)
def picture(request: HttpRequest, sha256: str) -> HttpResponseBase:
    staff = staff_in(request)
    is_ours = Picture.objects.filter(sha256=sha256, community=staff.community_id).exists()
    path = path_of(sha256)
    if not is_ours or not path.exists():
        return HttpResponseNotFound()
    viewed(Actor.of(request), staff.community, "picture", [sha256])
    response = FileResponse(path.open("rb"), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=43200, immutable"
    return response

"""Pictures of events, for those who may see them; each look is written down."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotFound
from django.http.response import HttpResponseBase
from django.utils import timezone

from anlin.hub.audit import watermark
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
    if "take" in request.GET:
        return _taken_out(request, sha256, path.read_bytes())
    viewed(Actor.of(request), staff.community, "picture", [sha256])
    response = FileResponse(path.open("rb"), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=43200, immutable"
    return response


def _taken_out(request: HttpRequest, sha256: str, plain: bytes) -> HttpResponse:
    """Give a picture to be taken out of here: who took it, when and what for is drawn into it."""
    by, community = Actor.of(request), staff_in(request).community
    purpose = request.GET["take"].replace("\x00", "").strip()[:60]
    with timezone.override(community.zone):
        made = watermark.drawn(plain, by, purpose)
    viewed(by, community, "picture", [sha256], f"taken out {purpose}".strip())
    answer = HttpResponse(made, content_type="image/jpeg")
    answer["Content-Disposition"] = f'attachment; filename="anlin-{sha256[:12]}.jpg"'
    answer["Cache-Control"] = "no-store"
    return answer

"""Every address of the web process. The live process has its own: `anlin.hub.live`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from anlin.hub.api import api
from anlin.hub.events.views import picture

urlpatterns: list[URLPattern | URLResolver] = [
    path("sync/v1/", include("anlin.hub.sync.urls")),
    path("api/v1/", api.urls),
    re_path(r"^media/(?P<sha256>[0-9a-f]{64})\.jpg$", picture, name="picture"),
    path("", include("anlin.hub.console.urls")),
    path("", include("anlin.hub.people.urls")),
    path("", include("anlin.hub.access.urls")),
    path("", include("anlin.hub.devices.urls")),
    path("", include("anlin.hub.state.urls")),
    path("", include("anlin.hub.explain.urls")),
    path("setup/", include("anlin.hub.setup.urls")),
    path("", include("anlin.hub.vehicles.urls")),
    path("", include("anlin.hub.visits.urls")),
    path("watch/", include("anlin.hub.watch.urls")),
    path("privacy/", include("anlin.hub.privacy.urls")),
    path("office/", include("anlin.hub.office.urls")),
    path("", include("anlin.hub.accounts.urls")),
    path("home/", include("anlin.hub.resident.urls")),
    path("", include("anlin.hub.resident.desk_urls")),
    path("", include("anlin.hub.audit.urls")),
    path("", include("anlin.hub.join.urls")),
    path("", include("anlin.hub.notices.urls")),
    path("", include("anlin.hub.notices.home_urls")),
]

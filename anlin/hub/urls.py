"""Every address of the web process. The live process has its own: `anlin.hub.live`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("anlin.hub.console.urls")),
    path("", include("anlin.hub.people.urls")),
    path("", include("anlin.hub.access.urls")),
    path("", include("anlin.hub.devices.urls")),
]

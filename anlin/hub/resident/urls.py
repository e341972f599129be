from __future__ import annotations

from django.urls import path

from anlin.hub.resident import install, more_views, views

app_name = "resident"
urlpatterns = [
    path("", views.home, name="home"),
    path("view", views.view, name="view"),
    path("manifest.webmanifest", install.manifest, name="manifest"),
    path("sw.js", install.worker, name="worker"),
    path("offline", install.offline, name="offline"),
    path("qr", more_views.own_qr, name="qr"),
    path("more", more_views.more, name="more"),
    path("help", more_views.help_page, name="help"),
    path("doors/<str:point_id>", views.door, name="door"),
    path("doors/<str:point_id>/open", views.open_door, name="open"),
    path("doors/<str:point_id>/<str:sha256>.jpg", views.door_picture, name="door_picture"),
    path("openings/<str:opening_id>", views.opening, name="opening"),
]

"""Addresses that edges call in the web process."""

from __future__ import annotations

from django.urls import path

from anlin.hub.sync import photos, views

urlpatterns = [
    path("enrol", views.enrol),
    path("events", views.events),
    path("media/<str:sha256>.jpg", views.media),
    path("photos/<str:credential>", photos.photo),
]

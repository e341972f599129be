from __future__ import annotations

from django.urls import path

from anlin.hub.audit import views

app_name = "audit"
urlpatterns = [
    path("changes", views.changes, name="changes"),
    path("changes/looks", views.looks, name="looks"),
]

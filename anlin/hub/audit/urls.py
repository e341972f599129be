from __future__ import annotations

from django.urls import path

from anlin.hub.audit import views

app_name = "audit"
urlpatterns = [
    path("changes", views.changes, name="changes"),
    path("changes/looks", views.looks, name="looks"),
    path("changes/export", views.export, {"log": "changes"}, name="export_changes"),
    path("changes/looks/export", views.export, {"log": "looks"}, name="export_looks"),
]

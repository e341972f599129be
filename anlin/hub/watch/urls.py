from __future__ import annotations

from django.urls import path

from anlin.hub.watch import views

app_name = "watch"
urlpatterns = [
    path("", views.entries, name="entries"),
    path("new", views.propose, name="propose"),
    path("<str:entry_id>", views.entry, name="entry"),
    path("<str:entry_id>/approve", views.approve, name="approve"),
    path("<str:entry_id>/end", views.end, name="end"),
    path("<str:entry_id>/hits/<int:position>", views.feedback, name="feedback"),
]

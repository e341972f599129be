from __future__ import annotations

from django.urls import path

from anlin.hub.notices import views

app_name = "notices"
urlpatterns = [
    path("notices", views.listed, name="list"),
    path("notices/new", views.new, name="new"),
    path("notices/<str:notice_id>", views.notice, name="notice"),
    path("notices/<str:notice_id>/edit", views.edit, name="edit"),
    path("notices/<str:notice_id>/publish", views.publish, name="publish"),
    path("notices/<str:notice_id>/withdraw", views.withdraw, name="withdraw"),
    path("notices/<str:notice_id>/missed", views.missed, name="missed"),
]

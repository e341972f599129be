from __future__ import annotations

from django.urls import path

from anlin.hub.resident import desk_views

app_name = "resident_desk"
urlpatterns = [
    path("household-asks", desk_views.asks, name="asks"),
    path("household-asks/<str:ask_id>", desk_views.answer, name="answer"),
    path("help-lines", desk_views.lines, name="lines"),
    path("help-lines/<str:line_id>/remove", desk_views.remove_line, name="remove_line"),
]

from __future__ import annotations

from django.urls import path, re_path

from anlin.hub.access import views

app_name = "access"
urlpatterns = [
    path("points", views.points, name="points"),
    path("portals/<str:portal_id>/command", views.command, name="command"),
    path("commands", views.recent, name="recent"),
    path("commands/<str:command_id>", views.sent, name="sent"),
    path("lockdown", views.lockdown, name="lockdown"),
    re_path(
        r"^credentials/(?P<credential_id>[^/]+)/(?P<action>lost|suspend|resume|revoke)$",
        views.change_credential,
        name="change_credential",
    ),
    path("visits", views.passes, name="passes"),
    path("visits/new", views.issue, name="issue"),
    path("visits/<str:pass_id>", views.visitor_pass, name="pass"),
    path("visits/<str:pass_id>/revoke", views.revoke_pass, name="revoke_pass"),
]

from __future__ import annotations

from django.urls import path

from anlin.hub.accounts import enter
from anlin.hub.console import views

app_name = "console"
urlpatterns = [
    path("", views.live, name="live"),
    path("console/rows", views.rows, name="rows"),
    path("console/state", views.state, name="state"),
    path("events/<int:position>", views.event, name="event"),
    path("more", views.more, name="more"),
    path("login", enter.login, name="login"),
    path("logout", views.logout, name="logout"),
    path("language", views.language, name="language"),
]

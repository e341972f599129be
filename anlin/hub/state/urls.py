from __future__ import annotations

from django.urls import path

from anlin.hub.state import views

app_name = "state"
urlpatterns = [
    path("inside", views.roll_call, name="inside"),
    path("cars", views.cars, name="cars"),
    path("cars/left", views.left, name="left"),
    path("fire", views.fire, name="fire"),
    path("tables", views.tables, name="tables"),
    path("events/<int:position>/notice", views.notice, name="notice"),
    path("screen/<str:point_id>", views.screen, name="screen"),
    path("screens", views.screens, name="screens"),
    path("screens/<str:point_id>/key", views.screen_key, name="screen_key"),
]

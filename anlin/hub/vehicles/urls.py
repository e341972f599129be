from __future__ import annotations

from django.urls import path, re_path

from anlin.hub.vehicles import views

app_name = "vehicles"
urlpatterns = [
    path("vehicles", views.vehicles, name="vehicles"),
    path("vehicles/rule", views.rule, name="rule"),
    path("vehicles/<str:vehicle_id>", views.vehicle, name="vehicle"),
    path("vehicles/<str:vehicle_id>/change", views.change_vehicle, name="change_vehicle"),
    re_path(
        r"^vehicles/(?P<vehicle_id>[^/]+)/(?P<action>approve|refuse|end)$",
        views.decide,
        name="decide",
    ),
    path("vehicles/<str:vehicle_id>/owner/<str:holder_id>", views.give_to, name="give_to"),
    path("holders/<str:holder_id>/vehicles/new", views.add_vehicle, name="add_vehicle"),
    path("holders/<str:holder_id>/ebikes/new", views.add_ebike, name="add_ebike"),
    path("ebikes/<str:ebike_id>", views.ebike, name="ebike"),
    path("ebikes/<str:ebike_id>/end", views.end_ebike, name="end_ebike"),
]

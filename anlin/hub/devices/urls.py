from __future__ import annotations

from django.urls import path

from anlin.hub.devices import views

app_name = "devices"
urlpatterns = [
    path("nodes", views.nodes, name="nodes"),
    path("nodes/new", views.create, name="create"),
    path("nodes/<str:node_id>/code", views.renew, name="renew"),
]

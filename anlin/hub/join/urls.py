from __future__ import annotations

from django.urls import path

from anlin.hub.join import owner_views, views

app_name = "join"
urlpatterns = [
    path("join/<str:community_id>", views.join, name="join"),
    path("joined/<str:secret>", views.followed, name="followed"),
    path("joined/<str:secret>/withdraw", views.withdraw, name="withdraw"),
    path("home/requests", owner_views.waiting, name="waiting"),
    path("home/requests/<str:application_id>", owner_views.answer, name="answer"),
    path("home/requests/<str:application_id>/back", owner_views.take_back, name="take_back"),
    path("requests", views.requests, name="requests"),
    path("requests/poster", views.poster, name="poster"),
    path("requests/<str:application_id>", views.request_page, name="request"),
    path("requests/<str:application_id>/photo", views.photo, name="photo"),
    path("requests/<str:application_id>/approve", views.approve, name="approve"),
    path("requests/<str:application_id>/refuse", views.refuse, name="refuse"),
]

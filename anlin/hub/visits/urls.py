from __future__ import annotations

from django.urls import path, re_path

from anlin.hub.visits import public_views, views

app_name = "visits"
urlpatterns = [
    path("visitors", views.today, name="today"),
    path("visitors/all", views.past, name="past"),
    path("visitors/new", views.walk_in, name="walk_in"),
    path("visitors/barred", views.barred, name="barred"),
    path("visitors/barred/new", views.new_bar, name="new_bar"),
    path("visitors/barred/<str:bar_id>", views.bar, name="bar"),
    path("visitors/rules", views.rules, name="rules"),
    path("visitors/<str:visit_id>", views.visit, name="visit"),
    re_path(
        r"^visitors/(?P<visit_id>[^/]+)/(?P<action>agreed|refuse|arrived|left|cancel)$",
        views.act,
        name="act",
    ),
    re_path(
        r"^visitors/(?P<visit_id>[^/]+)/office/(?P<action>approve|refuse)$",
        views.office,
        name="office",
    ),
    path("visit/answer/<str:signed>", public_views.answer, name="answer"),
    path("visit/<str:community_id>", public_views.ask, name="ask"),
    path("v/time", public_views.clock, name="clock"),
    path("v/keeper.js", public_views.keeper, name="keeper"),
    path("v/<str:token>", public_views.visitor_pass, name="pass"),
    path("v/<str:token>/call-off", public_views.call_off, name="call_off"),
    path("v/<str:token>/write", public_views.appeal, name="appeal"),
    path("v/<str:token>/face", public_views.face, name="face"),
]

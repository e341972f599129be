from __future__ import annotations

from django.urls import path

from anlin.hub.resident import (
    family_views,
    install,
    mine_views,
    more_views,
    vehicle_views,
    views,
    visitor_views,
)

app_name = "resident"
urlpatterns = [
    path("", views.home, name="home"),
    path("view", views.view, name="view"),
    path("manifest.webmanifest", install.manifest, name="manifest"),
    path("sw.js", install.worker, name="worker"),
    path("offline", install.offline, name="offline"),
    path("doors/<str:point_id>", views.door, name="door"),
    path("doors/<str:point_id>/open", views.open_door, name="open"),
    path("doors/<str:point_id>/<str:sha256>.jpg", views.door_picture, name="door_picture"),
    path("openings/<str:opening_id>", views.opening, name="opening"),
    path("qr", more_views.own_qr, name="qr"),
    path("more", more_views.more, name="more"),
    path("today", more_views.today, name="today"),
    path("help", more_views.help_page, name="help"),
    path("contacts/<str:unit_id>/add", more_views.add_contact, name="add_contact"),
    path("contacts/<str:contact_id>/remove", more_views.remove_contact, name="remove_contact"),
    path("family", family_views.family, name="family"),
    path("family/<str:unit_id>/add", family_views.add, name="add"),
    path("family/<str:holder_id>/remove", family_views.remove, name="remove"),
    path("family/<str:holder_id>/remote", family_views.remote, name="remote"),
    path("asks/<str:ask_id>/back", family_views.take_back, name="take_back"),
    path("keys", mine_views.keys, name="keys"),
    path("keys/pin", mine_views.pin, name="pin"),
    path("keys/face", mine_views.face, name="face"),
    path("keys/<str:credential_id>/lost", mine_views.lost, name="lost"),
    path("looks", mine_views.looks, name="looks"),
    path("visitors", visitor_views.listed, name="visitors"),
    path("visitors/<str:visit_id>", visitor_views.one, name="visit"),
    path("visitors/<str:visit_id>/answer", visitor_views.answer, name="visit_answer"),
    path("visitors/<str:unit_id>/invite", visitor_views.invite, name="invite"),
    path("visitors/<str:unit_id>/courier", visitor_views.courier, name="courier"),
    path("cars", vehicle_views.listed, name="vehicles"),
    path("cars/add", vehicle_views.add_car, name="add_car"),
    path("cars/add-bike", vehicle_views.add_bike, name="add_bike"),
    path("cars/<str:vehicle_id>/end", vehicle_views.end_car, name="end_car"),
    path("bikes/<str:ebike_id>/end", vehicle_views.end_bike, name="end_bike"),
]

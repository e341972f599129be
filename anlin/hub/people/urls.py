from __future__ import annotations

from django.urls import path, re_path

from anlin.hub.people import views

app_name = "people"
urlpatterns = [
    path("holders", views.holders, name="holders"),
    path("holders/new", views.register, name="register"),
    path("holders/<str:holder_id>", views.holder, name="holder"),
    path("holders/<str:holder_id>/edit", views.edit, name="edit"),
    path("holders/<str:holder_id>/homes", views.add_residency, name="add_residency"),
    path("holders/<str:holder_id>/face", views.face, name="face"),
    path("holders/<str:holder_id>/consent", views.give_consent, name="give_consent"),
    re_path(
        r"^holders/(?P<holder_id>[^/]+)/consent/(?P<purpose>face|photo)/withdraw$",
        views.withdraw_consent,
        name="withdraw_consent",
    ),
    path("holders/<str:holder_id>/card", views.add_card, name="add_card"),
    path("holders/<str:holder_id>/card/wait", views.wait_for_card, name="wait_for_card"),
    path("holders/<str:holder_id>/pin", views.set_pin, name="set_pin"),
    path("holders/<str:holder_id>/plate", views.add_plate, name="add_plate"),
    re_path(
        r"^holders/(?P<holder_id>[^/]+)/(?P<action>suspend|resume|move-out)$",
        views.change_status,
        name="change_status",
    ),
    path("residencies/<str:residency_id>/end", views.end_residency, name="end_residency"),
]

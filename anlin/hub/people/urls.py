from __future__ import annotations

from django.urls import path, re_path

from anlin.hub.people import attention_views, home_views, identity_views, views

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
    path(
        "holders/<str:holder_id>/cards/<str:credential_id>/replace",
        views.replace_card,
        name="replace_card",
    ),
    path("holders/<str:holder_id>/identity", identity_views.identity, name="identity"),
    re_path(
        r"^holders/(?P<holder_id>[^/]+)/identity/prove/(?P<how>clerk|reader|outside)$",
        identity_views.prove,
        name="prove_identity",
    ),
    path("holders/<str:holder_id>/identity/number", identity_views.number, name="id_number"),
    path("holders/<str:holder_id>/identity/forget", identity_views.forget, name="forget_identity"),
    path("doubles", identity_views.doubles, name="doubles"),
    path("attention", attention_views.attention, name="attention"),
    path("holders/<str:holder_id>/attention", attention_views.attend, name="attend"),
    path("attention/<str:attention_id>/end", attention_views.end_attention, name="end_attention"),
    path("homes", home_views.homes, name="homes"),
    path("homes/<str:unit_id>", home_views.home, name="home"),
    path("homes/<str:unit_id>/edit", home_views.edit_home, name="edit_home"),
    path("buildings/<str:building_id>/place", home_views.place, name="place"),
    path("residencies/<str:residency_id>/end", views.end_residency, name="end_residency"),
    path(
        "residencies/<str:residency_id>/proof", home_views.prove_residency, name="prove_residency"
    ),
    path("residencies/<str:residency_id>/lease", home_views.set_lease_end, name="lease_end"),
]

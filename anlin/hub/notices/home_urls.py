from __future__ import annotations

from django.urls import path

from anlin.hub.notices import home_views

app_name = "home_notices"
urlpatterns = [
    path("home/notices", home_views.listed, name="list"),
    path("home/notices/<str:notice_id>", home_views.one, name="notice"),
    path("home/notices/m/<str:delivery_id>", home_views.message, name="message"),
    path("home/push", home_views.push, name="push"),
    path("home/push/on", home_views.push_on, name="push_on"),
    path("home/push/test", home_views.test, name="test"),
    path("home/push/wishes", home_views.choose, name="choose"),
    path("home/push/mail/<str:token>", home_views.mail, name="mail"),
    path("home/push/got/<str:code>", home_views.receipt, name="receipt"),
    path("home/push/<str:device_id>/off", home_views.push_off, name="push_off"),
]

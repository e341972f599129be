from __future__ import annotations

from django.urls import path

from anlin.hub.explain import views

app_name = "explain"
urlpatterns = [path("what-if", views.ask, name="ask")]

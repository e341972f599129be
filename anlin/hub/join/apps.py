from __future__ import annotations

from django.apps import AppConfig


class JoinConfig(AppConfig):
    name = "anlin.hub.join"

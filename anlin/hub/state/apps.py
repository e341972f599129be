from __future__ import annotations

from django.apps import AppConfig


class StateConfig(AppConfig):
    name = "anlin.hub.state"

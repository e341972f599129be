from __future__ import annotations

from django.apps import AppConfig


class ResidentConfig(AppConfig):
    name = "anlin.hub.resident"

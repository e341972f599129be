from __future__ import annotations

from django.apps import AppConfig


class VehiclesConfig(AppConfig):
    name = "anlin.hub.vehicles"

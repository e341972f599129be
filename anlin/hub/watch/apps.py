from __future__ import annotations

from django.apps import AppConfig


class WatchConfig(AppConfig):
    name = "anlin.hub.watch"

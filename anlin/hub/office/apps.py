from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OfficeConfig(AppConfig):
    name = "anlin.hub.office"

    def ready(self) -> None:
        """Let every app put its queues on the page: those in its module `queues`."""
        autodiscover_modules("own_queues", "queues")

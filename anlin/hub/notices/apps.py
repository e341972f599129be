from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class NoticesConfig(AppConfig):
    name = "anlin.hub.notices"

    def ready(self) -> None:
        from anlin.hub.notices import devices

        devices.listen()
        post_migrate.connect(devices.at_install, sender=self)

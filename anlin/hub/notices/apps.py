from __future__ import annotations

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "anlin.hub.notices"

    def ready(self) -> None:
        from anlin.hub.notices import devices

        devices.listen()

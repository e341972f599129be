from __future__ import annotations

from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "anlin.hub.privacy"

    def ready(self) -> None:
        from anlin.hub.privacy import receivers  # noqa: F401  it connects itself
